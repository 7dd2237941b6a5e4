//! The commands, one per file: look, plan, confirm, carry out, report.

mod audit;
mod called;
mod carry_out;
mod cluster_steps;
mod complete;
mod config;
mod confirm;
mod disable;
mod doctor;
mod enable;
mod ending;
mod observe;
mod places;
mod plan;
mod policy;
mod probe;
mod proof;
mod revoke;
mod rotate;
mod session;
mod status;
mod tools;
mod usage;
mod version;
mod wait;

pub use called::{Called, complete_for_kubectl, parse};
pub use complete::{VARIABLE as COMPLETE, command};
pub use usage::usage;

use crate::cli::{Cli, Command, Common, DryRun, PlanCommand, Planned, Tools};
use crate::error::{Error, Kind, Result};
use crate::exec::{Executor, Interrupts, Setup, Surroundings};
use crate::policy::InForce;
use crate::ui::{Ending, Format, Manner, Ui};
use ending::end;
use plan::Mode;
use session::Session;
use std::path::PathBuf;

/// How a command that came to its end ended: `None` is done.
type Outcome = Result<Option<Kind>>;

/// Runs the program and returns its exit code.
#[must_use]
pub fn run(mut cli: Cli, surroundings: Surroundings) -> u8 {
    let summary = surroundings.step_summary();
    let ui = Ui::new(manner(&cli, &surroundings));
    let unrecorded = |command: &str, outcome: &Outcome, changed: bool| {
        let target = Default::default();
        end(
            &ui,
            summary.as_deref(),
            &Ending {
                command,
                outcome,
                dry_run: false,
                changed,
                run: None,
                target,
                head: None,
            },
        )
    };
    if let Err(error) = may_be_junit(&cli) {
        return unrecorded(full_name(&cli.command), &Err(error), false);
    }
    if let Some(outcome) = without_policy(&cli.command, &surroundings, &ui) {
        return unrecorded(full_name(&cli.command), &outcome, false);
    }
    let policy = match policy::find(&cli.common, &surroundings, &ui) {
        Ok(policy) => policy,
        Err(error) => return unrecorded(full_name(&cli.command), &Err(error), false),
    };
    policy::fill(&mut cli, policy.as_ref());
    let prepared = match &cli.command {
        Command::Audit(command) => {
            let (outcome, changed) = audit::run(command, &cli.common, &surroundings, &ui);
            return unrecorded(audit::name(command), &outcome, changed);
        }
        Command::Plan(args) => plan::planned(&cli, args, &surroundings),
        Command::Apply(args) => plan::applied(&cli, args, &surroundings),
        _ => {
            return recorded(
                &cli,
                Begin {
                    surroundings,
                    policy,
                },
                &ui,
                &Mode::Now,
            );
        }
    };
    match prepared {
        Ok((cli, mode)) => recorded(
            &cli,
            Begin {
                surroundings,
                policy,
            },
            &ui,
            &mode,
        ),
        Err(error) => unrecorded(name_of(&cli.command), &Err(error), false),
    }
}

/// What only shows something needs neither a policy nor a record.
fn without_policy(command: &Command, surroundings: &Surroundings, ui: &Ui) -> Option<Outcome> {
    match command {
        Command::Plan(PlanCommand {
            what: Planned::Show(args),
            ..
        }) => Some(plan::show(args, surroundings, ui)),
        Command::Version => Some(version::run(ui)),
        Command::Completion { shell } => Some(complete::script(*shell, ui)),
        _ => None,
    }
}

fn manner(cli: &Cli, surroundings: &Surroundings) -> Manner {
    let common = &cli.common;
    // A script is to be run, or reviewed: nothing else goes where it goes.
    let quiet = common.quiet || dry_run(&cli.command) == Some(DryRun::Script);
    Manner {
        format: common.output,
        color: common.color,
        quiet,
        verbose: common.verbose && !quiet,
        called: Called::of(surroundings).name(),
        ci: surroundings.is_ci(),
        github: surroundings.is_github(),
    }
}

/// What a run begins with.
struct Begin {
    surroundings: Surroundings,
    policy: Option<InForce>,
}

fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Enable(_) => "enable",
        Command::Disable(_) => "disable",
        Command::Revoke(_) => "revoke",
        Command::Rotate(_) => "rotate",
        Command::Status => "status",
        Command::Doctor => "doctor",
        Command::Tools(Tools::List) => "tools list",
        Command::Tools(Tools::Pin { .. }) => "tools pin",
        Command::Tools(Tools::Verify) => "tools verify",
        Command::Version => "version",
        Command::Completion { .. } => "completion",
        Command::Audit(_) => "audit",
        Command::Plan(_) => "plan",
        Command::Apply(_) => "apply",
    }
}

/// With the command of a command.
fn full_name(command: &Command) -> &'static str {
    match command {
        Command::Audit(command) => audit::name(command),
        Command::Plan(PlanCommand {
            what: Planned::Show(_),
            ..
        }) => "plan show",
        command => name_of(command),
    }
}

