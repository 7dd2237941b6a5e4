//! Entries as runs write them, intact and damaged.

use super::*;
use crate::audit::line::LOG_FORMAT_VERSION;
use serde_json::{Map, Value, json};

const UUID: &str = "0341f76c-5e91-4434-93a8-5447e0656ab6";
const HASH: &str = "2ccd45f7c1c9b4f4bb7f3a5c9d5f6f6b7f3a5c9d5f6f6b7f3a5c9d5f6f6b7fff";

fn make_entry(kind: &str, fields: Value) -> Value {
    let mut entry = json!({"v": LOG_FORMAT_VERSION, "seq": 7, "prev": HASH, "type": kind});
    let own = fields.as_object().unwrap().clone();
    entry.as_object_mut().unwrap().extend(own);
    entry["log"] = json!(UUID);
    entry["run"] = json!(UUID);
    entry["ts"] = json!("2026-01-01T00:00:00.123Z");
    entry
}

fn make_actor() -> Value {
    json!({
        "uid": 1000, "user": "a", "login_uid": null, "sudo_user": null, "host": "h", "tty": null,
        "ci": null
    })
}

/// Makes an entry of each type, with every key that it can have.
fn make_entries() -> Vec<Value> {
    let actor = make_actor();
    let target = json!({
        "context": "c", "server": "https://s", "cluster_uid": UUID, "namespace_uid": null,
        "namespace": "n"
    });
    let probe = json!({"address": "h:1", "tls": "verified", "token_hmac": HASH});
    let exe = json!({"path": "/usr/bin/kubectl", "sha256": HASH, "version": "1.34.5"});
    let stream = json!({"bytes": 3, "sha256": HASH});
    let object = json!({"kind": "Secret", "name": "rsa-keys", "uid": UUID});
    let version = json!({
        "kind": "Secret", "name": "rsa-keys", "uid": UUID, "resource_version": "337"
    });
    let manifest = json!({"bytes": 3, "sha256": HASH, "derived_from": [object]});
    let file = json!({
        "op": "write", "path": {"b64": "Yf8="}, "before": null, "after": {"withheld": "secret"}
    });
    let unfinished = json!([{"run": UUID, "intent": 3, "step": "get-token"}]);
    vec![
        make_entry(
            "log.open",
            json!({
                "bypassctl": "0.1.0", "preallocates": true,
                "previous": {"log": UUID, "head": format!("9:{HASH}")}
            }),
        ),
        make_entry(
            "run.begin",
            json!({
                "argv": ["bypassctl", ""], "exe": exe, "cwd": "/", "actor": actor, "pid": 1,
                "process_start": null, "reason": null, "command": "enable", "dry_run": false,
                "policy": null, "unfinished": unfinished
            }),
        ),
        make_entry(
            "tool",
            json!({
                "name": "kubectl", "path": "/k", "sha256": HASH, "version": null, "found_at": "/k"
            }),
        ),
        make_entry(
            "intent",
            json!({
                "step": "s", "effect": "reads", "argv": ["kubectl"], "exe": exe, "cwd": "/",
                "env": {"KUBECONFIG": "/k"}, "stdin": manifest, "object": object, "probe": probe,
                "actor": actor, "target": target, "plan": null, "reason": "CHG-12"
            }),
        ),
        make_entry(
            "intent",
            json!({
                "step": "s", "effect": "changes", "file": file, "actor": actor, "target": target,
                "plan": HASH, "reason": null
            }),
        ),
        make_entry(
            "result",
            json!({
                "intent": 6, "exit": {"code": 0, "signal": null}, "duration_ms": 1,
                "stdout": stream, "stderr": null, "files": [file],
                "verdict": "accepted", "error": "timed-out"
            }),
        ),
        make_entry(
            "creation",
            json!({"step": "s", "target": target, "secrets": [object]}),
        ),
        make_entry(
            "verification",
            json!({"step": "s", "target": target, "secrets": [version]}),
        ),
        make_entry(
            "run.end",
            json!({
                "command": "enable", "dry_run": false, "exit_code": 0, "outcome": "done",
                "changed": true, "target": target
            }),
        ),
        make_entry("log.recover", json!({"torn": {"bytes": 9, "sha256": HASH}})),
        make_entry(
            "log.rotate",
            json!({"actor": actor, "reason": null, "unfinished": unfinished}),
        ),
    ]
}

