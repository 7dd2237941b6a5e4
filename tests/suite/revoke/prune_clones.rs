//! `--prune-clones`: the deletion of the clones of earlier revocations.

use super::{
    REVOKE_ARGS, assert_revoked, create_enabled_sandbox, create_fast_sandbox, expect_refusal,
    extract_progress, get_secret_uid, list_cluster_changes, list_object_uids, run_revoke,
    run_with_exit_code,
};
use crate::crash::kill_orphans;
use crate::enable::check_script;
use crate::sandbox::{CommandOutput, Sandbox, check_in_parallel, wrap_lines};
use serde_json::{Value, json};

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];
const KEY_GEN_PATH: &str = "/apis/batch/v1/namespaces/influxdb/jobs/key-gen-001";
const TOKEN_JOB_PATH: &str = "/apis/batch/v1/namespaces/influxdb/jobs/create-admin-token-001";

/// Creates an enabled token, and the clones `…-001` of an earlier rotation.
fn create_sandbox_with_clones() -> Sandbox {
    let sb = create_enabled_sandbox();
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    sb.clear_calls();
    sb
}

fn list_jobs(sb: &Sandbox) -> Vec<String> {
    let cluster = sb.refresh_cluster();
    let jobs = cluster["jobs"].as_object().expect("jobs").keys();
    let names = jobs.map(|key| key.strip_prefix("influxdb/").expect("the namespace"));
    names.map(str::to_owned).collect()
}

/// Copies the clone `key-gen-001`, and changes the copy.
fn copy_clone(sb: &Sandbox, name: &str, change: impl FnOnce(&mut Value)) {
    sb.edit_cluster(|cluster| {
        let mut job = cluster["jobs"]["influxdb/key-gen-001"].clone();
        job["meta"]["name"] = json!(name);
        job["meta"]["uid"] = json!(format!("00000000-0000-4000-8000-{name:0>12.12}"));
        change(&mut job);
        cluster["jobs"][format!("influxdb/{name}")] = job;
    });
}

/// Returns the steps of the deletions that the run reported, with their outcome.
fn list_deletions(run: &CommandOutput) -> Vec<&str> {
    let lines = run.stdout.lines();
    lines
        .filter(|line| line.contains(" delete-clone: "))
        .map(|line| line.split(" (at ").next().expect("the beginning"))
        .collect()
}

fn last_line(run: &CommandOutput) -> &str {
    let mut lines = run.stdout.lines();
    lines
        .rfind(|line| !line.starts_with("audit head "))
        .expect("a line")
}

#[test]
fn rotate_deletes_earlier_clones_last() {
    let sb = create_sandbox_with_clones();
    let old = sb.admin_token();
    let run = run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["--prune-clones"]].concat());
    insta::assert_snapshot!(extract_progress(&run));
    assert_revoked(&sb, &old, "rotate");
    assert_eq!(
        list_jobs(&sb),
        [
            "create-admin-token-002",
            "create-admin-token-7c9d2b41",
            "key-gen-002",
            "key-gen-7c9d2b41",
            "token-gen-56a2e859",
        ]
    );
    // Each deletion has its own intent, with the observed UID.
    let intents = sb.read_entries_by_type("intent");
    let deletions: Vec<&Value> = intents
        .iter()
        .filter(|intent| intent["step"] == "delete-clone")
        .collect();
    assert_eq!(deletions.len(), 2);
    for (deletion, path) in deletions.iter().zip([TOKEN_JOB_PATH, KEY_GEN_PATH]) {
        assert_eq!(deletion["object"]["kind"], "Job");
        assert_eq!(deletion["argv"][3], path);
    }
    let verified = sb.read_entries_by_type("verification").pop();
    let verified = verified.expect("a verification");
    assert!(verified["seq"].as_u64() < deletions[0]["seq"].as_u64());
    sb.assert_log_intact();
}

