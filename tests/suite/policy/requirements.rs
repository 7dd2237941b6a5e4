//! Requirements and defaults of a policy.

use super::{run_with_exit_code, write_policy, write_trusted_policy};
use crate::revoke::{create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::{Sandbox, extract_error};
use std::path::Path;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

#[test]
fn policy_patterns_define_production() {
    let sb = Sandbox::new();
    for (patterns, production_name) in [
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
        write_trusted_policy(&sb, &format!("[guard.production]\n{patterns}\n"));
        let output = sb.run(ENABLE_ARGS);
        match production_name {
            Some(name) => {
                assert_eq!(output.code, 4, "{}", output.stderr);
                assert!(
                    output
                        .stderr
                        .contains(&format!("`{name}` looks like production")),
                    "{}",
                    output.stderr
                );
                run_with_exit_code(&sb, 0, &["enable", "-n", "influxdb", "--allow-production"]);
                let doctor = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]).stdout;
                assert!(
                    doctor.contains(&format!("production: `{name}` looks like production")),
                    "{doctor}"
                );
            }
            None => assert_eq!(output.code, 0, "{}", output.stderr),
        }
    }
    write_trusted_policy(&sb, "[guard.production]\ncontext = []\n");
    let output = sb.run(&["enable", "-n", "influxdb-prod"]);
    assert!(
        output
            .stderr
            .contains("`influxdb-prod` looks like production"),
        "defaults stay in force: {}",
        output.stderr
    );
}

#[test]
fn locked_policy_refuses_overriding_flags() {
    let sb = Sandbox::new();
    let kubectl = sb.path("bin/kubectl").display().to_string();
    let log = sb.home_path("site.jsonl").display().to_string();
    write_trusted_policy(
        &sb,
        &format!(
            "locked = true\n[guard.production]\ncontext = [\"sim-dev\"]\n[tools.kubectl]\n\
             path = \"{kubectl}\"\n[audit]\nfile = \"site.jsonl\"\n"
        ),
    );
    let output: String = [
        &["--allow-production"][..],
        &["--kubectl", "other"],
        &["--audit-log", "other.jsonl"],
    ]
    .map(|more| extract_error(&run_with_exit_code(&sb, 4, &[ENABLE_ARGS, more].concat())))
    .concat();
    insta::assert_snapshot!(output);
    // An equal setting does not weaken the policy.
    run_with_exit_code(&sb, 0, &["disable", "--audit-log", &log]);
    let verified = run_with_exit_code(&sb, 0, &["audit", "verify"]);
    assert!(
        verified.stdout.contains("site.jsonl"),
        "status reads the policy's log: {}",
        verified.stdout
    );
    run_with_exit_code(&sb, 0, &["audit", "list", "--audit-log", &log]);
}

#[test]
fn policy_sets_and_enforces_audit_log_path() {
    let mut sb = Sandbox::new();
    write_trusted_policy(&sb, "[audit]\nfile = \"~/logs/site.jsonl\"\n");
    run_with_exit_code(&sb, 0, &["disable"]);
    assert!(sb.home_path("logs/site.jsonl").exists() && !sb.log_path().exists());
    run_with_exit_code(&sb, 0, &["disable", "--audit-log", "own.jsonl"]);
    assert!(
        sb.home_path("own.jsonl").exists(),
        "a policy default is not locked"
    );
    write_trusted_policy(
        &sb,
        "[audit]\nfile = \"~/logs/site.jsonl\"\nenforce = true\n",
    );
    let output = extract_error(&run_with_exit_code(
        &sb,
        4,
        &["disable", "--audit-log", "third.jsonl"],
    ));
    insta::assert_snapshot!(output);
    sb.set_env("BYPASSCTL_AUDIT_LOG", sb.home_path("third.jsonl"));
    run_with_exit_code(&sb, 4, &["disable"]);
    assert!(!sb.home_path("third.jsonl").exists());
}

#[test]
fn policy_can_require_a_reason_for_changes() {
    let sb = Sandbox::new();
    write_policy(&sb, "[guard]\nrequire_reason = \"CHG-[0-9]+\"\n");
    let output = run_with_exit_code(&sb, 4, ENABLE_ARGS);
    let other = run_with_exit_code(&sb, 4, &["enable", "-n", "influxdb", "--reason", "because"]);
    insta::assert_snapshot!(format!(
        "{}\n{}",
        extract_error(&output),
        extract_error(&other)
    ));
    assert_eq!(
        sb.call_lines(),
        "",
        "the run stops before its first command"
    );
    for args in [
        &["status", "-n", "influxdb"][..],
        &["doctor", "-n", "influxdb"],
        &["enable", "-n", "influxdb", "--dry-run"],
        &["plan", "enable", "-n", "influxdb", "--out", "p"],
        &["tools", "list"],
    ] {
        let output = sb.run(args);
        assert!(
            !output.stderr.contains("requires a reason"),
            "{args:?}: {}",
            output.stderr
        );
    }
    run_with_exit_code(&sb, 4, &["apply", "p"]);
    run_with_exit_code(&sb, 0, &["apply", "p", "--reason", "CHG-7 by the board"]);
    run_with_exit_code(&sb, 0, &["disable", "--reason", "see CHG-8"]);
    assert_eq!(
        sb.read_entries_by_type("run.end").last().expect("a run")["exit_code"],
        0
    );
}

/// Values of a policy or a flag reach the output without newlines and control characters.
#[test]
fn quoted_reason_and_pattern_are_escaped() {
    let sb = Sandbox::new();
    write_policy(&sb, "[guard]\nrequire_reason = \"^CHG\u{202e}$\"\n");
    let output = run_with_exit_code(
        &sb,
        4,
        &["disable", "--reason", "x\n::add-mask::ok\u{1b}[2J"],
    )
    .stderr;
    assert!(
        output.contains(r"matches `^CHG\u{202e}$`: `x ::add-mask::ok [2J` does not match"),
        "{output}"
    );
}

