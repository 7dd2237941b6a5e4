//! The examples in the help and the manual page of each command exist, fit a screen and work.

use super::command_blocks::{
    CONFIRMATION_PHRASES, assert_secrets_contained, create_enabled_sandbox,
    create_multi_profile_sandbox, create_sandbox_with_own_tools, create_sandbox_with_pinned_tools,
    create_sandbox_with_sample_log, create_sandbox_with_saved_plan,
    create_sandbox_with_signing_key, run_lines,
};
use super::{project_root, read_text};
use crate::revoke::create_fast_sandbox;
use crate::sandbox::Sandbox;
use bypassctl::cli;
use bypassctl::cli::examples::EXAMPLES;
use clap::Command;

/// Returns a command and all its subcommands, as paths without the program's name.
fn list_command_paths(command: &Command, above: &str) -> Vec<String> {
    let below = command
        .get_subcommands()
        .flat_map(|sub| list_command_paths(sub, &format!("{above} {}", sub.get_name())));
    std::iter::once(above.trim().to_owned())
        .chain(below)
        .collect()
}

#[test]
fn command_help_has_examples_and_fits_screen() {
    let sb = Sandbox::new();
    let commands = list_command_paths(&cli::build_command("bypassctl"), "");
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
            .map(|examples| examples.to_rows("bypassctl"))
            .unwrap_or_default();
        assert!(!rows.is_empty(), "`{command}` has no example");
        for row in rows {
            // Nobody can paste a wrapped line.
            assert!(
                row.len() <= 98 && long.contains(&row),
                "`{command} --help` shows: {row}"
            );
        }
    }
    let readme = read_text(&project_root().join("README.md"));
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

/// Returns the sandbox for the examples of a command.
fn create_example_sandbox(command: &str) -> Sandbox {
    match command {
        "" | "enable" | "plan enable" => create_fast_sandbox(),
        "rotate" => create_multi_profile_sandbox(),
        "policy" | "policy trust" => create_sandbox_with_pinned_tools(),
        "plan show" => create_sandbox_with_saved_plan(),
        "audit export" => create_sandbox_with_signing_key(),
        "audit anchor" => create_sandbox_with_signing_tools(),
        "audit verify" | "audit list" | "audit show" => create_sandbox_with_sample_log(),
        "tools verify" => create_sandbox_with_pinned_tools(),
        _ if command.starts_with("tools") => create_sandbox_with_own_tools(),
        _ => create_enabled_sandbox(),
    }
}

fn create_sandbox_with_signing_tools() -> Sandbox {
    let mut sb = create_enabled_sandbox();
    let keys = "ssh-keygen -q -t ed25519 -N '' -f key && echo \"me@example.com $(cat key.pub)\" >allowed_signers &&
        minisign -G -W -p minisign.pub -s minisign.key";
    // Lines that need a missing program are skipped.
    sb.run_shell_script("home", &["/bin/sh", "-c"], keys, &[]);
    let anchor = sb.run(&["audit", "anchor"]);
    sb.set_env(
        "SEQ_AND_HASH",
        anchor.stdout.trim().rsplit(' ').next().expect("a head"),
    );
    sb
}

#[test]
fn help_examples_succeed() {
    for examples in EXAMPLES {
        // Shells read these at start. tests/suite/completion.rs tests them there.
        let lines: Vec<String> = examples
            .to_rows("bypassctl")
            .into_iter()
            .filter(|row| !row.contains("source"))
            .collect();
        let sb = create_example_sandbox(examples.command);
        let run = || {
            sb.read_entries_by_type("run.begin")[0]["run"]
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
        run_lines(examples.command, &sb, &lines, CONFIRMATION_PHRASES, 0);
        assert_secrets_contained(&sb);
    }
}