fn to_line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

fn parse(line: &[u8]) -> Option<Entry<'_>> {
    Entry::parse(line)
}

fn find_defect(value: &Value) -> Option<String> {
    parse(&to_line(value)).expect("an entry").body.err()
}

#[test]
fn parse_accepts_every_entry_type() {
    for value in make_entries() {
        let line = to_line(&value);
        let entry = parse(&line).unwrap();
        assert_eq!(entry.body.err(), None, "{value}");
        assert_eq!((entry.seq, entry.version), (7, LOG_FORMAT_VERSION.into()));
        assert_eq!(entry.prev, Digest::from_hex(HASH));
        assert_eq!(entry.log, UUID);
    }
}

#[test]
fn parse_accepts_fields_in_any_order() {
    for value in make_entries() {
        let fields = value.as_object().unwrap();
        let reversed: Vec<String> = fields
            .iter()
            .rev()
            .map(|(name, field)| format!("{}:{field}", json!(name)))
            .collect();
        let line = format!("{{{}}}\n", reversed.join(","));
        let entry = parse(line.as_bytes()).unwrap();
        assert_eq!(entry.body.err(), None, "{value}");
    }
}

/// Collects the JSON pointers of all keys of a value.
fn collect_pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        collect_pointers(value, &at, found);
        found.push(at);
    }
}

/// Keys that an entry can lack.
const OPTIONAL_FIELDS: &[&str] = &[
    "/env/KUBECONFIG",
    "/stdin/derived_from",
    "/object",
    "/probe",
    "/verdict",
    "/error",
];

#[test]
fn parse_reports_missing_or_mistyped_field() {
    for entry in make_entries() {
        let mut all = Vec::new();
        collect_pointers(&entry, "", &mut all);
        for at in all {
            let (parent, name) = at.rsplit_once('/').unwrap();
            // Another test covers the keys that make a line an entry. Entries about the log itself
            // have no `run`.
            let is_of_log = entry["type"].as_str().unwrap().starts_with("log.");
            if parent.is_empty()
                && (["v", "seq", "prev", "type", "log"].contains(&name)
                    || is_of_log && name == "run")
            {
                continue;
            }
            let mut damaged = entry.clone();
            *damaged.pointer_mut(&at).unwrap() = json!([[]]);
            assert!(find_defect(&damaged).is_some(), "{at} is a list in {entry}");
            let fields: &mut Map<String, Value> = damaged
                .pointer_mut(parent)
                .unwrap()
                .as_object_mut()
                .unwrap();
            fields.remove(name);
            if OPTIONAL_FIELDS.contains(&at.as_str()) {
                assert_eq!(find_defect(&damaged), None, "without {at}: {entry}");
            } else {
                assert!(find_defect(&damaged).is_some(), "without {at}: {entry}");
            }
        }
    }
}

/// Keys that can be null.
const NULLABLE_FIELDS: &[&str] = &[
    "/previous",
    "/process_start",
    "/reason",
    "/policy",
    "/plan",
    "/stdin",
    "/exit",
    "/stdout",
    "/stderr",
    "/version",
    "/sha256",
    "/user",
    "/login_uid",
    "/sudo_user",
    "/tty",
    "/ci",
    "/context",
    "/server",
    "/cluster_uid",
    "/namespace_uid",
    "/token_hmac",
    "/namespace",
    "/before",
    "/after",
    "/signal",
];

