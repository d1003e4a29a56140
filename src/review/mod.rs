//! The reviewer's side: pages, forms, live socket.

pub mod assets;
pub mod view;
