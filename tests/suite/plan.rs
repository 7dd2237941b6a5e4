//! `plan` and `apply`: an approved plan is applied unchanged or not at all.

mod resume;

use crate::revoke::{
    create_enabled_sandbox, create_fast_sandbox, list_cluster_changes, list_object_uids,
};
use crate::sandbox::{CommandOutput, Sandbox, sha256_hex};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const CONFIRM_ARGS: &[&str] = &["--confirm", "sim-dev/influxdb"];
const DEFAULT_TOKEN_FILE: &str = "home/.config/influxctl/admin-token-default.json";

fn format_token_path(profile: &str) -> String {
    format!("home/.config/influxctl/admin-token-{profile}.json")
}

fn plan_path(sb: &Sandbox) -> PathBuf {
    sb.home_path("the.plan")
}

/// Writes a plan of this command, which must succeed and change nothing. Returns the output.
fn save_plan(sb: &Sandbox, command: &[&str]) -> CommandOutput {
    let (before, config) = (
        list_object_uids(sb),
        sb.read("home/.config/influxctl/config.toml"),
    );
    let run = sb.run(&[&["plan"], command, &["--out", "the.plan"]].concat());
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(
        (
            list_object_uids(sb),
            sb.read("home/.config/influxctl/config.toml"),
            list_cluster_changes(sb)
        ),
        (before, config, String::new())
    );
    sb.assert_no_secret_leaked(
        &["default", "other", "named"]
            .map(format_token_path)
            .each_ref()
            .map(Path::new),
    );
    run
}

fn read_plan(sb: &Sandbox) -> Value {
    serde_json::from_slice(&std::fs::read(plan_path(sb)).expect("a plan")).expect("JSON")
}

fn apply_plan(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    let run = sb.run(&[&["apply", "the.plan"], more].concat());
    sb.assert_no_secret_leaked(
        &["default", "other", "named"]
            .map(format_token_path)
            .each_ref()
            .map(Path::new),
    );
    run
}

/// Applies the plan, which bypassctl must refuse without a change.
fn expect_apply_refusal(sb: &Sandbox, expected: &str, more: &[&str]) {
    let before = list_object_uids(sb);
    sb.clear_calls();
    let revokes =
        std::fs::read_to_string(plan_path(sb)).is_ok_and(|plan| plan.contains("\"revocation\""));
    let run = apply_plan(
        sb,
        &[if revokes { CONFIRM_ARGS } else { &[] }, more].concat(),
    );
    assert_eq!(run.code, 4, "{expected}: {}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains(expected) && run.stderr.contains("hint: "),
        "{expected}: {}",
        run.stderr
    );
    assert_eq!(
        (list_object_uids(sb), list_cluster_changes(sb)),
        (before, String::new()),
        "{expected}"
    );
}

#[test]
fn plan_saves_file_and_changes_nothing() {
    let sb = create_enabled_sandbox();
    let run = save_plan(&sb, &["revoke", "-n", "influxdb"]);
    let somebody = regex::Regex::new(" by [^ ]+@[^ ]+ with ").expect("a pattern");
    insta::assert_snapshot!(somebody.replace(&run.normalized_output(), " by [USER]@[HOST] with "));
    assert_eq!(sb.file_mode("home/the.plan"), 0o600);
    let bytes = std::fs::read(plan_path(&sb)).expect("a plan");
    assert!(
        run.stdout
            .contains(&format!("sha256 {}", sha256_hex(&bytes)))
    );
    let end = sb.read_entries_by_type("run.end").pop().expect("an end");
    assert_eq!(
        (&end["command"], &end["dry_run"], &end["changed"]),
        (&json!("revoke"), &json!(true), &json!(false))
    );
    let intent = sb.read_entries_by_type("intent").pop().expect("an intent");
    assert_eq!(
        intent["file"]["after"],
        json!({"bytes": bytes.len(), "sha256": sha256_hex(&bytes)}),
        "on record by its digest"
    );
    // `plan show` adds every field, and prints the script of the dry run.
    let shown = sb.run(&["plan", "show", "the.plan"]);
    insta::assert_snapshot!(
        somebody.replace(&shown.normalized_output(), " by [USER]@[HOST] with ")
    );
    assert!(
        shown.stdout.contains(&sha256_hex(&bytes)),
        "{}",
        shown.stdout
    );
    assert!(
        sb.run(&["plan", "show", "the.plan", "-q"])
            .stdout
            .contains("sha256 ")
    );
    let script = sb
        .run(&["plan", "show", "the.plan", "--format", "script"])
        .stdout;
    assert_eq!(
        script,
        sb.run(&["revoke", "-n", "influxdb", "--dry-run=script"])
            .stdout
    );
}