#[test]
fn run_without_flag_names_the_command() {
    let sb = create_enabled_sandbox();
    let first = run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(!first.stdout.contains("earlier clone"), "{}", first.stdout);
    let second = run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_eq!(
        last_line(&second),
        "2 earlier clones remain: `--prune-clones` deletes them after the next verified revocation"
    );
    assert_eq!(list_deletions(&second), [""; 0]);
    assert!(list_jobs(&sb).contains(&"key-gen-001".to_owned()));
}

#[test]
fn foreign_and_running_jobs_stay() {
    let sb = create_sandbox_with_clones();
    copy_clone(&sb, "labelled", |job| {
        job["meta"]["annotations"] = json!({})
    });
    copy_clone(&sb, "annotated", |job| job["meta"]["labels"] = json!({}));
    copy_clone(&sb, "foreign-001", |job| {
        (job["meta"]["labels"], job["meta"]["annotations"]) = (json!({}), json!({}));
    });
    // Its pod is missing, so it never completes.
    copy_clone(&sb, "running-001", |job| {
        job["phase"] = json!("active");
        job["spec"]["suspend"] = json!(true);
    });
    let before = list_jobs(&sb);
    let run = run_revoke(&sb, 0, &["--prune-clones"]);
    assert_eq!(list_deletions(&run).len(), 2, "{}", run.stdout);
    let after = list_jobs(&sb);
    let deleted: Vec<&String> = before.iter().filter(|job| !after.contains(job)).collect();
    assert_eq!(deleted, ["create-admin-token-001", "key-gen-001"]);
}

#[test]
fn newest_clone_stays_when_kubit_reruns_the_jobs() {
    let sb = create_sandbox_with_clones();
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    sb.install_operator();
    let run = run_revoke(&sb, 0, &["--prune-clones"]);
    assert_eq!(list_deletions(&run).len(), 2, "{}", run.stdout);
    let jobs = list_jobs(&sb);
    for (name, stays) in [("key-gen-001", false), ("key-gen-002", true)] {
        assert_eq!(jobs.contains(&name.to_owned()), stays, "{jobs:?}");
    }
    // Nothing is left to delete, and nothing to say.
    let run = run_revoke(&sb, 0, &["--prune-clones"]);
    assert_eq!(list_deletions(&run), [""; 0]);
    assert!(!run.stdout.contains("earlier clone"), "{}", run.stdout);
}

