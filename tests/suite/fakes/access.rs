//! Connection, authentication and permissions.

use super::{GET_TOKEN_ARGS, run_kubectl, run_kubectl_ok};
use crate::sandbox::Sandbox;
use serde_json::json;

const GET_CLUSTER_UID: &str = "get namespace kube-system --output jsonpath={.metadata.uid}";
const VIEW_CONTEXT_ARGS: &[&str] = &[
    "config",
    "view",
    "--minify",
    "--output",
    concat!(
        r#"jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}"#,
        r#"{.contexts[0].context.user}{"\n"}{.clusters[0].cluster.tls-server-name}{"\n"}"#,
        r#"{.clusters[0].cluster.insecure-skip-tls-verify}{"\n"}"#,
        r#"{range .clusters[?(@.cluster.proxy-url)]}proxy{end}{"\n"}"#
    ),
];

const SIM_SERVER: &str = "https://127.0.0.1:26443";
const PROD_SERVER: &str = "https://prod.k8s.invalid:6443";

fn view_context(sb: &Sandbox, pins: &[&str]) -> (i32, String) {
    let run = sb.run_tool("kubectl", &[VIEW_CONTEXT_ARGS, pins].concat(), None);
    (run.code, run.stdout + &run.stderr)
}

#[test]
fn context_flag_selects_cluster() {
    let sb = Sandbox::new();
    assert_eq!(
        view_context(&sb, &[]),
        (0, format!("sim-dev\n{SIM_SERVER}\nadmin\n\n\n\n"))
    );
    let prod = (0, format!("acme-prod\n{PROD_SERVER}\nadmin\n\n\n\n"));
    assert_eq!(view_context(&sb, &["--context", "acme-prod"]), prod);
    assert_eq!(
        view_context(&sb, &["--context", "nope"]),
        (1, "error: cannot locate context nope\n".into())
    );
    assert_ne!(
        run_kubectl_ok(&sb, GET_CLUSTER_UID),
        run_kubectl_ok(
            &sb,
            &format!("{GET_CLUSTER_UID} --context acme-prod --server {PROD_SERVER}")
        )
    );
    assert_eq!(
        run_kubectl_ok(&sb, GET_CLUSTER_UID),
        run_kubectl_ok(
            &sb,
            &format!("--context sim-dev {GET_CLUSTER_UID} --server {SIM_SERVER}")
        )
    );
    let run = run_kubectl(&sb, &format!("{GET_CLUSTER_UID} --context nope"));
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (1, "error: context \"nope\" does not exist\n")
    );
}

#[test]
fn server_flag_precedes_server_of_context() {
    let sb = Sandbox::new();
    let get = |flags: &str| run_kubectl(&sb, &format!("{GET_CLUSTER_UID} {flags}"));
    let prod = format!("--context acme-prod --server {PROD_SERVER}");
    assert_eq!(
        get(&format!("--context sim-dev --server {PROD_SERVER}")).stdout,
        get(&prod).stdout
    );
    let run = get("--context acme-prod");
    assert!(
        run.code == 99 && run.stderr.contains("--context without --server"),
        "{}",
        run.stderr
    );
    // With `--server`, the name in the kubeconfig does not count.
    sb.edit_state(|world| world["contexts"]["acme-prod"]["tls_server_name"] = json!("api.invalid"));
    let run = get(&prod);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (
            1,
            "Unable to connect to the server: tls: failed to verify certificate: x509: \
             certificate is valid for api.invalid, not prod.k8s.invalid\n"
        )
    );
    assert_eq!(
        get(&format!("{prod} --tls-server-name api.invalid")).code,
        0
    );
}

#[test]
fn missing_context_falls_back_to_in_cluster() {
    let sb = Sandbox::new();
    sb.edit_state(|world| world["current_context"] = json!(""));
    let nothing = (
        1,
        "error: current-context must exist in order to minify\n".to_owned(),
    );
    assert_eq!(view_context(&sb, &[]), nothing);
    assert!(run_kubectl(&sb, GET_CLUSTER_UID).stderr.ends_with(
        "The connection to the server localhost:8080 was refused - did you specify the right host \
         or port?\n"
    ));
    sb.edit_state(|world| {
        world["in_cluster"] =
            json!({"server": "https://10.0.0.1:443", "cluster": "sim", "user": "ci"});
    });
    assert_eq!(run_kubectl_ok(&sb, GET_CLUSTER_UID).len(), 36);
    assert_eq!(view_context(&sb, &[]), nothing);
}

#[test]
fn kubeconfig_flag_selects_file() {
    let sb = Sandbox::new();
    let other = sb.write("other.kubeconfig", "");
    let other = other.to_str().expect("text");
    sb.edit_state(|world| {
        let prod = world["contexts"]["acme-prod"].clone();
        world["kubeconfigs"][other] = json!({"contexts": {"p": prod}, "current_context": "p"});
    });
    assert_eq!(
        view_context(&sb, &["--kubeconfig", other]),
        (0, format!("p\n{PROD_SERVER}\nadmin\n\n\n\n"))
    );
    let missing = run_kubectl(&sb, &format!("{GET_CLUSTER_UID} --kubeconfig /no/where"));
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (1, "error: stat /no/where: no such file or directory\n")
    );
}

