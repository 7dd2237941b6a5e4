//! Refusals without a change.

use super::{
    create_enabled_sandbox, create_fast_sandbox, expect_refusal, list_cluster_changes,
    list_object_uids, run_revoke,
};
use crate::sandbox::wrap_lines;
use serde_json::json;

#[test]
fn revoke_refuses_when_one_permission_is_missing() {
    for (verb, resource, name) in [
        ("delete", "secrets", "rsa-keys"),
        ("delete", "secrets", "admin-token"),
        ("watch", "jobs", ""),
        ("create", "jobs", ""),
        ("watch", "pods", ""),
        ("delete", "pods", ""),
    ] {
        let sb = create_fast_sandbox();
        let mut rule = json!({"verb": verb, "resource": resource});
        if !name.is_empty() {
            rule["name"] = json!(name);
        }
        sb.deny_access(rule);
        let output = expect_refusal(&sb, 4, &[]);
        let group = if resource == "jobs" { ".batch" } else { "" };
        let what = if name.is_empty() {
            format!("{verb} {resource}{group}")
        } else {
            format!("{verb} {resource}/{name}")
        };
        assert!(
            output.contains(&format!("missing permissions: {what}\n")),
            "{output}"
        );
    }
}

#[test]
fn revoke_refuses_when_objects_cannot_be_read() {
    for (verb, resource) in [("get", "secrets"), ("list", "jobs"), ("list", "pods")] {
        let sb = create_fast_sandbox();
        sb.deny_access(json!({"verb": verb, "resource": resource}));
        let output = expect_refusal(&sb, 4, &[]);
        assert!(
            output.contains(&format!("cannot {verb} resource \"{resource}\"")),
            "{output}"
        );
    }
}

#[test]
fn revoke_with_operator_requires_only_its_permissions() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    sb.deny_access(json!({"verb": "create", "resource": "jobs"}));
    run_revoke(&sb, 0, &[]);
    sb.deny_access(json!({"verb": "delete", "resource": "jobs"}));
    sb.clear_calls();
    assert!(expect_refusal(&sb, 4, &[]).contains("missing permissions: delete jobs.batch"));
}

#[test]
fn revoke_refuses_namespace_without_influxdb() {
    let sb = create_fast_sandbox();
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &["--restart-selector", "app=x"])), @"
    error: no pod matches `app=x`: no pod would restart, and the old keys would stay in use
    hint: these pods mount or read secret `rsa-keys`: `app=token-management`. Select those that
        serve tokens with --restart-selector, ingesters do not need a restart
    ");
    let elsewhere = super::run_with_exit_code(
        &sb,
        4,
        &["revoke", "-n", "default", "--confirm", "sim-dev/default"],
    );
    insta::assert_snapshot!(super::extract_error(&elsewhere), @"
    error: namespace `default` has neither the secrets nor the jobs of InfluxDB Clustered
    hint: check the namespace: `kubectl get secrets,jobs --namespace default`
    ");
    let nowhere = super::run_with_exit_code(
        &sb,
        1,
        &["revoke", "-n", "nope", "--confirm", "sim-dev/nope"],
    );
    insta::assert_snapshot!(wrap_lines(super::extract_error(&nowhere)), @r#"
    error: namespace `nope`: Error from server (NotFound): namespaces "nope" not found
    hint: check the namespace and the context with `kubectl get secrets,jobs --namespace nope
        --context sim-dev`
    "#);
}

#[test]
fn revoke_refuses_when_no_pod_matches_selector() {
    let sb = create_fast_sandbox();
    sb.run_fake(&[
        "deployment",
        "influxdb",
        "core",
        "app=core",
        "1",
        "rsa-keys",
    ]);
    sb.edit_cluster(|cluster| {
        cluster["deployments"]
            .as_object_mut()
            .expect("deployments")
            .remove("influxdb/token-management");
        let pods = cluster["pods"].as_object_mut().expect("pods");
        pods.retain(|_, pod| pod["meta"]["labels"]["app"] != "token-management");
    });
    sb.refresh_cluster();
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @"
    error: no pod matches `app=token-management`: no pod would restart, and the old keys would stay
        in use
    hint: these pods mount or read secret `rsa-keys`: `app=core`. Select those that serve tokens
        with --restart-selector, ingesters do not need a restart
    ");
}

#[test]
fn revoke_refuses_when_job_is_missing() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        drop(
            cluster["jobs"]
                .as_object_mut()
                .expect("jobs")
                .remove("influxdb/key-gen-7c9d2b41"),
        )
    });
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @"
    error: job `key-gen` not found: nothing could recreate secret `rsa-keys`
    hint: apply the release again (`kubit local apply`), or choose one of `kubectl get jobs
        --namespace influxdb` with --key-gen-job NAME
    ");
}

