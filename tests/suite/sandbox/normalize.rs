//! Normalizes output for snapshots.

use super::CommandOutput;
use regex::Regex;
use std::path::Path;
use std::sync::LazyLock;

/// Patterns that vary, with their placeholders. The order matters.
static NORMALIZATION_RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // The time since the start of the run, which a terminal does not show.
        (r"(?m)^(\w+ +\S+: .*) \(at \d+\.\d s\)$", "$1"),
        (r"bypassctl-probe-[0-9a-f]{32}", "bypassctl-probe-[RANDOM]"),
        (
            r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
            "[UID]",
        ),
        (r"\brun [0-9a-f]{8}\b", "run [RUN]"),
        (
            r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d| UTC)?",
            "[TIME]",
        ),
        (r"\S+ on \S+ wrote the", "[USER] on [HOST] wrote the"),
        (r"\b\d{8}T\d{6}(\.\d+)?Z?", "[TIME]"),
        (r"\b[0-9a-f]{64}\b", "[SHA256]"),
        (r"\b[0-9a-f]{12,63}\b", "[HEX]"),
        (r"\b\d+(\.\d+)?\s?(ms|µs|us|ns)\b", "[DURATION]"),
        (r"\b\d+\.\d+\s?s\b", "[DURATION]"),
        (r"\b(pid|PID)([ =:]+)\d+", "$1$2[PID]"),
        (r"\bbypassctl v?\d+\.\d+\.\d+\S*", "bypassctl [VERSION]"),
    ];
    rules
        .into_iter()
        .map(|(rule, name)| (Regex::new(rule).expect("a rule"), name))
        .collect()
});

/// Replaces the parts that vary.
pub fn normalize(text: &str, root: &Path) -> String {
    let fake = super::build_fake();
    let mut text = text.to_owned();
    let resolved = root.canonicalize().unwrap_or_else(|_| root.to_owned());
    for (path, name) in [
        (resolved.as_path(), "[SANDBOX]"),
        (root, "[SANDBOX]"),
        (&fake, "[FAKE]"),
    ] {
        text = text.replace(path.to_str().expect("a path of text"), name);
    }
    for (rule, name) in NORMALIZATION_RULES.iter() {
        text = rule.replace_all(&text, *name).into_owned();
    }
    text
}

/// Returns the normalized output of a failed run from the error on.
pub fn extract_error(run: &CommandOutput) -> String {
    let text = run.normalized_output();
    let at = text
        .find("error: ")
        .unwrap_or_else(|| panic!("no error: {text}"));
    text[at..].to_owned()
}

/// Removes the line of the audit head.
pub fn drop_audit_head(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with("audit head"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Columns of a line in a snapshot. insta indents it by 4.
const SNAPSHOT_COLUMNS: usize = 96;

/// Breaks long lines at spaces and indents the continuations.
pub fn wrap_lines(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    text.split_inclusive('\n').map(wrap_line).collect()
}

fn wrap_line(line: &str) -> String {
    let mut wrapped = String::new();
    let mut width = 0;
    for word in line.split_inclusive(' ') {
        let length = word.trim_end().chars().count();
        if width > 0 && width + length > SNAPSHOT_COLUMNS {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            wrapped.push_str("\n    ");
            width = 4;
        }
        wrapped.push_str(word);
        width += word.chars().count();
    }
    wrapped
}

impl CommandOutput {
    /// Returns exit code and output, normalized.
    pub fn normalized_output(&self) -> String {
        let text = format!(
            "exit {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        );
        normalize(&text, &self.root)
    }

    /// Returns standard output, normalized.
    pub fn normalized_stdout(&self) -> String {
        normalize(&self.stdout, &self.root)
    }
}
