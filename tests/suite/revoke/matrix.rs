//! Every step of a rotation, and everything that can go wrong with it; then the same command again.
//!
//! The second run is on the same host, with the record of the first, or on another one, without.

use super::{CommandPoint, POINTS, accepted, enabled, uid};
use crate::crash::end_orphans;
use crate::enable::TOKEN_FILE;
use crate::sandbox::{Run, Sandbox, wait_until};
use rustix::process::Signal;
use serde_json::{Value, json};

const ROTATE: &[&str] = &[
    "rotate",
    "-n",
    "influxdb",
    "--confirm",
    "sim-dev/influxdb",
    "--wait-timeout",
    "5s",
    "--timeout",
    "5s",
    "--grace",
    "2s",
];

/// What a disturbed run began with.
struct Before {
    token: Vec<u8>,
    keys: Option<String>,
}

impl Before {
    fn of(sb: &Sandbox) -> Self {
        Self {
            token: sb.admin_token(),
            keys: uid(sb, "rsa-keys"),
        }
    }
}

/// The same command again, on this host or on another: it converges, and repeats nothing that held. A run that came to
/// its end leaves nothing to carry on with.
fn converges(sb: &Sandbox, before: &Before, ended: bool, same_host: bool, what: &str) {
    end_orphans(sb);
    sb.no_faults();
    sb.cluster(|cluster| cluster["unreachable_until_ms"] = Value::Null);
    if !same_host {
        // Whoever looks while a job is at work waits for it; whoever looks later finds all in order. Here it is later.
        let settled = |job: &Value| job["phase"] == "complete" || job["phase"] == "failed";
        wait_until("no job is at work", || {
            sb.now()["jobs"]
                .as_object()
                .expect("jobs")
                .values()
                .all(settled)
        });
    }
    let (keys, token) = (uid(sb, "rsa-keys"), uid(sb, "admin-token"));
    let cut = sb.open_steps();
    let elsewhere = sb.path("elsewhere.jsonl").display().to_string();
    let more: &[&str] = if same_host {
        &[]
    } else {
        &["--audit-log", &elsewhere]
    };
    let again = sb.run(&[ROTATE, more].concat());
    // 10 where no copy of the old token was left, or it was refused before: then its refusal shows nothing.
    assert!(
        [0, 10].contains(&again.code),
        "{what}: {}{}",
        again.stdout,
        again.stderr
    );
    assert!(
        !accepted(sb, &before.token),
        "{what}: the old token is accepted"
    );
    let new = sb.admin_token();
    assert!(
        accepted(sb, &new) && sb.read(TOKEN_FILE).into_bytes() == new,
        "{what}"
    );
    let keys_are_new = keys.is_some() && keys != before.keys;
    let in_order = keys_are_new && token.is_some();
    if keys_are_new && !ended && (same_host || !in_order) {
        assert_eq!(
            uid(sb, "rsa-keys"),
            keys,
            "{what}: new keys are not deleted a second time"
        );
        assert!(
            !in_order || uid(sb, "admin-token") == token,
            "{what}: nor is a new token"
        );
    }
    // By this run, or by one that was refused meanwhile: none is told of twice.
    let named = sb
        .records_of("run.begin")
        .iter()
        .map(|begin| begin["unfinished"].to_string())
        .collect::<String>();
    for step in cut.iter().filter(|_| same_host) {
        assert!(
            named.contains(&format!("\"step\":\"{step}\"")),
            "{what}, {step}: {}",
            again.stderr
        );
    }
    let verified = sb.assert_verified();
    assert_eq!(
        verified.stdout.matches("has no result").count(),
        cut.len(),
        "{what}: {}",
        verified.stdout
    );
}

fn fault(point: &CommandPoint, more: &Value) -> Value {
    let mut fault = json!({"tool": point.tool, "contains": point.contains, "lacks": point.lacks, "nth": point.nth});
    for (name, value) in more.as_object().expect("fields") {
        fault[name] = value.clone();
    }
    fault
}

/// Disturbs a rotation at each point, and carries on: here and elsewhere in turns, at the first point both.
fn disturbed(points: &[CommandPoint], how: &Value, ends: impl Fn(&Run) -> bool) {
    let turns = points.iter().zip([true, false].into_iter().cycle());
    for (point, same_host) in turns.chain(points.first().map(|first| (first, false))) {
        let what = format!("{}, {how}, same host {same_host}", point.name);
        let sb = enabled();
        let before = Before::of(&sb);
        sb.fault(fault(point, how));
        let run = sb.run(ROTATE);
        assert!(
            ends(&run),
            "{what}: {} {}{}",
            run.code,
            run.stdout,
            run.stderr
        );
        converges(
            &sb,
            &before,
            [0, 10, 11].contains(&run.code),
            same_host,
            &what,
        );
    }
}

#[test]
fn killed_before_each_command() {
    disturbed(
        POINTS,
        &json!({"before": true, "do": "kill_parent"}),
        |run| run.code == 128 + 9,
    );
}

#[test]
fn killed_after_each_command_before_its_result_is_recorded() {
    let ending: Vec<CommandPoint> = POINTS
        .iter()
        .filter(|point| !point.watches)
        .cloned()
        .collect();
    disturbed(
        &ending,
        &json!({"before": false, "do": "kill_parent"}),
        |run| run.code == 128 + 9,
    );
}

/// Killed while a command is at work, whose orphan then goes on to its end.
#[test]
fn killed_during_each_command() {
    for (number, point) in POINTS.iter().enumerate() {
        let what = format!("{}, killed during", point.name);
        let sb = enabled();
        let before = Before::of(&sb);
        sb.fault(fault(
            point,
            &json!({"before": true, "do": {"wait_for_file": {"path": "gate"}}}),
        ));
        let running = sb.spawn(ROTATE);
        sb.wait_reached("gate");
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code, 128 + 9);
        // While the orphan is there it keeps the namespace to itself, unless it only watches.
        if !point.watches {
            let meanwhile = sb.run(ROTATE);
            assert!(
                meanwhile.code == 4 && meanwhile.stderr.contains("another run is at work"),
                "{what}: {}",
                meanwhile.stderr
            );
            sb.release("gate");
            crate::crash::wait_for_orphans(&sb);
        }
        sb.release("gate");
        converges(&sb, &before, false, number % 2 == 0, &what);
    }
}

#[test]
fn each_command_fails() {
    let failing = json!({"exit": {"code": 1, "stderr": "Error from server (InternalError): an error on the server\n"}});
    let stops = |run: &Run| run.code != 128 + 9;
    disturbed(POINTS, &json!({"before": true, "do": failing}), stops);
}

#[test]
fn each_command_prints_garbage() {
    disturbed(POINTS, &json!({"before": false, "do": "garbage"}), |run| {
        run.code != 128 + 9
    });
}

#[test]
fn each_command_hangs() {
    let some: Vec<CommandPoint> = POINTS
        .iter()
        .filter(|point| point.changes)
        .cloned()
        .collect();
    disturbed(&some, &json!({"before": true, "do": "hang"}), |run| {
        run.code == 8
    });
}

#[test]
fn the_network_is_away_for_some_seconds() {
    disturbed(
        POINTS,
        &json!({"before": true, "do": {"unreachable": {"ms": 700}}}),
        |run| [0, 5, 8, 10].contains(&run.code),
    );
}
