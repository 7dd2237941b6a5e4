//! A plan that is written down, and applied later: by somebody else, or somewhere else, or after it was approved.
//!
//! What is applied is never taken from the file. The command looks, proves and plans anew, as it would without one; it
//! goes on only if what comes out is what the file says, field by field. So a file can hold no command that this
//! program would not have thought of, and nothing that was true when it was written and is not any more.

mod compare;
mod document;

use super::session::Session;
use super::{Outcome, enable};
use crate::audit::PlanStand;
use crate::cli::{
    Apply, Cli, Command, Common, DryRun, PlanAs, PlanCommand, PlanShow, Planned, Request,
};
use crate::error::{Error, Result};
use crate::exec::{Surroundings, read};
use crate::plan::Plan;
use crate::profile::Profile;
use crate::secret::sha256_hex;
use crate::tool::invocation::printable;
use crate::ui::Ui;
pub(super) use document::{Document, Observed, SCHEMA};
use jiff::{SignedDuration, Timestamp};
use std::path::{Path, PathBuf};

/// A plan is some ten thousand bytes; more is another file.
const MAX_PLAN: u64 = 4 << 20;

/// What becomes of a plan.
pub(super) enum Mode {
    /// It is carried out, or shown where that was asked for.
    Now,
    /// It is written down.
    Write {
        /// Where.
        out: PathBuf,
        /// What it is the plan of.
        request: Box<Request>,
    },
    /// It is carried out if it is the one that was written down.
    Apply(Box<Saved>),
}

/// A plan that was written down.
pub(super) struct Saved {
    document: Document,
    /// SHA-256 of its file.
    pub(super) sha256: String,
    /// Whether that is what was expected.
    expected: bool,
}

impl Mode {
    /// The digest of the plan that is applied.
    pub(super) fn plan(&self) -> Option<&str> {
        match self {
            Self::Apply(saved) => Some(&saved.sha256),
            Self::Now | Self::Write { .. } => None,
        }
    }

    /// Fails where a plan is applied that has tokens tried elsewhere: no token goes there before all is compared.
    pub(super) fn may_try(&self, profile: &Profile) -> Result<()> {
        let Self::Apply(saved) = self else {
            return Ok(());
        };
        let here = serde_json::json!([profile.address(), profile.tls]);
        let planned = saved
            .document
            .steps
            .iter()
            .filter(|step| step["at"].is_string());
        let mut elsewhere = planned
            .map(|step| serde_json::json!([step["at"], step["tls"]]))
            .filter(|at| *at != here);
        elsewhere.next().map_or(Ok(()), |planned| {
            let planned = printable(&planned.to_string(), 256);
            Err(Error::refused(format!(
                "not as the plan has it: tokens are tried with {planned} in the plan, and {here} now"
            ))
            .hint("look at host, port and TLS settings of the profile"))
        })
    }

    pub(super) fn is_now(&self) -> bool {
        matches!(self, Self::Now)
    }
}

/// What `plan …` is a run of: the command itself, which only looks; and where its plan goes.
pub(super) fn planned(
    cli: &Cli,
    plan: &PlanCommand,
    surroundings: &Surroundings,
) -> Result<(Cli, Mode)> {
    let out = plan.out.as_ref().ok_or_else(|| {
        Error::usage("it is not said where the plan goes").hint("name a file: --out FILE")
    })?;
    let mut what = plan.what.clone();
    if what.revocation().is_some_and(|how| how.confirm.is_some()) {
        return Err(Error::usage("--confirm is not for `plan`")
            .hint("`plan` changes nothing; it is for `apply`"));
    }
    if what
        .dry_run()
        .and_then(|dry_run| dry_run.replace(DryRun::Plan))
        .is_some()
    {
        return Err(Error::usage("--dry-run is not for `plan`")
            .hint("`plan` changes nothing; leave one of the two out"));
    }
    let request = Request {
        common: absolute(&cli.common, surroundings),
        command: with_absolute_paths(&plan.what, surroundings),
    };
    let mode = Mode::Write {
        out: surroundings.cwd.join(out),
        request: Box::new(request),
    };
    Ok((
        Cli {
            common: cli.common.clone(),
            command: command(what),
        },
        mode,
    ))
}

fn command(what: Planned) -> Command {
    match what {
        Planned::Enable(args) => Command::Enable(args),
        Planned::Disable(args) => Command::Disable(args),
        Planned::Revoke(args) => Command::Revoke(args),
        Planned::Rotate(args) => Command::Rotate(args),
        Planned::Show(show) => Command::Plan(PlanCommand {
            what: Planned::Show(show),
            out: None,
        }),
    }
}

