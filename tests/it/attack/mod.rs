//! The service under attack: each test sends the worst that somebody could, and shows that nothing comes of it.

mod agent;
mod database;
mod disk;
mod people;
mod rows;
mod upstream;
