//! The log file. It is opened safely, and each line is durable before the next one. A torn end is
//! recovered.

mod open;
mod room;
mod rotate;
mod rotation;
mod writer;

pub use open::PriorState;
pub use rotation::LogRotation;
pub use writer::{Log, Receipt};
