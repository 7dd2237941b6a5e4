//! Errors of a configuration. No error quotes the file, because any line can contain a secret. The
//! messages of `toml_edit` quote lines.

use std::fmt;

use crate::text::escape_controls_except_tab;

/// A configuration that cannot be read or edited. Lines and columns count from 1, columns in
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Invalid TOML, such as a duplicate key, at the position where the parser stopped.
    Syntax { line: usize, column: usize },
    /// The configuration has no profiles.
    NoProfiles { name: String },
    /// No profile has this name.
    NoSuchProfile {
        name: String,
        /// All names, in the order of the file.
        known: Vec<String>,
    },
    /// Several profiles have this name. influxctl's documentation does not state which one it uses.
    DuplicateProfile { name: String },
    /// The profile is for another product, which has no admin token.
    NotClustered {
        name: String,
        /// The product in the file.
        product: String,
    },
    /// A new profile has the name of an existing one.
    ProfileExists { name: String },
    /// Valid TOML that influxctl does not read, or that this program cannot edit in place.
    Shape {
        /// Names keys, but no values.
        message: &'static str,
        line: usize,
    },
    /// The edited text would differ from the original in more than the token file.
    UnsafeEdit,
}

impl ConfigError {
    /// Returns the remedy, unless the message says it all.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Syntax { .. } => "fix that line: influxctl cannot read it either",
            Self::NoProfiles { .. } => "add a `[[profile]]` with name, product, host and port",
            Self::NoSuchProfile { name, known } => {
                let similar = known
                    .iter()
                    .find(|known| known.trim().eq_ignore_ascii_case(name.trim()))?;
                let similar = escape_controls_except_tab(similar);
                return Some(format!("did you mean `{similar}`?"));
            }
            Self::DuplicateProfile { .. } => "give each profile a unique name",
            Self::NotClustered { .. } => {
                "choose a profile with product `clustered`: \
                 only InfluxDB Clustered has admin tokens"
            }
            Self::ProfileExists { .. } => "choose another name, or use the existing profile",
            Self::Shape { .. } => {
                "write each profile as in influxctl's documentation: `[[profile]]` with the \
                 sub-tables `[profile.tls]`, `[profile.auth.oauth2]`, `[profile.auth.token]`"
            }
            Self::UnsafeEdit => {
                "the file is unchanged: edit `token_file` in `[profile.auth.token]` by hand"
            }
        };
        Some(hint.to_owned())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { line, column } => {
                write!(f, "not valid TOML at line {line}, column {column}")
            }
            Self::NoProfiles { name } => {
                write!(
                    f,
                    "profile `{}` not found: the configuration has no profiles",
                    escape_controls_except_tab(name)
                )
            }
            Self::NoSuchProfile { name, known } => {
                let known: Vec<_> = known
                    .iter()
                    .map(|name| escape_controls_except_tab(name))
                    .collect();
                write!(
                    f,
                    "profile `{}` not found (known profiles: {})",
                    escape_controls_except_tab(name),
                    known.join(", ")
                )
            }
            Self::DuplicateProfile { name } => {
                write!(
                    f,
                    "more than one profile is named `{}`",
                    escape_controls_except_tab(name)
                )
            }
            Self::NotClustered { name, product } => {
                write!(
                    f,
                    "profile `{}` is for product `{}`",
                    escape_controls_except_tab(name),
                    escape_controls_except_tab(product)
                )
            }
            Self::ProfileExists { name } => {
                write!(
                    f,
                    "profile `{}` already exists",
                    escape_controls_except_tab(name)
                )
            }
            Self::Shape { message, line } => write!(f, "{message} (line {line})"),
            Self::UnsafeEdit => f.write_str("the edit would change more than the token file"),
        }
    }
}

impl std::error::Error for ConfigError {}
