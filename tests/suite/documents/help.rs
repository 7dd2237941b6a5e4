//! The examples in the help and the manual page of each command: they are there, fit a screen, and are run.

use super::executed::{
    PHRASES, assert_kept, in_several_profiles, in_use, pinned, planned, run_lines, with_key,
    with_own_tools, with_sample,
};
use super::{project, text};
use crate::revoke::quick;
use crate::sandbox::Sandbox;
use bypassctl::cli::Cli;
use bypassctl::cli::examples::{EXAMPLES, Examples};
use clap::{Command, CommandFactory as _};

/// The command with all below it, as a path without the program's name.
fn paths(command: &Command, above: &str) -> Vec<String> {
    let below = command
        .get_subcommands()
        .flat_map(|sub| paths(sub, &format!("{above} {}", sub.get_name())));
    std::iter::once(above.trim().to_owned())
        .chain(below)
        .collect()
}

#[test]
fn every_command_has_examples_that_fit_a_screen() {
    let sb = Sandbox::new();
    let commands = paths(&Cli::command(), "");
    assert!(commands.len() > 20, "{commands:?}");
    for command in &commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        let short = sb.run(&[&words[..], &["-h"]].concat()).stdout;
        assert!(
            short.lines().count() <= 45,
            "`{command} -h` fits a screen: {short}"
        );
        let long = sb.run(&[&words[..], &["--help"]].concat()).stdout;
        let rows = EXAMPLES
            .iter()
            .find(|examples| examples.command == command)
            .map(Examples::rows)
            .unwrap_or_default();
        assert!(!rows.is_empty(), "`{command}` has no example");
        for row in rows {
            // What is broken up by the screen cannot be pasted.
            assert!(
                row.len() <= 98 && long.contains(&row),
                "`{command} --help` shows: {row}"
            );
        }
    }
    let readme = text(&project().join("README.md"));
    for command in commands
        .iter()
        .filter(|command| !command.is_empty() && !command.contains(' '))
    {
        assert!(
            readme.contains(&format!("`{command}")),
            "the README's table of commands has no `{command}`"
        );
    }
    for examples in EXAMPLES {
        assert!(
            commands.iter().any(|command| command == examples.command),
            "there is no `{}`",
            examples.command
        );
    }
}

/// Where the examples of a command are run.
fn world(command: &str) -> Sandbox {
    match command {
        "" | "enable" | "plan enable" => quick(),
        "rotate" => in_several_profiles(),
        "plan show" => planned(),
        "audit export" => with_key(),
        "audit anchor" => with_signing_keys(),
        "audit verify" | "audit list" | "audit show" => with_sample(),
        "tools verify" => pinned(),
        _ if command.starts_with("tools") => with_own_tools(),
        _ => in_use(),
    }
}

fn with_signing_keys() -> Sandbox {
    let mut sb = in_use();
    let keys = "ssh-keygen -q -t ed25519 -N '' -f key && echo \"me@example.com $(cat key.pub)\" >allowed_signers &&
        minisign -G -W -p minisign.pub -s minisign.key";
    // Without them the lines that want them are not run either.
    sb.script("home", &["/bin/sh", "-c"], keys, &[]);
    let anchor = sb.run(&["audit", "anchor"]);
    sb.env(
        "SEQ_AND_HASH",
        anchor.stdout.trim().rsplit(' ').next().expect("a head"),
    );
    sb
}

#[test]
fn the_examples_run() {
    for examples in EXAMPLES {
        // Put where shells read them when they start: tests/suite/complete.rs types in those shells.
        let lines: Vec<String> = examples
            .rows()
            .into_iter()
            .filter(|row| !row.contains("source"))
            .collect();
        let sb = world(examples.command);
        let run = || {
            sb.records_of("run.begin")[0]["run"]
                .as_str()
                .expect("a name")
                .to_owned()
        };
        let filled = |row: String| {
            let row = if row.contains("RUN") {
                row.replace("RUN", &run())
            } else {
                row
            };
            row.replace("--expect SEQ:HASH", "--expect \"${SEQ_AND_HASH}\"")
        };
        let lines: Vec<String> = lines.into_iter().map(filled).collect();
        run_lines(examples.command, &sb, &lines, PHRASES, 0);
        assert_kept(&sb);
    }
}
