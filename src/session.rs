//! The context of one command.

pub(crate) mod paths;
