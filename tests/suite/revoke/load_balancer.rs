//! Token services behind a load balancer.

use super::{REVOKE_ARGS, create_fast_sandbox, get_secret_uid, is_token_accepted, run_revoke};
use crate::sandbox::{Sandbox, wait_until};
use serde_json::{Value, json};

/// Adds a backend that no restart reaches and that accepts the current token.
fn add_stale_backend(sb: &Sandbox) {
    sb.edit_cluster(|cluster| {
        let pods = cluster["pods"].as_object().expect("pods");
        let key_id = pods.values().find_map(|pod| pod["key_id"].as_str());
        cluster["stale_backends"] = json!([key_id.expect("a pod with a key")]);
    });
}

/// Returns the intents of the probes of the old token after the restart.
fn filter_old_token_probes(entries: &[Value]) -> Vec<&Value> {
    let is_step = |entry: &Value, step: &str| entry["step"] == step && entry["argv"].is_array();
    let probed = entries
        .iter()
        .find(|entry| is_step(entry, "verify-rejection"));
    let Some(old) = probed.map(|entry| &entry["probe"]["token_hmac"]) else {
        return Vec::new();
    };
    let is_probe = |entry: &&Value| {
        (is_step(entry, "verify-rejection") || is_step(entry, "verify-revocation"))
            && entry["probe"]["token_hmac"] == *old
    };
    entries.iter().filter(is_probe).collect()
}

/// Returns the exit codes of the probes of the old token after the restart.
fn list_old_token_probes(sb: &Sandbox) -> Vec<Value> {
    let entries = sb.read_entries();
    let intents: Vec<&Value> = filter_old_token_probes(&entries)
        .iter()
        .map(|intent| &intent["seq"])
        .collect();
    entries
        .iter()
        .filter(|entry| entry["type"] == "result" && intents.contains(&&entry["intent"]))
        .map(|entry| entry["exit"]["code"].clone())
        .collect()
}

#[test]
fn backend_without_restart_is_still_accepted() {
    let sb = create_fast_sandbox();
    add_stale_backend(&sb);
    let old = sb.admin_token();
    let run = run_revoke(&sb, 11, &["--grace-period", "2s"]);
    assert!(
        run.stderr
            .contains("accepted the old token after the restart"),
        "{}",
        run.stderr
    );
    assert!(is_token_accepted(&sb, &old) || is_token_accepted(&sb, &old));
}

/// A token service in trouble rejects every token. Such rejections show nothing.
#[test]
fn rejections_before_the_new_token_verify_nothing() {
    let sb = create_fast_sandbox();
    // Longer than a streak takes.
    sb.edit_cluster(|cluster| cluster["job_seconds"] = json!(4.5));
    let old = get_secret_uid(&sb, "admin-token");
    let key_id = sb.edit_cluster(|cluster| {
        let pods = cluster["pods"].as_object().expect("pods");
        let key_id = pods.values().find_map(|pod| pod["key_id"].as_str());
        key_id.expect("a pod with a key").to_owned()
    });
    let running = sb.spawn(&[REVOKE_ARGS, &["--grace-period", "1s"]].concat());
    wait_until("the job creates another token", || {
        let token = get_secret_uid(&sb, "admin-token");
        token.is_some() && token != old
    });
    sb.edit_cluster(|cluster| cluster["stale_backends"] = json!([key_id]));
    let run = running.wait();
    assert_eq!(run.code, 11, "{}", run.stdout);
}

#[test]
fn acceptance_restarts_streak_of_rejections() {
    let sb = create_fast_sandbox();
    add_stale_backend(&sb);
    let running = sb.spawn(REVOKE_ARGS);
    wait_until("a backend accepts the old token after the restart", || {
        list_old_token_probes(&sb).contains(&json!(0))
    });
    sb.edit_cluster(|cluster| cluster["stale_backends"] = json!([]));
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    let probes = list_old_token_probes(&sb);
    let streak = probes.iter().rev().take_while(|code| **code != 0).count();
    assert!(streak >= 10, "5 for each of 2 pods: {probes:?}");
}

#[test]
fn verification_takes_streak_of_at_least_two_seconds() {
    let sb = create_fast_sandbox();
    run_revoke(&sb, 0, &[]);
    let probes = list_old_token_probes(&sb);
    assert!(
        probes.len() >= 10 && !probes.contains(&json!(0)),
        "{probes:?}"
    );
    let entries = sb.read_entries();
    let probes = filter_old_token_probes(&entries);
    let times: Vec<jiff::Timestamp> = probes
        .iter()
        .filter(|entry| entry["step"] == "verify-revocation")
        .map(|entry| {
            entry["ts"]
                .as_str()
                .expect("a time")
                .parse()
                .expect("a time")
        })
        .collect();
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(last.duration_since(first).as_millis() >= 2000, "{times:?}");
    let gaps: Vec<i128> = times
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_millis())
        .collect();
    assert!(
        gaps.iter().max() != gaps.iter().min(),
        "irregular: {gaps:?}"
    );
}
