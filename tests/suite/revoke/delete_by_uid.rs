//! `--delete-by-uid`: the server keeps an object that was recreated after the last look.

use super::{
    assert_revoked, create_fast_sandbox, extract_error, get_secret_uid, is_cluster_change,
    run_revoke, run_with_exit_code,
};
use crate::enable::check_script;
use crate::sandbox::{Call, Sandbox, wrap_lines};
use serde_json::{Value, json};

const KEYS_PATH: &str = "/api/v1/namespaces/influxdb/secrets/rsa-keys";
const KEY_GEN_PATH: &str = "/apis/batch/v1/namespaces/influxdb/jobs/key-gen-7c9d2b41";
const NEW_UID: &str = "22222222-2222-4222-8222-222222222222";

/// Returns path and required UID of each deletion by UID, in order.
fn list_raw_deletions(sb: &Sandbox) -> Vec<(String, String)> {
    let describe = |call: &Call| {
        let at = call.argv.iter().position(|arg| arg == "--raw")?;
        let options: Value = serde_json::from_str(call.stdin.as_deref()?).expect("options");
        let uid = options["preconditions"]["uid"].as_str().expect("a UID");
        Some((call.argv[at + 1].clone(), uid.to_owned()))
    };
    sb.calls().iter().filter_map(describe).collect()
}

/// Runs `revoke --delete-by-uid`, and gives an object another UID right before its deletion.
fn recreate_before_deletion(sb: &Sandbox, path: &str, kind: &str, name: &str, code: i32) -> String {
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", path],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&[super::REVOKE_ARGS, &["--delete-by-uid"]].concat());
    sb.wait_for_gate("gate");
    sb.edit_cluster(|cluster| {
        cluster[kind][format!("influxdb/{name}")]["meta"]["uid"] = json!(NEW_UID);
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, code, "{}", run.stderr);
    let objects = &sb.refresh_cluster()[kind];
    assert_eq!(objects[format!("influxdb/{name}")]["meta"]["uid"], NEW_UID);
    wrap_lines(extract_error(&run))
}

#[test]
fn deletions_name_observed_uids() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    let old = sb.admin_token();
    let keys = get_secret_uid(&sb, "rsa-keys").expect("keys");
    let run = run_revoke(&sb, 0, &["--delete-by-uid"]);
    assert_revoked(&sb, &old, "by UID");
    let deleted = list_raw_deletions(&sb);
    assert_eq!(deleted[0], (KEYS_PATH.to_owned(), keys.clone()));
    let paths: Vec<&str> = deleted.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            KEYS_PATH,
            "/api/v1/namespaces/influxdb/secrets/admin-token",
            KEY_GEN_PATH,
            "/apis/batch/v1/namespaces/influxdb/jobs/create-admin-token-7c9d2b41",
        ]
    );
    let detail = format!("secret `rsa-keys` with UID {keys} is deleted");
    assert!(run.stdout.contains(&detail), "{}", run.stdout);
    // The server answers with the whole secret if a finalizer delays the deletion.
    let results = sb.read_entries_by_type("result");
    let intents = sb.read_entries_by_type("intent");
    let deletion = intents
        .iter()
        .find(|intent| intent["step"] == "delete-rsa-keys");
    let deletion = deletion.expect("an intent");
    assert_eq!(deletion["object"]["uid"], json!(keys));
    let result = results
        .iter()
        .find(|result| result["intent"] == deletion["seq"] && result["run"] == deletion["run"]);
    assert_eq!(
        result.expect("a result")["stdout"],
        json!({"withheld": "secret"})
    );
}

/// The documented command deletes whatever has the name, so the run claims no UID.
#[test]
fn documented_deletion_claims_only_last_seen_uid() {
    let sb = create_fast_sandbox();
    let keys = get_secret_uid(&sb, "rsa-keys").expect("keys");
    let run = run_revoke(&sb, 0, &[]);
    let detail = format!("secret `rsa-keys` is deleted, last seen with UID {keys}");
    assert!(run.stdout.contains(&detail), "{}", run.stdout);
    assert_eq!(list_raw_deletions(&sb), []);
}

/// The server refuses the first deletion, so the run has changed nothing.
#[test]
fn conflict_at_first_deletion_changes_nothing() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    let error = recreate_before_deletion(&sb, KEYS_PATH, "secrets", "rsa-keys", 4);
    insta::assert_snapshot!(error, @"
    error: secret `rsa-keys` was recreated by someone else during this run
    hint: the server refused the deletion, so this run changed nothing: find out who recreated it,
        then run the same command again to plan from the new state
    ");
    let end = sb.read_entries_by_type("run.end").pop().expect("an end");
    assert_eq!(
        (&end["changed"], &end["exit_code"]),
        (&json!(false), &json!(4))
    );
    let kept = sb.list_directory("home/.local/state/bypassctl");
    assert!(
        !kept.iter().any(|name| name.contains("old-token")),
        "{kept:?}"
    );
    // The audit log has no unfinished revocation, and the keys of the same job are old.
    let status = sb.run(&["status", "-n", "influxdb"]);
    assert!(!status.stdout.contains("revocation"), "{}", status.stdout);
    sb.clear_faults();
    sb.clear_calls();
    let run = run_revoke(&sb, 0, &["--delete-by-uid"]);
    assert!(!run.stdout.contains("resum"), "{}", run.stdout);
    let deleted = list_raw_deletions(&sb);
    assert_eq!(deleted[0], (KEYS_PATH.to_owned(), NEW_UID.to_owned()));
    assert_revoked(&sb, &old, "after the conflict");
}

