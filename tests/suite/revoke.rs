//! `revoke` and `rotate`

mod app_instance;
mod concurrent_changes;
mod confirmation;
mod delete_by_uid;
pub mod delivery;
mod dry_run;
mod failure_matrix;
mod initial_states;
mod interrupt;
pub mod key_users;
mod load_balancer;
mod preflight;
mod prune_clones;
mod replaced_keys;
mod resume;
mod rotate;
mod safety;
mod timeouts;
mod token_inventory;
mod unfinished;
mod verification;

use crate::enable::TOKEN_FILE;
use crate::sandbox::{self, Call, CommandOutput, Sandbox, drop_audit_head};
use regex::Regex;
use serde_json::{Value, json};
use std::path::Path;

pub const REVOKE_ARGS: &[&str] = &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

/// Creates a cluster with short durations.
pub fn create_fast_sandbox() -> Sandbox {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["job_seconds"] = json!(0.05);
        cluster["term_seconds"] = json!(0.15);
        cluster["start_seconds"] = json!(0.05);
        cluster["retry_seconds"] = json!(0.1);
    });
    sb
}

/// Creates the same cluster with an enabled token.
pub fn create_enabled_sandbox() -> Sandbox {
    let sb = create_fast_sandbox();
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 0);
    sb.clear_calls();
    sb
}

/// Runs a confirmed `revoke`, which must exit with this code.
pub fn run_revoke(sb: &Sandbox, code: i32, more: &[&str]) -> CommandOutput {
    run_with_exit_code(sb, code, &[REVOKE_ARGS, more].concat())
}

/// Runs a command, which must exit with this code and leak no secret.
pub fn run_with_exit_code(sb: &Sandbox, code: i32, args: &[&str]) -> CommandOutput {
    let run = sb.run(args);
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    sb.assert_no_secret_leaked(&[
        Path::new(TOKEN_FILE),
        Path::new("tmp/token.json"),
        Path::new("home/old.json"),
    ]);
    assert_eq!(
        sb.list_directory("run"),
        [""; 0],
        "a token probe leaves no files"
    );
    if run.code != 0 && !args.contains(&"json") {
        let output = ["\nhint: ", "\n   hint: "]
            .iter()
            .any(|hint| run.stderr.contains(hint));
        assert!(output, "no hint: {}", run.stderr);
    }
    run
}

/// Runs `revoke`, which must exit with this code and change nothing.
pub fn expect_refusal(sb: &Sandbox, code: i32, more: &[&str]) -> String {
    let before = list_object_uids(sb);
    let run = run_revoke(sb, code, more);
    assert_eq!(list_object_uids(sb), before, "the run changed something");
    assert_eq!(list_cluster_changes(sb), "");
    extract_error(&run)
}

/// Returns standard error from the error on, without the audit head.
pub fn extract_error(run: &CommandOutput) -> String {
    drop_audit_head(&sandbox::extract_error(run))
}

/// Returns the output with parallel checks in a fixed order.
pub fn normalize_step_order(text: &str) -> String {
    let killed_in = |step: &str| format!("killed in step `{step}`");
    let (get_token, verify_token) = (killed_in("get-token"), killed_in("verify-admin-token"));
    let text = match (text.find(&get_token), text.find(&verify_token)) {
        // The two lines differ only in the step.
        (Some(first), Some(second)) if first < second => &text
            .replacen(&get_token, "[KILLED]", 1)
            .replacen(&verify_token, &get_token, 1)
            .replacen("[KILLED]", &verify_token, 1),
        _ => text,
    };
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is = |line: &str, word: &str| {
        (line.starts_with("done ") || line.starts_with("verified ")) && line.contains(word)
    };
    for (first, second) in [
        (" verify-rejection: ", " rerun-create-admin-token: "),
        (" verify-admin-token: ", " get-token: "),
    ] {
        let find = |word: &str| lines.iter().position(|line| is(line, word));
        if let (Some(first), Some(second)) = (find(first), find(second))
            && second < first
        {
            lines.swap(first, second);
        }
    }
    mask_entry_count(&lines.concat())
}

/// Replaces the number of entries at the audit head.
///
/// How often the old token is tried depends on how long the job takes.
fn mask_entry_count(output: &str) -> String {
    let head = Regex::new(r"(?m)^(audit head \S+) \d+:").expect("a pattern");
    head.replace(output, "$1 [ENTRIES]:").into_owned()
}

