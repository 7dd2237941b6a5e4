//! `doctor`

use crate::enable::{CONFIG_FILE, TOKEN_FILE};
use crate::sandbox::{self, CommandOutput, Sandbox, wrap_lines};
use serde_json::{Value, json};
use std::path::Path;

/// Runs `doctor`, which must exit with this code and change nothing.
fn run_doctor(sb: &Sandbox, code: i32, more: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = sb.run(&[&["doctor", "-n", "influxdb"], more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    assert!(sb.snapshot_files() == before);
    sb.assert_no_secret_leaked(&[]);
    run
}

/// Returns the lines of one check, with their hints.
fn extract_check(run: &CommandOutput, check: &str) -> String {
    let text = run.normalized_stdout();
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
fn doctor_passes_on_working_setup() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(run_doctor(&sb, 0, &[]).normalized_output());
    let lines = sb.sorted_call_lines();
    assert!(
        !lines.contains("admin-token --template") && !lines.contains("delete"),
        "{lines}"
    );
    assert_eq!(lines.lines().count(), 14, "{lines}");
}

#[test]
fn doctor_reports_missing_permissions_for_viewer() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(run_doctor(&sb, 1, &["--context", "sim-viewer"]).normalized_output());
}

#[test]
fn doctor_fails_when_one_permission_is_missing() {
    let sb = Sandbox::new();
    sb.deny_access(json!({"verb": "delete", "resource": "secrets", "name": "rsa-keys"}));
    let run = run_doctor(&sb, 1, &[]);
    assert_eq!(run.stdout.matches("failed ").count(), 1, "{}", run.stdout);
    assert!(
        run.stderr
            .contains("failed checks: 1, all for a revocation"),
        "{}",
        run.stderr
    );
    insta::assert_snapshot!(wrap_lines(extract_check(&run, "permissions")), @"
    failed    permissions: a revocation also needs: delete secrets/rsa-keys
               hint: apply the role that `bypassctl doctor --role --namespace influxdb --context
        sim-dev` prints, and bind it to this account
    ");
    sb.edit_cluster(|cluster| {
        cluster["denied"] = json!([{"verb": "deletecollection", "resource": "pods"}])
    });
    run_doctor(&sb, 0, &[]);
}

#[test]
fn doctor_reports_finalizers() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/admin-token"]["finalizers"] = json!(["example.com/f"]);
    });
    let run = run_doctor(&sb, 1, &[]);
    insta::assert_snapshot!(wrap_lines(extract_check(&run, "finalizers")), @r#"
    failed    finalizers: secret `admin-token` has finalizer `example.com/f`: its deletion would not
        finish
               hint: let the controller that set the finalizer remove it. If that controller no
        longer exists, run `kubectl patch secrets/admin-token --namespace influxdb --context sim-dev
        --type merge --patch '{"metadata":{"finalizers":null}}'`
    "#);
    assert!(
        run.stderr
            .contains("failed checks: 1, all for a revocation"),
        "{}",
        run.stderr
    );
}

