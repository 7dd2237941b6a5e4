//! GitHub's runner: workflow commands and the job summary.

use crate::revoke::{REVOKE_ARGS, create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::{CommandOutput, Sandbox, normalize, report_schema, wrap_lines};
use serde_json::json;

/// Tool output that would be workflow commands.
const MALICIOUS_OUTPUT: &str =
    "::set-env name=PATH::/evil | `x` <b> 5% ##[add-path]/evil ::warning::x";

fn set_github_env(mut sb: Sandbox) -> Sandbox {
    let summary = sb.path("out/summary.md");
    sb.set_env("GITHUB_ACTIONS", "true")
        .set_env("GITHUB_STEP_SUMMARY", summary);
    sb
}

/// Creates a sandbox in which influxctl prints `MALICIOUS_OUTPUT` during the token probe.
fn create_malicious_influxctl_sandbox() -> Sandbox {
    let sb = set_github_env(Sandbox::new());
    sb.inject_fault(json!({
        "tool": "influxctl",
        "contains": ["list"],
        "do": {
            "exit": {
                "code": 1,
                "stderr": format!("{MALICIOUS_OUTPUT}\n{MALICIOUS_OUTPUT}\r{MALICIOUS_OUTPUT}\n")
            }
        }
    }));
    sb
}

/// Returns the job summary, with parallel steps in a fixed order.
fn read_summary(sb: &Sandbox) -> String {
    let page = normalize(&sb.read("out/summary.md"), sb.root());
    let is_parallel =
        |line: &&str| line.starts_with("| get-token ") || line.starts_with("| verify-rejection ");
    let (parallel, others) = page.lines().partition::<Vec<_>, _>(is_parallel);
    mask_sequence_number(&[others, parallel].concat().join("\n"))
}

/// Replaces the sequence number of the audit head, which depends on the speed of the machine.
fn mask_sequence_number(text: &str) -> String {
    let head = regex::Regex::new(r" \d+:\[SHA256\]").expect("a pattern");
    head.replace_all(text, " [SEQ]:[SHA256]").into_owned()
}

/// Returns the name of each line that the runner parses as a command, by its own rules.
fn extract_runner_commands(run: &CommandOutput) -> Vec<String> {
    let all = format!("{}\n{}", run.stdout, run.stderr);
    let lines = all.split(['\n', '\r']);
    let found = lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##["));
    found
        .map(|line| line.split([':', ' ']).nth(2).unwrap_or(line).to_owned())
        .collect()
}

#[test]
fn dry_run_groups_steps_and_revoke_writes_summary() {
    let sb = set_github_env(create_enabled_sandbox());
    let run = sb.run(&["revoke", "-n", "influxdb", "--dry-run"]);
    assert_eq!(
        (run.code, extract_runner_commands(&run)),
        (0, ["group", "endgroup"].map(str::to_owned).to_vec()),
        "{run:?}"
    );
    let plan = run
        .stdout
        .split_once("::group::plan\n")
        .and_then(|(_, rest)| rest.split_once("::endgroup::\n"));
    let (plan, after) = plan.expect("a group");
    assert!(
        plan.starts_with("1. ") && !after.contains("   then: "),
        "{}",
        run.stdout
    );
    assert_eq!(sb.run(REVOKE_ARGS).code, 0);
    insta::assert_snapshot!(read_summary(&sb));
}

#[test]
fn enable_failure_prints_workflow_commands() {
    let sb = set_github_env(Sandbox::new());
    sb.remove_secret("admin-token");
    let run = sb.run(&["enable", "-n", "influxdb"]);
    insta::assert_snapshot!(run.normalized_output());
    insta::assert_snapshot!(read_summary(&sb));
}

#[test]
fn tool_output_is_escaped_in_log_and_summary() {
    let sb = create_malicious_influxctl_sandbox();
    let run = sb.run(&["enable", "-n", "influxdb", "-v"]);
    // Only bypassctl's own warnings are commands.
    assert!(
        run.code == 10
            && extract_runner_commands(&run)
                .iter()
                .all(|name| name == "warning"),
        "{:?}\n{run:?}",
        extract_runner_commands(&run)
    );
    let expected = format!(
        "cannot probe the token with 127.0.0.1:26444: {}",
        MALICIOUS_OUTPUT.replace('%', "%25").replace('#', "\\#")
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    let page = sb.read("out/summary.md");
    assert!(
        page.contains(
            "name=PATH&#58;&#58;/evil &#124; &#96;x&#96; &#60;b&#62; 5% &#35;&#35;&#91;add-path"
        ),
        "{page}"
    );
    assert!(!page.contains("<b>") && !page.contains("`x`"), "{page}");
    sb.assert_no_secret_leaked(&[std::path::Path::new(crate::enable::TOKEN_FILE)]);
}

#[test]
fn check_quoting_tool_output_is_escaped() {
    let sb = create_malicious_influxctl_sandbox();
    sb.run(&["enable", "-n", "influxdb"]);
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.stdout.contains("\\#\\#[add-path]") && extract_runner_commands(&run).is_empty(),
        "{:?}\n{run:?}",
        extract_runner_commands(&run)
    );
}

#[test]
fn json_and_junit_escape_workflow_commands() {
    let mut sb = create_malicious_influxctl_sandbox();
    sb.run(&["enable", "-n", "influxdb"]);
    let run = sb.run(&["status", "-n", "influxdb", "-o", "json"]);
    assert!(
        extract_runner_commands(&run).is_empty() && run.stdout.contains("\\u0023"),
        "{run:?}"
    );
    let in_github = report_schema::parse_report(&run.stdout)["checks"].clone();
    let junit = sb.run(&["status", "-n", "influxdb", "-o", "junit"]);
    assert!(
        extract_runner_commands(&junit).is_empty() && junit.stdout.contains("&#35;&#35;[add-path]"),
        "{junit:?}"
    );
    let failed = sb.run(&["enable", "-n", "nowhere", "-o", "json"]);
    assert!(
        failed.code != 0
            && extract_runner_commands(&failed).is_empty()
            && failed.stderr.starts_with("error: "),
        "{failed:?}"
    );
    sb.remove_env("GITHUB_ACTIONS");
    let elsewhere = report_schema::parse_report(
        &sb.run(&["status", "-n", "influxdb", "-o", "json"]).stdout,
    )["checks"]
        .clone();
    let details = |checks: &serde_json::Value| {
        let checks = checks.as_array().expect("checks").iter();
        checks
            .map(|check| check["detail"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(details(&in_github), details(&elsewhere));
}

#[test]
fn script_output_is_unchanged_on_github() {
    let sb = set_github_env(Sandbox::new());
    let script = sb.run(&["enable", "-n", "influxdb", "--dry-run=script"]);
    assert!(
        script.code == 0
            && script.stdout.starts_with("#!/bin/sh\n")
            && extract_runner_commands(&script) == ["warning"; 2],
        "{script:?}"
    );
}

#[test]
fn usage_error_prints_escaped_workflow_command() {
    let sb = set_github_env(Sandbox::new());
    let run = sb.run(&["enable", "--verfy=##[debug]\n::debug::x"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(wrap_lines(run.stderr), @"
    ::error title=bypassctl::unexpected argument '--verfy' found%0Ahint: a similar argument exists:
        '--verify'
    ");
    assert!(
        run.stdout.is_empty() && !sb.path("out/summary.md").exists(),
        "{}",
        run.stdout
    );
}

#[test]
fn unwritable_summary_is_a_warning() {
    for place in ["", "missing/summary.md"] {
        let mut sb = set_github_env(create_fast_sandbox());
        sb.remove_env("GITHUB_STEP_SUMMARY");
        sb.set_env("GITHUB_STEP_SUMMARY", sb.path("out").join(place));
        let run = sb.run(&["doctor", "-n", "influxdb"]);
        assert!(
            run.code == 0
                && run
                    .stderr
                    .contains("::warning title=bypassctl::cannot write the summary of this run"),
            "{run:?}"
        );
    }
}

#[test]
fn summary_omits_commands_that_ran_nothing() {
    let sb = set_github_env(create_enabled_sandbox());
    let length = || {
        std::fs::read(sb.path("out/summary.md"))
            .unwrap_or_default()
            .len()
    };
    assert_eq!(
        (
            sb.run(&["audit", "list"]).code,
            sb.run(&["audit", "anchor"]).code,
            length()
        ),
        (0, 0, 0)
    );
    assert_eq!(sb.run(&["audit", "verify"]).code, 0);
    let once = length();
    assert!(
        read_summary(&sb).contains("| chain | ok | ")
            && sb.run(&["audit", "verify"]).code == 0
            && length() == 2 * once
    );
    assert!(
        sb.run(&["plan", "enable", "-n", "influxdb", "--out", "the.plan"])
            .code
            == 0
    );
    let page = read_summary(&sb);
    assert!(
        page.contains("bypassctl enable: done (dry run)\n")
            && page.contains("Plan: SHA-256 `[SHA256]`"),
        "{page}"
    );
}
