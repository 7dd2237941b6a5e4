//! `plan` and `plan show`, and the preparation of `apply`.

use crate::cli::{
    ApplyArgs, Cli, Command, CommonArgs, DryRunFormat, PlanArgs, PlanFormat, PlanRequest,
    PlanShowArgs, PlanSubcommand,
};
use crate::digest::Digest;
use crate::error::{CommandResult, Error, Result};
use crate::exec::{Environment, read_file};
use crate::plan_file::document::{MAX_PLAN, PlanFile};
use crate::plan_file::{PlanMode, SavedPlan};
use crate::ui::Ui;
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};

/// Returns the planned command as a dry run, and the mode that saves its plan.
pub(crate) fn prepare_plan(
    cli: &Cli,
    plan: &PlanArgs,
    environment: &Environment,
) -> Result<(Cli, PlanMode)> {
    let out = plan.out.as_ref().ok_or_else(|| {
        Error::usage("missing --out FILE").hint("pass the path of the new plan file")
    })?;
    let mut subcommand = plan.subcommand.clone();
    if subcommand
        .revocation_mut()
        .is_some_and(|args| args.confirm.is_some())
    {
        return Err(
            Error::usage("`plan` does not accept --confirm").hint("pass it to `bypassctl apply`")
        );
    }
    if subcommand
        .dry_run_mut()
        .and_then(|dry_run| dry_run.replace(DryRunFormat::Plan))
        .is_some()
    {
        return Err(Error::usage("`plan` does not accept --dry-run")
            .hint("omit it: `plan` only changes the plan file"));
    }
    let request = PlanRequest {
        common: absolutize_common_paths(&cli.common, environment),
        command: absolutize_subcommand_paths(&plan.subcommand, environment),
    };
    let mode = PlanMode::Save {
        path: environment.cwd.join(out),
        request: Box::new(request),
    };
    Ok((
        Cli {
            common: cli.common.clone(),
            command: into_command(subcommand),
        },
        mode,
    ))
}

fn into_command(subcommand: PlanSubcommand) -> Command {
    match subcommand {
        PlanSubcommand::Enable(args) => Command::Enable(args),
        PlanSubcommand::Disable(args) => Command::Disable(args),
        PlanSubcommand::Revoke(args) => Command::Revoke(args),
        PlanSubcommand::Rotate(args) => Command::Rotate(args),
        PlanSubcommand::Show(show) => Command::Plan(PlanArgs {
            subcommand: PlanSubcommand::Show(show),
            out: None,
        }),
    }
}

/// Makes paths absolute, because `apply` can run in another directory.
fn absolutize_common_paths(common: &CommonArgs, environment: &Environment) -> CommonArgs {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| environment.cwd.join(path));
    CommonArgs {
        kubectl: path(&common.kubectl),
        influxctl: path(&common.influxctl),
        config: path(&common.config),
        kubeconfig: common
            .kubeconfig
            .as_ref()
            .map(|file| environment.cwd.join(file).to_string_lossy().into_owned()),
        ..common.clone()
    }
}

fn absolutize_subcommand_paths(
    subcommand: &PlanSubcommand,
    environment: &Environment,
) -> PlanSubcommand {
    let mut subcommand = subcommand.clone();
    let path = match &mut subcommand {
        PlanSubcommand::Enable(args) => Some(&mut args.token_file),
        other => other.revocation_mut().map(|args| &mut args.old_token_file),
    };
    if let Some(path) = path {
        *path = path.take().map(|path| environment.cwd.join(path));
    }
    subcommand
}

/// Returns the planned command, and the mode that applies the plan.
pub(crate) fn prepare_apply(
    cli: &Cli,
    args: &ApplyArgs,
    environment: &Environment,
) -> Result<(Cli, PlanMode)> {
    let path = environment.cwd.join(&args.file);
    let (document, sha256) = open_plan_file(&path)?;
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != sha256) {
        return Err(Error::refusal(format!(
            "plan `{}` has SHA-256 {sha256}, not {expected}",
            path.display()
        ))
        .hint("get the approved file again from the approver"));
    }
    let age = Timestamp::now().duration_since(document.created_at);
    if age > SignedDuration::try_from(args.max_age).unwrap_or(SignedDuration::MAX) {
        return Err(Error::refusal(format!(
            "plan `{}` is too old: created at {:.0}",
            path.display(),
            document.created_at
        ))
        .hint("create a new plan, or pass `--max-age DURATION`"));
    }
    if age < SignedDuration::from_mins(-5) {
        return Err(Error::refusal(format!(
            "plan `{}` is dated in the future: {:.0}",
            path.display(),
            document.created_at
        ))
        .hint("check the clocks of both hosts"));
    }
    let PlanRequest {
        common,
        command: mut subcommand,
    } = document.request.clone();
    if let Some(revocation) = subcommand.revocation_mut() {
        revocation.confirm.clone_from(&args.confirm);
    } else if args.confirm.is_some() {
        return Err(Error::usage("this plan needs no confirmation").hint("omit `--confirm`"));
    }
    let common = merge_options(&absolutize_common_paths(&cli.common, environment), common)?;
    Ok((
        Cli {
            common,
            command: into_command(subcommand),
        },
        PlanMode::Apply(Box::new(SavedPlan {
            plan_file: document,
            sha256,
            digest_verified: args.expect.is_some(),
        })),
    ))
}