#[test]
fn doctor_reports_missing_secrets_jobs_and_pods() {
    let sb = Sandbox::new();
    sb.remove_secret("rsa-keys");
    sb.edit_cluster(|cluster| {
        for kind in ["jobs", "pods", "deployments"] {
            cluster[kind] = json!({});
        }
    });
    let run = run_doctor(&sb, 1, &[]);
    let all = ["secrets", "job key-gen", "job create-admin-token", "pods"]
        .map(|check| extract_check(&run, check))
        .concat();
    insta::assert_snapshot!(wrap_lines(all), @"
    failed    secrets: `rsa-keys` not found
               hint: check the namespace with `kubectl get secrets,jobs --namespace influxdb`: an
        interrupted revocation also leaves secrets missing
    failed    job key-gen: not found: a revocation could not create new keys or tokens
               hint: check the jobs with `kubectl get jobs --namespace influxdb`
    failed    job create-admin-token: not found: a revocation could not create new keys or tokens
               hint: check the jobs with `kubectl get jobs --namespace influxdb`
    failed    pods: no pod with label app=token-management: a revocation would restart nothing
               hint: find the pods that mount secret `rsa-keys`: since release 20241024 they can
        have another label
    ");
    assert!(
        run.stderr.contains("all for a revocation"),
        "{}",
        run.stderr
    );
    sb.remove_secret("admin-token");
    let run = run_doctor(&sb, 1, &[]);
    assert!(extract_check(&run, "secrets").contains("`rsa-keys` and `admin-token` not found"));
    assert!(
        !run.stderr.contains("for a revocation"),
        "enable needs the token: {}",
        run.stderr
    );
}

#[test]
fn doctor_requires_job_permissions_only_with_operator() {
    let sb = Sandbox::new();
    for verb in ["get", "delete"] {
        sb.deny_access(json!({"verb": verb, "resource": "jobs"}));
    }
    let check = |code: i32| {
        let run = run_doctor(&sb, code, &["-o", "json"]);
        let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
        let mut checks = report["checks"].as_array().expect("checks").iter();
        let check = checks.find(|check| check["name"] == "may delete jobs.batch");
        check.expect("a check").clone()
    };
    assert!(
        check(0)["detail"]
            .as_str()
            .expect("text")
            .contains("not needed")
    );
    sb.install_operator();
    wait_for_operator(&sb);
    assert_eq!(check(1)["state"], "failed");
    let run = run_doctor(&sb, 1, &[]);
    assert!(
        extract_check(&run, "permissions").contains("needs: get jobs.batch, delete jobs.batch\n"),
        "{}",
        run.stdout
    );
}

#[test]
fn doctor_reports_operator_state() {
    let sb = Sandbox::new();
    let operator_check = |sb: &Sandbox| extract_check(&run_doctor(sb, 0, &[]), "operator");
    let mut all = operator_check(&sb);
    sb.install_operator();
    wait_for_operator(&sb);
    all += &operator_check(&sb);
    sb.set_operator_paused(true);
    all += &operator_check(&sb);
    sb.deny_access(json!({"verb": "list", "resource": "deployments"}));
    all += &operator_check(&sb);
    insta::assert_snapshot!(all, @"
    ok        operator: kubit is not installed: jobs are rerun as clones
    ok        operator: kubit runs: it recreates deleted jobs
    warning   operator: kubit runs, paused for this namespace: a revocation needs `--rerun clone`
               hint: find out who paused it: a backup or a restore can be in progress
    warning   operator: unknown: the account cannot list deployments of other namespaces
               hint: no action needed: a revocation can rerun the jobs as clones
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
        sb.run_tool("kubectl", &list, None)
            .stdout
            .contains("\"readyReplicas\": 1")
    });
}

#[test]
fn doctor_reports_operator_that_is_not_running() {
    let sb = Sandbox::new();
    sb.run_fake(&["idle-operator"]);
    assert!(
        extract_check(&run_doctor(&sb, 0, &[]), "operator")
            .contains("kubit is installed but does not run")
    );
}

#[test]
fn doctor_reports_local_file_problems() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG_FILE, 0o444);
    assert!(
        extract_check(&run_doctor(&sb, 1, &[]), "configuration")
            .contains("is read-only\n           hint: run `chmod u+w ")
    );
    sb.chmod(CONFIG_FILE, 0o644);
    sb.chmod("home/.config/influxctl", 0o777);
    assert!(extract_check(&run_doctor(&sb, 1, &[]), "token file").contains("hint: chmod go-w "));
    sb.chmod("home/.config/influxctl", 0o755);
    sb.write(
        CONFIG_FILE,
        sb.read(CONFIG_FILE).replace(
            "client_id",
            "client_secret = \"planted\"\n        client_id",
        ),
    );
    let run = run_doctor(&sb, 1, &[]);
    assert!(
        extract_check(&run, "influxctl").contains("remove `client_secret` in line 12 from")
            && !run.stdout.contains("planted"),
        "{run:?}"
    );
    sb.write(CONFIG_FILE, "[[profile]]\nmgmt_token = \"planted\n");
    let run = run_doctor(&sb, 1, &[]);
    assert!(
        extract_check(&run, "configuration").contains("not valid TOML at line 2")
            && !run.stdout.contains("planted"),
        "{run:?}"
    );
}

