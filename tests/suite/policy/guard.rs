//! What a policy asks for before something is changed, and what it fills in.

use super::{error, policy, run};
use crate::revoke::{enabled, quick};
use crate::sandbox::Sandbox;
use std::path::Path;

const ENABLE: &[&str] = &["enable", "-n", "influxdb"];

#[test]
fn production_is_what_the_policy_says() {
    let sb = Sandbox::new();
    for (patterns, looks) in [
        ("context = [\"sim-*\"]", Some("sim-dev")),
        ("namespace = [\"INFLUX??\", \"influxdb\"]", Some("influxdb")),
        (
            "server = [\"https://127.0.0.1*\"]",
            Some("https://127.0.0.1:26443"),
        ),
        (
            "context = []\nnamespace = [\"other\"]\nserver = [\"https://10.*\"]",
            None,
        ),
    ] {
        policy(&sb, &format!("[guard.production]\n{patterns}\n"));
        let told = sb.run(ENABLE);
        match looks {
            Some(name) => {
                assert_eq!(told.code, 4, "{}", told.stderr);
                assert!(
                    told.stderr
                        .contains(&format!("`{name}` looks like production")),
                    "{}",
                    told.stderr
                );
                run(&sb, 0, &["enable", "-n", "influxdb", "--allow-production"]);
                let doctor = run(&sb, 0, &["doctor", "-n", "influxdb"]).stdout;
                assert!(
                    doctor.contains(&format!("production: `{name}` looks like production")),
                    "{doctor}"
                );
            }
            None => assert_eq!(told.code, 0, "{}", told.stderr),
        }
    }
    policy(&sb, "[guard.production]\ncontext = []\n");
    let told = sb.run(&["enable", "-n", "influxdb-prod"]);
    assert!(
        told.stderr
            .contains("`influxdb-prod` looks like production"),
        "what is not said stays: {}",
        told.stderr
    );
}

#[test]
fn a_locked_policy_is_not_loosened_by_flags() {
    let sb = Sandbox::new();
    let kubectl = sb.path("bin/kubectl").display().to_string();
    let log = sb.home("site.jsonl").display().to_string();
    policy(
        &sb,
        &format!(
            "locked = true\n[guard.production]\ncontext = [\"sim-dev\"]\n[tools.kubectl]\npath = \"{kubectl}\"\n[audit]\nfile = \"site.jsonl\"\n"
        ),
    );
    let told: String = [
        &["--allow-production"][..],
        &["--kubectl", "other"],
        &["--audit-log", "other.jsonl"],
    ]
    .map(|more| error(&run(&sb, 4, &[ENABLE, more].concat())))
    .concat();
    insta::assert_snapshot!(told);
    // What says the same loosens nothing.
    run(&sb, 0, &["disable", "--audit-log", &log]);
    let verified = run(&sb, 0, &["audit", "verify"]);
    assert!(
        verified.stdout.contains("site.jsonl"),
        "the policy's log is the one that is looked at: {}",
        verified.stdout
    );
    run(&sb, 0, &["audit", "list", "--audit-log", &log]);
}

#[test]
fn where_the_record_is_kept() {
    let mut sb = Sandbox::new();
    policy(&sb, "[audit]\nfile = \"~/logs/site.jsonl\"\n");
    run(&sb, 0, &["disable"]);
    assert!(sb.home("logs/site.jsonl").exists() && !sb.log().exists());
    run(&sb, 0, &["disable", "--audit-log", "own.jsonl"]);
    assert!(sb.home("own.jsonl").exists(), "a default is no rule");
    policy(
        &sb,
        "[audit]\nfile = \"~/logs/site.jsonl\"\nrequire = true\n",
    );
    let told = error(&run(&sb, 4, &["disable", "--audit-log", "third.jsonl"]));
    insta::assert_snapshot!(told);
    sb.env("BYPASSCTL_AUDIT_LOG", sb.home("third.jsonl"));
    run(&sb, 4, &["disable"]);
    assert!(!sb.home("third.jsonl").exists());
}

