//! Full disks, and tampering with the log during a run.

use crate::sandbox::{RunningCommand, Sandbox, report_skipped, split_lines, wait_until};
use serde_json::json;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];
const PRLIMIT_PATH: &str = "/usr/bin/prlimit";

/// A small filesystem in the sandbox, unmounted on drop.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts the filesystem. Reports a skipped test and returns `None` if this user may not mount.
    fn new(sb: &Sandbox, kib: u32) -> Option<Self> {
        let place = sb.path("disk");
        std::fs::create_dir_all(&place).expect("sandbox");
        let options = format!("size={kib}k,mode=0700");
        let arguments = [
            "-t",
            "tmpfs",
            "-o",
            &options,
            "tmpfs",
            place.to_str().expect("text"),
        ];
        if run_mount_program("mount", &arguments) {
            return Some(Self(place));
        }
        report_skipped("cannot mount a tmpfs, so no disk is full");
        None
    }

    fn file_path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("text").to_owned()
    }

    /// Fills the filesystem.
    fn fill(&self) {
        let mut file = File::create(self.0.join("filler")).expect("an inode");
        while file.write_all(&[b'x'; 4096]).is_ok() {}
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("the file exists");
    }

    fn list_names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).expect("a disk");
        let mut names: Vec<String> = entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        assert!(
            run_mount_program("umount", &["-l", self.0.to_str().expect("text")]),
            "{} stays mounted",
            self.0.display()
        );
    }
}

fn run_mount_program(program: &str, arguments: &[&str]) -> bool {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests create the disks that they fill"
    )]
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn read_config(sb: &Sandbox) -> String {
    sb.read("home/.config/influxctl/config.toml")
}

#[test]
fn commands_run_nothing_when_log_disk_is_full() {
    let sb = Sandbox::new();
    let Some(disk) = SmallDisk::new(&sb, 48) else {
        return;
    };
    let before = read_config(&sb);
    disk.fill();
    for command in [
        ENABLE_ARGS,
        &["status", "-n", "influxdb"],
        &["doctor", "-n", "influxdb"],
        &["disable"],
    ] {
        let run = sb.run(&[command, &["--audit-log", &disk.file_path("log.jsonl")]].concat());
        assert_eq!(run.code, 9, "{}", run.stderr);
        assert!(
            run.stderr.contains("log.jsonl`: No space left"),
            "{}",
            run.stderr
        );
        assert_eq!((sb.calls().len(), read_config(&sb)), (0, before.clone()));
    }
    disk.clear();
    let run = sb.run(&[ENABLE_ARGS, &["--audit-log", &disk.file_path("log.jsonl")]].concat());
    assert_eq!(
        run.code, 9,
        "48 KiB cannot store a whole run with its reserve: {}",
        run.stderr
    );
}

#[test]
fn commands_run_nothing_when_log_is_read_only() {
    let sb = Sandbox::new();
    let Some(disk) = SmallDisk::new(&sb, 1024) else {
        return;
    };
    let log = disk.file_path("log.jsonl");
    assert_eq!(sb.run(&["disable", "--audit-log", &log]).code, 0);
    assert!(run_mount_program(
        "mount",
        &["-o", "remount,ro", disk.0.to_str().expect("text")]
    ));
    let before = std::fs::read(&log).expect("a log");
    let run = sb.run(&[ENABLE_ARGS, &["--audit-log", &log]].concat());
    assert!(
        run.code == 9 && run.stderr.contains("Read-only file system"),
        "{}",
        run.stderr
    );
    let rotate = sb.run(&["audit", "rotate-log", "--audit-log", &log]);
    assert!(
        rotate.code == 9 && rotate.stderr.contains("Read-only file system"),
        "{}",
        rotate.stderr
    );
    assert_eq!(
        (sb.calls().len(), std::fs::read(&log).expect("a log")),
        (0, before)
    );
    assert_eq!(
        sb.run(&["audit", "verify", &log]).code,
        0,
        "verify only reads"
    );
}