#[test]
fn revoke_refuses_ambiguous_jobs() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        let mut other = cluster["jobs"]["influxdb/key-gen-7c9d2b41"].clone();
        other["meta"]["name"] = json!("key-gen-00000000");
        other["spec"]["template"]["spec"]["containers"][0]["image"] =
            json!("sim.invalid/key-gen:20240101");
        cluster["jobs"]["influxdb/key-gen-00000000"] = other;
    });
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @"
    error: several different jobs create secret `rsa-keys`: `key-gen-00000000`, `key-gen-7c9d2b41`
    hint: compare them (`kubectl get jobs --output yaml --namespace influxdb`), then choose one with
        --key-gen-job NAME
    ");
    insta::assert_snapshot!(expect_refusal(&sb, 4, &["--key-gen-job", "key-gen-1"]), @"
    error: no job `key-gen-1` creates secret `rsa-keys`
    hint: choose one of these with --key-gen-job: `key-gen-00000000`, `key-gen-7c9d2b41`
    ");
    let choice = ["--key-gen-job", "key-gen-7c9d2b41"];
    let run = run_revoke(&sb, 0, &[&choice[..], &["--dry-run"]].concat());
    assert!(
        run.stdout.contains("a clone of job/key-gen-7c9d2b41"),
        "{}",
        run.stdout
    );
}

#[test]
fn revoke_refuses_failed_job_unless_check_is_skipped() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["jobs"]["influxdb/key-gen-7c9d2b41"]["phase"] = json!("failed")
    });
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @"
    error: job `key-gen-7c9d2b41` failed (BackoffLimitExceeded: Job has reached the specified
        backoff limit), and can fail to create secret `rsa-keys` again
    hint: look for the cause (`kubectl logs job/key-gen-7c9d2b41 --namespace influxdb`), or use
        --skip-check failed-job
    ");
    run_revoke(&sb, 0, &["--skip-check", "failed-job"]);
}

#[test]
fn revoke_refuses_while_job_is_running() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["job_seconds"] = json!(600.0));
    sb.run_fake(&["job", "influxdb", "create-admin-token-7c9d2b42"]);
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @"
    error: job `create-admin-token-7c9d2b42` is running: it can create secret `admin-token` at any
        moment
    hint: wait until it finishes: `kubectl get job/create-admin-token-7c9d2b42 --namespace influxdb
        --watch`
    ");
}

#[test]
fn revoke_refuses_failed_dry_run_unless_skipped() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["dry_run_refusal"] = json!("admission webhook \"w\" does not support dry run")
    });
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @r#"
    error: the server rejects the dry run of the cloned jobs: Error from server (BadRequest): error
        when creating "STDIN": admission webhook "w" does not support dry run
    hint: pass `--skip-check dry-run` to skip this check, for example if a webhook does not support
        dry runs
    "#);
    run_revoke(&sb, 0, &["--skip-check", "dry-run"]);
    let begin = sb.read_entries_by_type("run.begin").pop().expect("a run");
    assert!(
        begin["argv"]
            .to_string()
            .contains(r#""--skip-check","dry-run""#),
        "the skipped check is logged: {begin}"
    );
}

