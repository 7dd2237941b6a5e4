//! Writes the manual pages into a directory, from the command line's own definitions:
//!
//!     cargo run --example manual -- DIRECTORY

use bypassctl::cli::Cli;
use bypassctl::cli::examples::{EXAMPLES, Examples};
use bypassctl::error::EXIT_CODES;
use clap::{Arg, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

const FILES: &[(&str, &str)] = &[
    (
        "~/.config/influxctl/config.toml",
        "influxctl's configuration, with the connection profiles (macOS: ~/Library/Application Support/influxctl)",
    ),
    (
        "~/.config/influxctl/admin-token-PROFILE.json",
        "the token file that enable makes where the profile names none, mode 0600",
    ),
    (
        "~/.local/state/bypassctl/audit.jsonl",
        "the record of every command that was run; closed logs stay beside it",
    ),
    (
        "bypassctl.toml",
        "the policy: in the working directory, or above up to the root of the repository",
    ),
    (
        "/etc/bypassctl/bypassctl.toml",
        "the system's policy; where it is locked it goes before any other",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("BYPASSCTL_NAMESPACE", "the namespace, as --namespace"),
    ("BYPASSCTL_AUDIT_LOG", "the record, as --audit-log"),
    ("BYPASSCTL_POLICY", "the policy, as --policy"),
    (
        "KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT",
        "as kubectl takes them",
    ),
    (
        "INFLUXCTL_PROFILE",
        "influxctl's configuration, for influxctl 2.10.2 and later",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME, XDG_RUNTIME_DIR",
        "where files are; the last must be a directory that only you can use",
    ),
    (
        "CI, GITHUB_ACTIONS, GITLAB_CI, JENKINS_URL, BUILDKITE",
        "where one is set nobody is asked, and nothing is told twice",
    ),
    ("GITHUB_STEP_SUMMARY", "the file that a summary is added to"),
    ("NO_COLOR", "no colour"),
];

fn main() -> io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1) else {
        return Err(io::Error::other(
            "name the directory: cargo run --example manual -- DIRECTORY",
        ));
    };
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    let mut command = Cli::command();
    command.build();
    page(directory, &command, &[])
}

/// What is told of a command on its own page.
fn as_told(command: &Command, names: &[&str], is_first: bool) -> Command {
    // What a short help leaves out is all the same to be read here; what every command takes is told once.
    let told = |arg: Arg| {
        let left_out = !is_first && arg.is_global_set();
        arg.hide_short_help(false).hide(left_out)
    };
    let shown = command
        .clone()
        .display_name(names.join("-"))
        .bin_name(names.join(" "))
        .mut_args(told);
    // `bypassctl help COMMAND` has no page of its own.
    match command.find_subcommand("help") {
        Some(_) => shown.mut_subcommand("help", |help| help.hide(true)),
        None => shown,
    }
}

/// A page for a command, and one for each that it has.
fn page(directory: &Path, command: &Command, above: &[&str]) -> io::Result<()> {
    let names = [above, &[command.get_name()]].concat();
    let mut text = Vec::new();
    let is_first = above.is_empty();
    let name = names.join("-");
    let shown = as_told(command, &names, is_first);
    let source = format!("bypassctl {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(shown)
        .title(name.to_uppercase())
        .source(source)
        .manual("bypassctl");
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    if is_first {
        list(
            &mut text,
            "EXIT STATUS",
            EXIT_CODES
                .iter()
                .map(|(_, code, _, meaning)| (code.to_string(), meaning.replace('`', ""))),
        )?;
        list(&mut text, "ENVIRONMENT", pairs(ENVIRONMENT))?;
        list(&mut text, "FILES", pairs(FILES))?;
    }
    let path = names[1..].join(" ");
    EXAMPLES
        .iter()
        .filter(|examples| examples.command == path)
        .try_for_each(|found| examples(&mut text, found))?;
    if !is_first {
        also(&mut text)?;
    }
    std::fs::write(directory.join(format!("{name}.1")), text)?;
    command
        .get_subcommands()
        .filter(|below| below.get_name() != "help")
        .try_for_each(|below| page(directory, below, &names))
}

fn pairs(of: &'static [(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    of.iter()
        .map(|(name, meaning)| ((*name).to_owned(), (*meaning).to_owned()))
}

fn list(
    to: &mut impl Write,
    title: &str,
    rows: impl Iterator<Item = (String, String)>,
) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", [title]);
    for (name, meaning) in rows {
        roff.control("TP", [])
            .text([bold(name)])
            .text([roman(meaning)]);
    }
    roff.to_writer(to)
}

fn examples(to: &mut impl Write, examples: &Examples) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["EXAMPLES"]).control("EX", []);
    for row in examples.to_rows() {
        roff.text([roman(row)]);
    }
    roff.control("EE", []);
    if !examples.note.is_empty() {
        roff.control("SH", ["NOTES"]).text([roman(examples.note)]);
    }
    roff.to_writer(to)
}

fn also(to: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    let words: [Inline; 2] = [
        bold("bypassctl"),
        roman("(1): the common options, exit status, environment and files"),
    ];
    roff.text(words).to_writer(to)
}
