//! kubectl's failures, told apart by what it says on standard error (recordings of 1.20 to 1.37).

use super::super::invocation::{ProcessExit, ToolOutput};
use super::excerpt_stdout;
use crate::error::{Error, ErrorKind};
use zeroize::Zeroizing;

/// Why kubectl did not do it. The text is kubectl's own sentence, made fit for a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubectlError {
    /// The object is not there.
    NotFound(String),
    /// The account may not.
    Forbidden(String),
    /// The server does not know the account.
    Unauthorized(String),
    /// A credential plugin of the kubeconfig failed.
    Credentials(String),
    /// The kubeconfig has no such context.
    UnknownContext(String),
    /// No kubeconfig, or none of its contexts is in force.
    NoContext,
    /// No answer from the server.
    Unreachable(String),
    /// The cluster has no such kind of object.
    NoSuchResource(String),
    /// Anything else.
    Unrecognised(String),
}

/// What an unreachable server looks like, from Go's network errors and kubectl's own.
const UNREACHABLE_PATTERNS: &[&str] = &[
    "unable to connect to the server",
    "did you specify the right host or port",
    "connection refused",
    "connection reset",
    "no such host",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "tls handshake timeout",
    "context deadline exceeded",
    "client.timeout exceeded",
    "http2: client connection lost",
    "service unavailable",
    "(serviceunavailable)",
    "(timeout)",
];

impl KubectlError {
    /// Why this command failed.
    #[must_use]
    pub fn from_output(output: &ToolOutput) -> Self {
        let said = output.last_error_line();
        let all = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let last = said.to_lowercase();
        let server_says =
            |reason: &str| last.starts_with("error from server") && last.contains(reason);
        if server_says("(notfound)") {
            Self::NotFound(said)
        } else if server_says("(forbidden)") {
            Self::Forbidden(said)
        } else if last.contains("(unauthorized)")
            || all.contains("asked for the client to provide credentials")
        {
            Self::Unauthorized(said)
        } else if all.contains("getting credentials:") {
            Self::Credentials(said)
        } else if last.contains("cannot locate context")
            || (last.contains("context") && last.contains("does not exist"))
            || last.contains("context was not found")
        {
            Self::UnknownContext(said)
        } else if last.contains("current-context must exist")
            || last.contains("no configuration has been provided")
        {
            Self::NoContext
        } else if UNREACHABLE_PATTERNS.iter().any(|sign| all.contains(sign)) {
            Self::Unreachable(said)
        } else if last.contains("the server doesn't have a resource type")
            || last.contains("no matches for kind")
        {
            Self::NoSuchResource(said)
        } else {
            Self::Unrecognised(said)
        }
    }

    /// Why this command, about several objects, failed for one that is not just missing: kubectl says so line by line.
    pub(super) fn from_partial_output(output: &ToolOutput) -> Self {
        let is_missing = |said: &&str| said.contains("(NotFound)");
        match output.error_lines().find(|said| !is_missing(said)) {
            Some(said) if output.error_lines().any(|said| is_missing(&said)) => {
                Self::from_output(&ToolOutput {
                    tool: output.tool,
                    exit: output.exit,
                    stdout: Zeroizing::default(),
                    stderr: said.as_bytes().to_vec().into(),
                })
            }
            _ => Self::from_unrecognised(output),
        }
    }

    /// kubectl succeeded and printed something else than it should.
    pub(super) fn from_unrecognised(output: &ToolOutput) -> Self {
        if output.exit == ProcessExit::Code(0) {
            Self::Unrecognised(excerpt_stdout(output))
        } else {
            Self::from_output(output)
        }
    }

    /// As the user is told: `what` could not be done, for this reason, and the remedy.
    #[must_use]
    pub fn into_error(self, what: &str) -> Error {
        let error = |kind, said: &str| Error::from_kind(kind, format!("{what}: {said}"));
        match &self {
            Self::NotFound(said) => error(ErrorKind::Failed, said).hint("look at the name of the namespace and at the context: `kubectl get secrets,jobs --namespace NS`"),
            Self::Forbidden(said) if said.contains("exceeded quota") => {
                error(ErrorKind::Refused, said).hint("the namespace's quota is used up: `kubectl describe quota --namespace NS`")
            }
            Self::Forbidden(said) => error(ErrorKind::Refused, said).hint("ask for this right, or use another account (`--context`, `--as`)"),
            Self::Unauthorized(said) => error(ErrorKind::Refused, said).hint("log in to the cluster first: `kubectl auth can-i --list` must answer"),
            Self::Credentials(said) => error(ErrorKind::Refused, said)
                .hint("the credential plugin of the kubeconfig failed, and it cannot have the terminal here: log in first, until `kubectl get namespaces` answers"),
            Self::UnknownContext(said) => error(ErrorKind::Failed, said).hint("known contexts: `kubectl config get-contexts --output name`"),
            Self::NoContext => error(ErrorKind::Failed, "no context is in force").hint("name a kubeconfig (`--kubeconfig`, KUBECONFIG) and a context (`--context`)"),
            Self::Unreachable(said) => error(ErrorKind::Unreachable, said).hint("is the cluster up and the network there? `kubectl cluster-info` must answer"),
            Self::NoSuchResource(said) | Self::Unrecognised(said) => {
                error(ErrorKind::Failed, said).hint("run the same kubectl command by hand to see all that it says; it is in the audit log")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::kubectl::parse_secret_uids;

    fn parse_secret_count(code: i32, stdout: &str, stderr: &str) -> Result<usize, KubectlError> {
        let output = ToolOutput {
            tool: ToolName::Kubectl,
            exit: ProcessExit::Code(code),
            stdout: stdout.as_bytes().to_vec().into(),
            stderr: stderr.as_bytes().to_vec().into(),
        };
        parse_secret_uids(&output).map(|found| found.len())
    }

    #[test]
    fn secret_is_missing_only_when_server_reports_it_not_found() {
        const KEYS: &str =
            "rsa-keys   0341f76c-5e91-4434-93a8-5447e0656ab6   2026-01-01T00:00:00Z\n";
        const NO_TOKEN: &str = "Error from server (NotFound): secrets \"admin-token\" not found\n";
        const NO_KEYS: &str = "Error from server (NotFound): secrets \"rsa-keys\" not found\n";
        assert_eq!(parse_secret_count(1, KEYS, NO_TOKEN), Ok(1));
        assert_eq!(
            parse_secret_count(1, "", &format!("{NO_KEYS}{NO_TOKEN}")),
            Ok(0)
        );
        let slow = "Error from server (Timeout): the server was unable to return a response\n";
        let forbidden = "Error from server (Forbidden): secrets \"rsa-keys\" is forbidden: User \"a\" cannot get resource\n";
        assert!(matches!(
            parse_secret_count(1, "", &format!("{slow}{NO_TOKEN}")),
            Err(KubectlError::Unreachable(_))
        ));
        assert!(matches!(
            parse_secret_count(1, "", &format!("{forbidden}{NO_TOKEN}")),
            Err(KubectlError::Forbidden(_))
        ));
        assert!(
            matches!(
                parse_secret_count(0, KEYS, ""),
                Err(KubectlError::Unrecognised(_))
            ),
            "one of two, and no word of the other"
        );
        assert!(matches!(
            parse_secret_count(0, "", ""),
            Err(KubectlError::Unrecognised(_))
        ));
        assert!(
            matches!(
                parse_secret_count(1, "", NO_TOKEN),
                Err(KubectlError::NotFound(_))
            ),
            "of the keys nothing was said"
        );
    }
}
