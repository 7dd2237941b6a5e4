//! Screens that a person at a terminal sees.

use crate::revoke::create_enabled_sandbox;
use crate::sandbox::{Sandbox, normalize};
use serde_json::json;

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
