//! A command as data. Only [`super::kubectl`], [`super::influxctl`] and [`super::delivery`] construct
//! commands.

use super::{Tool, ToolName};
use crate::text::sanitize_truncated;
use regex::Regex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;
use zeroize::Zeroizing;

/// The effect of a command. A dry run executes only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Changes nothing.
    Reads,
    /// May change the cluster, or what a delivery changes.
    Changes,
}

/// The streams that can contain a secret. The audit log omits them, and errors quote them without
/// tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Neither stream.
    Plain,
    /// Standard output.
    Stdout,
    /// Standard output and standard error.
    Both,
}

/// The environment of the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvPolicy {
    /// The user's environment, which credential plugins need.
    Inherit,
    /// The user's environment with the user's kuberc.
    UserKuberc,
    /// The user's environment without any change.
    Unchanged,
    /// An empty home, empty XDG directories and no `INFLUXCTL_*`, so that no cached token is used.
    Isolated,
}

/// A command-line argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    Text(String),
    /// The path of the throwaway configuration, which exists only while the command runs.
    ProbeConfig,
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::ProbeConfig => f.write_str("<throwaway configuration>"),
        }
    }
}

/// The time limit of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// The limit of the run.
    Default,
    /// This limit or that of the run, whichever is shorter.
    AtMost(Duration),
    /// This limit, for commands that wait.
    Fixed(Duration),
}

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ObjectKind {
    /// `v1` Secret.
    Secret,
    /// `batch/v1` Job.
    Job,
}

/// An object of the cluster. The UID distinguishes it from a later object of the same name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ObjectRef {
    /// Its kind.
    pub kind: ObjectKind,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

impl fmt::Display for ObjectRef {
    /// Writes the object as the documented commands name it: `secrets/rsa-keys`, `job/x`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ObjectKind::Secret => write!(f, "secrets/{}", self.name),
            ObjectKind::Job => write!(f, "job/{}", self.name),
        }
    }
}

/// A command with the rules for its execution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an invocation does nothing until the executor runs it"]
pub struct Invocation {
    pub(super) tool: Tool,
    pub(super) args: Vec<Arg>,
    pub(super) stdin: Option<String>,
    pub(super) derived_from: Vec<ObjectRef>,
    pub(super) object: Option<ObjectRef>,
    pub(super) has_precondition: bool,
    pub(super) effect: Effect,
    pub(super) sensitivity: Sensitivity,
    pub(super) env_policy: EnvPolicy,
    pub(super) max_stdout: usize,
    pub(super) timeout: Timeout,
}

/// The maximum output of a command, in bytes. A single job can have 1 MiB of environment.
const MAX_STDOUT_BYTES: usize = 8 << 20;

impl Invocation {
    pub(super) fn new_read<S: Into<String>>(
        tool: &Tool,
        args: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            tool: tool.clone(),
            args: args.into_iter().map(|arg| Arg::Text(arg.into())).collect(),
            stdin: None,
            derived_from: Vec::new(),
            object: None,
            has_precondition: false,
            effect: Effect::Reads,
            sensitivity: Sensitivity::Plain,
            env_policy: EnvPolicy::Inherit,
            max_stdout: MAX_STDOUT_BYTES,
            timeout: Timeout::Default,
        }
    }

    /// Declares that the command may change the cluster.
    pub(super) fn into_change(self) -> Self {
        Self {
            effect: Effect::Changes,
            ..self
        }
    }

    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// Returns the arguments after `argv[0]`.
    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// Returns the standard input. Without it, standard input is empty.
    #[must_use]
    pub fn stdin(&self) -> Option<&str> {
        self.stdin.as_deref()
    }

    /// Returns the source jobs of the manifests on standard input, for the audit log.
    #[must_use]
    pub fn derived_from(&self) -> &[ObjectRef] {
        &self.derived_from
    }

    /// Returns the object that the command changes, as last observed.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        self.object.as_ref()
    }

    /// Returns whether the server changes the object only if it still has the observed UID.
    #[must_use]
    pub fn has_precondition(&self) -> bool {
        self.has_precondition
    }

    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    #[must_use]
    pub fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }

    #[must_use]
    pub fn env_policy(&self) -> &EnvPolicy {
        &self.env_policy
    }

    /// Returns the maximum size of standard output, in bytes.
    #[must_use]
    pub fn max_stdout(&self) -> usize {
        self.max_stdout
    }

    #[must_use]
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// Sets a fixed time limit.
    pub fn with_timeout(self, limit: Duration) -> Self {
        Self {
            timeout: Timeout::Fixed(limit),
            ..self
        }
    }

    /// Returns the command up to its first option, for people: `kubectl get secrets/admin-token`.
    #[must_use]
    pub fn short_command(&self) -> String {
        let argv = self.argv(None);
        let words = argv.iter().take_while(|word| !word.starts_with('-'));
        words.map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Returns `argv` for execution and for the audit log, with the path of the throwaway
    /// configuration.
    #[must_use]
    pub fn argv(&self, probe_config: Option<&PathBuf>) -> Vec<String> {
        let resolve = |arg: &Arg| match (arg, probe_config) {
            (Arg::ProbeConfig, Some(path)) => path.display().to_string(),
            (arg, _) => arg.to_string(),
        };
        std::iter::once(self.tool.command_name())
            .chain(self.args.iter().map(resolve))
            .collect()
    }
}

