//! Runs killed or interrupted at every point, and the rerun of the same command.

use crate::sandbox::{CommandOutput, RunningCommand, Sandbox, report_skipped, wait_until};
use rustix::process::{Pid, Signal};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];
const DISABLE_ARGS: &[&str] = &["disable"];
pub const STRACE_PATH: &str = "/usr/bin/strace";

/// The system calls on the audit log and its lock file. strace counts each of them separately.
pub const LOG_SYSCALLS: [&str; 10] = [
    "?open,?openat",
    "?fstat,?newfstatat,?statx",
    "flock",
    "pread64",
    "fallocate",
    "write",
    "fdatasync",
    "fsync",
    "fcntl",
    "close",
];

/// All tool calls of `enable`, by tool and number.
const ENABLE_CALLS: [(&str, u32); 6] = [
    ("kubectl", 1),
    ("kubectl", 2),
    ("kubectl", 3),
    ("kubectl", 4),
    ("influxctl", 1),
    ("influxctl", 2),
];

/// Lists influxctl's directory: name, mode and content, without the sandbox's path.
type ConfigFiles = BTreeMap<String, (u32, String)>;

fn read_config_files(sb: &Sandbox) -> ConfigFiles {
    use std::os::unix::fs::PermissionsExt as _;
    let entries = std::fs::read_dir(sb.home_path(".config/influxctl")).expect("a directory");
    let token = String::from_utf8(sb.admin_token()).expect("JSON");
    entries
        .map(|entry| {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path)
                .expect("text")
                .replace(&token, "[TOKEN]");
            let text = text.replace(
                sb.root()
                    .canonicalize()
                    .expect("the file exists")
                    .to_str()
                    .expect("text"),
                "[SANDBOX]",
            );
            let mode = path
                .metadata()
                .expect("the file exists")
                .permissions()
                .mode()
                & 0o7777;
            (
                path.file_name()
                    .expect("a name")
                    .to_string_lossy()
                    .into_owned(),
                (mode, text),
            )
        })
        .collect()
}

/// influxctl's directory after an undisturbed `enable`, and before it.
static EXPECTED_FILES: LazyLock<(ConfigFiles, ConfigFiles)> = LazyLock::new(|| {
    let sb = Sandbox::new();
    let before = read_config_files(&sb);
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
    let after = read_config_files(&sb);
    assert_eq!(after.len(), 2, "{after:?}");
    (after, before)
});

fn expected_files(command: &[&str]) -> &'static ConfigFiles {
    if command == ENABLE_ARGS {
        &EXPECTED_FILES.0
    } else {
        &EXPECTED_FILES.1
    }
}

/// Returns whether a tool call of this sandbox is still running.
fn is_call_running(sb: &Sandbox, pid: i32) -> bool {
    let read = |part: &str| std::fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default();
    let root = sb.root().to_str().expect("text").as_bytes();
    read("environ")
        .windows(root.len())
        .any(|bytes| bytes == root)
}

/// Waits until the orphaned calls of a killed run have exited.
pub fn wait_for_orphans(sb: &Sandbox) {
    wait_until("the orphans have ended", || {
        sb.calls().iter().all(|call| !is_call_running(sb, call.pid))
    });
}

/// Kills the orphaned calls of a killed run, and waits until all locks are free.
pub fn kill_orphans(sb: &Sandbox) {
    kill_running_calls(sb);
    wait_until("all locks are free", || {
        open_lock_files(sb)
            .iter()
            .all(|lock| lock.try_lock().is_ok())
    });
}

/// Kills the calls of this sandbox that are still running.
pub fn kill_running_calls(sb: &Sandbox) {
    for call in sb
        .calls()
        .into_iter()
        .filter(|call| is_call_running(sb, call.pid))
    {
        // The process may exit by itself first.
        let _ = rustix::process::kill_process(
            Pid::from_raw(call.pid).expect("a process"),
            Signal::KILL,
        );
    }
}

fn open_lock_files(sb: &Sandbox) -> Vec<File> {
    let entries = std::fs::read_dir(sb.home_path(".local/state/bypassctl/locks"))
        .into_iter()
        .flatten();
    entries
        .map(|entry| File::open(entry.expect("an entry").path()).expect("a lock"))
        .collect()
}

