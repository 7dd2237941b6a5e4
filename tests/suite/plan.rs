//! `plan` and `apply`: what was approved is what is done, or nothing is.

mod left;

use crate::revoke::{changes, enabled, objects, quick};
use crate::sandbox::{Run, Sandbox, sha256};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const CONFIRM: &[&str] = &["--confirm", "sim-dev/influxdb"];
const TOKEN: &str = "home/.config/influxctl/admin-token-default.json";

fn token_of(profile: &str) -> String {
    format!("home/.config/influxctl/admin-token-{profile}.json")
}

fn file(sb: &Sandbox) -> PathBuf {
    sb.home("the.plan")
}

/// Writes a plan of this command, which must be possible and change nothing; returns what was told.
fn planned(sb: &Sandbox, command: &[&str]) -> Run {
    let (before, config) = (objects(sb), sb.read("home/.config/influxctl/config.toml"));
    let run = sb.run(&[&["plan"], command, &["--out", "the.plan"]].concat());
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(
        (
            objects(sb),
            sb.read("home/.config/influxctl/config.toml"),
            changes(sb)
        ),
        (before, config, String::new())
    );
    sb.assert_no_secret(
        &["default", "other", "named"]
            .map(token_of)
            .each_ref()
            .map(Path::new),
    );
    run
}

fn document(sb: &Sandbox) -> Value {
    serde_json::from_slice(&std::fs::read(file(sb)).expect("a plan")).expect("JSON")
}

fn apply(sb: &Sandbox, more: &[&str]) -> Run {
    let run = sb.run(&[&["apply", "the.plan"], more].concat());
    sb.assert_no_secret(
        &["default", "other", "named"]
            .map(token_of)
            .each_ref()
            .map(Path::new),
    );
    run
}

/// Applies the plan, which must be refused and change nothing.
fn refused(sb: &Sandbox, told: &str, more: &[&str]) {
    let before = objects(sb);
    sb.forget_calls();
    let revokes = std::fs::read_to_string(file(sb)).is_ok_and(|plan| plan.contains("\"how\""));
    let run = apply(sb, &[if revokes { CONFIRM } else { &[] }, more].concat());
    assert_eq!(run.code, 4, "{told}: {}{}", run.stdout, run.stderr);
    assert!(
        run.stderr.contains(told) && run.stderr.contains("hint: "),
        "{told}: {}",
        run.stderr
    );
    assert_eq!(
        (objects(sb), changes(sb)),
        (before, String::new()),
        "{told}"
    );
}

#[test]
fn a_plan_is_written_down_and_changes_nothing() {
    let sb = enabled();
    let run = planned(&sb, &["revoke", "-n", "influxdb"]);
    let somebody = regex::Regex::new(" by [^ ]+@[^ ]+ with ").expect("a pattern");
    insta::assert_snapshot!(somebody.replace(&run.normalised(), " by [USER]@[HOST] with "));
    assert_eq!(sb.mode("home/the.plan"), 0o600);
    let bytes = std::fs::read(file(&sb)).expect("a plan");
    assert!(run.stdout.contains(&format!("sha256 {}", sha256(&bytes))));
    let end = sb.records_of("run.end").pop().expect("an end");
    assert_eq!(
        (&end["command"], &end["dry_run"], &end["changed"]),
        (&json!("revoke"), &json!(true), &json!(false))
    );
    let intent = sb.records_of("intent").pop().expect("an intent");
    assert_eq!(
        intent["file"]["after"],
        json!({"bytes": bytes.len(), "sha256": sha256(&bytes)}),
        "on record by its digest"
    );
    // Shown again, the same; as a script, that of the dry run.
    let shown = sb.run(&["plan", "show", "the.plan"]);
    let rendered = &run.stdout[run.stdout.find("\nmade ").expect("a rendering") + 1..];
    let rendered = rendered.split("\nwritten to ").next().expect("its end");
    assert!(
        shown.stdout.starts_with(rendered) && shown.stdout.contains(&sha256(&bytes)),
        "{}",
        shown.stdout
    );
    assert!(
        sb.run(&["plan", "show", "the.plan", "-q"])
            .stdout
            .contains("sha256 ")
    );
    let script = sb
        .run(&["plan", "show", "the.plan", "--format", "script"])
        .stdout;
    assert_eq!(
        script,
        sb.run(&["revoke", "-n", "influxdb", "--dry-run=script"])
            .stdout
    );
}

