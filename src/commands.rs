//! The commands, one file per command.

pub(crate) mod audit;
pub(crate) mod completion;
pub(crate) mod disable;
pub(crate) mod doctor;
pub(crate) mod enable;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod resume;
pub(crate) mod revocation;
pub(crate) mod revoke;
pub(crate) mod rotate;
pub(crate) mod status;
pub(crate) mod targets;
pub(crate) mod token_age;
mod token_setup;
pub(crate) mod tools;
pub(crate) mod unfinished;
pub(crate) mod version;
