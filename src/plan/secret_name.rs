//! The secrets that a revocation replaces.

use serde::Serialize;
use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SecretName {
    /// The keys that sign tokens.
    RsaKeys,
    /// The admin token itself.
    AdminToken,
}

impl SecretName {
    pub const ALL: [Self; 2] = [Self::RsaKeys, Self::AdminToken];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaKeys => "rsa-keys",
            Self::AdminToken => "admin-token",
        }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
