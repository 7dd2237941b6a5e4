//! `audit export --format in-toto` and `--format html`.

use crate::enable::run_system_program;
use crate::sandbox::{CommandOutput, Sandbox, report_skipped, sha256_hex, split_lines};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::PathBuf;

fn create_recorded_sandbox() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(
        sb.run(&["enable", "-n", "influxdb", "--reason", "CHG-12"])
            .code,
        0
    );
    sb
}

fn export_statements(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    let directory = sb.path("statements");
    std::fs::create_dir_all(&directory).expect("sandbox");
    let directory = directory.display().to_string();
    sb.run(
        &[
            &[
                "audit",
                "export",
                "--format",
                "in-toto",
                "--directory",
                &directory,
            ],
            more,
        ]
        .concat(),
    )
}

/// Lists the exported files with this suffix, sorted.
fn list_statement_files(sb: &Sandbox, end: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sb.path("statements")).expect("a directory");
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.retain(|file| file.to_str().expect("text").ends_with(end));
    files.sort();
    files
}

fn read_json(file: &PathBuf) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("a file")).expect("JSON")
}

#[test]
fn export_writes_statement_for_each_result() {
    let sb = create_recorded_sandbox();
    let run = export_statements(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let log = sb.read_log();
    let (raw, entries) = (split_lines(&log), sb.read_entries());
    let results = sb.read_entries_by_type("result");
    let statements = list_statement_files(&sb, ".statement.json");
    assert_eq!(statements.len(), results.len());
    for (file, result) in statements.iter().zip(&results) {
        let at = |seq: &Value| usize::try_from(seq.as_u64().expect("a number")).expect("small") - 1;
        let line = |seq: &Value| {
            json!({
                "name": format!("audit.jsonl#{seq}"),
                "digest": {"sha256": sha256_hex(raw[at(seq)])}
            })
        };
        let (statement, intent) = (read_json(file), &entries[at(&result["intent"])]);
        assert_eq!(statement["_type"], "https://in-toto.io/Statement/v1");
        assert_eq!(
            statement["predicateType"],
            "https://in-toto.io/attestation/link/v0.3"
        );
        assert_eq!(statement["subject"], json!([line(&result["seq"])]));
        let predicate = &statement["predicate"];
        let argv = if intent["argv"].is_null() {
            json!([])
        } else {
            intent["argv"].clone()
        };
        assert_eq!(
            (&predicate["name"], &predicate["command"]),
            (&intent["step"], &argv)
        );
        assert_eq!(predicate["materials"][0], line(&intent["seq"]));
        let exe = &intent["exe"];
        let tool = json!({"name": exe["path"], "digest": {"sha256": exe["sha256"]}});
        assert_eq!(
            predicate["materials"].get(1),
            Some(&tool).filter(|_| exe["sha256"].is_string())
        );
        let by = &predicate["byproducts"];
        assert_eq!(
            (&by["return-value"], &by["stdout"]),
            (&result["exit"]["code"], &result["stdout"])
        );
        assert_eq!(
            (
                &predicate["environment"]["log"],
                &predicate["environment"]["run"]
            ),
            (&intent["log"], &intent["run"])
        );
        assert_eq!(
            (
                &predicate["environment"]["reason"],
                &predicate["environment"]["variables"]
            ),
            (&json!("CHG-12"), &intent["env"])
        );
        // The bytes to sign, as protocol.md of DSSE v1 defines them.
        let bytes = std::fs::read_to_string(file).expect("text");
        let pae = std::fs::read_to_string(
            file.to_str()
                .expect("text")
                .replace("statement.json", "pae"),
        )
        .expect("text");
        assert_eq!(
            pae,
            format!(
                "DSSEv1 28 application/vnd.in-toto+json {} {bytes}",
                bytes.len()
            )
        );
    }
}

#[test]
fn export_never_overwrites_files() {
    let sb = create_recorded_sandbox();
    assert_eq!(export_statements(&sb, &[]).code, 0);
    assert_eq!(
        export_statements(&sb, &[]).code,
        0,
        "a second export replaces nothing"
    );
    let statements = list_statement_files(&sb, ".statement.json");
    std::fs::write(&statements[0], "mine").expect("sandbox");
    let run = export_statements(&sb, &[]);
    assert!(
        run.code == 1 && run.stderr.contains("the export overwrites no file"),
        "{}",
        run.stderr
    );
    assert_eq!(
        std::fs::read(&statements[0]).expect("the file exists"),
        b"mine"
    );
}

/// Signs every statement with the documented openssl commands. Returns `None` without openssl.
fn sign_statements(sb: &Sandbox) -> Option<()> {
    let script = concat!(
        "cd ../statements && ",
        "openssl ecparam -name prime256v1 -genkey -noout -out ../key.pem && ",
        "openssl ec -in ../key.pem -pubout -out ../key.pub 2>/dev/null && ",
        "for f in *.pae; do ",
        "openssl dgst -sha256 -sign ../key.pem -out \"${f%.pae}.sig\" \"$f\"; ",
        "done"
    );
    if run_system_program(sb, "openssl", &["version"]).is_none() {
        report_skipped("openssl is not installed, so nothing was signed");
        return None;
    }
    let (code, output) = run_system_program(sb, "sh", &["-ec", script]).expect("a shell");
    assert_eq!(code, 0, "{output}");
    Some(())
}

#[test]
fn signed_envelopes_verify_with_openssl() {
    let sb = create_recorded_sandbox();
    assert_eq!(export_statements(&sb, &[]).code, 0);
    let none = export_statements(&sb, &["--attach-signature", "site-key"]);
    assert!(
        none.code == 1 && none.stderr.contains("unsigned statements in"),
        "{}",
        none.stderr
    );
    if sign_statements(&sb).is_none() {
        return;
    }
    let run = export_statements(&sb, &["--attach-signature", "site-key"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let envelopes = list_statement_files(&sb, ".dsse.json");
    assert_eq!(envelopes.len(), sb.read_entries_by_type("result").len());
    for file in &envelopes {
        let envelope = read_json(file);
        assert_eq!(envelope["payloadType"], "application/vnd.in-toto+json");
        assert_eq!(
            (
                envelope["signatures"].as_array().expect("one").len(),
                &envelope["signatures"][0]["keyid"]
            ),
            (1, &json!("site-key"))
        );
        let decoded = |value: &Value| {
            STANDARD
                .decode(value.as_str().expect("text"))
                .expect("base64")
        };
        let payload = decoded(&envelope["payload"]);
        sb.write(
            "tmp/signed",
            [
                format!("DSSEv1 28 application/vnd.in-toto+json {} ", payload.len()).as_bytes(),
                &payload,
            ]
            .concat(),
        );
        sb.write("tmp/sig", decoded(&envelope["signatures"][0]["sig"]));
        let verify = [
            "dgst",
            "-sha256",
            "-verify",
            "../key.pub",
            "-signature",
            "../tmp/sig",
            "../tmp/signed",
        ];
        let (code, output) = run_system_program(&sb, "openssl", &verify).expect("openssl");
        assert_eq!((code, output.trim()), (0, "Verified OK"));
    }
    assert_eq!(
        export_statements(&sb, &["--attach-signature", ""]).code,
        2,
        "a key has a name"
    );
}

#[test]
fn attach_signature_refuses_unsigned_or_changed_statements() {
    let sb = create_recorded_sandbox();
    assert_eq!(export_statements(&sb, &[]).code, 0);
    let all = list_statement_files(&sb, ".pae");
    for pae in &all {
        std::fs::write(
            pae.with_extension("sig"),
            if pae == &all[1] { "" } else { "a signature" },
        )
        .expect("sandbox");
    }
    let run = export_statements(&sb, &["--attach-signature", "site-key"]);
    assert!(
        run.code == 1 && run.stderr.contains(": 1 of "),
        "an empty name counts as missing: {}",
        run.stderr
    );
    assert_eq!(list_statement_files(&sb, ".dsse.json").len(), all.len() - 1);
    let pae = std::fs::read_to_string(&all[0]).expect("text");
    for other in ["DSSEv1 something else".to_owned(), pae + "x"] {
        std::fs::write(&all[0], other).expect("sandbox");
        let run = export_statements(&sb, &["--attach-signature", "site-key"]);
        assert!(
            run.code == 1 && run.stderr.contains("does not match the audit log"),
            "{}",
            run.stderr
        );
    }
}

/// Parses and validates every statement with the official Python bindings.
const IN_TOTO_CHECK_SCRIPT: &str = "
import sys, google.protobuf.json_format as f
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.predicates.link.v0 import link_pb2
for name in sys.argv[1:]:
    pb = f.Parse(open(name, 'rb').read(), statement_pb2.Statement())
    Statement.copy_from_pb(pb).validate()
    link = f.ParseDict(f.MessageToDict(pb.predicate), link_pb2.Link())
    assert link.name and len(link.materials) >= 1 and len(pb.subject) == 1, name
print(len(sys.argv) - 1)
";

#[test]
fn in_toto_bindings_accept_statements() {
    let sb = create_recorded_sandbox();
    assert_eq!(export_statements(&sb, &[]).code, 0);
    let files: Vec<String> = list_statement_files(&sb, ".statement.json")
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let packages = std::env::var("IN_TOTO_ATTESTATION").unwrap_or_default();
    let script = format!("import sys; sys.path[:0] = [{packages:?}]\n{IN_TOTO_CHECK_SCRIPT}");
    let arguments: Vec<&str> = ["-c", &script]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    match run_system_program(&sb, "python3", &arguments) {
        Some((code, output)) if code == 0 || !packages.is_empty() => {
            assert_eq!((code, output.trim()), (0, files.len().to_string().as_str()));
        }
        _ => report_skipped(
            "python3 has no in-toto-attestation (IN_TOTO_ATTESTATION names the directory it is in)",
        ),
    }
}

#[test]
fn export_refuses_statements_for_corrupt_log() {
    let sb = create_recorded_sandbox();
    let text =
        String::from_utf8(sb.read_log())
            .expect("ASCII")
            .replacen("kube-system", "kube-public", 1);
    sb.write(sb.log_path(), text);
    let run = export_statements(&sb, &[]);
    assert!(
        run.code == 1 && run.stderr.contains("the audit log is not intact"),
        "{}",
        run.stderr
    );
    assert!(list_statement_files(&sb, "").is_empty());
    let without = sb.run(&["audit", "export", "--format", "in-toto"]);
    assert_eq!(
        without.code, 2,
        "a target directory is required: {}",
        without.stderr
    );
    assert_eq!(sb.run(&["audit", "export", "--directory", "x"]).code, 2);
}

fn export_html(sb: &Sandbox, more: &[&str]) -> String {
    let run = sb.run(&[&["audit", "export", "--format", "html"], more].concat());
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    run.stdout
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[test]
fn html_shows_every_command_as_executed() {
    let sb = create_recorded_sandbox();
    let page = export_html(&sb, &[]);
    assert!(
        page.contains("The audit log is intact.") && page.contains(">accepted</span>"),
        "{page}"
    );
    let argv: Vec<Value> = sb
        .read_entries_by_type("intent")
        .into_iter()
        .map(|intent| intent["argv"].clone())
        .collect();
    let argv: Vec<Vec<&str>> = argv
        .iter()
        .filter_map(Value::as_array)
        .map(|argv| argv.iter().filter_map(Value::as_str).collect())
        .collect();
    assert!(argv.len() > 5);
    for words in argv {
        let line = escape_html(&shlex::try_join(words).expect("no NUL"));
        assert!(page.contains(&format!("<code>{line}</code>")), "{line}");
    }
    let log = sb.read_log();
    let head = format!(
        "{}:{}",
        split_lines(&log).len(),
        sha256_hex(split_lines(&log).last().expect("an entry"))
    );
    for expected in [
        "CHG-12",
        "sim-dev/influxdb",
        head.as_str(),
        "exit code 0, something changed",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
    for tool in sb.read_entries_by_type("tool") {
        assert!(page.contains(tool["sha256"].as_str().expect("a digest")));
    }
}

#[test]
fn html_loads_and_executes_nothing() {
    let sb = create_recorded_sandbox();
    let evil = "</code><script>alert(1)</script><img src=x onerror='alert(2)'>\\u001b[2J\\u202e";
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    sb.write(
        sb.log_path(),
        text.replace("CHG-12", evil).replace("kube-system", evil),
    );
    let page = export_html(&sb, &[]);
    assert!(
        page.contains("The audit log is not intact.") && page.contains("line 3, byte "),
        "the planted text is present"
    );
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror='"),
        "the planted text is escaped"
    );
    let tags = regex::Regex::new("<[^>]*>").expect("a pattern");
    for tag in tags.find_iter(&page).map(|tag| tag.as_str()) {
        let reaches_out = [
            " src=", "url(", "@import", "<link", "<script", " on", "<img", "<form", "<iframe",
        ];
        assert!(!reaches_out.iter().any(|word| tag.contains(word)), "{tag}");
        assert!(!tag.contains("href") || tag.contains("href=\"#"), "{tag}");
    }
    assert!(
        !page.contains("url(") && !page.contains("@import") && page.contains("default-src 'none'")
    );
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("@media print"));
    assert!(
        !page
            .chars()
            .any(|c| (c.is_control() && c != '\n') || c == '\u{202e}')
    );
}

#[test]
fn html_shows_killed_run_as_unknown() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["secrets/admin-token"],
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 128 + 9);
    crate::crash::kill_orphans(&sb);
    let page = export_html(&sb, &[]);
    for expected in [
        "has no result: its effect is unknown",
        "result unknown",
        ">unknown</span>",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn html_shows_each_verification_of_rotation() {
    let sb = create_recorded_sandbox();
    assert_eq!(
        sb.run(&["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"])
            .code,
        0
    );
    let page = export_html(&sb, &[]);
    for (what, result) in [
        ("the token, before it was written", "accepted"),
        ("the old token, before its revocation", "accepted"),
        ("the old token, after its revocation", "not accepted"),
        ("the new token", "accepted"),
    ] {
        let row = page
            .lines()
            .find(|line| line.contains(&format!("<td>{what}</td>")))
            .expect(what);
        assert!(row.contains(&format!(">{result}</span>")), "{row}");
    }
    assert!(
        page.contains("<strong>delete-rsa-keys</strong>"),
        "changes are marked"
    );
}

/// A last line without LF was never durable, or somebody appended it: bypassctl does not trust it.
#[test]
fn recovered_line_is_ignored_in_every_output() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(&["enable", "-n", "influxdb-prod"]).code, 4);
    let log = sb.read_log();
    let end =
        String::from_utf8(split_lines(&log).last().expect("an entry").to_vec()).expect("ASCII");
    let forged = end
        .replace("\"exit_code\":4", "\"exit_code\":0")
        .replace("refused", "done")
        .replace("\"changed\":false", "\"changed\":true");
    assert_ne!(forged, end);
    sb.write(sb.log_path(), [&log, forged.trim_end().as_bytes()].concat());
    for recovered in [false, true] {
        let list = sb.run(&["audit", "list", "--include-reads"]);
        assert!(
            list.stdout
                .lines()
                .any(|line| line.split_whitespace().nth(3) == Some("enable")
                    && line.split_whitespace().nth(5) == Some("refused")),
            "{recovered}: {}",
            list.stdout
        );
        assert!(
            !export_html(&sb, &[]).contains("something changed"),
            "{recovered}"
        );
        assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
    }
    assert_eq!(sb.read_entries_by_type("log.recover").len(), 1);
    sb.assert_log_intact();
}