/// Who approves sees all that was asked for, and nothing in a file can make its rendering look like another.
#[test]
fn a_rendering_hides_nothing_and_shows_nothing_else() {
    let sb = enabled();
    let asked = [
        "--waive",
        "failed-job",
        "--again",
        "--grace",
        "1s",
        "--old-token-file",
        ".config/influxctl/admin-token-default.json",
    ];
    let run = planned(&sb, &[&["revoke", "-n", "influxdb"], &asked[..]].concat());
    for told in [
        "\"again\":true",
        "\"waive\":\"failed-job\"",
        "\"grace\":1000",
        "\"old_token_file\":\"/",
        "at       127.0.0.1:26444",
        "stdin    {\"sha256\":",
    ] {
        assert!(run.stdout.contains(told), "{told}: {}", run.stdout);
    }
    let mut plan = document(&sb);
    plan["steps"][1]["why"] = json!("x\nsha256 1111\u{1b}[2J\u{202e}\u{200b}");
    plan["steps"][1]["uid"] = json!("y\nsha256 2222");
    plan["steps"][2]["argv"] = json!(["kubectl", "delete", "namespace", "influxdb"]);
    std::fs::write(file(&sb), plan.to_string()).expect("sandbox");
    let shown = sb.run(&["plan", "show", "the.plan"]).stdout;
    assert_eq!(
        shown
            .lines()
            .filter(|line| line.starts_with("sha256 "))
            .count(),
        1,
        "{shown}"
    );
    assert!(
        shown.contains("$ kubectl delete namespace influxdb"),
        "what the steps say is what is shown: {shown}"
    );
    assert!(
        !shown
            .chars()
            .any(|c| (c.is_control() && c != '\n') || ['\u{202e}', '\u{200b}'].contains(&c)),
        "{shown:?}"
    );
}

/// What the record says was executed is what the plan says, byte for byte.
fn carried_out(sb: &Sandbox, run: &Run, code: i32) {
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    let (document, plan) = (
        document(sb),
        sha256(&std::fs::read(file(sb)).expect("a plan")),
    );
    let run = sb.records_of("run.begin").pop().expect("a run")["run"].clone();
    let mut intents = sb.records_of("intent");
    intents.retain(|intent| intent["run"] == run);
    assert!(
        intents.iter().all(|intent| intent["plan"] == json!(plan)),
        "each is of the plan"
    );
    let changing = |intent: &&Value| intent["effect"] == "changes";
    let of = |what: &'static str| {
        let changed = intents
            .iter()
            .filter(changing)
            .map(move |intent| intent[what].clone());
        changed.filter(|what| !what.is_null()).collect::<Vec<_>>()
    };
    let steps = document["steps"].as_array().expect("steps").clone();
    let reads = [
        "get-token",
        "try-token",
        "cluster-uid",
        "note-cluster",
        "check-cluster",
    ];
    let is_read = |step: &Value| {
        let id = step["id"].as_str().expect("a name");
        reads.contains(&id) || id.starts_with("see-") || id.starts_with("prove-")
    };
    let planned: Vec<Value> = steps
        .iter()
        .filter(|step| !is_read(step))
        .map(|step| step["argv"].clone())
        .filter(|argv| !argv.is_null())
        .collect();
    assert_eq!(of("argv"), planned);
    let stdin: Vec<Value> = steps
        .iter()
        .map(|step| step["stdin"]["sha256"].clone())
        .filter(|digest| !digest.is_null())
        .collect();
    assert_eq!(
        of("stdin")
            .iter()
            .map(|stdin| stdin["sha256"].clone())
            .collect::<Vec<_>>(),
        stdin
    );
    let files: Vec<Value> = steps
        .iter()
        .flat_map(|step| ["write", "edit", "delete"].map(|deed| step[deed].clone()))
        .filter(|path| !path.is_null())
        .collect();
    assert_eq!(
        of("file")
            .iter()
            .map(|file| file["path"].clone())
            .collect::<Vec<_>>(),
        files
    );
    sb.assert_verified();
    let page = sb.run(&["audit", "export", "--format", "html"]).stdout;
    assert!(
        page.contains(&format!("<dt>Plan (SHA-256)</dt><dd>{plan}</dd>")),
        "an auditor finds what was approved"
    );
}