#[test]
fn clone_that_loses_its_label_meanwhile_stays() {
    let sb = create_sandbox_with_clones();
    // Before the list that precedes the deletions: after the first one, of the preflight checks.
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["get", "jobs", "json"],
        "lacks": ["--watch"],
        "nth": 2,
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&[super::REVOKE_ARGS, &["--prune-clones"]].concat());
    sb.wait_for_gate("gate");
    sb.edit_cluster(|cluster| {
        cluster["jobs"]["influxdb/key-gen-001"]["meta"]["labels"] = json!({});
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    let kept = "skipped   delete-clone: job `key-gen-001` is kept, because it is not a finished \
                clone now";
    assert_eq!(list_deletions(&run)[1], kept);
    let jobs = list_jobs(&sb);
    assert!(jobs.contains(&"key-gen-001".to_owned()), "{jobs:?}");
    assert!(
        !jobs.contains(&"create-admin-token-001".to_owned()),
        "{jobs:?}"
    );
}

/// The server compares the UID, so a job that somebody created since is not deleted.
#[test]
fn job_with_other_uid_stays() {
    let sb = create_sandbox_with_clones();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", KEY_GEN_PATH],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&[super::REVOKE_ARGS, &["--prune-clones"]].concat());
    sb.wait_for_gate("gate");
    sb.edit_cluster(|cluster| {
        cluster["jobs"]["influxdb/key-gen-001"]["meta"]["uid"] =
            json!("33333333-3333-4333-8333-333333333333");
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(list_jobs(&sb).contains(&"key-gen-001".to_owned()));
}

#[test]
fn dry_run_and_summary_name_the_jobs() {
    let sb = create_sandbox_with_clones();
    let before = list_object_uids(&sb);
    let args = ["rotate", "-n", "influxdb", "--prune-clones", "--dry-run"];
    let run = run_with_exit_code(&sb, 0, &args);
    let text = run.normalized_stdout();
    let summary = text
        .lines()
        .find(|line| line.ends_with(" (earlier clones, if verified)"));
    assert_eq!(
        summary,
        Some(
            "  - delete   job/create-admin-token-001, job/key-gen-001 (earlier clones, if verified)"
        )
    );
    let (_, last) = text.rsplit_once(". delete-clone: ").expect("a step");
    insta::assert_snapshot!(last, @r#"
    an earlier revocation created this job, and a newer clone replaces it
       $ kubectl delete --raw /apis/batch/v1/namespaces/influxdb/jobs/key-gen-001 --filename - --context sim-dev --server https://127.0.0.1:26443
       its input: {"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"[UID]"},"propagationPolicy":"Background"}
       only if the revocation is verified, and this job is still a finished clone
       then: job `key-gen-001` with that UID is gone
    dry run, nothing changed
    "#);
    assert_eq!(list_object_uids(&sb), before);
}

#[test]
fn script_deletes_the_clones() {
    let sb = create_sandbox_with_clones();
    let args = [
        "revoke",
        "-n",
        "influxdb",
        "--prune-clones",
        "--dry-run=script",
    ];
    let script = run_with_exit_code(&sb, 0, &args).stdout;
    check_script(&sb, &script);
    let last = script.rsplit_once("\n# delete-clone").expect("a step").1;
    let verification = script.find("echo 'revoked and verified'").expect("the end");
    assert!(verification < script.find("\n# delete-clone").expect("a step"));
    insta::assert_snapshot!(crate::sandbox::normalize(last, sb.root()), @r#"
    : an earlier revocation created this job, and a newer clone replaces it
    uid=$(k get job/key-gen-001 --ignore-not-found --output 'jsonpath={.metadata.uid}')
    if [ "$uid" = [UID] ]; then
      printf '%s' '{"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"[UID]"},"propagationPolicy":"Background"}' | [SANDBOX]/bin/kubectl delete --raw /apis/batch/v1/namespaces/influxdb/jobs/key-gen-001 --filename - --context sim-dev --server https://127.0.0.1:26443 >/dev/null
      uid=$(k get job/key-gen-001 --ignore-not-found --output 'jsonpath={.metadata.uid}')
      [ "$uid" != [UID] ] || fail job/key-gen-001 'still exists after its deletion'
    fi
    "#);
}

#[test]
fn script_without_verification_keeps_the_clones() {
    let sb = create_sandbox_with_clones();
    std::fs::remove_file(sb.config_path()).expect("the configuration");
    let args = [REVOKE_ARGS, &["--prune-clones", "--dry-run=script"]].concat();
    let script = run_with_exit_code(&sb, 0, &args).stdout;
    assert!(
        script.contains("revoked, but not verified") && !script.contains("delete-clone"),
        "{script}"
    );
}

#[test]
fn unverified_revocation_keeps_the_clones() {
    let sb = create_sandbox_with_clones();
    sb.edit_cluster(|cluster| {
        let pods = cluster["pods"].as_object().expect("pods");
        let key_id = pods.values().find_map(|pod| pod["key_id"].as_str());
        cluster["stale_backends"] = json!([key_id.expect("a pod with a key")]);
    });
    let run = run_revoke(&sb, 11, &["--prune-clones", "--grace-period", "2s"]);
    assert_eq!(
        list_deletions(&run),
        [
            "skipped   delete-clone: job `create-admin-token-001` is kept, because the revocation \
             is not verified",
            "skipped   delete-clone: job `key-gen-001` is kept, because the revocation is not \
             verified",
        ]
    );
    assert_eq!(
        last_line(&run),
        "2 earlier clones remain: `--prune-clones` deletes them after the next verified revocation"
    );
    assert!(list_jobs(&sb).contains(&"key-gen-001".to_owned()));
}

/// Moves the creation of the keys back, as if the pods had not started in the same second.
fn age_keys(sb: &Sandbox) {
    sb.edit_cluster(|cluster| {
        let created = &mut cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"];
        *created = json!(created.as_u64().expect("a time") - 2000);
    });
}

#[test]
fn killed_deletion_resumes() {
    let cases = [
        (KEY_GEN_PATH, true),
        (KEY_GEN_PATH, false),
        (TOKEN_JOB_PATH, true),
        (TOKEN_JOB_PATH, false),
    ];
    check_in_parallel(cases.into_iter(), |(path, before)| {
        let sb = create_sandbox_with_clones();
        sb.inject_fault(json!({
            "tool": "kubectl",
            "contains": ["--raw", path],
            "before": before,
            "do": "kill_parent"
        }));
        let args = [ROTATE_ARGS, &["--prune-clones"]].concat();
        assert_eq!(sb.run(&args).code, 128 + 9);
        kill_orphans(&sb);
        sb.clear_faults();
        sb.clear_calls();
        age_keys(&sb);
        let keys = get_secret_uid(&sb, "rsa-keys");
        let run = run_with_exit_code(&sb, 0, &args);
        assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys, "{path} {before}");
        assert!(run.stdout.contains("\nrevoked and verified\n"), "{path}");
        assert!(
            !run.stdout.contains("stop working"),
            "no token is revoked: {}",
            run.stdout
        );
        let changes = list_cluster_changes(&sb);
        let expected = match (path, before) {
            (TOKEN_JOB_PATH, true) => 2,
            (KEY_GEN_PATH, false) => 0,
            _ => 1,
        };
        assert_eq!(
            changes.lines().count(),
            expected,
            "{path} {before}: {changes}"
        );
        let jobs = list_jobs(&sb);
        assert!(!jobs.iter().any(|job| job.ends_with("-001")), "{jobs:?}");
        assert!(jobs.contains(&"key-gen-002".to_owned()), "{jobs:?}");
        // The run is complete, so the next one is a new revocation.
        let next = run_with_exit_code(&sb, 0, ROTATE_ARGS);
        assert!(next.stdout.contains("delete-rsa-keys"), "{}", next.stdout);
    });
}

const FORBIDDEN: &str = "Error from server (Forbidden): jobs.batch \"key-gen-001\" is forbidden: \
    jobs are kept for a year\n";

/// An admission rule can refuse what the authorizer allows.
#[test]
fn failed_deletion_leaves_revocation_verified() {
    let sb = create_sandbox_with_clones();
    let old = sb.admin_token();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", TOKEN_JOB_PATH],
        "before": true,
        "do": {"exit": {"code": 1, "stderr": FORBIDDEN}}
    }));
    let run = run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["--prune-clones"]].concat());
    let last_lines = "\n2 earlier clones remain: `--prune-clones` deletes them after the next verified \
        revocation\n";
    assert!(
        run.stdout.contains("\nrevoked and verified\n") && run.stdout.ends_with(last_lines),
        "{}",
        run.stdout
    );
    assert!(
        run.stderr.contains(
            "warning: an earlier clone remains: cannot delete job `create-admin-token-001`: "
        ),
        "{}",
        run.stderr
    );
    assert_revoked(&sb, &old, "rotate");
    let kept = sb.list_directory("home/.local/state/bypassctl");
    assert!(
        !kept.iter().any(|name| name.contains("old-token")),
        "{kept:?}"
    );

    // The run is complete, so the next one revokes the token that was issued since.
    let old = sb.admin_token();
    sb.clear_faults();
    let run = run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["--prune-clones"]].concat());
    assert_revoked(&sb, &old, "rotate");
    assert!(!run.stdout.contains(" remain"), "{}", run.stdout);
}

