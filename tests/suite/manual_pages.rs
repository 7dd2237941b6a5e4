//! The manual pages.

use crate::sandbox::{Sandbox, report_skipped};
use bypassctl::cli;
use clap::Command;
use std::path::Path;

fn collect_page_names(command: &Command, above: &str, found: &mut Vec<String>) {
    let name = if above.is_empty() {
        command.get_name().to_owned()
    } else {
        format!("{above}-{}", command.get_name())
    };
    command
        .get_subcommands()
        .for_each(|below| collect_page_names(below, &name, found));
    found.push(name);
}

#[test]
fn manual_page_renders_for_each_command() {
    let sb = Sandbox::new();
    let run = sb.write_manual_pages("man");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let mut commands = Vec::new();
    collect_page_names(&cli::build_command("bypassctl"), "", &mut commands);
    assert!(commands.len() > 20, "{commands:?}");
    let mut pages = sb.list_directory("man");
    pages.sort();
    let mut expected: Vec<String> = commands.iter().map(|name| format!("{name}.1")).collect();
    expected.sort();
    assert_eq!(pages, expected);
    for page in &pages {
        let text = sb.read(format!("man/{page}"));
        assert!(!text.contains("help(1)"), "{page} names a missing page");
        assert!(
            text.is_ascii() && text.contains(".SH SYNOPSIS") && text.contains(".SH EXAMPLES"),
            "{page}"
        );
        if Path::new("/usr/bin/groff").exists() {
            let rendered = sb.run_shell_script(
                "man",
                &["/bin/sh", "-c"],
                &format!("exec groff -man -ww -Tutf8 {page}"),
                &[],
            );
            assert_eq!((rendered.code, rendered.stderr.as_str()), (0, ""), "{page}");
        } else {
            report_skipped("groff is not installed, so no manual page was rendered");
        }
    }
    let first = sb.read("man/bypassctl.1");
    for option in ["kubeconfig", "assume\\-influxctl\\-version", "quiet"] {
        assert!(
            first
                .lines()
                .any(|line| line.starts_with(&format!("\\fB\\-\\-{option}\\fR"))
                    || line.contains(&format!(", \\fB\\-\\-{option}\\fR"))),
            "--{option} is missing"
        );
    }
    for section in [
        "EXIT STATUS",
        "ENVIRONMENT",
        "FILES",
        "OPTIONS",
        "SUBCOMMANDS",
    ] {
        assert!(first.contains(section), "{section}");
    }
    for (_, code, ..) in bypassctl::error::EXIT_CODES {
        assert!(
            first.contains(&format!("\n\\fB{code}\\fR\n")),
            "exit code {code}"
        );
    }
}
