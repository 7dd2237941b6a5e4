//! Checks as the JUnit XML that CI systems read: one test suite with one test case for each check.

use super::check::{Check, CheckState};
use super::options::format_title;
use super::report::{ErrorReport, Report};
use crate::error::ErrorKind;
use crate::text::is_invisible;
use quick_junit::{NonSuccessKind, SerializeError, TestCase, TestCaseStatus, TestSuite};
use std::collections::BTreeMap;
use std::time::Duration;

/// Renders the whole document. `elapsed_ms` is the duration of the run.
pub(super) fn render_junit(report: &Report, elapsed_ms: u64) -> Result<String, SerializeError> {
    let name = format_title(report.command);
    let checks = &report.data.checks;
    let has_failure = checks.iter().any(|check| check.state == CheckState::Failed);
    let error = report
        .error
        .as_ref()
        .filter(|error| !has_failure || !is_implied_by_checks(error));
    let mut cases = TestCases::new(&name);
    for check in checks {
        cases.push(&check.name, check.elapsed_ms, render_check(check));
    }
    if let Some(error) = error {
        let status = render_failure(
            NonSuccessKind::Error,
            error.code,
            error.message,
            Some(error.hint),
        );
        cases.push("error", elapsed_ms, (status, None));
    }
    let duration = Duration::from_millis(elapsed_ms);
    let mut suite = TestSuite::new(name.as_str());
    suite.set_time(duration).add_test_cases(cases.cases);
    let warnings: String = report
        .data
        .warnings
        .iter()
        .map(|warning| {
            let text = append_hint(&warning.message, Some(&warning.hint));
            format!("warning: {text}\n")
        })
        .collect();
    if !warnings.is_empty() {
        suite.set_system_out(strip_controls(&warnings));
    }
    let mut document = quick_junit::Report::new(name);
    document.set_time(duration).add_test_suite(suite);
    document.to_string()
}

/// Returns whether the failed checks already report the error.
fn is_implied_by_checks(error: &ErrorReport) -> bool {
    [
        ErrorKind::Interrupted,
        ErrorKind::Terminated,
        ErrorKind::Unrecorded,
    ]
    .iter()
    .all(|kind| kind.name() != error.code)
}

/// The status of a check, and its detail unless it failed.
fn render_check(check: &Check) -> (TestCaseStatus, Option<String>) {
    let hint = check.hint.as_deref();
    let text = append_hint(&check.detail, hint);
    match check.state {
        CheckState::Ok => (TestCaseStatus::success(), Some(text)),
        CheckState::Warning => (TestCaseStatus::success(), Some(format!("warning: {text}"))),
        CheckState::Failed => (
            render_failure(NonSuccessKind::Failure, "failed", &check.detail, hint),
            None,
        ),
    }
}

fn render_failure(
    kind: NonSuccessKind,
    code: &str,
    message: &str,
    hint: Option<&str>,
) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status
        .set_message(to_single_line(message))
        .set_type(code)
        .set_description(strip_controls(&append_hint(message, hint)));
    status
}

fn append_hint(text: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| text.to_owned(), |hint| format!("{text}\nhint: {hint}"))
}

/// Removes what XML 1.0 does not allow, and the other control characters but line feeds: they steer
/// a terminal. Invisible characters can reverse a text.
fn strip_controls(text: &str) -> String {
    let is_valid = |c: &char| match c {
        '\n' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        c => !c.is_control() && !is_invisible(*c),
    };
    text.chars().filter(is_valid).collect()
}

fn to_single_line(text: &str) -> String {
    strip_controls(text).replace('\n', " ")
}

/// Test cases with unique names: some readers show only one of several with the same name.
struct TestCases {
    class: String,
    cases: Vec<TestCase>,
    name_counts: BTreeMap<String, usize>,
    /// The end of the previous test case, in milliseconds since the run began.
    previous_ms: u64,
}

impl TestCases {
    fn new(suite: &str) -> Self {
        Self {
            class: suite.replace(' ', "."),
            cases: Vec::new(),
            name_counts: BTreeMap::new(),
            previous_ms: 0,
        }
    }

    fn push(&mut self, name: &str, end_ms: u64, result: (TestCaseStatus, Option<String>)) {
        let (status, output) = result;
        let mut case = TestCase::new(self.make_unique(&to_single_line(name)), status);
        case.set_classname(self.class.as_str())
            .set_time(Duration::from_millis(
                end_ms.saturating_sub(self.previous_ms),
            ));
        if let Some(output) = output {
            case.set_system_out(strip_controls(&output));
        }
        self.cases.push(case);
        self.previous_ms = end_ms;
    }

    fn make_unique(&mut self, name: &str) -> String {
        let count = self.name_counts.entry(name.to_owned()).or_default();
        *count += 1;
        if *count == 1 {
            name.to_owned()
        } else {
            format!("{name} ({count})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_escapes_markup_and_drops_invalid_characters() {
        let text = "<a b=\"c\">&]]>\u{0}\u{1b}[2J\u{9b}\u{ffff}\n\té";
        let mut cases = TestCases::new("a b");
        let status = render_failure(NonSuccessKind::Failure, "failed", text, None);
        cases.push("a\n<", 5, (status, None));
        let mut suite = TestSuite::new("a b");
        suite.add_test_cases(cases.cases);
        let mut document = quick_junit::Report::new("a b");
        document.add_test_suite(suite);
        let xml = document.to_string().expect("no failing writer");
        for expected in [
            "name=\"a &lt;\" classname=\"a.b\" time=\"0.005\"",
            "message=\"&lt;a b=&quot;c&quot;&gt;&amp;]]&gt;[2J é\" type=\"failed\"",
            "&amp;]]&gt;[2J\né</failure>",
        ] {
            assert!(xml.contains(expected), "{expected} in {xml}");
        }
    }
}
