//! Commands as text for a shell.

/// Quotes an argument if a shell needs it.
pub fn shell_quote(arg: &str) -> String {
    // Only a NUL cannot be quoted, and no argument contains one.
    shlex::try_quote(arg).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

/// Formats a command for people to paste. Placeholders (`<…>`) stay unquoted.
pub fn format_shell_line(argv: &[String]) -> String {
    let word = |arg: &String| {
        if arg.starts_with('<') {
            arg.clone()
        } else {
            shell_quote(arg)
        }
    };
    argv.iter().map(word).collect::<Vec<_>>().join(" ")
}
