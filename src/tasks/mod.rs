//! Background work: idempotent functions, activated by a signal and by a period, so that recovery is the normal path.

mod administrators;
mod anchors;
mod checkpoint;
mod counting;
mod expiry;
mod limits;
mod policy_letters;
mod reload;
mod retention;
mod tally;
mod timekeeping;
mod tool_letters;

pub use anchors::{Anchoring, anchor};
pub use checkpoint::checkpoints;
pub use counting::counting;
pub use expiry::expiry;
pub use limits::limits;
pub use policy_letters::{PolicyLetters, policy_letters};
pub use reload::reload;
pub use retention::retention;
pub use tally::tally;
pub use timekeeping::timekeeping;
pub use tool_letters::{ToolLetters, tool_letters};
