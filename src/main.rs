//! `bypassctl`: parse, call the program, exit.

use bypassctl::app::{self, Called};
use bypassctl::exec::Surroundings;
use clap_complete::CompleteEnv;
use std::process::ExitCode;

fn main() -> ExitCode {
    let surroundings = Surroundings {
        argv: std::env::args_os().collect(),
        env: std::env::vars_os().collect(),
        cwd: std::env::current_dir().unwrap_or_default(),
        system: "/etc/bypassctl".into(),
    };
    if Called::of(&surroundings) == Called::Completion {
        return ExitCode::from(app::complete_for_kubectl(&surroundings));
    }
    // Where a shell asks for completion it is answered here, and the program ends.
    CompleteEnv::with_factory(|| app::command(&surroundings))
        .var(app::COMPLETE)
        .complete();
    ExitCode::from(match app::parse(&surroundings) {
        Ok(cli) => app::run(cli, surroundings),
        Err(error) => app::usage(&error, &surroundings),
    })
}
