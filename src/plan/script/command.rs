//! Commands in a script.

use crate::plan::shell::shell_quote;
use crate::tool::invocation::{Arg, Invocation};
use std::path::Path;

pub(super) fn quote_path(path: &Path) -> String {
    shell_quote(&path.display().to_string())
}

/// Renders a command with the path of its tool, because PATH can differ when the script runs.
pub(super) fn render_command(command: &Invocation) -> String {
    let argv = command.argv(None);
    std::iter::once(quote_path(&command.tool().found_at))
        .chain(argv[1..].iter().map(|arg| shell_quote(arg)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Renders a token probe in a subshell without a home directory, with its stderr in `$work/stderr`.
///
/// The configuration is `$work/config.toml`.
pub(super) fn render_probe(command: &Invocation) -> String {
    let word = |arg: &Arg| match arg {
        Arg::Text(text) => shell_quote(text),
        Arg::ProbeConfig => "\"$work/config.toml\"".to_owned(),
    };
    let args: Vec<String> = command.args().iter().map(word).collect();
    format!(
        "{PROBE_ENVIRONMENT}  {} {} </dev/null >/dev/null",
        quote_path(&command.tool().found_at),
        args.join(" "),
    )
}

const PROBE_ENVIRONMENT: &str = concat!(
    r#"  for name in $(env | sed -n 's/^\(INFLUXCTL_[A-Za-z0-9_]*\)=.*/\1/p'); do "#,
    r#"unset "$name"; done
  unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME
  export HOME="$work/home"
"#
);
