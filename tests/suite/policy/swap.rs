//! What was hashed is what runs.

use super::{own_tools, pinned, policy, run, with_own_tools};
use crate::crash::{STRACE, can_trace};
use crate::revoke::quick;
use crate::sandbox::{Running, Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::json;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

const ENABLE: &[&str] = &["enable", "-n", "influxdb"];

/// `enable`, held at influxctl's first call, after kubectl was looked at and before most of its calls.
fn held(sb: &Sandbox) -> Running {
    sb.fault(json!({"tool": "influxctl", "contains": ["version"], "before": true, "do": {"wait_for_file": {"path": "gate"}}}));
    let running = sb.spawn(ENABLE);
    sb.wait_reached("gate");
    running
}

#[test]
fn a_tool_that_is_put_in_its_place_does_not_run() {
    for is_pinned in [true, false] {
        let sb = with_own_tools();
        if is_pinned {
            policy(&sb, &pinned(&sb));
        }
        let running = held(&sb);
        let other = sb.write(
            "tmp/other",
            format!("#!/bin/sh\n: >{}\nexit 1\n", sb.path("swapped").display()),
        );
        std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("sandbox");
        std::fs::rename(other, sb.path("bin/kubectl")).expect("sandbox");
        sb.release("gate");
        let told = running.wait();
        assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
        assert!(!sb.path("swapped").exists(), "the other one did not run");
        assert!(
            sb.call_lines().contains("admin-token"),
            "the one that was hashed did"
        );
    }
}

/// Writes to the file itself once no process runs it.
fn overwrite(sb: &Sandbox, bytes: &[u8]) {
    let path = sb.path("bin/kubectl");
    wait_until("kubectl can be written to", || {
        let file = std::fs::File::options().append(true).open(&path);
        file.is_ok_and(|mut file| file.write_all(bytes).is_ok())
    });
}

#[test]
fn one_that_is_overwritten_does_not_run_either() {
    let sb = with_own_tools();
    let running = held(&sb);
    overwrite(&sb, b"another program");
    sb.release("gate");
    let told = running.wait();
    assert_eq!(told.code, 4, "{}{}", told.stdout, told.stderr);
    insta::assert_snapshot!(super::error(&told));
    assert!(
        !sb.call_lines().contains("admin-token"),
        "{}",
        sb.call_lines()
    );
}

/// Between the last look at it and its start: what has started by then is ended, and the run with it.
#[test]
fn one_that_is_overwritten_right_before_it_starts_is_ended() {
    if !can_trace() {
        return;
    }
    let sb = with_own_tools();
    policy(&sb, &pinned(&sb));
    let delay = [
        STRACE,
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=execve",
        "-e",
        "inject=execve:delay_enter=4000000",
    ];
    let running = sb.spawn_under(&delay, &["tools", "verify"]);
    wait_until("kubectl is about to start", || {
        sb.log().exists() && !sb.records_of("intent").is_empty()
    });
    overwrite(&sb, b"another program");
    let told = running.wait();
    assert_eq!(told.code, 4, "{}{}", told.stdout, told.stderr);
    assert!(
        told.stdout.contains("failed    kubectl: ") && told.stdout.contains("was overwritten"),
        "{}",
        told.stdout
    );
    assert_eq!(sb.records_of("result")[0]["error"], "overwritten");
    sb.assert_verified();
}

#[test]
fn a_new_name_or_mode_is_no_other_program() {
    let sb = with_own_tools();
    let running = held(&sb);
    overwrite(&sb, b"");
    sb.chmod("bin/kubectl", 0o700);
    std::fs::hard_link(sb.path("bin/kubectl"), sb.path("bin/another-name")).expect("sandbox");
    sb.release("gate");
    let told = running.wait();
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
}

#[test]
fn one_that_is_overwritten_after_the_first_change_stops_the_revocation() {
    let sb = quick();
    own_tools(&sb);
    let path = sb.path("bin/kubectl");
    run(&sb, 0, ENABLE);
    sb.fault(json!({"tool": "kubectl", "contains": ["delete", "secrets/rsa-keys"], "do": {"wait_for_file": {"path": "gate"}}}));
    let running = sb.spawn(&["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"]);
    sb.wait_reached("gate");
    // Stopped, it starts no other kubectl before that one has ended and its file can be written to.
    running.signal(Signal::STOP);
    sb.release("gate");
    overwrite(&sb, b"another program");
    running.signal(Signal::CONT);
    let told = running.wait();
    assert_eq!(told.code, 8, "{}{}", told.stdout, told.stderr);
    assert!(
        told.stderr
            .contains("was overwritten since it was looked at"),
        "{}",
        told.stderr
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
    sb.no_faults();
    run(
        &sb,
        0,
        &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
}
