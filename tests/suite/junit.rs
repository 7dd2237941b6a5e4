//! `-o junit`, as a real reader of it takes it.

use crate::sandbox::{Run, Sandbox, normalised};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::json;

/// The one test suite that a run printed, whose counts are right.
fn suite(run: &Run) -> TestSuite {
    let report = Report::deserialize_from_str(&run.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", run.stdout));
    let [suite] = &report.test_suites[..] else {
        panic!("{}", run.stdout)
    };
    let of = |wanted: NonSuccessKind| {
        let is = |case: &&TestCase| matches!(&case.status, TestCaseStatus::NonSuccess { kind, .. } if *kind == wanted);
        suite.test_cases.iter().filter(is).count()
    };
    let counts = (
        suite.test_cases.len(),
        of(NonSuccessKind::Failure),
        of(NonSuccessKind::Error),
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

fn doctor(sb: &Sandbox, more: &[&str]) -> (Run, TestSuite) {
    let run = sb.run(&[&["doctor", "-o", "junit"], more].concat());
    let suite = suite(&run);
    (run, suite)
}

/// Message, type and text of what did not succeed.
fn told(case: &TestCase) -> [String; 3] {
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

fn named<'a>(suite: &'a TestSuite, name: &str) -> &'a TestCase {
    suite
        .test_cases
        .iter()
        .find(|case| case.name.as_str() == name)
        .unwrap_or_else(|| panic!("{name} in {suite:?}"))
}

#[test]
fn everything_holds() {
    let sb = Sandbox::new();
    let (run, suite) = doctor(&sb, &["-n", "influxdb"]);
    assert_eq!(
        (run.code, suite.name.as_str(), suite.failures, suite.errors),
        (0, "bypassctl doctor", 0, 0)
    );
    let check = named(&suite, "kubectl");
    let out = normalised(
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
    // Two checks have this name.
    let warned = named(&suite, "influxctl (2)")
        .system_out
        .as_ref()
        .expect("a warning")
        .as_str();
    assert!(
        warned.starts_with("warning: the profile has ") && warned.contains("\nhint: "),
        "{warned}"
    );
    assert!(run.stderr.starts_with("audit head "), "{}", run.stderr);
}

#[test]
fn a_check_that_failed() {
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "delete", "resource": "secrets", "name": "rsa-keys"}));
    let (run, suite) = doctor(&sb, &["-n", "influxdb"]);
    assert_eq!(
        (run.code, suite.failures, suite.errors),
        (1, 1, 0),
        "no error beside what the check says"
    );
    let [message, kind, text] = told(named(&suite, "may delete secrets/rsa-keys"));
    assert_eq!(
        (message.as_str(), kind.as_str()),
        ("no; a revocation needs it", "failed")
    );
    assert!(
        text.starts_with("no; a revocation needs it\nhint: kubectl create role NAME "),
        "{text}"
    );
}

#[test]
fn what_fails_before_any_check_is_an_error() {
    let sb = Sandbox::new();
    let (run, suite) = doctor(&sb, &[]);
    assert_eq!((run.code, suite.tests), (2, 1));
    let [message, kind, text] = told(named(&suite, "error"));
    assert_eq!(
        (message.as_str(), kind.as_str()),
        ("no namespace is named", "usage")
    );
    assert!(text.contains("\nhint: name the namespace"), "{text}");
    let (run, suite) = doctor(&sb, &["-n", "influxdb", "--audit-log", "/dev/null/log"]);
    assert_eq!(
        (
            run.code,
            suite.tests,
            told(named(&suite, "error"))[1].as_str()
        ),
        (9, 1, "unrecorded")
    );
}

#[test]
fn nothing_that_a_tool_says_makes_it_other_xml() {
    let sb = Sandbox::new();
    let said = "</testcase>]]>&amp;<x a=\"'\u{1b}[2J\u{7}\u{ffff}";
    sb.fault(json!({"tool": "kubectl", "contains": ["pods"], "do": {"exit": {"code": 1, "stderr": said}}}));
    let (run, suite) = doctor(&sb, &["-n", "influxdb"]);
    let [message, _, text] = told(named(&suite, "pods"));
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
fn all_that_reports_checks_takes_it_and_nothing_else() {
    let sb = Sandbox::new();
    std::fs::write(sb.home("bypassctl.toml"), sb.run(&["tools", "pin"]).stdout).expect("sandbox");
    for (code, args) in [
        (3, &["status", "-n", "influxdb"][..]),
        (0, &["tools", "verify"]),
        (0, &["audit", "verify"]),
    ] {
        let run = sb.run(&[args, &["-o", "junit"]].concat());
        assert!(run.code == code && suite(&run).tests > 1, "{run:?}");
    }
    let log = sb.log_bytes();
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
            run.code == 2 && told(named(&suite(&run), "error"))[1] == "usage",
            "{run:?}"
        );
        assert!(
            run.stderr
                .contains("hint: these do: doctor, status, tools verify, audit verify\n"),
            "{}",
            run.stderr
        );
    }
    assert!(sb.log_bytes() == log, "nothing was run");
}
