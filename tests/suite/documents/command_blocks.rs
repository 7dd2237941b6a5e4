//! Runs every block of commands in the documents, at a terminal, with the fakes.

use super::{parse_document, project_root, read_documents, read_text};
use crate::enable::run_enable;
use crate::policy::install_own_tools;
use crate::policy::targets::create_sandbox_with_team_target;
use crate::revoke::create_fast_sandbox;
use crate::revoke::delivery::create_sandbox_with_vault;
use crate::sandbox::{Sandbox, report_skipped, sha256_hex};
use std::collections::BTreeSet;
use std::path::Path;

/// Where a block is run.
enum BlockExecution {
    /// In a sandbox, with these lines typed.
    InSandbox(fn() -> Sandbox, &'static str),
    /// Elsewhere: in the file that contains these words.
    InOtherTest(&'static str, &'static str),
}

use BlockExecution::{InOtherTest, InSandbox};

/// The document, the start of its block, and where the block runs.
const DOCUMENT_BLOCKS: &[(&str, &str, BlockExecution)] = &[
    (
        "docs/POLICY.md",
        "bypassctl status --target",
        InSandbox(create_sandbox_with_team_target, ""),
    ),
    (
        "README.md",
        "bypassctl doctor",
        InSandbox(create_fast_sandbox, "sim-dev/influxdb\nsim-dev/influxdb\n"),
    ),
    (
        "README.md",
        "bypassctl plan rotate",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "README.md",
        "bypassctl tools pin",
        InSandbox(create_sandbox_with_own_tools, ""),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl enable",
        InSandbox(create_fast_sandbox, ""),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl disable",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl status",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl rotate -n influxdb --prune-clones",
        InSandbox(create_enabled_sandbox, CONFIRMATION_PHRASES),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl rotate -n influxdb --if-older-than",
        InSandbox(create_sandbox_with_vault, ""),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl rotate",
        InSandbox(create_multi_profile_sandbox, CONFIRMATION_PHRASES),
    ),
    (
        "docs/OPERATOR.md",
        "bypassctl plan rotate",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/PLAN.md",
        "bypassctl plan revoke",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/AUDIT.md",
        "split -l1",
        InSandbox(create_sandbox_with_log_copy, ""),
    ),
    (
        "docs/AUDIT.md",
        "mkdir statements",
        InSandbox(create_sandbox_with_signing_key, ""),
    ),
    (
        "docs/AUDITOR.md",
        "bypassctl audit verify",
        InSandbox(create_sandbox_with_rotated_logs, ""),
    ),
    (
        "docs/AUDITOR.md",
        "scripts/audit-verify.sh",
        InSandbox(create_sandbox_with_sample_log, ""),
    ),
    (
        "docs/AUDITOR.md",
        "split -l1",
        InSandbox(create_sandbox_with_log_copy, ""),
    ),
    (
        "docs/AUDITOR.md",
        "jq -Rr",
        InSandbox(create_sandbox_with_sample_log, ""),
    ),
    (
        "docs/AUDITOR.md",
        "bypassctl audit anchor",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/AUDITOR.md",
        "bypassctl audit list",
        InSandbox(create_sandbox_with_sample_log, ""),
    ),
    (
        "docs/CI.md",
        "policy=$(mktemp -d)",
        InOtherTest("tests/suite/ci_examples.rs", "policy=$(mktemp -d)"),
    ),
    (
        "docs/CI.md",
        "bypassctl tools pin",
        InSandbox(create_sandbox_with_own_tools, ""),
    ),
    (
        "docs/CI.md",
        "bypassctl tools verify",
        InSandbox(create_sandbox_with_pinned_tools, ""),
    ),
    (
        "docs/CI.md",
        "bypassctl plan revoke",
        InSandbox(create_ci_sandbox, ""),
    ),
    (
        "docs/CI.md",
        "bypassctl doctor",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/CI.md",
        "code=0",
        InSandbox(create_sandbox_with_saved_plan, ""),
    ),
    (
        "docs/JSON.md",
        "bypassctl status",
        InSandbox(create_enabled_sandbox, ""),
    ),
    (
        "docs/AUDIT.md",
        "bypassctl audit anchor",
        InOtherTest("tests/suite/audit.rs", "extract_documented_block(word)"),
    ),
];

/// Enough answers for the block with the most questions.
pub const CONFIRMATION_PHRASES: &str =
    "sim-dev/influxdb\nsim-dev/influxdb\nsim-dev/influxdb\nsim-dev/influxdb\n";

/// Commands for contributors. They run outside a sandbox, by `scripts/check documented`.
const CONTRIBUTOR_COMMANDS: &str = "^(git clone|cargo|scripts/|[A-Z_]+=[^ ]+ cargo)( |$|[a-z])";
const CONTRIBUTOR_DOCUMENTS: &[&str] = &["README.md", "CONTRIBUTING.md"];

/// Creates a sandbox with an enabled token and a log.
pub fn create_enabled_sandbox() -> Sandbox {
    let mut sb = create_fast_sandbox();
    assert_eq!(run_enable(&sb, &["--reason", "CHG-12"]).code, 0);
    sb.set_env("BYPASSCTL_NAMESPACE", "influxdb");
    sb
}

pub fn create_multi_profile_sandbox() -> Sandbox {
    let sb = create_enabled_sandbox();
    let config = sb.read(sb.config_path());
    let mut all = config.clone();
    for name in ["dev", "test"] {
        let own = format!("admin-token-{name}.json");
        all += &config
            .replace("\"default\"", &format!("\"{name}\""))
            .replace("admin-token-default.json", &own);
        sb.write(format!("home/.config/influxctl/{own}"), sb.admin_token());
    }
    sb.write(sb.config_path(), all);
    sb
}

pub fn create_sandbox_with_own_tools() -> Sandbox {
    let sb = create_fast_sandbox();
    install_own_tools(&sb);
    sb
}

pub fn create_sandbox_with_pinned_tools() -> Sandbox {
    let sb = create_sandbox_with_own_tools();
    assert_eq!(sb.run(&["tools", "pin", "--write"]).code, 0);
    sb
}

fn create_ci_sandbox() -> Sandbox {
    let mut sb = create_enabled_sandbox();
    sb.set_env("CI", "true")
        .set_env("CONFIRM", "sim-dev/influxdb")
        .set_env("REASON", "CHG-31");
    sb
}

pub fn create_sandbox_with_saved_plan() -> Sandbox {
    let mut sb = create_ci_sandbox();
    assert_eq!(sb.run(&["plan", "revoke", "--out", "revoke.plan"]).code, 0);
    let sha256 = sha256_hex(&std::fs::read(sb.home_path("revoke.plan")).expect("a plan"));
    sb.set_env("PLANNED", sha256);
    sb
}

/// Adds the log of the guide beside the default one.
pub fn create_sandbox_with_sample_log() -> Sandbox {
    let mut sb = create_enabled_sandbox();
    sb.write(
        "home/audit.jsonl",
        read_text(&project_root().join("fixtures/audit/sample.jsonl")),
    );
    std::os::unix::fs::symlink(project_root().join("scripts"), sb.home_path("scripts"))
        .expect("sandbox");
    let anchor = sb.run(&["audit", "anchor", "audit.jsonl"]);
    sb.set_env(
        "SEQ_AND_HASH",
        anchor.stdout.trim().rsplit(' ').next().expect("a head"),
    );
    sb
}

/// Creates a log without a torn line.
fn create_sandbox_with_log_copy() -> Sandbox {
    let sb = create_enabled_sandbox();
    sb.write("home/audit.jsonl", sb.read_log());
    sb
}

fn create_sandbox_with_rotated_logs() -> Sandbox {
    let mut sb = create_enabled_sandbox();
    assert_eq!(sb.run(&["audit", "rotate-log"]).code, 0);
    let run = sb.run(&["disable"]);
    for entry in std::fs::read_dir(sb.log_path().parent().expect("a directory"))
        .expect("logs")
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            std::fs::copy(entry.path(), sb.home_path(entry.file_name())).expect("a log");
        }
    }
    sb.set_env("SEQ_AND_HASH", run.audit_head());
    sb
}

