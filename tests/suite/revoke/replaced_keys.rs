//! Keys that somebody replaces in place: the UID stays, the resource version changes.

use super::delivery::{
    create_sandbox_with_vault_ending, install_vault, rotate_and_deliver, rotate_args,
};
use super::{
    REVOKE_ARGS, create_fast_sandbox, get_secret_uid, is_token_accepted, run_revoke,
    run_with_exit_code,
};
use crate::audit_verify::rewrite_log;
use crate::sandbox::{CommandOutput, Sandbox, split_lines, wait_until};
use regex::Regex;
use serde_json::{Value, json};

/// Creates a cluster after a verified `revoke --no-new-token`.
fn create_sandbox_without_token() -> Sandbox {
    let sb = create_fast_sandbox();
    run_revoke(&sb, 0, &["--no-new-token"]);
    sb
}

/// Asserts that a run without a copy of the old token relied on no earlier verification.
fn assert_not_verified(run: &CommandOutput) {
    assert!(
        run.stderr.contains("no copy of the old token found"),
        "{}",
        run.stderr
    );
}

/// Pauses the next command whose arguments contain these words, changes the version of the keys,
/// and returns the finished run.
fn run_with_change_before(sb: &Sandbox, words: &[&str], args: &[&str]) -> CommandOutput {
    sb.inject_fault(json!({
        "tool": "kubectl", "contains": words, "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(args);
    sb.wait_for_gate("gate");
    sb.raise_secret_version("rsa-keys");
    sb.release_gate("gate");
    running.wait()
}

fn delete_kept_token(sb: &Sandbox) {
    let directory = "home/.local/state/bypassctl";
    let names = sb.list_directory(directory);
    let name = names.iter().find(|name| name.starts_with("old-token-"));
    let path = format!("{directory}/{}", name.expect("a copy"));
    std::fs::remove_file(sb.path(path)).expect("sandbox");
}

fn restart_pods(sb: &Sandbox) {
    let args = [
        "delete",
        "pods",
        "--selector",
        "app=token-management",
        "--namespace",
        "influxdb",
        "--wait=false",
    ];
    assert_eq!(sb.run_tool("kubectl", &args, None).code, 0);
}

#[test]
fn verification_records_the_version_of_each_secret() {
    let sb = create_fast_sandbox();
    run_revoke(&sb, 0, &[]);
    let entry = sb.read_entries_by_type("verification").remove(0);
    let secrets = sb.refresh_cluster()["secrets"].clone();
    let expected = ["rsa-keys", "admin-token"].map(|name| {
        let meta = &secrets[format!("influxdb/{name}")]["meta"];
        let version = meta["revision"].to_string();
        json!({"kind": "Secret", "name": name, "uid": meta["uid"], "resource_version": version})
    });
    assert_eq!(entry["secrets"], json!(expected));
}

#[test]
fn earlier_verification_does_not_count_for_keys_replaced_in_place() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    let old_keys =
        sb.edit_cluster(|cluster| cluster["secrets"]["influxdb/rsa-keys"]["data"].clone());
    run_revoke(&sb, 0, &["--no-new-token"]);
    assert!(!is_token_accepted(&sb, &old));
    let uid = get_secret_uid(&sb, "rsa-keys");
    // Somebody restores the old keys.
    sb.replace_secret_data("rsa-keys", &old_keys);
    restart_pods(&sb);
    wait_until("the pods have loaded the old keys", || {
        is_token_accepted(&sb, &old)
    });
    assert_eq!(get_secret_uid(&sb, "rsa-keys"), uid);
    let next = run_revoke(&sb, 10, &[]);
    assert_not_verified(&next);
    assert!(
        !next.stdout.contains("verified these keys"),
        "{}",
        next.stdout
    );
}

/// The run never reads the keys, so it cannot know that only a label changed.
#[test]
fn earlier_verification_does_not_count_after_any_change_of_the_keys() {
    let sb = create_sandbox_without_token();
    sb.raise_secret_version("rsa-keys");
    assert_not_verified(&run_revoke(&sb, 10, &["--no-new-token"]));
    assert_not_verified(&run_revoke(&sb, 10, &[]));
}

#[test]
fn earlier_verification_does_not_count_for_keys_replaced_after_the_preflight_checks() {
    let sb = create_sandbox_without_token();
    let run = run_with_change_before(&sb, &["--dry-run=server"], REVOKE_ARGS);
    assert_eq!(run.code, 10, "{}{}", run.stdout, run.stderr);
    assert!(run.stdout.contains("verified these keys"), "{}", run.stdout);
    assert_not_verified(&run);
}

#[test]
fn verification_does_not_count_for_keys_replaced_during_the_run() {
    let sb = create_sandbox_with_vault_ending("exit 2");
    // The run has listed the new keys, and lists them again after the job of the token.
    let run = run_with_change_before(&sb, &["delete", "pods"], &rotate_args());
    assert_eq!(run.code, 8, "{}{}", run.stdout, run.stderr);
    let entries = sb.read_entries_by_type("verification");
    assert_eq!(entries.len(), 1);
    // Otherwise the next run probes the old token again.
    delete_kept_token(&sb);
    install_vault(&sb, "exit 0");
    assert_not_verified(&rotate_and_deliver(&sb, 10));
}

#[test]
fn earlier_verification_without_versions_does_not_count() {
    let sb = create_sandbox_without_token();
    let log = sb.read_log();
    let is_verification = |line: &&[u8]| {
        serde_json::from_slice::<Value>(line).expect("JSON")["type"] == "verification"
    };
    let index = split_lines(&log).iter().position(is_verification);
    let pattern = Regex::new(r#","resource_version":"\d+""#).expect("a pattern");
    let older = rewrite_log(&log, index.expect("a verification"), |line| {
        pattern.replace_all(line, "").into_owned()
    });
    assert_ne!(older, log);
    std::fs::write(sb.log_path(), older).expect("sandbox");
    sb.assert_log_intact();
    let next = run_with_exit_code(&sb, 10, REVOKE_ARGS);
    assert_not_verified(&next);
}
