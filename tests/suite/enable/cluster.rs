//! kubectl, its context and the cluster.

use super::{expect_refusal, run_enable};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use serde_json::json;

/// Runs `enable` on a changed cluster, which must exit with this code. Returns the error.
fn expect_error(code: i32, more: &[&str], change: impl FnOnce(&Sandbox)) -> String {
    let sb = Sandbox::new();
    change(&sb);
    extract_error(&expect_refusal(&sb, code, more))
}

#[test]
fn enable_works_with_each_supported_kubectl() {
    for version in [
        "v1.20.2",
        "v1.24.0",
        "v1.28.3",
        "v1.32.4-dispatcher",
        "v1.37.1",
    ] {
        let sb = Sandbox::new();
        sb.set_kubectl_version(version);
        let run = run_enable(&sb, &["--verify", "require"]);
        assert_eq!(run.code, 0, "{version}: {}", run.stderr);
        assert_eq!(sb.read(super::TOKEN_FILE).into_bytes(), sb.admin_token());
    }
}

#[test]
fn enable_refuses_outdated_kubectl() {
    let version = json!({"clientVersion": {"major": "1", "minor": "19", "gitVersion": "v1.19.16"}})
        .to_string();
    let text = expect_error(4, &[], |sb| {
        sb.inject_fault(json!({
            "tool": "kubectl",
            "contains": ["version"],
            "do": {"exit": {"code": 0, "stdout": version}}
        }));
    });
    insta::assert_snapshot!(text, @"
    error: kubectl 1.19.16 is too old: 1.20.0 or newer is required
    hint: update it, or choose another one with --kubectl PATH
    audit head [UID] 6:[SHA256]
    ");
}

#[test]
fn enable_fails_when_namespace_is_missing() {
    let sb = Sandbox::new();
    let before = sb.snapshot_files();
    let run = sb.run(&["enable", "-n", "influx"]);
    assert_eq!(run.code, 1);
    assert!(sb.snapshot_files() == before);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @r#"
    error: cannot read secret `admin-token`: Error from server (NotFound): namespaces "influx" not
        found
    hint: check the namespace and the context with `kubectl get secrets,jobs --namespace influx
        --context sim-dev`
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn enable_refuses_when_secret_is_forbidden() {
    let rule = json!({"verb": "get", "resource": "secrets"});
    insta::assert_snapshot!(wrap_lines(expect_error(4, &[], |sb| sb.deny_access(rule))), @r#"
    error: cannot read secret `admin-token`: Error from server (Forbidden): secrets "admin-token" is
        forbidden: User "admin" cannot get resource "secrets" in API group "" in the namespace
        "influxdb"
    hint: ask for this permission, or use another account with `--context` or `--as`
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn enable_refuses_account_without_permissions() {
    for pins in [
        &["--context", "sim-viewer"][..],
        &["--as", "viewer", "--as-group", "nobody"],
    ] {
        let text = expect_error(4, pins, |_| ());
        assert!(
            text.contains("User \"viewer\" cannot get resource \"secrets\""),
            "{text}"
        );
    }
}

#[test]
fn unauthorized_error_hints_at_login_for_each_kubectl() {
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let text = expect_error(4, &[], |sb| {
            sb.set_kubectl_version(version);
            sb.edit_cluster(|cluster| cluster["unauthorized"] = json!(true));
        });
        assert!(
            text.contains("hint: log in to the cluster until"),
            "{version}: {text}"
        );
    }
}

#[test]
fn unreachable_cluster_exits_with_5_for_each_kubectl() {
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let text = expect_error(5, &[], |sb| {
            sb.set_kubectl_version(version);
            sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
        });
        assert!(
            text.contains("The connection to the server 127.0.0.1:26443 was refused"),
            "{version}: {text}"
        );
    }
}

#[test]
fn enable_fails_for_unknown_context() {
    insta::assert_snapshot!(expect_error(1, &["--context", "nope"], |_| ()), @"
    error: context `nope` not found in the kubeconfig
    hint: choose a context that `kubectl config get-contexts --output name` lists
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn enable_fails_without_kubeconfig_or_context() {
    let error = expect_error(1, &[], |sb| {
        sb.edit_state(|world| world["current_context"] = json!(""))
    });
    insta::assert_snapshot!(wrap_lines(error), @"
    error: cannot choose a cluster: no current context
    hint: choose a kubeconfig with `--kubeconfig` or KUBECONFIG, and a context with `--context`
    audit head [UID] 11:[SHA256]
    ");
    let text = expect_error(1, &["--kubeconfig", "/no/where"], |_| ());
    // To `config view` of kubectl 1.20 to 1.37 a missing file is an empty one.
    assert!(
        text.starts_with("error: kubeconfig `/no/where` not found\nhint: "),
        "{text}"
    );
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let mut sb = Sandbox::new();
        sb.set_kubectl_version(version);
        sb.set_env("KUBECONFIG", "/no/where");
        let text = extract_error(&expect_refusal(&sb, 1, &[]));
        assert!(
            text.starts_with("error: cannot choose a cluster: no current context\nhint: "),
            "{text}"
        );
    }
}

#[test]
fn enable_in_cluster_passes_no_context() {
    let mut sb = Sandbox::new();
    sb.edit_state(|world| {
        world["current_context"] = json!("");
        world["in_cluster"] =
            json!({"server": "https://10.0.0.1:443", "cluster": "sim", "user": "ci"});
    });
    sb.set_env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .set_env("KUBERNETES_SERVICE_PORT", "443");
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        !sb.call_lines().contains("--context"),
        "{}",
        sb.call_lines()
    );
    sb.deny_access(json!({"verb": "get", "resource": "namespaces"}));
    assert_eq!(run_enable(&sb, &[]).code, 0);
}

#[test]
fn kubectl_calls_carry_context_and_global_flags() {
    let sb = Sandbox::new();
    let kubeconfig = sb.write("home/kube config", "").display().to_string();
    let run = run_enable(
        &sb,
        &[
            "--kubeconfig",
            &kubeconfig,
            "--as",
            "ann",
            "--as-group",
            "a",
            "--as-group",
            "b",
        ],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    insta::assert_snapshot!(wrap_lines(sb.sorted_call_lines()), @r#"
    influxctl --config [SANDBOX]/run/bypassctl-probe-[RANDOM]/config.toml --profile default database
        list --format json
    influxctl version
    kubectl config view --minify --output
        'jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}{.contexts[0].context.user}{"\n"}{.clusters[0].cluster.tls-server-name}{"\n"}{.clusters[0].cluster.insecure-skip-tls-verify}{"\n"}{range
        .clusters[?(@.cluster.proxy-url)]}proxy{end}{"\n"}' --kubeconfig '[SANDBOX]/home/kube
        config'
    kubectl get namespace kube-system --output jsonpath={.metadata.uid} --kubeconfig
        '[SANDBOX]/home/kube config' --context sim-dev --server https://127.0.0.1:26443 --as ann
        --as-group a --as-group b
    kubectl get secrets/admin-token --template={{.data.token}} --namespace influxdb --kubeconfig
        '[SANDBOX]/home/kube config' --context sim-dev --server https://127.0.0.1:26443 --as ann
        --as-group a --as-group b
    kubectl version --client --output json
    "#);
}

#[test]
fn enable_falls_back_when_kube_system_is_forbidden() {
    let sb = Sandbox::new();
    sb.deny_access(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let lines = sb.call_lines();
    assert_eq!(
        lines.matches("get namespace influxdb ").count(),
        1,
        "{lines}"
    );
    sb.deny_access(json!({"verb": "get", "resource": "namespaces"}));
    // Without any UID, the pinned server identifies the cluster.
    assert_eq!(run_enable(&sb, &[]).code, 0);
}

/// Pauses `enable` before its second call with these words, and changes the world.
fn assert_cluster_change_refused(sb: &Sandbox, words: &[&str], change: impl FnOnce()) {
    let before = sb.snapshot_files();
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": words, "nth": 2, "before": true,
                    "do": {"wait_for_file": {"path": "second-check"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("second-check");
    change();
    sb.release_gate("second-check");
    let run = running.wait();
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(sb.snapshot_files() == before);
    let expected =
        "error: the context points to another cluster than at the start of this run\nhint: ";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn enable_refuses_when_cluster_uid_changes() {
    let sb = Sandbox::new();
    sb.skip_tls_verification();
    let other = json!("6b1f1f0e-0000-4000-8000-000000000001");
    assert_cluster_change_refused(&sb, &["kube-system"], || {
        sb.edit_cluster(|cluster| cluster["namespaces"]["kube-system"] = other)
    });
}

#[test]
fn enable_refuses_when_namespace_uid_changes() {
    let sb = Sandbox::new();
    sb.skip_tls_verification();
    sb.deny_access(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let other = json!("6b1f1f0e-0000-4000-8000-000000000002");
    assert_cluster_change_refused(&sb, &["namespace", "influxdb"], || {
        sb.edit_cluster(|cluster| cluster["namespaces"]["influxdb"] = other)
    });
}

#[test]
fn cluster_is_checked_again_only_where_server_is_ambiguous() {
    let settings = [
        (json!({}), 1),
        (json!({"insecure": true}), 2),
        (json!({"proxy": true}), 2),
        (json!({"server": "http://127.0.0.1:26443"}), 2),
        (json!({"server": "HTTPS://127.0.0.1:26443"}), 1),
    ];
    for (fields, looks) in settings {
        let sb = Sandbox::new();
        sb.edit_state(|world| {
            for (name, value) in fields.as_object().expect("fields") {
                world["contexts"]["sim-dev"][name] = value.clone();
            }
        });
        assert_eq!(run_enable(&sb, &[]).code, 0, "{fields}");
        let lines = sb.call_lines();
        assert_eq!(lines.matches(" kube-system ").count(), looks, "{fields}");
    }
}

#[test]
fn enable_keeps_server_when_context_is_redefined() {
    let sb = Sandbox::new();
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true,
                    "do": {"wait_for_file": {"path": "gate"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("gate");
    sb.edit_state(|world| {
        world["contexts"]["sim-dev"] = world["contexts"]["acme-prod"].clone();
    });
    sb.release_gate("gate");
    assert_eq!(running.wait().code, 0);
    assert_eq!(sb.read(super::TOKEN_FILE).into_bytes(), sb.admin_token());
}

/// kubectl ignores the name in the kubeconfig as soon as `--server` is given.
#[test]
fn kubectl_calls_carry_tls_server_name() {
    let sb = Sandbox::new();
    sb.edit_state(|world| {
        world["contexts"]["sim-dev"]["tls_server_name"] = json!("api.invalid");
    });
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        sb.call_lines().contains(" --tls-server-name api.invalid\n"),
        "{}",
        sb.call_lines()
    );
}

#[test]
fn server_with_credentials_is_refused() {
    let sb = Sandbox::new();
    sb.edit_state(|world| {
        world["contexts"]["sim-dev"]["server"] = json!("https://ann:pass-word@127.0.0.1:26443");
    });
    let run = expect_refusal(&sb, 4, &[]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: the server of context `sim-dev` has credentials in its URL, which other users of this
        host could read in the command line
    hint: move them from `server` to the user of the context, for example as a token
    audit head [UID] 11:[SHA256]
    ");
    let log = String::from_utf8_lossy(&sb.read_log()).into_owned();
    for text in [run.stdout, run.stderr, sb.call_lines(), log] {
        assert!(!text.contains("pass-word"), "{text}");
    }
}

#[test]
fn enable_keeps_context_when_current_context_changes() {
    let sb = Sandbox::new();
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 1, "before": true,
                    "do": {"wait_for_file": {"path": "check"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("check");
    sb.edit_state(|world| world["current_context"] = json!("acme-prod"));
    sb.release_gate("check");
    assert_eq!(running.wait().code, 0);
    assert_eq!(sb.read(super::TOKEN_FILE).into_bytes(), sb.admin_token());
}

#[test]
fn enable_ignores_kuberc() {
    let sb = Sandbox::new();
    sb.write(
        "home/.kube/kuberc",
        "overrides:\n- command: create\n  flags:\n  - name: dry-run\n    default: client\n",
    );
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(sb.run(&["doctor", "-n", "influxdb"]).code, 0);
}
