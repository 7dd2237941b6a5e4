//! `doctor`

use crate::enable::CONFIG;
use crate::sandbox::{Run, Sandbox};
use serde_json::{Value, json};

/// Runs `doctor`, which must end with this code and change nothing.
fn doctor(sb: &Sandbox, code: i32, more: &[&str]) -> Run {
    let before = sb.picture();
    let run = sb.run(&[&["doctor", "-n", "influxdb"], more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    assert!(sb.picture() == before);
    sb.assert_no_secret(&[]);
    run
}

/// The lines of one check, with their hints.
fn of(run: &Run, check: &str) -> String {
    let text = run.normalised_stdout();
    let mut lines = text.lines().peekable();
    let mut found = String::new();
    while let Some(line) = lines.next() {
        if line
            .get(10..)
            .is_some_and(|rest| rest.starts_with(&format!("{check}: ")))
        {
            let hint = lines
                .next_if(|next| next.starts_with(' '))
                .map(|hint| format!("{hint}\n"))
                .unwrap_or_default();
            found = format!("{found}{line}\n{hint}");
        }
    }
    found
}

#[test]
fn everything_holds() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(doctor(&sb, 0, &[]).normalised(), @"
    exit 0
    --- stdout
    ok        policy: none in force, so no tool is pinned
    ok        kubectl: 1.34.5 at [FAKE]
    ok        context: `sim-dev`, server https://127.0.0.1:26443
    ok        cluster: the cluster answers, UID [UID]
    ok        namespace: `influxdb` is there, UID [UID]
    ok        may get secrets/admin-token: yes, for enable
    ok        may get secrets/rsa-keys: yes, for a revocation
    ok        may delete secrets/admin-token: yes, for a revocation
    ok        may delete secrets/rsa-keys: yes, for a revocation
    ok        may list jobs.batch: yes, for a revocation
    ok        may watch jobs.batch: yes, for a revocation
    ok        may create jobs.batch: yes, for a revocation
    ok        may get jobs.batch: yes, for a revocation
    ok        may delete jobs.batch: yes, for a revocation
    ok        may list pods: yes, for a revocation
    ok        may watch pods: yes, for a revocation
    ok        may delete pods: yes, for a revocation
    ok        secrets: `rsa-keys` of [TIME], `admin-token` of [TIME]
    ok        job key-gen: key-gen-7c9d2b41
    ok        job create-admin-token: create-admin-token-7c9d2b41
    ok        pods: 2 of 2 labelled app=token-management are ready
    ok        operator: kubit is absent: jobs are made again as clones
    ok        influxctl: 2.12.0 at [FAKE]
    ok        configuration: [SANDBOX]/home/.config/influxctl/config.toml has profile `default`
    warning   influxctl: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
               hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json can be written safely
    ok        audit log: it can be written, with room reserved for the result of each command before it runs
    every precondition holds
    --- stderr
    audit head [UID] 27:[SHA256]
    ");
    let lines = sb.sorted_call_lines();
    assert!(
        !lines.contains("admin-token --template") && !lines.contains("delete"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 11, "{lines}");
}

#[test]
#[expect(clippy::too_many_lines, reason = "most of it is a snapshot")]
fn an_account_that_may_only_look() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(doctor(&sb, 1, &["--context", "sim-viewer"]).normalised(), @r#"
    exit 1
    --- stdout
    ok        policy: none in force, so no tool is pinned
    ok        kubectl: 1.34.5 at [FAKE]
    ok        context: `sim-viewer`, server https://127.0.0.1:26443
    warning   cluster: the cluster answers; it can be told from others by its address only, https://127.0.0.1:26443
               hint: another cluster at the same address would not be noticed: `get` on namespace `kube-system` helps
    warning   namespace: whether `influxdb` is there may not be looked at
               hint: it shows when a secret is read
    failed    may get secrets/admin-token: no; enable needs it
               hint: kubectl create role NAME --verb=get --resource=secrets --resource-name=admin-token --namespace influxdb, and bind it to this account
    failed    may get secrets/rsa-keys: no; a revocation needs it
               hint: kubectl create role NAME --verb=get --resource=secrets --resource-name=rsa-keys --namespace influxdb, and bind it to this account
    failed    may delete secrets/admin-token: no; a revocation needs it
               hint: kubectl create role NAME --verb=delete --resource=secrets --resource-name=admin-token --namespace influxdb, and bind it to this account
    failed    may delete secrets/rsa-keys: no; a revocation needs it
               hint: kubectl create role NAME --verb=delete --resource=secrets --resource-name=rsa-keys --namespace influxdb, and bind it to this account
    failed    may list jobs.batch: no; a revocation needs it
               hint: kubectl create role NAME --verb=list --resource=jobs.batch --namespace influxdb, and bind it to this account
    failed    may watch jobs.batch: no; a revocation needs it
               hint: kubectl create role NAME --verb=watch --resource=jobs.batch --namespace influxdb, and bind it to this account
    failed    may create jobs.batch: no; a revocation needs it
               hint: kubectl create role NAME --verb=create --resource=jobs.batch --namespace influxdb, and bind it to this account
    ok        may get jobs.batch: no, and not needed: kubit does not make the jobs again here
    ok        may delete jobs.batch: no, and not needed: kubit does not make the jobs again here
    failed    may list pods: no; a revocation needs it
               hint: kubectl create role NAME --verb=list --resource=pods --namespace influxdb, and bind it to this account
    failed    may watch pods: no; a revocation needs it
               hint: kubectl create role NAME --verb=watch --resource=pods --namespace influxdb, and bind it to this account
    failed    may delete pods: no; a revocation needs it
               hint: kubectl create role NAME --verb=delete --resource=pods --namespace influxdb, and bind it to this account
    warning   secrets: `rsa-keys` and `admin-token` may not both be looked at
               hint: a revocation looks at their UIDs: it needs `get` on both
    failed    jobs: the jobs cannot be listed: Error from server (Forbidden): jobs.batch is forbidden: User "viewer" cannot list resource "jobs" in API group "batch" in the namespace "influxdb"
               hint: ask for this right, or use another account (`--context`, `--as`)
    failed    pods: the pods cannot be listed: Error from server (Forbidden): pods is forbidden: User "viewer" cannot list resource "pods" in API group "" in the namespace "influxdb"
               hint: ask for this right, or use another account (`--context`, `--as`)
    warning   operator: unknown: deployments of other namespaces may not be looked at
               hint: not needed: a revocation can make the jobs again by itself
    ok        influxctl: 2.12.0 at [FAKE]
    ok        configuration: [SANDBOX]/home/.config/influxctl/config.toml has profile `default`
    warning   influxctl: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
               hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json can be written safely
    ok        audit log: it can be written, with room reserved for the result of each command before it runs
    --- stderr
    error: 12 of the preconditions do not hold
    hint: each `failed` line says what mends it
    audit head [UID] 31:[SHA256]
    "#);
}

#[test]
fn one_right_is_missing() {
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "delete", "resource": "secrets", "name": "rsa-keys"}));
    let run = doctor(&sb, 1, &[]);
    assert_eq!(run.stdout.matches("failed ").count(), 1, "{}", run.stdout);
    assert!(
        run.stderr
            .contains("1 of the preconditions do not hold, all of them of a revocation"),
        "{}",
        run.stderr
    );
    insta::assert_snapshot!(of(&run, "may delete secrets/rsa-keys"), @r"
    failed    may delete secrets/rsa-keys: no; a revocation needs it
               hint: kubectl create role NAME --verb=delete --resource=secrets --resource-name=rsa-keys --namespace influxdb, and bind it to this account
    ");
    sb.cluster(|cluster| {
        cluster["denied"] = json!([{"verb": "deletecollection", "resource": "pods"}])
    });
    doctor(&sb, 0, &[]);
}

#[test]
fn secrets_jobs_and_pods_are_missing() {
    let sb = Sandbox::new();
    sb.remove_secret("rsa-keys");
    sb.cluster(|cluster| {
        for kind in ["jobs", "pods", "deployments"] {
            cluster[kind] = json!({});
        }
    });
    let run = doctor(&sb, 1, &[]);
    let all = ["secrets", "job key-gen", "job create-admin-token", "pods"]
        .map(|check| of(&run, check))
        .concat();
    insta::assert_snapshot!(all, @r"
    failed    secrets: `rsa-keys` is not there
               hint: is it the right namespace? `kubectl get secrets,jobs --namespace influxdb`; a revocation that was cut short leaves it so as well
    failed    job key-gen: there is none: a revocation could not make new keys or tokens
               hint: look at what there is: `kubectl get jobs --namespace influxdb`
    failed    job create-admin-token: there is none: a revocation could not make new keys or tokens
               hint: look at what there is: `kubectl get jobs --namespace influxdb`
    failed    pods: none is labelled app=token-management: the restart would restart nothing
               hint: since release 20241024 another pod may serve tokens: look at which pods mount secret `rsa-keys`
    ");
    assert!(
        run.stderr.contains("all of them of a revocation"),
        "{}",
        run.stderr
    );
    sb.remove_secret("admin-token");
    let run = doctor(&sb, 1, &[]);
    assert!(of(&run, "secrets").contains("`rsa-keys` and `admin-token` are not there"));
    assert!(
        !run.stderr.contains("of a revocation"),
        "enable needs the token: {}",
        run.stderr
    );
}

#[test]
fn rights_on_jobs_are_for_kubit() {
    let sb = Sandbox::new();
    for verb in ["get", "delete"] {
        sb.deny(json!({"verb": verb, "resource": "jobs"}));
    }
    assert!(of(&doctor(&sb, 0, &[]), "may delete jobs.batch").contains("not needed"));
    sb.operator();
    wait_for_operator(&sb);
    assert!(of(&doctor(&sb, 1, &[]), "may delete jobs.batch").contains("failed"));
}

#[test]
fn the_operator() {
    let sb = Sandbox::new();
    let of_operator = |sb: &Sandbox| of(&doctor(sb, 0, &[]), "operator");
    let mut all = of_operator(&sb);
    sb.operator();
    wait_for_operator(&sb);
    all += &of_operator(&sb);
    sb.pause_operator(true);
    all += &of_operator(&sb);
    sb.deny(json!({"verb": "list", "resource": "deployments"}));
    all += &of_operator(&sb);
    insta::assert_snapshot!(all, @"
    ok        operator: kubit is absent: jobs are made again as clones
    ok        operator: kubit runs: it makes jobs again that are deleted
    ok        operator: kubit runs, paused for this namespace: jobs are made again as clones
    warning   operator: unknown: deployments of other namespaces may not be looked at
               hint: not needed: a revocation can make the jobs again by itself
    ");
}

fn wait_for_operator(sb: &Sandbox) {
    crate::sandbox::wait_until("the operator's pod is ready", || {
        let list = [
            "get",
            "deployments",
            "--all-namespaces",
            "--selector",
            "control-plane=kubit",
            "--output",
            "json",
        ];
        sb.tool("kubectl", &list, None)
            .stdout
            .contains("\"readyReplicas\": 1")
    });
}

#[test]
fn an_operator_that_does_not_run() {
    let sb = Sandbox::new();
    sb.fake(&["idle-operator"]);
    assert!(of(&doctor(&sb, 0, &[]), "operator").contains("kubit is there but does not run"));
}

#[test]
fn this_machine() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG, 0o444);
    assert!(
        of(&doctor(&sb, 1, &[]), "configuration")
            .contains("is read-only\n           hint: chmod u+w ")
    );
    sb.chmod(CONFIG, 0o644);
    sb.chmod("home/.config/influxctl", 0o777);
    assert!(of(&doctor(&sb, 1, &[]), "token file").contains("hint: chmod go-w "));
    sb.chmod("home/.config/influxctl", 0o755);
    sb.write(
        CONFIG,
        sb.read(CONFIG).replace(
            "client_id",
            "client_secret = \"planted\"\n        client_id",
        ),
    );
    let run = doctor(&sb, 1, &[]);
    assert!(
        of(&run, "influxctl").contains("take `client_secret` out")
            && !run.stdout.contains("planted"),
        "{run:?}"
    );
    sb.write(CONFIG, "[[profile]]\nmgmt_token = \"planted\n");
    let run = doctor(&sb, 1, &[]);
    assert!(
        of(&run, "configuration").contains("not valid TOML at line 2")
            && !run.stdout.contains("planted"),
        "{run:?}"
    );
}

#[test]
fn tools_and_context() {
    let sb = Sandbox::new();
    let run = doctor(&sb, 1, &["--context", "nope"]);
    assert!(
        of(&run, "context").starts_with("failed") && of(&run, "influxctl").starts_with("ok"),
        "{}",
        run.stdout
    );
    sb.cluster(|cluster| cluster["unreachable"] = json!(true));
    let run = doctor(&sb, 1, &[]);
    assert!(
        of(&run, "cluster").contains("was refused - did you specify the right host or port?"),
        "{}",
        run.stdout
    );
    sb.influxctl_version("2.1.0");
    std::fs::remove_file(sb.path("bin/kubectl")).expect("sandbox");
    let run = doctor(&sb, 1, &[]);
    assert!(
        of(&run, "kubectl").starts_with("failed") && of(&run, "influxctl").contains("too old"),
        "{}",
        run.stdout
    );
    assert_eq!(sb.run(&["doctor"]).code, 2);
}

#[test]
fn as_json() {
    let sb = Sandbox::new();
    let run = doctor(&sb, 1, &["--context", "sim-viewer", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let checks = report["checks"].as_array().expect("checks");
    let failed: Vec<&Value> = checks
        .iter()
        .filter(|check| check["state"] == "failed")
        .collect();
    assert!(
        !failed.is_empty() && failed.iter().all(|check| check["hint"].is_string()),
        "{failed:?}"
    );
    assert_eq!(
        (&report["outcome"], &report["changed"]),
        (&json!("failed"), &json!(false))
    );
}
