//! Why a configuration could not be read or edited. No error quotes the file: any line may hold a
//! secret, and `toml_edit`'s own messages quote the line.

use std::fmt;

use crate::text::escape_controls_except_tab;

/// Why a configuration could not be read or edited. Lines and columns count from 1, columns in
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, here. A duplicate key is one of these.
    Syntax {
        /// The line where the parser stopped.
        line: usize,
        /// The character in that line.
        column: usize,
    },
    /// The configuration has no profile at all.
    NoProfiles {
        /// The name that was asked for.
        name: String,
    },
    /// There are profiles, but none of that name.
    NoSuchProfile {
        /// The name that was asked for.
        name: String,
        /// The names that are there, in the order of the file.
        known: Vec<String>,
    },
    /// Two profiles or more have that name: which one influxctl takes is not documented.
    DuplicateProfile {
        /// Their name.
        name: String,
    },
    /// The profile is for another product than InfluxDB Clustered, which has no admin token.
    NotClustered {
        /// The profile.
        name: String,
        /// Its product, as written.
        product: String,
    },
    /// A profile of that name is there already.
    ProfileExists {
        /// The name.
        name: String,
    },
    /// Valid TOML in a form that influxctl does not read, or that cannot be edited in place.
    Shape {
        /// What is wrong, naming keys only, never values.
        message: &'static str,
        /// The line it is on.
        line: usize,
    },
    /// The edited text, read again, differs from the original in more than the token file. Nothing
    /// is returned that could be written.
    UnsafeEdit,
}

impl ConfigError {
    /// What to do about it, where something can be said beyond the message.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Syntax { .. } => "mend that line first, influxctl cannot read it either".into(),
            Self::NoProfiles { .. } => "add a `[[profile]]` with name, product, host and port".into(),
            Self::NoSuchProfile { name, known } => {
                let similar = known.iter().find(|k| k.trim().eq_ignore_ascii_case(name.trim()))?;
                format!("did you mean `{}`?", escape_controls_except_tab(similar))
            }
            Self::DuplicateProfile { .. } => "give each profile a name of its own".into(),
            Self::NotClustered { .. } => {
                "admin tokens are for InfluxDB Clustered: choose a profile with product `clustered`".into()
            }
            Self::ProfileExists { .. } => "choose another name, or use the profile as it is".into(),
            Self::Shape { .. } => "influxctl's documentation has it as `[[profile]]` with sub-tables `[profile.tls]`, \
                 `[profile.auth.oauth2]`, `[profile.auth.token]`"
                .into(),
            Self::UnsafeEdit => "nothing was changed; edit `token_file` in `[profile.auth.token]` by hand".into(),
        })
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
                    "no profile `{}`: the configuration has no profiles",
                    escape_controls_except_tab(name)
                )
            }
            Self::NoSuchProfile { name, known } => {
                let known: Vec<_> = known
                    .iter()
                    .map(|k| escape_controls_except_tab(k))
                    .collect();
                write!(
                    f,
                    "no profile `{}` (known profiles: {})",
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
                    "profile `{}` exists already",
                    escape_controls_except_tab(name)
                )
            }
            Self::Shape {
                message: what,
                line,
            } => write!(f, "{what} (line {line})"),
            Self::UnsafeEdit => f.write_str("the edit would change more than the token file"),
        }
    }
}

impl std::error::Error for ConfigError {}
