//! The hashed executable is the one that runs.

use super::{
    build_pinned_policy, create_sandbox_with_own_tools, install_own_tools, run_with_exit_code,
    write_policy,
};
use crate::crash::{STRACE_PATH, can_trace};
use crate::revoke::create_fast_sandbox;
use crate::sandbox::{RunningCommand, Sandbox, extract_error, wait_until};
use rustix::process::Signal;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

/// Pauses `enable` at influxctl's first call, after it hashed kubectl and before most of its calls.
fn spawn_held_enable(sb: &Sandbox) -> RunningCommand {
    sb.inject_fault(json!({
        "tool": "influxctl",
        "contains": ["version"],
        "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(ENABLE_ARGS);
    sb.wait_for_gate("gate");
    running
}

#[test]
fn tool_renamed_over_does_not_run() {
    for is_pinned in [true, false] {
        let sb = create_sandbox_with_own_tools();
        if is_pinned {
            write_policy(&sb, &build_pinned_policy(&sb));
        }
        let running = spawn_held_enable(&sb);
        let other = sb.write(
            "tmp/other",
            format!("#!/bin/sh\n: >{}\nexit 1\n", sb.path("swapped").display()),
        );
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("sandbox");
        std::fs::rename(other, sb.path("bin/kubectl")).expect("sandbox");
        sb.release_gate("gate");
        let output = running.wait();
        assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
        assert!(!sb.path("swapped").exists(), "the replacement ran");
        assert!(
            sb.call_lines().contains("admin-token"),
            "the hashed program did not run"
        );
    }
}

/// Writes to the file in place once no process runs it.
fn overwrite_kubectl(sb: &Sandbox, bytes: &[u8]) {
    let path = sb.path("bin/kubectl");
    wait_until("kubectl is writable", || {
        let file = std::fs::File::options().append(true).open(&path);
        file.is_ok_and(|mut file| file.write_all(bytes).is_ok())
    });
}

#[test]
fn overwritten_tool_is_refused() {
    let sb = create_sandbox_with_own_tools();
    let running = spawn_held_enable(&sb);
    overwrite_kubectl(&sb, b"another program");
    sb.release_gate("gate");
    let output = running.wait();
    assert_eq!(output.code, 4, "{}{}", output.stdout, output.stderr);
    insta::assert_snapshot!(extract_error(&output));
    assert!(
        !sb.call_lines().contains("admin-token"),
        "{}",
        sb.call_lines()
    );
}

/// A change between the last check and the start: bypassctl kills the process and fails the run.
#[test]
fn tool_overwritten_before_start_is_killed() {
    if !can_trace() {
        return;
    }
    let sb = create_sandbox_with_own_tools();
    write_policy(&sb, &build_pinned_policy(&sb));
    let delay = [
        STRACE_PATH,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=execve",
        "-e",
        "inject=execve:delay_enter=4000000",
    ];
    let running = sb.spawn_with_wrapper(&delay, &["tools", "verify"]);
    wait_until("kubectl is about to start", || {
        sb.log_path().exists() && !sb.read_entries_by_type("intent").is_empty()
    });
    overwrite_kubectl(&sb, b"another program");
    let output = running.wait();
    assert_eq!(output.code, 4, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stdout.contains("failed    kubectl: ")
            && output.stdout.contains("changed after it was hashed"),
        "{}",
        output.stdout
    );
    assert_eq!(
        sb.read_entries_by_type("result")[0]["error"],
        "executable-changed"
    );
    sb.assert_log_intact();
}

#[test]
fn tool_with_new_link_or_mode_still_runs() {
    let sb = create_sandbox_with_own_tools();
    let running = spawn_held_enable(&sb);
    overwrite_kubectl(&sb, b"");
    sb.chmod("bin/kubectl", 0o700);
    std::fs::hard_link(sb.path("bin/kubectl"), sb.path("bin/another-name")).expect("sandbox");
    sb.release_gate("gate");
    let output = running.wait();
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
}

#[test]
fn tool_overwritten_during_revocation_stops_it() {
    let sb = create_fast_sandbox();
    install_own_tools(&sb);
    let path = sb.path("bin/kubectl");
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["delete", "secrets/rsa-keys"],
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(&["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"]);
    sb.wait_for_gate("gate");
    // A stopped bypassctl starts no other kubectl before this one has exited and its file is
    // writable.
    running.send_signal(Signal::STOP);
    sb.release_gate("gate");
    overwrite_kubectl(&sb, b"another program");
    running.send_signal(Signal::CONT);
    let output = running.wait();
    assert_eq!(output.code, 8, "{}{}", output.stdout, output.stderr);
    assert!(
        output.stderr.contains("changed after it was hashed"),
        "{}",
        output.stderr
    );
    let restored = std::fs::read(&path).expect("kubectl");
    let whole = restored.len() - "another program".len();
    std::fs::write(sb.path("tmp/kubectl"), &restored[..whole]).expect("sandbox");
    std::fs::set_permissions(
        sb.path("tmp/kubectl"),
        std::fs::Permissions::from_mode(0o755),
    )
    .expect("sandbox");
    std::fs::rename(sb.path("tmp/kubectl"), &path).expect("sandbox");
    sb.clear_faults();
    run_with_exit_code(
        &sb,
        0,
        &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
}
