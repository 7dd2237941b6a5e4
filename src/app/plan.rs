//! A plan that is written down, and applied later: by somebody else, or somewhere else, or after it was approved.
//!
//! What is applied is never taken from the file. The command looks, proves and plans anew, as it would without one; it
//! goes on only if what comes out is what the file says, field by field. So a file can hold no command that this
//! program would not have thought of, and nothing that was true when it was written and is not any more.

mod compare;
mod document;

use super::session::Session;
use super::{CommandResult, enable};
use crate::audit::PlanProgress;
use crate::cli::{
    ApplyArgs, Cli, Command, CommonArgs, DryRunFormat, PlanArgs, PlanFormat, PlanRequest,
    PlanShowArgs, PlanSubcommand,
};
use crate::error::{Error, Result};
use crate::exec::{Environment, read_file};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::secret::compute_sha256_hex;
use crate::tool::invocation::sanitize;
use crate::ui::Ui;
pub(super) use document::{PLAN_SCHEMA, PlanFile, PlanObservation};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};

/// A plan is some ten thousand bytes; more is another file.
const MAX_PLAN: u64 = 4 << 20;

/// What becomes of a plan.
pub(super) enum PlanMode {
    /// It is carried out, or shown where that was asked for.
    Execute,
    /// It is written down.
    Save {
        /// Where.
        path: PathBuf,
        /// What it is the plan of.
        request: Box<PlanRequest>,
    },
    /// It is carried out if it is the one that was written down.
    Apply(Box<SavedPlan>),
}

/// A plan that was written down.
pub(super) struct SavedPlan {
    plan_file: PlanFile,
    /// SHA-256 of its file.
    pub(super) sha256: String,
    /// Whether that is what was expected.
    digest_verified: bool,
}

impl PlanMode {
    /// The digest of the plan that is applied.
    pub(super) fn plan_digest(&self) -> Option<&str> {
        match self {
            Self::Apply(saved) => Some(&saved.sha256),
            Self::Execute | Self::Save { .. } => None,
        }
    }

    /// Fails where a plan is applied that has tokens tried elsewhere: no token goes there before all is compared.
    pub(super) fn check_probe_target(&self, profile: &Profile) -> Result<()> {
        let Self::Apply(saved) = self else {
            return Ok(());
        };
        let here = serde_json::json!([profile.address(), profile.tls]);
        let planned = saved
            .plan_file
            .steps
            .iter()
            .filter(|step| step["address"].is_string());
        let mut elsewhere = planned
            .map(|step| serde_json::json!([step["address"], step["tls"]]))
            .filter(|at| *at != here);
        elsewhere.next().map_or(Ok(()), |planned| {
            let planned = sanitize(&planned.to_string(), 256);
            Err(Error::refusal(format!(
                "not as the plan has it: tokens are tried with {planned} in the plan, and {here} now"
            ))
            .hint("look at host, port and TLS settings of the profile"))
        })
    }

    pub(super) fn is_execute(&self) -> bool {
        matches!(self, Self::Execute)
    }
}