#[test]
fn parse_rejects_null_where_no_key_can_be_null() {
    for entry in make_entries() {
        let mut all = Vec::new();
        collect_pointers(&entry, "", &mut all);
        for at in all {
            let (parent, name) = at.rsplit_once('/').unwrap();
            let is_digest_of_file = parent == "/exe" || parent.is_empty();
            let can_be_null = NULLABLE_FIELDS.contains(&format!("/{name}").as_str())
                && (name != "sha256" || is_digest_of_file);
            let mut changed = entry.clone();
            *changed.pointer_mut(&at).unwrap() = json!(null);
            let defect = parse(&to_line(&changed)).map(|entry| entry.body.err());
            // A line without the keys of every entry is no entry.
            let is_refused = defect.as_ref().is_none_or(Option::is_some);
            assert_eq!(is_refused, !can_be_null, "{at}: {defect:?}: {entry}");
        }
    }
}

#[test]
fn parse_describes_format_error() {
    let intent = &make_entries()[3];
    for (at, value, expected) in [
        (
            "/effect",
            json!("writes"),
            "`effect`: unknown variant `writes`, expected `reads` or",
        ),
        (
            "/plan",
            json!("2CCD"),
            "`plan`: invalid value: string \"2CCD\", expected a SHA-256 in 64",
        ),
        (
            "/actor/uid",
            json!("0"),
            "`actor.uid`: invalid type: string \"0\", expected u32",
        ),
        (
            "/actor",
            json!(null),
            "`actor`: invalid type: null, expected an object",
        ),
        (
            "/ts",
            json!("now"),
            "`ts`: `now` is not a time in the form of RFC 3339",
        ),
        (
            "/type",
            json!("act"),
            "unknown variant `act`, expected one of `log.open`, `run.begin`",
        ),
        (
            "/stdin",
            json!({"bytes": 3}),
            "`stdin`: expected `bytes` and `sha256`, or `withheld`",
        ),
        (
            "/argv",
            json!([1]),
            "`argv[0]`: invalid type: integer `1`, expected text, or {\"b64\"",
        ),
    ] {
        let mut changed = intent.clone();
        *changed.pointer_mut(at).unwrap() = value;
        let defect = find_defect(&changed).unwrap();
        assert!(defect.starts_with(expected), "{at}: {defect}");
    }
    let mut both = intent.clone();
    both["file"] = make_entries()[4]["file"].clone();
    assert_eq!(
        find_defect(&both).unwrap(),
        "keys `file` and `argv` exclude each other"
    );
    let twice = String::from_utf8(to_line(intent)).unwrap().replacen(
        "\"ts\":",
        "\"step\":\"t\",\"ts\":",
        1,
    );
    assert_eq!(
        parse(twice.as_bytes()).unwrap().body.err().unwrap(),
        "key `step` occurs twice"
    );
}

#[test]
fn parse_returns_none_when_line_is_not_an_entry() {
    let entry = format!("{}\n", make_entries()[3]);
    for line in [
        &entry[..entry.len() - 1],
        "",
        "\n",
        "null\n",
        "[]\n",
        &format!("[2, 7, \"{HASH}\", \"intent\", \"{UUID}\"]\n"),
        "{}\n",
        &entry.replace("https", "http\u{e9}"),
    ] {
        assert!(parse(line.as_bytes()).is_none(), "{line}");
    }
    for key in ["v", "seq", "prev", "type", "log"] {
        let mut entry = make_entries()[3].clone();
        entry.as_object_mut().unwrap().remove(key);
        assert!(parse(&to_line(&entry)).is_none(), "{key}");
    }
}