/// The commands that report checks.
const CHECKING: &[&str] = &["doctor", "status", "tools verify", "audit verify"];

fn may_be_junit(cli: &Cli) -> Result<()> {
    let name = full_name(&cli.command);
    if cli.common.output != Format::Junit || CHECKING.contains(&name) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{name}` reports no checks, and -o junit is for those"
    ))
    .hint(format!("these do: {}", CHECKING.join(", "))))
}

/// In which form a command only shows what it would do.
fn dry_run(command: &Command) -> Option<DryRun> {
    match command {
        Command::Enable(args) => args.dry_run,
        Command::Disable(args) => args.dry_run,
        Command::Revoke(args) => args.how.dry_run,
        Command::Rotate(args) => args.how.dry_run,
        Command::Status
        | Command::Doctor
        | Command::Tools(_)
        | Command::Audit(_)
        | Command::Version
        | Command::Completion { .. }
        | Command::Plan(_)
        | Command::Apply(_) => None,
    }
}

fn one_profile(command: &Command, common: &Common) -> Result<()> {
    if common.profiles.len() > 1 && !matches!(command, Command::Rotate(_)) {
        return Err(Error::usage("several profiles are named")
            .hint("name one --profile; only `rotate` takes several"));
    }
    Ok(())
}

/// Every command that runs or changes anything is a run in the record.
fn recorded(cli: &Cli, with: Begin, ui: &Ui, mode: &Mode) -> u8 {
    let (command, name) = (&cli.command, name_of(&cli.command));
    let (summary, dry_run) = (
        with.surroundings.step_summary(),
        dry_run(&cli.command).is_some(),
    );
    let (executor, audit_log) = match begin(cli, with, ui, mode) {
        Ok(begun) => begun,
        Err(error) => {
            let (outcome, target) = (&Err(error), Default::default());
            let ending = Ending {
                command: name,
                outcome,
                dry_run,
                changed: false,
                run: None,
                target,
                head: None,
            };
            return end(ui, summary.as_deref(), &ending);
        }
    };
    let profile = cli
        .common
        .profiles
        .first()
        .map_or("default", String::as_str);
    let session = Session {
        exec: &executor,
        ui,
        common: &cli.common,
        mode,
        profile,
    };
    let allowed = one_profile(command, &cli.common).and_then(|()| policy::guard(&session, command));
    let outcome = allowed.and_then(|()| match command {
        Command::Enable(args) => enable::run(&session, args),
        Command::Disable(args) => disable::run(&session, args),
        Command::Revoke(args) => revoke::run(&session, args),
        Command::Rotate(args) => rotate::run(&session, args),
        Command::Status => status::run(&session),
        Command::Doctor => doctor::run(&session),
        Command::Tools(command) => tools::run(&session, *command),
        // These have gone another way.
        Command::Audit(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Version
        | Command::Completion { .. } => Ok(None),
    });
    let (outcome, head) = session.close(outcome);
    let head = head.as_ref().map(|head| (head, audit_log.as_path()));
    let (changed, run, target) = (
        executor.changed(),
        Some(executor.run_id()),
        executor.target(),
    );
    end(
        ui,
        summary.as_deref(),
        &Ending {
            command: name,
            outcome: &outcome,
            dry_run,
            changed,
            run,
            target,
            head,
        },
    )
}

fn begin(cli: &Cli, with: Begin, ui: &Ui, mode: &Mode) -> Result<(Executor, PathBuf)> {
    let Begin {
        surroundings,
        policy,
    } = with;
    let interrupts = Interrupts::install().map_err(|error| {
        Error::failed(format!("signals cannot be taken over: {error}"))
            .hint("is the machine out of file descriptors or memory? `ulimit -n` and `free` tell")
    })?;
    let state = places::state(&surroundings)?;
    let audit_log = places::audit_log(&cli.common, &surroundings)?;
    policy::recorded_where(&audit_log, policy.as_ref())?;
    let setup = Setup {
        command: name_of(&cli.command),
        dry_run: dry_run(&cli.command).is_some(),
        plan: mode.plan().map(str::to_owned),
        policy,
        audit_log: audit_log.clone(),
        state,
        surroundings,
        timeout: cli.common.timeout,
        reason: cli.common.reason.clone(),
        interrupts,
    };
    let (executor, inherited) = Executor::begin(setup)?;
    if let Some(rotated) = inherited.rotated {
        let what = format!(
            "a rotation of the record was cut short after {}, and has been brought to its end",
            rotated.closed
        );
        ui.warn(&what, "if it was not, the log that went on from there is lost: keep heads elsewhere, and compare (audit verify --expect)");
    }
    for cut in inherited.unfinished {
        let what = format!(
            "an earlier run ({}) was cut off in step `{}`, or is still in it on another host: how that ended is not on record",
            cut.run, cut.step
        );
        ui.warn(&what, "this run looks at what is there now");
    }
    Ok((executor, audit_log))
}

#[cfg(test)]
mod schema {
    mod tests;
}