/// The end of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessExit {
    Code(i32),
    Signal(i32),
}

impl fmt::Display for ProcessExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// The output of a finished command.
pub struct ToolOutput {
    pub tool: ToolName,
    pub exit: ProcessExit,
    /// Wiped when dropped, because it can be a token.
    pub stdout: Zeroizing<Vec<u8>>,
    /// Wiped when dropped.
    pub stderr: Zeroizing<Vec<u8>>,
}

impl ToolOutput {
    /// Returns whether the exit code is 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.exit == ProcessExit::Code(0)
    }

    /// Returns the lines on standard error without log lines of Kubernetes libraries, or none if
    /// standard error is not UTF-8.
    pub(super) fn error_lines(&self) -> impl Iterator<Item = &str> {
        let text = std::str::from_utf8(&self.stderr).unwrap_or_default();
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !is_klog_line(line))
    }

    /// Returns the last line on standard error, safe to print, without the prefix `error` of both
    /// tools. Prefers lines that are not log lines of Kubernetes libraries
    /// (`E1123 22:58:39.593580 …`).
    #[must_use]
    pub fn last_error_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let last = lines()
            .rfind(|line| !is_klog_line(line))
            .or_else(|| lines().next_back());
        last.map_or_else(|| format!("no error message ({})", self.exit), quote_line)
    }
}

/// Makes an error line of a tool safe to quote, and removes the prefix `error` of both tools.
#[must_use]
pub fn quote_line(line: &str) -> String {
    let line = line.trim();
    let line = line
        .strip_prefix("error: ")
        .or_else(|| line.strip_prefix("error\t"))
        .unwrap_or(line);
    sanitize_truncated(&hide_proxy_credentials(line), 300)
}

/// Removes the user and the password of a proxy. kubectl quotes a `proxy-url` that it cannot parse,
/// so everything up to the last `@` counts.
fn hide_proxy_credentials(line: &str) -> Cow<'_, str> {
    const KEY: &str = "proxy-url";
    match (line.find(KEY), line.rfind('@')) {
        (Some(key), Some(at)) if key < at => {
            let before = &line[..key + KEY.len()];
            format!("{before}: [credentials]{}", &line[at..]).into()
        }
        _ => line.into(),
    }
}

/// Returns whether a line is a log line of a Kubernetes library, or of Go with GODEBUG
/// (`2026/11/23 22:58:39 http2: …`).
fn is_klog_line(line: &str) -> bool {
    static GO_LOG: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d ").expect("the pattern is a constant")
    });
    if GO_LOG.is_match(line) {
        return true;
    }
    let mut bytes = line.bytes();
    matches!(bytes.next(), Some(b'I' | b'W' | b'E' | b'F'))
        && bytes.by_ref().take(4).all(|byte| byte.is_ascii_digit())
        && bytes.next() == Some(b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn last_error_line(stderr: &str) -> String {
        ToolOutput {
            tool: ToolName::Kubectl,
            exit: ProcessExit::Code(1),
            stdout: Zeroizing::default(),
            stderr: stderr.as_bytes().to_vec().into(),
        }
        .last_error_line()
    }

    #[test]
    fn last_error_line_skips_klog_lines_and_sanitizes() {
        assert_eq!(
            last_error_line(
                "E1123 22:58:39.593580   28218 memcache.go:265] x\nThe connection was refused\n"
            ),
            "The connection was refused"
        );
        assert_eq!(
            last_error_line("E1123 22:58:39.593580   28218 memcache.go:265] x\n"),
            "E1123 22:58:39.593580   28218 memcache.go:265] x"
        );
        assert_eq!(
            last_error_line("2026/11/23 22:58:39 http2: data=\"ZXlK\"\nfailed\n"),
            "failed"
        );
        for quoted in ["http://ann:pa ss@proxy:1", "ann:p@ss/w@proxy:1"] {
            assert_eq!(
                last_error_line(&format!(
                    "error: invalid 'proxy-url' \"{quoted}\" for cluster \"c\": could not parse: \
                     {quoted}"
                )),
                "invalid 'proxy-url: [credentials]@proxy:1"
            );
        }
        assert_eq!(last_error_line(" \n"), "no error message (exit code 1)");
        assert_eq!(last_error_line("\u{1b}[31mred\u{7}\u{202e}"), " [31mred ");
        assert_eq!(
            last_error_line("bad token \"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjJ9.hHVy-_A\""),
            "bad token \"[token]\""
        );
    }
}
