//! The tools for who writes the policy, from outside.

mod rehearsed;
mod suggested;
