//! The types of a profile.

use core::net::IpAddr;

/// A connection profile, reduced to the keys that bypassctl needs.
///
/// It contains no secret. Of `client_secret` and `mgmt_token` it only knows where or whether they
/// exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// `default` for a profile without a name, as in influxctl.
    pub name: String,
    /// `clustered` or `dedicated`, as in the file.
    pub product: Option<String>,
    pub host: Option<String>,
    /// A string for influxctl. An integer in the file is read and written as one.
    pub port: Option<String>,
    /// `[profile.tls]`
    pub tls: Tls,
    /// `auth.token.token_file`, as in the file.
    pub token_file: Option<String>,
    /// Set if `auth.oauth2` exists.
    pub has_oauth2: bool,
    /// The line of `auth.oauth2.client_secret`, counted from 1.
    pub client_secret_line: Option<usize>,
    /// Set if `mgmt_token` exists and is not empty.
    pub has_mgmt_token: bool,
}

/// A change of `auth.token.token_file`, for the audit log. The values are TOML strings as in the
/// file, so that `disable` can write the same bytes again.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(expecting = "an object")]
pub struct TokenFileChange {
    /// The name of the profile.
    pub profile: String,
    /// The value before. Null without one, or if it resembles a token.
    #[serde(deserialize_with = "Option::deserialize")]
    pub before: Option<String>,
    /// The value after. Null without one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub after: Option<String>,
}

impl Profile {
    /// Returns host and port.
    pub fn address(&self) -> String {
        let host = self.host.as_deref().unwrap_or("(no host)");
        self.port
            .as_ref()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Returns how the token can leak on its way to a host that is not this machine.
    pub fn find_tls_risk(&self) -> Option<TlsRisk> {
        let host = self.host.as_deref()?;
        let (name, address) = (&self.name, self.address());
        if is_loopback(host) {
            None
        } else if self.tls.disable == Some(true) {
            Some(TlsRisk {
                message: format!(
                    "profile `{name}` connects to {address} without TLS: others on the network \
                     can read the token"
                ),
                remedy: "remove `disable` from `[profile.tls]` of the profile",
            })
        } else if self.tls.insecure == Some(true) {
            Some(TlsRisk {
                message: format!(
                    "profile `{name}` does not verify the certificate of {address}: another \
                     server can receive the token"
                ),
                remedy: "remove `insecure` from `[profile.tls]` of the profile. For a private \
                         authority, set `ca`",
            })
        } else {
            None
        }
    }
}

/// A TLS setting that exposes the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsRisk {
    pub message: String,
    pub remedy: &'static str,
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse::<IpAddr>()
            .is_ok_and(|address| address.to_canonical().is_loopback())
}

/// `[profile.tls]`. Missing keys are `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tls {
    /// Skip the verification of the server's certificate.
    pub insecure: Option<bool>,
    /// Use no TLS.
    pub disable: Option<bool>,
    /// Path of the client's certificate.
    pub cert: Option<String>,
    /// Path of the client's key.
    pub key: Option<String>,
    /// Path of the authority's certificate.
    pub ca: Option<String>,
}
