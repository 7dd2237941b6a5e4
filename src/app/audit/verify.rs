//! `audit verify`

use super::{Outcome, plain, unreadable};
use crate::audit::{Finding, Segment, Source, Verified, links, verify};
use crate::error::{Error, Result};
use crate::ui::{Check, Ui};

pub(super) fn run(logs: &[Source], expect: Option<&(u64, String)>, ui: &Ui) -> Outcome {
    let verified = verified(logs, expect)?;
    tell(ui, &verified);
    let findings = verified.links.broken.len()
        + verified
            .logs
            .iter()
            .map(|log| log.report.findings.len())
            .sum::<usize>();
    let holds = verified.holds;
    ui.fields(|fields| fields.verify = Some(verified));
    if holds {
        return Ok(None);
    }
    let what = match findings {
        0 => "the expected record is not in it".to_owned(),
        1 => "one finding".to_owned(),
        many => format!("{many} findings"),
    };
    let named = match logs {
        [log] => format!("`{}`", log.path.display()),
        _ => format!("in {} files", logs.len()),
    };
    Err(Error::failed(format!("the record {named} does not hold: {what}"))
        .hint("keep the files as they are, and compare them with copies or with the heads that earlier runs printed"))
}

/// Fails where the record does not hold.
pub(super) fn must_hold(logs: &[Source]) -> Result<()> {
    if verified(logs, None)?.holds {
        return Ok(());
    }
    Err(Error::failed("the record does not hold")
        .hint("bypassctl audit verify says what is wrong, and where"))
}

/// Says so where the record does not hold; returns whether it does.
pub(super) fn warn(logs: &[Source], ui: &Ui) -> Result<bool> {
    let holds = verified(logs, None)?.holds;
    if !holds {
        let hint = "bypassctl audit verify says what is wrong, and where";
        ui.warn(
            "the record does not hold: what is shown is what the files say now",
            hint,
        );
    }
    Ok(holds)
}

pub(super) fn verified(logs: &[Source], expect: Option<&(u64, String)>) -> Result<Verified> {
    let segment = |log: &Source| -> Result<Segment> {
        let report = log
            .read()
            .and_then(|mut file| verify(&mut file, expect.cloned()));
        Ok(Segment {
            file: log.path.clone(),
            report: report.map_err(|error| unreadable(&log.path, &error))?,
        })
    };
    let logs = logs.iter().map(segment).collect::<Result<Vec<_>>>()?;
    let links = links(&logs);
    let anchored = expect.map(|_| logs.iter().any(|log| log.report.anchored == Some(true)));
    let whole = logs.iter().all(|log| log.report.findings.is_empty()) && links.broken.is_empty();
    Ok(Verified {
        holds: whole && anchored != Some(false),
        anchored,
        logs,
        links,
    })
}

fn tell(ui: &Ui, verified: &Verified) {
    for log in &verified.logs {
        let file = log.file.file_name().unwrap_or_default().to_string_lossy();
        let prefix = if verified.logs.len() > 1 {
            format!("{file}, ")
        } else {
            String::new()
        };
        tell_log(ui, log, |finding| {
            format!("{prefix}line {}, byte {}", finding.line, finding.offset)
        });
    }
    for link in &verified.links.broken {
        ui.check(Check::failed(
            &link.file.display().to_string(),
            plain(&link.what),
            "name all files of one record, and no others",
        ));
    }
    for link in &verified.links.open {
        ui.check(Check::warning(
            &link.file.display().to_string(),
            plain(&link.what),
            "name that log as well: bypassctl audit verify FILE…",
        ));
    }
    ui.check(tail(verified));
}

fn tell_log(ui: &Ui, Segment { file, report }: &Segment, place: impl Fn(&Finding) -> String) {
    for finding in &report.findings {
        ui.check(Check::failed(
            &place(finding),
            plain(&finding.what),
            "what stands before this line still holds",
        ));
    }
    for finding in &report.recovered {
        ui.check(Check::warning(
            &place(finding),
            plain(&finding.what),
            "a run was cut off there while it wrote; nothing that it began without a record can have run",
        ));
    }
    for finding in &report.unknown {
        ui.check(Check::warning(
            &place(finding),
            plain(&finding.what),
            "look at the object itself; a later run has done so",
        ));
    }
    if report.findings.is_empty() {
        ui.check(Check::ok(
            "chain",
            format!("{} records of {}", report.records, file.display()),
        ));
    }
}

fn tail(verified: &Verified) -> Check {
    let head = verified
        .logs
        .last()
        .and_then(|log| log.report.head.as_deref())
        .unwrap_or("none");
    match verified.anchored {
        None => Check::warning(
            "tail",
            format!(
                "not anchored: records cut off at the end would not be seen; the last one is {head}"
            ),
            "--expect SEQ:HASH, from what an earlier run printed",
        ),
        Some(true) => Check::ok(
            "tail",
            format!("the expected record is there; the last one is {head}"),
        ),
        Some(false) => Check::failed(
            "tail",
            format!("the expected record is not there; the last one is {head}"),
            "records were cut off or rewritten, or this is another log",
        ),
    }
}
