//! kubectl, its context and the cluster.

use super::{enable, error, refused};
use crate::sandbox::Sandbox;
use serde_json::json;

/// Runs `enable` with a cluster changed by `change`, which must end with this code, and returns the error.
fn failing(code: i32, more: &[&str], change: impl FnOnce(&Sandbox)) -> String {
    let sb = Sandbox::new();
    change(&sb);
    error(&refused(&sb, code, more))
}

#[test]
fn kubectls() {
    for version in [
        "v1.20.2",
        "v1.24.0",
        "v1.28.3",
        "v1.32.4-dispatcher",
        "v1.37.1",
    ] {
        let sb = Sandbox::new();
        sb.kubectl_version(version);
        let run = enable(&sb, &["--verify", "require"]);
        assert_eq!(run.code, 0, "{version}: {}", run.stderr);
        assert_eq!(sb.read(super::TOKEN_FILE).into_bytes(), sb.admin_token());
    }
}

#[test]
fn a_kubectl_that_is_too_old() {
    let version = json!({"clientVersion": {"major": "1", "minor": "19", "gitVersion": "v1.19.16"}})
        .to_string();
    let text = failing(4, &[], |sb| {
        sb.fault(json!({"tool": "kubectl", "contains": ["version"], "do": {"exit": {"code": 0, "stdout": version}}}));
    });
    insta::assert_snapshot!(text, @"
    error: kubectl 1.19.16 is too old: kubectl 1.20.0 or newer is needed
    hint: update it, or name another: --kubectl PATH
    audit head [UID] 6:[SHA256]
    ");
}

#[test]
fn the_namespace_is_not_there() {
    let sb = Sandbox::new();
    let before = sb.picture();
    let run = sb.run(&["enable", "-n", "influx"]);
    assert_eq!(run.code, 1);
    assert!(sb.picture() == before);
    insta::assert_snapshot!(error(&run), @r#"
    error: secret `admin-token` cannot be read: Error from server (NotFound): namespaces "influx" not found
    hint: look at the name of the namespace and at the context: `kubectl get secrets,jobs --namespace NS`
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn forbidden() {
    let rule = json!({"verb": "get", "resource": "secrets"});
    insta::assert_snapshot!(failing(4, &[], |sb| sb.deny(rule)), @r#"
    error: secret `admin-token` cannot be read: Error from server (Forbidden): secrets "admin-token" is forbidden: User "admin" cannot get resource "secrets" in API group "" in the namespace "influxdb"
    hint: ask for this right, or use another account (`--context`, `--as`)
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn an_account_without_any_rights() {
    for pins in [
        &["--context", "sim-viewer"][..],
        &["--as", "viewer", "--as-group", "nobody"],
    ] {
        let text = failing(4, pins, |_| ());
        assert!(
            text.contains("User \"viewer\" cannot get resource \"secrets\""),
            "{text}"
        );
    }
}

#[test]
fn unauthorized_for_each_kubectl() {
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let text = failing(4, &[], |sb| {
            sb.kubectl_version(version);
            sb.cluster(|cluster| cluster["unauthorized"] = json!(true));
        });
        assert!(
            text.contains("hint: log in to the cluster first"),
            "{version}: {text}"
        );
    }
}

#[test]
fn unreachable_for_each_kubectl() {
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let text = failing(5, &[], |sb| {
            sb.kubectl_version(version);
            sb.cluster(|cluster| cluster["unreachable"] = json!(true));
        });
        assert!(
            text.contains("The connection to the server 127.0.0.1:26443 was refused"),
            "{version}: {text}"
        );
    }
}

#[test]
fn an_unknown_context() {
    insta::assert_snapshot!(failing(1, &["--context", "nope"], |_| ()), @"
    error: the context in force cannot be found out: cannot locate context nope
    hint: known contexts: `kubectl config get-contexts --output name`
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn no_kubeconfig() {
    insta::assert_snapshot!(failing(1, &[], |sb| sb.world(|world| world["current_context"] = json!(""))), @r"
    error: no cluster is named: no context is in force
    hint: name a kubeconfig (`--kubeconfig`, KUBECONFIG) and a context (`--context`)
    audit head [UID] 11:[SHA256]
    ");
    let text = failing(1, &["--kubeconfig", "/no/where"], |_| ());
    // As kubectl 1.20 to 1.37 say themselves, a file that is not there is an empty one to `config view`.
    assert!(
        text.starts_with("error: no cluster is named: `/no/where` is not there\nhint: "),
        "{text}"
    );
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let mut sb = Sandbox::new();
        sb.kubectl_version(version);
        sb.env("KUBECONFIG", "/no/where");
        let text = error(&refused(&sb, 1, &[]));
        assert!(
            text.starts_with("error: no cluster is named: no context is in force\nhint: "),
            "{text}"
        );
    }
}

#[test]
fn inside_a_cluster_there_is_no_context() {
    let mut sb = Sandbox::new();
    sb.world(|world| {
        world["current_context"] = json!("");
        world["in_cluster"] =
            json!({"server": "https://10.0.0.1:443", "cluster": "sim", "user": "ci"});
    });
    sb.env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "443");
    let run = enable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        !sb.call_lines().contains("--context"),
        "{}",
        sb.call_lines()
    );
    sb.deny(json!({"verb": "get", "resource": "namespaces"}));
    assert_eq!(enable(&sb, &[]).code, 0);
}

#[test]
fn every_call_is_pinned_and_flags_are_handed_on() {
    let sb = Sandbox::new();
    let kubeconfig = sb.write("home/kube config", "").display().to_string();
    let run = enable(
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
    insta::assert_snapshot!(sb.sorted_call_lines(), @r#"
    influxctl --config [SANDBOX]/run/bypassctl-trial-[RANDOM]/config.toml --profile default database list --format json
    influxctl version
    kubectl config view --minify --output 'jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}' --kubeconfig '[SANDBOX]/home/kube config'
    kubectl get namespace kube-system --output jsonpath={.metadata.uid} --kubeconfig '[SANDBOX]/home/kube config' --context sim-dev --as ann --as-group a --as-group b
    kubectl get namespace kube-system --output jsonpath={.metadata.uid} --kubeconfig '[SANDBOX]/home/kube config' --context sim-dev --as ann --as-group a --as-group b
    kubectl get secrets/admin-token --template={{.data.token}} --namespace influxdb --kubeconfig '[SANDBOX]/home/kube config' --context sim-dev --as ann --as-group a --as-group b
    kubectl version --client --output json
    "#);
}

#[test]
fn an_account_that_may_not_read_kube_system() {
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    assert_eq!(enable(&sb, &[]).code, 0);
    let lines = sb.call_lines();
    assert_eq!(
        lines.matches("get namespace influxdb ").count(),
        2,
        "{lines}"
    );
    sb.deny(json!({"verb": "get", "resource": "namespaces"}));
    sb.forget_calls();
    assert_eq!(enable(&sb, &[]).code, 0);
    let lines = sb.call_lines();
    assert_eq!(
        lines
            .matches("'jsonpath={.clusters[0].cluster.server}'")
            .count(),
        0,
        "{lines}"
    );
    assert_eq!(
        lines
            .matches("jsonpath={.clusters[0].cluster.server} ")
            .count(),
        2,
        "{lines}"
    );
}

/// Holds `enable` before its second call with these words, changes the world, and lets it go on.
fn changed_meanwhile(sb: &Sandbox, words: &[&str], change: impl FnOnce()) {
    let before = sb.picture();
    sb.fault(
        json!({"tool": "kubectl", "contains": words, "nth": 2, "before": true,
                    "do": {"wait_for_file": {"path": "second-look"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_reached("second-look");
    change();
    sb.release("second-look");
    let run = running.wait();
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(sb.picture() == before);
    let said =
        "error: the context leads to another cluster now than at the start of this run\nhint: ";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    sb.assert_no_secret(&[]);
}

#[test]
fn another_cluster_under_the_same_name() {
    let sb = Sandbox::new();
    let other = json!("6b1f1f0e-0000-4000-8000-000000000001");
    changed_meanwhile(&sb, &["kube-system"], || {
        sb.cluster(|cluster| cluster["namespaces"]["kube-system"] = other)
    });
}

#[test]
fn another_context_of_the_same_name() {
    let sb = Sandbox::new();
    changed_meanwhile(&sb, &["kube-system"], || {
        sb.world(|world| world["contexts"]["sim-dev"]["cluster"] = json!("prod"));
    });
}

#[test]
fn another_namespace_for_an_account_that_sees_no_more() {
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let other = json!("6b1f1f0e-0000-4000-8000-000000000002");
    changed_meanwhile(&sb, &["namespace", "influxdb"], || {
        sb.cluster(|cluster| cluster["namespaces"]["influxdb"] = other)
    });
}

#[test]
fn the_current_context_may_change_meanwhile() {
    let sb = Sandbox::new();
    sb.fault(
        json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 1, "before": true,
                    "do": {"wait_for_file": {"path": "look"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_reached("look");
    sb.world(|world| world["current_context"] = json!("acme-prod"));
    sb.release("look");
    assert_eq!(running.wait().code, 0);
    assert_eq!(sb.read(super::TOKEN_FILE).into_bytes(), sb.admin_token());
}

#[test]
fn a_kuberc_has_no_say() {
    let sb = Sandbox::new();
    sb.write(
        "home/.kube/kuberc",
        "overrides:\n- command: create\n  flags:\n  - name: dry-run\n    default: client\n",
    );
    assert_eq!(enable(&sb, &[]).code, 0);
    assert_eq!(sb.run(&["doctor", "-n", "influxdb"]).code, 0);
}