fn count_probe_directories(sb: &Sandbox) -> usize {
    let entries = [sb.path("run"), sb.path("tmp")]
        .map(|place| std::fs::read_dir(place).expect("a directory"));
    let is_probe = |name: &str| name.starts_with("bypassctl-probe-");
    entries
        .into_iter()
        .flatten()
        .filter(|entry| {
            is_probe(
                &entry
                    .as_ref()
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy(),
            )
        })
        .count()
}

/// Reruns the command: it leaves the state of an undisturbed run, and reports the interrupted step.
fn assert_rerun_converges(sb: &Sandbox, command: &[&str], what: &str) -> Vec<String> {
    kill_orphans(sb);
    sb.clear_faults();
    let unfinished = sb.list_unfinished_steps();
    let again = sb.run(command);
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    for step in &unfinished {
        assert!(
            again.stderr.contains(&format!("killed in step `{step}`")),
            "{what}, {step}: {}",
            again.stderr
        );
    }
    assert_eq!(
        again.stderr.matches("killed in step").count(),
        unfinished.len(),
        "{what}: {}",
        again.stderr
    );
    assert_eq!(&read_config_files(sb), expected_files(command), "{what}");
    assert_eq!(count_probe_directories(sb), 0, "{what}");
    let verified = sb.assert_log_intact();
    assert_eq!(
        verified.stdout.matches("has no result").count(),
        unfinished.len(),
        "{what}: {}",
        verified.stdout
    );
    unfinished
}

/// Makes a call create a file and wait.
fn inject_wait_fault(sb: &Sandbox, tool: &str, nth: u32) {
    sb.inject_fault(
        json!({"tool": tool, "nth": nth, "before": true, "do": {"wait_for_file": {"path": "gate"}}})
    );
}

fn spawn_held_command(sb: &Sandbox, tool: &str, nth: u32, command: &[&str]) -> RunningCommand {
    inject_wait_fault(sb, tool, nth);
    let running = sb.spawn(command);
    sb.wait_for_gate("gate");
    running
}

#[test]
fn enable_killed_before_or_after_each_call_resumes() {
    for (tool, nth) in ENABLE_CALLS {
        for before in [true, false] {
            let what = format!("{tool} {nth}, before {before}");
            let sb = Sandbox::new();
            sb.inject_fault(
                json!({"tool": tool, "nth": nth, "before": before, "do": "kill_parent"}),
            );
            assert_eq!(sb.run(ENABLE_ARGS).code, 128 + 9, "{what}");
            assert_eq!(
                &read_config_files(&sb),
                expected_files(DISABLE_ARGS),
                "{what}"
            );
            let unfinished = assert_rerun_converges(&sb, ENABLE_ARGS, &what);
            assert!(!unfinished.is_empty(), "{what}");
            sb.assert_no_secret_leaked(&[Path::new(
                "home/.config/influxctl/admin-token-default.json",
            )]);
        }
    }
}

#[test]
fn enable_killed_during_each_call_resumes() {
    for (tool, nth) in ENABLE_CALLS {
        let sb = Sandbox::new();
        let running = spawn_held_command(&sb, tool, nth, ENABLE_ARGS);
        running.send_signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        assert!(!assert_rerun_converges(&sb, ENABLE_ARGS, &format!("{tool} {nth}")).is_empty());
        let third = sb.run(DISABLE_ARGS);
        assert!(
            third.code == 0 && !third.stderr.contains("was killed in step"),
            "the warning repeats: {}",
            third.stderr
        );
    }
}

/// Returns whether strace can inject faults here. Reports a skipped test otherwise.
pub fn can_trace() -> bool {
    let exists = Path::new(STRACE_PATH).exists();
    if !exists {
        report_skipped(&format!(
            "{STRACE_PATH} is missing, so no run is killed between two system calls"
        ));
    }
    exists
}

/// Runs a command with one system call changed by strace's `inject`.
pub fn run_with_injection(
    sb: &Sandbox,
    which: &[&str],
    inject: &str,
    command: &[&str],
) -> CommandOutput {
    let inject = format!("inject={inject}");
    sb.spawn_with_wrapper(
        &[
            &[STRACE_PATH, "-qq", "-o", "/dev/null"],
            which,
            &["-e", &inject],
        ]
        .concat(),
        command,
    )
    .wait()
}

