//! The commands, one file per command.

pub(crate) mod audit;
