//! Resuming an interrupted run, from the cluster's state and, for a day, from the audit log.

use super::{
    assert_revoked, create_enabled_sandbox, extract_progress, get_secret_uid, list_cluster_changes,
    list_plan_steps,
};
use crate::crash::kill_orphans;
use crate::enable::TOKEN_FILE;
use crate::sandbox::Sandbox;
use serde_json::json;

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

/// Kills a rotation after all changes to the cluster, while the profile still has the old token.
fn kill_before_token_is_read(sb: &Sandbox) {
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--template={{.data.token}}"],
        "nth": 2,
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(ROTATE_ARGS).code, 128 + 9);
    kill_orphans(sb);
    sb.clear_faults();
    sb.clear_calls();
    // Creation times have a resolution of one second. Two seconds make the pods clearly younger.
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"] = json!(
            cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"]
                .as_u64()
                .expect("a time")
                - 2000
        );
    });
}

/// Removes the warning that an earlier run was killed in a step, with its hint. A step that runs
/// beside the killed one may or may not have ended.
fn without_warning_of(step: &str, output: &str) -> String {
    let step = format!("`{step}`");
    let mut lines = output.lines();
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if line.starts_with("warning: ") && line.contains(&step) {
            lines.next();
        } else {
            kept.push(line);
        }
    }
    kept.join("\n")
}

#[test]
fn rotate_resumes_from_audit_log() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    kill_before_token_is_read(&sb);
    let (keys, token) = (
        get_secret_uid(&sb, "rsa-keys"),
        get_secret_uid(&sb, "admin-token"),
    );
    let run = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    insta::assert_snapshot!(without_warning_of(
        "verify-admin-token",
        &extract_progress(&run)
    ));
    assert_eq!(
        (
            get_secret_uid(&sb, "rsa-keys"),
            get_secret_uid(&sb, "admin-token")
        ),
        (keys, token)
    );
    assert_revoked(&sb, &old, "after resuming");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    // A completed run is not resumed.
    let next = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        list_plan_steps(&next).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        next.stdout
    );
}

#[test]
fn rotate_without_audit_log_starts_fresh() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    kill_before_token_is_read(&sb);
    let elsewhere = sb.path("elsewhere.jsonl").display().to_string();
    let run = super::run_with_exit_code(
        &sb,
        0,
        &[ROTATE_ARGS, &["--audit-log", &elsewhere]].concat(),
    );
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
    assert_revoked(&sb, &old, "elsewhere");
}

#[test]
fn dry_run_keeps_unfinished_revocation() {
    let sb = create_enabled_sandbox();
    kill_before_token_is_read(&sb);
    for _ in 0..2 {
        let run = super::run_with_exit_code(&sb, 0, &["rotate", "-n", "influxdb", "--dry-run"]);
        assert!(
            run.stderr
                .contains("an earlier revocation is unfinished or still running"),
            "{}",
            run.stderr
        );
        assert!(
            !list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn rotate_ignores_unfinished_run_of_other_namespace() {
    let sb = create_enabled_sandbox();
    kill_before_token_is_read(&sb);
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    // Makes that run one of another namespace.
    std::fs::write(
        sb.log_path(),
        text.replace(r#""namespace":"influxdb""#, r#""namespace":"influxdc""#),
    )
    .expect("sandbox");
    let run = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}

#[test]
fn rotate_ignores_unfinished_run_after_a_day() {
    let sb = create_enabled_sandbox();
    kill_before_token_is_read(&sb);
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    let times = regex::Regex::new(r#""ts":"\d{4}"#).expect("a pattern");
    std::fs::write(
        sb.log_path(),
        times.replace_all(&text, r#""ts":"2020"#).as_bytes(),
    )
    .expect("sandbox");
    let run = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}

#[test]
fn revoke_after_enable_starts_fresh() {
    let sb = create_enabled_sandbox();
    kill_before_token_is_read(&sb);
    super::run_with_exit_code(&sb, 0, &["enable", "-n", "influxdb"]);
    let in_use = sb.admin_token();
    let run = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
    assert_revoked(&sb, &in_use, "put to use");
}

#[test]
fn start_over_flag_prevents_resume() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    kill_before_token_is_read(&sb);
    let keys = get_secret_uid(&sb, "rsa-keys");
    super::run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["--start-over"]].concat());
    assert_ne!(get_secret_uid(&sb, "rsa-keys"), keys);
    assert_revoked(&sb, &old, "again");
    assert!(list_cluster_changes(&sb).contains("delete secrets/rsa-keys"));
}

/// Creates the secret again with other data, as `kubectl apply` of a backup does.
fn restore_secret(sb: &Sandbox, name: &str, old: &serde_json::Value) {
    sb.edit_cluster(|cluster| {
        let secret = &mut cluster["secrets"][format!("influxdb/{name}")];
        let now = secret["meta"]["created_ms"].as_u64().expect("a time") + 60_000;
        *secret = old.clone();
        secret["meta"]["uid"] = json!("11111111-2222-3333-4444-555555555555");
        secret["meta"]["created_ms"] = json!(now);
    });
}

#[test]
fn keys_from_backup_do_not_count_as_new() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    let backup = sb.refresh_cluster()["secrets"]["influxdb/rsa-keys"].clone();
    kill_before_token_is_read(&sb);
    restore_secret(&sb, "rsa-keys", &backup);
    insta::assert_snapshot!(
        super::extract_error(&super::run_with_exit_code(&sb, 4, ROTATE_ARGS)),
        @"
    error: a revocation is unfinished, but no key-gen job ran when secret `rsa-keys` was created: it can contain the old keys
    hint: pass `--start-over` to delete the keys and the token, and create both again
    "
    );
    super::run_with_exit_code(&sb, 0, &[ROTATE_ARGS, &["--start-over"]].concat());
    assert_revoked(&sb, &old, "start over");
}

#[test]
fn recorded_keys_count_as_new_after_their_job_is_gone() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    kill_before_token_is_read(&sb);
    let keys = get_secret_uid(&sb, "rsa-keys");
    // As `ttlSecondsAfterFinished` of the job does.
    sb.edit_cluster(|cluster| {
        let jobs = cluster["jobs"].as_object_mut().expect("jobs");
        assert!(jobs.remove("influxdb/key-gen-001").is_some());
    });
    super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys);
    assert_revoked(&sb, &old, "resumed");
}