/// What `plan …` is a run of: the command itself, which only looks; and where its plan goes.
pub(super) fn prepare_plan(
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
pub(super) fn prepare_apply(
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
    Ok((document, compute_sha256_hex(&file.bytes)))
}

/// `plan show`
pub(super) fn show_plan_file(
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

/// What is to become of this plan: whether it is carried out now. Otherwise it is shown, or written down.
pub(super) fn should_execute(
    session: &Session,
    plan: &Plan,
    observed: PlanObservation,
    dry_run: Option<DryRunFormat>,
) -> Result<bool> {
    match (session.mode, dry_run) {
        (PlanMode::Save { path: out, request }, _) => {
            save_plan(session, plan, observed, out, request).map(|()| false)
        }
        (_, Some(form)) => {
            enable::show_dry_run(session, plan, form);
            Ok(false)
        }
        (PlanMode::Apply(saved), None) => {
            ensure_unchanged(session, plan, observed, saved).map(|()| true)
        }
        (PlanMode::Execute, None) => Ok(true),
    }
}

fn save_plan(
    session: &Session,
    plan: &Plan,
    observed: PlanObservation,
    out: &Path,
    request: &PlanRequest,
) -> Result<()> {
    let mut request = request.clone();
    // Which context was in force then must not depend on where it is applied.
    request.common.context = session.exec.target().context;
    let document = PlanFile::new(session, plan, observed, request)?;
    let bytes = document.to_bytes()?;
    PlanFile::parse(&bytes).map_err(|why| {
        Error::refusal(format!("this plan could not be shown as it is: {why}"))
            .hint("paths and names in a plan hold nothing that is not seen, and nothing that turns text around")
    })?;
    let other = |why: String| {
        Error::refusal(format!("`{}` is not replaced: {why}", out.display()))
            .hint("name another file: --out FILE")
    };
    if !out.parent().is_some_and(Path::is_dir) {
        return Err(
            Error::refusal(format!("there is no directory for `{}`", out.display()))
                .hint("make it, or name another file: --out FILE"),
        );
    }
    let old = read_file(out, MAX_PLAN).map_err(|error| other(error.to_string()))?;
    if let Some(old) = &old {
        PlanFile::parse(&old.bytes).map_err(other)?;
    }
    session
        .exec
        .write_document("write-plan", out, &bytes, old.as_ref())?;
    let sha256 = compute_sha256_hex(&bytes);
    session.ui.print_plan(&document.render());
    session.ui.print_lines(&format!(
        "written to {}; nothing was changed",
        out.display()
    ));
    session.ui.print_result(&format!("sha256 {sha256}"));
    session.ui.print_lines(&format!(
        "to carry it out: bypassctl apply {} --expect {sha256}",
        crate::plan::script::shell_quote(&out.display().to_string())
    ));
    session
        .ui
        .update_fields(|fields| fields.file = Some(out.display().to_string()));
    session.ui.report_plan_file(document.to_json()?, sha256);
    Ok(())
}

/// Fails where this is not the plan that was written down, nor what is left of it.
fn ensure_unchanged(
    session: &Session,
    plan: &Plan,
    observed: PlanObservation,
    saved: &SavedPlan,
) -> Result<()> {
    session
        .ui
        .update_fields(|fields| fields.sha256 = Some(saved.sha256.clone()));
    if !saved.digest_verified {
        session.ui.warn(
            "whether this is the plan that was approved is not known",
            "--expect SHA256, from who approved it",
        );
    }
    let stand = session.exec.find_plan_progress(&saved.sha256)?;
    if stand == PlanProgress::Done {
        return Err(
            Error::refusal("this plan was carried out already, by the record")
                .hint("a plan is carried out once: make another and have it approved"),
        );
    }
    let now = PlanFile::new(session, plan, observed, saved.plan_file.request.clone())?;
    let differences = compare::find_differences(&saved.plan_file, &now);
    if differences.is_empty() {
        session.ui.report_step(
            "plan",
            "same",
            &format!("all is as the plan has it, sha256 {}", saved.sha256),
        );
        return Ok(());
    }
    let (differences, hint) = match stand {
        PlanProgress::Incomplete(steps) => {
            let differences = compare::find_resume_differences(&saved.plan_file, &now, &steps);
            if differences.is_empty() {
                session.ui.warn(
                    "this plan was begun before and did not come to its end",
                    "this run carries on with what is left of it",
                );
                return Ok(());
            }
            (
                differences,
                "the plan was begun and did not come to its end, but what is to be done now is not what is left of it: look at what is there, and make another plan",
            )
        }
        PlanProgress::Pending | PlanProgress::Done => {
            (differences, "make another plan and have it approved")
        }
    };
    let told = compare::format_differences(&differences);
    session
        .ui
        .update_fields(|fields| fields.differences = Some(differences));
    Err(Error::refusal(format!("not as the plan has it: {told}")).hint(hint))
}