#[test]
fn a_reason_is_wanted_where_something_changes() {
    let sb = Sandbox::new();
    policy(&sb, "[guard]\nrequire_reason = \"CHG-[0-9]+\"\n");
    let told = run(&sb, 4, ENABLE);
    let other = run(&sb, 4, &["enable", "-n", "influxdb", "--reason", "because"]);
    insta::assert_snapshot!(format!("{}\n{}", error(&told), error(&other)));
    assert_eq!(sb.call_lines(), "", "it stops before anything is run");
    for args in [
        &["status", "-n", "influxdb"][..],
        &["doctor", "-n", "influxdb"],
        &["enable", "-n", "influxdb", "--dry-run"],
        &["plan", "enable", "-n", "influxdb", "--out", "p"],
        &["tools", "list"],
    ] {
        let told = sb.run(args);
        assert!(
            !told.stderr.contains("wants a reason"),
            "{args:?}: {}",
            told.stderr
        );
    }
    run(&sb, 4, &["apply", "p"]);
    run(&sb, 0, &["apply", "p", "--reason", "CHG-7 by the board"]);
    run(&sb, 0, &["disable", "--reason", "see CHG-8"]);
    assert_eq!(sb.records_of("run.end").last().expect("a run")["code"], 0);
}

/// What a policy or a flag holds makes no line of its own, and steers no terminal.
#[test]
fn what_is_quoted_is_shown_as_it_is() {
    let sb = Sandbox::new();
    policy(&sb, "[guard]\nrequire_reason = \"^CHG\u{202e}$\"\n");
    let told = run(
        &sb,
        4,
        &["disable", "--reason", "x\n::add-mask::ok\u{1b}[2J"],
    )
    .stderr;
    assert!(
        told.contains(r"matches `^CHG\u{202e}$`, and `x ::add-mask::ok [2J` does not"),
        "{told}"
    );
}

#[test]
fn a_plan_is_wanted() {
    let sb = enabled();
    policy(&sb, "[guard]\nrequire_plan = [\"revoke\"]\n");
    sb.forget_calls();
    let told = run(
        &sb,
        4,
        &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
    insta::assert_snapshot!(error(&told));
    assert_eq!(sb.call_lines(), "");
    run(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run"]);
    run(&sb, 0, &["plan", "revoke", "-n", "influxdb", "--out", "p"]);
    run(&sb, 0, &["apply", "p", "--confirm", "sim-dev/influxdb"]);
    run(
        &sb,
        0,
        &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
}

#[test]
fn defaults_of_a_namespace() {
    let sb = quick();
    let (config, token) = (sb.home("other.toml"), sb.home("token.json"));
    std::fs::write(
        &config,
        sb.read("home/.config/influxctl/config.toml")
            .replace("\"default\"", "\"site\""),
    )
    .expect("sandbox");
    policy(
        &sb,
        "[namespaces.influxdb]\nprofile = \"site\"\nconfig = \"other.toml\"\ntoken_file = \"token.json\"\nrerun = \"clone\"\nrestart_selector = \"app=nothing\"\nkey_gen_job = \"key-gen-none\"\n",
    );
    let to_end = format!(
        "to end it: bypassctl disable --profile site --config {}\n",
        config.display()
    );
    let told = run(&sb, 0, ENABLE).stdout;
    assert!(told.ends_with(&to_end), "{told}");
    assert_eq!(
        std::fs::read(&token).expect("the token's file"),
        sb.admin_token()
    );
    sb.assert_no_secret(&[Path::new("home/token.json")]);
    let told = run(&sb, 4, &["revoke", "-n", "influxdb", "--dry-run"]);
    assert!(
        told.stderr.contains("no pod matches `app=nothing`"),
        "{}",
        told.stderr
    );
    let told = run(
        &sb,
        4,
        &[
            "revoke",
            "-n",
            "influxdb",
            "--dry-run",
            "--restart-selector",
            "app=token-management",
        ],
    );
    assert!(told.stderr.contains("key-gen-none"), "{}", told.stderr);
    let doctor = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        doctor.stdout.contains("none is labelled app=nothing"),
        "{}",
        doctor.stdout
    );
    // The command line goes before.
    let own = [
        "revoke",
        "-n",
        "influxdb",
        "--restart-selector",
        "app=token-management",
        "--key-gen-job",
        "key-gen-7c9d2b41",
    ];
    run(&sb, 0, &[&own[..], &["--dry-run"]].concat());
    run(&sb, 0, &[&["plan"], &own[..], &["--out", "p"]].concat());
    let plan: serde_json::Value = serde_json::from_str(&sb.read("home/p")).expect("JSON");
    let how = &plan["request"]["command"]["revoke"]["how"];
    assert_eq!(
        (&how["rerun"], &how["restart_selector"]),
        (&"clone".into(), &"app=token-management".into())
    );
    policy(
        &sb,
        "[namespaces.influxdb]\nrestart_selector = \"app=nothing\"\n",
    );
    run(&sb, 0, &["apply", "p", "--confirm", "sim-dev/influxdb"]);
}