#[test]
fn unfinished_revocation_of_deleted_namespace_is_not_resumed() {
    let sb = create_enabled_sandbox();
    kill_before_token_is_read(&sb);
    sb.edit_cluster(|cluster| {
        cluster["namespaces"]["influxdb"] = json!("99999999-2222-3333-4444-555555555555");
    });
    let run = super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}

/// Lists the copies of old tokens in the state directory.
fn list_kept_tokens(sb: &Sandbox) -> Vec<String> {
    let mut names = sb.list_directory("home/.local/state/bypassctl");
    names.retain(|name| name.starts_with("old-token-"));
    names
}

#[test]
fn refused_start_over_keeps_copy_of_old_token() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    kill_before_token_is_read(&sb);
    assert_eq!(list_kept_tokens(&sb).len(), 1);
    sb.deny_access(json!({"verb": "delete", "resource": "secrets"}));
    super::run_with_exit_code(&sb, 4, &[ROTATE_ARGS, &["--start-over"]].concat());
    assert_eq!(list_kept_tokens(&sb).len(), 1);
    sb.edit_cluster(|cluster| cluster["denied"] = json!([]));
    super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_revoked(&sb, &old, "resumed");
    assert_eq!(list_kept_tokens(&sb), [""; 0]);
}

#[test]
fn earlier_verification_claims_no_probe_of_this_run() {
    let sb = create_enabled_sandbox();
    super::run_with_exit_code(&sb, 0, ROTATE_ARGS);
    // As if the run was killed right before its end.
    let log = String::from_utf8(sb.read_log()).expect("ASCII");
    let end = log.trim_end().rfind('\n').expect("a line") + 1;
    assert!(log[end..].contains("\"run.end\""));
    sb.write(sb.log_path(), &log[..end]);
    sb.inject_fault(json!({
        "tool": "influxctl",
        "contains": ["database"],
        "before": true,
        "do": {"exit": {"code": 1, "stderr": "error\tx509: unknown authority\n"}}
    }));
    let run = sb.run(&[ROTATE_ARGS, &["--grace-period", "1s"]].concat());
    assert!([0, 10].contains(&run.code), "{}", run.stderr);
    assert_eq!(
        run.code == 0,
        run.stdout.contains("verify-revocation: by entry"),
        "{}",
        run.stdout
    );
    assert!(
        !run.stdout.contains("rejects the old token and accepts"),
        "{}",
        run.stdout
    );
    assert_eq!(sb.read_entries_by_type("verification").len(), 1);
}
