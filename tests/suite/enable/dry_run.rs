//! `--dry-run`: as a plan, and as an equivalent script.

use super::{CONFIG_FILE, TOKEN_FILE, expect_refusal, run_enable};
use crate::sandbox::{CommandOutput, Sandbox, report_skipped};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs a dry run, which must only read.
fn execute_dry_run(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = run_enable(sb, more);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(sb.snapshot_files() == before);
    let lines = sb.call_lines();
    assert!(
        lines.lines().count() == 3 && !lines.contains("secrets") && !lines.contains("database"),
        "{lines}"
    );
    run
}

/// Runs a program of the system, with the fakes first in PATH.
pub fn run_system_program(sb: &Sandbox, program: &str, args: &[&str]) -> Option<(i32, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests run what the program prints"
    )]
    let mut command = Command::new(program);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", sb.path("bin").display());
    command
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("HOME", sb.home_path(""))
        .env("FAKE_STATE", sb.path("state"));
    command
        .env("TMPDIR", sb.path("tmp"))
        .env("LC_ALL", "C.UTF-8");
    let output = command.current_dir(sb.home_path("")).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.code().expect("no signal"),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// Writes the script and lints it with shellcheck.
pub fn check_script(sb: &Sandbox, script: &str) -> String {
    let file = sb.write("tmp/script.sh", script).display().to_string();
    match run_system_program(sb, "shellcheck", &["--severity=style", &file]) {
        Some((code, text)) => assert_eq!((code, text.as_str()), (0, ""), "shellcheck"),
        None => report_skipped("shellcheck is not installed, so the script was not checked"),
    }
    file
}

/// Checks the script and runs it.
pub fn run_script(sb: &Sandbox, script: &str, args: &[&str]) -> (i32, String) {
    let file = check_script(sb, script);
    run_system_program(sb, "sh", &[&[&*file], args].concat()).expect("sh")
}

#[test]
fn dry_run_prints_plan() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run"]);
    insta::assert_snapshot!(run.normalized_output());
    assert_eq!(
        repeat_dry_run(&sb, "--dry-run=plan").normalized_stdout(),
        run.normalized_stdout()
    );
}

fn repeat_dry_run(sb: &Sandbox, how: &str) -> CommandOutput {
    sb.clear_calls();
    execute_dry_run(sb, &[how])
}

#[test]
fn dry_run_prints_script() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run=script"]);
    insta::assert_snapshot!(
        run.normalized_stdout()
            .replace(&extract_checksums(&run.stdout)[0], "[CKSUM-1]")
            .replace(&extract_checksums(&run.stdout)[1], "[CKSUM-2]")
    );
}

