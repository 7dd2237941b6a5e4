//! Which calls the fakes had.

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
    /// What it read on standard input.
    pub stdin: Option<String>,
    /// `KUBERC`, `LC_ALL`, `HOME`, `KUBECONFIG`, `XDG_CACHE_HOME` and all `INFLUXCTL_…`, where set.
    pub env: BTreeMap<String, String>,
    /// Its process.
    pub pid: i32,
    /// Whether standard input was `/dev/null`.
    pub stdin_null: bool,
}

impl Sandbox {
    /// All calls, in order of their start.
    pub fn calls(&self) -> Vec<Call> {
        let text = std::fs::read_to_string(self.path("state/calls.jsonl")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).expect("calls.jsonl holds calls"))
            .collect()
    }

    /// One line for each call, in order, as one would type it; made comparable as output is.
    pub fn call_lines(&self) -> String {
        let lines: Vec<String> = self.calls().iter().map(Call::to_shell_line).collect();
        super::normalize::normalize(&lines.concat(), self.root())
    }

    /// The same sorted, for calls made at the same time.
    pub fn sorted_call_lines(&self) -> String {
        let lines = self.call_lines();
        let mut lines: Vec<&str> = lines.split_inclusive('\n').collect();
        lines.sort_unstable();
        lines.concat()
    }

    /// Forgets the calls so far.
    pub fn clear_calls(&self) {
        // Absent before the first call.
        let _ = std::fs::remove_file(self.path("state/calls.jsonl"));
    }
}

impl Call {
    /// The call as one line.
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
