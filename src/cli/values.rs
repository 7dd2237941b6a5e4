//! Values of options, and their parsers.

use crate::digest::Digest;
use crate::procedure::enable::VerifyMode;
use crate::procedure::revoke::{PreflightCheck, Rerun};
use clap::ValueEnum;
use clap::builder::PossibleValue;
use jiff::{SignedDuration, SpanRelativeTo};
use std::time::Duration;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Shell {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Zsh => "zsh",
            Self::Fish => "fish",
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DryRunFormat {
    /// Each command and each changed line
    Plan,
    /// Equivalent POSIX shell script
    Script,
}

impl ValueEnum for VerifyMode {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Require, Self::Try, Self::Skip]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (name, help) = match self {
            Self::Require => ("require", "The token must be accepted"),
            Self::Try => ("try", "The token must not be rejected"),
            Self::Skip => ("skip", "No token probe"),
        };
        Some(PossibleValue::new(name).help(help))
    }
}

impl ValueEnum for Rerun {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Auto => "`operator` if kubit runs, otherwise `clone`",
            Self::FromJob => "The documented `kubectl create job --from=job/NAME`",
            Self::Clone => "A new job from the template of the old job",
            Self::Operator => "kubit, which recreates a deleted job",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

impl ValueEnum for PreflightCheck {
    fn value_variants<'a>() -> &'a [Self] {
        Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.as_str()))
    }
}

const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
const TIMEOUT_RANGE: &str = "a time limit must be more than 0 and at most 24h";

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text
        .parse()
        .map_err(|_| "expected a duration such as 30s, 5m or 1m30s".to_owned())?;
    Duration::try_from(signed)
        .ok()
        .filter(|duration| !duration.is_zero() && *duration <= MAX_TIMEOUT)
        .ok_or_else(|| TIMEOUT_RANGE.to_owned())
}

/// Parses an age such as `5m`, `2h` or `90d`. A day has 24 hours.
pub(super) fn parse_age(text: &str) -> Result<SignedDuration, String> {
    let parse = || {
        let span: jiff::Span = text.parse().ok()?;
        let has_digit_first = text.starts_with(|c: char| c.is_ascii_digit());
        let age = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        (has_digit_first && age.is_positive()).then_some(age)
    };
    parse().ok_or_else(|| "expected an age such as 5m, 2h or 90d".to_owned())
}

/// Parses a head as an earlier run printed it: `audit head LOG SEQ:HASH`, or the last word.
pub(super) fn parse_head(text: &str) -> Result<(u64, String), String> {
    let parse = || {
        let head = match text.split_whitespace().collect::<Vec<_>>()[..] {
            ["audit", "head", _, head] | [head] => head,
            _ => return None,
        };
        let (seq, hash) = head.split_once(':')?;
        let hash = Digest::from_hex(&hash.to_ascii_lowercase())?;
        Some((seq.parse().ok()?, hash.to_string()))
    };
    parse().ok_or_else(|| {
        "expected `audit head LOG SEQ:HASH` or SEQ:HASH, such as 41:<64 hexadecimal digits>"
            .to_owned()
    })
}

/// Serialises a time limit as whole milliseconds.
pub(super) mod millis {
    use super::{MAX_TIMEOUT, TIMEOUT_RANGE};
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    pub(crate) fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let duration = Duration::from_millis(u64::deserialize(from)?);
        if duration.is_zero() || duration > MAX_TIMEOUT {
            Err(serde::de::Error::custom(TIMEOUT_RANGE))
        } else {
            Ok(duration)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_parsers_reject_invalid_values() {
        assert_eq!(parse_duration("1m30s"), Ok(Duration::from_secs(90)));
        for bad in ["", "0s", "25h", "-1s", "x", "5"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        assert_eq!(
            parse_head(&format!("3:{}", "A".repeat(64))),
            Ok((3, "a".repeat(64)))
        );
        assert_eq!(
            parse_head(&format!("audit head LOG 3:{}\n", "a".repeat(64))),
            Ok((3, "a".repeat(64)))
        );
        assert_eq!(parse_age("5m"), Ok(SignedDuration::from_mins(5)));
        assert_eq!(parse_age("90d"), Ok(SignedDuration::from_hours(90 * 24)));
        for bad in ["", "0d", "-1d", "1d ago", "P1D", "5", "1y", "yesterday"] {
            assert!(parse_age(bad).is_err(), "{bad}");
        }
        for bad in ["3:abc", "", "audit head 3:abc"] {
            assert!(parse_head(bad).is_err(), "{bad}");
        }
    }
}
