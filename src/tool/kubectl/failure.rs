//! kubectl's failures, distinguished by the error messages of kubectl 1.20 to 1.37 (recordings).

use crate::error::{Error, ErrorKind};
use crate::text::sanitize_truncated;
use crate::tool::ToolName;
use crate::tool::invocation::{Invocation, ProcessExit, ToolOutput};
use zeroize::Zeroizing;

/// A failed kubectl command, with kubectl's own error message, safe to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KubectlError {
    NotFound(String),
    /// An object with this name exists.
    AlreadyExists(String),
    /// The object has another UID than the precondition of the request.
    Conflict(String),
    /// The account lacks a permission, or an admission rule rejects the change.
    Forbidden(String),
    /// The account is not logged in.
    Unauthorized(String),
    /// A credential plugin of the kubeconfig failed.
    Credentials(String),
    /// The policy of the kuberc refuses a credential plugin of the kubeconfig.
    PluginDenied(String),
    /// The kubeconfig has no such context.
    UnknownContext(String),
    /// The kubeconfig is missing or has no current context.
    NoContext,
    /// The server does not respond.
    Unreachable(String),
    /// The server cannot reach an admission webhook.
    Webhook(String),
    /// The cluster does not know this kind of object.
    NoSuchResource(String),
    /// Anything else.
    Unrecognised(String),
}

/// Parts of the error messages of Go and of kubectl for an unreachable server, in lower case.
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

/// Parts of the error messages for a failure that can be over a moment later, in lower case. The
/// server is overloaded or restarts (apimachinery `NewGenericServerResponse`, etcd), or the
/// connection broke (Go `net`, `net/http`).
const TRANSIENT_PATTERNS: &[&str] = &[
    "(toomanyrequests)",
    "(internalerror)",
    "(serviceunavailable)",
    "connection reset by peer",
    "unexpected eof",
    "tls handshake timeout",
    "etcdserver: request timed out",
];

/// Parts of the error messages for an admission webhook that failed, in lower case. They can quote
/// the words of a broken connection, but the server has answered.
const WEBHOOK_PATTERNS: &[&str] = &["failed calling webhook", "failed to call webhook"];

/// Parts of the error messages for an object with another UID than in the precondition: before the
/// deletion (apiserver `BeforeDelete`, recordings) and in its transaction (`Preconditions.Check`).
const UID_MISMATCH_PATTERNS: &[&str] = &["the UID in the precondition", "UID in precondition"];

/// Parts of the error messages for a plugin that the policy denies, in lower case (kubectl 1.37).
const PLUGIN_DENIAL_PATTERNS: &[&str] = &[
    "not allowed: policy set to",
    "not permitted by the credential plugin allowlist",
];

/// Returns whether a command failed for a reason that can be over a moment later.
#[must_use]
pub fn is_transient_failure(output: &ToolOutput) -> bool {
    let text = String::from_utf8_lossy(&output.stderr).to_lowercase();
    let has_any = |patterns: &[&str]| patterns.iter().any(|pattern| text.contains(pattern));
    output.tool == ToolName::Kubectl
        && !output.is_success()
        && has_any(TRANSIENT_PATTERNS)
        && !has_any(WEBHOOK_PATTERNS)
}

/// Returns whether the server refused a change because the object has another UID. Then the
/// command has changed nothing: the server checks the UID in the transaction of the deletion.
#[must_use]
pub fn is_refused_by_precondition(invocation: &Invocation, output: &ToolOutput) -> bool {
    invocation.has_precondition()
        && !output.is_success()
        && matches!(
            KubectlError::from_output(output),
            KubectlError::Conflict(message) if UID_MISMATCH_PATTERNS
                .iter()
                .any(|pattern| message.contains(pattern))
        )
}

impl KubectlError {
    /// Classifies the failure of a command.
    #[must_use]
    pub fn from_output(output: &ToolOutput) -> Self {
        let message = output.last_error_line();
        let all = String::from_utf8_lossy(&output.stderr).to_lowercase();
        let last = message.to_lowercase();
        let is_server_error =
            |reason: &str| last.starts_with("error from server") && last.contains(reason);
        if is_server_error("(notfound)") {
            Self::NotFound(message)
        } else if is_server_error("(alreadyexists)") {
            Self::AlreadyExists(message)
        } else if is_server_error("(conflict)") {
            Self::Conflict(message)
        } else if is_server_error("(forbidden)") {
            Self::Forbidden(message)
        } else if last.contains("(unauthorized)")
            || all.contains("asked for the client to provide credentials")
        {
            Self::Unauthorized(message)
        } else if PLUGIN_DENIAL_PATTERNS
            .iter()
            .any(|pattern| all.contains(pattern))
        {
            Self::PluginDenied(message)
        } else if all.contains("getting credentials:") {
            Self::Credentials(message)
        } else if last.contains("cannot locate context")
            || (last.contains("context") && last.contains("does not exist"))
            || last.contains("context was not found")
        {
            Self::UnknownContext(message)
        } else if last.contains("current-context must exist")
            || last.contains("no configuration has been provided")
        {
            Self::NoContext
        } else if WEBHOOK_PATTERNS
            .iter()
            .any(|pattern| is_server_error(pattern))
        {
            Self::Webhook(message)
        } else if UNREACHABLE_PATTERNS
            .iter()
            .any(|pattern| all.contains(pattern))
        {
            Self::Unreachable(message)
        } else if last.contains("the server doesn't have a resource type")
            || last.contains("no matches for kind")
        {
            Self::NoSuchResource(message)
        } else {
            Self::Unrecognised(message)
        }
    }