#[test]
fn each_command_does_what_its_plan_says() {
    let sb = quick();
    for (command, more, code) in [
        (&["enable", "-n", "influxdb"][..], &[][..], 0),
        (
            &["rotate", "-n", "influxdb", "--wait-timeout", "30s"],
            CONFIRM,
            0,
        ),
        (&["revoke", "-n", "influxdb"], CONFIRM, 0),
        (&["disable"], &[], 0),
    ] {
        let plan = planned(&sb, command);
        let digest = sha256(&std::fs::read(file(&sb)).expect("a plan"));
        assert!(plan.stdout.contains(&digest));
        sb.forget_calls();
        let run = apply(
            &sb,
            &[
                more,
                &["--expect", &format!("sha256:{}", digest.to_uppercase())],
            ]
            .concat(),
        );
        carried_out(&sb, &run, code);
        // A plan is carried out once, whatever there is to do again by then.
        refused(&sb, "this plan was carried out already", &[]);
    }
}

#[test]
fn a_revocation_is_confirmed_as_ever() {
    let sb = enabled();
    planned(&sb, &["revoke", "-n", "influxdb"]);
    assert_eq!(apply(&sb, &[]).code, 7);
    assert_eq!(apply(&sb, &["--confirm", "sim-dev/other"]).code, 7);
    assert_eq!(changes(&sb), "");
    refused(
        &sb,
        "--namespace other is not what the plan has: influxdb",
        &["-n", "other"],
    );
    for (flag, value, then) in [
        ("--context", "elsewhere", "sim-dev"),
        ("--profile", "other", "default"),
        ("--as", "root", "something else"),
        ("--as-group", "g", "something else"),
    ] {
        refused(
            &sb,
            &format!("{flag} {value} is not what the plan has: {then}"),
            &[flag, value],
        );
    }
}

