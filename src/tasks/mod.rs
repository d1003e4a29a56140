//! Background work: idempotent functions, activated by a signal and by a period, so that recovery is the normal path.

mod counting;
mod expiry;
mod reload;
mod timekeeping;

pub use counting::counting;
pub use expiry::expiry;
pub use reload::reload;
pub use timekeeping::timekeeping;
