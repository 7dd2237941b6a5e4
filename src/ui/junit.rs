//! Checks as the JUnit XML that CI systems read: one test suite, a test case for each check.

use super::check::{Check, State};
use super::report::{Failure, Report};
use crate::error::Kind;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Text as it stands in XML 1.0, in an element or an attribute: control characters are none, so they go.
fn text(text: &str) -> String {
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
fn attribute(value: &str) -> String {
    text(value).replace('\n', " ")
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1000, ms % 1000)
}

fn with_hint(text: &str, hint: Option<&str>) -> String {
    hint.map_or_else(|| text.to_owned(), |hint| format!("{text}\nhint: {hint}"))
}

/// The whole document; `ms` is how long the run took.
pub(super) fn of(report: &Report, ms: u64) -> String {
    let checks = &report.told.checks;
    let failures = checks
        .iter()
        .filter(|check| check.state == State::Failed)
        .count();
    let error = report
        .error
        .as_ref()
        .filter(|error| failures == 0 || !is_told_by_checks(error));
    let (suite, tests, errors) = (
        format!("bypassctl {}", report.command),
        checks.len() + usize::from(error.is_some()),
        usize::from(error.is_some()),
    );
    let counts = format!(
        "name=\"{}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\"",
        attribute(&suite)
    );
    let mut xml = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts} time=\"{time}\">\n  <testsuite {counts} skipped=\"0\" time=\"{time}\">\n",
        time = seconds(ms)
    );
    let (mut names, mut before) = (Names::default(), 0);
    for check in checks {
        case(
            &mut xml,
            &suite,
            &names.unique(&check.name),
            check.ms.saturating_sub(before),
            &found(check),
        );
        before = check.ms;
    }
    if let Some(error) = error {
        let failure = element("error", error.code, error.message, Some(error.hint));
        case(
            &mut xml,
            &suite,
            &names.unique("error"),
            ms.saturating_sub(before),
            &failure,
        );
    }
    let warned = report
        .told
        .warnings
        .iter()
        .map(|warning| with_hint(&warning.message, Some(&warning.hint)));
    let warned: Vec<String> = warned
        .map(|warning| format!("warning: {warning}\n"))
        .collect();
    if !warned.is_empty() {
        // Writing to a String cannot fail.
        let _ = writeln!(
            xml,
            "    <system-out>{}</system-out>",
            text(&warned.concat())
        );
    }
    xml + "  </testsuite>\n</testsuites>\n"
}

/// Whether an error says no more than the checks that have failed.
fn is_told_by_checks(error: &Failure) -> bool {
    [Kind::Interrupted, Kind::Terminated, Kind::Unrecorded]
        .iter()
        .all(|kind| kind.name() != error.code)
}

fn case(xml: &mut String, suite: &str, name: &str, ms: u64, found: &str) {
    let (name, class, time) = (
        attribute(name),
        attribute(suite).replace(' ', "."),
        seconds(ms),
    );
    let _ = writeln!(
        xml,
        "    <testcase name=\"{name}\" classname=\"{class}\" time=\"{time}\">\n{found}    </testcase>"
    );
}

fn found(check: &Check) -> String {
    match check.state {
        State::Failed => element("failure", "failed", &check.detail, check.hint.as_deref()),
        State::Ok | State::Warning => {
            let warning = if check.state == State::Warning {
                "warning: "
            } else {
                ""
            };
            let told = with_hint(&check.detail, check.hint.as_deref());
            format!("      <system-out>{warning}{}</system-out>\n", text(&told))
        }
    }
}

fn element(name: &str, kind: &str, message: &str, hint: Option<&str>) -> String {
    let told = text(&with_hint(message, hint));
    format!(
        "      <{name} message=\"{}\" type=\"{}\">{told}</{name}>\n",
        attribute(message),
        attribute(kind)
    )
}

/// Of test cases that share a name, some readers show one.
#[derive(Default)]
struct Names(BTreeMap<String, usize>);

impl Names {
    fn unique(&mut self, name: &str) -> String {
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
    fn text_is_never_markup_nor_invalid() {
        assert_eq!(
            text("<a b=\"c\">&]]>\u{0}\u{1b}[2J\u{9b}\u{ffff}\n\té"),
            "&lt;a b=&quot;c&quot;&gt;&amp;]]&gt;[2J\né"
        );
        assert_eq!(attribute("a\n<"), "a &lt;");
    }
}