#[test]
fn policy_can_require_a_plan() {
    let sb = create_enabled_sandbox();
    write_policy(&sb, "[guard]\nrequire_plan = [\"revoke\"]\n");
    sb.clear_calls();
    let output = run_with_exit_code(
        &sb,
        4,
        &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
    insta::assert_snapshot!(extract_error(&output));
    assert_eq!(sb.call_lines(), "");
    run_with_exit_code(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run"]);
    run_with_exit_code(&sb, 0, &["plan", "revoke", "-n", "influxdb", "--out", "p"]);
    run_with_exit_code(&sb, 0, &["apply", "p", "--confirm", "sim-dev/influxdb"]);
    run_with_exit_code(
        &sb,
        0,
        &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
}

#[test]
fn namespace_defaults_yield_to_command_line() {
    let sb = create_fast_sandbox();
    let (config, token) = (sb.home_path("other.toml"), sb.home_path("token.json"));
    std::fs::write(
        &config,
        sb.read("home/.config/influxctl/config.toml")
            .replace("\"default\"", "\"site\""),
    )
    .expect("sandbox");
    write_trusted_policy(
        &sb,
        "[namespaces.influxdb]\nprofile = \"site\"\nconfig = \"other.toml\"\n\
         token_file = \"token.json\"\nrerun = \"clone\"\nrestart_selector = \"app=nothing\"\n\
         key_gen_job = \"key-gen-none\"\n",
    );
    let undo = format!(
        "to undo this, run `bypassctl disable --profile site --config {}`\n",
        config.display()
    );
    let output = run_with_exit_code(&sb, 0, ENABLE_ARGS).stdout;
    assert!(output.ends_with(&undo), "{output}");
    assert_eq!(
        std::fs::read(&token).expect("the token's file"),
        sb.admin_token()
    );
    sb.assert_no_secret_leaked(&[Path::new("home/token.json")]);
    let output = run_with_exit_code(&sb, 4, &["revoke", "-n", "influxdb", "--dry-run"]);
    assert!(
        output.stderr.contains("no pod matches `app=nothing`"),
        "{}",
        output.stderr
    );
    let output = run_with_exit_code(
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
    assert!(output.stderr.contains("key-gen-none"), "{}", output.stderr);
    let doctor = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        doctor.stdout.contains("no pod with label app=nothing"),
        "{}",
        doctor.stdout
    );
    // The command line takes precedence.
    let explicit = [
        "revoke",
        "-n",
        "influxdb",
        "--restart-selector",
        "app=token-management",
        "--key-gen-job",
        "key-gen-7c9d2b41",
    ];
    run_with_exit_code(&sb, 0, &[&explicit[..], &["--dry-run"]].concat());
    run_with_exit_code(
        &sb,
        0,
        &[&["plan"], &explicit[..], &["--out", "p"]].concat(),
    );
    let plan: serde_json::Value = serde_json::from_str(&sb.read("home/p")).expect("JSON");
    let revocation = &plan["request"]["command"]["revoke"]["revocation"];
    assert_eq!(
        (&revocation["rerun"], &revocation["restart_selector"]),
        (&"clone".into(), &"app=token-management".into())
    );
    write_trusted_policy(
        &sb,
        "[namespaces.influxdb]\nrestart_selector = \"app=nothing\"\n",
    );
    run_with_exit_code(&sb, 0, &["apply", "p", "--confirm", "sim-dev/influxdb"]);
}

/// Another spelling of an address does not evade a pattern, and a UID needs no address.
#[test]
fn server_pattern_matches_bare_host_and_cluster_uid() {
    let sb = Sandbox::new();
    let cluster_uid = sb.edit_cluster(|cluster| {
        cluster["namespaces"]["kube-system"]
            .as_str()
            .expect("a UID")
            .to_owned()
    });
    let state = sb.read("state/cluster.json");
    let production = |pattern: &str| {
        write_policy(
            &sb,
            &format!("locked = true\n[guard.production]\nserver = [\"{pattern}\"]\n"),
        );
    };
    for server in [
        "https://127.0.0.1:26443",
        "https://[::ffff:127.0.0.1]:26443",
        "https://[::FFFF:7f00:0001]:26443",
    ] {
        sb.write(
            "state/cluster.json",
            state.replace("https://127.0.0.1:26443", server),
        );
        for pattern in ["127.0.*", "https://127.0.0.1*", "127.0.0.1:26443"] {
            production(pattern);
            let run = run_with_exit_code(&sb, 4, ENABLE_ARGS);
            assert!(
                run.stderr.contains("looks like production"),
                "{pattern}: {}",
                run.stderr
            );
        }
    }
    sb.write("state/cluster.json", &state);
    production("10.*");
    run_with_exit_code(&sb, 0, ENABLE_ARGS);

    production(&cluster_uid);
    for args in [ENABLE_ARGS, &["rotate", "-n", "influxdb", "--dry-run"]] {
        let run = run_with_exit_code(&sb, 4, args);
        let expected = format!("`{cluster_uid}` looks like production");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
    let doctor = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]).stdout;
    assert!(
        doctor.contains(&format!(
            "production: `{cluster_uid}` looks like production"
        )),
        "{doctor}"
    );
    sb.deny_access(
        serde_json::json!({"verb": "get", "resource": "namespaces", "name": "kube-system"}),
    );
    let run = run_with_exit_code(&sb, 4, ENABLE_ARGS);
    let expected = "names production clusters by UID, and this account cannot read the UID of \
                    namespace `kube-system`\nhint: ask for the permission to get namespace";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}
