//! Every block of commands in the documents is run, at a terminal, on the fakes or where it belongs.

use super::{documents, parts, project, text};
use crate::enable::enable;
use crate::policy::own_tools;
use crate::revoke::quick;
use crate::sandbox::{Sandbox, sha256, skipped};
use std::collections::BTreeSet;
use std::path::Path;

/// Where a block is run.
enum Run {
    /// In a sandbox, where somebody types this.
    In(fn() -> Sandbox, &'static str),
    /// Somewhere else: in this file, which has these words.
    Elsewhere(&'static str, &'static str),
}

use Run::{Elsewhere, In};

/// The document, how its block begins, and where that is run.
const BLOCKS: &[(&str, &str, Run)] = &[
    (
        "README.md",
        "bypassctl doctor",
        In(quick, "sim-dev/influxdb\nsim-dev/influxdb\n"),
    ),
    ("README.md", "bypassctl plan rotate", In(in_use, "")),
    ("README.md", "bypassctl tools pin", In(with_own_tools, "")),
    ("docs/OPERATOR.md", "bypassctl enable", In(quick, "")),
    ("docs/OPERATOR.md", "bypassctl disable", In(in_use, "")),
    ("docs/OPERATOR.md", "bypassctl status", In(in_use, "")),
    (
        "docs/OPERATOR.md",
        "bypassctl rotate",
        In(in_several_profiles, PHRASES),
    ),
    ("docs/OPERATOR.md", "bypassctl plan rotate", In(in_use, "")),
    ("docs/PLAN.md", "bypassctl plan revoke", In(in_use, "")),
    ("docs/AUDIT.md", "split -l1", In(with_own_log, "")),
    ("docs/AUDIT.md", "mkdir statements", In(with_key, "")),
    (
        "docs/AUDITOR.md",
        "bypassctl audit verify",
        In(with_closed_logs, ""),
    ),
    (
        "docs/AUDITOR.md",
        "scripts/audit-verify.sh",
        In(with_sample, ""),
    ),
    ("docs/AUDITOR.md", "split -l1", In(with_own_log, "")),
    ("docs/AUDITOR.md", "jq -Rr", In(with_sample, "")),
    ("docs/AUDITOR.md", "bypassctl audit anchor", In(in_use, "")),
    (
        "docs/AUDITOR.md",
        "bypassctl audit list",
        In(with_sample, ""),
    ),
    ("docs/CI.md", "bypassctl tools pin", In(with_own_tools, "")),
    ("docs/CI.md", "bypassctl tools verify", In(pinned, "")),
    ("docs/CI.md", "bypassctl plan revoke", In(in_ci, "")),
    ("docs/CI.md", "bypassctl doctor", In(in_use, "")),
    ("docs/CI.md", "code=0", In(planned, "")),
    ("docs/JSON.md", "bypassctl status", In(in_use, "")),
    (
        "docs/AUDIT.md",
        "bypassctl audit anchor",
        Elsewhere("tests/suite/audit.rs", "documented(word)"),
    ),
];

/// An answer for each question, of the block with the most of them.
pub const PHRASES: &str =
    "sim-dev/influxdb\nsim-dev/influxdb\nsim-dev/influxdb\nsim-dev/influxdb\n";

/// What is for who changes the program, and no sandbox's affair: `scripts/check documented` runs it, with this pattern.
const FOR_CHANGES: &str = "^(git clone|cargo|scripts/|[A-Z_]+=[^ ]+ cargo)( |$|[a-z])";
const DOCUMENTED: &[&str] = &["README.md", "CONTRIBUTING.md"];

/// The token is in use, and on record.
pub fn in_use() -> Sandbox {
    let mut sb = quick();
    assert_eq!(enable(&sb, &["--reason", "CHG-12"]).code, 0);
    sb.env("BYPASSCTL_NAMESPACE", "influxdb");
    sb
}

pub fn in_several_profiles() -> Sandbox {
    let sb = in_use();
    let config = sb.read(sb.config());
    let mut all = config.clone();
    for name in ["dev", "test"] {
        let own = format!("admin-token-{name}.json");
        all += &config
            .replace("\"default\"", &format!("\"{name}\""))
            .replace("admin-token-default.json", &own);
        sb.write(format!("home/.config/influxctl/{own}"), sb.admin_token());
    }
    sb.write(sb.config(), all);
    sb
}

pub fn with_own_tools() -> Sandbox {
    let sb = quick();
    own_tools(&sb);
    sb
}

pub fn pinned() -> Sandbox {
    let sb = with_own_tools();
    assert_eq!(sb.run(&["tools", "pin", "--write"]).code, 0);
    sb
}

fn in_ci() -> Sandbox {
    let mut sb = in_use();
    sb.env("CI", "true")
        .env("CONFIRM", "sim-dev/influxdb")
        .env("REASON", "CHG-31");
    sb
}

pub fn planned() -> Sandbox {
    let mut sb = in_ci();
    assert_eq!(sb.run(&["plan", "revoke", "--out", "revoke.plan"]).code, 0);
    let sha256 = sha256(&std::fs::read(sb.home("revoke.plan")).expect("a plan"));
    sb.env("PLANNED", sha256);
    sb
}

/// The log of the guide beside one's own.
pub fn with_sample() -> Sandbox {
    let mut sb = in_use();
    sb.write(
        "home/audit.jsonl",
        text(&project().join("fixtures/audit/sample.jsonl")),
    );
    std::os::unix::fs::symlink(project().join("scripts"), sb.home("scripts")).expect("sandbox");
    let anchor = sb.run(&["audit", "anchor", "audit.jsonl"]);
    sb.env(
        "SEQ_AND_HASH",
        anchor.stdout.trim().rsplit(' ').next().expect("a head"),
    );
    sb
}

/// One without a torn line.
fn with_own_log() -> Sandbox {
    let sb = in_use();
    sb.write("home/audit.jsonl", sb.log_bytes());
    sb
}

fn with_closed_logs() -> Sandbox {
    let mut sb = in_use();
    assert_eq!(sb.run(&["audit", "rotate"]).code, 0);
    let run = sb.run(&["disable"]);
    for entry in std::fs::read_dir(sb.log().parent().expect("a directory"))
        .expect("logs")
        .flatten()
    {
        if entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "jsonl")
        {
            std::fs::copy(entry.path(), sb.home(entry.file_name())).expect("a log");
        }
    }
    sb.env("SEQ_AND_HASH", run.head());
    sb
}

