//! `kubectl patch --local`.

use crate::sandbox::{Run, Sandbox};
use serde_json::{Value, json};

fn patched(sb: &Sandbox, document: &Value, patch: &Value, flags: &[&str]) -> Run {
    let patch = patch.to_string();
    let fixed = [
        "patch",
        "--local",
        "--filename",
        "-",
        "--type=json",
        "--output",
        "json",
        "--patch",
        &patch,
    ];
    sb.tool(
        "kubectl",
        &[&fixed, flags].concat(),
        Some(&document.to_string()),
    )
}

fn document() -> Value {
    json!({"kind": "Job", "apiVersion": "batch/v1",
           "metadata": {"name": "old", "annotations": {"a/b": "1", "c~d": "<>&"}, "managedFields": [{"manager": "m"}]},
           "spec": {"list": [1, 2]}})
}

/// What the real ones print of the patch in the next test.
const PRINTED: &str = r#"{
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {
        "annotations": {
            "c~d": "\u003c\u003e\u0026"
        },
        "name": "new"
    },
    "spec": {
        "list": [
            0,
            1,
            "two",
            3
        ],
        "suspend": null
    }
}
"#;

#[test]
fn a_patch_is_done_without_a_cluster() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["unreachable"] = json!(true));
    let patch = json!([
        {"op": "replace", "path": "/metadata/name", "value": "new"},
        {"op": "remove", "path": "/metadata/annotations/a~1b"},
        {"op": "add", "path": "/spec/list/-", "value": 3},
        {"op": "add", "path": "/spec/list/0", "value": 0},
        {"op": "replace", "path": "/spec/list/2", "value": "two"},
        {"op": "add", "path": "/spec/suspend", "value": null},
    ]);
    let run = patched(&sb, &document(), &patch, &["--namespace", "influxdb"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, PRINTED, "")
    );
    let read = sb
        .calls()
        .pop()
        .and_then(|call| call.stdin)
        .expect("what it read");
    assert_eq!(
        serde_json::from_str::<Value>(&read).expect("JSON"),
        document()
    );
    let escaped = json!([{"op": "replace", "path": "/metadata/annotations/c~0d", "value": "2"},
                         {"op": "remove", "path": "/spec/list/0"}]);
    sb.kubectl_version("v1.20.2");
    let run = patched(&sb, &document(), &escaped, &[]);
    let printed: Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(
        (
            &printed["metadata"]["annotations"]["c~d"],
            &printed["spec"]["list"]
        ),
        (&json!("2"), &json!([2]))
    );
    assert_eq!(
        printed["metadata"]["managedFields"],
        json!([{"manager": "m"}]),
        "old ones show it"
    );
}

#[test]
fn patches_that_do_not_fit() {
    let sb = Sandbox::new();
    let missing = ": missing value";
    let rows = [
        (
            "remove",
            "/spec/x",
            format!(
                "error in remove for path: '/spec/x': Unable to remove nonexistent key: x{missing}"
            ),
        ),
        (
            "remove",
            "/x/y",
            format!("remove operation does not apply: doc is missing path: \"/x/y\"{missing}"),
        ),
        (
            "add",
            "/x/y",
            format!("add operation does not apply: doc is missing path: \"/x/y\"{missing}"),
        ),
        (
            "add",
            "/kind/y",
            format!("add operation does not apply: doc is missing path: \"/kind/y\"{missing}"),
        ),
        (
            "replace",
            "/x/y",
            format!("replace operation does not apply: doc is missing path: /x/y{missing}"),
        ),
        (
            "replace",
            "/spec/list/7",
            format!("Object to be patched is missing field (/spec/list/7{missing})"),
        ),
        ("add", "/spec/list/7", out_of_bounds("add")),
        ("remove", "/spec/list/7", out_of_bounds("remove")),
    ];
    for (operation, path, text) in rows {
        let mut patch = json!([{"op": operation, "path": path}]);
        if operation != "remove" {
            patch[0]["value"] = json!(1);
        }
        let run = patched(&sb, &document(), &patch, &[]);
        assert_eq!(
            (run.code, run.stdout, run.stderr),
            (1, String::new(), format!("error: {text}\n")),
            "{patch}"
        );
    }
    // What is missing is not missed by `replace`, whatever RFC 6902 says.
    let run = patched(
        &sb,
        &document(),
        &json!([{"op": "replace", "path": "/spec/x", "value": 1}]),
        &[],
    );
    assert!(
        run.code == 0 && run.stdout.contains("        \"x\": 1\n"),
        "{}",
        run.stdout
    );
}

fn out_of_bounds(operation: &str) -> String {
    format!(
        "error in {operation} for path: '/spec/list/7': Unable to access invalid index: 7: invalid index referenced"
    )
}

#[test]
fn the_configuration_is_read_all_the_same() {
    let sb = Sandbox::new();
    let err = |document: Value, flags: &[&str]| {
        let run = patched(&sb, &document, &json!([]), flags);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        run.stderr
    };
    let context = err(document(), &["--context", "nope"]);
    assert_eq!(
        context,
        "Error in configuration: context was not found for specified context: nope\n"
    );
    let kubeconfig = err(document(), &["--kubeconfig", "/no/where"]);
    assert_eq!(
        kubeconfig,
        "error: stat /no/where: no such file or directory\n"
    );
    let mut elsewhere = document();
    elsewhere["metadata"]["namespace"] = json!("q");
    let namespace = err(elsewhere, &["--namespace", "influxdb"]);
    assert!(
        namespace.starts_with("error: the namespace from the provided object \"q\" does not match"),
        "{namespace}"
    );
    let empty = sb.tool(
        "kubectl",
        &[
            "patch",
            "--local",
            "--filename",
            "-",
            "--type=json",
            "--output=json",
        ],
        None,
    );
    assert_eq!(
        (empty.code, empty.stderr.as_str()),
        (1, "error: no objects passed to patch\n")
    );
}

#[test]
fn patches_that_nobody_uses() {
    let sb = Sandbox::new();
    for (patch, flags) in [
        (
            json!([{"op": "test", "path": "/kind", "value": "Job"}]),
            &[][..],
        ),
        (
            json!([{"op": "add", "path": "/spec/list/x", "value": 1}]),
            &[],
        ),
        (json!([{"op": "add", "path": "/spec/x"}]), &[]),
        (json!({}), &[]),
        (json!([]), &["--watch"]),
    ] {
        assert_eq!(patched(&sb, &document(), &patch, flags).code, 99, "{patch}");
    }
    for words in [
        "patch --filename - --type=json --output json --patch []",
        "patch --local --filename - --type=merge",
    ] {
        assert_eq!(
            sb.tool("kubectl", &super::words(words), Some("{}")).code,
            99,
            "{words}"
        );
    }
}
