//! The process is killed at every point of a call's life; what comes back must be whole.
//!
//! The default run kills three times at each point. `PLACET_CRASHES=100000 cargo test --test it crash::driver --
//! --nocapture` kills so many times, every time elsewhere; `PLACET_CRASHES_AT_ONCE` runs so many side by side (4);
//! `PLACET_CRASH=POINT:ROUND` repeats one run that failed.

mod book;
mod check;
mod driver;
mod plan;
mod points;
mod power;
mod process;
mod run;
mod scene;
mod sick;
mod world;