#[test]
fn a_plan_is_applied_from_anywhere_to_what_was_in_force_when_it_was_made() {
    let sb = quick();
    let config = sb.read("home/.config/influxctl/config.toml");
    sb.write("home/here/config.toml", config);
    let run = sb.run(&[
        "plan",
        "enable",
        "-n",
        "influxdb",
        "--config",
        "here/config.toml",
        "--token-file",
        "here/token.json",
        "--out",
        "here/a.plan",
    ]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let moved = sb.write(
        "elsewhere/b.plan",
        std::fs::read(sb.home("here/a.plan")).expect("a plan"),
    );
    let moved = moved.to_str().expect("text");
    let run = sb.run(&["apply", moved, "--config", "other.toml"]);
    assert!(
        run.code == 4 && run.stderr.contains("is not what the plan has"),
        "{}",
        run.stderr
    );
    let run = sb.run(&["apply", moved, "--config", "here/config.toml"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        sb.read("home/here/token.json").into_bytes(),
        sb.admin_token()
    );
}

type Change = (&'static str, fn(&Sandbox));

#[test]
fn what_is_not_as_the_plan_has_it_is_refused() {
    let changes: [Change; 5] = [
        ("/tools/0/version is \"", |sb| sb.influxctl_version("2.9.1")),
        ("/tools/1/version is \"", |sb| sb.kubectl_version("1.36.0")),
        ("/target/cluster_uid is \"", |sb| {
            sb.cluster(|cluster| {
                cluster["namespaces"]["kube-system"] = json!("00000000-0000-4000-8000-00000000000c")
            })
        }),
        ("/observed/secrets/", |sb| {
            sb.cluster(|cluster| {
                cluster["secrets"]["influxdb/rsa-keys"]["meta"]["uid"] =
                    json!("00000000-0000-4000-8000-00000000000d")
            });
        }),
        ("/observed/files/0/content/sha256 is \"", |sb| {
            let text = std::fs::read_to_string(sb.config()).expect("text");
            std::fs::write(sb.config(), text.replace("# stand-in cluster", "# another"))
                .expect("sandbox");
        }),
    ];
    for (told, change) in changes {
        let sb = enabled();
        planned(&sb, &["rotate", "-n", "influxdb"]);
        change(&sb);
        refused(&sb, told, &[]);
    }
}

/// Whatever was changed in it, it is not what was approved, and is refused for itself where nothing was expected.
fn edited_is_refused(sb: &Sandbox, digest: &str, told: &str, edited: &str) {
    std::fs::write(file(sb), edited).expect("sandbox");
    refused(sb, told, &[]);
    let run = apply(sb, &[CONFIRM, &["--expect", digest]].concat());
    let why = ["is not the plan that is expected", "is no plan"];
    assert!(
        run.code == 4 && why.iter().any(|why| run.stderr.contains(why)),
        "{told}: {}",
        run.stderr
    );
}

/// The cluster that was compared is the one whose token is put to use.
#[test]
fn a_context_that_leads_elsewhere_after_the_comparison() {
    let sb = quick();
    planned(&sb, &["enable", "-n", "influxdb"]);
    let before = sb.read("home/.config/influxctl/config.toml");
    // The first look is compared with the plan.
    let gate = json!({"wait_for_file": {"path": "gate"}});
    sb.fault(json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 2, "before": true, "do": gate}));
    let running = sb.spawn(&["apply", "the.plan"]);
    sb.wait_reached("gate");
    sb.cluster(|cluster| {
        cluster["namespaces"]["kube-system"] = json!("00000000-0000-4000-8000-00000000000c")
    });
    sb.release("gate");
    let run = running.wait();
    assert!(
        run.code == 4 && run.stderr.contains("leads to another cluster now"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(sb.read("home/.config/influxctl/config.toml"), before);
    assert!(!sb.path(TOKEN).exists());
}

#[test]
fn a_plan_that_was_edited_is_refused() {
    let sb = enabled();
    planned(&sb, &["revoke", "-n", "influxdb"]);
    let good = std::fs::read_to_string(file(&sb)).expect("text");
    let digest = sha256(good.as_bytes());
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document: Value = serde_json::from_str(&good).expect("JSON");
        change(&mut document);
        document.to_string()
    };
    let edits = [
        (
            "is no plan: EOF while parsing",
            good[..good.len() / 2].to_owned(),
        ),
        (
            "its schema is `bypassctl.plan/2`",
            good.replace("bypassctl.plan/1", "bypassctl.plan/2"),
        ),
        (
            "unknown field `more`",
            good.replacen('{', "{\"more\":1,", 1),
        ),
        (
            "missing field `steps`",
            with(&|plan| drop(plan.as_object_mut().expect("a plan").remove("steps"))),
        ),
        (
            "/steps/1/argv/2 is \"secrets/other\"",
            with(&|plan| plan["steps"][1]["argv"][2] = json!("secrets/other")),
        ),
        (
            "/steps/1/argv has 6 entries",
            with(&|plan| {
                plan["steps"][1]["argv"]
                    .as_array_mut()
                    .expect("words")
                    .truncate(6)
            }),
        ),
        (
            "/steps has 9 entries in the plan, and 10 now",
            with(&|plan| drop(plan["steps"].as_array_mut().expect("steps").pop())),
        ),
        (
            "`bypassctl` is no version",
            with(&|plan| plan["bypassctl"] = json!("0.1.0\nAPPROVED")),
        ),
        (
            "`script` holds what would not be shown",
            with(&|plan| plan["script"] = json!("\u{1b}[8mrm -rf /\u{1b}[0m\n")),
        ),
        (
            "is there twice",
            good.replacen("\"id\":", "\"why\": \"\", \"id\":", 1),
        ),
        (
            "a time limit is longer than nothing",
            with(&|plan| plan["request"]["common"]["timeout"] = json!(0)),
        ),
        (
            "/script has in line 2 `rm -rf /` in the plan",
            with(&|plan| plan["script"] = json!("#!/bin/sh\nrm -rf /\n")),
        ),
        (
            "/target/namespace is \"other\"",
            with(&|plan| plan["target"]["namespace"] = json!("other")),
        ),
        (
            "longer ago than a plan may be old",
            with(&|plan| plan["made"] = json!("2026-01-01T00:00:00Z")),
        ),
        (
            "which is to come",
            with(&|plan| plan["made"] = json!("2126-01-01T00:00:00Z")),
        ),
    ];
    for (told, edited) in edits {
        edited_is_refused(&sb, &digest, told, &edited);
    }
    std::fs::remove_file(file(&sb)).expect("there");
    refused(&sb, "it is not there", &[]);
}

#[test]
fn another_command_in_a_plan_is_planned_anew_and_refused() {
    let sb = enabled();
    planned(&sb, &["revoke", "-n", "influxdb"]);
    let mut plan = document(&sb);
    plan["request"]["command"]["revoke"]["no_new_token"] = json!(true);
    std::fs::write(file(&sb), plan.to_string()).expect("sandbox");
    refused(&sb, "/steps has 10 entries in the plan", &[]);
    plan["request"]["command"] = json!({"show": {"file": "x"}});
    std::fs::write(file(&sb), plan.to_string()).expect("sandbox");
    refused(&sb, "unknown variant `show`", &[]);
    // What is wrong with a file is told without what would steer a terminal.
    let good = plan.to_string();
    std::fs::write(
        file(&sb),
        good.replacen('{', "{\"\\u001b[2J\":1,\"\\u001b[2J\":2,", 1),
    )
    .expect("sandbox");
    refused(&sb, "field ` [2J` is there twice", &[]);
}

#[test]
fn where_a_plan_may_go() {
    let sb = enabled();
    let revoke = &["plan", "revoke", "-n", "influxdb", "--out"];
    let run = sb.run(&[&revoke[..], &[".config/influxctl/config.toml"]].concat());
    assert!(
        run.code == 4 && run.stderr.contains("is not replaced"),
        "{}",
        run.stderr
    );
    for _ in 0..2 {
        assert_eq!(
            sb.run(&[&revoke[..], &["a.plan"]].concat()).code,
            0,
            "an older plan is replaced"
        );
    }
    assert_eq!(
        sb.run(&["plan", "revoke", "-n", "influxdb"]).code,
        2,
        "without a place for it"
    );
    assert_eq!(
        sb.run(&[&revoke[..], &["b.plan"], CONFIRM].concat()).code,
        2,
        "nothing is confirmed by a plan"
    );
    let nowhere = sb.run(&[&revoke[..], &["nowhere/b.plan"]].concat());
    assert!(
        nowhere.code == 4 && !sb.home("nowhere").exists(),
        "{}",
        nowhere.stderr
    );
    assert_eq!(
        sb.run(&[
            "plan",
            "revoke",
            "-n",
            "influxdb",
            "--dry-run",
            "--out",
            "b.plan"
        ])
        .code,
        2
    );
    assert_eq!(
        sb.run(&["plan", "enable", "-n", "influxdb-prod", "--out", "b.plan"])
            .code,
        4,
        "as the command itself"
    );
    assert!(!sb.home("b.plan").exists());
}
