//! Where the measurements of the gateway start.

fn main() {}
