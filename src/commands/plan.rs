//! `plan`, `plan show` and the preparation of `apply`.

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

/// What `plan …` is a run of: the command itself, which only looks; and where its plan goes.
pub(crate) fn prepare_plan(
    cli: &Cli,
    plan: &PlanArgs,
    environment: &Environment,
) -> Result<(Cli, PlanMode)> {
    let out = plan.out.as_ref().ok_or_else(|| {
        Error::usage("it is not said where the plan goes").hint("name a file: --out FILE")
    })?;
    let mut what = plan.subcommand.clone();
    if what
        .revocation_mut()
        .is_some_and(|how| how.confirm.is_some())
    {
        return Err(Error::usage("--confirm is not for `plan`")
            .hint("`plan` changes nothing; it is for `apply`"));
    }
    if what
        .dry_run_mut()
        .and_then(|dry_run| dry_run.replace(DryRunFormat::Plan))
        .is_some()
    {
        return Err(Error::usage("--dry-run is not for `plan`")
            .hint("`plan` changes nothing; leave one of the two out"));
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
            command: into_command(what),
        },
        mode,
    ))
}

fn into_command(what: PlanSubcommand) -> Command {
    match what {
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

/// Relative paths are those of where it was planned.
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

fn absolutize_subcommand_paths(what: &PlanSubcommand, environment: &Environment) -> PlanSubcommand {
    let mut what = what.clone();
    let path = match &mut what {
        PlanSubcommand::Enable(args) => Some(&mut args.token_file),
        other => other.revocation_mut().map(|how| &mut how.old_token_file),
    };
    if let Some(path) = path {
        *path = path.take().map(|path| environment.cwd.join(path));
    }
    what
}

/// What `apply` is a run of: the command that was planned, as it was asked for.
pub(crate) fn prepare_apply(
    cli: &Cli,
    args: &ApplyArgs,
    environment: &Environment,
) -> Result<(Cli, PlanMode)> {
    let path = environment.cwd.join(&args.file);
    let (document, sha256) = open_plan_file(&path)?;
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != sha256) {
        return Err(Error::refusal(format!(
            "`{}` is not the plan that is expected: its SHA-256 is {sha256}, not {expected}",
            path.display()
        ))
        .hint("ask for the plan that was approved"));
    }
    let age = Timestamp::now().duration_since(document.created_at);
    if age > SignedDuration::try_from(args.max_age).unwrap_or(SignedDuration::MAX) {
        return Err(Error::refusal(format!(
            "`{}` was made {:.0}, longer ago than a plan may be old",
            path.display(),
            document.created_at
        ))
        .hint("make another and have it approved, or --max-age DURATION"));
    }
    if age < SignedDuration::from_mins(-5) {
        return Err(Error::refusal(format!(
            "`{}` says that it was made {:.0}, which is to come",
            path.display(),
            document.created_at
        ))
        .hint("look at the clocks of both hosts"));
    }
    let PlanRequest {
        common,
        command: mut what,
    } = document.request.clone();
    if let Some(how) = what.revocation_mut() {
        how.confirm.clone_from(&args.confirm);
    } else if args.confirm.is_some() {
        return Err(
            Error::usage("nothing of this plan is to be confirmed").hint("leave --confirm out")
        );
    }
    let common = merge_options(&absolutize_common_paths(&cli.common, environment), common)?;
    Ok((
        Cli {
            common,
            command: into_command(what),
        },
        PlanMode::Apply(Box::new(SavedPlan {
            plan_file: document,
            sha256,
            digest_verified: args.expect.is_some(),
        })),
    ))
}

/// Where and with what is as it was planned; how it is told and recorded, as it is asked for now.
fn merge_options(own: &CommonArgs, planned: CommonArgs) -> Result<CommonArgs> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let version = |common: &CommonArgs| {
        common
            .assume_influxctl_version
            .as_ref()
            .map(ToString::to_string)
    };
    for (flag, now, then) in [
        (
            "--namespace",
            own.namespace.clone(),
            planned.namespace.clone(),
        ),
        ("--context", own.context.clone(), planned.context.clone()),
        (
            "--kubeconfig",
            own.kubeconfig.clone(),
            planned.kubeconfig.clone(),
        ),
        ("--as", own.as_user.clone(), planned.as_user.clone()),
        ("--kubectl", path(&own.kubectl), path(&planned.kubectl)),
        (
            "--influxctl",
            path(&own.influxctl),
            path(&planned.influxctl),
        ),
        ("--config", path(&own.config), path(&planned.config)),
        (
            "--as-group",
            join_values(&own.as_groups),
            join_values(&planned.as_groups),
        ),
        (
            "--assume-influxctl-version",
            version(own),
            version(&planned),
        ),
        (
            "--profile",
            join_values(&own.profiles),
            Some(planned.profiles.join(", ")),
        ),
    ] {
        if let Some(now) = now.filter(|now| Some(now) != then.as_ref()) {
            let then = then.unwrap_or_else(|| "something else".to_owned());
            return Err(
                Error::refusal(format!("{flag} {now} is not what the plan has: {then}"))
                    .hint("leave it out, or make another plan"),
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
    } = own.clone();
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

/// The values of a flag, where there are any.
fn join_values(values: &[String]) -> Option<String> {
    Some(values.join(", ")).filter(|_| !values.is_empty())
}

/// A plan's file, and its digest.
fn open_plan_file(path: &Path) -> Result<(PlanFile, String)> {
    let unusable = |why: String| {
        Error::refusal(format!("cannot read plan `{}`: {why}", path.display()))
            .hint("create the plan again with `bypassctl plan … --out FILE`")
    };
    let file = read_file(path, MAX_PLAN).map_err(|error| unusable(error.to_string()))?;
    let file = file.ok_or_else(|| unusable("file not found".to_owned()))?;
    let document = PlanFile::parse(&file.bytes).map_err(unusable)?;
    Ok((document, Digest::compute(&file.bytes).to_string()))
}

/// `plan show`
pub(crate) fn show_plan_file(
    args: &PlanShowArgs,
    environment: &Environment,
    ui: &Ui,
) -> CommandResult {
    let (document, sha256) = open_plan_file(&environment.cwd.join(&args.file))?;
    match args.format {
        PlanFormat::Text => {
            ui.print_result(document.render().trim_end());
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
