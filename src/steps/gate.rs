//! Decides what becomes of a plan: execute it, print it, save it, or refuse it.

use crate::audit::PlanProgress;
use crate::cli::{DryRunFormat, PlanRequest};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::read_file;
use crate::plan::{Plan, render_script};
use crate::plan_file::diff::{find_differences, find_resume_differences, format_differences};
use crate::plan_file::document::{MAX_PLAN, PlanFile, PlanObservation};
use crate::plan_file::{PlanMode, SavedPlan};
use crate::session::runner::Runner;
use crate::ui::StepOutcome;
use std::path::Path;

/// What is to become of this plan: whether it is carried out now. Otherwise it is shown, or written down.
pub(crate) fn should_execute(
    runner: &Runner,
    mode: &PlanMode,
    plan: &Plan,
    observed: PlanObservation,
    dry_run: Option<DryRunFormat>,
) -> Result<bool> {
    match (mode, dry_run) {
        (PlanMode::Save { path: out, request }, _) => {
            save_plan(runner, plan, observed, out, request).map(|()| false)
        }
        (_, Some(form)) => {
            show_dry_run(runner, plan, form);
            Ok(false)
        }
        (PlanMode::Apply(saved), None) => {
            ensure_unchanged(runner, plan, observed, saved).map(|()| true)
        }
        (PlanMode::Execute, None) => Ok(true),
    }
}

fn save_plan(
    runner: &Runner,
    plan: &Plan,
    observed: PlanObservation,
    out: &Path,
    request: &PlanRequest,
) -> Result<()> {
    let mut request = request.clone();
    // Which context was in force then must not depend on where it is applied.
    request.common.context = runner.executor.target().context;
    let document = PlanFile::new(runner.executor, plan, observed, request)?;
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
    runner
        .executor
        .write_document("write-plan", out, &bytes, old.as_ref())?;
    let sha256 = Digest::compute(&bytes).to_string();
    runner.ui.print_plan(&document.render());
    runner.ui.print_lines(&format!(
        "written to {}; nothing was changed",
        out.display()
    ));
    runner.ui.print_result(&format!("sha256 {sha256}"));
    runner.ui.print_lines(&format!(
        "to carry it out: bypassctl apply {} --expect {sha256}",
        crate::plan::shell_quote(&out.display().to_string())
    ));
    runner
        .ui
        .update_fields(|fields| fields.file = Some(out.display().to_string()));
    runner.ui.report_plan_file(document.to_json()?, sha256);
    Ok(())
}

/// Fails where this is not the plan that was written down, nor what is left of it.
fn ensure_unchanged(
    runner: &Runner,
    plan: &Plan,
    observed: PlanObservation,
    saved: &SavedPlan,
) -> Result<()> {
    runner
        .ui
        .update_fields(|fields| fields.sha256 = Some(saved.sha256.clone()));
    if !saved.digest_verified {
        runner.ui.warn(
            "whether this is the plan that was approved is not known",
            "--expect SHA256, from who approved it",
        );
    }
    let stand = runner.executor.find_plan_progress(&saved.sha256)?;
    if stand == PlanProgress::Done {
        return Err(
            Error::refusal("this plan was carried out already, by the record")
                .hint("a plan is carried out once: make another and have it approved"),
        );
    }
    let now = PlanFile::new(
        runner.executor,
        plan,
        observed,
        saved.plan_file.request.clone(),
    )?;
    let differences = find_differences(&saved.plan_file, &now);
    if differences.is_empty() {
        runner.ui.report_step(
            "plan",
            StepOutcome::Verified,
            &format!("all is as the plan has it, sha256 {}", saved.sha256),
        );
        return Ok(());
    }
    let (differences, hint) = match stand {
        PlanProgress::Incomplete(steps) => {
            let differences = find_resume_differences(&saved.plan_file, &now, &steps);
            if differences.is_empty() {
                runner.ui.warn(
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
    let told = format_differences(&differences);
    runner
        .ui
        .update_fields(|fields| fields.differences = Some(differences));
    Err(Error::refusal(format!("not as the plan has it: {told}")).hint(hint))
}

/// A plan as it was asked for.
pub(crate) fn show_dry_run(runner: &Runner, plan: &Plan, form: DryRunFormat) {
    match form {
        DryRunFormat::Plan => {
            runner.ui.report_plan(plan);
            runner
                .ui
                .print_lines("this was a dry run: nothing was changed");
        }
        DryRunFormat::Script => {
            let script = render_script(plan);
            runner.ui.print_document(&script);
            runner
                .ui
                .update_fields(|fields| fields.script = Some(script));
        }
    }
}