#[test]
fn enable_stops_when_log_disk_fills_up() {
    let mut stopped = 0;
    for kib in (32..=80).step_by(8) {
        let sb = Sandbox::new();
        let Some(disk) = SmallDisk::new(&sb, kib) else {
            return;
        };
        let log = disk.file_path("log.jsonl");
        let run = sb.run(&[ENABLE_ARGS, &["--audit-log", &log]].concat());
        let text = std::fs::read(&log).expect("a log");
        let entries: Vec<serde_json::Value> = split_lines(&text)
            .into_iter()
            .map(|line| serde_json::from_slice(line).expect("complete entries"))
            .collect();
        let processes = entries
            .iter()
            .filter(|entry| entry["type"] == "intent" && entry["argv"].is_array());
        assert_eq!(processes.count(), sb.calls().len(), "{kib}");
        if run.code != 0 {
            assert_eq!(run.code, 9, "{kib}: {}", run.stderr);
            assert!(
                run.stderr.contains("No space left"),
                "{kib}: {}",
                run.stderr
            );
            assert!(
                entries.iter().all(|entry| entry["type"] != "run.end"),
                "{kib}"
            );
            stopped += 1;
        }
        let token = sb.path("home/.config/influxctl/admin-token-default.json");
        assert!(
            !read_config(&sb).contains("token_file") || token.exists(),
            "{kib}"
        );
        assert!(
            text.is_empty() || sb.run(&["audit", "verify", &log]).code == 0,
            "{kib}"
        );
    }
    assert!(stopped >= 3, "only {stopped} runs found the disk full");
}

#[test]
fn full_token_disk_leaves_files_unchanged() {
    let sb = Sandbox::new();
    let Some(disk) = SmallDisk::new(&sb, 48) else {
        return;
    };
    let before = read_config(&sb);
    let token = disk.file_path("token.json");
    std::fs::write(&token, "an-old-one-of-that-name").expect("room");
    disk.fill();
    let run = sb.run(&[ENABLE_ARGS, &["--token-file", &token]].concat());
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(
        run.stderr
            .contains(&format!("cannot write `{token}`: No space left")),
        "{}",
        run.stderr
    );
    assert_eq!(
        (
            std::fs::read_to_string(&token)
                .expect("the file exists")
                .as_str(),
            read_config(&sb)
        ),
        ("an-old-one-of-that-name", before)
    );
    assert_eq!(disk.list_names(), ["filler", "token.json"]);
    let end = sb.read_entries_by_type("run.end").remove(0);
    assert_eq!(
        (
            &end["exit_code"],
            &end["changed"],
            sb.list_unfinished_steps()
        ),
        (&json!(1), &json!(false), Vec::new())
    );
    assert!(sb.read_entries_by_type("result").iter().any(|r| {
        r["error"]
            .as_str()
            .is_some_and(|e| e.contains("No space left"))
    }));
    disk.clear();
    assert_eq!(
        sb.run(&[ENABLE_ARGS, &["--token-file", &token]].concat())
            .code,
        0
    );
    assert_eq!(
        std::fs::read(&token).expect("the file exists"),
        sb.admin_token()
    );
    sb.assert_log_intact();
}

#[test]
fn full_config_disk_stops_enable_after_token_write() {
    let sb = Sandbox::new();
    let Some(disk) = SmallDisk::new(&sb, 64) else {
        return;
    };
    let (old, path) = (read_config(&sb), disk.file_path("config.toml"));
    std::fs::write(&path, &old).expect("room");
    disk.fill();
    let token = sb.home_path("token.json");
    let arguments = [
        ENABLE_ARGS,
        &[
            "--config",
            &path,
            "--token-file",
            token.to_str().expect("text"),
        ],
    ]
    .concat();
    let run = sb.run(&arguments);
    assert_eq!(run.code, 8, "{}", run.stderr);
    assert!(
        run.stderr
            .contains(&format!("cannot write `{path}`: No space left")),
        "{}",
        run.stderr
    );
    assert!(
        run.stderr.contains("run the same command again to resume"),
        "{}",
        run.stderr
    );
    assert_eq!(
        std::fs::read_to_string(&path).expect("the file exists"),
        old
    );
    assert_eq!(disk.list_names(), ["config.toml", "filler"]);
    assert_eq!(
        std::fs::read(&token).expect("written before"),
        sb.admin_token()
    );
    let end = sb.read_entries_by_type("run.end").remove(0);
    assert_eq!(
        (
            &end["exit_code"],
            &end["changed"],
            sb.list_unfinished_steps()
        ),
        (&json!(8), &json!(true), Vec::new())
    );
    disk.clear();
    let again = sb.run(&arguments);
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(
        again.stdout.contains("already contains this token"),
        "{}",
        again.stdout
    );
    assert!(
        std::fs::read_to_string(&path)
            .expect("the file exists")
            .contains("token_file")
    );
    sb.assert_log_intact();
}

