//! `version`

use super::Outcome;
use super::plan::SCHEMA;
use crate::ui::{Ui, Versions};

pub(super) fn run(ui: &Ui) -> Outcome {
    let versions = Versions::of_this(SCHEMA);
    let commit = versions.commit.unwrap_or("not told when it was built");
    ui.result(&format!("bypassctl {}", versions.version));
    ui.say(&format!("commit   {commit}"));
    ui.say(&format!(
        "built    {}, for {} on {}",
        versions.build, versions.os, versions.arch
    ));
    ui.say(&format!("report   {}", versions.report));
    ui.say(&format!("plan     {}", versions.plan));
    ui.say(&format!("record   {}", versions.record));
    ui.fields(|fields| fields.versions = Some(versions));
    Ok(None)
}