pub fn create_sandbox_with_signing_key() -> Sandbox {
    let sb = create_enabled_sandbox();
    let key = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem";
    // Without openssl this fails, and the lines that need the key are skipped.
    sb.run_shell_script("home", &["/bin/sh", "-c"], key, &[]);
    sb
}

/// Texts of the documents, each with its replacement for the sandbox.
const LOCAL_REPLACEMENTS: &[(&str, &str)] = &[
    ("my-context/", "sim-dev/"),
    ("--host HOST --port 443", "--host 127.0.0.1 --port 26444"),
    (
        "--expect SHA256",
        "--expect \"$(sha256sum <*.plan | cut -c1-64)\"",
    ),
    // A sandbox is always new.
    (
        "\"$PLANNED\"",
        "\"${PLANNED:-$(sha256sum <revoke.plan | cut -c1-64)}\"",
    ),
];

/// Returns an optional program that these lines need and this machine lacks.
fn find_missing_program(script: &str) -> Option<&'static str> {
    let exists = |name: &str| {
        ["/usr/bin", "/bin"]
            .iter()
            .any(|place| Path::new(place).join(name).exists())
    };
    let script = script.replace("audit-verify.sh", "audit-verify.sh jq");
    let used = |name: &&str| {
        script
            .split([' ', '|', '\n', '(', ';'])
            .any(|word| word == *name)
    };
    let named = [
        "jq",
        "openssl",
        "ssh-keygen",
        "minisign",
        "sha256sum",
        "split",
    ]
    .into_iter()
    .filter(used);
    // `timeout` marks GNU coreutils, whose options the documents use.
    named.chain(["bash", "timeout"]).find(|name| !exists(name))
}

