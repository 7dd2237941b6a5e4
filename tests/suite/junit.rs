//! `-o junit`, parsed by a real reader.

use crate::policy::write_trusted_policy;
use crate::sandbox::{CommandOutput, Sandbox, normalize};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

/// Returns the only test suite of a report, and checks its counts.
fn parse_suite(run: &CommandOutput) -> TestSuite {
    let report = Report::deserialize_from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", run.stdout));
    let [suite] = &report.test_suites[..] else {
        panic!("{}", run.stdout)
    };
    let list_names = |wanted: NonSuccessKind| {
        let is_wanted = |case: &&TestCase| match &case.status {
            TestCaseStatus::NonSuccess { kind, .. } => *kind == wanted,
            _ => false,
        };
        suite.test_cases.iter().filter(is_wanted).count()
    };
    let counts = (
        suite.test_cases.len(),
        list_names(NonSuccessKind::Failure),
        list_names(NonSuccessKind::Error),
    );
    assert_eq!((suite.tests, suite.failures, suite.errors), counts);
    assert_eq!((report.tests, report.failures, report.errors), counts);
    assert!(
        suite.time.is_some() && suite.test_cases.iter().all(|case| case.time <= suite.time),
        "{}",
        run.stdout
    );
    suite.clone()
}

fn run_doctor(sb: &Sandbox, more: &[&str]) -> (CommandOutput, TestSuite) {
    let run = sb.run(&[&["doctor", "-o", "junit"], more].concat());
    let suite = parse_suite(&run);
    (run, suite)
}

/// Returns message, type and text of a test case that did not succeed.
fn extract_failure(case: &TestCase) -> [String; 3] {
    match &case.status {
        TestCaseStatus::NonSuccess {
            message,
            ty,
            description,
            ..
        } => [message, ty, description].map(|text| {
            text.as_ref()
                .map(|text| text.as_str().to_owned())
                .unwrap_or_default()
        }),
        other => panic!("{other:?}"),
    }
}

fn find_case<'a>(suite: &'a TestSuite, name: &str) -> &'a TestCase {
    suite
        .test_cases
        .iter()
        .find(|case| case.name.as_str() == name)
        .unwrap_or_else(|| panic!("{name} in {suite:?}"))
}

#[test]
fn doctor_report_passes_on_working_setup() {
    let sb = Sandbox::new();
    let (run, suite) = run_doctor(&sb, &["-n", "influxdb"]);
    assert_eq!(
        (run.code, suite.name.as_str(), suite.failures, suite.errors),
        (0, "bypassctl doctor", 0, 0)
    );
    let check = find_case(&suite, "kubectl");
    let out = normalize(
        check.system_out.as_ref().expect("a detail").as_str(),
        sb.root(),
    );
    assert_eq!(
        (
            check.classname.as_ref().expect("a class").as_str(),
            out.as_str()
        ),
        ("bypassctl.doctor", "1.34.5 at [FAKE]")
    );
    // Two checks share this name.
    let warned = find_case(&suite, "influxctl (2)")
        .system_out
        .as_ref()
        .expect("a warning")
        .as_str();
    assert!(
        warned.starts_with("warning: the profile also has ") && warned.contains("\nhint: "),
        "{warned}"
    );
    assert!(run.stderr.starts_with("audit head "), "{}", run.stderr);
}

#[test]
fn failed_check_is_reported_as_failure() {
    let sb = Sandbox::new();
    sb.deny_access(json!({"verb": "delete", "resource": "secrets", "name": "rsa-keys"}));
    let (run, suite) = run_doctor(&sb, &["-n", "influxdb"]);
    assert_eq!(
        (run.code, suite.failures, suite.errors),
        (1, 1, 0),
        "the failed check is the only error"
    );
    let [message, kind, text] = extract_failure(find_case(&suite, "may delete secrets/rsa-keys"));
    assert_eq!(
        (message.as_str(), kind.as_str()),
        ("no, but a revocation needs it", "failed")
    );
    assert!(
        text.starts_with("no, but a revocation needs it\nhint: apply the role that `bypassctl "),
        "{text}"
    );
}

#[test]
fn error_before_any_check_is_reported_as_error() {
    let sb = Sandbox::new();
    let (run, suite) = run_doctor(&sb, &[]);
    assert_eq!((run.code, suite.tests), (2, 1));
    let [message, kind, text] = extract_failure(find_case(&suite, "error"));
    assert_eq!(
        (message.as_str(), kind.as_str()),
        ("no namespace given", "usage")
    );
    assert!(text.contains("\nhint: pass the namespace"), "{text}");
    let (run, suite) = run_doctor(&sb, &["-n", "influxdb", "--audit-log", "/dev/null/log"]);
    assert_eq!(
        (
            run.code,
            suite.tests,
            extract_failure(find_case(&suite, "error"))[1].as_str()
        ),
        (9, 1, "unrecorded")
    );
}

#[test]
fn tool_output_is_escaped_in_report() {
    let sb = Sandbox::new();
    let output = "</testcase>]]>&amp;<x a=\"'\u{1b}[2J\u{7}\u{ffff}";
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["pods"],
        "do": {"exit": {"code": 1, "stderr": output}}
    }));
    let (run, suite) = run_doctor(&sb, &["-n", "influxdb"]);
    let [message, _, text] = extract_failure(find_case(&suite, "pods"));
    assert!(
        run.code == 1 && message.contains("</testcase>]]>&amp;<x a=\"' [2J"),
        "{message}"
    );
    assert!(
        text.starts_with(&message) && !run.stdout.contains(['\u{1b}', '\u{7}', '\u{ffff}']),
        "{text}"
    );
}

#[test]
fn junit_is_accepted_only_by_check_commands() {
    let sb = Sandbox::new();
    write_trusted_policy(&sb, &sb.run(&["tools", "pin"]).stdout);
    for (code, args) in [
        (3, &["status", "-n", "influxdb"][..]),
        (0, &["tools", "verify"]),
        (0, &["audit", "verify"]),
    ] {
        let run = sb.run(&[args, &["-o", "junit"]].concat());
        assert!(run.code == code && parse_suite(&run).tests > 1, "{run:?}");
    }
    let log = sb.read_log();
    for args in [
        &["enable", "-n", "influxdb"][..],
        &["disable"],
        &["revoke", "-n", "influxdb"],
        &["plan", "enable", "-n", "influxdb", "--out", "p"],
        &["plan", "show", "p"],
        &["audit", "list"],
    ] {
        let run = sb.run(&[args, &["-o", "junit"]].concat());
        assert!(
            run.code == 2 && extract_failure(find_case(&parse_suite(&run), "error"))[1] == "usage",
            "{run:?}"
        );
        assert!(
            run.stderr.contains(
                "hint: use -o json, or one of these commands: doctor, status, tools \
                           verify, audit verify\n"
            ),
            "{}",
            run.stderr
        );
    }
    assert!(sb.read_log() == log, "a usage error changes no log");
}

#[test]
fn usage_error_is_reported_as_error() {
    let sb = Sandbox::new();
    for args in [
        &["doctor", "-o", "junit", "--nope"][..],
        &["-ojunit"],
        &["status", "--output=junit", "--timeout", "x"],
    ] {
        let run = sb.run(args);
        assert_eq!(run.code, 2, "{args:?}: {}", run.stderr);
        let suite = parse_suite(&run);
        assert_eq!((suite.name.as_str(), suite.errors), ("bypassctl", 1));
        let [message, kind, text] = extract_failure(&suite.test_cases[0]);
        assert_eq!(kind, "usage", "{message}: {text}");
        assert!(text.contains("hint: "), "{text}");
    }
}
