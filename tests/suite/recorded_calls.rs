//! Replays every recorded call: the fake must answer as the real kubectl did.
//!
//! UIDs, times, generated names and tokens are normalized on both sides first.

mod normalize;
mod preparation;

use crate::sandbox::{CommandOutput, Sandbox};
use normalize::{ComparedOutput, normalize_output};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// Recorded calls that the fake does not reproduce: file, name, reason.
const KNOWN_DIFFERENCES: &[(&str, &str, &str)] = &[
    ("server-1.20.json", "delete-raw-finalizer", FINALIZER_REASON),
    ("server-1.37.json", "delete-raw-finalizer", FINALIZER_REASON),
];

const FINALIZER_REASON: &str = "the fake's answer has no managed fields";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordingFile {
    kubectl: String,
    /// The recordings of one server.
    server: String,
    recordings: Vec<Recording>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recording {
    name: String,
    argv: Vec<String>,
    exit: Option<i32>,
    signal: Option<i32>,
    stdout: String,
    stderr: String,
    r#as: String,
    stdin: Option<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    /// A description for people.
    #[serde(rename = "note", default)]
    _note: String,
}

fn read_recording_file(file: &str) -> RecordingFile {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/recordings")
        .join(file);
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Creates the cluster before the first recorded call of a file.
fn create_sandbox_for_recording(file: &str, kubectl: &str) -> Sandbox {
    let sb = Sandbox::with_recorded_workload();
    sb.set_kubectl_version(kubectl);
    sb.edit_cluster(|cluster| {
        // The durations of the real server, without the idle time.
        cluster["job_seconds"] = json!(0.6);
        cluster["crd"] = json!(!file.starts_with("kubectl-"));
        // Its first attempt failed because the keys were missing.
        cluster["jobs"]["influxdb/create-admin-token-7c9d2b41"]["failed"] = json!(1);
    });
    sb.run_fake(&["secret", "influxdb", "no-token"]);
    sb
}

/// Makes one call. Returns `None` for a call without comparison.
fn replay_call(sb: &mut Sandbox, recording: &Recording) -> CommandOutput {
    preparation::prepare_call(sb, &recording.name, recording.stdin.as_deref());
    let mut own = recording.env.clone();
    if recording.name == "missing-kubeconfig" {
        own.insert("KUBECONFIG".into(), "/nonexistent/kubeconfig".into());
    }
    for (name, value) in &own {
        sb.set_env(name, value);
    }
    let context = if recording.r#as == "viewer" {
        "sim-viewer"
    } else {
        "sim-dev"
    };
    sb.edit_state(|world| world["current_context"] = json!(context));
    let args = &recording.argv[1..];
    let run = if let Some(signal) = recording.signal {
        let running = sb.spawn_tool("kubectl", args);
        let ended = |text: &str| {
            text.contains("\"type\": \"Complete\"") || text.contains("\"type\": \"Failed\"")
        };
        crate::sandbox::wait_until("the job's last change is printed", || {
            let text = running.read_output("stdout");
            ended(&text) && text.ends_with("\n}\n")
        });
        running.send_signal(rustix::process::Signal::from_named_raw(signal).expect("a signal"));
        running.wait()
    } else {
        sb.run_tool("kubectl", args, recording.stdin.as_deref())
    };
    for name in own.keys() {
        sb.remove_env(name);
    }
    run
}

fn check_recordings(file: &str) {
    let RecordingFile {
        kubectl,
        server,
        recordings,
    } = read_recording_file(file);
    let known = ["v1.36.2", "v1.20.2"]; // the second is what scripts/control-plane/build.sh makes
    assert!(
        known.contains(&server.as_str()),
        "{file} was recorded against {server}, which is not one of {known:?}"
    );
    let mut sb = create_sandbox_for_recording(file, &kubectl);
    let mut wrong = Vec::new();
    for recording in &recordings {
        let got = replay_call(&mut sb, recording);
        let excepted = |(f, name, _): &(&str, &str, &str)| *f == file && *name == recording.name;
        if !KNOWN_DIFFERENCES.iter().any(excepted) {
            wrong.extend(describe_difference(recording, &got));
        }
    }
    let (n, all) = (wrong.len(), recordings.len());
    assert!(
        wrong.is_empty(),
        "{file}: {n} of {all} differ\n{}",
        wrong.concat()
    );
}

/// Returns the lines of both sides from the first difference on.
fn describe_difference(recording: &Recording, got: &CommandOutput) -> Option<String> {
    let Recording {
        name,
        stdout,
        stderr,
        ..
    } = recording;
    let code = recording
        .exit
        .or(recording.signal.map(|s| 128 + s))
        .expect("an end");
    let want = normalize_output(&ComparedOutput {
        code,
        stdout,
        stderr,
    });
    let got = normalize_output(&ComparedOutput {
        code: got.code,
        stdout: &got.stdout,
        stderr: &got.stderr,
    });
    if want == got {
        return None;
    }
    let same = want
        .lines()
        .zip(got.lines())
        .take_while(|(want, got)| want == got)
        .count();
    let from = |text: &str| -> String {
        let lines = text.lines().skip(same.saturating_sub(3)).take(12);
        lines.map(|line| format!("{line}\n")).collect()
    };
    let (want, got) = (from(&want), from(&got));
    Some(format!(
        "=== {name}, line {same}\n--- recorded\n{want}--- fake\n{got}"
    ))
}

macro_rules! files {
    ($($name:ident $file:literal),* $(,)?) => {
        $(#[test] fn $name() { check_recordings($file); })*

        /// Every file of recordings is replayed.
        #[test]
        fn every_recording_file_is_replayed() {
            let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings");
            let names = std::fs::read_dir(directory).expect("recordings").flatten();
            let names = names.map(|entry| entry.file_name().into_string().expect("a name"));
            let mut files: Vec<String> = names.filter(|name| name.ends_with(".json")).collect();
            files.sort();
            let mut replayed = vec![$($file),*];
            replayed.sort_unstable();
            assert_eq!(files, replayed);
        }
    };
}

files! {
    kubectl_1_20 "kubectl-1.20.json",
    kubectl_1_24 "kubectl-1.24.json",
    kubectl_1_28 "kubectl-1.28.json",
    kubectl_1_30 "kubectl-1.30.json",
    kubectl_1_32 "kubectl-1.32.json",
    kubectl_gke "kubectl-gke.json",
    kubectl_1_34 "kubectl-1.34.json",
    kubectl_1_37 "kubectl-1.37.json",
    server_1_20 "server-1.20.json",
    server_1_37 "server-1.37.json",
    operator_1_20 "operator-1.20.json",
    operator_1_28 "operator-1.28.json",
    operator_1_37 "operator-1.37.json",
    watch_1_20 "watch-1.20.json",
    watch_1_28 "watch-1.28.json",
    watch_1_34 "watch-1.34.json",
    watch_1_37 "watch-1.37.json",
}

/// Every exception still exists in the recordings.
#[test]
fn known_differences_name_recorded_calls() {
    for (file, name, reason) in KNOWN_DIFFERENCES {
        assert!(
            read_recording_file(file)
                .recordings
                .iter()
                .any(|r| r.name == *name),
            "{file} has no {name}: {reason}"
        );
    }
}

/// The comparison detects a difference.
#[test]
fn comparison_detects_differences() {
    let file = read_recording_file("kubectl-1.37.json");
    let job = file
        .recordings
        .iter()
        .find(|r| r.name == "get-failed-job-json")
        .expect("recorded");
    let answer = |stdout: &str| {
        normalize_output(&ComparedOutput {
            code: 0,
            stdout,
            stderr: "",
        })
    };
    let same = answer(&job.stdout);
    let mut document: Value = serde_json::from_str(&job.stdout).expect("JSON");
    document["status"]["conditions"]
        .as_array_mut()
        .expect("conditions")
        .reverse();
    for other in [
        job.stdout.replace("\"failed\": 1", "\"failed\": 2"),
        job.stdout.replace("    \"spec\"", "  \"spec\""),
        job.stdout.replace("\"reason\"", "\"because\""),
        job.stdout.trim_end().to_owned(),
        serde_json::to_string_pretty(&document).expect("JSON"),
    ] {
        assert_ne!(other, job.stdout);
        assert_ne!(answer(&other), same);
    }
}
