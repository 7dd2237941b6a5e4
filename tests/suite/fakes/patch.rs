//! `kubectl patch --local`.

use crate::sandbox::{CommandOutput, Sandbox};
use serde_json::{Value, json};

fn run_patch(sb: &Sandbox, document: &Value, patch: &Value, flags: &[&str]) -> CommandOutput {
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
    sb.run_tool(
        "kubectl",
        &[&fixed, flags].concat(),
        Some(&document.to_string()),
    )
}

fn build_document() -> Value {
    json!({
        "kind": "Job",
        "apiVersion": "batch/v1",
        "metadata": {
            "name": "old",
            "annotations": {"a/b": "1", "c~d": "<>&"},
            "managedFields": [{"manager": "m"}]
        },
        "spec": {"list": [1, 2]}
    })
}

/// The output of real kubectls for the patch in the next test.
const PATCH_OUTPUT: &str = r#"{
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
fn local_patch_works_without_cluster() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
    let patch = json!([
        {"op": "replace", "path": "/metadata/name", "value": "new"},
        {"op": "remove", "path": "/metadata/annotations/a~1b"},
        {"op": "add", "path": "/spec/list/-", "value": 3},
        {"op": "add", "path": "/spec/list/0", "value": 0},
        {"op": "replace", "path": "/spec/list/2", "value": "two"},
        {"op": "add", "path": "/spec/suspend", "value": null},
    ]);
    let run = run_patch(&sb, &build_document(), &patch, &["--namespace", "influxdb"]);
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr.as_str()),
        (0, PATCH_OUTPUT, "")
    );
    let read = sb
        .calls()
        .pop()
        .and_then(|call| call.stdin)
        .expect("the input");
    assert_eq!(
        serde_json::from_str::<Value>(&read).expect("JSON"),
        build_document()
    );
    let escaped = json!([{"op": "replace", "path": "/metadata/annotations/c~0d", "value": "2"},
                         {"op": "remove", "path": "/spec/list/0"}]);
    sb.set_kubectl_version("v1.20.2");
    let run = run_patch(&sb, &build_document(), &escaped, &[]);
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
        "old versions of kubectl print managedFields"
    );
}

#[test]
fn inapplicable_patches_fail_with_kubectl_errors() {
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
        ("add", "/spec/list/7", format_out_of_bounds_error("add")),
        (
            "remove",
            "/spec/list/7",
            format_out_of_bounds_error("remove"),
        ),
    ];
    for (operation, path, text) in rows {
        let mut patch = json!([{"op": operation, "path": path}]);
        if operation != "remove" {
            patch[0]["value"] = json!(1);
        }
        let run = run_patch(&sb, &build_document(), &patch, &[]);
        assert_eq!(
            (run.code, run.stdout, run.stderr),
            (1, String::new(), format!("error: {text}\n")),
            "{patch}"
        );
    }
    // kubectl's `replace` accepts a missing value, against RFC 6902.
    let run = run_patch(
        &sb,
        &build_document(),
        &json!([{"op": "replace", "path": "/spec/x", "value": 1}]),
        &[],
    );
    assert!(
        run.code == 0 && run.stdout.contains("        \"x\": 1\n"),
        "{}",
        run.stdout
    );
}

fn format_out_of_bounds_error(operation: &str) -> String {
    format!(
        "error in {operation} for path: '/spec/list/7': Unable to access invalid index: 7: invalid \
         index referenced"
    )
}

#[test]
fn local_patch_still_checks_kubeconfig_and_namespace() {
    let sb = Sandbox::new();
    let err = |document: Value, flags: &[&str]| {
        let run = run_patch(&sb, &document, &json!([]), flags);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""));
        run.stderr
    };
    let context = err(build_document(), &["--context", "nope"]);
    assert_eq!(
        context,
        "Error in configuration: context was not found for specified context: nope\n"
    );
    let kubeconfig = err(build_document(), &["--kubeconfig", "/no/where"]);
    assert_eq!(
        kubeconfig,
        "error: stat /no/where: no such file or directory\n"
    );
    let mut elsewhere = build_document();
    elsewhere["metadata"]["namespace"] = json!("q");
    let namespace = err(elsewhere, &["--namespace", "influxdb"]);
    assert!(
        namespace.starts_with("error: the namespace from the provided object \"q\" does not match"),
        "{namespace}"
    );
    let empty = sb.run_tool(
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
fn unsupported_patches_exit_with_99() {
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
        assert_eq!(
            run_patch(&sb, &build_document(), &patch, flags).code,
            99,
            "{patch}"
        );
    }
    for words in [
        "patch --filename - --type=json --output json --patch []",
        "patch --local --filename - --type=merge",
    ] {
        assert_eq!(
            sb.run_tool("kubectl", &super::split_words(words), Some("{}"))
                .code,
            99,
            "{words}"
        );
    }
}
