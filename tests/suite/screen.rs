//! Screens that a person at a terminal sees.

use crate::revoke::{create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::{Sandbox, normalize};
use serde_json::json;
use std::process::Stdio;
use textwrap::core::display_width;

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb"];
const PROMPT: &str = "Type sim-dev/influxdb to continue:";

fn create_slow_sandbox(job_seconds: f64) -> Sandbox {
    let sb = create_enabled_sandbox();
    sb.edit_cluster(|cluster| cluster["job_seconds"] = json!(job_seconds));
    sb
}

#[test]
fn summary_and_prompt_of_rotate_fit_small_terminal() {
    let sb = create_enabled_sandbox();
    let mut screen = sb.open_screen(24, 80, ROTATE_ARGS);
    let text = screen.wait_for(PROMPT);
    screen.assert_no_wrapped_line();
    let start = text.find("Rotate the admin token").expect("a headline");
    let summary = &text[start..];
    assert!(summary.lines().count() <= 18, "{summary}");
    insta::assert_snapshot!(normalize(summary, sb.root()));
    screen.type_text("sim-dev/influxdb\n");
    let (code, text) = screen.finish();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn wait_shows_step_and_limit_and_leaves_no_line() {
    let sb = create_slow_sandbox(4.0);
    let mut screen = sb.open_screen(24, 80, ROTATE_ARGS);
    screen.wait_for(PROMPT);
    screen.type_text("sim-dev/influxdb\n");
    let text = screen.wait_for("step 3 of ");
    screen.assert_no_wrapped_line();
    assert!(text.contains(" of 300 s for job `key-gen-001`"), "{text}");
    assert!(
        text.contains("Ctrl-C is safe: the same command resumes"),
        "{text}"
    );
    let (code, text) = screen.finish();
    assert_eq!(code, 0, "{text}");
    assert!(!text.contains("waiting "), "{text}");
    assert!(!text.contains("Ctrl-C is safe"), "{text}");
    assert!(text.contains("acceptance of the\n  new one\n"), "{text}");
}

#[test]
fn progress_survives_tiny_and_resized_terminal() {
    let sb = create_slow_sandbox(5.0);
    let mut screen = sb.open_screen(24, 60, ROTATE_ARGS);
    screen.wait_for(PROMPT);
    screen.type_text("sim-dev/influxdb\n");
    screen.wait_for("waiting ");
    screen.resize(2, 20);
    screen.wait_for("step 3 of ");
    let (code, text) = screen.finish();
    assert_eq!(code, 0, "{text}");
}

/// Returns the output of a command at a terminal that is high enough for all of it. Only commands
/// to copy are wider than the terminal.
fn show(sb: &Sandbox, columns: u16, args: &[&str]) -> (i32, String) {
    let (code, text) = sb.open_screen(300, columns, args).finish();
    let is_command = |line: &str| line.contains("$ ") || line.contains('`');
    let is_too_wide = |line: &&str| display_width(line) > columns.into() && !is_command(line);
    assert_eq!(text.lines().find(is_too_wide), None, "{text}");
    (code, text)
}

#[test]
fn output_fits_both_widths() {
    let sb = create_enabled_sandbox();
    for columns in [80, 120] {
        for (args, exit, last_lines) in [
            (
                &["doctor", "-n", "influxdb"][..],
                0,
                "\nall checks succeeded, 2 with a warning\n",
            ),
            (
                &["status", "-n", "influxdb"],
                0,
                "\nthe admin token is in use\n",
            ),
            (
                &["audit", "list"],
                0,
                " runs (--include-reads shows those that changed nothing)\n",
            ),
            (
                &["rotate", "-n", "influxdb", "--dry-run"],
                0,
                "\ndry run, nothing changed\n",
            ),
            (&["rotate", "--bad-option"], 2, "\nhint: "),
        ] {
            let (code, text) = show(&sb, columns, args);
            assert_eq!(code, exit, "{text}");
            assert!(format!("{text}\n").contains(last_lines), "{text}");
        }
    }
}

#[test]
fn audit_show_folds_repeated_probes_at_a_terminal() {
    let sb = create_enabled_sandbox();
    let confirmed = [ROTATE_ARGS, &["--confirm", "sim-dev/influxdb"]].concat();
    assert_eq!(sb.run(&confirmed).code, 0);
    let (code, text) = sb.open_screen(300, 80, &["audit", "show"]).finish();
    assert_eq!(code, 0);
    let first = text.lines().next().expect("a line");
    assert!(
        first.starts_with("run ") && first.ends_with(": done (exit 0), with changes"),
        "{text}"
    );
    let probes = text.matches("token rejected after").count();
    assert_eq!(probes, 2, "one for each step: {text}");
    assert!(text.contains("times in a"), "{text}");
    assert!(!text.contains("temporary directory"), "{text}");
    let whole = sb.run(&["audit", "show"]).stdout;
    assert!(whole.matches("token rejected after").count() > 8, "{whole}");
    assert!(whole.contains("temporary directory"), "{whole}");
}

#[test]
fn wide_and_combining_characters_keep_the_table_in_shape() {
    let sb = create_fast_sandbox();
    let reason = "緊急対応のためのバイパス e\u{301}te\u{301} 🔑🔑🔑 ".repeat(4);
    let args = ["enable", "-n", "influxdb", "--reason", &reason];
    assert_eq!(sb.run(&args).code, 0);
    let (code, text) = show(&sb, 80, &["audit", "list"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("パス e\u{301}te\u{301}"), "{text}");
}

#[test]
fn longest_names_break_no_line() {
    let sb = create_fast_sandbox();
    let name = "n".repeat(63);
    for args in [
        &["doctor", "-n", &name][..],
        &["status", "-n", &name, "--context", &name],
        &["enable", "-n", &name, "--profile", &name],
        &["rotate", "-n", &name],
    ] {
        let (code, text) = show(&sb, 80, args);
        assert!(code != 0 && text.contains(&name), "{text}");
    }
}

#[test]
fn terminal_without_a_width_has_80_columns() {
    let mut sb = create_enabled_sandbox();
    sb.set_env("COLUMNS", "0").set_env("NO_COLOR", "1");
    let run = sb.run_in_terminal_of_width(0, &["status", "-n", "influxdb"]);
    assert_eq!(run.code, 0, "{}", run.stdout);
    let widths = run.stdout.lines().map(|line| line.trim_end().len());
    let width = widths.max().unwrap_or_default();
    assert!((60..=80).contains(&width), "{}", run.stdout);
}

#[test]
fn closed_output_ends_no_run_half_way() {
    let sb = create_fast_sandbox();
    let mut command = sb.bypassctl_command(&["enable", "-n", "influxdb"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a program that runs");
    drop((child.stdout.take(), child.stderr.take()));
    let status = child.wait().expect("a child of ours");
    let ends = sb.read_entries_by_type("run.end");
    assert_eq!(ends.len(), 1, "{status:?}");
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
    sb.assert_log_intact();
}
