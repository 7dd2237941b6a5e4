//! Checks as the JUnit XML that CI systems read: one test suite, a test case for each check.

use super::check::{Check, CheckState};
use super::report::{ErrorReport, Report};
use crate::error::ErrorKind;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Text as it stands in XML 1.0, in an element or an attribute: control characters are none, so they go.
fn escape_xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// In one line, as a reader would have it.
fn escape_attribute(value: &str) -> String {
    escape_xml(value).replace('\n', " ")
}

fn format_seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn append_hint(text: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| text.to_owned(), |hint| format!("{text}\nhint: {hint}"))
}

/// The whole document; `ms` is how long the run took.
pub(super) fn render_junit(report: &Report, ms: u64) -> String {
    let checks = &report.data.checks;
    let failures = checks
        .iter()
        .filter(|check| check.state == CheckState::Failed)
        .count();
    let error = report
        .error
        .as_ref()
        .filter(|error| failures == 0 || !is_implied_by_checks(error));
    let (suite, tests, errors) = (
        format!("bypassctl {}", report.command),
        checks.len() + usize::from(error.is_some()),
        usize::from(error.is_some()),
    );
    let counts = format!(
        "name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"",
        escape_attribute(&suite)
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts} time=\"{time}\">\n  <testsuite {counts} skipped=\"0\" time=\"{time}\">\n",
        time = format_seconds(ms)
    );
    let (mut names, mut before) = (UniqueNames::default(), 0);
    for check in checks {
        push_test_case(
            &mut xml,
            &suite,
            &names.make_unique(&check.name),
            check.elapsed_ms.saturating_sub(before),
            &render_check(check),
        );
        before = check.elapsed_ms;
    }
    if let Some(error) = error {
        let failure = render_element("error", error.code, error.message, Some(error.hint));
        push_test_case(
            &mut xml,
            &suite,
            &names.make_unique("error"),
            ms.saturating_sub(before),
            &failure,
        );
    }
    let warned = report
        .data
        .warnings
        .iter()
        .map(|warning| append_hint(&warning.message, Some(&warning.hint)));
    let warned: Vec<String> = warned
        .map(|warning| format!("warning: {warning}\n"))
        .collect();
    if !warned.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            xml,
            "    <system-out>{}</system-out>",
            escape_xml(&warned.concat())
        );
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

/// Whether an error says no more than the checks that have failed.
fn is_implied_by_checks(error: &ErrorReport) -> bool {
    [
        ErrorKind::Interrupted,
        ErrorKind::Terminated,
        ErrorKind::Unrecorded,
    ]
    .iter()
    .all(|kind| kind.name() != error.code)
}

fn push_test_case(xml: &mut String, suite: &str, name: &str, ms: u64, found: &str) {
    let (name, class, time) = (
        escape_attribute(name),
        escape_attribute(suite).replace(' ', "."),
        format_seconds(ms),
    );
    let _ = writeln!(
        xml,
        "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{time}\">\n{found}    </testcase>"
    );
}

fn render_check(check: &Check) -> String {
    match check.state {
        CheckState::Failed => {
            render_element("failure", "failed", &check.detail, check.hint.as_deref())
        }
        CheckState::Ok | CheckState::Warning => {
            let warning = if check.state == CheckState::Warning {
                "warning: "
            } else {
                ""
            };
            let told = append_hint(&check.detail, check.hint.as_deref());
            format!(
                "      <system-out>{warning}{}</system-out>\n",
                escape_xml(&told)
            )
        }
    }
}

fn render_element(name: &str, kind: &str, message: &str, hint: Option<&str>) -> String {
    let told = escape_xml(&append_hint(message, hint));
    format!(
        "      <{name} message=\"{}\" type=\"{}\">{told}</{name}>\n",
        escape_attribute(message),
        escape_attribute(kind)
    )
}

/// Of test cases that share a name, some readers show one.
#[derive(Default)]
struct UniqueNames(BTreeMap<String, usize>);

impl UniqueNames {
    fn make_unique(&mut self, name: &str) -> String {
        let times = self.0.entry(name.to_owned()).or_default();
        *times += 1;
        if *times == 1 {
            name.to_owned()
        } else {
            format!("{name} ({times})")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_xml_escapes_markup_and_drops_invalid_characters() {
        assert_eq!(
            escape_xml("<a b=\"c\">&]]>\u{0}\u{1b}[2J\u{9b}\u{ffff}\n\té"),
            "&lt;a b=&quot;c&quot;&gt;&amp;]]&gt;[2J\né"
        );
        assert_eq!(escape_attribute("a\n<"), "a &lt;");
    }
}
