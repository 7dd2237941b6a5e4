//! Getting to the cluster, and being allowed there.

use super::{TOKEN, done, kubectl};
use crate::sandbox::Sandbox;
use serde_json::json;

const UID: &str = "get namespace kube-system --output jsonpath={.metadata.uid}";
const VIEW: &[&str] = &[
    "config",
    "view",
    "--minify",
    "--output",
    r#"jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}"#,
];

fn view(sb: &Sandbox, pins: &[&str]) -> (i32, String) {
    let run = sb.tool("kubectl", &[VIEW, pins].concat(), None);
    (run.code, run.stdout + &run.stderr)
}

#[test]
fn contexts() {
    let sb = Sandbox::new();
    assert_eq!(
        view(&sb, &[]),
        (0, "sim-dev\nhttps://127.0.0.1:26443\n".into())
    );
    let prod = (0, "acme-prod\nhttps://prod.k8s.invalid:6443\n".to_owned());
    assert_eq!(view(&sb, &["--context", "acme-prod"]), prod);
    assert_eq!(
        view(&sb, &["--context", "nope"]),
        (1, "error: cannot locate context nope\n".into())
    );
    assert_ne!(
        done(&sb, UID),
        done(&sb, &format!("{UID} --context acme-prod"))
    );
    assert_eq!(
        done(&sb, UID),
        done(&sb, &format!("--context sim-dev {UID}"))
    );
    let run = kubectl(&sb, &format!("{UID} --context nope"));
    assert_eq!(
        (run.code, run.stderr.as_str()),
        (1, "error: context \"nope\" does not exist\n")
    );
}

#[test]
fn without_a_context() {
    let sb = Sandbox::new();
    sb.world(|world| world["current_context"] = json!(""));
    let nothing = (
        1,
        "error: current-context must exist in order to minify\n".to_owned(),
    );
    assert_eq!(view(&sb, &[]), nothing);
    assert!(kubectl(&sb, UID).stderr.ends_with(
        "The connection to the server localhost:8080 was refused - did you specify the right host or port?\n"
    ));
    sb.world(|world| {
        world["in_cluster"] =
            json!({"server": "https://10.0.0.1:443", "cluster": "sim", "user": "ci"});
    });
    assert_eq!(done(&sb, UID).len(), 36);
    assert_eq!(view(&sb, &[]), nothing);
}

#[test]
fn kubeconfigs() {
    let sb = Sandbox::new();
    let other = sb.write("other.kubeconfig", "");
    let other = other.to_str().expect("text");
    sb.world(|world| {
        let prod = world["contexts"]["acme-prod"].clone();
        world["kubeconfigs"][other] = json!({"contexts": {"p": prod}, "current_context": "p"});
    });
    assert_eq!(
        view(&sb, &["--kubeconfig", other]),
        (0, "p\nhttps://prod.k8s.invalid:6443\n".into())
    );
    let missing = kubectl(&sb, &format!("{UID} --kubeconfig /no/where"));
    assert_eq!(
        (missing.code, missing.stderr.as_str()),
        (1, "error: stat /no/where: no such file or directory\n")
    );
}

#[test]
fn rights() {
    let sb = Sandbox::new();
    for pins in [
        "--context sim-viewer",
        "--as viewer --as-group a --as-group b",
    ] {
        let run = kubectl(&sb, &format!("{} {pins}", TOKEN.join(" ")));
        let text = "Error from server (Forbidden): secrets \"admin-token\" is forbidden: User \"viewer\" cannot get \
                    resource \"secrets\" in API group \"\" in the namespace \"influxdb\"\n";
        assert_eq!((run.code, run.stderr.as_str()), (1, text));
    }
}

#[test]
fn rights_can_be_taken() {
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let run = kubectl(&sb, UID);
    assert!(
        run.stderr
            .contains("namespaces \"kube-system\" is forbidden: User \"admin\" cannot get"),
        "{}",
        run.stderr
    );
    assert_eq!(
        done(&sb, "get namespace influxdb --output name"),
        "namespace/influxdb\n"
    );
    sb.deny(json!({"verb": "delete", "resource": "*", "user": "admin", "namespace": "influxdb"}));
    assert_eq!(
        kubectl(
            &sb,
            "auth can-i delete secrets/rsa-keys --namespace influxdb"
        )
        .stdout,
        "no\n"
    );
    assert_eq!(
        kubectl(&sb, "auth can-i get secrets/rsa-keys --namespace influxdb").stdout,
        "yes\n"
    );
    assert_eq!(
        kubectl(&sb, "delete secrets/rsa-keys --namespace influxdb").code,
        1
    );
}

#[test]
fn servers_that_refuse() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["unauthorized"] = json!(true));
    assert_eq!(
        kubectl(&sb, UID).stderr,
        "error: You must be logged in to the server (Unauthorized)\n"
    );
    sb.cluster(|cluster| cluster["unreachable"] = json!(true));
    assert!(kubectl(&sb, UID).stderr.ends_with(
        "The connection to the server 127.0.0.1:26443 was refused - did you specify the right host or port?\n"
    ));
    assert_eq!(done(&sb, &format!("{UID} --context acme-prod")).len(), 36);
}

#[test]
fn vendors_and_versions_between() {
    let sb = Sandbox::new();
    sb.kubectl_version("v1.28.5-eks-5e0fdde");
    let text = done(&sb, "version --client --output json");
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
        sb.kubectl_version(version);
        let text = done(&sb, "delete secrets/rsa-keys --namespace influxdb");
        assert_eq!(text, format!("secret \"rsa-keys\" {deleted}"));
    }
}

#[test]
fn a_missing_one_of_two_is_told_beside_the_other() {
    let sb = Sandbox::new();
    sb.remove_secret("rsa-keys");
    let columns =
        "custom-columns=NAME:.metadata.name,UID:.metadata.uid,CREATED:.metadata.creationTimestamp";
    let line = format!(
        "get secrets/rsa-keys secrets/admin-token --namespace influxdb --output {columns} --no-headers"
    );
    let run = kubectl(&sb, &line);
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
fn a_mistyped_setting_fails() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| cluster["unreachabel"] = json!(true));
    let run = kubectl(&sb, UID);
    assert!(
        run.code == 101 && run.stderr.contains("unknown field `unreachabel`"),
        "{}",
        run.stderr
    );
}

#[test]
fn several_namespaces_in_one_call() {
    let sb = Sandbox::new();
    let get = |names: &str| {
        let line = format!(
            "get namespace {names} --output custom-columns=NAME:.metadata.name,UID:.metadata.uid"
        );
        kubectl(&sb, &format!("{line} --no-headers"))
    };
    let both = get("kube-system influxdb");
    let uid = |name: &str| {
        sb.now()["namespaces"][name]
            .as_str()
            .expect("a UID")
            .to_owned()
    };
    let own = format!("influxdb   {}\n", uid("influxdb"));
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
        (1, &own, text)
    );
    sb.deny(json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}));
    let forbidden = get("kube-system influxdb");
    let text = "Error from server (Forbidden): namespaces \"kube-system\" is forbidden: User \"admin\" cannot get resource \
                \"namespaces\" in API group \"\" in the namespace \"kube-system\"\n";
    assert_eq!(
        (forbidden.code, &forbidden.stdout, forbidden.stderr.as_str()),
        (1, &own, text)
    );
}
