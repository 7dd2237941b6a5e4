//! Records as real runs write them, whole and maimed.

use super::*;
use crate::audit::line::RECORD_VERSION;
use serde_json::{Map, Value, json};

const UUID: &str = "0341f76c-5e91-4434-93a8-5447e0656ab6";
const HASH: &str = "2ccd45f7c1c9b4f4bb7f3a5c9d5f6f6b7f3a5c9d5f6f6b7f3a5c9d5f6f6b7fff";

fn make_record(kind: &str, fields: Value) -> Value {
    let mut record = json!({"v": RECORD_VERSION, "seq": 7, "prev": HASH, "type": kind});
    let own = fields.as_object().unwrap().clone();
    record.as_object_mut().unwrap().extend(own);
    record["log"] = json!(UUID);
    record["run"] = json!(UUID);
    record["ts"] = json!("2026-01-01T00:00:00.123Z");
    record
}

fn make_actor() -> Value {
    json!({"uid": 1000, "user": "a", "login_uid": null, "sudo_user": null, "host": "h", "tty": null, "ci": null})
}

/// One of each type, with every field that it can have.
fn make_records() -> Vec<Value> {
    let who = make_actor();
    let target =
        json!({"context": "c", "server": "https://s", "cluster_uid": UUID, "namespace": "n"});
    let exe = json!({"path": "/usr/bin/kubectl", "sha256": HASH, "version": "1.34.5"});
    let seen = json!({"bytes": 3, "sha256": HASH});
    let object = json!({"kind": "Secret", "name": "rsa-keys", "uid": UUID});
    let made = json!({"bytes": 3, "sha256": HASH, "derived_from": [object]});
    let file = json!({"op": "write", "path": {"b64": "Yf8="}, "before": null, "after": {"withheld": "secret"}});
    let unfinished = json!([{"run": UUID, "intent": 3, "step": "get-token"}]);
    vec![
        make_record(
            "log.open",
            json!({"bypassctl": "0.1.0", "preallocates": true, "previous": {"log": UUID, "head": format!("9:{HASH}")}}),
        ),
        make_record(
            "run.begin",
            json!({"argv": ["bypassctl", ""], "exe": exe, "cwd": "/", "actor": who, "pid": 1, "process_start": null,
            "reason": null, "command": "enable", "dry_run": false, "policy": null, "unfinished": unfinished}),
        ),
        make_record(
            "tool",
            json!({"name": "kubectl", "path": "/k", "sha256": HASH, "version": null, "found_at": "/k"}),
        ),
        make_record(
            "intent",
            json!({"step": "s", "effect": "reads", "argv": ["kubectl"], "exe": exe, "cwd": "/", "env": {"KUBECONFIG": "/k"},
            "stdin": made, "object": object, "actor": who, "target": target, "plan": null, "reason": "CHG-12"}),
        ),
        make_record(
            "intent",
            json!({"step": "s", "effect": "changes", "file": file, "actor": who, "target": target, "plan": HASH, "reason": null}),
        ),
        make_record(
            "result",
            json!({"intent": 6, "exit": {"code": 0, "signal": null}, "duration_ms": 1, "stdout": seen, "stderr": null,
            "files": [file], "error": "timed-out"}),
        ),
        make_record(
            "run.end",
            json!({"command": "enable", "dry_run": false, "exit_code": 0, "outcome": "done", "changed": true, "target": target}),
        ),
        make_record("log.recover", json!({"torn": {"bytes": 9, "sha256": HASH}})),
        make_record(
            "log.rotate",
            json!({"actor": who, "reason": null, "unfinished": unfinished}),
        ),
    ]
}

fn to_line(value: &Value) -> Vec<u8> {
    format!("{value}\n").into_bytes()
}

fn find_format_error(value: &Value) -> Option<String> {
    parse_line(&to_line(value)).expect("a record").format_error
}

#[test]
fn parse_line_accepts_every_record_type() {
    for record in make_records() {
        let shape = parse_line(&to_line(&record)).unwrap();
        assert_eq!(
            (shape.format_error, shape.seq, shape.version),
            (None, 7, u64::from(RECORD_VERSION)),
            "{record}"
        );
        assert_eq!(shape.prev, crate::digest::Digest::from_hex(HASH));
        assert!(shape.kind.is_some() && shape.log.is_some());
    }
}

#[test]
fn parse_line_accepts_fields_in_any_order() {
    for record in make_records() {
        let fields = record.as_object().unwrap();
        let reversed: Vec<String> = fields
            .iter()
            .rev()
            .map(|(name, value)| format!("{}:{value}", json!(name)))
            .collect();
        let shape = parse_line(format!("{{{}}}\n", reversed.join(",")).as_bytes()).unwrap();
        assert_eq!(shape.format_error, None, "{record}");
    }
}

/// Every place in a value, as a pointer.
fn collect_pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let Value::Object(fields) = value else { return };
    for (name, value) in fields {
        let at = format!("{at}/{name}");
        collect_pointers(value, &at, found);
        found.push(at);
    }
}

