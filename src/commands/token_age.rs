//! The age of the admin token: the time since its secret was created.

use crate::error::{Error, Result};
use crate::session::runner::Runner;
use crate::tool::kubectl::{self, Kubectl};
use jiff::{SignedDuration, Timestamp};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Reads the creation time of secret `admin-token`, to the second.
pub(crate) fn read_creation_time(
    runner: &Runner,
    kubectl: &Kubectl,
    namespace: &str,
) -> Result<Timestamp> {
    let output = runner.run("token-age", &kubectl.get_token_uid(namespace))?;
    let secret = kubectl::parse_token_uid(&output)
        .map_err(|failure| failure.into_error("cannot read secret `admin-token`"))?;
    secret.creation_time().ok_or_else(|| {
        Error::failure(format!(
            "secret `admin-token` has no valid creation time: `{}`",
            secret.created_at
        ))
        .hint("check it: `kubectl describe secrets/admin-token --namespace NS`")
    })
}

/// Computes an age by the local clock.
pub(crate) fn compute_age(created_at: Timestamp, now: Timestamp) -> Result<SignedDuration> {
    let age = now.duration_since(created_at);
    if age.is_negative() {
        return Err(Error::failure(format!(
            "secret `admin-token` is dated in the future: created at {created_at}"
        ))
        .hint("check the clock of this machine"));
    }
    Ok(age)
}

/// Formats an age in its largest unit, rounded down.
pub(crate) fn format_age(age: SignedDuration) -> String {
    let seconds = age.as_secs();
    match seconds {
        DAY.. if seconds / DAY == 1 => "1 day".to_owned(),
        DAY.. => format!("{} days", seconds / DAY),
        HOUR.. => format!("{} h", seconds / HOUR),
        MINUTE.. => format!("{} min", seconds / MINUTE),
        _ => format!("{seconds} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compute_age_rejects_a_future_date() {
        let now = Timestamp::UNIX_EPOCH;
        let at = |seconds| Timestamp::from_second(seconds).expect("a time");
        assert_eq!(
            compute_age(at(-90), now).map(format_age).ok().as_deref(),
            Some("1 min")
        );
        assert_eq!(
            compute_age(at(0), now).map(format_age).ok().as_deref(),
            Some("0 s")
        );
        assert!(compute_age(at(1), now).is_err());
        for (seconds, shown) in [(7200, "2 h"), (86_400, "1 day"), (90 * 86_400, "90 days")] {
            assert_eq!(format_age(SignedDuration::from_secs(seconds)), shown);
        }
    }
}
