//! Placet's behaviour, proved from outside. One binary, so that everything is linked once.

mod approvals;
mod support;
