//! `bypassctl.toml`, from text to data. The caller finds the file.

mod class;
mod error;
mod model;
mod pin;
mod read;

pub use class::{KeyClass, POLICY_KEYS, Redirection, find_redirections};
pub use error::PolicyError;
pub use model::{
    ActivePolicy, AuditPolicy, FILE_NAME, GUARDABLE_COMMANDS, Guard, MAX_POLICY, NamedTarget,
    NamespaceDefaults, PathContext, Policy, PolicySource, ProductionPatterns, ToolPin, ToolPolicy,
};
pub use pin::{PinnedTool, pin_tools, render_tools_section};
pub use read::parse_policy;

#[cfg(test)]
mod tests;