#[test]
fn truncated_log_entry_stops_run_and_is_recovered() {
    if !Path::new(PRLIMIT_PATH).exists() {
        report_skipped(&format!(
            "{PRLIMIT_PATH} is missing, so no file reaches a limit"
        ));
        return;
    }
    // The limit truncates the first entry of the run, or the second.
    // A tmpfs refuses the whole write.
    for more in [1, 200, 700] {
        let sb = Sandbox::on_disk();
        assert_eq!(sb.run(&["disable"]).code, 0);
        let before = sb.read_log();
        let limit = format!("--fsize={}", before.len() + more);
        let run = sb
            .spawn_with_wrapper(&[PRLIMIT_PATH, &limit], ENABLE_ARGS)
            .wait();
        assert_eq!(run.code, 9, "{}", run.stderr);
        assert!(run.stderr.contains("wrote only"), "{}", run.stderr);
        assert_eq!(sb.calls().len(), 0);
        assert_eq!(
            sb.read_log().len(),
            before.len() + more,
            "the run does not write again"
        );
        assert_eq!(sb.run(&["audit", "verify"]).code, 1);
        let again = sb.run(ENABLE_ARGS);
        assert_eq!(again.code, 0, "{}", again.stderr);
        assert_eq!(sb.read_entries_by_type("log.recover").len(), 1);
        sb.assert_log_intact();
    }
}

/// Starts an `enable` and waits until it reads the token and has recorded the cluster.
fn spawn_held_enable(sb: &Sandbox) -> RunningCommand {
    let gate = json!({"wait_for_file": {"path": "gate"}});
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "before": true, "do": gate}),
    );
    let running = sb.spawn(ENABLE_ARGS);
    sb.wait_for_gate("gate");
    wait_until("the cluster is logged", || {
        let is_logged = sb
            .read_entries_by_type("intent")
            .iter()
            .any(|intent| intent["step"] == "cluster-uid");
        is_logged && sb.list_unfinished_steps() == ["get-token"]
    });
    running
}

/// Pauses two calls of `enable` that run at the same time, until the gates `one` and `two` open.
fn pause_concurrent_calls(sb: &Sandbox) {
    for (tool, nth, path) in [("kubectl", 2, "one"), ("influxctl", 1, "two")] {
        sb.inject_fault(json!({
            "tool": tool,
            "nth": nth,
            "before": true,
            "do": {"wait_for_file": {"path": path}}
        }));
    }
}

#[test]
fn unlogged_results_of_concurrent_calls_are_printed() {
    let sb = Sandbox::new();
    pause_concurrent_calls(&sb);
    let running = sb.spawn(ENABLE_ARGS);
    ["one", "two"]
        .iter()
        .for_each(|path| sb.wait_for_gate(path));
    let mut intents = sb.read_entries_by_type("intent");
    intents.retain(|intent| {
        sb.read_entries_by_type("result")
            .iter()
            .all(|result| result["intent"] != intent["seq"])
    });
    assert_eq!(intents.len(), 2);
    std::fs::remove_file(sb.log_path()).expect("the file exists");
    ["one", "two"].iter().for_each(|path| sb.release_gate(path));
    let run = running.wait();
    assert_eq!((run.code, sb.calls().len()), (9, 3), "{}", run.stderr);
    for intent in intents {
        let expected = format!("missing result of entry {}", intent["seq"]);
        assert!(run.stderr.contains(&expected), "{expected}: {}", run.stderr);
    }
}

