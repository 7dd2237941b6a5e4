//! What particular versions of influxctl do differently, each with its source: the release notes of influxctl.

use semver::Version;

/// What of the profile and the environment decides whether a quirk bears on the job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuirkContext {
    /// influxctl's version; `None` when it cannot be told.
    pub version: Option<Version>,
    /// `[profile.auth.oauth2]` is there.
    pub has_oauth2: bool,
    /// `client_secret` is there.
    pub has_client_secret: bool,
    /// `mgmt_token` is there.
    pub has_mgmt_token: bool,
}

/// One quirk that bears on the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quirk {
    /// A stable name.
    pub id: &'static str,
    /// What happens.
    pub message: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
    /// Whether influxctl cannot work at all with this profile.
    pub is_fatal: bool,
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
            message: "influxctl before 2.3.1 keeps a copy of the admin token in its cache directory",
            remedy: "update influxctl, or delete the copies after `bypassctl disable` names them",
            is_fatal: false,
        },
        applies: |at| is_before(at, 2, 3, 1),
    },
    QuirkRule {
        // 2.5.0: "cached tokens are not tried when a token file is set"
        quirk: Quirk {
            id: "cached-token-wins",
            message: "influxctl before 2.5.0 prefers an older cached token to the token file",
            remedy: "update influxctl, or empty its cache directory (`~/.cache/influxctl`) first",
            is_fatal: false,
        },
        applies: |at| is_before(at, 2, 5, 0),
    },
    QuirkRule {
        // 2.9.8: client_secret is no longer a known key, and since 2.0.1 an unknown key is an error
        quirk: Quirk {
            id: "client-secret-unknown",
            message: "influxctl 2.9.8 and later refuses a profile with `client_secret`",
            remedy: "take `client_secret` out of the profile's `[profile.auth.oauth2]`",
            is_fatal: true,
        },
        applies: |at| at.has_client_secret && !is_before(at, 2, 9, 8),
    },
    QuirkRule {
        quirk: Quirk {
            id: "mgmt-token-beside",
            message: "the profile has a `mgmt_token` as well; which of the two influxctl uses is not published",
            remedy: "take `mgmt_token` out of the profile while the admin token is in use",
            is_fatal: false,
        },
        applies: |at| at.has_mgmt_token,
    },
    QuirkRule {
        quirk: Quirk {
            id: "oauth2-beside",
            message: "the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published",
            remedy: "if influxctl opens a login all the same, take the section out while the admin token is in use",
            is_fatal: false,
        },
        applies: |at| at.has_oauth2,
    },
];

/// The documented `kubectl create job --from=job/…` (March 2024): what every kubectl from 1.20 to 1.37 says to it is in
/// the recordings (`create-job-from-job`): "unknown object type *v1.Job", 1.20 "from must be an existing cronjob".
pub const JOB_FROM_JOB_UNSUPPORTED: &str = "no kubectl up to 1.37 does: it takes cron jobs only; --rerun clone makes the job again without it";

/// An unknown version has every quirk that an old one has: influxctl from 2.2.0 to 2.4.1 cannot tell its version.
fn is_before(at: &QuirkContext, major: u64, minor: u64, patch: u64) -> bool {
    at.version
        .as_ref()
        .is_none_or(|version| *version < Version::new(major, minor, patch))
}

/// The quirks that bear on the job.
#[must_use]
pub fn find_applicable_quirks(at: &QuirkContext) -> Vec<Quirk> {
    QUIRK_RULES
        .iter()
        .filter(|entry| (entry.applies)(at))
        .map(|entry| entry.quirk.clone())
        .collect()
}

/// Since 2.10.2 the environment variable INFLUXCTL_PROFILE overrides the path of the configuration file.
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
            quirk_ids("2.9.7", |at| at.has_client_secret = true),
            [""; 0]
        );
        assert_eq!(
            quirk_ids("2.9.8", |at| at.has_client_secret = true),
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
