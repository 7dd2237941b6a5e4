//! Runs that are killed or interrupted, wherever that may happen, and the same command again.

use crate::sandbox::{Run, Running, Sandbox, skipped, wait_until};
use rustix::process::{Pid, Signal};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::sync::LazyLock;

const ENABLE: &[&str] = &["enable", "-n", "influxdb"];
const DISABLE: &[&str] = &["disable"];
pub const STRACE: &str = "/usr/bin/strace";

/// What is done with the record. strace counts each of them by itself.
pub const TOUCHES: [&str; 10] = [
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

/// All calls of `enable`, by tool and number.
const CALLS: [(&str, u32); 7] = [
    ("kubectl", 1),
    ("kubectl", 2),
    ("kubectl", 3),
    ("kubectl", 4),
    ("kubectl", 5),
    ("influxctl", 1),
    ("influxctl", 2),
];

/// What is in influxctl's directory: name, mode and content, the same for every sandbox.
type Files = BTreeMap<String, (u32, String)>;

fn files(sb: &Sandbox) -> Files {
    use std::os::unix::fs::PermissionsExt as _;
    let entries = std::fs::read_dir(sb.home(".config/influxctl")).expect("a directory");
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
                    .expect("there")
                    .to_str()
                    .expect("text"),
                "[SANDBOX]",
            );
            let mode = path.metadata().expect("there").permissions().mode() & 0o7777;
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

/// What an undisturbed `enable` leaves, and what was there before it.
static UNDISTURBED: LazyLock<(Files, Files)> = LazyLock::new(|| {
    let sb = Sandbox::new();
    let before = files(&sb);
    assert_eq!(sb.run(ENABLE).code, 0);
    let after = files(&sb);
    assert_eq!(after.len(), 2, "{after:?}");
    (after, before)
});

fn undisturbed(command: &[&str]) -> &'static Files {
    if command == ENABLE {
        &UNDISTURBED.0
    } else {
        &UNDISTURBED.1
    }
}

/// Whether a call of this sandbox is still there.
fn lives(sb: &Sandbox, pid: i32) -> bool {
    let of = |part: &str| std::fs::read(format!("/proc/{pid}/{part}")).unwrap_or_default();
    let root = sb.root().to_str().expect("text").as_bytes();
    of("environ").windows(root.len()).any(|bytes| bytes == root)
}

/// Waits until the calls that a killed run left behind have come to their own end.
pub fn wait_for_orphans(sb: &Sandbox) {
    wait_until("the orphans have ended", || {
        sb.calls().iter().all(|call| !lives(sb, call.pid))
    });
}

/// Ends the calls that a killed run left behind, and waits until nothing holds a lock any more.
pub fn end_orphans(sb: &Sandbox) {
    for call in sb.calls().into_iter().filter(|call| lives(sb, call.pid)) {
        // It may end by itself meanwhile.
        let _ = rustix::process::kill_process(
            Pid::from_raw(call.pid).expect("a process"),
            Signal::KILL,
        );
    }
    wait_until("all locks are free", || {
        locks(sb).iter().all(|lock| lock.try_lock().is_ok())
    });
}

fn locks(sb: &Sandbox) -> Vec<File> {
    let entries = std::fs::read_dir(sb.home(".local/state/bypassctl/locks"))
        .into_iter()
        .flatten();
    entries
        .map(|entry| File::open(entry.expect("an entry").path()).expect("a lock"))
        .collect()
}

fn trial_directories(sb: &Sandbox) -> usize {
    let entries = [sb.path("run"), sb.path("tmp")]
        .map(|place| std::fs::read_dir(place).expect("a directory"));
    let trial = |name: &str| name.starts_with("bypassctl-trial-");
    entries
        .into_iter()
        .flatten()
        .filter(|entry| {
            trial(
                &entry
                    .as_ref()
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy(),
            )
        })
        .count()
}