/// Merges the options of the plan with those of `apply`.
///
/// Target and tools come from the plan, output and audit options from `apply`.
fn merge_options(given: &CommonArgs, planned: CommonArgs) -> Result<CommonArgs> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let version = |common: &CommonArgs| {
        common
            .assume_influxctl_version
            .as_ref()
            .map(ToString::to_string)
    };
    // The planned command ignored the variable if it had a target.
    let ignores_namespace = planned.target.is_some() && given.is_namespace_from_variable;
    let given_namespace = given.namespace.clone().filter(|_| !ignores_namespace);
    for (flag, given, planned) in [
        ("--namespace", given_namespace, planned.namespace.clone()),
        ("--context", given.context.clone(), planned.context.clone()),
        (
            "--kubeconfig",
            given.kubeconfig.clone(),
            planned.kubeconfig.clone(),
        ),
        ("--as", given.as_user.clone(), planned.as_user.clone()),
        ("--kubectl", path(&given.kubectl), path(&planned.kubectl)),
        (
            "--influxctl",
            path(&given.influxctl),
            path(&planned.influxctl),
        ),
        ("--config", path(&given.config), path(&planned.config)),
        (
            "--as-group",
            join_values(&given.as_groups),
            join_values(&planned.as_groups),
        ),
        (
            "--assume-influxctl-version",
            version(given),
            version(&planned),
        ),
        (
            "--profile",
            join_values(&given.profiles),
            Some(planned.profiles.join(", ")),
        ),
    ] {
        if let Some(given) = given.filter(|given| Some(given) != planned.as_ref()) {
            let planned = planned.unwrap_or_else(|| "not set".to_owned());
            return Err(
                Error::refusal(format!("{flag} {given} contradicts the plan: {planned}"))
                    .hint("omit it, or create a new plan"),
            );
        }
    }
    let CommonArgs {
        audit_log,
        policy,
        reason,
        output,
        color,
        quiet,
        verbose,
        ..
    } = given.clone();
    Ok(CommonArgs {
        audit_log,
        policy,
        reason,
        output,
        color,
        quiet,
        verbose,
        ..planned
    })
}

/// Joins the values of a flag, or returns `None` without values.
fn join_values(values: &[String]) -> Option<String> {
    Some(values.join(", ")).filter(|_| !values.is_empty())
}

/// Reads a plan file and computes its digest.
fn open_plan_file(path: &Path) -> Result<(PlanFile, String)> {
    let unusable = |reason: String| {
        Error::refusal(format!("cannot read plan `{}`: {reason}", path.display()))
            .hint("recreate the plan: `bypassctl plan … --out FILE`")
    };
    let file = read_file(path, MAX_PLAN).map_err(|error| unusable(error.to_string()))?;
    let file = file.ok_or_else(|| unusable("file not found".to_owned()))?;
    let document = PlanFile::parse(&file.bytes).map_err(unusable)?;
    Ok((document, Digest::compute(&file.bytes).to_string()))
}

/// Prints a saved plan or its script.
pub(crate) fn show_plan_file(
    args: &PlanShowArgs,
    environment: &Environment,
    ui: &Ui,
) -> CommandResult {
    let (document, sha256) = open_plan_file(&environment.cwd.join(&args.file))?;
    match args.format {
        PlanFormat::Text => {
            ui.print_plan_file(&document.to_summary(), &document.render());
            ui.print_result(&format!("sha256 {sha256}"));
        }
        PlanFormat::Script => ui.print_document(&document.script),
    }
    if args.format == PlanFormat::Script {
        ui.update_fields(|fields| fields.script = Some(document.script.clone()));
    }
    ui.report_plan_file(document.to_json()?, sha256);
    Ok(None)
}
