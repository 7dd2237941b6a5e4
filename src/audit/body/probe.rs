//! Token probes.

use super::fields;
use serde::{Deserialize, Serialize};

/// The subject of a token probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct ProbeSubject {
    /// `HOST:PORT`, as the profile gives them.
    pub address: String,
    /// How the connection is secured.
    pub tls: ProbeTls,
    /// HMAC-SHA256 of the token with the key of this state directory. Null without that key.
    #[serde(deserialize_with = "fields::nullable_digest")]
    pub token_hmac: Option<String>,
}

/// How the connection of a token probe is secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProbeTls {
    /// The certificate of the server is verified.
    Verified,
    /// The certificate of the server is not verified.
    Insecure,
    /// Without TLS.
    Disabled,
}

/// The server's answer to a token probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ProbeVerdict {
    /// The server accepts the token.
    Accepted,
    /// The server rejects the token.
    Rejected,
    /// Neither.
    Inconclusive,
}