/// A deletion that was refused for another reason can have changed something.
#[test]
fn other_conflict_at_first_deletion_counts_as_change() {
    let sb = create_fast_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", KEYS_PATH],
        "do": {"exit": {"code": 1, "stdout": "", "stderr":
            "Error from server (Conflict): try again\n"}}
    }));
    run_revoke(&sb, 8, &["--delete-by-uid"]);
}

#[test]
fn conflict_at_later_deletion_stops() {
    let sb = create_fast_sandbox();
    let path = "/api/v1/namespaces/influxdb/secrets/admin-token";
    let error = recreate_before_deletion(&sb, path, "secrets", "admin-token", 8);
    insta::assert_snapshot!(error, @"
    error: secret `admin-token` was recreated by someone else during this run
    hint: a change was made before this error. Find out who recreated it, then run the same command
        again to plan from the new state. Steps done: delete-rsa-keys; started: delete-admin-token;
        pending: rerun-key-gen, verify-rsa-keys, restart-pods, rerun-create-admin-token,
        verify-rejection, verify-admin-token, get-token, verify-revocation, count-tokens
    ");
}

#[test]
fn plan_is_not_started_by_conflict_at_first_deletion() {
    let sb = create_fast_sandbox();
    let plan = [
        "plan",
        "revoke",
        "-n",
        "influxdb",
        "--delete-by-uid",
        "--out",
        "saved.plan",
    ];
    run_with_exit_code(&sb, 0, &plan);
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--raw", KEYS_PATH],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let apply = ["apply", "saved.plan", "--confirm", "sim-dev/influxdb"];
    let running = sb.spawn(&apply);
    sb.wait_for_gate("gate");
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/rsa-keys"]["meta"]["uid"] = json!(NEW_UID);
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 4, "{}", run.stderr);
    sb.clear_faults();
    let run = run_with_exit_code(&sb, 4, &apply);
    // An interrupted run of the plan would have another hint.
    assert!(
        run.stderr
            .contains("hint: create a new plan and have it approved"),
        "{}",
        run.stderr
    );
}

#[test]
fn job_recreated_after_last_look_is_kept() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    let error = recreate_before_deletion(&sb, KEY_GEN_PATH, "jobs", "key-gen-7c9d2b41", 8);
    assert!(
        error.starts_with("error: job `key-gen-7c9d2b41` was recreated by someone else"),
        "{error}"
    );
}

/// The deletion does not wait, so the look afterwards finds the secret.
#[test]
fn finalizer_is_detected_after_deletion_by_uid() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/rsa-keys"]["finalizers"] = json!(["example.com/f"]);
    });
    let run = run_revoke(&sb, 8, &["--delete-by-uid", "--skip-check", "finalizers"]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @r#"
    error: secret `rsa-keys` still exists after its deletion: it has finalizer `example.com/f`
    hint: a change was made before this error: run the same command again to resume. Let the
        controller that set the finalizer remove it. The secret then disappears. If that controller
        no longer exists, run `kubectl patch secrets/rsa-keys --namespace influxdb --context sim-dev
        --type merge --patch '{"metadata":{"finalizers":null}}'`. Steps done: nothing; started:
        delete-rsa-keys; pending: delete-admin-token, rerun-key-gen, verify-rsa-keys, restart-pods,
        rerun-create-admin-token, verify-rejection, verify-admin-token, get-token,
        verify-revocation, count-tokens
    "#);
}

#[test]
fn script_deletes_by_uid() {
    let sb = create_fast_sandbox();
    let keys = get_secret_uid(&sb, "rsa-keys").expect("keys");
    let args = [
        "revoke",
        "-n",
        "influxdb",
        "--delete-by-uid",
        "--dry-run=script",
    ];
    let script = run_with_exit_code(&sb, 0, &args).stdout;
    check_script(&sb, &script);
    let line = script
        .lines()
        .find(|line| line.contains(KEYS_PATH))
        .expect("the deletion");
    assert!(
        line.starts_with(&format!("{keys}) printf '%s' '{{"))
            && line.contains(&format!(r#""preconditions":{{"uid":"{keys}"}}"#))
            && line.ends_with(" >/dev/null ;;"),
        "{line}"
    );
}

#[test]
fn discovered_policy_can_require_deletion_by_uid() {
    let sb = create_fast_sandbox();
    let plan = ["plan", "revoke", "-n", "influxdb", "--out", "saved.plan"];
    run_with_exit_code(&sb, 0, &plan);
    sb.write("home/bypassctl.toml", "[guard]\ndelete_by_uid = true\n");
    let apply = ["apply", "saved.plan", "--confirm", "sim-dev/influxdb"];
    let run = run_with_exit_code(&sb, 4, &apply);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: the policy `[SANDBOX]/home/bypassctl.toml` requires deletions by UID, and the plan has
        others
    hint: create another plan: run `bypassctl plan revoke … --out FILE`
    ");
    assert!(!sb.calls().iter().any(is_cluster_change));
    run_revoke(&sb, 0, &[]);
    assert_eq!(list_raw_deletions(&sb).len(), 2);
}