/// Kills a command before the nth of these system calls of its main thread, for every n.
fn kill_at_each_syscall(syscalls: &str, command: &[&str], at_least: u32) {
    if !can_trace() {
        return;
    }
    let mut nth = 1;
    loop {
        let sb = Sandbox::new();
        if command == DISABLE_ARGS {
            assert_eq!(sb.run(ENABLE_ARGS).code, 0);
        }
        let run = run_with_injection(
            &sb,
            &[],
            &format!("{syscalls}:signal=KILL:when={nth}"),
            command,
        );
        if run.code == 0 {
            break;
        }
        assert_eq!(run.code, 128 + 9, "{}", run.stderr);
        assert_rerun_converges(&sb, command, &format!("{command:?}, {syscalls} {nth}"));
        nth += 1;
    }
    assert!(nth > at_least, "{syscalls}: only {nth}");
}

/// Kills a command at every system call on the audit log and its lock file, in each thread.
fn kill_at_each_log_syscall(command: &[&str], at_least: usize) {
    let mut killed = 0;
    for syscall in LOG_SYSCALLS {
        for nth in 1.. {
            let sb = Sandbox::new();
            if command == DISABLE_ARGS {
                assert_eq!(sb.run(ENABLE_ARGS).code, 0);
            }
            let log = sb.log_path().display().to_string();
            let lock = format!("{log}.lock");
            let which = ["-f", "-P", &log, "-P", &lock];
            let run = run_with_injection(
                &sb,
                &which,
                &format!("{syscall}:signal=KILL:when={nth}"),
                command,
            );
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, 128 + 9, "{syscall} {nth}: {}", run.stderr);
            assert_rerun_converges(&sb, command, &format!("{command:?}, {syscall} {nth}"));
            killed += 1;
        }
    }
    assert!(killed > at_least, "{command:?}: only {killed}");
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn enable_killed_at_each_log_syscall_resumes() {
    if can_trace() {
        kill_at_each_log_syscall(ENABLE_ARGS, 100);
    }
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn disable_killed_at_each_log_syscall_resumes() {
    if can_trace() {
        kill_at_each_log_syscall(DISABLE_ARGS, 50);
    }
}

#[test]
fn enable_killed_at_each_log_sync_resumes() {
    kill_at_each_syscall("fdatasync", ENABLE_ARGS, 15);
}

#[test]
fn enable_killed_at_each_file_change_resumes() {
    kill_at_each_syscall("?rename,?renameat,?renameat2", ENABLE_ARGS, 2);
    kill_at_each_syscall("?unlink,?unlinkat,?rmdir", ENABLE_ARGS, 3);
    kill_at_each_syscall("fsync", ENABLE_ARGS, 4);
    kill_at_each_syscall("?fchmod,?chmod,?fchmodat", ENABLE_ARGS, 1);
}

#[test]
fn disable_killed_at_each_sync_or_change_resumes() {
    kill_at_each_syscall("fdatasync", DISABLE_ARGS, 5);
    kill_at_each_syscall("?rename,?renameat,?renameat2", DISABLE_ARGS, 1);
    kill_at_each_syscall("?unlink,?unlinkat", DISABLE_ARGS, 2);
    kill_at_each_syscall("fsync", DISABLE_ARGS, 2);
}

/// Asserts that nothing was changed, the log is intact and no process is left.
fn assert_clean_interrupt(sb: &Sandbox, run: &CommandOutput, code: i32, what: &str) {
    assert_eq!(run.code, code, "{what}: {}", run.stderr);
    assert_eq!(
        &read_config_files(sb),
        expected_files(DISABLE_ARGS),
        "{what}"
    );
    assert_eq!(sb.list_unfinished_steps(), Vec::<String>::new(), "{what}");
    let ends = sb.read_entries_by_type("run.end");
    assert_eq!(ends.len(), 1, "{what}");
    assert_eq!(
        (&ends[0]["exit_code"], &ends[0]["changed"]),
        (&json!(code), &json!(false)),
        "{what}"
    );
    let calls = sb.calls();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| !is_call_running(sb, call.pid)),
        "{what}"
    );
    assert_eq!(count_probe_directories(sb), 0, "{what}");
    sb.assert_log_intact();
}

#[test]
fn enable_interrupted_at_each_call_changes_nothing() {
    for (tool, nth) in ENABLE_CALLS {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let sb = Sandbox::new();
            let running = spawn_held_command(&sb, tool, nth, ENABLE_ARGS);
            running.send_signal(signal);
            assert_clean_interrupt(&sb, &running.wait(), code, &format!("{tool} {nth}, {code}"));
            let results = sb.read_entries_by_type("result");
            assert!(
                results
                    .iter()
                    .any(|result| result["error"] == "interrupted"),
                "{tool} {nth}: {results:?}"
            );
        }
    }
}

