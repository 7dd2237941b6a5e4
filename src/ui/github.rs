//! What GitHub's runner takes for a command in what is printed (actions/runner, `src/Runner.Common/ActionCommand.cs`): a
//! line that begins with `::`, blanks aside, and `##[` anywhere in a line. Commands are written here; what others have
//! said must not be one.

/// Text without a command in it: `#` and the first `:` of a line that would be one are written so.
pub(super) fn escape_commands(text: &str, hash: &str, colon: &str) -> String {
    // The runner's lines end with a CR as well.
    text.split_inclusive(['\n', '\r'])
        .map(|line| escape_line(line, hash, colon))
        .collect()
}

fn escape_line(line: &str, hash: &str, colon: &str) -> String {
    // The runner compares as a language does (.NET's `StartsWith` and `IndexOf` of a text): what is not seen does not
    // count there. So what is surely seen is all that is looked at here.
    let seen: String = line.chars().filter(char::is_ascii_graphic).collect();
    let line = if seen.contains("##[") {
        line.replace('#', hash)
    } else {
        line.to_owned()
    };
    if seen.starts_with("::") {
        line.replacen(':', colon, 1)
    } else {
        line
    }
}

/// A command with a title; what it says may have several lines.
pub(super) fn format_command(name: &str, title: &str, says: &str) -> String {
    format!(
        "::{name} title={}::{}\n",
        escape_data(title).replace(':', "%3A").replace(',', "%2C"),
        escape_data(says)
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
        for (said, told) in [
            ("::set-env name=A::b\n", "\\::set-env name=A::b\n"),
            ("a\r\n \t ::debug::x", "a\r\n \t \\::debug::x"),
            ("a\r::debug::x", "a\r\\::debug::x"),
            ("\u{200b}:\u{ad}:debug::x", "\u{200b}\\:\u{ad}:debug::x"),
            ("a ##[add-path]b\nc", "a \\#\\#[add-path]b\nc"),
            ("#\u{feff}#\u{0}[debug]", "\\#\u{feff}\\#\u{0}[debug]"),
            ("a::b #1 ## [x]: y\n\n", "a::b \\#1 \\#\\# [x]: y\n\n"),
            ("a::b #[1] ## x\n", "a::b #[1] ## x\n"),
        ] {
            assert_eq!(escape_commands(said, "\\#", "\\:"), told);
        }
    }

    #[test]
    fn format_command_escapes_title_and_message() {
        let told = format_command("error", "a: b, 5%\n", "x: y, 5%\r\n::debug::z");
        assert_eq!(
            told,
            "::error title=a%3A b%2C 5%25%0A::x: y, 5%25%0D%0A::debug::z\n"
        );
    }
}
