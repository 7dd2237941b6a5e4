//! `bypassctl`: parse, call the program, exit.

use bypassctl::app;
use bypassctl::cli::Cli;
use bypassctl::exec::Surroundings;
use clap::Parser as _;
use clap_complete::CompleteEnv;
use std::process::ExitCode;

fn main() -> ExitCode {
    let surroundings = Surroundings {
        argv: std::env::args_os().collect(),
        env: std::env::vars_os().collect(),
        cwd: std::env::current_dir().unwrap_or_default(),
        system: "/etc/bypassctl".into(),
    };
    // Where a shell asks for completion it is answered here, and the program ends.
    CompleteEnv::with_factory(|| app::command(&surroundings)).var(app::COMPLETE).complete();
    ExitCode::from(match Cli::try_parse_from(&surroundings.argv) {
        Ok(cli) => app::run(cli, surroundings),
        Err(error) => app::usage(&error, &surroundings),
    })
}
