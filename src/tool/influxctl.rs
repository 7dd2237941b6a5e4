//! The influxctl commands of this program, each with the parser of its output.
//!
//! influxctl is closed source. This file relies only on its documentation and release notes.

use super::invocation::{Arg, EnvPolicy, Invocation, Sensitivity, Timeout, ToolOutput, quote_line};
use super::{Tool, find_version};
use jiff::Timestamp;
use semver::Version;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::time::Duration;

/// The time limit of a token probe. influxctl stops after a minute (its `--timeout`, since 2.9.7),
/// but waits without a limit for a login in the browser.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// Gets the version, the first step in the documentation.
pub fn get_version(tool: &Tool) -> Invocation {
    Invocation::new_read(tool, ["version"])
}

/// Parses the output of [`get_version`]. influxctl 2.2.0 to 2.4.1 prints no version (release notes
/// of 2.4.2).
#[must_use]
pub fn parse_version(output: &ToolOutput) -> Option<Version> {
    let find = |stream: &[u8]| find_version(&String::from_utf8_lossy(stream));
    output
        .is_success()
        .then(|| find(&output.stdout).or_else(|| find(&output.stderr)))?
}

/// Gets the help of a command, such as `["token", "list"]`, or of influxctl itself.
pub fn get_help(tool: &Tool, command: &[&str]) -> Invocation {
    let mut invocation = Invocation::new_read(tool, command.iter().copied().chain(["--help"]));
    // A help text can have the values of variables as defaults.
    invocation.env_policy = EnvPolicy::Isolated;
    invocation
}

/// Probes a token with the documented command, a throwaway configuration and an empty home. Never
/// passes `--debug` or `--trace`, which print tokens.
pub fn probe_token(tool: &Tool) -> Invocation {
    build_isolated_list(tool, "database")
}

/// Lists the database tokens with the documented command.
pub fn list_database_tokens(tool: &Tool) -> Invocation {
    build_isolated_list(tool, "token")
}

/// Lists the management tokens with the documented command, which influxctl 2.6.0 introduced
/// (release notes). The list contains revoked ones (documentation of `management list`).
pub fn list_management_tokens(tool: &Tool) -> Invocation {
    build_isolated_list(tool, "management")
}

fn build_isolated_list(tool: &Tool, subject: &str) -> Invocation {
    let before = ["--config"].map(|arg| Arg::Text(arg.to_owned()));
    let after = ["--profile", "default", subject, "list", "--format", "json"]
        .map(|arg| Arg::Text(arg.to_owned()));
    let mut invocation = Invocation::new_read(tool, Vec::<String>::new());
    invocation.args = before
        .into_iter()
        .chain([Arg::ProbeConfig])
        .chain(after)
        .collect();
    invocation.sensitivity = Sensitivity::Both;
    invocation.env_policy = EnvPolicy::Isolated;
    invocation.timeout = Timeout::AtMost(PROBE_TIMEOUT);
    invocation
}

/// The result of a token probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// The server accepts the token.
    Accepted,
    /// The server rejects the token, with influxctl's message.
    Rejected(String),
    /// The reason for which the probe showed neither.
    Inconclusive(String),
}

/// Returns whether an error line reports a rejected token, by the code names of gRPC, and of HTTP
/// for proxies. "permission denied" counts only in an error of the server, because the system
/// reports it for files.
fn is_rejection(line: &str) -> bool {
    let line = line.to_lowercase();
    let from_server = line.contains("rpc error") || line.contains("code =");
    ["unauthenticated", "permissiondenied", "unauthorized"]
        .iter()
        .any(|name| line.contains(name))
        || (from_server && line.contains("permission denied"))
}

/// Parses the output of [`probe_token`].
#[must_use]
pub fn parse_token_probe(output: &ToolOutput) -> TokenVerdict {
    if output.is_success() {
        return match serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            Ok(_) => TokenVerdict::Accepted,
            Err(_) => TokenVerdict::Inconclusive(
                "influxctl exited with 0 but printed no list of databases".to_owned(),
            ),
        };
    }
    let text = String::from_utf8_lossy(&output.stderr);
    if let Some(crash) = find_crash(&text) {
        return TokenVerdict::Inconclusive(crash);
    }
    match text.lines().find(|line| is_rejection(line)) {
        Some(line) => TokenVerdict::Rejected(quote_line(line)),
        None => TokenVerdict::Inconclusive(output.last_error_line()),
    }
}

/// influxctl 2.4.4 to 2.9.3 can crash while it reports an error (release notes of 2.9.4).
fn find_crash(stderr: &str) -> Option<String> {
    let line = stderr.lines().find(|line| line.starts_with("panic:"))?;
    Some(format!("influxctl crashed: {}", quote_line(line)))
}

