//! The class of each key: whether a policy that nobody has trusted may have it.

use crate::text::escape_controls;
use toml::{Table, Value};

/// The effect of a key of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyClass {
    /// The key only forbids.
    Tightening,
    /// The key selects a program, a file, a profile or an object of the cluster, or deletes one.
    Redirecting,
}

use KeyClass::{Redirecting, Tightening};

/// Every key of a policy. `*` stands for the name of a namespace or a target. A key that is not in
/// this list counts as redirecting.
pub const POLICY_KEYS: &[(&str, KeyClass)] = &[
    ("locked", Tightening),
    ("tools.require_pins", Tightening),
    ("tools.kubectl.path", Redirecting),
    ("tools.kubectl.version", Tightening),
    ("tools.kubectl.sha256", Tightening),
    ("tools.influxctl.path", Redirecting),
    ("tools.influxctl.version", Tightening),
    ("tools.influxctl.sha256", Tightening),
    ("tools.delivery.sha256", Tightening),
    // The patterns add to the built-in ones unless the policy is trusted.
    ("guard.production.context", Tightening),
    ("guard.production.namespace", Tightening),
    ("guard.production.server", Tightening),
    ("guard.require_plan", Tightening),
    ("guard.require_reason", Tightening),
    ("guard.delete_by_uid", Tightening),
    // It deletes objects of the cluster.
    ("guard.prune_clones", Redirecting),
    ("audit.file", Redirecting),
    // It makes `audit.file` take precedence over the command line.
    ("audit.enforce", Redirecting),
    ("namespaces.*.profile", Redirecting),
    ("namespaces.*.config", Redirecting),
    ("namespaces.*.token_file", Redirecting),
    ("namespaces.*.restart_selector", Redirecting),
    // It silences a warning.
    ("namespaces.*.ignored_key_users", Redirecting),
    ("namespaces.*.key_gen_job", Redirecting),
    ("namespaces.*.create_admin_token_job", Redirecting),
    ("namespaces.*.rerun", Redirecting),
    ("targets.*.context", Redirecting),
    ("targets.*.namespace", Redirecting),
    ("targets.*.profile", Redirecting),
    ("targets.*.config", Redirecting),
    ("targets.*.token_file", Redirecting),
    ("targets.*.restart_selector", Redirecting),
    ("targets.*.ignored_key_users", Redirecting),
    ("targets.*.key_gen_job", Redirecting),
    ("targets.*.create_admin_token_job", Redirecting),
    ("targets.*.rerun", Redirecting),
];

/// The longest key or value that [`Redirection::describe`] prints, in characters.
const MAX_LINE_CHARS: usize = 200;

/// A redirecting key of a policy, with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirection {
    /// The dotted key, safe to print.
    pub key: String,
    pub scope: RedirectionScope,
    value: String,
}

/// The runs that a redirecting key applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedirectionScope {
    AllRuns,
    /// Runs in the namespace of this name.
    Namespace(String),
    /// Runs with the target of this name.
    Target(String),
}

impl Redirection {
    /// Returns the last part of the key.
    pub(super) fn last_key(&self) -> &str {
        self.key
            .rsplit_once('.')
            .map_or(&*self.key, |(_, last)| last)
    }

    /// Formats key and value in one line for people and for the audit log.
    pub fn describe(&self) -> String {
        format!("{} = {}", self.key, self.value)
    }
}

/// Finds the redirecting keys of a policy, in alphabetical order.
pub fn find_redirections(policy: &Table) -> Vec<Redirection> {
    let mut found = Vec::new();
    collect_redirections(&mut Vec::new(), policy, &mut found);
    found
}

fn collect_redirections<'a>(
    path: &mut Vec<&'a str>,
    table: &'a Table,
    found: &mut Vec<Redirection>,
) {
    for (key, value) in table {
        path.push(key);
        match value {
            Value::Table(table) => collect_redirections(path, table, found),
            value if classify_key(path) == Redirecting => found.push(Redirection {
                key: format_line(&path.join(".")),
                scope: find_scope(path),
                value: format_value(value),
            }),
            _ => {}
        }
        path.pop();
    }
}

fn find_scope(path: &[&str]) -> RedirectionScope {
    match *path {
        ["namespaces", name, ..] => RedirectionScope::Namespace(name.to_owned()),
        ["targets", name, ..] => RedirectionScope::Target(name.to_owned()),
        _ => RedirectionScope::AllRuns,
    }
}

fn classify_key(path: &[&str]) -> KeyClass {
    let pattern = match path {
        [section @ ("namespaces" | "targets"), _, rest @ ..] => {
            format!("{section}.*.{}", rest.join("."))
        }
        path => path.join("."),
    };
    POLICY_KEYS
        .iter()
        .find(|(key, _)| *key == pattern)
        .map_or(Redirecting, |(_, class)| *class)
}

fn format_value(value: &Value) -> String {
    format_line(&serde_json::to_string(value).unwrap_or_default())
}

/// Spells out control characters, and marks a cut with an ellipsis.
fn format_line(text: &str) -> String {
    let line = escape_controls(text);
    match line.char_indices().nth(MAX_LINE_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}