/// The same command again: it ends as an undisturbed run does, and says what was cut off.
fn converges(sb: &Sandbox, command: &[&str], what: &str) -> Vec<String> {
    end_orphans(sb);
    sb.no_faults();
    let cut = sb.open_steps();
    let again = sb.run(command);
    assert_eq!(again.code, 0, "{what}: {}", again.stderr);
    for step in &cut {
        assert!(
            again.stderr.contains(&format!("cut off in step `{step}`")),
            "{what}, {step}: {}",
            again.stderr
        );
    }
    assert_eq!(
        again.stderr.matches("cut off in step").count(),
        cut.len(),
        "{what}: {}",
        again.stderr
    );
    assert_eq!(&files(sb), undisturbed(command), "{what}");
    assert_eq!(trial_directories(sb), 0, "{what}");
    let verified = sb.assert_verified();
    assert_eq!(
        verified.stdout.matches("has no result").count(),
        cut.len(),
        "{what}: {}",
        verified.stdout
    );
    cut
}

/// Lets a call touch a file and wait.
fn hold(sb: &Sandbox, tool: &str, nth: u32) {
    sb.fault(json!({"tool": tool, "nth": nth, "before": true, "do": {"wait_for_file": {"path": "gate"}}}));
}

fn held(sb: &Sandbox, tool: &str, nth: u32, command: &[&str]) -> Running {
    hold(sb, tool, nth);
    let running = sb.spawn(command);
    sb.wait_reached("gate");
    running
}

#[test]
fn killed_before_or_after_a_call_takes_effect() {
    for (tool, nth) in CALLS {
        for before in [true, false] {
            let what = format!("{tool} {nth}, before {before}");
            let sb = Sandbox::new();
            sb.fault(json!({"tool": tool, "nth": nth, "before": before, "do": "kill_parent"}));
            assert_eq!(sb.run(ENABLE).code, 128 + 9, "{what}");
            assert_eq!(&files(&sb), undisturbed(DISABLE), "{what}");
            let cut = converges(&sb, ENABLE, &what);
            assert!(!cut.is_empty(), "{what}");
            sb.assert_no_secret(&[Path::new("home/.config/influxctl/admin-token-default.json")]);
        }
    }
}

#[test]
fn killed_during_a_call() {
    for (tool, nth) in CALLS {
        let sb = Sandbox::new();
        let running = held(&sb, tool, nth, ENABLE);
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        assert!(!converges(&sb, ENABLE, &format!("{tool} {nth}")).is_empty());
        let third = sb.run(DISABLE);
        assert!(
            third.code == 0 && !third.stderr.contains("cut off"),
            "named once: {}",
            third.stderr
        );
    }
}

/// Whether system calls can be disturbed here; said aloud where they cannot.
pub fn can_trace() -> bool {
    let there = Path::new(STRACE).exists();
    if !there {
        skipped(&format!(
            "{STRACE} is missing, so nothing is disturbed between two system calls"
        ));
    }
    there
}

/// Runs a command with one of its system calls disturbed as strace's `inject` says.
pub fn disturbed(sb: &Sandbox, which: &[&str], inject: &str, command: &[&str]) -> Run {
    let inject = format!("inject={inject}");
    sb.spawn_under(
        &[&[STRACE, "-qq", "-o", "/dev/null"], which, &["-e", &inject]].concat(),
        command,
    )
    .wait()
}

/// Kills a command at the nth of these system calls of its main thread, before it happens, for every nth.
fn killed_at_each(syscalls: &str, command: &[&str], at_least: u32) {
    if !can_trace() {
        return;
    }
    let mut nth = 1;
    loop {
        let sb = Sandbox::new();
        if command == DISABLE {
            assert_eq!(sb.run(ENABLE).code, 0);
        }
        let run = disturbed(
            &sb,
            &[],
            &format!("{syscalls}:signal=KILL:when={nth}"),
            command,
        );
        if run.code == 0 {
            break;
        }
        assert_eq!(run.code, 128 + 9, "{}", run.stderr);
        converges(&sb, command, &format!("{command:?}, {syscalls} {nth}"));
        nth += 1;
    }
    assert!(nth > at_least, "{syscalls}: only {nth}");
}