#[test]
fn parse_rejects_floats_and_duplicate_fields() {
    let text = String::from_utf8(to_line(&make_entries()[0])).unwrap();
    let with = |more: &str| {
        let line = text.replacen('{', &format!("{{{more},"), 1);
        parse(line.as_bytes()).unwrap().body.err()
    };
    for (more, expected) in [
        (r#""x":1.5"#, "floating point"),
        (r#""x":{"y":[1e3]}"#, "floating point"),
        (r#""x":1,"x":1"#, "key `x` occurs twice"),
        (r#""x":{"y":1,"\u0079":2}"#, "key `y` occurs twice"),
    ] {
        let defect = with(more).expect("a defect");
        assert!(defect.contains(expected), "{more}: {defect}");
    }
    for previous in [
        json!({"log": UUID, "head": "9:ab"}),
        json!({"log": "", "head": format!("9:{HASH}")}),
        json!({}),
    ] {
        let mut entry = make_entries()[0].clone();
        entry["previous"] = previous.clone();
        assert!(find_defect(&entry).is_some(), "{previous}");
    }
}

/// Inserts keys at the start of each object of each entry.
fn insert_into_each_object(keys: &str) -> impl Iterator<Item = String> {
    make_entries().into_iter().flat_map(move |entry| {
        let line = format!("{entry}\n");
        let starts: Vec<usize> = line.match_indices('{').map(|(at, _)| at + 1).collect();
        let insert = move |at: usize| format!("{}{keys},{}", &line[..at], &line[at..]);
        starts.into_iter().map(insert)
    })
}

#[test]
fn parse_accepts_unknown_keys_in_each_object() {
    for line in insert_into_each_object(r#""x":{"y":[1,-2,null,"z",{}]}"#) {
        // Each variable in `env` is a text.
        if !line.contains(r#""env":{"x""#) {
            let entry = parse(line.as_bytes()).unwrap();
            assert_eq!(entry.body.err(), None, "{line}");
        }
    }
}

#[test]
fn parse_rejects_floats_and_duplicate_keys_in_each_object() {
    for keys in [r#""x":1.5"#, r#""x":[{"y":1,"y":1}]"#, r#""x":"","x":"""#] {
        for line in insert_into_each_object(keys) {
            let entry = parse(line.as_bytes()).unwrap();
            assert!(entry.body.is_err(), "{line}");
        }
    }
}

#[test]
fn parse_rejects_lists_instead_of_objects() {
    let actor = json!([1000, "a", null, null, "h", null, null]);
    let exe = json!(["/k", HASH, null]);
    let target = json!(["c", "https://s", UUID, "n"]);
    let stream = json!([3, HASH]);
    let file = json!(["write", "/f", null, null]);
    let command = json!([UUID, 3, "s"]);
    for (index, at, list) in [
        (0, "/previous", json!([UUID, format!("9:{HASH}")])),
        (1, "/exe", exe.clone()),
        (1, "/actor", actor.clone()),
        (1, "/unfinished/0", command.clone()),
        (3, "/exe", exe),
        (3, "/actor", actor.clone()),
        (3, "/target", target.clone()),
        (3, "/stdin", stream.clone()),
        (3, "/object", json!(["Secret", "rsa-keys", UUID])),
        (3, "/probe", json!(["h:1", "verified", HASH])),
        (4, "/file", file.clone()),
        (5, "/exit", json!([0, null])),
        (5, "/stdout", stream),
        (5, "/files/0", file),
        (6, "/target", target.clone()),
        (6, "/secrets/0", json!(["Secret", "rsa-keys", UUID])),
        (7, "/target", target.clone()),
        (7, "/secrets/0", json!(["Secret", "rsa-keys", UUID])),
        (8, "/target", target),
        (9, "/torn", json!([9, HASH])),
        (10, "/actor", actor),
        (10, "/unfinished/0", command),
        (4, "/effect", json!({"changes": null})),
        (4, "/file/op", json!({"write": null})),
    ] {
        let mut damaged = make_entries().swap_remove(index);
        *damaged.pointer_mut(at).unwrap() = list;
        assert!(find_defect(&damaged).is_some(), "{at}: {damaged}");
    }
}
