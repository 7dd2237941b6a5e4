//! Finds the run that last wrote a file.

use super::body::{Body, FileOp, Operation, Target, Text};
use super::lines::for_each_entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

/// Size of the window, in bytes. It contains some thousand entries.
const WINDOW: u64 = 4 << 20;

/// Returns the last write of a file, as far as the last megabytes of a log show.
pub(super) fn find_last_write(file: &File, path: &Text) -> io::Result<Option<LastWrite>> {
    let end = file.metadata()?.len();
    let start = end.saturating_sub(WINDOW);
    let mut bytes = vec![0; usize::try_from(end - start).map_err(io::Error::other)?];
    file.read_exact_at(&mut bytes, start)?;
    find_write_in(&bytes, path)
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

/// Returns the last write of a file, as far as this part of a log shows.
///
/// A change without a result counts as made: the run was killed during or after it.
fn find_write_in(mut log: &[u8], path: &Text) -> io::Result<Option<LastWrite>> {
    let mut written: Option<LastWrite> = None;
    // The last intent, and the state before it.
    let mut last_intent: Option<(u64, Option<LastWrite>)> = None;
    for_each_entry(&mut log, |entry, _, _| match entry.body {
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
                let before = std::mem::replace(&mut written, write);
                last_intent = Some((entry.seq, before));
            }
        }
        Ok(Body::Result(result)) => {
            if let Some((seq, before)) = &mut last_intent
                && *seq == result.intent
                && result.files.is_empty()
            {
                written = before.take();
            }
        }
        _ => {}
    })?;
    Ok(written)
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
        let write = find_write_in(lines.concat().as_bytes(), &Text::Utf8("/t".to_owned()));
        write.unwrap().and_then(|write| write.target.namespace)
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
