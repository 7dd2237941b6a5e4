//! Generates the manual pages from the definitions of the command line:
//!
//!     cargo run --example manual -- DIRECTORY

use bypassctl::cli;
use bypassctl::cli::examples::{EXAMPLES, Examples};
use bypassctl::error::EXIT_CODES;
use clap::{Arg, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};
use std::io::{self, Write};
use std::path::Path;

const FILES: &[(&str, &str)] = &[
    (
        "~/.config/influxctl/config.toml",
        "influxctl's configuration with the connection profiles \
         (macOS: ~/Library/Application Support/influxctl)",
    ),
    (
        "~/.config/influxctl/admin-token-PROFILE.json",
        "the default token file of enable, mode 0600",
    ),
    (
        "~/.local/state/bypassctl/audit.jsonl",
        "the audit log; rotated segments are in the same directory",
    ),
    (
        "bypassctl.toml",
        "the policy, in the working directory or a parent up to the root of the repository",
    ),
    (
        "~/.local/state/bypassctl/trusted-policies.json",
        "the policies that `policy trust` accepted, with their digests",
    ),
    (
        "/etc/bypassctl/bypassctl.toml",
        "the system's policy; a locked one overrides all others",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "BYPASSCTL_NAMESPACE",
        "default of --namespace, without --target",
    ),
    ("BYPASSCTL_AUDIT_LOG", "default of --audit-log"),
    ("BYPASSCTL_POLICY", "default of --policy"),
    (
        "KUBECONFIG, KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT",
        "as in kubectl",
    ),
    (
        "INFLUXCTL_PROFILE",
        "influxctl's configuration, for influxctl 2.10.2 and later",
    ),
    (
        "XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME, XDG_RUNTIME_DIR",
        "base directories; no other user may have access to the last one",
    ),
    (
        "CI, GITHUB_ACTIONS, GITLAB_CI, JENKINS_URL, BUILDKITE",
        "a CI system: no prompts and no progress",
    ),
    ("GITHUB_STEP_SUMMARY", "file to which a summary is appended"),
    ("NO_COLOR", "disables colours"),
];

fn main() -> io::Result<()> {
    let Some(directory) = std::env::args_os().nth(1) else {
        return Err(io::Error::other(
            "missing directory: cargo run --example manual -- DIRECTORY",
        ));
    };
    let directory = Path::new(&directory);
    std::fs::create_dir_all(directory)?;
    let mut command = cli::build_command("bypassctl");
    command.build();
    write_page(directory, &command, &[])
}

/// Adapts a command to its own page.
fn prepare_command(command: &Command, names: &[&str], is_root: bool) -> Command {
    // A page has the options that the short help hides. Only the first page has the global ones.
    let adapt_arg = |arg: Arg| {
        let is_hidden = !is_root && arg.is_global_set();
        arg.hide_short_help(false).hide(is_hidden)
    };
    let adapted = command
        .clone()
        .display_name(names.join("-"))
        .bin_name(names.join(" "))
        .mut_args(adapt_arg);
    // `bypassctl help COMMAND` has no page of its own.
    match command.find_subcommand("help") {
        Some(_) => adapted.mut_subcommand("help", |help| help.hide(true)),
        None => adapted,
    }
}

/// Writes the pages of a command and its subcommands.
fn write_page(directory: &Path, command: &Command, parents: &[&str]) -> io::Result<()> {
    let names = [parents, &[command.get_name()]].concat();
    let mut text = Vec::new();
    let is_root = parents.is_empty();
    let name = names.join("-");
    let command_page = prepare_command(command, &names, is_root);
    let source = format!("bypassctl {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command_page)
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
    if is_root {
        write_list(
            &mut text,
            "EXIT STATUS",
            EXIT_CODES
                .iter()
                .map(|(_, code, _, meaning)| (code.to_string(), meaning.replace('`', ""))),
        )?;
        write_list(&mut text, "ENVIRONMENT", rows_of(ENVIRONMENT))?;
        write_list(&mut text, "FILES", rows_of(FILES))?;
    }
    let path = names[1..].join(" ");
    EXAMPLES
        .iter()
        .filter(|examples| examples.command == path)
        .try_for_each(|found| write_examples(&mut text, found))?;
    if !is_root {
        write_see_also(&mut text)?;
    }
    std::fs::write(directory.join(format!("{name}.1")), text)?;
    command
        .get_subcommands()
        .filter(|subcommand| subcommand.get_name() != "help")
        .try_for_each(|subcommand| write_page(directory, subcommand, &names))
}

fn rows_of(pairs: &'static [(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    pairs
        .iter()
        .map(|(name, meaning)| ((*name).to_owned(), (*meaning).to_owned()))
}

fn write_list(
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

fn write_examples(to: &mut impl Write, examples: &Examples) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["EXAMPLES"]).control("EX", []);
    for row in examples.to_rows("bypassctl") {
        roff.text([roman(row)]);
    }
    roff.control("EE", []);
    if !examples.note.is_empty() {
        roff.control("SH", ["NOTES"]).text([roman(examples.note)]);
    }
    roff.to_writer(to)
}

fn write_see_also(to: &mut impl Write) -> io::Result<()> {
    let mut roff = Roff::default();
    roff.control("SH", ["SEE ALSO"]);
    let words: [Inline; 2] = [
        bold("bypassctl"),
        roman("(1): the common options, exit status, environment and files"),
    ];
    roff.text(words).to_writer(to)
}