/// Returns the output without the plan.
pub fn extract_progress(run: &CommandOutput) -> String {
    let text = normalize_step_order(&run.normalized_output());
    let is_plan = |line: &&str| {
        line.starts_with("plan: ")
            || line.starts_with("   $ ")
            || line.starts_with("   then: ")
            || line.starts_with("   if its UID")
            || line.starts_with("   reads job")
            || line.starts_with("     container ")
            || line.starts_with("   with the old")
            || line
                .split_once(". ")
                .is_some_and(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    drop_audit_head(&text)
        .split_inclusive('\n')
        .filter(|line| !is_plan(line))
        .collect()
}

/// Returns the steps of the printed plan, or those that the run reported as done.
pub fn list_plan_steps(run: &CommandOutput) -> Vec<String> {
    let to_id = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        let is_number = word
            .strip_suffix('.')
            .is_some_and(|n| n.parse::<u32>().is_ok());
        let id = rest.trim_start().split([':', ' ']).next()?;
        (is_number || ["done", "verified"].contains(&word)).then(|| id.to_owned())
    };
    let text = normalize_step_order(&run.stdout);
    // The preflight checks come before the question.
    let steps = text.split_once("Commands and hints: --dry-run\n");
    let text = steps.map_or(text.as_str(), |(_, steps)| steps);
    text.lines().filter_map(to_id).collect()
}

/// Returns whether a call changes the cluster.
fn is_cluster_change(call: &Call) -> bool {
    let has = |word: &str| {
        call.argv
            .iter()
            .any(|arg| arg == word || arg.starts_with(&format!("{word}=")))
    };
    let review = call
        .stdin
        .as_ref()
        .is_some_and(|stdin| stdin.contains("SelfSubjectAccessReview"));
    call.tool == "kubectl" && (has("delete") || has("create")) && !has("--dry-run") && !review
}

/// Returns the calls that change the cluster, in order.
pub fn list_cluster_changes(sb: &Sandbox) -> String {
    let lines: Vec<String> = sb
        .calls()
        .iter()
        .filter(|call| is_cluster_change(call))
        .map(Call::to_shell_line)
        .collect();
    lines.concat()
}

/// Returns the UIDs of all secrets, jobs and pods of the namespace.
pub fn list_object_uids(sb: &Sandbox) -> Value {
    let cluster = sb.refresh_cluster();
    let describe = |kind: &str| {
        let all = cluster[kind].as_object().expect("objects").iter();
        all.map(|(name, object)| {
            format!("{name} {} {}", object["meta"]["uid"], object["deleted_ms"])
        })
        .collect::<Vec<_>>()
    };
    json!([describe("secrets"), describe("jobs"), describe("pods")])
}

/// Returns the UID of a secret of the namespace, if it exists.
pub fn get_secret_uid(sb: &Sandbox, secret: &str) -> Option<String> {
    sb.refresh_cluster()["secrets"][format!("influxdb/{secret}")]["meta"]["uid"]
        .as_str()
        .map(str::to_owned)
}

/// Returns whether InfluxDB accepts a token.
pub fn is_token_accepted(sb: &Sandbox, token: &[u8]) -> bool {
    crate::fakes::token::probe_token(sb, token).code == 0
}

/// Asserts that the old token is rejected, the new one accepted, and two pods are ready.
pub fn assert_revoked(sb: &Sandbox, old: &[u8], what: &str) {
    assert!(
        !is_token_accepted(sb, old),
        "{what}: the old token is accepted"
    );
    let new = sb.admin_token();
    assert!(
        new != old && is_token_accepted(sb, &new),
        "{what}: the new token"
    );
    let pods = sb.refresh_cluster()["pods"]
        .as_object()
        .expect("pods")
        .clone();
    let serving = pods
        .values()
        .filter(|pod| pod["owner"]["kind"] == "ReplicaSet" && pod["phase"] == "Running");
    let token = serving.filter(|pod| pod["meta"]["labels"]["app"] == "token-management");
    assert_eq!(token.count(), 2, "{what}");
}

/// A command of a rotation, as faults select it.
#[derive(Clone)]
pub struct CommandPoint {
    pub name: &'static str,
    pub tool: &'static str,
    pub contains: &'static [&'static str],
    pub lacks: &'static [&'static str],
    pub nth: u32,
    /// The command watches until it is killed.
    pub is_watch: bool,
    /// The command changes the cluster.
    pub is_change: bool,
}

const fn build_read_point(
    name: &'static str,
    contains: &'static [&'static str],
    nth: u32,
) -> CommandPoint {
    CommandPoint {
        name,
        tool: "kubectl",
        contains,
        lacks: &[],
        nth,
        is_watch: false,
        is_change: false,
    }
}

const fn build_watch_point(name: &'static str, nth: u32) -> CommandPoint {
    CommandPoint {
        is_watch: true,
        ..build_read_point(name, &["--watch"], nth)
    }
}

const fn build_change_point(
    name: &'static str,
    contains: &'static [&'static str],
    nth: u32,
) -> CommandPoint {
    CommandPoint {
        is_change: true,
        lacks: &["--dry-run=server"],
        ..build_read_point(name, contains, nth)
    }
}