    /// Classifies the failure of a command for several objects by the first error line that does
    /// not only report a missing object.
    pub(super) fn from_partial_output(output: &ToolOutput) -> Self {
        let is_not_found = |line: &&str| line.contains("(NotFound)");
        let mut lines = output.error_lines();
        match output.error_lines().find(|line| !is_not_found(line)) {
            Some(line) if lines.any(|line| is_not_found(&line)) => Self::from_output(&ToolOutput {
                tool: output.tool,
                exit: output.exit,
                stdout: Zeroizing::default(),
                stderr: line.as_bytes().to_vec().into(),
            }),
            _ => Self::from_unrecognised(output),
        }
    }

    /// Classifies unexpected output. An exit code of 0 leaves only
    /// [`Unrecognised`](Self::Unrecognised).
    pub(super) fn from_unrecognised(output: &ToolOutput) -> Self {
        if output.exit == ProcessExit::Code(0) {
            Self::Unrecognised(excerpt_stdout(output))
        } else {
            Self::from_output(output)
        }
    }

    /// Converts into an error with a hint. `what` names the failed action.
    #[must_use]
    pub fn into_error(self, what: &str) -> Error {
        let error = |kind, message: &str| Error::from_kind(kind, format!("{what}: {message}"));
        match &self {
            Self::NotFound(message) => error(ErrorKind::Failed, message).hint(
                "check the namespace and the context with \
                 `kubectl get secrets,jobs --namespace NS`",
            ),
            Self::Forbidden(message) if message.contains("exceeded quota") => {
                error(ErrorKind::Refused, message).hint(
                    "raise the namespace's quota or free some of it: \
                     `kubectl describe quota --namespace NS` shows its use",
                )
            }
            Self::Forbidden(message) => error(ErrorKind::Refused, message)
                .hint("ask for this permission, or use another account with `--context` or `--as`"),
            Self::Unauthorized(message) => error(ErrorKind::Refused, message)
                .hint("log in to the cluster until `kubectl auth can-i --list` works"),
            Self::Credentials(message) => error(ErrorKind::Refused, message).hint(
                "log in until `kubectl get namespaces` works: \
                 the kubeconfig's credential plugin failed, and it cannot use the terminal here",
            ),
            Self::PluginDenied(message) => error(ErrorKind::Refused, message).hint(
                "allow the plugin in `credentialPluginAllowlist` of your kuberc, or use another \
                 context with `--context`: `kubectl kuberc view` prints the policy",
            ),
            Self::UnknownContext(message) => error(ErrorKind::Failed, message)
                .hint("choose a context that `kubectl config get-contexts --output name` lists"),
            Self::NoContext => error(ErrorKind::Failed, "no current context").hint(
                "choose a kubeconfig with `--kubeconfig` or KUBECONFIG, and a context with \
                 `--context`",
            ),
            Self::Webhook(message) => error(ErrorKind::Failed, message).hint(
                "make the webhook work, or have it removed: `kubectl get \
                 validatingwebhookconfigurations,mutatingwebhookconfigurations` lists them",
            ),
            Self::Unreachable(message) => error(ErrorKind::Unreachable, message)
                .hint("check the cluster and the network until `kubectl cluster-info` works"),
            Self::AlreadyExists(message)
            | Self::Conflict(message)
            | Self::NoSuchResource(message)
            | Self::Unrecognised(message) => error(ErrorKind::Failed, message).hint(
                "run the same kubectl command by hand to see its whole output: \
                     the audit log has the command",
            ),
        }
    }
}

/// Quotes the beginning of standard output. Not for output that can contain a secret.
fn excerpt_stdout(output: &ToolOutput) -> String {
    let text = String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(400)]);
    let text = text.trim();
    if text.is_empty() {
        "kubectl printed nothing".to_owned()
    } else {
        format!("kubectl printed `{}`", sanitize_truncated(text, 60))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_transient(code: i32, stderr: &str) -> bool {
        is_transient_failure(&ToolOutput {
            tool: ToolName::Kubectl,
            exit: ProcessExit::Code(code),
            stdout: Zeroizing::default(),
            stderr: stderr.as_bytes().to_vec().into(),
        })
    }

    #[test]
    fn failures_of_a_moment_are_transient() {
        for stderr in [
            "Error from server (TooManyRequests): the server has received too many requests and \
             has asked us to try again later (get secrets)\n",
            "Error from server (InternalError): an error on the server (\"\") has prevented the \
             request from succeeding (get secrets)\n",
            "Error from server (ServiceUnavailable): the server is currently unable to handle \
             the request (get jobs.batch)\n",
            "error: Get \"https://h/api\": read tcp 1.2.3.4:5->1.2.3.4:6: read: connection reset \
             by peer\n",
            "Unable to connect to the server: unexpected EOF\n",
            "Unable to connect to the server: net/http: TLS handshake timeout\n",
            "Error from server: etcdserver: request timed out\n",
        ] {
            assert!(is_transient(1, stderr), "{stderr}");
            assert!(!is_transient(0, stderr), "{stderr}");
        }
        for stderr in [
            "Error from server (InternalError): Internal error occurred: failed calling webhook \
             \"w\": Post \"https://w\": unexpected EOF\n",
            "The connection to the server h was refused - did you specify the right host or port?\n",
            "Error from server (NotFound): secrets \"rsa-keys\" not found\n",
            "Error from server (Forbidden): secrets is forbidden\n",
        ] {
            assert!(!is_transient(1, stderr), "{stderr}");
        }
    }
}