#[test]
fn interrupt_kills_call_that_ignores_sigterm() {
    let sb = Sandbox::new();
    // The cluster's UID is read in parallel, so the number of this call varies.
    let gate = json!({"wait_for_file": {"path": "gate"}});
    for act in [gate, json!("hang_ignoring_term")] {
        sb.inject_fault(json!({
            "tool": "kubectl",
            "contains": ["secrets/admin-token"],
            "before": true,
            "do": act
        }));
    }
    let running = sb.spawn(ENABLE_ARGS);
    sb.wait_for_gate("gate");
    sb.release_gate("gate");
    let pid = sb
        .calls()
        .iter()
        .rfind(|call| call.argv.contains(&"secrets/admin-token".to_owned()))
        .expect("a locked file")
        .pid;
    wait_until("the tool ignores SIGTERM", || has_sigterm_handler(pid));
    running.send_signal(Signal::INT);
    assert_clean_interrupt(&sb, &running.wait(), 130, "ignores SIGTERM");
    let killed = |result: &serde_json::Value| result["exit"] == json!({"code": null, "signal": 9});
    assert!(sb.read_entries_by_type("result").iter().any(killed));
}

fn has_sigterm_handler(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:\t"))
        .unwrap_or("0");
    u64::from_str_radix(caught, 16).expect("hex") & (1 << 14) != 0
}

#[test]
fn concurrent_run_is_refused_naming_the_first() {
    let sb = Sandbox::new();
    let first = spawn_held_command(&sb, "kubectl", 4, ENABLE_ARGS);
    let begin = sb.read_entries_by_type("run.begin").remove(0);
    for command in [ENABLE_ARGS, DISABLE_ARGS] {
        let second = sb.run(command);
        assert_eq!(second.code, 4, "{}", second.stderr);
        let expected = format!("run {} ", begin["run"].as_str().expect("a name"));
        assert!(
            second.stderr.contains(&expected)
                && second
                    .stderr
                    .contains(&format!("process {})", begin["pid"])),
            "{}",
            second.stderr
        );
        assert!(
            !second.stderr.contains("was killed in step"),
            "the first still runs: {}",
            second.stderr
        );
    }
    assert_eq!(
        sb.run(&["audit", "verify"]).code,
        0,
        "a running command is no finding"
    );
    sb.release_gate("gate");
    assert_eq!(first.wait().code, 0);
    assert_eq!(&read_config_files(&sb), expected_files(ENABLE_ARGS));
    sb.assert_log_intact();
}

#[test]
fn orphaned_child_keeps_lock_until_it_exits() {
    for (tool, nth) in [("kubectl", 4), ("influxctl", 2)] {
        let sb = Sandbox::new();
        let first = spawn_held_command(&sb, tool, nth, ENABLE_ARGS);
        first.send_signal(Signal::KILL);
        assert_eq!(first.wait().code, 128 + 9);
        let second = sb.run(ENABLE_ARGS);
        assert_eq!(second.code, 4, "{}", second.stderr);
        assert!(
            second.stderr.contains("another run is working")
                && second.stderr.contains("was killed in step"),
            "{}",
            second.stderr
        );
        assert_eq!(&read_config_files(&sb), expected_files(DISABLE_ARGS));
        sb.release_gate("gate");
        wait_until("the lock is free", || {
            open_lock_files(&sb)
                .iter()
                .all(|lock| lock.try_lock().is_ok())
        });
        let third = sb.run(ENABLE_ARGS);
        assert_eq!(third.code, 0, "{}", third.stderr);
        assert_eq!(&read_config_files(&sb), expected_files(ENABLE_ARGS));
        sb.assert_log_intact();
    }
}

#[test]
fn reused_pid_does_not_hide_killed_run() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(ENABLE_ARGS).code, 128 + 9);
    sb.clear_faults();
    // Gives the killed run the PID of a running process: this one.
    let killed = sb.read_entries_by_type("run.begin").remove(0)["pid"].to_string();
    let text = std::fs::read_to_string(sb.log_path()).expect("the audit log");
    let text = text.replace(
        &format!("\"pid\":{killed},"),
        &format!("\"pid\":{},", std::process::id()),
    );
    std::fs::write(sb.log_path(), text).expect("sandbox");
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.code == 3 && run.stderr.contains("was killed in step `get-token`"),
        "{}",
        run.stderr
    );
}