pub fn with_key() -> Sandbox {
    let sb = in_use();
    let key = "openssl ecparam -name prime256v1 -genkey -noout -out key.pem";
    // Without openssl the lines that want it are not run either.
    sb.script("home", &["/bin/sh", "-c"], key, &[]);
    sb
}

/// What stands for something of one's own, and what that is here.
const OWN: &[(&str, &str)] = &[
    ("my-context/", "sim-dev/"),
    ("--host HOST --port 443", "--host 127.0.0.1 --port 26444"),
    (
        "--expect SHA256",
        "--expect \"$(sha256sum <*.plan | cut -c1-64)\"",
    ),
    // In a sandbox everything is new.
    (
        "\"$PLANNED\"",
        "\"${PLANNED:-$(sha256sum <revoke.plan | cut -c1-64)}\"",
    ),
];

/// What is not everywhere, and is in these lines and not here.
fn lacking(script: &str) -> Option<&'static str> {
    let is_there = |name: &str| {
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
    // `timeout` is there where those of GNU are, whose options the documents use.
    named
        .chain(["bash", "timeout"])
        .find(|name| !is_there(name))
}

pub fn run_lines(document: &str, sb: &Sandbox, lines: &[String], typed: &str, code: i32) {
    let script = OWN
        .iter()
        .fold(lines.join("\n"), |script, (placeholder, own)| {
            script.replace(placeholder, own)
        });
    if let Some(name) = lacking(&script) {
        return skipped(&format!(
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
    let run = sb.type_in_shell(&shell, typed);
    assert_eq!(run.code, code, "{document}:\n{script}\n\n{}", run.stdout);
    sb.write(format!("out/{}", sha256(script.as_bytes())), run.stdout);
}

pub fn assert_kept(sb: &Sandbox) {
    let spared = ["default", "dev", "test"]
        .map(|name| format!("home/.config/influxctl/admin-token-{name}.json"));
    sb.assert_no_secret(&spared.each_ref().map(Path::new));
}

/// Commands in running text that do not end with 0 there, and why.
const ENDINGS: &[(&str, i32)] = &[
    ("bypassctl revoke", 7), // nothing is typed
];

#[test]
fn commands_in_running_text() {
    let all: BTreeSet<String> = documents()
        .iter()
        .flat_map(|(_, document)| parts(document).spans)
        .collect();
    let commands = all
        .iter()
        .filter(|span| span.starts_with("bypassctl ") && !span.contains(['[', '…']));
    // A namespace, a token in use, and a policy: what running text takes for granted. One for all: in this order what
    // `disable` ends is begun again by `enable`.
    let sb = in_use();
    own_tools(&sb);
    assert_eq!(sb.run(&["tools", "pin", "--write"]).code, 0);
    let run = sb.records_of("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    let mut ran = 0;
    for command in commands {
        let line = command.replace("COMMAND", "enable").replace("RUN", &run);
        let code = ENDINGS
            .iter()
            .find(|(known, _)| known == command)
            .map_or(0, |(_, code)| *code);
        run_lines("running text", &sb, &[line], "\n", code);
        ran += 1;
    }
    assert_kept(&sb);
    assert!(ran > 10, "only {ran} commands are found");
}

/// Runs the blocks of one document, those that are no sandbox's affair left out.
fn run_document(name: &str) {
    let for_changes = regex::Regex::new(FOR_CHANGES).expect("a pattern");
    let elsewhere = |line: &String| DOCUMENTED.contains(&name) && for_changes.is_match(line);
    let mut known: Vec<_> = BLOCKS
        .iter()
        .filter(|(document, ..)| *document == name)
        .collect();
    for block in parts(&text(&project().join(name)))
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
            In(world, typed) => {
                let sb = world();
                run_lines(name, &sb, &lines, typed, 0);
                assert_kept(&sb);
                known.remove(at);
            }
            Elsewhere(file, words) => assert!(
                text(&project().join(file)).contains(words),
                "{file} has no `{words}`"
            ),
        }
    }
    known.retain(|(.., run)| matches!(run, In(..)));
    assert!(
        known.is_empty(),
        "{name} has no block that begins with `{}`",
        known[0].1
    );
}

#[test]
fn readme() {
    run_document("README.md");
}

#[test]
fn operators_guide() {
    run_document("docs/OPERATOR.md");
}

#[test]
fn auditors_guide() {
    run_document("docs/AUDITOR.md");
}

#[test]
fn ci_guide() {
    run_document("docs/CI.md");
}

#[test]
fn all_others() {
    let own = [
        "README.md",
        "docs/OPERATOR.md",
        "docs/AUDITOR.md",
        "docs/CI.md",
    ];
    for (path, _) in documents() {
        let name = path
            .strip_prefix(project())
            .expect("of the project")
            .to_str()
            .expect("text");
        if !own.contains(&name) {
            run_document(name);
        }
    }
    let check = text(&project().join("scripts/check"));
    assert!(
        check.contains(FOR_CHANGES) && check.contains(&DOCUMENTED.join(" ")),
        "scripts/check runs the others"
    );
}

/// A session as the guide has recorded it, without what varies from one to the next.
fn settled(session: &str, home: &str) -> Vec<String> {
    let mut text = session.replace(home, "/home/admin");
    for (varies, name) in [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "UID"),
        (r"\b\d+:[0-9a-f]{64}", "SEQ:HASH"),
        (r"fingerprint [0-9a-f]{12}", "fingerprint F"),
        (r"127\.0\.0\.1:\d+", "HOST:PORT"),
        ("\u{1b}\\[[0-9;]*m", ""),
    ] {
        text = regex::Regex::new(varies)
            .expect("a pattern")
            .replace_all(&text, name)
            .into_owned();
    }
    // Steps side by side end in any order.
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let acted = lines
        .iter()
        .position(|line| line.starts_with("type "))
        .expect("a question");
    lines[acted..].sort();
    lines
}

#[test]
fn the_recorded_rotation_is_what_the_program_tells() {
    let guide = parts(&text(&project().join("docs/OPERATOR.md")));
    let recorded = guide
        .blocks
        .iter()
        .find(|block| block.language == "console")
        .expect("a recorded session");
    let command = recorded.lines[0].strip_prefix("$ ").expect("a command");
    let sb = quick();
    let config = sb.read(sb.config());
    sb.write(
        sb.config(),
        config
            .split("\n    [profile.auth.oauth2]")
            .next()
            .expect("a profile"),
    );
    assert_eq!(enable(&sb, &[]).code, 0);
    let phrase = "sim-dev/influxdb\n";
    let told = sb
        .type_in_shell(&["/bin/bash", "-c", command], phrase)
        .stdout
        .replace('\r', "");
    // What is typed before anybody asks is echoed at once.
    let told = told
        .strip_prefix(phrase)
        .expect("an echo")
        .replace("to go on: ", &format!("to go on: {phrase}"));
    let home = sb.home("").display().to_string();
    let told = settled(&told, home.trim_end_matches('/'));
    assert_eq!(
        told.join("\n"),
        settled(&recorded.lines[1..].join("\n"), "/home/admin").join("\n")
    );
}
