//! The influxctl commands of this program, each with the parser of its output.
//!
//! influxctl is closed source. This file relies only on its documentation and release notes.

use super::invocation::{Arg, EnvPolicy, Invocation, Sensitivity, Timeout, ToolOutput, quote_line};
use super::{Tool, find_version};
use semver::Version;
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
    Invocation::new_read(tool, command.iter().copied().chain(["--help"]))
}

/// Probes a token with the documented command, a throwaway configuration and an empty home. Never
/// passes `--debug` or `--trace`, which print tokens.
pub fn probe_token(tool: &Tool) -> Invocation {
    let before = ["--config"].map(|arg| Arg::Text(arg.to_owned()));
    let after = [
        "--profile",
        "default",
        "database",
        "list",
        "--format",
        "json",
    ]
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
    // influxctl 2.4.4 to 2.9.3 can crash while it reports an error (release notes of 2.9.4).
    if let Some(line) = text.lines().find(|line| line.starts_with("panic:")) {
        return TokenVerdict::Inconclusive(format!("influxctl crashed: {}", quote_line(line)));
    }
    match text.lines().find(|line| is_rejection(line)) {
        Some(line) => TokenVerdict::Rejected(quote_line(line)),
        None => TokenVerdict::Inconclusive(output.last_error_line()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::invocation::ProcessExit;

    #[test]
    fn token_is_rejected_only_by_server_error() {
        let verdict = |code, stdout: &str, stderr: &str| {
            let (stdout, stderr) = (
                stdout.as_bytes().to_vec().into(),
                stderr.as_bytes().to_vec().into(),
            );
            parse_token_probe(&ToolOutput {
                tool: ToolName::Influxctl,
                exit: ProcessExit::Code(code),
                stdout,
                stderr,
            })
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
