//! Differences between versions of influxctl, from influxctl's release notes.

use semver::Version;

/// The properties of influxctl and the profile that a quirk depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuirkContext {
    /// The version of influxctl, if known.
    pub version: Option<Version>,
    /// Set if `[profile.auth.oauth2]` exists.
    pub has_oauth2: bool,
    /// The line of `client_secret` in the configuration, if it exists.
    pub client_secret_line: Option<usize>,
    /// Set if `mgmt_token` exists.
    pub has_mgmt_token: bool,
}

/// A difference that matters to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// A stable name.
    pub id: &'static str,
    pub message: &'static str,
    /// `LINE` stands for the line of the key that the message names.
    remedy: &'static str,
    /// Set if influxctl cannot use the profile at all.
    pub is_fatal: bool,
}

impl Quirk {
    /// Returns the remedy for a configuration.
    #[must_use]
    pub fn format_remedy(&self, at: &QuirkContext) -> String {
        let line = at.client_secret_line.unwrap_or_default();
        self.remedy.replace("LINE", &line.to_string())
    }
}

struct QuirkRule {
    quirk: Quirk,
    applies: fn(&QuirkContext) -> bool,
}

const QUIRK_RULES: &[QuirkRule] = &[
    QuirkRule {
        // 2.3.1: "a token loaded from a file is no longer saved to the cache"
        quirk: Quirk {
            id: "token-cached",
            message: "influxctl before 2.3.1 keeps a copy of the admin token \
                      in its cache directory",
            remedy: "update influxctl, or delete the copies that `bypassctl disable` names",
            is_fatal: false,
        },
        applies: |at| is_before(at, 2, 3, 1),
    },
    QuirkRule {
        // 2.5.0: "cached tokens are not tried when a token file is set"
        quirk: Quirk {
            id: "cached-token-wins",
            message: "influxctl before 2.5.0 prefers an older cached token to the token file",
            remedy: "update influxctl, or delete its cache directory `~/.cache/influxctl`",
            is_fatal: false,
        },
        applies: |at| is_before(at, 2, 5, 0),
    },
    QuirkRule {
        // 2.9.8 removes the key `client_secret`. Since 2.0.1 an unknown key is an error.
        quirk: Quirk {
            id: "client-secret-unknown",
            message: "influxctl 2.9.8 and later cannot read a profile with `client_secret`",
            remedy: "remove `client_secret` in line LINE from the profile's \
                     `[profile.auth.oauth2]`",
            is_fatal: true,
        },
        applies: |at| at.client_secret_line.is_some() && !is_before(at, 2, 9, 8),
    },
    QuirkRule {
        quirk: Quirk {
            id: "mgmt-token-beside",
            message: "the profile also has `mgmt_token`: influxctl's documentation does not state \
                      which of the two it uses",
            remedy: "remove `mgmt_token` from the profile while you use the admin token",
            is_fatal: false,
        },
        applies: |at| at.has_mgmt_token,
    },
    QuirkRule {
        quirk: Quirk {
            id: "oauth2-beside",
            message: "the profile also has `[profile.auth.oauth2]`: influxctl's documentation does \
                      not state which of the two it uses",
            remedy: "if influxctl still opens a login, remove that section while you use the admin \
                     token",
            is_fatal: false,
        },
        applies: |at| at.has_oauth2,
    },
];

/// The hint for a kubectl without the documented `create job --from=job/…` (March 2024).
///
/// kubectl 1.20 reports "from must be an existing cronjob", and later versions "unknown object type
/// *v1.Job" (recordings `create-job-from-job`).
pub const JOB_FROM_JOB_UNSUPPORTED: &str =
    "pass `--rerun clone`: `--from` of kubectl up to 1.37 accepts only cron jobs";

/// Returns whether influxctl is older than a version. An unknown version counts as old, because
/// influxctl 2.2.0 to 2.4.1 does not report its version.
fn is_before(at: &QuirkContext, major: u64, minor: u64, patch: u64) -> bool {
    at.version
        .as_ref()
        .is_none_or(|version| *version < Version::new(major, minor, patch))
}

#[must_use]
pub fn find_applicable_quirks(at: &QuirkContext) -> Vec<Quirk> {
    QUIRK_RULES
        .iter()
        .filter(|rule| (rule.applies)(at))
        .map(|rule| rule.quirk.clone())
        .collect()
}

/// Returns whether the environment variable INFLUXCTL_PROFILE overrides the path of the
/// configuration file, as it does since 2.10.2.
#[must_use]
pub fn has_profile_variable(version: Option<&Version>) -> bool {
    version.is_some_and(|version| *version >= Version::new(2, 10, 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quirk_ids(version: &str, has: fn(&mut QuirkContext)) -> Vec<&'static str> {
        let mut at = QuirkContext {
            version: Version::parse(version).ok(),
            ..QuirkContext::default()
        };
        has(&mut at);
        find_applicable_quirks(&at)
            .iter()
            .map(|quirk| quirk.id)
            .collect()
    }

    #[test]
    fn quirks_apply_only_to_affected_versions() {
        assert_eq!(
            quirk_ids("2.3.0", |_| ()),
            ["token-cached", "cached-token-wins"]
        );
        assert_eq!(quirk_ids("2.3.1", |_| ()), ["cached-token-wins"]);
        assert_eq!(quirk_ids("2.4.9", |_| ()), ["cached-token-wins"]);
        assert_eq!(quirk_ids("2.5.0", |_| ()), [""; 0]);
        assert_eq!(
            quirk_ids("unknown", |_| ()),
            ["token-cached", "cached-token-wins"]
        );
        assert_eq!(
            quirk_ids("2.9.7", |at| at.client_secret_line = Some(7)),
            [""; 0]
        );
        assert_eq!(
            quirk_ids("2.9.8", |at| at.client_secret_line = Some(7)),
            ["client-secret-unknown"]
        );
        assert_eq!(
            quirk_ids("2.12.0", |at| (at.has_mgmt_token, at.has_oauth2) =
                (true, true)),
            ["mgmt-token-beside", "oauth2-beside"]
        );
        assert!(!has_profile_variable(
            Version::parse("2.10.1").ok().as_ref()
        ));
        assert!(has_profile_variable(Version::parse("2.10.2").ok().as_ref()));
        assert!(!has_profile_variable(None));
    }
}
