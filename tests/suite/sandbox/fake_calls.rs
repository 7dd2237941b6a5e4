//! The calls of the fakes.

use super::Sandbox;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One call.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// `kubectl` or `influxctl`.
    pub tool: String,
    /// Its arguments, without its name.
    pub argv: Vec<String>,
    /// The standard input.
    pub stdin: Option<String>,
    /// `KUBERC`, `LC_ALL`, `HOME`, `KUBECONFIG`, `XDG_CACHE_HOME` and all `INFLUXCTL_…`, if set.
    pub env: BTreeMap<String, String>,
    /// The process ID.
    pub pid: i32,
    /// Standard input was `/dev/null`.
    pub stdin_null: bool,
}

impl Sandbox {
    /// Returns all calls, in order of their start.
    pub fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(self.path("state/calls.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("a line of calls.jsonl is a call"))
            .collect()
    }

    /// Returns the normalized command line of each call, in order.
    pub fn call_lines(&self) -> String {
        let lines: Vec<String> = self.calls().iter().map(Call::to_shell_line).collect();
        super::normalize::normalize(&lines.concat(), self.root())
    }

    /// Returns the same lines sorted, for parallel calls.
    pub fn sorted_call_lines(&self) -> String {
        let lines = self.call_lines();
        let mut lines: Vec<&str> = lines.split_inclusive('\n').collect();
        lines.sort_unstable();
        lines.concat()
    }

    /// Removes the calls so far.
    pub fn clear_calls(&self) {
        // The file is missing before the first call.
        let _ = std::fs::remove_file(self.path("state/calls.jsonl"));
    }
}

impl Call {
    /// Returns the call as one line.
    pub fn to_shell_line(&self) -> String {
        let mut line = self.tool.clone();
        for word in &self.argv {
            let plain = !word.is_empty() && !word.contains([' ', '"', '\'', '\\', '\n', '$']);
            let word = if plain {
                word.clone()
            } else {
                format!("'{}'", word.replace('\'', "'\\''"))
            };
            line = format!("{line} {word}");
        }
        line + "\n"
    }
}