#[test]
fn viewer_is_forbidden_to_read_secrets() {
    let sb = Sandbox::new();
    for pins in [
        "--context sim-viewer --server https://127.0.0.1:26443",
        "--as viewer --as-group a --as-group b",
    ] {
        let run = run_kubectl(&sb, &format!("{} {pins}", GET_TOKEN_ARGS.join(" ")));
        let text = "Error from server (Forbidden): secrets \"admin-token\" is forbidden: User \
                    \"viewer\" cannot get resource \"secrets\" in API group \"\" in the namespace \
                    \"influxdb\"\n";
        assert_eq!((run.code, run.stderr.as_str()), (1, text));
    }
}

#[test]
fn denied_permissions_are_enforced() {
    let sb = Sandbox::new();
    sb.deny_access(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let run = run_kubectl(&sb, GET_CLUSTER_UID);
    assert!(
        run.stderr
            .contains("namespaces \"kube-system\" is forbidden: User \"admin\" cannot get"),
        "{}",
        run.stderr
    );
    assert_eq!(
        run_kubectl_ok(&sb, "get namespace influxdb --output name"),
        "namespace/influxdb\n"
    );
    sb.deny_access(
        json!({"verb": "delete", "resource": "*", "user": "admin", "namespace": "influxdb"}),
    );
    assert_eq!(
        run_kubectl(
            &sb,
            "auth can-i delete secrets/rsa-keys --namespace influxdb"
        )
        .stdout,
        "no\n"
    );
    assert_eq!(
        run_kubectl(&sb, "auth can-i get secrets/rsa-keys --namespace influxdb").stdout,
        "yes\n"
    );
    assert_eq!(
        run_kubectl(&sb, "delete secrets/rsa-keys --namespace influxdb").code,
        1
    );
}

#[test]
fn unauthorized_and_unreachable_servers_fail() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| cluster["unauthorized"] = json!(true));
    assert_eq!(
        run_kubectl(&sb, GET_CLUSTER_UID).stderr,
        "error: You must be logged in to the server (Unauthorized)\n"
    );
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
    assert!(run_kubectl(&sb, GET_CLUSTER_UID).stderr.ends_with(
        "The connection to the server 127.0.0.1:26443 was refused - did you specify the right host \
         or port?\n"
    ));
    assert_eq!(
        run_kubectl_ok(
            &sb,
            &format!("{GET_CLUSTER_UID} --context acme-prod --server {PROD_SERVER}")
        )
        .len(),
        36
    );
}

#[test]
fn vendor_and_intermediate_versions_are_supported() {
    let sb = Sandbox::new();
    sb.set_kubectl_version("v1.28.5-eks-5e0fdde");
    let text = run_kubectl_ok(&sb, "version --client --output json");
    assert!(
        text.contains("\"gitVersion\": \"v1.28.5-eks-5e0fdde\"")
            && text.contains("\"minor\": \"28+\""),
        "{text}"
    );
    for (version, deleted) in [
        ("v1.33.9", "deleted\n"),
        ("v1.35.0", "deleted from influxdb namespace\n"),
    ] {
        let sb = Sandbox::new();
        sb.set_kubectl_version(version);
        let text = run_kubectl_ok(&sb, "delete secrets/rsa-keys --namespace influxdb");
        assert_eq!(text, format!("secret \"rsa-keys\" {deleted}"));
    }
}

#[test]
fn missing_secret_is_reported_beside_existing_one() {
    let sb = Sandbox::new();
    sb.remove_secret("rsa-keys");
    let columns = "custom-columns=NAME:.metadata.name,UID:.metadata.uid";
    let line = format!(
        "get secrets/rsa-keys secrets/admin-token --namespace influxdb --output {columns} \
         --no-headers"
    );
    let run = run_kubectl(&sb, &line);
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (
            1,
            "Error from server (NotFound): secrets \"rsa-keys\" not found\n"
        )
    );
    assert!(
        run.stdout.starts_with("admin-token   ") && run.stdout.lines().count() == 1,
        "{}",
        run.stdout
    );
}

#[test]
fn mistyped_cluster_setting_is_an_error() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| cluster["unreachabel"] = json!(true));
    let run = run_kubectl(&sb, GET_CLUSTER_UID);
    assert!(
        run.code == 101 && run.stderr.contains("unknown field `unreachabel`"),
        "{}",
        run.stderr
    );
}

#[test]
fn get_prints_accessible_namespaces_and_reports_others() {
    let sb = Sandbox::new();
    let get = |names: &str| {
        let line = format!(
            "get namespace {names} --output custom-columns=NAME:.metadata.name,UID:.metadata.uid"
        );
        run_kubectl(&sb, &format!("{line} --no-headers"))
    };
    let both = get("kube-system influxdb");
    let uid = |name: &str| {
        sb.refresh_cluster()["namespaces"][name]
            .as_str()
            .expect("a UID")
            .to_owned()
    };
    let own_line = format!("influxdb   {}\n", uid("influxdb"));
    let rows = format!(
        "kube-system   {}\ninfluxdb      {}\n",
        uid("kube-system"),
        uid("influxdb")
    );
    assert_eq!(
        (both.code, both.stdout, both.stderr.as_str()),
        (0, rows, "")
    );
    let missing = get("influxdb nope");
    let text = "Error from server (NotFound): namespaces \"nope\" not found\n";
    assert_eq!(
        (missing.code, &missing.stdout, missing.stderr.as_str()),
        (1, &own_line, text)
    );
    sb.deny_access(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let forbidden = get("kube-system influxdb");
    let text = "Error from server (Forbidden): namespaces \"kube-system\" is forbidden: User \
                \"admin\" cannot get resource \"namespaces\" in API group \"\" in the namespace \
                \"kube-system\"\n";
    assert_eq!(
        (forbidden.code, &forbidden.stdout, forbidden.stderr.as_str()),
        (1, &own_line, text)
    );
}
