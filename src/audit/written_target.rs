//! Finds the run that last wrote a file.

use super::body::{Body, FileOp, Operation, Target, Text};
use super::lines::for_each_entry;
use super::segments::open_chain;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

/// Returns the last write of a file. Also reads the closed logs that the log continues, the newest
/// first, until one has a change of the file.
pub(super) fn find_last_write(
    log: &Path,
    file: &File,
    path: &Text,
) -> io::Result<Option<LastWrite>> {
    for segment in open_chain(log, file, |_| Ok(false))?.iter().rev() {
        let history = find_changes(&mut BufReader::new(segment.reader()?), path)?;
        if history.has_change {
            return Ok(history.last_write);
        }
    }
    Ok(None)
}

/// The last write of a file.
pub struct LastWrite {
    /// UUID of the run.
    pub run: String,
    /// Time of the write.
    pub written_at: String,
    /// User of the run.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Text of `--reason`.
    pub reason: Option<String>,
    /// Target of the run.
    pub target: Target,
}

/// The changes of a file in a log.
#[derive(Default)]
struct FileHistory {
    has_change: bool,
    /// `None` without a write, or if a later change deleted the file.
    last_write: Option<LastWrite>,
}

/// Finds the changes of a file in a log.
///
/// A change without a result counts as made: the run was killed during or after it.
fn find_changes(log: &mut impl BufRead, path: &Text) -> io::Result<FileHistory> {
    let mut history = FileHistory::default();
    // The last intent, and the state before it.
    let mut last_intent: Option<(u64, FileHistory)> = None;
    for_each_entry(log, |entry, _, _| match entry.body {
        Ok(Body::Intent(intent)) => {
            if let Operation::File { file } = &intent.operation
                && file.path == *path
            {
                let write = (file.op == FileOp::Write).then(|| LastWrite {
                    run: entry.run.map(|run| run.to_string()).unwrap_or_default(),
                    written_at: entry.ts.into_owned(),
                    user: intent.actor.user_name(),
                    host: intent.actor.host,
                    reason: intent.reason,
                    target: intent.target,
                });
                let change = FileHistory {
                    has_change: true,
                    last_write: write,
                };
                let before = std::mem::replace(&mut history, change);
                last_intent = Some((entry.seq, before));
            }
        }
        Ok(Body::Result(result)) => {
            if let Some((seq, before)) = &mut last_intent
                && *seq == result.intent
                && result.files.is_empty()
            {
                history = std::mem::take(before);
            }
        }
        _ => {}
    })?;
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::line::LOG_FORMAT_VERSION;
    use serde_json::{Value, json};

    const UUID: &str = "0341f76c-5e91-4434-93a8-5447e0656ab6";

    fn make_line(seq: u64, fields: Value) -> String {
        let mut entry = json!({
            "v": LOG_FORMAT_VERSION, "seq": seq, "prev": "0".repeat(64), "log": UUID, "run": UUID,
            "ts": "2026-01-01T00:00:00.123Z"
        });
        let fields = fields.as_object().unwrap().clone();
        entry.as_object_mut().unwrap().extend(fields);
        format!("{entry}\n")
    }

    fn make_change(seq: u64, op: &str, path: &str, namespace: &str) -> (String, String) {
        let stream = json!({"withheld": "secret"});
        let file = json!({"op": op, "path": path, "before": null, "after": stream});
        let actor = json!({
            "uid": 0, "user": null, "login_uid": null, "sudo_user": null, "host": "h", "tty": null,
            "ci": null
        });
        let target = json!({
            "context": "c", "server": "s", "cluster_uid": null, "namespace_uid": null,
            "namespace": namespace
        });
        let intent = json!({
            "type": "intent", "step": "write-token", "effect": "changes", "file": file,
            "actor": actor, "target": target, "plan": null, "reason": null
        });
        let result = json!({
            "type": "result", "intent": seq, "exit": null, "duration_ms": 1, "stdout": null,
            "stderr": null, "files": [file]
        });
        (make_line(seq, intent), make_line(seq + 1, result))
    }

    fn find(lines: &[&str]) -> Option<String> {
        let path = Text::Utf8("/t".to_owned());
        let history = find_changes(&mut lines.concat().as_bytes(), &path).unwrap();
        history.last_write.and_then(|write| write.target.namespace)
    }

    #[test]
    fn last_change_of_the_file_decides() {
        let (write, written) = make_change(1, "write", "/t", "a");
        let (other, other_written) = make_change(3, "write", "/other", "b");
        let (delete, deleted) = make_change(5, "delete", "/t", "c");
        let failed = deleted.replace("\"files\":[", "\"files\":[],\"was\":[");
        assert_eq!(find(&[]), None);
        assert_eq!(find(&[&write]).as_deref(), Some("a"), "killed");
        let both = [&write, &written, &other, &other_written].map(String::as_str);
        assert_eq!(find(&both).as_deref(), Some("a"));
        assert_eq!(find(&[&both[..], &[&delete, &deleted]].concat()), None);
        let kept = find(&[&both[..], &[&delete, &failed]].concat());
        assert_eq!(kept.as_deref(), Some("a"));
    }
}
