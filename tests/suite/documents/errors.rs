//! `docs/ERRORS.md` has a row for each error and warning in the source, and no other row.

use crate::architecture::read_sources;
use crate::sandbox::error_docs::{ERROR_ROWS, find_undocumented};
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use regex::Regex;
use std::sync::LazyLock;

static PLACEHOLDER: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{[^{}]*\}").expect("a pattern"));

/// Returns the messages that a source passes to the constructors of errors and warnings, with `X`
/// for each placeholder. The text that kubectl adds follows after a colon.
fn extract_messages(source: &str) -> Vec<String> {
    let text = r#""((?:[^"\\]|\\.)*)""#;
    let error = r"(?:Error::(?:failure|usage|refusal|from_kind)|ui\s*\.warn)\(\s*(?:(?:ErrorKind::\w+|kind),\s*)?";
    let extract = |call: &str, suffix: &str| -> Vec<String> {
        Regex::new(&format!(r"{call}(?:&?format!\(\s*)?{text}"))
            .expect("a pattern")
            .captures_iter(source)
            .map(|found| {
                PLACEHOLDER
                    .replace_all(&unescape(&found[1]), "X")
                    .into_owned()
                    + suffix
            })
            .collect()
    };
    [extract(error, ""), extract(r"into_error\(\s*", ": X")]
        .concat()
        .into_iter()
        // Another error quotes this one.
        .filter(|message| message != "the last watch failed: X")
        .filter(|message| message.chars().filter(|c| c.is_lowercase()).count() > 5)
        .collect()
}

/// Joins a literal that continues on the next line.
fn unescape(literal: &str) -> String {
    static CONTINUATION: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\\\n\s*").expect("a pattern"));
    CONTINUATION.replace_all(literal, "").into_owned()
}

#[test]
fn errors_document_lists_every_source_message() {
    let messages: Vec<String> = read_sources()
        .iter()
        .flat_map(|source| extract_messages(&source.code))
        .collect();
    assert!(
        messages.len() > 150,
        "only {} messages found",
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

/// Texts of kubectl, of the system and of the command line parser.
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

/// Appends the string literals of a source that can be part of a message: none of a hint, an
/// attribute or the second argument of `warn`, which is its hint.
fn collect_message_literals(tokens: TokenStream, literals: &mut Vec<String>) {
    let mut last_ident = String::new();
    let mut is_attribute = false;
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                let stream = group.stream();
                match (group.delimiter(), last_ident.as_str()) {
                    (Delimiter::Parenthesis, "hint" | "append_hint") => {}
                    (Delimiter::Bracket, _) if is_attribute => {}
                    (Delimiter::Parenthesis, "warn") => {
                        let is_comma = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
                        let message = stream.into_iter().take_while(|token| !is_comma(token));
                        collect_message_literals(message.collect(), literals);
                    }
                    _ => collect_message_literals(stream, literals),
                }
                last_ident.clear();
                is_attribute = false;
            }
            TokenTree::Ident(ident) => last_ident = ident.to_string(),
            TokenTree::Punct(punct) => is_attribute = punct.as_char() == '#',
            TokenTree::Literal(literal) => literals.push(unescape(&literal.to_string())),
        }
    }
}

/// Returns the rows of `docs/ERRORS.md` that match no literal.
fn find_stale_rows<'a>(literals: &[String], rows: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    static SEPARATOR: LazyLock<Regex> = LazyLock::new(|| Regex::new("…|: ").expect("a pattern"));
    let literals: Vec<String> = literals.iter().map(|text| text.replace('`', "")).collect();
    let is_known = |message: &&str| {
        let longest_part = SEPARATOR
            .split(message)
            .max_by_key(|part| part.len())
            .unwrap_or_default()
            .trim();
        literals
            .iter()
            .map(String::as_str)
            .chain(EXTERNAL_MESSAGES.iter().copied())
            .any(|text| text.contains(longest_part))
    };
    rows.filter(|message| !is_known(message)).collect()
}

#[test]
fn errors_document_lists_no_unknown_message() {
    let mut literals = Vec::new();
    for source in read_sources() {
        let tokens = source.code.parse().expect("a source that compiles");
        collect_message_literals(tokens, &mut literals);
    }
    let rows = || ERROR_ROWS.iter().map(|row| row.message.as_str());
    let stale = find_stale_rows(&literals, rows());
    assert!(
        stale.is_empty(),
        "no message in the source is like {stale:#?}"
    );
    let made_up = ["cannot read the moon: …"];
    assert_eq!(find_stale_rows(&literals, made_up.into_iter()), made_up);
}

#[test]
fn hint_is_no_message_of_the_errors_document() {
    let source =
        r#"Error::failure("cannot read").hint("run it again"); ui.warn(&format!("a"), "b");"#;
    let mut literals = Vec::new();
    collect_message_literals(source.parse().expect("tokens"), &mut literals);
    assert_eq!(literals, ["\"cannot read\"", "\"a\""]);
    assert_eq!(
        find_stale_rows(&literals, ["run it again"].into_iter()),
        ["run it again"]
    );
}

#[test]
fn undocumented_message_is_detected() {
    assert_eq!(
        find_undocumented(2, "error: no namespace given\nhint: name it\n"),
        None
    );
    assert_eq!(
        find_undocumented(
            8,
            "warning: `x` is kept: y\n   hint: z\nerror: cannot write `a`: b\nhint: c\n"
        ),
        None
    );
    assert!(
        find_undocumented(1, "error: no namespace given\nhint: name it\n").is_some(),
        "another exit code"
    );
    assert!(find_undocumented(1, "error: something else\nhint: do it\n").is_some());
    assert!(
        find_undocumented(0, "warning: no namespace given\n   hint: x\n").is_some(),
        "an error is no warning"
    );
    assert!(
        find_undocumented(1, "error: no namespace given\nusage: x\n").is_some(),
        "no hint"
    );
    assert_eq!(
        extract_messages("Error::failure(format!(\"`{}` is not there: {error}\", p))"),
        ["`X` is not there: X"]
    );
}
