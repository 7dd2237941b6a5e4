//! `--target`: namespaces of clusters that the policy names.

use super::{run_with_exit_code, write_policy, write_trusted_policy};
use crate::crash::kill_orphans;
use crate::enable::CONFIG_FILE;
use crate::revoke::key_users::create_sandbox_with_ingester;
use crate::revoke::{create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::{Sandbox, extract_error};
use serde_json::{Value, json};

/// Two targets in the same namespace. The name of the second has to be quoted.
const POLICY: &str = r#"
[namespaces.influxdb]
restart_selector = "app=core"

[targets.default]
context = "sim-dev"
namespace = "influxdb"
restart_selector = "app=token-management"

[targets."team 'b'"]
context = "sim-viewer"
namespace = "influxdb"
token_file = "b.json"
"#;

/// Creates a sandbox whose policy has the target of the documents.
pub fn create_sandbox_with_team_target() -> Sandbox {
    let sb = create_enabled_sandbox();
    let target = "[targets.team-a]\ncontext = \"sim-dev\"\nnamespace = \"influxdb\"\n";
    write_trusted_policy(&sb, &format!("{target}profile = \"default\"\n"));
    sb
}

fn create_sandbox_with_targets() -> Sandbox {
    let sb = create_fast_sandbox();
    write_trusted_policy(&sb, POLICY);
    sb
}

/// Returns the different calls of the tools, without those on a temporary configuration.
fn list_calls(sb: &Sandbox) -> Vec<String> {
    let calls = sb
        .call_lines()
        .replace(sb.root().to_str().expect("text"), "");
    let lines = calls
        .lines()
        .filter(|line| !line.contains("bypassctl-probe-"));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// Runs each command with a target, and with the options that it stands for.
#[test]
fn target_stands_for_context_namespace_and_profile() {
    let options = ["-n", "influxdb", "--context", "sim-dev"];
    let selector = ["--restart-selector", "app=token-management"];
    for (command, more) in [
        (&["enable"][..], &[][..]),
        (&["disable"], &[]),
        (&["status"], &[]),
        (&["doctor"], &[]),
        (&["revoke", "--dry-run"], &selector),
        (&["rotate", "--confirm", "sim-dev/influxdb"], &selector),
    ] {
        let (with_target, without) = (create_sandbox_with_targets(), create_fast_sandbox());
        for sb in [&with_target, &without] {
            run_with_exit_code(sb, 0, &[&["enable"], &options[..]].concat());
            sb.clear_calls();
        }
        let expected = without.run(&[command, &options, more].concat());
        let run = with_target.run(&[command, &["--target", "default"]].concat());
        assert_eq!(run.code, expected.code, "{}{}", run.stdout, run.stderr);
        assert_eq!(
            list_calls(&with_target),
            list_calls(&without),
            "{command:?}"
        );
    }
}

#[test]
fn profile_has_the_name_of_the_target() {
    let sb = create_sandbox_with_targets();
    let run = sb.run(&["status", "--target", "team 'b'"]);
    assert!(run.stdout.contains("profile `team 'b'`"), "{}", run.stdout);
    let end = sb.read_entries_by_type("run.end").remove(0);
    assert_eq!(end["target"]["context"], "sim-viewer");
}

#[test]
fn hint_names_the_target_and_another_profile() {
    let sb = create_sandbox_with_targets();
    let run = sb.run(&["status", "--target", "default"]);
    let hint = "`bypassctl enable --target default`";
    assert!(run.stdout.contains(hint), "{}", run.stdout);
    let config = sb.read(CONFIG_FILE);
    let other = config.replace("\"default\"", "\"other\"");
    sb.write(CONFIG_FILE, format!("{config}{other}"));
    let run = sb.run(&["status", "--target", "default", "--profile", "other"]);
    let hint = "`bypassctl enable --target default --profile other`";
    assert!(run.stdout.contains(hint), "{}", run.stdout);
    // The profile of a target needs no option.
    write_trusted_policy(&sb, &POLICY.replace("[targets.default]", "[targets.other]"));
    let run = sb.run(&["status", "--target", "other"]);
    let hint = "`bypassctl enable --target other`";
    assert!(run.stdout.contains(hint), "{}", run.stdout);
    write_trusted_policy(&sb, &POLICY.replace("[targets.default]", "[targets.third]"));
    let run = sb.run(&["enable", "--target", "third"]);
    let hint = "`bypassctl enable --target third --create-profile --host";
    assert!(run.stderr.contains(hint), "{}", run.stderr);
}

#[test]
fn killed_run_is_resumed_with_its_target() {
    let sb = create_sandbox_with_targets();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete", "pods"],
        "before": true,
        "do": "kill_parent"
    }));
    let rotate = [
        "rotate",
        "--target",
        "default",
        "--confirm",
        "sim-dev/influxdb",
    ];
    assert_eq!(sb.run(&rotate).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    let status = sb.run(&["status", "--target", "default"]);
    let output = status.stdout + &status.stderr;
    assert!(
        output.contains("`bypassctl rotate --target default`"),
        "{output}"
    );
    run_with_exit_code(&sb, 0, &rotate);
}