/// The rendering shows every option, and no text in a file can forge a line of it.
#[test]
fn plan_show_renders_all_options_and_strips_controls() {
    let sb = create_enabled_sandbox();
    let asked = [
        "--skip-check",
        "failed-job",
        "--start-over",
        "--grace-period",
        "1s",
        "--old-token-file",
        ".config/influxctl/admin-token-default.json",
    ];
    save_plan(&sb, &[&["revoke", "-n", "influxdb"], &asked[..]].concat());
    let shown = sb.run(&["plan", "show", "the.plan"]).stdout;
    for expected in [
        "\"start_over\":true",
        "\"skip_check\":[\"failed-job\"]",
        "\"grace_period\":1000",
        "\"old_token_file\":\"/",
        "address         127.0.0.1:26444",
        "stdin           {\"sha256\":",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let mut plan = read_plan(&sb);
    plan["steps"][1]["reason"] = json!("x\nsha256 1111\u{1b}[2J\u{202e}\u{200b}");
    plan["steps"][1]["uid"] = json!("y\nsha256 2222");
    plan["steps"][2]["argv"] = json!(["kubectl", "delete", "namespace", "influxdb"]);
    std::fs::write(plan_path(&sb), plan.to_string()).expect("sandbox");
    let shown = sb.run(&["plan", "show", "the.plan"]).stdout;
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.starts_with("sha256 "))
            .count(),
        1,
        "{shown}"
    );
    assert!(
        shown.contains("$ kubectl delete namespace influxdb"),
        "what the steps say is what is shown: {shown}"
    );
    assert!(
        !shown
            .chars()
            .any(|c| (c.is_control() && c != '\n') || ['\u{202e}', '\u{200b}'].contains(&c)),
        "{shown:?}"
    );
}

/// The logged commands equal the planned ones, byte for byte.
fn assert_executed_as_planned(sb: &Sandbox, run: &CommandOutput, code: i32) {
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    let (document, plan) = (
        read_plan(sb),
        sha256_hex(&std::fs::read(plan_path(sb)).expect("a plan")),
    );
    let run = sb.read_entries_by_type("run.begin").pop().expect("a run")["run"].clone();
    let mut intents = sb.read_entries_by_type("intent");
    intents.retain(|intent| intent["run"] == run);
    assert!(
        intents.iter().all(|intent| intent["plan"] == json!(plan)),
        "each is of the plan"
    );
    let changing = |intent: &&Value| intent["effect"] == "changes";
    let of = |what: &'static str| {
        let changed = intents
            .iter()
            .filter(changing)
            .map(move |intent| intent[what].clone());
        changed.filter(|what| !what.is_null()).collect::<Vec<_>>()
    };
    let steps = document["steps"].as_array().expect("steps").clone();
    let reads = ["get-token", "probe-token", "cluster-uid", "record-cluster"];
    let is_read = |step: &Value| {
        let id = step["id"].as_str().expect("a name");
        reads.contains(&id) || id.starts_with("verify-")
    };
    let planned: Vec<Value> = steps
        .iter()
        .filter(|step| !is_read(step))
        .map(|step| step["argv"].clone())
        .filter(|argv| !argv.is_null())
        .collect();
    assert_eq!(of("argv"), planned);
    let stdin: Vec<Value> = steps
        .iter()
        .map(|step| step["stdin"]["sha256"].clone())
        .filter(|digest| !digest.is_null())
        .collect();
    assert_eq!(
        of("stdin")
            .iter()
            .map(|stdin| stdin["sha256"].clone())
            .collect::<Vec<_>>(),
        stdin
    );
    let files: Vec<Value> = steps
        .iter()
        .flat_map(|step| step.get("path").cloned())
        .filter(|path| !path.is_null())
        .collect();
    assert_eq!(
        of("file")
            .iter()
            .map(|file| file["path"].clone())
            .collect::<Vec<_>>(),
        files
    );
    sb.assert_log_intact();
    let page = sb.run(&["audit", "export", "--format", "html"]).stdout;
    assert!(
        page.contains(&format!("<dt>Plan (SHA-256)</dt><dd>{plan}</dd>")),
        "an auditor finds what was approved"
    );
}