#[test]
fn doctor_reports_tool_and_context_failures() {
    let sb = Sandbox::new();
    let run = run_doctor(&sb, 1, &["--context", "nope"]);
    assert!(
        extract_check(&run, "context").starts_with("failed")
            && extract_check(&run, "cluster").contains("skipped")
            && extract_check(&run, "influxctl").starts_with("ok"),
        "{}",
        run.stdout
    );
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
    let run = run_doctor(&sb, 1, &[]);
    assert!(
        extract_check(&run, "cluster")
            .contains("was refused - did you specify the right host or port?"),
        "{}",
        run.stdout
    );
    sb.set_influxctl_version("2.1.0");
    std::fs::remove_file(sb.path("bin/kubectl")).expect("sandbox");
    let run = run_doctor(&sb, 1, &[]);
    assert!(
        extract_check(&run, "kubectl").starts_with("failed")
            && extract_check(&run, "cluster").contains("skipped")
            && extract_check(&run, "influxctl").contains("too old"),
        "{}",
        run.stdout
    );
    assert_eq!(sb.run(&["doctor"]).code, 2);
}

#[test]
fn doctor_json_report_has_hints_for_failures() {
    let sb = Sandbox::new();
    let run = run_doctor(&sb, 1, &["--context", "sim-viewer", "-o", "json"]);
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

#[test]
fn doctor_prints_checks_before_the_cluster_answers() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["config", "view"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&["doctor", "-n", "influxdb"]);
    sb.wait_for_gate("gate");
    assert!(
        running
            .read_output("stdout")
            .contains("audit log: writable"),
        "{}",
        running.read_output("stdout")
    );
    running.send_signal(rustix::process::Signal::INT);
    let run = running.wait();
    assert!(
        run.code == 130 && run.stdout.contains("audit log: writable"),
        "{run:?}"
    );
}

#[test]
fn doctor_role_prints_yaml_without_a_run() {
    let sb = Sandbox::new();
    let run = sb.run(&["doctor", "--role", "-n", "influxdb"]);
    assert!(
        run.code == 0
            && run.stderr.is_empty()
            && sb.calls().is_empty()
            && run.stdout.contains("\nkind: Role\n"),
        "{run:?}"
    );
    assert_eq!(sb.run(&["doctor", "--role"]).code, 2);
}

#[test]
fn doctor_report_quotes_tools_and_no_secret() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 0);
    let args = ["doctor", "-n", "influxdb", "--report", "report.md"];
    let run = sb.run(&args);
    assert_eq!(run.code, 0, "{run:?}");
    sb.assert_no_secret_leaked(&[Path::new(TOKEN_FILE)]);
    let report = sb.read("home/report.md");
    let is_of_host = |line: &&str| line.starts_with("kernel: ") || line.starts_with("system: ");
    assert_eq!(report.lines().filter(is_of_host).count(), 2);
    let lines = report.lines().filter(|line| !is_of_host(line));
    let portable = lines.collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(sandbox::normalize(&portable, sb.root()));
    assert_eq!(sb.file_mode("home/report.md"), 0o600);
    assert_eq!(sb.list_directory("run"), [""; 0]);
    // An existing file stays as it is.
    let run = sb.run(&args);
    assert_eq!(run.code, 4, "{run:?}");
    assert_eq!(sb.read("home/report.md"), report);
}

#[test]
fn doctor_writes_report_of_failed_checks() {
    let sb = Sandbox::new();
    std::fs::remove_file(sb.path("bin/kubectl")).expect("sandbox");
    sb.set_influxctl_version_output("v2.12.0 \u{1b}[31m eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhIn0.c2ln");
    sb.write(CONFIG_FILE, "[[profile]\nsecret");
    let run = sb.run(&["doctor", "-n", "influxdb", "--report", "report.md"]);
    assert_eq!(run.code, 1, "{run:?}");
    let report = sb.read("home/report.md");
    assert!(
        report.contains("- failed kubectl: ")
            && report.contains("    v2.12.0  [31m [token]\n")
            && report.contains("line 1")
            && !report.contains("secret"),
        "{report}"
    );
}
