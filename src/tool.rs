//! kubectl and influxctl: binary, version, and every command that this program runs.

pub mod delivery;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ToolName {
    Kubectl,
    Influxctl,
    /// The program of `rotate --deliver`.
    Delivery,
}

impl ToolName {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kubectl => "kubectl",
            Self::Influxctl => "influxctl",
            Self::Delivery => "delivery",
        }
    }

    /// Returns the instruction to choose another file.
    #[must_use]
    pub fn path_hint(self) -> String {
        match self {
            Self::Kubectl | Self::Influxctl => format!("give its path: --{} PATH", self.as_str()),
            Self::Delivery => "correct the command after --deliver".to_owned(),
        }
    }

    /// Returns the oldest supported version. kubectl 1.20 is the oldest with every flag used here.
    /// influxctl 2.2.0 introduced token authentication for InfluxDB Clustered (its release notes).
    #[must_use]
    pub const fn min_version(self) -> Version {
        match self {
            Self::Kubectl => Version::new(1, 20, 0),
            Self::Influxctl => Version::new(2, 2, 0),
            Self::Delivery => Version::new(0, 0, 0),
        }
    }
}

/// A tool, resolved once per run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub name: ToolName,
    /// The absolute path of the executed file, without symlinks.
    pub path: PathBuf,
    /// The path before symlinks were resolved.
    pub found_at: PathBuf,
    /// SHA-256 of the file, in lower-case hexadecimal. `None` until it is hashed.
    pub sha256: Option<String>,
    /// `None` before the tool is asked, or if it does not report a version.
    pub version: Option<Version>,
    /// The kuberc of kubectl's commands. `None` switches kuberc off.
    pub kuberc: Option<PathBuf>,
}

impl Tool {
    /// Returns `argv[0]`, the name in PATH.
    #[must_use]
    pub fn command_name(&self) -> String {
        let file_name = self.found_at.file_name().unwrap_or_default();
        match self.name {
            ToolName::Kubectl | ToolName::Influxctl => self.name.as_str().to_owned(),
            ToolName::Delivery => file_name.to_string_lossy().into_owned(),
        }
    }
}

/// Returns the name of a file that starts another program, depending on the name it is called by.
///
/// Such files are snapd (`/snap/bin/kubectl` is a symlink to `/usr/bin/snap`), k3s (unpacks a
/// kubectl), minikube, kuberlr, mise's shims and aqua's proxy. Some have suffixes: `k3s-arm64`.
#[must_use]
pub fn detect_launcher(file: &Path) -> Option<&str> {
    let name = file.file_name()?.to_str()?;
    let is_named = |known: &&str| {
        name.strip_prefix(known)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
    };
    ["snap", "k3s", "minikube", "kuberlr", "mise", "aqua-proxy"]
        .iter()
        .any(is_named)
        .then_some(name)
}

/// Parses a SHA-256 in either case, with or without the prefix `sha256:`, into lower case.
pub(crate) fn parse_sha256(text: &str) -> Result<String, String> {
    Ok(text.parse::<Digest>()?.to_string())
}

/// A tool for JSON output and plans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct ToolInfo {
    /// `kubectl`, `influxctl` or `delivery`.
    pub name: String,
    /// The absolute path of the executed file, without symlinks.
    pub path: String,
    /// `X.Y.Z`, or null if the tool does not report its version.
    pub version: Option<String>,
    /// SHA-256 of the file in lower-case hexadecimal, or null if unknown.
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

/// Finds the first `X.Y.Z` in a text, with or without `v`.
///
/// Drops the suffixes of vendors (`-dispatcher`, `-eks-…`, `+k3s1`), which semver would treat as
/// pre-releases, older than the release.
#[must_use]
pub fn find_version(text: &str) -> Option<Version> {
    static VERSION: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?:^|[^0-9.])(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[^0-9.]|\.(?:[^0-9]|$)|$)")
            .expect("the pattern is a constant")
    });
    let captures = VERSION.captures(text)?;
    let part = |index: usize| captures[index].parse().ok();
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
