//! GitHub's runner: what is a command to it, and the page of the job.

use crate::revoke::{REVOKE, enabled, quick};
use crate::sandbox::{Run, Sandbox, json, normalised};
use serde_json::json;

/// What a tool could say to have the runner do something.
const EVIL: &str = "::set-env name=PATH::/evil | `x` <b> 5% ##[add-path]/evil ::warning::x";

fn github(mut sb: Sandbox) -> Sandbox {
    let summary = sb.path("out/summary.md");
    sb.env("GITHUB_ACTIONS", "true")
        .env("GITHUB_STEP_SUMMARY", summary);
    sb
}

/// A sandbox whose influxctl says that when a token is tried.
fn evil() -> Sandbox {
    let sb = github(Sandbox::new());
    sb.fault(json!({"tool": "influxctl", "contains": ["list"], "do": {"exit": {"code": 1, "stderr": format!("{EVIL}\n{EVIL}\r{EVIL}\n")}}}));
    sb
}

/// The page, steps that are side by side in one order.
fn summary(sb: &Sandbox) -> String {
    let page = normalised(&sb.read("out/summary.md"), sb.root());
    let (see, get) = page
        .lines()
        .partition::<Vec<_>, _>(|line| !line.starts_with("| get-token "));
    let head = regex::Regex::new(r" \d+:\[SHA256\]").expect("a pattern");
    head.replace(&[see, get].concat().join("\n"), " [SEQ]:[SHA256]")
        .into_owned()
}

/// The lines that the runner takes for commands, by its own rules, and the name of each.
fn commands(run: &Run) -> Vec<String> {
    let all = format!("{}\n{}", run.stdout, run.stderr);
    let lines = all.split(['\n', '\r']);
    let found = lines.filter(|line| line.trim_start().starts_with("::") || line.contains("##["));
    found
        .map(|line| line.split([':', ' ']).nth(2).unwrap_or(line).to_owned())
        .collect()
}

#[test]
fn a_revocation() {
    let sb = github(enabled());
    let run = sb.run(REVOKE);
    assert_eq!(
        (run.code, commands(&run)),
        (0, ["group", "endgroup"].map(str::to_owned).to_vec()),
        "{run:?}"
    );
    let plan = run
        .stdout
        .split_once("::group::plan\n")
        .and_then(|(_, rest)| rest.split_once("::endgroup::\n"));
    let (plan, after) = plan.expect("a group");
    assert!(
        plan.starts_with("plan: revoke ") && !after.contains("   then: "),
        "{}",
        run.stdout
    );
    insta::assert_snapshot!(summary(&sb));
}

#[test]
fn errors_and_warnings_are_its_commands() {
    let sb = github(Sandbox::new());
    sb.remove_secret("admin-token");
    let run = sb.run(&["enable", "-n", "influxdb"]);
    insta::assert_snapshot!(run.normalised());
    insta::assert_snapshot!(summary(&sb));
}

#[test]
fn what_a_tool_says_is_no_command() {
    let sb = evil();
    let run = sb.run(&["enable", "-n", "influxdb", "-v"]);
    // The two warnings and what is not shown are this program's own.
    assert!(
        run.code == 10 && commands(&run).iter().all(|name| name == "warning"),
        "{:?}\n{run:?}",
        commands(&run)
    );
    let told = format!(
        "the token could not be tried with 127.0.0.1:26444: {}",
        EVIL.replace('%', "%25").replace('#', "\\#")
    );
    assert!(run.stderr.contains(&told), "{}", run.stderr);
    let page = sb.read("out/summary.md");
    assert!(
        page.contains(
            "name=PATH&#58;&#58;/evil &#124; &#96;x&#96; &#60;b&#62; 5% &#35;&#35;&#91;add-path"
        ),
        "{page}"
    );
    assert!(!page.contains("<b>") && !page.contains("`x`"), "{page}");
    sb.assert_no_secret(&[std::path::Path::new(crate::enable::TOKEN_FILE)]);
}

#[test]
fn a_check_that_quotes_a_tool_is_no_command() {
    let sb = evil();
    sb.run(&["enable", "-n", "influxdb"]);
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.stdout.contains("\\#\\#[add-path]") && commands(&run).is_empty(),
        "{:?}\n{run:?}",
        commands(&run)
    );
}

#[test]
fn objects_hold_no_command_and_mean_the_same() {
    let mut sb = evil();
    sb.run(&["enable", "-n", "influxdb"]);
    let run = sb.run(&["status", "-n", "influxdb", "-o", "json"]);
    assert!(
        commands(&run).is_empty() && run.stdout.contains("\\u0023"),
        "{run:?}"
    );
    let in_github = json::report(&run.stdout)["checks"].clone();
    let junit = sb.run(&["status", "-n", "influxdb", "-o", "junit"]);
    assert!(
        commands(&junit).is_empty() && junit.stdout.contains("&#35;&#35;[add-path]"),
        "{junit:?}"
    );
    let failed = sb.run(&["enable", "-n", "nowhere", "-o", "json"]);
    assert!(
        failed.code != 0 && commands(&failed).is_empty() && failed.stderr.starts_with("error: "),
        "{failed:?}"
    );
    sb.remove_env("GITHUB_ACTIONS");
    let elsewhere =
        json::report(&sb.run(&["status", "-n", "influxdb", "-o", "json"]).stdout)["checks"].clone();
    let details = |checks: &serde_json::Value| {
        let checks = checks.as_array().expect("checks").iter();
        checks
            .map(|check| check["detail"].to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(details(&in_github), details(&elsewhere));
}

#[test]
fn a_script_is_as_it_is_elsewhere() {
    let sb = github(Sandbox::new());
    let script = sb.run(&["enable", "-n", "influxdb", "--dry-run=script"]);
    assert!(
        script.code == 0
            && script.stdout.starts_with("#!/bin/sh\n")
            && commands(&script) == ["warning"; 2],
        "{script:?}"
    );
}

#[test]
fn a_command_line_that_does_not_make_sense() {
    let sb = github(Sandbox::new());
    let run = sb.run(&["enable", "--verfy=##[debug]\n::debug::x"]);
    assert_eq!(run.code, 2);
    insta::assert_snapshot!(run.stderr, @"::error title=bypassctl::unexpected argument '--verfy' found%0Ahint: a similar argument exists: '--verify'");
    assert!(
        run.stdout.is_empty() && !sb.path("out/summary.md").exists(),
        "{}",
        run.stdout
    );
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    for place in ["", "missing/summary.md"] {
        let mut sb = github(quick());
        sb.remove_env("GITHUB_STEP_SUMMARY");
        sb.env("GITHUB_STEP_SUMMARY", sb.path("out").join(place));
        let run = sb.run(&["doctor", "-n", "influxdb"]);
        assert!(
            run.code == 0
                && run
                    .stderr
                    .contains("::warning title=bypassctl::the summary of this run"),
            "{run:?}"
        );
    }
}

#[test]
fn only_what_ran_or_checked_something_is_on_the_page() {
    let sb = github(enabled());
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
        summary(&sb).contains("| chain | ok | ")
            && sb.run(&["audit", "verify"]).code == 0
            && length() == 2 * once
    );
    assert!(
        sb.run(&["plan", "enable", "-n", "influxdb", "--out", "the.plan"])
            .code
            == 0
    );
    let page = summary(&sb);
    assert!(
        page.contains("bypassctl enable: done (dry run)\n")
            && page.contains("Plan: SHA-256 `[SHA256]`"),
        "{page}"
    );
}
