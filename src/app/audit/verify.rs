//! `audit verify`

use super::{Outcome, opened, unreadable};
use crate::audit::{Finding, Report, verify};
use crate::error::Error;
use crate::ui::{Check, Ui};
use std::path::Path;

pub(super) fn run(path: &Path, expect: Option<(u64, String)>, ui: &Ui) -> Outcome {
    let report = verify(&mut opened(path)?, expect).map_err(|error| unreadable(path, &error))?;
    tell(ui, path, &report);
    ui.field("verify", &report);
    if report.holds() {
        return Ok(None);
    }
    let what = if report.findings.is_empty() {
        "the expected record is not in it".to_owned()
    } else {
        format!("{} findings", report.findings.len())
    };
    Err(Error::failed(format!("the record `{}` does not hold: {what}", path.display()))
        .hint("keep the file as it is, and compare it with a copy or with the heads that earlier runs printed"))
}

fn tell(ui: &Ui, path: &Path, report: &Report) {
    let place = |finding: &Finding| format!("line {}, byte {}", finding.line, finding.offset);
    for finding in &report.findings {
        ui.check(Check::failed(&place(finding), finding.what.clone(), "what stands before this line still holds"));
    }
    for finding in &report.recovered {
        ui.check(Check::warning(
            &place(finding),
            finding.what.clone(),
            "a run was cut off there while it wrote; nothing that it began without a record can have run",
        ));
    }
    for finding in &report.unknown {
        ui.check(Check::warning(
            &place(finding),
            finding.what.clone(),
            "look at the object itself; a later run has done so",
        ));
    }
    if report.findings.is_empty() {
        ui.check(Check::ok("chain", format!("{} records of {}", report.records, path.display())));
    }
    let head = report.head.as_deref().unwrap_or("none");
    let tail = match report.anchored {
        None => Check::warning(
            "tail",
            format!("not anchored: records cut off at the end would not be seen; the last one is {head}"),
            "--expect SEQ:HASH, from what an earlier run printed",
        ),
        Some(true) => Check::ok("tail", format!("the expected record is there; the last one is {head}")),
        Some(false) => Check::failed(
            "tail",
            format!("the expected record is not there; the last one is {head}"),
            "records were cut off or rewritten, or this is another log",
        ),
    };
    ui.check(tail);
}
