//! `audit verify`

use super::{CommandResult, log_read_error};
use crate::audit::{Finding, LogFile, LogVerification, Segment, check_links, verify_log};
use crate::error::{Error, Result};
use crate::text::sanitize;
use crate::ui::{Check, Ui};

pub(super) fn run(logs: &[LogFile], expect: Option<&(u64, String)>, ui: &Ui) -> CommandResult {
    let verified = verify_logs(logs, expect)?;
    report_verification(ui, &verified);
    let findings = verified.links.broken.len()
        + verified
            .logs
            .iter()
            .map(|log| log.report.findings.len())
            .sum::<usize>();
    let holds = verified.intact;
    ui.update_fields(|fields| fields.log_verification = Some(verified));
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
    Err(Error::failure(format!("the record {named} does not hold: {what}"))
        .hint("keep the files as they are, and compare them with copies or with the heads that earlier runs printed"))
}

/// Fails where the record does not hold.
pub(super) fn ensure_intact(logs: &[LogFile]) -> Result<()> {
    if verify_logs(logs, None)?.intact {
        return Ok(());
    }
    Err(Error::failure("the record does not hold")
        .hint("bypassctl audit verify says what is wrong, and where"))
}

/// Says so where the record does not hold; returns whether it does.
pub(super) fn warn_if_broken(logs: &[LogFile], ui: &Ui) -> Result<bool> {
    let holds = verify_logs(logs, None)?.intact;
    if !holds {
        let hint = "bypassctl audit verify says what is wrong, and where";
        ui.warn(
            "the record does not hold: what is shown is what the files say now",
            hint,
        );
    }
    Ok(holds)
}

pub(super) fn verify_logs(
    logs: &[LogFile],
    expect: Option<&(u64, String)>,
) -> Result<LogVerification> {
    let segment = |log: &LogFile| -> Result<Segment> {
        let report = log
            .reader()
            .and_then(|mut file| verify_log(&mut file, expect.cloned()));
        Ok(Segment {
            file: log.path.clone(),
            report: report.map_err(|error| log_read_error(&log.path, &error))?,
        })
    };
    let logs = logs.iter().map(segment).collect::<Result<Vec<_>>>()?;
    let links = check_links(&logs);
    let anchored = expect.map(|_| logs.iter().any(|log| log.report.anchored == Some(true)));
    let whole = logs.iter().all(|log| log.report.findings.is_empty()) && links.broken.is_empty();
    Ok(LogVerification {
        intact: whole && anchored != Some(false),
        anchored,
        logs,
        links,
    })
}

fn report_verification(ui: &Ui, verified: &LogVerification) {
    for log in &verified.logs {
        let file = log.file.file_name().unwrap_or_default().to_string_lossy();
        let prefix = if verified.logs.len() > 1 {
            format!("{file}, ")
        } else {
            String::new()
        };
        report_segment(ui, log, |finding| {
            format!("{prefix}line {}, byte {}", finding.line, finding.offset)
        });
    }
    for link in &verified.links.broken {
        ui.report_check(Check::failure(
            &link.file.display().to_string(),
            sanitize(&link.message),
            "name all files of one record, and no others",
        ));
    }
    for link in &verified.links.open {
        ui.report_check(Check::warning(
            &link.file.display().to_string(),
            sanitize(&link.message),
            "name that log as well: bypassctl audit verify FILE…",
        ));
    }
    ui.report_check(check_tail(verified));
}

fn report_segment(ui: &Ui, Segment { file, report }: &Segment, place: impl Fn(&Finding) -> String) {
    for finding in &report.findings {
        ui.report_check(Check::failure(
            &place(finding),
            sanitize(&finding.message),
            "what stands before this line still holds",
        ));
    }
    for finding in &report.recovered {
        ui.report_check(Check::warning(
            &place(finding),
            sanitize(&finding.message),
            "a run was cut off there while it wrote; nothing that it began without a record can have run",
        ));
    }
    for finding in &report.unknown {
        ui.report_check(Check::warning(
            &place(finding),
            sanitize(&finding.message),
            "look at the object itself; a later run has done so",
        ));
    }
    if report.findings.is_empty() {
        ui.report_check(Check::ok(
            "chain",
            format!("{} records of {}", report.record_count, file.display()),
        ));
    }
}

fn check_tail(verified: &LogVerification) -> Check {
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
        Some(false) => Check::failure(
            "tail",
            format!("the expected record is not there; the last one is {head}"),
            "records were cut off or rewritten, or this is another log",
        ),
    }
}