#[test]
fn run_prints_and_records_the_keys_of_its_own_target() {
    let sb = create_sandbox_with_targets();
    let run = sb.run(&["status", "--target", "team 'b'"]);
    let recorded = sb.read_entries_by_type("run.begin").remove(0)["policy_redirects"].to_string();
    for text in [&run.stderr, &recorded] {
        assert!(text.contains("targets.team 'b'.token_file = "), "{text}");
        assert!(!text.contains("targets.default"), "{text}");
        assert!(
            text.contains("namespaces.influxdb.restart_selector"),
            "{text}"
        );
    }
    // This target has a selector of its own.
    let run = sb.run(&["status", "--target", "default"]);
    assert!(!run.stderr.contains("namespaces."), "{}", run.stderr);
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(!run.stderr.contains("targets."), "{}", run.stderr);
}

#[test]
fn target_takes_precedence_over_the_variable() {
    let mut sb = create_sandbox_with_targets();
    sb.set_env("BYPASSCTL_NAMESPACE", "other");
    run_with_exit_code(&sb, 0, &["enable", "--target", "default"]);
    sb.remove_env("BYPASSCTL_NAMESPACE");
    sb.set_env("BYPASSCTL_NAMESPACE", "Other");
    let error = extract_error(&run_with_exit_code(&sb, 2, &["status"]));
    insta::assert_snapshot!(error, @"
    error: invalid value `Other` of BYPASSCTL_NAMESPACE
    hint: a namespace has 1 to 63 characters of a-z, 0-9 and -, and starts and ends with a letter or digit
    ");
}

#[test]
fn unknown_target_is_a_usage_error() {
    let sb = create_sandbox_with_targets();
    let fail = |args: &[&str]| extract_error(&run_with_exit_code(&sb, 2, args));
    let all = [
        &["rotate", "--target", "team-b"][..],
        &["tools", "list", "--target", "default"],
        &["apply", "plan.json", "--target", "default"],
        &["version", "--target", "default"],
        &["status", "--target", "default", "-n", "influxdb"],
        &["--context", "x", "status", "--target", "default"],
    ];
    insta::assert_snapshot!(all.map(fail).concat(), @"
    error: the policy `[SANDBOX]/home/bypassctl.toml` has no target `team-b`
    hint: choose one of default, team 'b'
    error: `tools list` does not use a target
    hint: omit --target
    error: `apply` does not use a target
    hint: omit --target
    error: `version` does not use a target
    hint: omit --target
    error: --target cannot be used with --namespace or --context
    hint: omit them: the policy names both for the target
    error: --target cannot be used with --namespace or --context
    hint: omit them: the policy names both for the target
    ");
    write_policy(&sb, "locked = false\n");
    let no_targets = fail(&["status", "--target", "default"]);
    std::fs::remove_file(sb.home_path("bypassctl.toml")).expect("the policy");
    let no_policy = fail(&["status", "--target", "default"]);
    insta::assert_snapshot!(no_targets + &no_policy, @"
    error: the policy `[SANDBOX]/home/bypassctl.toml` has no target `default`
    hint: add a table [targets.NAME] to it
    error: no policy, so no target `default`
    hint: add a table [targets.NAME] to bypassctl.toml, or name a policy with --policy FILE
    ");
    assert_eq!(sb.call_lines(), "", "nothing runs");
}

#[test]
fn targets_list_shows_context_namespace_and_profile() {
    let sb = create_sandbox_with_targets();
    let run = run_with_exit_code(&sb, 0, &["targets", "list"]);
    insta::assert_snapshot!(run.stdout, @"
    NAME      CONTEXT     NAMESPACE  PROFILE
    default   sim-dev     influxdb   default
    team 'b'  sim-viewer  influxdb   team 'b'
    ");
    let json = run_with_exit_code(&sb, 0, &["targets", "list", "-o", "json"]);
    let report: Value = serde_json::from_str(&json.stdout).expect("JSON");
    let second = json!({
        "name": "team 'b'",
        "context": "sim-viewer",
        "namespace": "influxdb",
        "profile": "team 'b'"
    });
    assert_eq!(report["targets"][1], second);
    write_policy(&sb, "locked = false\n");
    let empty = run_with_exit_code(&sb, 0, &["targets", "list"]);
    std::fs::remove_file(sb.home_path("bypassctl.toml")).expect("the policy");
    let absent = run_with_exit_code(&sb, 0, &["targets", "list"]);
    let none = empty.normalized_output() + &absent.normalized_output();
    insta::assert_snapshot!(none, @"
    exit 0
    --- stdout
    no targets: the policy `[SANDBOX]/home/bypassctl.toml` has none
    --- stderr
    exit 0
    --- stdout
    no targets: no policy is active
    --- stderr
    ");
    let is_run = sb.log_path().exists() || !sb.call_lines().is_empty();
    assert!(!is_run, "it only reads the policy");
}

/// A plan without the name of its target would differ: its keys would no longer apply.
#[test]
fn apply_uses_the_keys_of_the_planned_target() {
    let sb = create_sandbox_with_ingester();
    let ignored = "[targets.default]\nignored_key_users = [\"app=ingester\"]";
    let policy = POLICY.replace("[targets.default]", ignored);
    write_trusted_policy(&sb, &policy);
    let plan = sb.path("plan.json");
    let plan = plan.to_str().expect("text");
    let args = ["plan", "rotate", "--target", "default", "--out", plan];
    run_with_exit_code(&sb, 0, &[&args[..], &["--grace-period", "1s"]].concat());
    let apply = ["apply", plan, "--confirm", "sim-dev/influxdb"];
    write_trusted_policy(
        &sb,
        &POLICY.replace("[targets.default]", "[targets.former]"),
    );
    let refused = run_with_exit_code(&sb, 4, &apply);
    let difference = "differs from the plan: `other_key_users`";
    assert!(refused.stderr.contains(difference), "{}", refused.stderr);
    write_trusted_policy(&sb, &policy);
    // These pods also check tokens, so the server still accepts the old one.
    run_with_exit_code(&sb, 11, &apply);
}

/// A plan names its target, so the variable has no effect on it.
#[test]
fn apply_ignores_the_variable_but_no_option() {
    let mut sb = create_sandbox_with_targets();
    let plan = sb.path("plan.json");
    let plan = plan.to_str().expect("text");
    sb.set_env("BYPASSCTL_NAMESPACE", "other");
    run_with_exit_code(
        &sb,
        0,
        &["plan", "enable", "--target", "default", "--out", plan],
    );
    run_with_exit_code(&sb, 0, &["apply", plan]);
    run_with_exit_code(&sb, 0, &["disable", "--target", "default"]);
    let refused = run_with_exit_code(&sb, 4, &["apply", plan, "-n", "other"]);
    assert!(
        refused.stderr.contains("contradicts the plan"),
        "{}",
        refused.stderr
    );
}

#[test]
fn role_is_for_the_namespace_of_the_target() {
    let sb = create_sandbox_with_targets();
    let expected = run_with_exit_code(&sb, 0, &["doctor", "--role", "-n", "influxdb"]);
    let role = run_with_exit_code(&sb, 0, &["--target", "default", "doctor", "--role"]);
    assert_eq!(role.stdout, expected.stdout);
}
