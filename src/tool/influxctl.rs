//! Every influxctl command of this program, and what it prints. influxctl is closed source: nothing here relies on
//! more than its documentation and release notes say.

use super::invocation::{Arg, Exposure, Invocation, Limit, Output, World, said_in};
use super::{Tool, version_in};
use semver::Version;
use std::time::Duration;

/// How long a trial of a token may take. influxctl gives up by itself after a minute (its `--timeout`, since 2.9.7);
/// one that opens a browser login instead never would.
const TRIAL_LIMIT: Duration = Duration::from_secs(30);

/// The documented first step: which version is it.
pub fn version(tool: &Tool) -> Invocation {
    Invocation::reads(tool, ["version"])
}

/// The version in what [`version`] printed; `None` when there is none to be found, as from 2.2.0 to 2.4.1, where
/// the version command was not set correctly (release notes of 2.4.2).
#[must_use]
pub fn parse_version(output: &Output) -> Option<Version> {
    let found = |stream: &[u8]| version_in(&String::from_utf8_lossy(stream));
    output
        .ok()
        .then(|| found(&output.stdout).or_else(|| found(&output.stderr)))?
}

/// Tries a token: the documented test, with a throwaway configuration in an empty home. Never `--debug` or `--trace`,
/// which print tokens.
pub fn try_token(tool: &Tool) -> Invocation {
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
    let mut invocation = Invocation::reads(tool, Vec::<String>::new());
    invocation.args = before
        .into_iter()
        .chain([Arg::TrialConfig])
        .chain(after)
        .collect();
    invocation.exposure = Exposure::Both;
    invocation.world = World::Throwaway;
    invocation.limit = Limit::AtMost(TRIAL_LIMIT);
    invocation
}

/// What a trial showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The cluster takes this token.
    Accepted,
    /// The cluster does not take this token: influxctl's own words.
    Refused(String),
    /// Neither was shown, for this reason.
    Inconclusive(String),
}

/// How a refusal looks: gRPC's code names, and HTTP's in case a proxy answers. In words, "permission denied" is as
/// often the system's about a file, so that counts only where it comes from the server.
fn is_refusal(line: &str) -> bool {
    let line = line.to_lowercase();
    let from_server = line.contains("rpc error") || line.contains("code =");
    ["unauthenticated", "permissiondenied", "unauthorized"]
        .iter()
        .any(|sign| line.contains(sign))
        || (from_server && line.contains("permission denied"))
}

/// Reads a trial.
#[must_use]
pub fn parse_trial(output: &Output) -> Verdict {
    if output.ok() {
        return match serde_json::from_slice::<serde_json::Value>(&output.stdout) {
            Ok(_) => Verdict::Accepted,
            Err(_) => {
                Verdict::Inconclusive("influxctl exited 0 without a list of databases".to_owned())
            }
        };
    }
    let text = String::from_utf8_lossy(&output.stderr);
    match text.lines().find(|line| is_refusal(line)) {
        Some(line) => Verdict::Refused(said_in(line)),
        None => Verdict::Inconclusive(output.complaint()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::invocation::Exit;

    #[test]
    fn only_the_server_refuses() {
        let verdict = |code, stdout: &str, stderr: &str| {
            let (stdout, stderr) = (
                stdout.as_bytes().to_vec().into(),
                stderr.as_bytes().to_vec().into(),
            );
            parse_trial(&Output {
                tool: ToolName::Influxctl,
                exit: Exit::Code(code),
                stdout,
                stderr,
            })
        };
        assert_eq!(verdict(0, "[]", ""), Verdict::Accepted);
        assert!(matches!(verdict(0, "", ""), Verdict::Inconclusive(_)));
        for refusal in [
            "error\trpc error: code = Unauthenticated desc = x\nusage: …\n",
            "rpc error: code = PermissionDenied",
            "rpc error: permission denied",
        ] {
            assert!(
                matches!(verdict(1, "", refusal), Verdict::Refused(_)),
                "{refusal}"
            );
        }
        for other in [
            "error\topen /etc/tls/client.key: permission denied",
            "rpc error: code = Unavailable",
            "",
        ] {
            assert!(
                matches!(verdict(1, "", other), Verdict::Inconclusive(_)),
                "{other}"
            );
        }
    }
}
