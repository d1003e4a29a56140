//! Background work: idempotent functions, activated by a signal and by a period, so that recovery is the normal path.

mod expiry;
mod reload;

pub use expiry::expiry;
pub use reload::reload;
