//! Commands to GitHub's runner in the output of a job.
//!
//! A command is a line that starts with `::` after optional blanks, or contains `##[`
//! (actions/runner, `src/Runner.Common/ActionCommand.cs`). This module writes commands. It escapes
//! those in the text of other programs.

/// Replaces every `#`, or the first `:`, in each line that the runner would read as a command.
pub(super) fn escape_commands(text: &str, hash: &str, colon: &str) -> String {
    // For the runner, a CR ends a line as well.
    text.split_inclusive(['\n', '\r'])
        .map(|line| escape_line(line, hash, colon))
        .collect()
}

fn escape_line(line: &str, hash: &str, colon: &str) -> String {
    // The runner's comparison depends on the culture (.NET's `StartsWith` and `IndexOf`) and
    // ignores invisible characters. So only characters that are surely visible count here.
    let visible: String = line.chars().filter(char::is_ascii_graphic).collect();
    let line = if visible.contains("##[") {
        line.replace('#', hash)
    } else {
        line.to_owned()
    };
    if visible.starts_with("::") {
        line.replacen(':', colon, 1)
    } else {
        line
    }
}

/// Formats a command with a title and a message, which can have several lines.
pub(super) fn format_command(name: &str, title: &str, message: &str) -> String {
    format!(
        "::{name} title={}::{}\n",
        escape_data(title).replace(':', "%3A").replace(',', "%2C"),
        escape_data(message)
    )
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_commands_neutralizes_every_runner_command() {
        for (text, escaped) in [
            ("::set-env name=A::b\n", "\\::set-env name=A::b\n"),
            ("a\r\n \t ::debug::x", "a\r\n \t \\::debug::x"),
            ("a\r::debug::x", "a\r\\::debug::x"),
            ("\u{200b}:\u{ad}:debug::x", "\u{200b}\\:\u{ad}:debug::x"),
            ("a ##[add-path]b\nc", "a \\#\\#[add-path]b\nc"),
            ("#\u{feff}#\u{0}[debug]", "\\#\u{feff}\\#\u{0}[debug]"),
            ("a::b #1 ## [x]: y\n\n", "a::b \\#1 \\#\\# [x]: y\n\n"),
            ("a::b #[1] ## x\n", "a::b #[1] ## x\n"),
        ] {
            assert_eq!(escape_commands(text, "\\#", "\\:"), escaped);
        }
    }

    #[test]
    fn format_command_escapes_title_and_message() {
        let command = format_command("error", "a: b, 5%\n", "x: y, 5%\r\n::debug::z");
        assert_eq!(
            command,
            "::error title=a%3A b%2C 5%25%0A::x: y, 5%25%0D%0A::debug::z\n"
        );
    }
}
