//! The tools for who writes the policy, from outside.

mod agree;
mod broken;
mod form;
mod rehearsed;
mod suggested;
mod tools;