/// Relative paths are those of where it was planned.
fn absolute(common: &Common, surroundings: &Surroundings) -> Common {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| surroundings.cwd.join(path));
    Common {
        kubectl: path(&common.kubectl),
        influxctl: path(&common.influxctl),
        config: path(&common.config),
        kubeconfig: common
            .kubeconfig
            .as_ref()
            .map(|file| surroundings.cwd.join(file).to_string_lossy().into_owned()),
        ..common.clone()
    }
}

fn with_absolute_paths(what: &Planned, surroundings: &Surroundings) -> Planned {
    let mut what = what.clone();
    let path = match &mut what {
        Planned::Enable(args) => Some(&mut args.token_file),
        other => other.revocation().map(|how| &mut how.old_token_file),
    };
    if let Some(path) = path {
        *path = path.take().map(|path| surroundings.cwd.join(path));
    }
    what
}

/// What `apply` is a run of: the command that was planned, as it was asked for.
pub(super) fn applied(cli: &Cli, args: &Apply, surroundings: &Surroundings) -> Result<(Cli, Mode)> {
    let path = surroundings.cwd.join(&args.file);
    let (document, sha256) = open(&path)?;
    if let Some(expected) = args.expect.as_ref().filter(|expected| **expected != sha256) {
        return Err(Error::refused(format!(
            "`{}` is not the plan that is expected: its SHA-256 is {sha256}, not {expected}",
            path.display()
        ))
        .hint("ask for the plan that was approved"));
    }
    let age = Timestamp::now().duration_since(document.made);
    if age > SignedDuration::try_from(args.max_age).unwrap_or(SignedDuration::MAX) {
        return Err(Error::refused(format!(
            "`{}` was made {:.0}, longer ago than a plan may be old",
            path.display(),
            document.made
        ))
        .hint("make another and have it approved, or --max-age DURATION"));
    }
    if age < SignedDuration::from_mins(-5) {
        return Err(Error::refused(format!(
            "`{}` says that it was made {:.0}, which is to come",
            path.display(),
            document.made
        ))
        .hint("look at the clocks of both hosts"));
    }
    let Request {
        common,
        command: mut what,
    } = document.request.clone();
    if let Some(how) = what.revocation() {
        how.confirm.clone_from(&args.confirm);
    } else if args.confirm.is_some() {
        return Err(
            Error::usage("nothing of this plan is to be confirmed").hint("leave --confirm out")
        );
    }
    let common = merged(&absolute(&cli.common, surroundings), common)?;
    Ok((
        Cli {
            common,
            command: command(what),
        },
        Mode::Apply(Box::new(Saved {
            document,
            sha256,
            expected: args.expect.is_some(),
        })),
    ))
}

