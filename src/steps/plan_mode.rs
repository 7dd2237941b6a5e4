//! Executes, prints, saves or refuses a plan.

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

/// Returns whether the caller executes the plan now. Otherwise prints or saves the plan.
pub(crate) fn handle_plan_mode(
    runner: &Runner,
    mode: &PlanMode,
    plan: &Plan,
    observed: PlanObservation,
    dry_run: Option<DryRunFormat>,
) -> Result<bool> {
    match (mode, dry_run) {
        (PlanMode::Save { path, request }, _) => {
            save_plan(runner, plan, observed, path, request).map(|()| false)
        }
        (_, Some(format)) => {
            show_dry_run(runner, plan, format);
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
    path: &Path,
    request: &PlanRequest,
) -> Result<()> {
    let mut request = request.clone();
    // The plan applies to the context of today, also where the current context differs.
    request.common.context = runner.executor.target().context;
    let document = PlanFile::new(runner.executor, plan, observed, request)?;
    let bytes = document.to_bytes()?;
    PlanFile::parse(&bytes).map_err(|reason| {
        Error::refusal(format!("cannot save this plan: {reason}"))
            .hint("use paths and names without control characters and invisible characters")
    })?;
    let overwrite_error = |reason: String| {
        Error::refusal(format!("cannot overwrite `{}`: {reason}", path.display()))
            .hint("choose another file with --out FILE")
    };
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(Error::refusal(format!(
            "the directory of `{}` does not exist",
            path.display()
        ))
        .hint("create it, or choose another file with --out FILE"));
    }
    let old_file = read_file(path, MAX_PLAN).map_err(|error| overwrite_error(error.to_string()))?;
    if let Some(old_file) = &old_file {
        PlanFile::parse(&old_file.bytes)
            .map_err(|reason| overwrite_error(format!("not a plan file: {reason}")))?;
    }
    runner
        .executor
        .write_document("write-plan", path, &bytes, old_file.as_ref())?;
    let sha256 = Digest::compute(&bytes).to_string();
    runner.ui.print_plan_summary(&document.to_summary());
    runner.ui.print_steps(&plan.to_text());
    runner.ui.print_lines(&format!(
        "plan written to {}, nothing else changed",
        path.display()
    ));
    runner.ui.print_result(&format!("sha256 {sha256}"));
    runner.ui.print_lines(&format!(
        "to apply it: bypassctl apply {} --expect {sha256}",
        crate::plan::shell_quote(&path.display().to_string())
    ));
    runner
        .ui
        .update_fields(|fields| fields.file = Some(path.display().to_string()));
    runner.ui.report_plan_file(document.to_json()?, sha256);
    Ok(())
}

/// Fails unless the current plan equals the saved one, or the remaining part of a started one.
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
            "cannot verify that this is the approved plan: no digest given",
            "pass the digest of the approved plan: --expect SHA256",
        );
    }
    let progress = runner.executor.find_plan_progress(&saved.sha256)?;
    let source = match runner.executor.find_applied_plan(&saved.sha256)? {
        Some(path) => Some(format!("`{}`", path.display())),
        None => Some("the audit log".to_owned()).filter(|_| progress == PlanProgress::Done),
    };
    if let Some(source) = source {
        return Err(Error::refusal(format!(
            "this plan was already applied, according to {source}"
        ))
        .hint("create a new plan and have it approved: a plan applies only once"));
    }
    let current = PlanFile::new(
        runner.executor,
        plan,
        observed,
        saved.plan_file.request.clone(),
    )?;
    let differences = find_differences(&saved.plan_file, &current);
    if differences.is_empty() {
        runner.ui.report_step(
            "plan",
            StepOutcome::Verified,
            &format!(
                "the current state matches the plan, sha256 {}",
                saved.sha256
            ),
        );
        return Ok(());
    }
    let (differences, hint) = match progress {
        PlanProgress::Incomplete(steps) => {
            let differences = find_resume_differences(&saved.plan_file, &current, &steps);
            if differences.is_empty() {
                runner.ui.warn(
                    "an earlier run of this plan did not finish",
                    "this run resumes it",
                );
                return Ok(());
            }
            (
                differences,
                "check the current state, then create a new plan: \
                 the remaining steps differ from those of the interrupted run",
            )
        }
        PlanProgress::Pending | PlanProgress::Done => {
            (differences, "create a new plan and have it approved")
        }
    };
    let summary = format_differences(&differences, &saved.plan_file);
    runner
        .ui
        .update_fields(|fields| fields.differences = Some(differences));
    Err(Error::refusal(format!(
        "the current state differs from the plan: {summary}"
    ))
    .hint(hint))
}

pub(crate) fn show_dry_run(runner: &Runner, plan: &Plan, format: DryRunFormat) {
    match format {
        DryRunFormat::Plan => {
            runner.ui.report_plan(plan);
            runner.ui.print_steps(&plan.to_text());
            runner.ui.print_lines("dry run, nothing changed");
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