#[test]
fn finalizer_is_detected_after_deletion() {
    let sb = create_sandbox_with_clones();
    // The server answers, and the job stays.
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", KEY_GEN_PATH],
        "before": true,
        "do": "silent"
    }));
    let run = run_revoke(&sb, 0, &["--prune-clones"]);
    assert!(
        run.stderr
            .contains(" job `key-gen-001` still exists after its deletion"),
        "{}",
        run.stderr
    );
}

#[test]
fn account_needs_permission_only_for_pruning() {
    let sb = create_sandbox_with_clones();
    sb.deny_access(json!({"verb": "delete", "resource": "jobs"}));
    insta::assert_snapshot!(wrap_lines(expect_refusal(&sb, 4, &["--prune-clones"])), @"
    error: missing permissions: delete jobs.batch
    hint: request them in namespace `influxdb`, or use another account (--context, --as): `bypassctl
        doctor -n influxdb` prints a role for each
    ");
    run_revoke(&sb, 0, &[]);
}

#[test]
fn only_trusted_policy_can_prune() {
    let sb = create_sandbox_with_clones();
    sb.write("home/bypassctl.toml", "[guard]\nprune_clones = true\n");
    let refused = expect_refusal(&sb, 4, &[]);
    assert!(
        refused.contains("it cannot set guard.prune_clones"),
        "{refused}"
    );
    run_with_exit_code(&sb, 0, &["policy", "trust"]);
    let run = run_revoke(&sb, 0, &[]);
    assert_eq!(list_deletions(&run).len(), 2, "{}", run.stdout);
    assert!(
        run.stderr.contains("it sets guard.prune_clones = true"),
        "{}",
        run.stderr
    );
    sb.deny_access(json!({"verb": "delete", "resource": "jobs"}));
    let doctor = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        doctor
            .stdout
            .contains("a revocation also needs: delete jobs.batch"),
        "{}",
        doctor.stdout
    );
}