/// Returns the checksums in the script, which vary because the files contain the sandbox's path.
fn extract_checksums(script: &str) -> Vec<String> {
    let pattern = regex::Regex::new(r"'(\d+ \d+)'").expect("a pattern");
    pattern
        .captures_iter(script)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn script_produces_same_files_as_enable() {
    let sb = Sandbox::new();
    let script = execute_dry_run(&sb, &["--dry-run=script"]).stdout;
    let config = sb.read(CONFIG_FILE);
    sb.chmod(CONFIG_FILE, 0o640);
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    let by_script = (
        sb.read(CONFIG_FILE),
        sb.read(TOKEN_FILE),
        sb.file_mode(TOKEN_FILE),
        sb.file_mode(CONFIG_FILE),
    );
    assert_eq!(
        sb.list_directory("home/.config/influxctl"),
        ["admin-token-default.json", "config.toml"]
    );
    sb.assert_no_secret_leaked(&[Path::new(TOKEN_FILE)]);
    sb.write(CONFIG_FILE, config);
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("written");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(
        (
            sb.read(CONFIG_FILE),
            sb.read(TOKEN_FILE),
            sb.file_mode(TOKEN_FILE),
            sb.file_mode(CONFIG_FILE)
        ),
        by_script
    );
}

#[test]
fn script_handles_special_paths_and_new_profile() {
    let sb = Sandbox::new();
    let name = "it's \"a\" $HOME `x` ü.json";
    let more = [
        "--profile",
        "new",
        "--create-profile",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
        "--token-file",
        name,
    ];
    let script = execute_dry_run(&sb, &[&more[..], &["--dry-run=script"]].concat()).stdout;
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    assert_eq!(
        sb.read(format!("home/{name}")).into_bytes(),
        sb.admin_token()
    );
    let by_script = sb.read(CONFIG_FILE);
    let run = super::run_enable_with_token_file(&sb, &format!("home/{name}"), &more);
    assert!(
        run.code == 0 && run.stdout.contains("unchanged"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(sb.read(CONFIG_FILE), by_script);
}

#[test]
fn plan_for_new_profile_explains_probe_and_edit() {
    let sb = Sandbox::new();
    let args = "--profile new --create-profile --host h --port 1 --dry-run";
    let plan = execute_dry_run(&sb, &args.split(' ').collect::<Vec<_>>()).stdout;
    for text in [
        "has host, port and TLS settings of profile `new`\n",
        "edit-profile: add profile `new` with the token file\n",
        "then: the configuration has that profile, and nothing else differs\n",
    ] {
        assert!(plan.contains(text), "{text}{plan}");
    }
}

#[test]
fn script_stops_where_enable_refuses() {
    let sb = Sandbox::new();
    let script = execute_dry_run(&sb, &["--dry-run=script"]).stdout;
    let before = sb.snapshot_files();
    sb.inject_fault(serde_json::json!({
        "tool": "influxctl",
        "contains": ["list"],
        "do": {"exit": {"code": 1, "stderr": "error\trpc error: code = Unauthenticated\n"}}
    }));
    let (code, text) = run_script(&sb, &script, &[]);
    assert!(
        code == 1 && text.ends_with("the token was rejected\n"),
        "{text}"
    );
    let names = |picture: &std::collections::BTreeMap<_, _>| {
        picture.keys().cloned().collect::<Vec<std::path::PathBuf>>()
    };
    assert_eq!(names(&sb.snapshot_files()), names(&before));
    sb.clear_faults();
    sb.remove_admin_token_key();
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!(
        (code, text.as_str()),
        (1, "the secret admin-token has no key token\n")
    );
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE) + "# changed\n");
    let (code, text) = run_script(&sb, &script, &[]);
    assert!(
        code == 1 && text.contains("has changed since this script was created"),
        "{text}"
    );
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn dry_run_omits_satisfied_edit() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    sb.clear_calls();
    let text = execute_dry_run(&sb, &["--dry-run"]).stdout;
    assert!(
        text.contains("write-token") && !text.contains("edit-profile"),
        "{text}"
    );
}

#[test]
fn dry_run_hides_secrets_in_neighbouring_lines() {
    let sb = Sandbox::new();
    let config = sb.read(CONFIG_FILE).replace(
        "client_id",
        "client_secret = \"planted-3\"\n        client_id",
    );
    sb.write(
        CONFIG_FILE,
        config + "\n        mgmt_token = \"planted-4\"\n",
    );
    for how in ["--dry-run", "--dry-run=script"] {
        sb.clear_calls();
        let run = run_enable(&sb, &[how, "-v"]);
        assert!(
            !run.stdout.contains("planted") && !run.stderr.contains("planted"),
            "{}{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn dry_run_json_report_contains_plan_and_script() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let plan = report["plan"].as_array().expect("a plan");
    let ids: Vec<&str> = plan.iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(
        ids,
        [
            "get-token",
            "record-cluster",
            "probe-token",
            "write-token",
            "edit-profile"
        ]
    );
    assert_eq!(plan[0]["argv"][1], "get");
    assert_eq!(plan[3]["content"], "<token from step 1>");
    assert_eq!(report["changed"], false);
    sb.clear_calls();
    let run = execute_dry_run(&sb, &["--dry-run=script", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert!(
        report["script"]
            .as_str()
            .is_some_and(|script| script.starts_with("#!/bin/sh\n"))
    );
}

#[test]
fn dry_run_refuses_what_enable_refuses() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG_FILE, 0o444);
    expect_refusal(&sb, 4, &["--dry-run"]);
    expect_refusal(&sb, 4, &["--dry-run=script", "--context", "acme-prod"]);
}
