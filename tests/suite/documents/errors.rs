//! `docs/ERRORS.md` has every error and warning that stands in the source, and none that does not.

use crate::architecture::read_sources;
use crate::sandbox::error_docs::{ERROR_ROWS, find_undocumented};
use regex::Regex;

/// The messages of a source that are written where the error or warning is made, `X` for what varies. What kubectl says
/// follows after a colon.
fn extract_messages(source: &str) -> Vec<String> {
    let text = r#""((?:[^"\\]|\\.)*)""#;
    let error =
        r"(?:Error::(?:failed|usage|refused|of)|ui\s*\.warn)\(\s*(?:(?:Kind::\w+|kind),\s*)?";
    let pattern =
        |made: &str| Regex::new(&format!(r"{made}(?:&?format!\(\s*)?{text}")).expect("a pattern");
    let varies = Regex::new(r"\{[^{}]*\}").expect("a pattern");
    let found = |made: &str, more: &str| -> Vec<String> {
        let of = |found: regex::Captures| varies.replace_all(&found[1], "X").into_owned() + more;
        pattern(made).captures_iter(source).map(of).collect()
    };
    let all = [found(error, ""), found(r"into_error\(\s*", ": X")].concat();
    // What is only put together of other texts says nothing here, and the last watch is told within another error.
    let all = all
        .into_iter()
        .filter(|message| message != "the last watch failed: X");
    all.filter(|message| message.chars().filter(|c| c.is_lowercase()).count() > 5)
        .collect()
}

#[test]
fn errors_document_lists_every_source_message() {
    let messages: Vec<String> = read_sources()
        .iter()
        .flat_map(|source| extract_messages(&source.code))
        .collect();
    assert!(
        messages.len() > 150,
        "only {} messages are found",
        messages.len()
    );
    let missing: Vec<_> = messages
        .iter()
        .filter(|message| !ERROR_ROWS.iter().any(|row| row.matches(message)))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/ERRORS.md has no row for {missing:#?}"
    );
}

/// What is not the program's own: kubectl's words, the system's, and those of the library that reads the command line.
const EXTERNAL_MESSAGES: &[&str] = &[
    "Error from server (NotFound)",
    "Error from server (Forbidden)",
    "You must be logged in to the server",
    "Unable to connect to the server",
    "was refused - did you specify the right host or port?",
    "getting credentials",
    "exceeded quota",
    "(ServiceUnavailable)",
    "(Timeout)",
    "File exists",
    "No such file or directory",
    "Permission denied",
    "invalid utf-8 sequence",
    "unrecognized subcommand",
    "unexpected argument",
    "invalid value",
    "a value is required for",
    "the following required arguments were not provided",
    "cannot be used with",
];

#[test]
fn errors_document_lists_no_unknown_message() {
    let goes_on = Regex::new(r"\\\n\s*").expect("a pattern");
    let source: String = read_sources()
        .into_iter()
        .map(|source| source.code.replace('`', ""))
        .collect();
    let source = goes_on.replace_all(&source, "").into_owned() + &EXTERNAL_MESSAGES.join("\n");
    // What stands between two things that vary; a colon often joins two texts.
    let parts = Regex::new("…|: ").expect("a pattern");
    let longest = |message: &str| {
        parts
            .split(message)
            .max_by_key(|part| part.len())
            .unwrap_or_default()
            .to_owned()
    };
    let is_there = |message: &str| source.contains(longest(message).trim());
    let wrong: Vec<&str> = ERROR_ROWS
        .iter()
        .map(|row| row.message.as_str())
        .filter(|message| !is_there(message))
        .collect();
    assert!(wrong.is_empty(), "nothing in the source is like {wrong:#?}");
    assert!(!is_there("the moon cannot be read: …"));
}

#[test]
fn undocumented_message_is_detected() {
    assert_eq!(
        find_undocumented(2, "error: no namespace is named\nhint: name it\n"),
        None
    );
    assert_eq!(
        find_undocumented(
            8,
            "warning: `x` stays: y\n   hint: z\nerror: `a` could not be written: b\nhint: c\n"
        ),
        None
    );
    assert!(
        find_undocumented(1, "error: no namespace is named\nhint: name it\n").is_some(),
        "another exit code"
    );
    assert!(find_undocumented(1, "error: something else\nhint: do it\n").is_some());
    assert!(
        find_undocumented(0, "warning: no namespace is named\n   hint: x\n").is_some(),
        "an error is no warning"
    );
    assert!(
        find_undocumented(1, "error: no namespace is named\nusage: x\n").is_some(),
        "no hint"
    );
    assert_eq!(
        extract_messages("Error::failed(format!(\"`{}` is not there: {error}\", p))"),
        ["`X` is not there: X"]
    );
}
