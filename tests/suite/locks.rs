//! Locks that other processes hold, and lock files that others control.

use crate::crash::{kill_running_calls, wait_for_orphans};
use crate::sandbox::{Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::json;
use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

fn log_lock_path(sb: &Sandbox) -> PathBuf {
    sb.log_path().with_extension("jsonl.lock")
}

/// Returns the lock files of targets.
fn list_target_locks(sb: &Sandbox) -> Vec<PathBuf> {
    std::fs::read_dir(sb.home_path(".local/state/bypassctl/locks"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "lock")
        })
        .collect()
}

#[test]
fn shared_lock_on_log_stops_no_run() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    // Auditors may read the log, so they can lock it.
    std::fs::set_permissions(sb.log_path(), Permissions::from_mode(0o644)).expect("sandbox");
    let log = File::open(sb.log_path()).expect("a log");
    log.lock_shared().expect("a lock");
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let lock = std::fs::metadata(log_lock_path(&sb)).expect("a lock file");
    assert_eq!(lock.permissions().mode() & 0o777, 0o600);
    sb.assert_log_intact();
}

#[test]
fn held_log_lock_ends_run_soon_after_signal() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let lock = File::open(log_lock_path(&sb)).expect("a lock file");
    lock.lock().expect("a lock");
    let running = sb.spawn(ENABLE_ARGS);
    wait_until("the run waits", || {
        let descriptors = std::fs::read_dir(format!("/proc/{}/fd", running.pid()));
        descriptors.into_iter().flatten().flatten().any(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|path| path == log_lock_path(&sb))
        })
    });
    running.send_signal(Signal::TERM);
    let run = running.wait();
    assert_eq!((run.code, sb.calls().len()), (9, 0), "{}", run.stderr);
    let expected = format!(
        "s waiting for lock file `{}`, held by process {} (",
        log_lock_path(&sb).display(),
        std::process::id()
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
}

#[test]
fn lock_files_that_others_control_are_refused() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
    let victim = sb.write("home/victim", "text");
    let mut locks = list_target_locks(&sb);
    assert_eq!(locks.len(), 1);
    locks.push(log_lock_path(&sb));
    for (path, code) in locks.into_iter().zip([1, 9]) {
        let name = path.display().to_string();
        std::fs::remove_file(&path).expect("a lock file");
        std::os::unix::fs::symlink(&victim, &path).expect("sandbox");
        let link = sb.run(ENABLE_ARGS);
        std::fs::remove_file(&path).expect("a symlink");
        std::fs::hard_link(&victim, &path).expect("sandbox");
        let second_name = sb.run(ENABLE_ARGS);
        std::fs::remove_file(&path).expect("a name");
        for (run, problem) in [
            (link, "the path is a symlink"),
            (second_name, "more than one name"),
        ] {
            assert_eq!(run.code, code, "{}", run.stderr);
            assert!(
                run.stderr.contains(&name) && run.stderr.contains(problem),
                "{}",
                run.stderr
            );
        }
    }
    assert_eq!(sb.read("home/victim"), "text");
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
}

/// Wraps kubectl: each call starts a process in a way that a credential plugin does, and writes its
/// process ID to `agents`.
fn wrap_kubectl(sb: &Sandbox, start: &str) {
    let real = sb.path("bin/kubectl-itself");
    std::fs::rename(sb.path("bin/kubectl"), &real).expect("sandbox");
    let script = format!(
        "#!/bin/bash\n{start} /bin/bash -c 'echo $$ >>{0}/agents; exec /bin/sleep 60' \
         >/dev/null 2>&1 &\n\
         exec -a kubectl {1} \"$@\"\n",
        sb.root().display(),
        real.display()
    );
    let wrapper = sb.write("bin/kubectl", script);
    std::fs::set_permissions(wrapper, Permissions::from_mode(0o755)).expect("sandbox");
}

fn kill_agents(sb: &Sandbox) {
    for agent in sb.read("agents").lines() {
        let pid = rustix::process::Pid::from_raw(agent.parse().expect("a number"));
        let _ = rustix::process::kill_process(pid.expect("a process"), Signal::KILL);
    }
}

/// Kills an `enable`, then the tool that it left. A run is refused in between.
fn kill_enable(sb: &Sandbox) {
    sb.inject_fault(json!({
        "tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": "kill_parent"
    }));
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 128 + 9, "{}", run.stderr);
    sb.clear_faults();
    let calls = sb.calls();
    let reads_token = |word: &String| word == "secrets/admin-token";
    let tool = calls.iter().find(|call| call.argv.iter().any(reads_token));
    let tool = tool.expect("a call").pid;
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 4, "the tool is still running: {}", run.stderr);
    assert!(
        run.stderr.contains(&format!("process {tool} (")),
        "{}",
        run.stderr
    );
    kill_running_calls(sb);
    wait_for_orphans(sb);
}

#[test]
fn daemon_of_killed_run_does_not_keep_its_lock() {
    let sb = Sandbox::new();
    wrap_kubectl(&sb, "/usr/bin/setsid");
    kill_enable(&sb);
    let held: Vec<PathBuf> = list_target_locks(&sb)
        .into_iter()
        .filter(|path| File::open(path).expect("a lock file").try_lock().is_err())
        .collect();
    let run = sb.run(ENABLE_ARGS);
    let again = sb.run(&["disable"]);
    kill_agents(&sb);
    assert_eq!(held.len(), 1, "an agent holds the lock");
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(again.code, 0, "{}", again.stderr);
    sb.assert_log_intact();
}

#[test]
fn process_in_session_of_killed_run_is_named_as_holder() {
    let sb = Sandbox::new();
    wrap_kubectl(&sb, "");
    kill_enable(&sb);
    let run = sb.run(ENABLE_ARGS);
    kill_agents(&sb);
    assert_eq!(run.code, 4, "{}", run.stderr);
    for expected in [
        "was killed, but its lock",
        "is still held by process ",
        "(`sleep`)",
        "hint: wait until it exits, or stop it: `kill ",
    ] {
        assert!(run.stderr.contains(expected), "{expected}: {}", run.stderr);
    }
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn audit_commands_refuse_symlink_as_log() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let link = sb.home_path("link.jsonl");
    std::os::unix::fs::symlink(sb.log_path(), &link).expect("sandbox");
    let link = link.to_str().expect("text");
    for args in [
        &["verify"][..],
        &["list"],
        &["show", "a"],
        &["export", "--format", "script"],
        &["anchor"],
    ] {
        let run = sb.run(&[&["audit"], args, &["--audit-log", link]].concat());
        assert_eq!(run.code, 1, "{args:?}: {}", run.stderr);
        let expected = format!("cannot read the audit log `{link}`: the path is a symlink");
        assert!(run.stderr.contains(&expected), "{args:?}: {}", run.stderr);
    }
    let run = sb.run(&["audit", "verify", link]);
    assert_eq!(run.code, 0, "a named file: {}", run.stderr);
}
