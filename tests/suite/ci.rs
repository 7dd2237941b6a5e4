//! Where nobody watches: a pipe, a CI system, GitHub's runner.

mod github;

use crate::revoke::{REVOKE, enabled, quick};
use crate::sandbox::Sandbox;
use regex::Regex;

/// When each step ended, in tenths of a second.
fn times(text: &str) -> Vec<u32> {
    let at = Regex::new(r"(?m)^(?:done|proven|seen)\s+[a-z-]+: .* \(at (\d+)\.(\d) s\)\r?$")
        .expect("a pattern");
    at.captures_iter(text)
        .map(|at| format!("{}{}", &at[1], &at[2]).parse().expect("a number"))
        .collect()
}

/// A cluster in which a person waits for a job.
fn slow() -> Sandbox {
    let sb = quick();
    sb.cluster(|cluster| cluster["job_seconds"] = serde_json::json!(1.2));
    sb
}

#[test]
fn a_pipe_gets_a_line_for_each_step_and_when_it_ended() {
    let sb = slow();
    let run = sb.run(REVOKE);
    let (steps, times) = (
        run.stdout
            .lines()
            .filter(|line| line.starts_with("done "))
            .count(),
        times(&run.stdout),
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
fn a_terminal_shows_how_a_wait_goes_on() {
    let sb = slow();
    let run = sb.run_at_terminal(&[REVOKE, &["--color", "never"]].concat());
    assert!(
        run.code == 0 && times(&run.stdout).is_empty() && !run.stdout.contains("(at "),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains(": waiting until job `") && run.stdout.contains("\r\u{1b}[K"),
        "{}",
        run.stdout
    );
}

#[test]
fn ci_at_a_terminal_gets_what_a_pipe_gets() {
    let mut sb = slow();
    sb.env("CI", "true");
    let run = sb.run_at_terminal(&[REVOKE, &["--color", "never"]].concat());
    assert!(
        run.code == 0 && times(&run.stdout).len() > 5,
        "{}",
        run.stdout
    );
    assert!(
        !run.stdout.contains("waiting until") && !run.stdout.contains("\u{1b}[K"),
        "{}",
        run.stdout
    );
    assert_eq!(
        sb.run_at_terminal(&["rotate", "-n", "influxdb"]).code,
        7,
        "nobody is asked"
    );
}

#[test]
fn what_was_looked_at_has_no_time() {
    let sb = enabled();
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.code == 0 && !run.stdout.contains("(at "),
        "{}",
        run.stdout
    );
}