const GET_SECRETS: &[&str] = &["get", "secrets/rsa-keys"];
const CREATE_JOB: &[&str] = &["create", "--namespace"];
const GET_TOKEN: &[&str] = &["get", "--template={{.data.token}}"];

/// The commands of a rotation, from the first deletion on.
pub const COMMAND_POINTS: &[CommandPoint] = &[
    build_read_point("dry run", &["create", "--dry-run=server"], 1),
    build_read_point("check before the keys", GET_SECRETS, 2),
    build_change_point("delete keys", &["delete", "secrets/rsa-keys"], 1),
    build_read_point("check before the token", GET_SECRETS, 3),
    build_change_point("delete token", &["delete", "secrets/admin-token"], 1),
    build_change_point("create key-gen", CREATE_JOB, 1),
    build_watch_point("watch key-gen", 1),
    build_read_point("check the keys", GET_SECRETS, 4),
    build_read_point("check the pods", &["get", "pods", "--output"], 2),
    build_change_point("delete pods", &["delete", "pods"], 1),
    build_watch_point("watch pods", 2),
    build_change_point("create create-admin-token", CREATE_JOB, 2),
    build_watch_point("watch create-admin-token", 3),
    build_read_point("check the token", GET_SECRETS, 5),
    build_read_point("read the token", GET_TOKEN, 2),
    CommandPoint {
        tool: "influxctl",
        ..build_read_point("a token probe", &["database"], 2)
    },
    CommandPoint {
        tool: "influxctl",
        ..build_read_point("the other token probe", &["database"], 3)
    },
];

#[test]
fn revoke_replaces_keys_token_and_pods() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    let run = run_revoke(&sb, 0, &[]);
    insta::assert_snapshot!(
        "the_whole_way",
        normalize_step_order(&run.normalized_output())
    );
    let calls = sb.calls();
    assert_revoked(&sb, &old, "revoke");
    let first = calls.iter().position(is_cluster_change).expect("a change");
    let (before, after) = calls.split_at(first - 1);
    let mut before: Vec<String> = before.iter().map(Call::to_shell_line).collect();
    before.sort();
    let mut after: Vec<String> = after.iter().map(Call::to_shell_line).collect();
    // These two run in parallel.
    let token = after
        .iter()
        .rposition(|line| line.contains("{{.data.token}}"))
        .expect("the token is read");
    if after[token + 1].contains("custom-columns") {
        after.swap(token, token + 1);
    }
    // The probes of the old token run beside the job.
    after.sort_by_key(|line| line.starts_with("influxctl "));
    // How often they run depends on how long the job and the restart take.
    let is_probe = |line: &str| line.contains(" database list ");
    let is_pod_check = |line: &str, watch: &str| {
        let (before, after) = watch.split_once(" --watch --output-watch-events")?;
        Some(line == format!("{before}{after}"))
    };
    after.dedup_by(|line, previous| {
        is_probe(line) && is_probe(previous) || is_pod_check(line, previous) == Some(true)
    });
    let text = before.concat() + "--- confirmed\n" + &after.concat();
    insta::assert_snapshot!(
        "the_calls_of_the_whole_way",
        crate::sandbox::normalize(&text, sb.root())
    );
    sb.assert_log_intact();
}

#[test]
fn cloned_job_has_only_bypassctl_labels() {
    let sb = create_fast_sandbox();
    run_revoke(&sb, 0, &[]);
    let jobs = sb.refresh_cluster()["jobs"].clone();
    for (original, clone) in [
        ("key-gen-7c9d2b41", "key-gen-001"),
        ("create-admin-token-7c9d2b41", "create-admin-token-001"),
    ] {
        let original = &jobs[format!("influxdb/{original}")];
        let clone = &jobs[format!("influxdb/{clone}")];
        assert!(
            original["meta"]["labels"].to_string().contains("applyset"),
            "{original}"
        );
        assert_eq!(clone["meta"]["labels"], json!({"bypassctl/clone": "true"}));
        assert_eq!(
            clone["meta"]["annotations"]["bypassctl/clone-of"],
            original["meta"]["name"]
        );
        assert_eq!(
            clone["spec"]["template"]["spec"],
            original["spec"]["template"]["spec"]
        );
    }
    let intents = sb.read_entries_by_type("intent");
    let intent = intents
        .iter()
        .find(|intent| intent["step"] == "rerun-key-gen")
        .expect("a logged intent");
    assert_eq!(
        intent["stdin"]["derived_from"],
        json!([
            {
                "kind": "Job",
                "name": "key-gen-7c9d2b41",
                "uid": jobs["influxdb/key-gen-7c9d2b41"]["meta"]["uid"]
            }
        ])
    );
}
