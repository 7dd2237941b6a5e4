//! Recognizes a `kubectl get` of a missing object. The log has only the digest of the error
//! output, but the wording is known.

use super::describe::format_words;
use crate::audit::{ActionResult, Intent, Operation, Stream};

/// The server's names of the kinds that this program gets by name.
const RESOURCES: &[(&str, &str)] = &[
    ("configmaps", "configmaps"),
    ("job", "jobs.batch"),
    ("secrets", "secrets"),
];

/// The maximum number of objects in one command, because their subsets are tried.
const MAX_OBJECTS: usize = 4;

/// Returns the objects, such as `secrets/rsa-keys`, that kubectl reported as not found. Empty for
/// any other result.
pub(super) fn find_missing_objects(intent: &Intent, result: &ActionResult) -> Vec<String> {
    let Operation::Process { argv, .. } = &intent.operation else {
        return Vec::new();
    };
    let Some(Stream::Digest { .. }) = &result.stderr else {
        return Vec::new();
    };
    let words = format_words(argv);
    let objects: Vec<(&str, String)> = words.iter().filter_map(|word| parse_object(word)).collect();
    if !words.iter().any(|word| word == "get") || objects.len() > MAX_OBJECTS {
        return Vec::new();
    }
    let subsets = 1..1_usize << objects.len();
    let select = |subset: usize| {
        let is_selected = move |(index, object)| (subset >> index & 1 == 1).then_some(object);
        objects.iter().enumerate().filter_map(is_selected)
    };
    let is_reported = |subset: &usize| {
        let text: String = select(*subset)
            .map(|(_, message)| message.as_str())
            .collect();
        result.stderr == Some(Stream::from_bytes(text.as_bytes()))
    };
    let subset = subsets.into_iter().find(is_reported).unwrap_or(0);
    select(subset)
        .map(|(object, _)| (*object).to_owned())
        .collect()
}

/// Returns an object of the command line, and the message of kubectl that it is missing.
fn parse_object(word: &str) -> Option<(&str, String)> {
    let (kind, name) = word.split_once('/')?;
    let (_, resource) = RESOURCES.iter().find(|(known, _)| *known == kind)?;
    let message = format!("Error from server (NotFound): {resource} \"{name}\" not found\n");
    Some((word, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize as _;
    use serde_json::{Value, json};

    fn find(argv: &[&str], stderr: Value) -> Vec<String> {
        let intent = json!({
            "step": "secrets", "effect": "reads", "argv": argv, "cwd": "/", "env": {},
            "exe": {"path": "/bin/kubectl", "sha256": null, "version": null}, "stdin": null,
            "actor": {"uid": 0, "user": null, "login_uid": null, "sudo_user": null, "host": "h",
                      "tty": null, "ci": null},
            "target": {"context": null, "server": null, "cluster_uid": null,
                       "namespace_uid": null, "namespace": null},
            "plan": null, "reason": null,
        });
        let result = json!({
            "intent": 1, "exit": {"code": 1, "signal": null}, "duration_ms": 1, "stdout": null,
            "stderr": stderr, "files": [],
        });
        let intent = Intent::deserialize(intent).expect("an intent");
        find_missing_objects(
            &intent,
            &ActionResult::deserialize(result).expect("a result"),
        )
    }

    #[test]
    fn find_missing_objects_recognizes_recorded_messages() {
        let digest = |text: &str| {
            let Stream::Digest { bytes, sha256 } = Stream::from_bytes(text.as_bytes()) else {
                panic!("a digest");
            };
            json!({"bytes": bytes, "sha256": sha256})
        };
        // As in fixtures/recordings.
        let keys = "Error from server (NotFound): secrets \"rsa-keys\" not found\n";
        let token = "Error from server (NotFound): secrets \"admin-token\" not found\n";
        let job = "Error from server (NotFound): jobs.batch \"nope\" not found\n";
        let both = ["kubectl", "get", "secrets/rsa-keys", "secrets/admin-token"];
        assert_eq!(find(&both, digest(token)), ["secrets/admin-token"]);
        assert_eq!(find(&both, digest(&[keys, token].concat())), both[2..]);
        assert_eq!(
            find(&["kubectl", "get", "job/nope"], digest(job)),
            ["job/nope"]
        );
        for other in [
            digest("no"),
            digest(""),
            json!({"withheld": "secret"}),
            json!(null),
        ] {
            assert!(find(&both, other).is_empty());
        }
        assert!(find(&["kubectl", "delete", "job/nope"], digest(job)).is_empty());
    }
}
