//! `-o json`: one object of `docs/schema`, for every command and outcome. The sandbox validates
//! every object. These tests cover the commands that no other test runs with it.

use crate::revoke::{create_enabled_sandbox, create_fast_sandbox};
use crate::sandbox::{Sandbox, report_schema};
use serde_json::{Value, json};

/// Runs a command, which must exit with this code. Returns its report.
fn run_for_report(sb: &Sandbox, code: i32, args: &[&str]) -> Value {
    let run = sb.run(&[args, &["-o", "json"]].concat());
    assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
    report_schema::parse_report(&run.stdout)
}

#[test]
fn show_and_apply_reports_match_saved_plan() {
    let sb = create_enabled_sandbox();
    let plan = run_for_report(
        &sb,
        0,
        &["plan", "rotate", "-n", "influxdb", "--out", "the.plan"],
    );
    let file = sb.read("home/the.plan");
    assert_eq!(
        (&plan["plan"], &plan["dry_run"]),
        (&report_schema::parse_plan(&file), &json!(true))
    );
    assert_eq!(plan["sha256"], crate::sandbox::sha256_hex(file.as_bytes()));
    for more in [
        &["plan", "show", "the.plan"][..],
        &["plan", "show", "the.plan", "--format", "script"],
    ] {
        let plan_output = run_for_report(&sb, 0, more);
        assert_eq!(
            (&plan_output["plan"], &plan_output["sha256"]),
            (&plan["plan"], &plan["sha256"])
        );
    }
    let confirm = ["apply", "the.plan", "--confirm", "sim-dev/influxdb"];
    let done = run_for_report(&sb, 0, &confirm);
    assert_eq!(
        (&done["verification"], &done["dry_run"]),
        (&json!({"outcome": "verified"}), &json!(false))
    );
    assert_eq!(done["sha256"], plan["sha256"]);
    let times: Vec<u64> = done["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|s| s["elapsed_ms"].as_u64())
        .collect();
    assert!(
        times.len() > 8 && times.is_sorted() && times[0] > 0,
        "{times:?}"
    );
    assert_eq!(run_for_report(&sb, 4, &confirm)["error"]["code"], "refused");
}

#[test]
fn apply_report_lists_plan_differences() {
    let sb = create_fast_sandbox();
    run_for_report(
        &sb,
        0,
        &["plan", "enable", "-n", "influxdb", "--out", "the.plan"],
    );
    sb.write(
        "home/.config/influxctl/config.toml",
        sb.read("home/.config/influxctl/config.toml") + "# more\n",
    );
    let refused = run_for_report(&sb, 4, &["apply", "the.plan"]);
    assert!(
        !refused["differences"]
            .as_array()
            .expect("differences")
            .is_empty(),
        "{refused:#}"
    );
}

#[test]
fn audit_reports_match_schema() {
    let sb = create_enabled_sandbox();
    let head = run_for_report(&sb, 0, &["audit", "anchor"])["head"].clone();
    let run = run_for_report(&sb, 0, &["audit", "list"])["runs"][0]["run"]
        .as_str()
        .expect("a run")
        .to_owned();
    assert_eq!(
        run_for_report(&sb, 0, &["audit", "show", &run])["shown_run"],
        *run
    );
    assert!(run_for_report(&sb, 0, &["audit", "export"])["script"].is_string());
    assert!(run_for_report(&sb, 0, &["audit", "export", "--format", "html"])["html"].is_string());
    std::fs::create_dir(sb.home_path("statements")).expect("sandbox");
    let exported = run_for_report(
        &sb,
        0,
        &[
            "audit",
            "export",
            "--format",
            "in-toto",
            "--directory",
            "statements",
        ],
    );
    assert!(exported["exported"]["files"][0].is_string());
    let rotated = run_for_report(&sb, 0, &["audit", "rotate-log"]);
    // The entry that closes the log follows the anchored one.
    let (seq, closed) = (
        head["seq"].as_u64().expect("a number"),
        &rotated["closed_log"],
    );
    assert_eq!(
        (closed["seq"].as_u64(), &closed["log"]),
        (Some(seq + 1), &head["log"])
    );
    assert_eq!(
        rotated["new_log"]["hash"],
        run_for_report(&sb, 0, &["audit", "anchor"])["head"]["hash"]
    );
    assert_eq!(
        run_for_report(&sb, 1, &["audit", "show", "nope"])["error"]["code"],
        "failed"
    );
}

#[test]
fn usage_error_report_has_message_and_hint() {
    let sb = Sandbox::new();
    for (args, message, hint) in [
        (
            &["enable", "--verfy", "skip"][..],
            "unexpected argument '--verfy' found",
            "a similar argument exists: '--verify'",
        ),
        (
            &["doctor", "-n", "A"],
            "invalid value 'A' for '--namespace <NS>': a namespace has",
            "run `bypassctl doctor --help`",
        ),
        (
            &["apply"],
            "the following required arguments were not provided: <FILE>",
            "run `bypassctl apply --help`",
        ),
        (
            &["enabel"],
            "unrecognized subcommand 'enabel'",
            "a similar subcommand exists: 'enable'",
        ),
        (
            &["audit"],
            "no command given",
            "run `bypassctl audit --help`",
        ),
        (
            &["doctor", "--color"],
            "a value is required for '--color <WHEN>' but none was supplied",
            "run `bypassctl doctor --help`",
        ),
    ] {
        for ask in [
            &["-o", "json"][..],
            &["-ojson"],
            &["--output", "json"],
            &["--output=json"],
        ] {
            let run = sb.run(&[ask, args].concat());
            let report = report_schema::parse_report(&run.stdout);
            assert_eq!(
                (run.code, &report["error"]["code"]),
                (2, &json!("usage")),
                "{report:#}"
            );
            let field = |key: &str| report["error"][key].as_str().expect("text").to_owned();
            assert!(
                field("message").starts_with(message) && field("hint").contains(hint),
                "{report:#}"
            );
            assert!(
                report["command"] == "bypassctl" && run.stderr.starts_with("error: "),
                "{report:#}{}",
                run.stderr
            );
        }
        let run = sb.run(args);
        // A command with subcommands lists them.
        let expected = if args == ["audit"] {
            "Usage: bypassctl audit"
        } else {
            &format!("\nhint: {hint}")
        };
        assert!(
            run.code == 2 && run.stdout.is_empty() && run.stderr.contains(expected),
            "{run:?}"
        );
    }
    for args in [&["--help"][..], &["--version"], &["enable", "--help"]] {
        let run = sb.run(&[args, &["--color=never", "-o=json"]].concat());
        assert!(
            run.code == 0 && !run.stdout.starts_with('{') && run.stderr.is_empty(),
            "{run:?}"
        );
    }
    assert!(sb.run::<&str>(&[]).code == 2 && sb.calls().is_empty() && !sb.log_path().exists());
}

#[test]
fn json_document_describes_every_key_and_exit_code() {
    let file = |name: &str| {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name);
        std::fs::read_to_string(path).expect("a document")
    };
    let described = file("JSON.md");
    let schema: Value = serde_json::from_str(&file("schema/report.json")).expect("JSON");
    let keys = schema["properties"].as_object().expect("keys").keys();
    let missing: Vec<&String> = keys
        .filter(|key| !described.contains(&format!("`{key}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    for (_, code, name, _) in bypassctl::error::EXIT_CODES {
        assert!(
            described.contains(&format!("| {code} | `{name}` |")),
            "{code} {name}"
        );
    }
}

#[test]
fn report_escapes_control_and_invisible_characters() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["disable"]).code, 0);
    let name = "a\u{9b}31m\u{7f}\u{202e}lnosj";
    sb.write(format!("home/{name}"), sb.read_log());
    for (command, path) in [("verify", name), ("verify", "\u{9b}\u{202e}")] {
        let run = sb.run(&["audit", command, path, "-o", "json"]);
        let is_hidden = |c: char| (c != '\n' && c.is_control()) || c == '\u{202e}';
        assert!(!run.stdout.contains(is_hidden), "{:?}", run.stdout);
        assert!(
            run.stdout.contains("\\u009b") && run.stdout.contains("\\u202e"),
            "{}",
            run.stdout
        );
    }
    let run = sb.run(&["audit", "verify", name, "-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    let file = &report["log_verification"]["logs"][0]["file"];
    assert_eq!(*file, sb.home_path(name).display().to_string());
}