pub fn run_lines(document: &str, sb: &Sandbox, lines: &[String], typed: &str, code: i32) {
    let script = LOCAL_REPLACEMENTS
        .iter()
        .fold(lines.join("\n"), |script, (placeholder, own)| {
            script.replace(placeholder, own)
        });
    if let Some(name) = find_missing_program(&script) {
        return report_skipped(&format!(
            "{name} is not here, and {document} was not tried: {}",
            lines[0]
        ));
    }
    let shell = [
        "/usr/bin/timeout",
        "--foreground",
        "60",
        "/bin/bash",
        "-e",
        "-o",
        "pipefail",
        "-c",
        &script,
    ];
    let run = sb.run_shell_in_terminal(&shell, typed);
    assert_eq!(run.code, code, "{document}:\n{script}\n\n{}", run.stdout);
    sb.write(format!("out/{}", sha256_hex(script.as_bytes())), run.stdout);
}

pub fn assert_secrets_contained(sb: &Sandbox) {
    let spared = ["default", "dev", "test"]
        .map(|name| format!("home/.config/influxctl/admin-token-{name}.json"));
    sb.assert_no_secret_leaked(&spared.each_ref().map(Path::new));
}

/// Inline commands that exit with a code other than 0.
const EXPECTED_EXIT_CODES: &[(&str, i32)] = &[
    ("bypassctl revoke", 7), // nothing is typed
    ("bypassctl status --require off", 3),
];