/// Kills a command at every system call that touches the record, of each thread.
fn killed_at_each_touch(command: &[&str], at_least: usize) {
    let mut killed = 0;
    for syscall in TOUCHES {
        for nth in 1.. {
            let sb = Sandbox::new();
            if command == DISABLE {
                assert_eq!(sb.run(ENABLE).code, 0);
            }
            let log = sb.log();
            let which = ["-f", "-P", log.to_str().expect("text")];
            let run = disturbed(
                &sb,
                &which,
                &format!("{syscall}:signal=KILL:when={nth}"),
                command,
            );
            if run.code == 0 {
                break;
            }
            assert_eq!(run.code, 128 + 9, "{syscall} {nth}: {}", run.stderr);
            converges(&sb, command, &format!("{command:?}, {syscall} {nth}"));
            killed += 1;
        }
    }
    assert!(killed > at_least, "{command:?}: only {killed}");
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn enable_killed_at_each_touch_of_the_record() {
    if can_trace() {
        killed_at_each_touch(ENABLE, 100);
    }
}

#[test]
#[ignore = "slow: scripts/check slow"]
fn disable_killed_at_each_touch_of_the_record() {
    if can_trace() {
        killed_at_each_touch(DISABLE, 50);
    }
}

#[test]
fn enable_killed_at_each_record() {
    killed_at_each("fdatasync", ENABLE, 15);
}

#[test]
fn enable_killed_at_each_file_change() {
    killed_at_each("?rename,?renameat,?renameat2", ENABLE, 2);
    killed_at_each("?unlink,?unlinkat,?rmdir", ENABLE, 3);
    killed_at_each("fsync", ENABLE, 4);
    killed_at_each("?fchmod,?chmod,?fchmodat", ENABLE, 1);
}

#[test]
fn disable_killed_at_each_record_and_file_change() {
    killed_at_each("fdatasync", DISABLE, 5);
    killed_at_each("?rename,?renameat,?renameat2", DISABLE, 1);
    killed_at_each("?unlink,?unlinkat", DISABLE, 2);
    killed_at_each("fsync", DISABLE, 2);
}

/// Nothing was changed, everything is on record, nobody is left.
fn ended_cleanly(sb: &Sandbox, run: &Run, code: i32, what: &str) {
    assert_eq!(run.code, code, "{what}: {}", run.stderr);
    assert_eq!(&files(sb), undisturbed(DISABLE), "{what}");
    assert_eq!(sb.open_steps(), Vec::<String>::new(), "{what}");
    let ends = sb.records_of("run.end");
    assert_eq!(ends.len(), 1, "{what}");
    assert_eq!(
        (&ends[0]["code"], &ends[0]["changed"]),
        (&json!(code), &json!(false)),
        "{what}"
    );
    let calls = sb.calls();
    assert!(
        !calls.is_empty() && calls.iter().all(|call| !lives(sb, call.pid)),
        "{what}"
    );
    assert_eq!(trial_directories(sb), 0, "{what}");
    sb.assert_verified();
}

#[test]
fn interrupted_at_each_call() {
    for (tool, nth) in CALLS {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let sb = Sandbox::new();
            let running = held(&sb, tool, nth, ENABLE);
            running.signal(signal);
            ended_cleanly(&sb, &running.wait(), code, &format!("{tool} {nth}, {code}"));
            let results = sb.records_of("result");
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
fn a_call_that_ignores_the_request_to_end_is_killed() {
    let sb = Sandbox::new();
    // The cluster is noted beside this call, so its number varies.
    let gate = json!({"wait_for_file": {"path": "gate"}});
    for act in [gate, json!("hang_ignoring_term")] {
        sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": act}));
    }
    let running = sb.spawn(ENABLE);
    sb.wait_reached("gate");
    sb.release("gate");
    let pid = sb
        .calls()
        .iter()
        .rfind(|call| call.argv.contains(&"secrets/admin-token".to_owned()))
        .expect("held")
        .pid;
    wait_until("it ignores SIGTERM", || catches_term(pid));
    running.signal(Signal::INT);
    ended_cleanly(&sb, &running.wait(), 130, "ignores SIGTERM");
    let killed = |result: &serde_json::Value| result["exit"] == json!({"code": null, "signal": 9});
    assert!(sb.records_of("result").iter().any(killed));
}

fn catches_term(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status
        .lines()
        .find_map(|line| line.strip_prefix("SigCgt:\t"))
        .unwrap_or("0");
    u64::from_str_radix(caught, 16).expect("hex") & (1 << 14) != 0
}

#[test]
fn a_second_run_is_told_who_is_at_work() {
    let sb = Sandbox::new();
    let first = held(&sb, "kubectl", 4, ENABLE);
    let begin = sb.records_of("run.begin").remove(0);
    for command in [ENABLE, DISABLE] {
        let second = sb.run(command);
        assert_eq!(second.code, 4, "{}", second.stderr);
        let who = format!("run {} ", begin["run"].as_str().expect("a name"));
        assert!(
            second.stderr.contains(&who)
                && second
                    .stderr
                    .contains(&format!("process {})", begin["pid"])),
            "{}",
            second.stderr
        );
        assert!(
            !second.stderr.contains("cut off"),
            "the first still runs: {}",
            second.stderr
        );
    }
    assert_eq!(
        sb.run(&["audit", "verify"]).code,
        0,
        "a run under way is no finding"
    );
    sb.release("gate");
    assert_eq!(first.wait().code, 0);
    assert_eq!(&files(&sb), undisturbed(ENABLE));
    sb.assert_verified();
}

#[test]
fn a_child_left_behind_keeps_the_lock() {
    for (tool, nth) in [("kubectl", 4), ("influxctl", 2)] {
        let sb = Sandbox::new();
        let first = held(&sb, tool, nth, ENABLE);
        first.signal(Signal::KILL);
        assert_eq!(first.wait().code, 128 + 9);
        let second = sb.run(ENABLE);
        assert_eq!(second.code, 4, "{}", second.stderr);
        assert!(
            second.stderr.contains("another run is at work") && second.stderr.contains("cut off"),
            "{}",
            second.stderr
        );
        assert_eq!(&files(&sb), undisturbed(DISABLE));
        sb.release("gate");
        wait_until("the lock is free", || {
            locks(&sb).iter().all(|lock| lock.try_lock().is_ok())
        });
        let third = sb.run(ENABLE);
        assert_eq!(third.code, 0, "{}", third.stderr);
        assert_eq!(&files(&sb), undisturbed(ENABLE));
        sb.assert_verified();
    }
}

#[test]
fn a_process_number_that_comes_round_again_hides_nothing() {
    let sb = Sandbox::new();
    sb.fault(json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": "kill_parent"}));
    assert_eq!(sb.run(ENABLE).code, 128 + 9);
    sb.no_faults();
    // The killed run as if it had had the number of a process that is there: this one.
    let killed = sb.records_of("run.begin").remove(0)["pid"].to_string();
    let text = std::fs::read_to_string(sb.log()).expect("the record");
    let text = text.replace(
        &format!("\"pid\":{killed},"),
        &format!("\"pid\":{},", std::process::id()),
    );
    std::fs::write(sb.log(), text).expect("sandbox");
    let run = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        run.code == 3 && run.stderr.contains("was cut off in step `get-token`"),
        "{}",
        run.stderr
    );
}
