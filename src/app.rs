//! Dispatches a command: finds the policy, applies its defaults, starts the run, finishes it.

mod arguments;
mod defaults;
mod finish;
mod policy;
mod usage;

pub use crate::commands::completion::{
    COMPLETION_ENV as COMPLETE, build_completion_command, complete_for_kubectl,
};
pub use crate::session::program_name::{ProgramName, parse_command_line};
pub use usage::report_usage_error;

use crate::cli::{Cli, Command, CommonArgs, DoctorArgs, DryRunFormat, PlanArgs, PlanSubcommand};
use crate::commands::{
    audit, completion, disable, doctor, enable, plan, policy as policy_command, revoke, rotate,
    status, targets, tools, version,
};
use crate::error::{CommandResult, Error, Result};
use crate::exec::{Environment, Executor, Interrupts, RunSetup};
use crate::plan_file::PlanMode;
use crate::policy::ActivePolicy;
use crate::session::{Session, guard, paths};
use crate::ui::{OutputFormat, OutputOptions, RunSummary, Ui};
use finish::finish_command;
use std::path::{Path, PathBuf};

/// Runs the program and returns its exit code.
#[must_use]
pub fn run(mut cli: Cli, environment: Environment) -> u8 {
    let summary = environment.step_summary_path();
    let ui = Ui::new(build_output_options(&cli, &environment));
    let unrecorded = |command: &str, outcome: &CommandResult, changed: bool| {
        let target = Default::default();
        finish_command(
            &ui,
            summary.as_deref(),
            &RunSummary {
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
    let checked = check_output_format(&cli)
        .and_then(|()| arguments::check_target_option(&cli))
        .and_then(|()| defaults::apply_namespace_variable(&mut cli, &environment));
    if let Err(error) = checked {
        return unrecorded(cli.command.full_name(), &Err(error), false);
    }
    if let Some(outcome) = run_without_policy(&cli.command, &cli.common, &environment, &ui) {
        return unrecorded(cli.command.full_name(), &outcome, false);
    }
    let policy = match policy::load_active_policy(&cli, &environment, &ui) {
        Ok(policy) => policy,
        Err(error) => return unrecorded(cli.command.full_name(), &Err(error), false),
    };
    let checked = defaults::apply_defaults(&mut cli, policy.as_ref())
        .and_then(|()| arguments::check_arguments(&cli, &environment));
    if let Err(error) = checked {
        return unrecorded(cli.command.full_name(), &Err(error), false);
    }
    let prepared = match &cli.command {
        Command::Audit(command) => {
            let (outcome, changed) = audit::run(command, &cli.common, &environment, &ui);
            return unrecorded(command.name(), &outcome, changed);
        }
        Command::Doctor(DoctorArgs { role: true, .. }) => {
            let outcome = doctor::print_role(cli.common.namespace.as_deref(), &ui);
            return unrecorded(cli.command.name(), &outcome, false);
        }
        Command::Targets(command) => {
            let outcome = targets::run(*command, policy.as_ref(), &ui);
            return unrecorded(cli.command.name(), &outcome, false);
        }
        Command::Plan(args) => plan::prepare_plan(&cli, args, &environment),
        Command::Apply(args) => plan::prepare_apply(&cli, args, &environment),
        _ => {
            return run_recorded(
                &cli,
                RunInputs {
                    environment,
                    policy,
                },
                &ui,
                &PlanMode::Execute,
            );
        }
    };
    match prepared {
        Ok((cli, mode)) => run_recorded(
            &cli,
            RunInputs {
                environment,
                policy,
            },
            &ui,
            &mode,
        ),
        Err(error) => unrecorded(cli.command.name(), &Err(error), false),
    }
}

/// Runs a command that only prints, without a policy and an audit log.
fn run_without_policy(
    command: &Command,
    common: &CommonArgs,
    environment: &Environment,
    ui: &Ui,
) -> Option<CommandResult> {
    match command {
        Command::Plan(PlanArgs {
            subcommand: PlanSubcommand::Show(args),
            ..
        }) => Some(plan::show_plan_file(args, environment, ui)),
        Command::Doctor(DoctorArgs { role: true, .. }) if common.target.is_none() => {
            Some(doctor::print_role(common.namespace.as_deref(), ui))
        }
        Command::Version => Some(version::run(ui)),
        Command::Completion { shell } => Some(completion::print_completion_script(*shell, ui)),
        _ => None,
    }
}

fn build_output_options(cli: &Cli, environment: &Environment) -> OutputOptions {
    let common = &cli.common;
    // The output is a script to run or to review, so nothing else may mix with it.
    let quiet = common.quiet || cli.command.dry_run() == Some(DryRunFormat::Script);
    OutputOptions {
        format: common.output,
        color: common.color,
        quiet,
        verbose: common.verbose && !quiet,
        program_name: ProgramName::from_argv0(environment).display_name(),
        ci: environment.is_ci(),
        github: environment.is_github_actions(),
        columns: environment.columns(),
        home: environment.home().and_then(Path::to_str).map(str::to_owned),
        is_dumb_terminal: environment.utf8_var("TERM") == Some("dumb"),
    }
}

struct RunInputs {
    environment: Environment,
    policy: Option<ActivePolicy>,
}

/// The commands that report checks.
const CHECK_COMMANDS: &[&str] = &["doctor", "status", "tools verify", "audit verify"];

fn check_output_format(cli: &Cli) -> Result<()> {
    let name = cli.command.full_name();
    if cli.common.output != OutputFormat::Junit || CHECK_COMMANDS.contains(&name) {
        return Ok(());
    }
    Err(Error::usage(format!(
        "`{name}` reports no checks, so it does not support -o junit"
    ))
    .hint(format!(
        "use -o json, or one of these commands: {}",
        CHECK_COMMANDS.join(", ")
    )))
}

fn reject_multiple_profiles(command: &Command, common: &CommonArgs) -> Result<()> {
    if common.profiles.len() > 1 && !matches!(command, Command::Rotate(_)) {
        return Err(Error::usage("several profiles given")
            .hint("pass --profile once: only `rotate` accepts several"));
    }
    Ok(())
}

/// Runs a command as a run in the audit log.
fn run_recorded(cli: &Cli, inputs: RunInputs, ui: &Ui, mode: &PlanMode) -> u8 {
    let (command, name) = (&cli.command, cli.command.name());
    let (summary, dry_run) = (
        inputs.environment.step_summary_path(),
        cli.command.dry_run().is_some(),
    );
    if cli.command.asks_for_confirmation() && ui.require_prompt().is_ok() {
        ui.hold_warnings();
    }
    let (executor, audit_log) = match start_run(cli, inputs, ui, mode) {
        Ok(started) => started,
        Err(error) => {
            let (outcome, target) = (&Err(error), Default::default());
            let run_summary = RunSummary {
                command: name,
                outcome,
                dry_run,
                changed: false,
                run: None,
                target,
                head: None,
            };
            return finish_command(ui, summary.as_deref(), &run_summary);
        }
    };
    let profile = cli
        .common
        .profiles
        .first()
        .map_or("default", String::as_str);
    let session = Session {
        executor: &executor,
        ui,
        common: &cli.common,
        mode,
        profile,
    };
    let allowed = reject_multiple_profiles(command, &cli.common)
        .and_then(|()| guard::enforce_guard(&session, command));
    let outcome = allowed.and_then(|()| match command {
        Command::Enable(args) => enable::run(&session, args),
        Command::Disable(args) => disable::run(&session, args),
        Command::Revoke(args) => revoke::run(&session, args),
        Command::Rotate(args) => rotate::run(&session, args),
        Command::Status(args) => status::run(&session, args),
        Command::Doctor(args) => doctor::run(&session, args),
        Command::Tools(command) => tools::run(&session, *command),
        Command::Policy(command) => policy_command::run(&session, command),
        // `run` has dispatched these before.
        Command::Audit(_)
        | Command::Targets(_)
        | Command::Plan(_)
        | Command::Apply(_)
        | Command::Version
        | Command::Completion { .. } => Ok(None),
    });
    let (outcome, head) = session.finish(outcome);
    let head = head.as_ref().map(|head| (head, audit_log.as_path()));
    let (changed, run, target) = (
        executor.has_changed(),
        Some(executor.run_id()),
        executor.target(),
    );
    finish_command(
        ui,
        summary.as_deref(),
        &RunSummary {
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

fn start_run(
    cli: &Cli,
    inputs: RunInputs,
    ui: &Ui,
    mode: &PlanMode,
) -> Result<(Executor, PathBuf)> {
    let RunInputs {
        environment,
        policy,
    } = inputs;
    let interrupts = Interrupts::install().map_err(|error| {
        Error::failure(format!("cannot handle signals: {error}"))
            .hint("check the limits of the machine with `ulimit -n` and `free`")
    })?;
    let state_dir = paths::state_dir(&environment)?;
    let audit_log = paths::audit_log_path(&cli.common, &environment)?;
    policy::enforce_log_path(&audit_log, policy.as_ref())?;
    let setup = RunSetup {
        command: cli.command.name(),
        dry_run: cli.command.dry_run().is_some(),
        plan_sha256: mode.plan_digest().map(str::to_owned),
        policy,
        namespace: cli.common.namespace.clone(),
        target_name: cli.common.target.clone(),
        audit_log: audit_log.clone(),
        state_dir,
        environment,
        timeout: cli.common.timeout,
        reason: cli.common.reason.clone(),
        interrupts,
    };
    let (executor, inherited) = Executor::begin_run(setup)?;
    if let Some(policy) = executor.policy() {
        let redirections = policy.list_redirections(
            cli.common.namespace.as_deref(),
            cli.common.target.as_deref(),
        );
        ui.print_policy(&policy.identify(), &redirections);
    }
    if let Some(rotated) = inherited.finished_rotation {
        let message = format!(
            "completed an interrupted rotation of the audit log after {}",
            rotated.closed_head
        );
        ui.warn(
            &message,
            "if nobody rotated the log, a later segment is lost: \
             compare with a head that is kept elsewhere (`bypassctl audit verify --expect`)",
        );
    }
    for command in inherited.unfinished {
        let message = format!(
            "an earlier run ({}) was killed in step `{}`, or still runs on another host: \
             the result of the step is unknown",
            command.run, command.step
        );
        ui.warn(&message, "this run checks the current state");
    }
    Ok((executor, audit_log))
}