#[test]
fn rerun_from_job_is_refused_for_each_kubectl() {
    for version in ["v1.20.2", "v1.28.3", "v1.37.1"] {
        let sb = create_fast_sandbox();
        sb.set_kubectl_version(version);
        let output = expect_refusal(&sb, 4, &["--rerun", "from-job"]);
        if version == "v1.28.3" {
            insta::assert_snapshot!(wrap_lines(&output), @"
            error: this kubectl rejects the documented command: unknown object type *v1.Job
            hint: pass `--rerun clone`: `--from` of kubectl up to 1.37 accepts only cron jobs
            ");
        }
        assert!(output.contains("pass `--rerun clone`"), "{output}");
    }
}

#[test]
fn rerun_by_operator_is_refused_without_operator() {
    let sb = create_fast_sandbox();
    insta::assert_snapshot!(expect_refusal(&sb, 4, &["--rerun", "operator"]), @"
    error: kubit would not recreate the jobs (kubit is not installed)
    hint: use --rerun clone, which does not need kubit
    ");
}

#[test]
fn revoke_exits_with_5_when_cluster_is_unreachable() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
    let run = super::run_with_exit_code(&sb, 5, super::REVOKE_ARGS);
    assert!(
        run.stderr
            .contains("did you specify the right host or port"),
        "{}",
        run.stderr
    );
}

#[test]
fn revoke_refuses_when_finalizer_blocks_secret() {
    let sb = create_enabled_sandbox();
    let set_finalizers = |secret: &str, finalizers: &[&str]| {
        sb.edit_cluster(|cluster| {
            cluster["secrets"][format!("influxdb/{secret}")]["finalizers"] = json!(finalizers);
        });
    };
    set_finalizers("rsa-keys", &["example.com/backup"]);
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @r#"
    error: secret `rsa-keys` has finalizer `example.com/backup`: its deletion would not finish
    hint: let the controller that set the finalizer remove it. If that controller no longer exists,
        run `kubectl patch secrets/rsa-keys --namespace influxdb --context sim-dev --type merge
        --patch '{"metadata":{"finalizers":null}}'`. If the controller removes it during a deletion,
        pass `--skip-check finalizers`
    "#);
    expect_refusal(&sb, 4, &["--delete-by-uid"]);
    set_finalizers("admin-token", &["example.com/a", "orphan"]);
    let confirmed = ["-n", "influxdb", "--confirm", "sim-dev/influxdb"];
    let plan = ["revoke", "-n", "influxdb", "--out", "saved.plan"];
    let before = list_object_uids(&sb);
    for (command, args) in [("rotate", &confirmed[..]), ("plan", &plan)] {
        let run = super::run_with_exit_code(&sb, 4, &[&[command], args].concat());
        let both = "secret `rsa-keys` has finalizer `example.com/backup`, and secret \
                    `admin-token` has finalizers `example.com/a`, `orphan`: ";
        assert!(run.stderr.contains(both), "{}", run.stderr);
    }
    assert_eq!(
        (list_object_uids(&sb), list_cluster_changes(&sb).as_str()),
        (before, "")
    );
    // An earlier deletion waits for the finalizer.
    set_finalizers("admin-token", &[]);
    sb.edit_cluster(|cluster| {
        let keys = &mut cluster["secrets"]["influxdb/rsa-keys"];
        keys["deleted_ms"] = keys["meta"]["created_ms"].clone();
    });
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &[])), @r#"
    error: secret `rsa-keys`, marked for deletion at [TIME], has finalizer `example.com/backup`: its
        deletion would not finish
    hint: let the controller that set the finalizer remove it. The secret then disappears. If that
        controller no longer exists, run `kubectl patch secrets/rsa-keys --namespace influxdb
        --context sim-dev --type merge --patch '{"metadata":{"finalizers":null}}'`. If the
        controller removes it during a deletion, pass `--skip-check finalizers`
    "#);
}

#[test]
fn job_list_beyond_limit_is_refused() {
    const MAX_BYTES: u64 = 64 << 20;
    for (bytes, expected) in [
        (
            MAX_BYTES + 1,
            "error: `kubectl get jobs` printed more than 64 MiB on standard output and was killed",
        ),
        (MAX_BYTES, "error: cannot list the jobs: "),
    ] {
        let sb = create_fast_sandbox();
        sb.inject_fault(json!({
            "tool": "kubectl",
            "contains": ["get", "jobs", "json"],
            "do": {"flood": {"bytes": bytes}}
        }));
        let output = expect_refusal(&sb, 1, &[]);
        assert!(output.starts_with(expected), "{bytes}: {output}");
    }
}