/// Fields that a record may lack.
const OPTIONAL_FIELDS: &[&str] = &[
    "/env/KUBECONFIG",
    "/stdin/derived_from",
    "/object",
    "/error",
];

#[test]
fn parse_line_reports_missing_or_mistyped_field() {
    for record in make_records() {
        let mut all = Vec::new();
        collect_pointers(&record, "", &mut all);
        for at in all {
            let (parent, name) = at.rsplit_once('/').unwrap();
            // What makes it a record has its own test; what is about the log itself belongs to no run.
            let of_log = record["type"].as_str().unwrap().starts_with("log.");
            if parent.is_empty()
                && (["v", "seq", "prev", "type", "log"].contains(&name) || of_log && name == "run")
            {
                continue;
            }
            let mut maimed = record.clone();
            *maimed.pointer_mut(&at).unwrap() = json!([[]]);
            assert!(
                find_format_error(&maimed).is_some(),
                "{at} is a list in {record}"
            );
            let fields: &mut Map<String, Value> =
                maimed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            fields.remove(name);
            if OPTIONAL_FIELDS.contains(&at.as_str()) {
                assert_eq!(find_format_error(&maimed), None, "without {at}: {record}");
            } else if name != "code" && name != "signal" {
                assert!(
                    find_format_error(&maimed).is_some(),
                    "without {at}: {record}"
                );
            }
        }
    }
}

#[test]
fn parse_line_describes_format_error() {
    let intent = &make_records()[3];
    let with = |at: &str, value: Value| {
        let mut changed = intent.clone();
        *changed.pointer_mut(at).unwrap() = value;
        find_format_error(&changed).unwrap_or_default()
    };
    insta::assert_snapshot!(
        [
            with("/effect", json!("writes")),
            with("/exe/sha256", json!(HASH.to_uppercase())),
            with("/actor/uid", json!(-1)),
            with("/actor", json!(null)),
            with("/ts", json!("yesterday")),
            with("/type", json!("intention")),
            with("/stdin", json!({"bytes": 3, "sha256": HASH, "withheld": "secret"})),
            with("/argv", json!(["kubectl", 1])),
        ]
        .join("\n"),
        @r#"
    invalid value: string "writes", expected a word that is known
    invalid value: string "2CCD45F7C1C9B4F4BB7F3A5C9D5F6F6B7F3A5C9D5F6F6B7F3A5C9D5F6F6B7FFF", expected a SHA-256 in 64 lower-case hexadecimal digits
    invalid type: integer `-1`, expected a whole number that is not negative
    invalid type: null, expected an object
    invalid value: string "yesterday", expected a time as RFC 3339 has it
    its type is not known
    it is not `bytes` and `sha256`, or `withheld`
    invalid type: integer `1`, expected text, or {"b64": …}
    "#
    );
    let mut both = intent.clone();
    both["file"] = make_records()[4]["file"].clone();
    assert!(
        find_format_error(&both)
            .unwrap()
            .contains("field `argv` is there beside `file`")
    );
    let twice = String::from_utf8(to_line(intent)).unwrap().replacen(
        "\"ts\":",
        "\"step\":\"t\",\"ts\":",
        1,
    );
    assert!(
        parse_line(twice.as_bytes())
            .unwrap()
            .format_error
            .unwrap()
            .contains("field `step` is there twice")
    );
}

#[test]
fn parse_line_returns_none_when_line_is_not_a_record() {
    let record = format!("{}\n", make_records()[3]);
    for none in [
        &record[..record.len() - 1],
        "",
        "\n",
        "null\n",
        "[]\n",
        "{}\n",
        &record.replace("https", "http\u{e9}"),
    ] {
        assert!(parse_line(none.as_bytes()).is_none(), "{none}");
    }
    for gone in ["v", "seq", "prev", "type", "log"] {
        let mut record = make_records()[3].clone();
        record.as_object_mut().unwrap().remove(gone);
        assert!(parse_line(&to_line(&record)).is_none(), "{gone}");
    }
}

#[test]
fn parse_line_rejects_floats_and_duplicate_fields() {
    let text = String::from_utf8(to_line(&make_records()[0])).unwrap();
    let with = |more: &str| {
        parse_line(text.replacen('{', &format!("{{{more},"), 1).as_bytes())
            .unwrap()
            .format_error
    };
    assert_eq!(with(r#""x":{"y":[1,-2,null,"z"]},"w":{}"#), None);
    for (more, told) in [
        (r#""x":1.5"#, "floating point"),
        (r#""x":{"y":[1e3]}"#, "floating point"),
        (r#""x":1,"x":1"#, "field `x` is there twice"),
        (r#""x":{"y":1,"\u0079":2}"#, "field `y` is there twice"),
    ] {
        assert!(
            with(more).is_some_and(|wrong| wrong.contains(told)),
            "{more}: {:?}",
            with(more)
        );
    }
    for previous in [
        json!({"log": UUID, "head": "9:ab"}),
        json!({"log": "", "head": format!("9:{HASH}")}),
        json!({}),
    ] {
        let mut record = make_records()[0].clone();
        record["previous"] = previous.clone();
        assert!(find_format_error(&record).is_some(), "{previous}");
    }
}
