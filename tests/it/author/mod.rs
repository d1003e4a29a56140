//! The tools for who writes the policy, from outside.

mod broken;
mod form;
mod rehearsed;
mod suggested;
mod tools;