/// Where and with what is as it was planned; how it is told and recorded, as it is asked for now.
fn merged(own: &Common, planned: Common) -> Result<Common> {
    let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
    let version = |common: &Common| {
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
            listed(&own.as_groups),
            listed(&planned.as_groups),
        ),
        (
            "--assume-influxctl-version",
            version(own),
            version(&planned),
        ),
        (
            "--profile",
            listed(&own.profiles),
            Some(planned.profiles.join(", ")),
        ),
    ] {
        if let Some(now) = now.filter(|now| Some(now) != then.as_ref()) {
            let then = then.unwrap_or_else(|| "something else".to_owned());
            return Err(
                Error::refused(format!("{flag} {now} is not what the plan has: {then}"))
                    .hint("leave it out, or make another plan"),
            );
        }
    }
    let Common {
        audit_log,
        policy,
        reason,
        output,
        color,
        quiet,
        verbose,
        ..
    } = own.clone();
    Ok(Common {
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
fn listed(values: &[String]) -> Option<String> {
    Some(values.join(", ")).filter(|_| !values.is_empty())
}

/// A plan's file, and its digest.
fn open(path: &Path) -> Result<(Document, String)> {
    let unusable = |why: String| {
        Error::refused(format!("`{}` is no plan: {why}", path.display()))
            .hint("make one with `bypassctl plan …`")
    };
    let file = read(path, MAX_PLAN).map_err(|error| unusable(error.to_string()))?;
    let file = file.ok_or_else(|| unusable("it is not there".to_owned()))?;
    let document = Document::parse(&file.bytes).map_err(unusable)?;
    Ok((document, sha256_hex(&file.bytes)))
}

/// `plan show`
pub(super) fn show(args: &PlanShow, surroundings: &Surroundings, ui: &Ui) -> Outcome {
    let (document, sha256) = open(&surroundings.cwd.join(&args.file))?;
    match args.format {
        PlanAs::Text => {
            ui.result(document.rendered().trim_end());
            ui.result(&format!("sha256 {sha256}"));
        }
        PlanAs::Script => ui.document(&document.script),
    }
    if args.format == PlanAs::Script {
        ui.fields(|fields| fields.script = Some(document.script.clone()));
    }
    ui.plan_document(document.to_json()?, sha256);
    Ok(None)
}

/// What is to become of this plan: whether it is carried out now. Otherwise it is shown, or written down.
pub(super) fn go_on(
    session: &Session,
    plan: &Plan,
    observed: Observed,
    dry_run: Option<DryRun>,
) -> Result<bool> {
    match (session.mode, dry_run) {
        (Mode::Write { out, request }, _) => {
            write(session, plan, observed, out, request).map(|()| false)
        }
        (_, Some(form)) => {
            enable::show(session, plan, form);
            Ok(false)
        }
        (Mode::Apply(saved), None) => must_be(session, plan, observed, saved).map(|()| true),
        (Mode::Now, None) => Ok(true),
    }
}

fn write(
    session: &Session,
    plan: &Plan,
    observed: Observed,
    out: &Path,
    request: &Request,
) -> Result<()> {
    let mut request = request.clone();
    // Which context was in force then must not depend on where it is applied.
    request.common.context = session.exec.target().context;
    let document = Document::of(session, plan, observed, request)?;
    let bytes = document.to_bytes()?;
    Document::parse(&bytes).map_err(|why| {
        Error::refused(format!("this plan could not be shown as it is: {why}"))
            .hint("paths and names in a plan hold nothing that is not seen, and nothing that turns text around")
    })?;
    let other = |why: String| {
        Error::refused(format!("`{}` is not replaced: {why}", out.display()))
            .hint("name another file: --out FILE")
    };
    if !out.parent().is_some_and(Path::is_dir) {
        return Err(
            Error::refused(format!("there is no directory for `{}`", out.display()))
                .hint("make it, or name another file: --out FILE"),
        );
    }
    let old = read(out, MAX_PLAN).map_err(|error| other(error.to_string()))?;
    if let Some(old) = &old {
        Document::parse(&old.bytes).map_err(other)?;
    }
    session
        .exec
        .write_document("write-plan", out, &bytes, old.as_ref())?;
    let sha256 = sha256_hex(&bytes);
    session.ui.plan_text(&document.rendered());
    session.ui.say(&format!(
        "written to {}; nothing was changed",
        out.display()
    ));
    session.ui.result(&format!("sha256 {sha256}"));
    session.ui.say(&format!(
        "to carry it out: bypassctl apply {} --expect {sha256}",
        crate::plan::script::quoted(&out.display().to_string())
    ));
    session
        .ui
        .fields(|fields| fields.file = Some(out.display().to_string()));
    session.ui.plan_document(document.to_json()?, sha256);
    Ok(())
}

/// Fails where this is not the plan that was written down, nor what is left of it.
fn must_be(session: &Session, plan: &Plan, observed: Observed, saved: &Saved) -> Result<()> {
    session
        .ui
        .fields(|fields| fields.sha256 = Some(saved.sha256.clone()));
    if !saved.expected {
        session.ui.warn(
            "whether this is the plan that was approved is not known",
            "--expect SHA256, from who approved it",
        );
    }
    let stand = session.exec.plan_stand(&saved.sha256)?;
    if stand == PlanStand::Done {
        return Err(
            Error::refused("this plan was carried out already, by the record")
                .hint("a plan is carried out once: make another and have it approved"),
        );
    }
    let now = Document::of(session, plan, observed, saved.document.request.clone())?;
    let differences = compare::differences(&saved.document, &now);
    if differences.is_empty() {
        session.ui.step(
            "plan",
            "same",
            &format!("all is as the plan has it, sha256 {}", saved.sha256),
        );
        return Ok(());
    }
    let (differences, hint) = match stand {
        PlanStand::Begun(steps) => {
            let differences = compare::not_left_of(&saved.document, &now, &steps);
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
        PlanStand::Left | PlanStand::Done => {
            (differences, "make another plan and have it approved")
        }
    };
    let told = compare::told(&differences);
    session
        .ui
        .fields(|fields| fields.differences = Some(differences));
    Err(Error::refused(format!("not as the plan has it: {told}")).hint(hint))
}