#[test]
fn apply_executes_plan_of_each_command_once() {
    let sb = create_fast_sandbox();
    for (command, more, code) in [
        (&["enable", "-n", "influxdb"][..], &[][..], 0),
        (
            &["rotate", "-n", "influxdb", "--wait-timeout", "30s"],
            CONFIRM_ARGS,
            0,
        ),
        (&["revoke", "-n", "influxdb"], CONFIRM_ARGS, 0),
        (&["disable"], &[], 0),
    ] {
        let plan = save_plan(&sb, command);
        let digest = sha256_hex(&std::fs::read(plan_path(&sb)).expect("a plan"));
        assert!(plan.stdout.contains(&digest));
        sb.clear_calls();
        let run = apply_plan(
            &sb,
            &[
                more,
                &["--expect", &format!("sha256:{}", digest.to_uppercase())],
            ]
            .concat(),
        );
        assert_executed_as_planned(&sb, &run, code);
        // bypassctl applies a plan only once, even if its steps are pending again.
        expect_apply_refusal(&sb, "this plan was already applied", &[]);
    }
}

#[test]
fn apply_refuses_applied_plan_after_log_rotation() {
    let sb = create_fast_sandbox();
    save_plan(&sb, &["enable", "-n", "influxdb"]);
    let run = apply_plan(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sb.run(&["disable"]).code, 0);
    assert_eq!(sb.run(&["audit", "rotate-log"]).code, 0);
    let digest = sha256_hex(&std::fs::read(plan_path(&sb)).expect("a plan"));
    let expected = format!(
        "this plan was already applied, according to `{}`",
        sb.home_path(format!(".local/state/bypassctl/applied-plans/{digest}"))
            .display()
    );
    expect_apply_refusal(&sb, &expected, &[]);
    let other_log = sb.home_path("other.jsonl");
    let other_log = ["--audit-log", other_log.to_str().expect("text")];
    expect_apply_refusal(&sb, &expected, &other_log);
}

#[test]
fn apply_requires_confirmation_and_refuses_changed_flags() {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &["revoke", "-n", "influxdb"]);
    assert_eq!(apply_plan(&sb, &[]).code, 7);
    assert_eq!(apply_plan(&sb, &["--confirm", "sim-dev/other"]).code, 7);
    assert_eq!(list_cluster_changes(&sb), "");
    expect_apply_refusal(
        &sb,
        "--namespace other contradicts the plan: influxdb",
        &["-n", "other"],
    );
    for (flag, value, then) in [
        ("--context", "elsewhere", "sim-dev"),
        ("--profile", "other", "default"),
        ("--as", "root", "not set"),
        ("--as-group", "g", "not set"),
    ] {
        expect_apply_refusal(
            &sb,
            &format!("{flag} {value} contradicts the plan: {then}"),
            &[flag, value],
        );
    }
}

