//! `docs/ERRORS.md` has every error and warning that stands in the source, and none that does not.

use super::{project, text};
use crate::sandbox::catalogue::{ROWS, unknown};
use crate::tidy::code_of;
use regex::Regex;
use std::path::Path;

fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(directory).expect("sources").flatten().map(|entry| entry.path()) {
        match entry.is_dir() {
            true => sources(&entry, found),
            false => found.push(code_of(&text(&entry))),
        }
    }
}

/// The messages of a source that are written where the error or warning is made, `X` for what varies.
fn messages(source: &str) -> Vec<String> {
    let made = r#"(?:Error::(?:failed|usage|refused|of)|ui\.warn)\(\s*(?:(?:Kind::\w+|kind),\s*)?(?:&?format!\(\s*)?"((?:[^"\\]|\\.)*)""#;
    let (made, varies) = (Regex::new(made).expect("a pattern"), Regex::new(r"\{[^{}]*\}").expect("a pattern"));
    let found = made.captures_iter(source).map(|found| varies.replace_all(&found[1], "X").into_owned());
    // What is only put together of other texts says nothing here.
    found.filter(|message| message.chars().filter(|c| c.is_lowercase()).count() > 5).collect()
}

#[test]
fn every_message_of_the_source_has_a_row() {
    let mut all = Vec::new();
    sources(&project().join("src"), &mut all);
    let messages: Vec<String> = all.iter().flat_map(|source| messages(source)).collect();
    assert!(messages.len() > 120, "only {} messages are found", messages.len());
    let missing: Vec<_> = messages.iter().filter(|message| !ROWS.iter().any(|row| row.is(message))).collect();
    assert!(missing.is_empty(), "docs/ERRORS.md has no row for {missing:#?}");
}

#[test]
fn every_row_is_of_the_source_or_of_a_tool() {
    let mut all = Vec::new();
    sources(&project().join("src"), &mut all);
    // kubectl's own words, and those of the library that reads the command line.
    let others = [
        "Error from server",
        "You must be logged in",
        "did you specify",
        "getting credentials",
        "exceeded quota",
        "File exists",
    ];
    let clap = [
        "unrecognized subcommand",
        "unexpected argument",
        "invalid value",
        "a value is required",
        "the following required arguments",
    ];
    let source = all.concat().replace('`', "") + &others.concat() + &clap.concat();
    for row in ROWS.iter() {
        let longest = row
            .message
            .split(['…', '(', ')'])
            .max_by_key(|part| part.len())
            .expect("a part")
            .trim_matches([' ', ':', ',']);
        let words: Vec<&str> = longest.split(' ').collect();
        // A value may stand between two words: some of them stand side by side in the source.
        let there = words.windows(words.len().min(3)).any(|some| source.contains(&some.join(" ")));
        assert!(there, "nothing in the source is like `{}`: {longest}", row.message);
    }
}

#[test]
fn what_is_not_in_the_document_is_found() {
    assert_eq!(unknown(2, "error: no namespace is named\nhint: name it\n"), None);
    assert_eq!(unknown(8, "warning: `x` stays: y\n   hint: z\nerror: `a` could not be written: b\nhint: c\n"), None);
    assert!(unknown(1, "error: no namespace is named\nhint: name it\n").is_some(), "another exit code");
    assert!(unknown(1, "error: something else\nhint: do it\n").is_some());
    assert!(unknown(0, "warning: no namespace is named\n   hint: x\n").is_some(), "an error is no warning");
    assert_eq!(messages("Error::failed(format!(\"`{}` is not there: {error}\", p))"), ["`X` is not there: X"]);
}
