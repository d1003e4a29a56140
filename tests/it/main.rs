//! Placet's behaviour, proved from outside. One binary, so that everything is linked once.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod approvals;
mod attack;
mod audit;
mod author;
mod backup;
mod browser;
mod clock;
mod components;
mod crash;
mod finding;
mod gateway;
mod house;
mod limits;
mod log;
mod notify;
mod people;
mod races;
mod read_back;
mod real;
mod requirements;
mod restore;
mod retention;
mod review_api;
mod review_decide;
mod review_live;
mod review_sign_in;
mod review_surface;
mod secrets;
mod stop;
mod store;
mod store_batch;
mod support;
mod terminal;
mod upgrade;
mod upstream;
