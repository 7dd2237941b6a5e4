//! Words that no line break may split, and paths in the home directory.

use std::borrow::Cow;
use textwrap::core::Word;

/// Splits a line at blanks outside of backquotes.
pub(super) fn find_words(line: &str) -> Box<dyn Iterator<Item = Word<'_>> + '_> {
    // A path can contain a backquote, and then all the blanks count.
    let has_pairs = line.matches('`').count().is_multiple_of(2);
    let mut is_quoted = false;
    let mut is_blank_before = false;
    let mut starts = vec![0];
    for (at, c) in line.char_indices() {
        if is_blank_before && c != ' ' && !is_quoted {
            starts.push(at);
        }
        is_quoted ^= c == '`' && has_pairs;
        is_blank_before = c == ' ';
    }
    let ends = starts.clone().into_iter().skip(1).chain([line.len()]);
    let words: Vec<_> = starts
        .into_iter()
        .zip(ends)
        .map(|(start, end)| Word::from(&line[start..end]))
        .collect();
    Box::new(words.into_iter())
}

/// Replaces the home directory with `~`, except in commands in backquotes.
pub(super) fn abbreviate_home<'a>(text: &'a str, home: &str) -> Cow<'a, str> {
    let home = home.trim_end_matches('/');
    if home.is_empty() || !text.contains(home) {
        return Cow::Borrowed(text);
    }
    let parts = text.split('`').enumerate().map(|(index, part)| {
        let is_command = index % 2 == 1 && part.contains(' ');
        if is_command {
            Cow::Borrowed(part)
        } else {
            replace_home(part, home)
        }
    });
    Cow::Owned(parts.collect::<Vec<_>>().join("`"))
}

fn replace_home<'a>(text: &'a str, home: &str) -> Cow<'a, str> {
    let is_path = |c: char| c.is_alphanumeric() || "/._-~".contains(c);
    let mut out = String::new();
    let mut end = 0;
    for (at, _) in text.match_indices(home) {
        let (before, after) = (&text[..at], &text[at + home.len()..]);
        let starts_path = !before.ends_with(is_path);
        let ends_directory = after.starts_with('/') || !after.starts_with(is_path);
        if starts_path && ends_directory {
            out.push_str(&text[end..at]);
            out.push('~');
            end = at + home.len();
        }
    }
    if end == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[end..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn find_words_splits_at_blanks_outside_of_backquotes() {
        let find = |line: &'static str| {
            let words = find_words(line).map(|word| word.word.to_owned());
            words.collect::<Vec<_>>()
        };
        assert_eq!(
            find("run  `a b`, then `c d`"),
            ["run", "`a b`,", "then", "`c d`"]
        );
        assert_eq!(find("an odd ` b c"), ["an", "odd", "`", "b", "c"]);
        assert_eq!(find(""), [""]);
    }

    #[test]
    fn abbreviate_home_changes_paths_only() {
        for (text, shown) in [
            ("/home/ann", "~"),
            ("`/home/ann/x y`", "`/home/ann/x y`"),
            ("`/home/ann/x` and (/home/ann/y)", "`~/x` and (~/y)"),
            ("/home/anna/x", "/home/anna/x"),
            ("/mnt/home/ann/x", "/mnt/home/ann/x"),
            ("run `cat /home/ann/x`", "run `cat /home/ann/x`"),
        ] {
            assert_eq!(abbreviate_home(text, "/home/ann/"), shown);
        }
        assert_eq!(abbreviate_home("/x", "/"), "/x");
    }
}