#[test]
fn plan_with_pruning_resumes() {
    let sb = create_sandbox_with_clones();
    let plan = ["plan", "rotate", "-n", "influxdb", "--prune-clones"];
    run_with_exit_code(&sb, 0, &[&plan[..], &["--out", "saved.plan"]].concat());
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", KEY_GEN_PATH],
        "before": true,
        "do": "kill_parent"
    }));
    let apply = ["apply", "saved.plan", "--confirm", "sim-dev/influxdb"];
    assert_eq!(sb.run(&apply).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    sb.clear_calls();
    age_keys(&sb);
    let run = run_with_exit_code(&sb, 0, &apply);
    assert_eq!(list_deletions(&run).len(), 1, "{}", run.stdout);
    assert_eq!(list_cluster_changes(&sb).lines().count(), 1);
    let applied = run_with_exit_code(&sb, 4, &apply);
    assert!(
        applied.stderr.contains("already applied"),
        "{}",
        applied.stderr
    );
}

/// Another clone than those of the plan does not become part of it.
#[test]
fn plan_is_refused_when_clones_differ() {
    let sb = create_sandbox_with_clones();
    let plan = ["plan", "revoke", "-n", "influxdb", "--prune-clones"];
    run_with_exit_code(&sb, 0, &[&plan[..], &["--out", "saved.plan"]].concat());
    copy_clone(&sb, "other-001", |_| ());
    let apply = ["apply", "saved.plan", "--confirm", "sim-dev/influxdb"];
    let run = run_with_exit_code(&sb, 4, &apply);
    assert!(
        run.stderr.contains("differs from the plan"),
        "{}",
        run.stderr
    );
}

#[test]
fn pruning_needs_no_earlier_clone() {
    let sb = create_fast_sandbox();
    let run = run_revoke(&sb, 0, &["--prune-clones"]);
    assert_eq!(list_deletions(&run), [""; 0]);
    assert!(list_jobs(&sb).contains(&"key-gen-001".to_owned()));
}