#[test]
fn inline_commands_exit_as_expected() {
    let all: BTreeSet<String> = read_documents()
        .iter()
        .flat_map(|(_, document)| parse_document(document).code_spans)
        .collect();
    let commands = all
        .iter()
        .filter(|span| span.starts_with("bypassctl ") && !span.contains(['[', '…']));
    // Inline commands assume a namespace, an enabled token and a policy. In this order one sandbox
    // serves all: `enable` restores what `disable` removed.
    let sb = create_enabled_sandbox();
    install_own_tools(&sb);
    assert_eq!(sb.run(&["tools", "pin", "--write"]).code, 0);
    let run = sb.read_entries_by_type("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    let mut ran = 0;
    for command in commands {
        let line = command.replace("COMMAND", "enable").replace("RUN", &run);
        let code = EXPECTED_EXIT_CODES
            .iter()
            .find(|(known, _)| known == command)
            .map_or(0, |(_, code)| *code);
        run_lines("running text", &sb, &[line], "\n", code);
        ran += 1;
    }
    assert_secrets_contained(&sb);
    assert!(ran > 10, "only {ran} commands are found");
}

/// Runs the blocks of one document, without the commands for contributors.
fn run_document(name: &str) {
    let for_changes = regex::Regex::new(CONTRIBUTOR_COMMANDS).expect("a pattern");
    let elsewhere =
        |line: &String| CONTRIBUTOR_DOCUMENTS.contains(&name) && for_changes.is_match(line);
    let mut known: Vec<_> = DOCUMENT_BLOCKS
        .iter()
        .filter(|(document, ..)| *document == name)
        .collect();
    for block in parse_document(&read_text(&project_root().join(name)))
        .blocks
        .into_iter()
        .filter(|block| block.language == "sh")
    {
        let lines: Vec<String> = block
            .lines
            .into_iter()
            .filter(|line| !elsewhere(line))
            .collect();
        let Some(first) = lines.first() else { continue };
        let at = known
            .iter()
            .position(|(_, begins, _)| first.starts_with(begins));
        let at = at.unwrap_or_else(|| panic!("{name} has commands that nothing runs: {first}"));
        match known[at].2 {
            InSandbox(world, typed) => {
                let sb = world();
                run_lines(name, &sb, &lines, typed, 0);
                assert_secrets_contained(&sb);
                known.remove(at);
            }
            InOtherTest(file, words) => assert!(
                read_text(&project_root().join(file)).contains(words),
                "{file} has no `{words}`"
            ),
        }
    }
    known.retain(|(.., run)| matches!(run, InSandbox(..)));
    assert!(
        known.is_empty(),
        "{name} has no block that begins with `{}`",
        known[0].1
    );
}

#[test]
fn readme_commands_succeed() {
    run_document("README.md");
}

#[test]
fn operator_guide_commands_succeed() {
    run_document("docs/OPERATOR.md");
}

#[test]
fn auditor_guide_commands_succeed() {
    run_document("docs/AUDITOR.md");
}

#[test]
fn ci_guide_commands_succeed() {
    run_document("docs/CI.md");
}

#[test]
fn other_document_commands_succeed() {
    let own = [
        "README.md",
        "docs/OPERATOR.md",
        "docs/AUDITOR.md",
        "docs/CI.md",
    ];
    for (path, _) in read_documents() {
        let name = path
            .strip_prefix(project_root())
            .expect("of the project")
            .to_str()
            .expect("text");
        if !own.contains(&name) {
            run_document(name);
        }
    }
    let check = read_text(&project_root().join("scripts/check"));
    assert!(
        check.contains(CONTRIBUTOR_COMMANDS) && check.contains(&CONTRIBUTOR_DOCUMENTS.join(" ")),
        "scripts/check runs the others"
    );
}

/// Returns the session in the guide, with placeholders for values that vary.
fn normalize_session(session: &str, home: &str) -> Vec<String> {
    let mut text = session.replace(home, "/home/admin");
    for (varies, name) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"UID [0-9a-f]{8}\b", "UID"),
        (r"(?m)^\d+\.\d s from", "TIME from"),
        (r"\b\d+:[0-9a-f]{64}", "SEQ:HASH"),
        (r"fingerprint [0-9a-f]{12}", "fingerprint F"),
        (r"127\.0\.0\.1:\d+", "HOST:PORT"),
        ("\u{1b}\\[[0-9;]*m", ""),
        // The live lines, which a terminal overwrites.
        (
            "(?m)^((step|waiting) [^\u{1b}]*(\u{1b}\\[A)*\u{1b}\\[J)+",
            "",
        ),
    ] {
        text = regex::Regex::new(varies)
            .expect("a pattern")
            .replace_all(&text, name)
            .into_owned();
    }
    // Parallel steps end in any order.
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let acted = lines
        .iter()
        .position(|line| line.starts_with("Type "))
        .expect("a question");
    lines[acted..].sort();
    lines
}

#[test]
fn operator_guide_rotation_session_matches_output() {
    let guide = parse_document(&read_text(&project_root().join("docs/OPERATOR.md")));
    let recorded = guide
        .blocks
        .iter()
        .find(|block| block.language == "console")
        .expect("a recorded session");
    let command = recorded.lines[0].strip_prefix("$ ").expect("a command");
    let sb = create_fast_sandbox();
    let config = sb.read(sb.config_path());
    sb.write(
        sb.config_path(),
        config
            .split("\n    [profile.auth.oauth2]")
            .next()
            .expect("a profile"),
    );
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let phrase = "sim-dev/influxdb\n";
    // The guide has each line as a whole.
    let command = format!("COLUMNS=9999 {command}");
    let output = sb
        .run_shell_in_terminal(&["/bin/bash", "-c", &command], phrase)
        .stdout
        .replace('\r', "");
    // The terminal echoes early input at once.
    let output = output
        .strip_prefix(phrase)
        .expect("an echo")
        .replace("to continue: ", &format!("to continue: {phrase}"));
    let home = sb.home_path("").display().to_string();
    let output = normalize_session(&output, home.trim_end_matches('/'));
    assert_eq!(
        output.join("\n"),
        normalize_session(&recorded.lines[1..].join("\n"), "/home/admin").join("\n")
    );
}