/// The disk is full when the first of two concurrent calls ends.
#[test]
fn results_with_reserved_room_are_written_to_full_disk() {
    let sb = Sandbox::new();
    let Some(disk) = SmallDisk::new(&sb, 128) else {
        return;
    };
    pause_concurrent_calls(&sb);
    let log = disk.file_path("log.jsonl");
    let read_entries = || -> Vec<serde_json::Value> {
        let text = std::fs::read(&log).expect("a log");
        split_lines(&text)
            .into_iter()
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    };
    let count_results = || {
        let entries = read_entries();
        entries
            .iter()
            .filter(|entry| entry["type"] == "result")
            .count()
    };
    let running = sb.spawn(&[ENABLE_ARGS, &["--audit-log", &log]].concat());
    ["one", "two"]
        .iter()
        .for_each(|path| sb.wait_for_gate(path));
    disk.fill();
    let before = count_results();
    sb.release_gate("one");
    wait_until("the run has met the full disk", || {
        let calls = sb.calls();
        let (last, results) = (calls.len(), count_results());
        std::thread::sleep(std::time::Duration::from_millis(500));
        results > before && (sb.calls().len(), count_results()) == (last, results)
    });
    sb.release_gate("two");
    let run = running.wait();
    assert_eq!(run.code, 9, "{}", run.stderr);
    assert!(run.stderr.contains("No space left"), "{}", run.stderr);
    let entries = read_entries();
    let is_kind = |kind: &'static str| move |entry: &&serde_json::Value| entry["type"] == kind;
    for intent in entries.iter().filter(is_kind("intent")) {
        let has_result = entries
            .iter()
            .filter(is_kind("result"))
            .any(|result| result["intent"] == intent["seq"]);
        assert!(has_result, "no result of {intent}: {}", run.stderr);
    }
    assert_eq!(entries.iter().filter(is_kind("run.end")).count(), 0);
    assert_eq!(
        entries.iter().filter(is_kind("intent")).count(),
        sb.calls().len()
    );
}

#[test]
fn log_changed_during_run_stops_it() {
    type Change = fn(&Path);
    let cases: [(&str, Change); 4] = [
        ("gone from its path", |log| {
            std::fs::remove_file(log).expect("the file exists")
        }),
        ("names another file", |log| {
            let text = std::fs::read(log).expect("the file exists");
            std::fs::rename(log, log.with_extension("old")).expect("the file exists");
            std::fs::write(log, text).expect("sandbox");
        }),
        ("the log is shorter than before", |log| {
            File::options()
                .write(true)
                .open(log)
                .expect("the file exists")
                .set_len(99)
                .expect("a truncated file")
        }),
        ("no longer contains", |log| {
            let whole = std::fs::metadata(log).expect("the file exists").len();
            std::fs::write(log, vec![b'x'; usize::try_from(whole).expect("small") + 9])
                .expect("sandbox");
        }),
    ];
    for (what, change) in cases {
        let sb = Sandbox::new();
        let before = read_config(&sb);
        let running = spawn_held_enable(&sb);
        let calls = sb.calls().len();
        change(&sb.log_path());
        let log_before = std::fs::read(sb.log_path()).ok();
        sb.release_gate("gate");
        let run = running.wait();
        assert_eq!(run.code, 9, "{what}: {}", run.stderr);
        assert!(run.stderr.contains(what), "{what}: {}", run.stderr);
        let missing = run.stderr.contains(": {\"type\":\"result\"");
        assert!(
            missing && run.stderr.contains("\"withheld\":\"secret\""),
            "{what}: {}",
            run.stderr
        );
        assert_eq!(
            (sb.calls().len(), read_config(&sb)),
            (calls, before),
            "{what}: the run continued"
        );
        assert_eq!(
            std::fs::read(sb.log_path()).ok(),
            log_before,
            "{what}: the log changed"
        );
        sb.assert_no_secret_leaked(&[]);
    }
}

#[test]
fn unwritable_output_does_not_hang() {
    let sb = Sandbox::new();
    for stream in ["stderr", "stdout"] {
        assert_eq!(
            sb.run_with_output_device("/dev/full", stream, ENABLE_ARGS),
            8,
            "{stream}: done, but not printed"
        );
        assert_eq!(sb.run(&["disable"]).code, 0);
    }
}