#[test]
fn apply_uses_planned_paths_when_plan_file_moves() {
    let sb = create_fast_sandbox();
    let config = sb.read("home/.config/influxctl/config.toml");
    sb.write("home/here/config.toml", config);
    let run = sb.run(&[
        "plan",
        "enable",
        "-n",
        "influxdb",
        "--config",
        "here/config.toml",
        "--token-file",
        "here/token.json",
        "--out",
        "here/a.plan",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let moved = sb.write(
        "elsewhere/b.plan",
        std::fs::read(sb.home_path("here/a.plan")).expect("a plan"),
    );
    let moved = moved.to_str().expect("text");
    let run = sb.run(&["apply", moved, "--config", "other.toml"]);
    assert!(
        run.code == 4 && run.stderr.contains("contradicts the plan"),
        "{}",
        run.stderr
    );
    let run = sb.run(&["apply", moved, "--config", "here/config.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        sb.read("home/here/token.json").into_bytes(),
        sb.admin_token()
    );
}

type DriftCase = (&'static str, fn(&Sandbox));

#[test]
fn apply_refuses_when_environment_differs_from_plan() {
    let changes: [DriftCase; 5] = [
        ("`version` of `influxctl` is \"", |sb| {
            sb.set_influxctl_version("2.9.1")
        }),
        ("`version` of `kubectl` is \"", |sb| {
            sb.set_kubectl_version("1.36.0")
        }),
        ("the UID of the cluster is \"", |sb| {
            sb.edit_cluster(|cluster| {
                cluster["namespaces"]["kube-system"] = json!("00000000-0000-4000-8000-00000000000c")
            })
        }),
        ("the UID of secret `rsa-keys` is", |sb| {
            sb.edit_cluster(|cluster| {
                cluster["secrets"]["influxdb/rsa-keys"]["meta"]["uid"] =
                    json!("00000000-0000-4000-8000-00000000000d")
            });
        }),
        ("config.toml` is \"", |sb| {
            let text = std::fs::read_to_string(sb.config_path()).expect("text");
            std::fs::write(
                sb.config_path(),
                text.replace("# stand-in cluster", "# another"),
            )
            .expect("sandbox");
        }),
    ];
    for (expected, change) in changes {
        let sb = create_enabled_sandbox();
        save_plan(&sb, &["rotate", "-n", "influxdb"]);
        change(&sb);
        expect_apply_refusal(&sb, expected, &[]);
    }
}

/// bypassctl refuses an edited plan with `--expect` by its SHA-256, and without it for this reason.
fn assert_edit_refused(sb: &Sandbox, digest: &str, expected: &str, edited: &str) {
    std::fs::write(plan_path(sb), edited).expect("sandbox");
    expect_apply_refusal(sb, expected, &[]);
    let run = apply_plan(sb, &[CONFIRM_ARGS, &["--expect", digest]].concat());
    let why = ["has SHA-256", "cannot read plan"];
    assert!(
        run.code == 4 && why.iter().any(|why| run.stderr.contains(why)),
        "{expected}: {}",
        run.stderr
    );
}

/// The compared cluster is also the one that supplies the token.
#[test]
fn apply_refuses_when_cluster_changes_after_comparison() {
    let sb = create_fast_sandbox();
    save_plan(&sb, &["enable", "-n", "influxdb"]);
    let before = sb.read("home/.config/influxctl/config.toml");
    // Only the first read is compared with the plan.
    let gate = json!({"wait_for_file": {"path": "gate"}});
    sb.inject_fault(json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 2, "before": true, "do": gate}));
    let running = sb.spawn(&["apply", "the.plan"]);
    sb.wait_for_gate("gate");
    sb.edit_cluster(|cluster| {
        cluster["namespaces"]["kube-system"] = json!("00000000-0000-4000-8000-00000000000c")
    });
    sb.release_gate("gate");
    let run = running.wait();
    assert!(
        run.code == 4 && run.stderr.contains("points to another cluster"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(sb.read("home/.config/influxctl/config.toml"), before);
    assert!(!sb.path(DEFAULT_TOKEN_FILE).exists());
}

#[test]
fn apply_refuses_edited_plan() {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &["revoke", "-n", "influxdb"]);
    let good = std::fs::read_to_string(plan_path(&sb)).expect("text");
    let digest = sha256_hex(good.as_bytes());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(&good).expect("JSON");
        change(&mut document);
        document.to_string()
    };
    let edits = [
        (": EOF while parsing", good[..good.len() / 2].to_owned()),
        (
            "schema `bypassctl.plan/1` is not supported, this program reads `bypassctl.plan/2`",
            good.replace("bypassctl.plan/2", "bypassctl.plan/1"),
        ),
        (
            "unknown field `more`",
            good.replacen('{', "{\"more\":1,", 1),
        ),
        (
            "missing field `steps`",
            with(&|plan| drop(plan.as_object_mut().expect("a plan").remove("steps"))),
        ),
        (
            "`argv.2` of step `delete-rsa-keys` is \"secrets/other\"",
            with(&|plan| plan["steps"][0]["argv"][2] = json!("secrets/other")),
        ),
        (
            "`argv` of step `delete-rsa-keys`: 6 entries",
            with(&|plan| {
                plan["steps"][0]["argv"]
                    .as_array_mut()
                    .expect("words")
                    .truncate(6)
            }),
        ),
        (
            "the steps: 10 entries in the plan, and 11 entries now",
            with(&|plan| drop(plan["steps"].as_array_mut().expect("steps").pop())),
        ),
        (
            "`bypassctl` is not a version",
            with(&|plan| plan["bypassctl"] = json!("0.1.0\nAPPROVED")),
        ),
        (
            "`script` contains control characters",
            with(&|plan| plan["script"] = json!("\u{1b}[8mrm -rf /\u{1b}[0m\n")),
        ),
        (
            "occurs twice",
            good.replacen("\"id\":", "\"reason\": \"\", \"id\":", 1),
        ),
        (
            "a time limit must be more than 0",
            with(&|plan| plan["request"]["common"]["timeout"] = json!(0)),
        ),
        (
            "line 2 of the script is `rm -rf /` in the plan",
            with(&|plan| plan["script"] = json!("#!/bin/sh\nrm -rf /\n")),
        ),
        (
            "the namespace is \"other\"",
            with(&|plan| plan["target"]["namespace"] = json!("other")),
        ),
        (
            "is too old: created at",
            with(&|plan| plan["created_at"] = json!("2026-01-01T00:00:00Z")),
        ),
        (
            "is dated in the future",
            with(&|plan| plan["created_at"] = json!("2126-01-01T00:00:00Z")),
        ),
    ];
    for (expected, edited) in edits {
        assert_edit_refused(&sb, &digest, expected, &edited);
    }
    std::fs::remove_file(plan_path(&sb)).expect("there");
    expect_apply_refusal(&sb, "file not found", &[]);
}

#[test]
fn apply_refuses_plan_with_changed_command() {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &["revoke", "-n", "influxdb"]);
    let mut plan = read_plan(&sb);
    plan["request"]["command"]["revoke"]["no_new_token"] = json!(true);
    std::fs::write(plan_path(&sb), plan.to_string()).expect("sandbox");
    expect_apply_refusal(&sb, "the steps: 11 entries in the plan", &[]);
    plan["request"]["command"] = json!({"show": {"file": "x"}});
    std::fs::write(plan_path(&sb), plan.to_string()).expect("sandbox");
    expect_apply_refusal(&sb, "unknown variant `show`", &[]);
    // An error about a file contains none of its control characters.
    let good = plan.to_string();
    std::fs::write(
        plan_path(&sb),
        good.replacen('{', "{\"\\u001b[2J\":1,\"\\u001b[2J\":2,", 1),
    )
    .expect("sandbox");
    expect_apply_refusal(&sb, "key ` [2J` occurs twice", &[]);
}

#[test]
fn plan_output_file_is_validated() {
    let sb = create_enabled_sandbox();
    let revoke = &["plan", "revoke", "-n", "influxdb", "--out"];
    let run = sb.run(&[&revoke[..], &[".config/influxctl/config.toml"]].concat());
    assert!(
        run.code == 4 && run.stderr.contains("cannot overwrite"),
        "{}",
        run.stderr
    );
    for _ in 0..2 {
        assert_eq!(
            sb.run(&[&revoke[..], &["a.plan"]].concat()).code,
            0,
            "an older plan is replaced"
        );
    }
    assert_eq!(
        sb.run(&["plan", "revoke", "-n", "influxdb"]).code,
        2,
        "without a place for it"
    );
    assert_eq!(
        sb.run(&[&revoke[..], &["b.plan"], CONFIRM_ARGS].concat())
            .code,
        2,
        "nothing is confirmed by a plan"
    );
    let nowhere = sb.run(&[&revoke[..], &["nowhere/b.plan"]].concat());
    assert!(
        nowhere.code == 4 && !sb.home_path("nowhere").exists(),
        "{}",
        nowhere.stderr
    );
    assert_eq!(
        sb.run(&[
            "plan",
            "revoke",
            "-n",
            "influxdb",
            "--dry-run",
            "--out",
            "b.plan"
        ])
        .code,
        2
    );
    assert_eq!(
        sb.run(&["plan", "enable", "-n", "influxdb-prod", "--out", "b.plan"])
            .code,
        4,
        "as the command itself"
    );
    assert!(!sb.home_path("b.plan").exists());
}
