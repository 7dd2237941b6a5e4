//! `audit list`, `show` and `anchor`.

use crate::crash::kill_orphans;
use crate::enable::run_system_program;
use crate::sandbox::{CommandOutput, Sandbox, report_skipped};
use serde_json::{Value, json};

/// Creates a log with three runs: one done, one refused, one killed.
fn create_sandbox_with_three_runs() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(
        sb.run(&["enable", "-n", "influxdb", "--reason", "CHG-12"])
            .code,
        0
    );
    assert_eq!(
        sb.run(&["enable", "-n", "influxdb-prod", "--dry-run"]).code,
        4
    );
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    sb
}

fn list_runs(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    let before = sb.read_log();
    let run = sb.run(&[&["audit", "list"], more].concat());
    assert_eq!(sb.read_log(), before, "audit list changed the log");
    run
}

fn list_run_outcomes(sb: &Sandbox, more: &[&str]) -> Vec<String> {
    let run = list_runs(sb, &[&["-o", "json"], more].concat());
    let object: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let runs = object["runs"].as_array().expect("runs").clone();
    runs.iter()
        .map(|run| {
            format!(
                "{} {}",
                run["command"].as_str().unwrap(),
                run["outcome"].as_str().unwrap()
            )
        })
        .collect()
}

#[test]
fn list_shows_each_run_with_its_outcome() {
    let sb = create_sandbox_with_three_runs();
    let changed = list_runs(&sb, &[]);
    assert_eq!(changed.stdout.lines().count(), 2, "{}", changed.stdout);
    assert_eq!(
        changed.stderr.lines().next(),
        Some("1 of 3 runs (--include-reads shows those that changed nothing)")
    );
    let text = list_runs(&sb, &["--include-reads"]).normalized_stdout();
    let host = rustix::system::uname()
        .nodename()
        .to_str()
        .expect("text")
        .to_owned();
    let someone = regex::Regex::new(r"[^ ]+@\[HOST\]").expect("a pattern");
    let text = someone
        .replace_all(&text.replace(&host, "[HOST]"), "[USER]@[HOST]")
        .into_owned();
    // The width of some columns depends on the host.
    let padding = regex::Regex::new(" {2,}").expect("a pattern");
    let text = padding.replace_all(&text, "  ");
    insta::assert_snapshot!(text, @"
    WHEN  RUN  COMMAND  TARGET  OUTCOME  WHO  WHY
    [TIME]  [UID]  enable  sim-dev/influxdb  done  [USER]@[HOST]  CHG-12
    [TIME]  [UID]  enable (dry run)  -  refused  [USER]@[HOST]
    [TIME]  [UID]  status  sim-dev/influxdb  unknown  [USER]@[HOST]
    ");
    let args = ["audit", "list", "--include-reads", "--color", "never"];
    let shown = sb.run_in_terminal_of_width(80, &args).stdout;
    assert!(
        shown
            .lines()
            .all(|line| line.trim_end().chars().count() <= 80)
            && shown.contains(
                &sb.read_entries_by_type("run.begin")[0]["run"]
                    .as_str()
                    .unwrap()[..8]
            )
            && shown.contains(" ago "),
        "{shown}"
    );
}

#[test]
fn list_filters_runs_by_each_option() {
    let sb = create_sandbox_with_three_runs();
    let all = ["enable done", "enable refused", "status unknown"];
    assert_eq!(list_run_outcomes(&sb, &[]), all);
    assert_eq!(list_run_outcomes(&sb, &["--command", "enable"]), all[..2]);
    assert_eq!(list_run_outcomes(&sb, &["--outcome", "unknown"]), all[2..]);
    assert_eq!(
        list_run_outcomes(&sb, &["-n", "influxdb"]),
        [all[0], all[2]]
    );
    assert_eq!(
        list_run_outcomes(&sb, &["--since", "2020-01-01T00:00:00Z"]),
        all
    );
    assert_eq!(
        list_run_outcomes(&sb, &["--until", "2020-01-01T00:00:00Z"]),
        [""; 0]
    );
    let none = list_runs(&sb, &["--user", "nobody-of-that-name"]);
    assert!(
        none.code == 0 && none.stdout.is_empty() && none.stderr.contains("0 of 3 runs\n"),
        "{none:?}"
    );
    assert_eq!(list_run_outcomes(&sb, &["--since", "5m"]), all);
    assert_eq!(list_run_outcomes(&sb, &["--until", "1d"]), [""; 0]);
    assert_eq!(list_run_outcomes(&sb, &["--limit", "1"]), all[2..]);
    let latest = list_runs(&sb, &["--include-reads", "--limit", "2"]);
    assert!(
        latest.stdout.lines().count() == 3
            && latest.stderr.contains("2 of 3 runs (--all shows more)"),
        "{latest:?}"
    );
    assert_eq!(list_run_outcomes(&sb, &["--since", "2020-01-01"]), all);
    for wrong in [
        ["--since", "yesterday"],
        ["--outcome", "fine"],
        ["--command", "enabel"],
    ] {
        assert_eq!(list_runs(&sb, &wrong).code, 2, "{wrong:?}");
    }
}

/// Quotes the command of an intent for a shell. Returns `None` for a file change.
fn join_argv(intent: &Value) -> Option<String> {
    let words = intent["argv"]
        .as_array()?
        .iter()
        .map(|word| word.as_str().expect("text"));
    Some(shlex::try_join(words).expect("no NUL"))
}

#[test]
fn show_prints_each_command_and_outcome() {
    let sb = create_sandbox_with_three_runs();
    let begins = sb.read_entries_by_type("run.begin");
    let name = |index: usize| begins[index]["run"].as_str().expect("a name").to_owned();
    let output = sb.run(&["audit", "show", &name(0)]);
    let lines: Vec<&str> = output.stdout.lines().collect();
    // Every command is listed as it ran, with its result.
    let argv: Vec<String> = sb
        .read_entries_by_type("intent")
        .iter()
        .filter(|intent| intent["run"] == name(0))
        .map(|intent| join_argv(intent).unwrap_or_default())
        .collect();
    assert!(argv.len() > 5);
    for command in &argv {
        assert!(
            lines.iter().any(|line| line.contains(command.as_str())),
            "{command}\n{}",
            output.stdout
        );
    }
    assert_eq!(
        lines.iter().filter(|line| line.contains(" ms")).count(),
        argv.len(),
        "{}",
        output.stdout
    );
    assert!(lines[1].contains("reason CHG-12"), "{}", lines[1]);
    assert!(
        lines
            .last()
            .expect("an end")
            .ends_with("done (exit 0), with changes")
    );
    let killed = sb.run(&["audit", "show", &name(2)[..13]]);
    assert!(
        killed
            .stdout
            .contains("get-token: $ kubectl get secrets/admin-token"),
        "{}",
        killed.stdout
    );
    assert!(
        killed.stdout.contains("result unknown"),
        "{}",
        killed.stdout
    );
    assert!(
        output.stdout.contains(": token accepted after "),
        "{}",
        output.stdout
    );
    let last = sb.run(&["audit", "show"]);
    assert_eq!(last.stdout, killed.stdout);
    for (wanted, expected) in [
        ("", "3 run IDs start with ``"),
        ("zz", "no run ID starts with `zz`"),
    ] {
        let run = sb.run(&["audit", "show", wanted]);
        assert!(
            run.code == 1 && run.stderr.contains(expected),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn export_writes_commands_as_guarded_script() {
    let sb = create_sandbox_with_three_runs();
    let name = sb.read_entries_by_type("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    let export = sb.run(&["audit", "export", "--run", &name]);
    assert_eq!(export.code, 0, "{}", export.stderr);
    crate::enable::check_script(&sb, &export.stdout);
    let (guard, commands) = export.stdout.split_once("\nfi\n").expect("a guard");
    assert!(guard.contains("\nset -eu\nif "), "{guard}");
    let commands: Vec<&str> = commands
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let ran: Vec<String> = sb
        .read_entries_by_type("intent")
        .iter()
        .filter(|intent| intent["run"] == name && intent["stdin"].is_null())
        .filter_map(join_argv)
        .collect();
    assert_eq!(commands, ran);
    // The guard prevents running the whole script by accident.
    sb.clear_calls();
    let refused = sb.run_shell_script("home", &["/bin/sh", "-c"], &export.stdout, &[]);
    assert!(
        refused.code == 1 && refused.stderr.contains("nothing was run") && sb.calls().is_empty(),
        "{}",
        refused.stderr
    );
    assert!(
        export.stdout.contains("# file: write "),
        "{}",
        export.stdout
    );
    let all = sb.run(&["audit", "export", "-o", "json"]);
    let object: Value = serde_json::from_str(&all.stdout).expect("JSON");
    assert_eq!(
        object["script"]
            .as_str()
            .expect("a script")
            .matches("\n# run ")
            .count(),
        3
    );
}

#[test]
fn audit_output_strips_control_characters() {
    let sb = create_sandbox_with_three_runs();
    let text = String::from_utf8(sb.read_log())
        .expect("ASCII")
        .replace("CHG-12", "\\u001b[2J\\u009b31mred\\r");
    let file = sb.write("tmp/coloured.jsonl", text);
    let file = file.to_str().expect("text");
    let name = sb.read_entries_by_type("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    for args in [
        &["audit", "list", file][..],
        &["audit", "show", &name, file],
        &["audit", "export", file],
    ] {
        let run = sb.run(args);
        assert!(
            run.code == 0 && (run.stdout.contains("red") || args[1] == "export"),
            "{}{}",
            run.stdout,
            run.stderr
        );
        assert!(
            !run.stdout.chars().any(|c| c.is_control() && c != '\n'),
            "{:?}",
            run.stdout
        );
    }
}

#[test]
fn anchor_prints_head_of_last_run() {
    let sb = Sandbox::new();
    let empty = sb.run(&["audit", "anchor"]);
    assert!(
        empty.code == 1 && empty.stderr.contains("cannot read the audit log"),
        "{}",
        empty.stderr
    );
    let run = sb.run(&["enable", "-n", "influxdb"]);
    let anchor = sb.run(&["audit", "anchor"]);
    assert_eq!(
        anchor.stdout.trim(),
        run.stderr.lines().last().expect("a head")
    );
    let head = run.audit_head().to_owned();
    assert_eq!(sb.run(&["audit", "verify", "--expect", &head]).code, 0);
    let other = sb.write("tmp/other", "no log\n");
    assert!(
        sb.run(&["audit", "anchor", other.to_str().expect("text")])
            .stderr
            .contains("not an audit log")
    );
}

/// Returns the first block of commands in `docs/AUDIT.md` that contains this word.
fn extract_documented_block(word: &str) -> String {
    let docs = include_str!("../../docs/AUDIT.md");
    let mut blocks = docs
        .split("```sh\n")
        .skip(1)
        .filter_map(|rest| rest.split("```").next());
    blocks
        .find(|block| block.contains(word))
        .expect("a documented block")
        .to_owned()
}

#[test]
fn documented_head_signing_commands_work() {
    let sb = create_sandbox_with_three_runs();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bypassctl"), sb.path("bin/bypassctl"))
        .expect("sandbox");
    let keys = "ssh-keygen -q -t ed25519 -N '' -f key && echo \"admin@example.com $(cat key.pub)\" \
                >allowed_signers";
    let tools = [
        ("ssh-keygen", &["-?"][..], "ssh-keygen -q -Y", keys),
        (
            "minisign",
            &["-v"],
            "minisign -S",
            "minisign -G -W -p minisign.pub -s minisign.key",
        ),
    ];
    for (tool, there, word, prepared) in tools {
        if run_system_program(&sb, tool, there).is_none() {
            report_skipped(&format!("{tool} is not installed, so it signed no head"));
            continue;
        }
        let script = format!(
            "set -e\nexport XDG_STATE_HOME=\"$HOME/.local/state\"\n{prepared}\n{}",
            extract_documented_block(word)
        );
        let (code, output) = run_system_program(&sb, "sh", &["-c", &script]).expect("a shell");
        assert!(
            code == 0 && output.contains("the expected entry exists"),
            "{output}"
        );
        // The signature does not match a changed head.
        let forged = format!(
            "echo x >>head\n{}",
            extract_documented_block(word)
                .lines()
                .nth(2)
                .expect("to verify")
        );
        let (code, output) = run_system_program(&sb, "sh", &["-c", &forged]).expect("a shell");
        assert_ne!(code, 0, "{output}");
    }
}

#[test]
fn audit_commands_warn_when_log_is_corrupt() {
    let sb = create_sandbox_with_three_runs();
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    let edited = text.replacen("[\"kubectl\",\"version\"", "[\"rm\",\"version\"", 1);
    let name = sb.read_entries_by_type("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    // A run ID cannot smuggle a command into the script: entries with such an ID are invalid.
    let named = text.replace(&name, "x\\ntouch planted\\n#");
    for (log, run) in [(edited, name.as_str()), (named, "x")] {
        let file = sb.write("tmp/edited.jsonl", log);
        let file = file.to_str().expect("text");
        for args in [&["list", file][..], &["show", run, file], &["export", file]] {
            let output = sb.run(&[&["audit"], args].concat());
            let is_unknown_run = args[..2] == ["show", "x"];
            assert_eq!(
                output.stderr.contains("no run ID starts with `x`"),
                is_unknown_run,
                "{args:?}: {}",
                output.stderr
            );
            if is_unknown_run {
                continue;
            }
            assert!(
                output.code == 0 && output.stderr.contains("the audit log is not intact"),
                "{args:?}: {}",
                output.stderr
            );
            assert!(
                !output.stdout.contains("\ntouch"),
                "{args:?}: {}",
                output.stdout
            );
            assert!(
                args[0] != "export" || output.stdout.contains("# The audit log is not intact"),
                "{}",
                output.stdout
            );
        }
    }
    let twice = sb.log_path().display().to_string();
    assert_eq!(sb.run(&["audit", "verify", &twice, &twice]).code, 2);
}

#[test]
fn quiet_output_keeps_warnings_and_heads() {
    let sb = create_sandbox_with_three_runs();
    let verified = sb.run(&["audit", "verify", "-q"]);
    assert!(
        verified.stdout.is_empty() && verified.stderr.contains("has no result"),
        "{}",
        verified.stderr
    );
    assert!(
        sb.run(&["audit", "anchor", "-q"])
            .stdout
            .starts_with("audit head ")
    );
}

#[test]
fn verify_findings_strip_control_characters() {
    let sb = create_sandbox_with_three_runs();
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    let styles = regex::Regex::new("\u{1b}\\[[0-9;]*m").expect("a pattern");
    let evil = "\\u001b[2J\\nok   forged\\u009b\\u202e\\u2028";
    let log = sb.read_entries()[0]["log"]
        .as_str()
        .expect("a name")
        .to_owned();
    let previous = format!("\"previous\":{{\"log\":\"{evil}\",\"head\":\"{evil}\"}}");
    for log in [
        text.replace(&log, evil),
        text.replacen("\"previous\":null", &previous, 1),
        text.replace("kubectl-version", evil),
    ] {
        let file = sb.write("tmp/evil.jsonl", log);
        let run = sb.run(&[
            "audit",
            "verify",
            "--color",
            "always",
            file.to_str().expect("text"),
        ]);
        assert_eq!(run.code, 1, "{}", run.stdout);
        let output = run.stdout + &run.stderr;
        let output = styles.replace_all(&output, "");
        let odd = |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{2028}' | '\u{202e}');
        assert!(
            !output.contains(odd) && !output.contains("\nok   forged"),
            "{output:?}"
        );
    }
}
