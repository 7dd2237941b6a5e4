//! Output to a pipe, in a CI system and on GitHub's runner.

mod github;

use crate::revoke::{REVOKE_ARGS, create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::Sandbox;
use regex::Regex;

/// Returns the end of each step, in tenths of a second.
fn parse_step_times(text: &str) -> Vec<u32> {
    let at = Regex::new(r"(?m)^(?:done|proven|seen)\s+[a-z-]+: .* \(at (\d+)\.(\d) s\)\r?$")
        .expect("a pattern");
    at.captures_iter(text)
        .map(|at| format!("{}{}", &at[1], &at[2]).parse().expect("a number"))
        .collect()
}

/// Creates a cluster with jobs that take long enough to notice.
fn create_slow_sandbox() -> Sandbox {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["job_seconds"] = serde_json::json!(1.2));
    sb
}

#[test]
fn piped_revoke_prints_time_for_each_step() {
    let sb = create_slow_sandbox();
    let run = sb.run(REVOKE_ARGS);
    let (steps, times) = (
        run.stdout
            .lines()
            .filter(|line| line.starts_with("done "))
            .count(),
        parse_step_times(&run.stdout),
    );
    assert!(
        run.code == 0 && steps > 5 && times.len() >= steps,
        "{}",
        run.stdout
    );
    assert!(
        times.is_sorted() && times.last() > Some(&24),
        "two jobs of 1.2 s: {times:?}"
    );
    assert!(
        !run.stdout.contains(['\r', '\u{1b}']) && !run.stderr.contains(['\r', '\u{1b}']),
        "{run:?}"
    );
}

#[test]
fn terminal_revoke_shows_wait_progress() {
    let sb = create_slow_sandbox();
    let run = sb.run_in_terminal(&[REVOKE_ARGS, &["--color", "never"]].concat());
    assert!(
        run.code == 0 && parse_step_times(&run.stdout).is_empty() && !run.stdout.contains("(at "),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("waiting 2 s for the old token to be rejected")
            && run.stdout.contains("\u{1b}[J"),
        "{}",
        run.stdout
    );
}

#[test]
fn ci_terminal_output_matches_piped_output() {
    let mut sb = create_slow_sandbox();
    sb.set_env("CI", "true");
    let run = sb.run_in_terminal(&[REVOKE_ARGS, &["--color", "never"]].concat());
    assert!(
        run.code == 0 && parse_step_times(&run.stdout).len() > 5,
        "{}",
        run.stdout
    );
    assert!(
        !run.stdout.contains("waiting for") && !run.stdout.contains("\u{1b}[J"),
        "{}",
        run.stdout
    );
    assert_eq!(
        sb.run_in_terminal(&["rotate", "-n", "influxdb"]).code,
        7,
        "no prompt in CI"
    );
}

#[test]
fn status_prints_no_step_times() {
    let sb = create_enabled_sandbox();
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.code == 0 && !run.stdout.contains("(at "),
        "{}",
        run.stdout
    );
}

#[test]
fn terminal_lines_wrap_at_its_width() {
    let sb = create_enabled_sandbox();
    let run = sb.run_in_terminal_of_width(70, &["status", "-n", "influxdb", "--color", "never"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    // A longer line has one long word after its indent.
    let is_wrapped = |line: &str| line.chars().count() <= 70 || !line.trim().contains(' ');
    let text = run.stdout.replace('\r', "");
    // A run that changes nothing prints no audit head at a terminal.
    assert!(text.lines().all(is_wrapped), "{text}");
    assert!(
        text.lines().any(|line| line.starts_with("          ")) && text.contains(" ~/.config/"),
        "{text}"
    );
}

#[test]
fn terminal_shows_the_error_of_a_check_once() {
    let sb = create_enabled_sandbox();
    sb.edit_cluster(|cluster| cluster["unreachable"] = serde_json::json!(true));
    let count = |run: crate::sandbox::CommandOutput| {
        assert_eq!(run.code, 5, "{}", run.stdout);
        let text = run.stdout + &run.stderr;
        text.matches("cannot read secret `admin-token`").count()
    };
    let args = ["status", "-n", "influxdb"];
    assert_eq!(count(sb.run_in_terminal(&args)), 1);
    assert_eq!(count(sb.run(&args)), 2, "one of them on standard error");
}
