//! Every influxctl command of this program, and what it prints. influxctl is closed source: nothing here relies on
//! more than its documentation and release notes say.

use super::invocation::{Arg, EnvPolicy, Invocation, Sensitivity, Timeout, ToolOutput, quote_line};
use super::{Tool, find_version};
use semver::Version;
use std::time::Duration;

/// How long a trial of a token may take. influxctl gives up by itself after a minute (its `--timeout`, since 2.9.7);
/// one that opens a browser login instead never would.
const PROBE_TIMEOUT: Duration = Duration::from_secs(30);

/// The documented first step: which version is it.
pub fn get_version(tool: &Tool) -> Invocation {
    Invocation::new_read(tool, ["version"])
}

/// The version in what [`version`] printed; `None` when there is none to be found, as from 2.2.0 to 2.4.1, where
/// the version command was not set correctly (release notes of 2.4.2).
#[must_use]
pub fn parse_version(output: &ToolOutput) -> Option<Version> {
    let found = |stream: &[u8]| find_version(&String::from_utf8_lossy(stream));
    output
        .is_success()
        .then(|| found(&output.stdout).or_else(|| found(&output.stderr)))?
}

/// Tries a token: the documented test, with a throwaway configuration in an empty home. Never `--debug` or `--trace`,
/// which print tokens.
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

/// What a trial showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenVerdict {
    /// The cluster takes this token.
    Accepted,
    /// The cluster does not take this token: influxctl's own words.
    Rejected(String),
    /// Neither was shown, for this reason.
    Inconclusive(String),
}

/// How a refusal looks: gRPC's code names, and HTTP's in case a proxy answers. In words, "permission denied" is as
/// often the system's about a file, so that counts only where it comes from the server.
fn is_rejection(line: &str) -> bool {
    let line = line.to_lowercase();
    let from_server = line.contains("rpc error") || line.contains("code =");
    ["unauthenticated", "permissiondenied", "unauthorized"]
        .iter()
        .any(|sign| line.contains(sign))
        || (from_server && line.contains("permission denied"))
}

/// Reads a trial.
#[must_use]
pub fn parse_token_probe(output: &ToolOutput) -> TokenVerdict {
    if output.is_success() {
        return match serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            Ok(_) => TokenVerdict::Accepted,
            Err(_) => TokenVerdict::Inconclusive(
                "influxctl exited 0 without a list of databases".to_owned(),
            ),
        };
    }
    let text = String::from_utf8_lossy(&output.stderr);
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
        for refusal in [
            "error\trpc error: code = Unauthenticated desc = x\nusage: …\n",
            "rpc error: code = PermissionDenied",
            "rpc error: permission denied",
        ] {
            assert!(
                matches!(verdict(1, "", refusal), TokenVerdict::Rejected(_)),
                "{refusal}"
            );
        }
        for other in [
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