/// A token in the list of [`list_database_tokens`] or [`list_management_tokens`], in the
/// documented form.
#[derive(Deserialize)]
struct ListedToken {
    #[serde(rename = "id")]
    _id: IgnoredAny,
    expires_at: Option<ProtobufTime>,
    revoked_at: Option<ProtobufTime>,
}

/// A time as Go prints a protobuf timestamp.
#[derive(Deserialize)]
struct ProtobufTime {
    /// Seconds since 1970. Go omits 0, which the table of influxctl shows for no time.
    #[serde(default)]
    seconds: i64,
}

/// Counts the tokens of a list that are neither revoked nor expired.
///
/// # Errors
/// The reason why the list is unknown.
pub fn count_valid_tokens(output: &ToolOutput, now: Timestamp) -> Result<u64, String> {
    if !output.is_success() {
        let crash = find_crash(&String::from_utf8_lossy(&output.stderr));
        return Err(crash.unwrap_or_else(|| output.last_error_line()));
    }
    // Go prints null for an empty list (release notes of 2.1.0).
    let tokens: Option<Vec<ListedToken>> = serde_json::from_slice(&output.stdout)
        .map_err(|_| "influxctl exited with 0 but printed no list of tokens".to_owned())?;
    let is_valid = |token: &&ListedToken| {
        let seconds = |time: &Option<ProtobufTime>| time.as_ref().map_or(0, |time| time.seconds);
        let expires_at = seconds(&token.expires_at);
        seconds(&token.revoked_at) == 0 && (expires_at == 0 || expires_at > now.as_second())
    };
    Ok(tokens.iter().flatten().filter(is_valid).count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::invocation::ProcessExit;

    fn make_output(code: i32, stdout: &str, stderr: &str) -> ToolOutput {
        ToolOutput {
            tool: ToolName::Influxctl,
            exit: ProcessExit::Code(code),
            stdout: stdout.as_bytes().to_vec().into(),
            stderr: stderr.as_bytes().to_vec().into(),
        }
    }

    #[test]
    fn valid_tokens_are_counted_without_revoked_and_expired_ones() {
        let count = |code, stdout, stderr| {
            count_valid_tokens(
                &make_output(code, stdout, stderr),
                Timestamp::from_second(2_000_000_000).unwrap(),
            )
        };
        let tokens = r#"[
            {"id": "1", "permissions": {}},
            {"id": "2", "revoked_at": null, "expires_at": {"nanos": 1}},
            {"id": "3", "revoked_at": {"seconds": 1710273809, "nanos": 948178000}},
            {"id": "4", "expires_at": {"seconds": 1719491696}},
            {"id": "5", "expires_at": {"seconds": 2000000001}}
        ]"#;
        assert_eq!(count(0, tokens, ""), Ok(3));
        assert_eq!(count(0, "[]", ""), Ok(0));
        assert_eq!(count(0, "null\n", ""), Ok(0));
        for unknown in [
            "",
            "{}",
            "[{}]",
            "[1]",
            r#"[{"id": "1", "revoked_at": "today"}]"#,
        ] {
            assert!(count(0, unknown, "").is_err(), "{unknown}");
        }
        assert_eq!(
            count(1, "[]", "error\tNo help topic for 'management'\n"),
            Err("No help topic for 'management'".to_owned())
        );
        assert_eq!(
            count(2, "", "panic: nil\ngoroutine 1\n"),
            Err("influxctl crashed: panic: nil".to_owned())
        );
    }

    #[test]
    fn token_is_rejected_only_by_server_error() {
        let verdict = |code, stdout: &str, stderr: &str| {
            parse_token_probe(&make_output(code, stdout, stderr))
        };
        assert_eq!(verdict(0, "[]", ""), TokenVerdict::Accepted);
        assert!(matches!(verdict(0, "", ""), TokenVerdict::Inconclusive(_)));
        for rejection in [
            "error\trpc error: code = Unauthenticated desc = x\nusage: …\n",
            "rpc error: code = PermissionDenied",
            "rpc error: permission denied",
        ] {
            assert!(
                matches!(verdict(1, "", rejection), TokenVerdict::Rejected(_)),
                "{rejection}"
            );
        }
        for other in [
            "panic: runtime error\nrpc error: code = Unauthenticated desc = x\n",
            "error\topen /etc/tls/client.key: permission denied",
            "rpc error: code = Unavailable",
            "",
        ] {
            assert!(
                matches!(verdict(1, "", other), TokenVerdict::Inconclusive(_)),
                "{other}"
            );
        }
    }
}
