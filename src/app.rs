//! The commands, one per file: look, plan, confirm, carry out, report.

mod audit;
mod carry_out;
mod config;
mod disable;
mod doctor;
mod enable;
mod places;
mod probe;
mod session;
mod status;

use crate::cli::{Cli, Command};
use crate::error::{Error, Kind, Result};
use crate::exec::{Executor, Interrupts, Setup, Surroundings};
use crate::ui::{Ending, Ui};
use session::Session;
use std::path::PathBuf;

/// How a command that came to its end ended: `None` is done.
type Outcome = Result<Option<Kind>>;

/// Runs the program and returns its exit code.
#[must_use]
pub fn run(cli: &Cli, surroundings: Surroundings) -> u8 {
    let common = &cli.common;
    let ui = Ui::new(common.output, common.color, common.quiet, common.verbose);
    match &cli.command {
        Command::Audit(command) => {
            let outcome = audit::run(command, common, &surroundings, &ui);
            ui.end(&Ending {
                command: "audit verify",
                outcome: &outcome,
                changed: false,
                run: None,
                target: Default::default(),
                head: None,
            })
        }
        command => recorded(command, cli, surroundings, &ui),
    }
}

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Enable(_) => "enable",
        Command::Disable(_) => "disable",
        Command::Status => "status",
        Command::Doctor => "doctor",
        Command::Audit(_) => "audit",
    }
}

/// Every command that runs or changes anything is a run in the record.
fn recorded(command: &Command, cli: &Cli, surroundings: Surroundings, ui: &Ui) -> u8 {
    let name = name_of(command);
    let (executor, audit_log) = match begin(cli, surroundings, ui) {
        Ok(begun) => begun,
        Err(error) => {
            return ui.end(&Ending {
                command: name,
                outcome: &Err(error),
                changed: false,
                run: None,
                target: Default::default(),
                head: None,
            });
        }
    };
    let session = Session { exec: &executor, ui, common: &cli.common };
    let outcome = match command {
        Command::Enable(args) => enable::run(&session, args),
        Command::Disable(args) => disable::run(&session, args),
        Command::Status => status::run(&session),
        Command::Doctor => doctor::run(&session),
        Command::Audit(_) => Ok(None),
    };
    let (outcome, head) = session.close(outcome);
    let head = head.as_ref().map(|head| (head, audit_log.as_path()));
    ui.end(&Ending {
        command: name,
        outcome: &outcome,
        changed: executor.changed(),
        run: Some(executor.run_id()),
        target: executor.target(),
        head,
    })
}

fn begin(cli: &Cli, surroundings: Surroundings, ui: &Ui) -> Result<(Executor, PathBuf)> {
    let interrupts =
        Interrupts::install().map_err(|error| Error::failed(format!("signals cannot be taken over: {error}")))?;
    let state = places::state(&surroundings)?;
    let audit_log = places::audit_log(&cli.common, &surroundings)?;
    let setup = Setup {
        audit_log: audit_log.clone(),
        state,
        surroundings,
        timeout: cli.common.timeout,
        reason: cli.common.reason.clone(),
        interrupts,
    };
    let (executor, unfinished) = Executor::begin(setup)?;
    for cut in unfinished {
        let what = format!(
            "an earlier run ({}) was cut off in step `{}`, or is still in it on another host: how that ended is not on record",
            cut.run, cut.step
        );
        ui.warn(&what, Some("this run looks at what is there now"));
    }
    Ok((executor, audit_log))
}
