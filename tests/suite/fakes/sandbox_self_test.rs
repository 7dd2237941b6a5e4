//! The sandbox itself.

use super::{GET_TOKEN_ARGS, run_kubectl, run_kubectl_ok};
use crate::sandbox::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::json;
use std::path::Path;

#[test]
fn calls_are_listed_in_order() {
    let sb = Sandbox::new();
    run_kubectl_ok(&sb, "get namespace influxdb --output name");
    sb.run_tool(
        "kubectl",
        &[
            "config",
            "view",
            "--minify",
            "--output",
            "json",
            "--context",
            "no such",
        ],
        None,
    );
    let lines = "kubectl get namespace influxdb --output name\n\
                 kubectl config view --minify --output json --context 'no such'\n";
    assert_eq!(sb.call_lines(), lines);
    assert_eq!(sb.sorted_call_lines().lines().next(), lines.lines().nth(1));
    sb.clear_calls();
    assert_eq!(sb.call_lines(), "");
}

#[test]
fn unknown_calls_exit_with_99() {
    let sb = Sandbox::new();
    for line in [
        "get secrets --namespace influxdb --output json",
        "get secrets/admin-token --output yaml --namespace influxdb",
        "get jobs -n influxdb --output json",
        "get jobs --namespace influxdb --namespace influxdb --output json",
        "get jobs --namespace influxdb --output json --sort-by=name",
        "apply --filename -",
        "version --output json",
        "get namespace influxdb --output name --no-headers --watch=true",
        "describe secrets/admin-token --namespace influxdb",
    ] {
        let run = run_kubectl(&sb, line);
        assert_eq!((run.code, run.stdout.as_str()), (99, ""), "{line}");
        assert!(
            run.stderr
                .starts_with(&format!("fake: unknown call: kubectl {line} (")),
            "{}",
            run.stderr
        );
    }
    assert_eq!(
        sb.run_tool("influxctl", &["cluster", "list"], None).code,
        99
    );
}

#[test]
#[should_panic(expected = "secrets in [")]
fn secret_on_stdout_fails_assertion() {
    let sb = Sandbox::new();
    sb.run_tool("kubectl", GET_TOKEN_ARGS, None);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn secrets_are_found_in_every_encoding() {
    let mut sb = Sandbox::new();
    sb.assert_no_secret_leaked(&[]);
    sb.set_admin_token(b"a token of the test's own");
    assert!(sb.list_secrets().len() > 8);
    let token = sb.admin_token();
    let hex: String = token.iter().map(|b| format!("{b:02x}")).collect();
    let longer = [b"x".as_slice(), &token, b"yz"].concat();
    let forms = [
        String::from_utf8(token.clone()).expect("text"),
        format!("log: {} end", hex.to_uppercase()),
        STANDARD.encode(&token),
        STANDARD.encode(&longer),
        URL_SAFE.encode(&longer[1..]),
    ];
    for (n, form) in forms.iter().enumerate() {
        let name = format!("home/deep/er/file{n}");
        sb.write(&name, form);
        assert_eq!(sb.find_leaked_secrets(&[]), [Path::new(&name)], "{form}");
        sb.assert_no_secret_leaked(&[Path::new(&name)]);
        std::fs::remove_file(sb.path(&name)).expect("written above");
    }
    // Arguments are public, so the scan covers those of calls.
    sb.run_tool("kubectl", &[hex.as_str()], None);
    let found = sb.find_leaked_secrets(&[]);
    let out = found
        .iter()
        .position(|path| path.starts_with("out"))
        .expect("the fake's answer quotes its arguments");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(
        found
            .iter()
            .enumerate()
            .all(|(n, path)| n == out || path.starts_with("state"))
    );
}

#[test]
fn normalization_replaces_variable_output() {
    let sb = Sandbox::new();
    let uid = "jsonpath={.metadata.uid}";
    let run = sb.run_tool(
        "kubectl",
        &["get", "namespace", "kube-system", "--output", uid],
        None,
    );
    assert_eq!(
        run.normalized_output(),
        "exit 0\n--- stdout\n[UID]--- stderr\n"
    );
    let fake = sb.path("bin/kubectl").canonicalize().expect("a link");
    let text = format!(
        "{} in {}: 2026-11-23T22:55:02.123Z, 12ms, 1.5 s, --timeout=30s, pid 4711, sha256:{}, \
         bypassctl 1.2.3",
        fake.display(),
        sb.home_path("x").display(),
        "0123456789abcdef".repeat(4)
    );
    let stdout = "{}";
    sb.inject_fault(json!({"tool": "kubectl", "do": {"exit": {"code": 0, "stdout": text}}}));
    assert_eq!(
        sb.run_tool("kubectl", &[stdout], None).normalized_stdout(),
        "[FAKE] in [SANDBOX]/home/x: [TIME], [DURATION], [DURATION], --timeout=30s, pid [PID], \
         sha256:[SHA256], bypassctl [VERSION]"
    );
}
