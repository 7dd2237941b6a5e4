//! `version`: prints the versions of the program and of its formats.

use crate::error::CommandResult;
use crate::plan_file::document::PLAN_SCHEMA;
use crate::ui::{Ui, VersionInfo};

pub(crate) fn run(ui: &Ui) -> CommandResult {
    let versions = VersionInfo::new(PLAN_SCHEMA);
    let commit = versions.commit.unwrap_or("unknown");
    ui.print_result(&format!("bypassctl {}", versions.version));
    ui.print_lines(&format!("commit     {commit}"));
    ui.print_lines(&format!(
        "build      {}, for {} on {}",
        versions.build, versions.os, versions.arch
    ));
    ui.print_lines(&format!("report     {}", versions.report));
    ui.print_lines(&format!("plan       {}", versions.plan));
    ui.print_lines(&format!("audit log  {}", versions.audit_log));
    ui.update_fields(|fields| fields.versions = Some(versions));
    Ok(None)
}
