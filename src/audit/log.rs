//! The log file: opened safely, appended to one durable line at a time, its torn tail recovered.

mod open;
mod rotate;
mod rotation;
mod writer;

pub use open::PriorState;
pub use rotation::LogRotation;
pub use writer::{Log, Receipt};
