//! kubectl and influxctl: which binary, which version, and every command this program may give them.

pub mod influxctl;
pub mod invocation;
pub mod kubectl;
pub mod permission;
pub mod quirk;

use crate::digest::Digest;
use regex::Regex;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Which of the two tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToolName {
    /// Kubernetes' command line.
    Kubectl,
    /// InfluxDB Clustered's command line.
    Influxctl,
}

impl ToolName {
    /// The name to look for in PATH, and `argv[0]` when it runs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubectl => "kubectl",
            Self::Influxctl => "influxctl",
        }
    }

    /// The oldest version that will do: kubectl 1.20 is the oldest with every flag used here; influxctl 2.2.0
    /// brought token authentication for InfluxDB Clustered (release notes of influxctl).
    #[must_use]
    pub const fn min_version(self) -> Version {
        match self {
            Self::Kubectl => Version::new(1, 20, 0),
            Self::Influxctl => Version::new(2, 2, 0),
        }
    }
}

/// A tool, resolved once per run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    /// Which one.
    pub name: ToolName,
    /// The file that is executed: absolute, symlinks resolved.
    pub path: PathBuf,
    /// Where it was found, before symlinks were resolved.
    pub found_at: PathBuf,
    /// SHA-256 of the file, lower-case hexadecimal; `None` until it is hashed.
    pub sha256: Option<String>,
    /// Its version; `None` until asked, or when it cannot tell.
    pub version: Option<Version>,
}

/// What a file of that name is, where it is known to start another program under the name that it was called by: snapd
/// (`/snap/bin/kubectl` leads to `/usr/bin/snap`), k3s (unpacks a kubectl), minikube, kuberlr, mise's shims, aqua's proxy. Some are called `k3s-arm64` or the like.
#[must_use]
pub fn detect_launcher(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    let is = |known: &&str| {
        name.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
    };
    ["snap", "k3s", "minikube", "kuberlr", "mise", "aqua-proxy"]
        .iter()
        .any(is)
        .then_some(name)
}

/// Parses a SHA-256 in either case, with or without `sha256:` before it, into its canonical text.
pub(crate) fn parse_sha256(text: &str) -> Result<String, String> {
    Ok(text.parse::<Digest>()?.to_string())
}

/// A tool, as it was found, for those who read it elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolInfo {
    /// `kubectl` or `influxctl`.
    pub name: String,
    /// The file that is executed: absolute, symlinks resolved.
    pub path: String,
    /// Its version, `X.Y.Z`; null where it cannot tell.
    pub version: Option<String>,
    /// SHA-256 of the file, lower-case hexadecimal; null where it is not known.
    pub sha256: Option<String>,
}

impl From<Tool> for ToolInfo {
    fn from(tool: Tool) -> Self {
        Self {
            name: tool.name.as_str().to_owned(),
            path: tool.path.display().to_string(),
            version: tool.version.map(|version| version.to_string()),
            sha256: tool.sha256,
        }
    }
}

/// The first `X.Y.Z` in a text, with or without `v`. What follows (`-dispatcher`, `-eks-…`, `+k3s1`) is a vendor's
/// suffix: semver would take it for a pre-release, older than the release, so only the three numbers are compared.
#[must_use]
pub fn find_version(text: &str) -> Option<Version> {
    static VERSION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:^|[^0-9.])(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[^0-9.]|\.(?:[^0-9]|$)|$)")
            .expect("the pattern is a constant")
    });
    let found = VERSION.captures(text)?;
    let part = |index: usize| found[index].parse().ok();
    Some(Version::new(part(1)?, part(2)?, part(3)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_version_returns_first_three_numbers() {
        for (text, version) in [
            ("influxctl v2.12.0 linux/amd64", Some((2, 12, 0))),
            ("v1.32.4-dispatcher", Some((1, 32, 4))),
            ("v1.28.5-eks-4f4795d", Some((1, 28, 5))),
            ("v1.27.3-gke.100", Some((1, 27, 3))),
            ("v1.28.3+k3s1", Some((1, 28, 3))),
            ("influxctl version dev", None),
            ("1.2", None),
            ("127.0.0.1", None),
            ("99999999999999999999.1.1", None),
            ("", None),
        ] {
            assert_eq!(
                find_version(text),
                version.map(|(a, b, c)| Version::new(a, b, c)),
                "{text}"
            );
        }
    }
}
