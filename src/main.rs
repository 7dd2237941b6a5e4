//! `bypassctl`: parse, call the program, exit.

use bypassctl::app::{self, ProgramName};
use bypassctl::exec::{Environment, disable_core_dumps};
use clap_complete::CompleteEnv;
use std::process::ExitCode;

fn main() -> ExitCode {
    disable_core_dumps();
    let environment = Environment {
        argv: std::env::args_os().collect(),
        env: std::env::vars_os().collect(),
        cwd: std::env::current_dir().unwrap_or_default(),
        system_config_dir: "/etc/bypassctl".into(),
    };
    if ProgramName::from_argv0(&environment) == ProgramName::Completion {
        return ExitCode::from(app::complete_for_kubectl(&environment));
    }
    // Where a shell asks for completion it is answered here, and the program ends.
    CompleteEnv::with_factory(|| app::build_completion_command(&environment))
        .var(app::COMPLETE)
        .complete();
    ExitCode::from(match app::parse_command_line(&environment) {
        Ok(cli) => app::run(cli, environment),
        Err(error) => app::report_usage_error(&error, &environment),
    })
}
