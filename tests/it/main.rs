//! Placet as a whole, against real components where there are any. One binary: it links once.

mod components;
mod support {
    //! What the tests share.
    pub mod components;
}
