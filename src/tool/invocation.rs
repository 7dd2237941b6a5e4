//! One command as plain data. Only the constructors in [`super::kubectl`] and [`super::influxctl`] make one.

use super::{Tool, ToolName};
use crate::text::sanitize_truncated;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;
use zeroize::Zeroizing;

/// Whether a command may change the world. A dry run executes only reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Looks, and leaves everything as it is.
    Reads,
    /// May change the cluster.
    Changes,
}

/// Whether what a command prints may carry a secret: then the record withholds it and no error quotes it raw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// Nothing secret is printed.
    Plain,
    /// Standard output may carry a token.
    Stdout,
    /// Either stream may carry a token.
    Both,
}

/// What surrounds the child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EnvPolicy {
    /// The user's environment: credential plugins need it.
    Inherit,
    /// An empty home and empty XDG directories, and no `INFLUXCTL_*`: nothing cached can take part.
    Isolated,
}

/// One argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arg {
    /// As it is.
    Text(String),
    /// The path of the throwaway configuration, known only when the command runs.
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

/// How long a command may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// As long as every command of the run.
    Default,
    /// No longer than this, even where the run allows more.
    AtMost(Duration),
    /// This long, whatever the run allows: a wait.
    Fixed(Duration),
}

/// Kind of an [`ObjectRef`].
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

/// One command: what is run, and how it is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an invocation does nothing until the executor runs it"]
pub struct Invocation {
    pub(super) tool: Tool,
    pub(super) args: Vec<Arg>,
    pub(super) stdin: Option<String>,
    pub(super) derived_from: Vec<ObjectRef>,
    pub(super) object: Option<ObjectRef>,
    pub(super) effect: Effect,
    pub(super) sensitivity: Sensitivity,
    pub(super) env_policy: EnvPolicy,
    pub(super) max_stdout: usize,
    pub(super) timeout: Timeout,
}

/// What a listing may print at most, in bytes: a job may carry 1 MiB of environment.
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
            effect: Effect::Reads,
            sensitivity: Sensitivity::Plain,
            env_policy: EnvPolicy::Inherit,
            max_stdout: MAX_STDOUT_BYTES,
            timeout: Timeout::Default,
        }
    }

    /// A command that may change the cluster.
    pub(super) fn into_change(self) -> Self {
        Self {
            effect: Effect::Changes,
            ..self
        }
    }

    /// The tool that runs.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.tool
    }

    /// The arguments after `argv[0]`.
    #[must_use]
    pub fn args(&self) -> &[Arg] {
        &self.args
    }

    /// What the command reads from standard input; without it there is none.
    #[must_use]
    pub fn stdin(&self) -> Option<&str> {
        self.stdin.as_deref()
    }

    /// The jobs that what it reads from standard input was made from: the record names them beside its digest.
    #[must_use]
    pub fn derived_from(&self) -> &[ObjectRef] {
        &self.derived_from
    }

    /// The object that it changes, as it was seen.
    #[must_use]
    pub fn object(&self) -> Option<&ObjectRef> {
        self.object.as_ref()
    }

    /// Whether it may change the world.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Which stream may carry a secret.
    #[must_use]
    pub fn sensitivity(&self) -> Sensitivity {
        self.sensitivity
    }

    /// What surrounds the child.
    #[must_use]
    pub fn env_policy(&self) -> &EnvPolicy {
        &self.env_policy
    }

    /// The most that standard output may hold, in bytes.
    #[must_use]
    pub fn max_stdout(&self) -> usize {
        self.max_stdout
    }

    /// How long it may take.
    #[must_use]
    pub fn timeout(&self) -> Timeout {
        self.timeout
    }

    /// The same command with a time limit of its own.
    pub fn with_timeout(self, limit: Duration) -> Self {
        Self {
            timeout: Timeout::Fixed(limit),
            ..self
        }
    }

    /// `argv` as it is recorded and executed, with the throwaway configuration's path filled in.
    #[must_use]
    pub fn argv(&self, trial_config: Option<&PathBuf>) -> Vec<String> {
        let fill = |arg: &Arg| match (arg, trial_config) {
            (Arg::ProbeConfig, Some(path)) => path.display().to_string(),
            (arg, _) => arg.to_string(),
        };
        std::iter::once(self.tool.name.as_str().to_owned())
            .chain(self.args.iter().map(fill))
            .collect()
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessExit {
    /// With this exit code.
    Code(i32),
    /// By this signal.
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

/// What a command that ran to its end left behind.
pub struct ToolOutput {
    /// Which tool printed it.
    pub tool: ToolName,
    /// How it ended.
    pub exit: ProcessExit,
    /// What it printed; wiped when dropped, for it may be a token.
    pub stdout: Zeroizing<Vec<u8>>,
    /// What it said on standard error; wiped when dropped.
    pub stderr: Zeroizing<Vec<u8>>,
}

impl ToolOutput {
    /// Whether it ended with exit code 0.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.exit == ProcessExit::Code(0)
    }

    /// The lines on standard error that are no log lines of a Kubernetes library; none where they are not UTF-8.
    pub(super) fn error_lines(&self) -> impl Iterator<Item = &str> {
        let text = std::str::from_utf8(&self.stderr).unwrap_or_default();
        text.lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !is_klog_line(line))
    }

    /// The last line that is no log line of a Kubernetes library (`E1123 22:58:39.593580 …`), as one line of printable
    /// text, without the `error` that both tools put in front.
    #[must_use]
    pub fn last_error_line(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
        let said = lines()
            .rfind(|line| !is_klog_line(line))
            .or_else(|| lines().next_back());
        said.map_or_else(|| format!("it said nothing ({})", self.exit), quote_line)
    }
}

/// A line that a tool said, without the `error` that both tools put in front, fit to be quoted.
#[must_use]
pub fn quote_line(line: &str) -> String {
    let line = line.trim();
    sanitize_truncated(
        line.strip_prefix("error: ")
            .or_else(|| line.strip_prefix("error\t"))
            .unwrap_or(line),
        300,
    )
}

fn is_klog_line(line: &str) -> bool {
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
        assert_eq!(last_error_line(" \n"), "it said nothing (exit code 1)");
        assert_eq!(last_error_line("\u{1b}[31mred\u{7}\u{202e}"), " [31mred ");
        assert_eq!(
            last_error_line("bad token \"eyJhbGciOiJSUzI1NiJ9.eyJleHAiOjJ9.hHVy-_A\""),
            "bad token \"[token]\""
        );
    }
}
