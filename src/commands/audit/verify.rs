//! `audit verify`: verifies the chain, the form of each entry and the links between segments.

use super::describe::format_count;
use super::source::log_read_error;
use crate::audit::{
    Finding, FindingKind, LogFile, LogVerification, Segment, check_links, verify_log,
};
use crate::error::{CommandResult, Error, Result};
use crate::text::sanitize;
use crate::ui::{Check, Ui};

const VERIFY_HINT: &str = "run `bypassctl audit verify` to see the findings";

pub(super) fn run(logs: &[LogFile], expect: Option<&(u64, String)>, ui: &Ui) -> CommandResult {
    let verification = verify_logs(logs, expect)?;
    report_verification(ui, &verification);
    let finding_count = count_findings(&verification);
    let intact = verification.intact;
    ui.update_fields(|fields| fields.log_verification = Some(verification));
    if intact {
        return Ok(None);
    }
    let fault = match finding_count {
        0 => "the expected entry is missing".to_owned(),
        count => format_count(count, "finding", "findings"),
    };
    let name = match logs {
        [log] => format!("`{}`", log.path.display()),
        _ => format!("in {} files", logs.len()),
    };
    Err(
        Error::failure(format!("the audit log {name} is not intact: {fault}")).hint(
            "keep the files, and compare them with copies and with the heads of earlier runs",
        ),
    )
}

fn count_findings(verification: &LogVerification) -> u64 {
    let in_segments: usize = verification
        .logs
        .iter()
        .map(|log| log.report.findings.len())
        .sum();
    (verification.links.broken.len() + in_segments) as u64
}

/// Fails unless the log is intact.
pub(super) fn ensure_intact(logs: &[LogFile]) -> Result<()> {
    if verify_logs(logs, None)?.intact {
        return Ok(());
    }
    Err(Error::failure("the audit log is not intact").hint(VERIFY_HINT))
}

/// Warns unless the log is intact, and returns whether it is.
pub(super) fn warn_unless_intact(logs: &[LogFile], ui: &Ui) -> Result<bool> {
    let intact = verify_logs(logs, None)?.intact;
    if !intact {
        ui.warn(
            "the audit log is not intact: this output shows what the files contain now",
            VERIFY_HINT,
        );
    }
    Ok(intact)
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
    let unbroken = logs.iter().all(|log| log.report.findings.is_empty()) && links.broken.is_empty();
    Ok(LogVerification {
        intact: unbroken && anchored != Some(false),
        anchored,
        logs,
        links,
    })
}

fn report_verification(ui: &Ui, verification: &LogVerification) {
    for log in &verification.logs {
        let file = log.file.file_name().unwrap_or_default().to_string_lossy();
        let prefix = if verification.logs.len() > 1 {
            format!("{file}, ")
        } else {
            String::new()
        };
        report_segment(ui, log, |finding| {
            format!("{prefix}line {}, byte {}", finding.line, finding.offset)
        });
    }
    for link in &verification.links.broken {
        ui.report_check(Check::failure(
            &link.file.display().to_string(),
            sanitize(&link.message),
            "pass all segments of one audit log and no other file",
        ));
    }
    for link in &verification.links.open {
        ui.report_check(Check::warning(
            &link.file.display().to_string(),
            sanitize(&link.message),
            "pass that segment too: `bypassctl audit verify FILE…`",
        ));
    }
    ui.report_check(check_tail(verification));
}

fn report_segment(
    ui: &Ui,
    Segment { file, report }: &Segment,
    locate: impl Fn(&Finding) -> String,
) {
    for finding in &report.findings {
        ui.report_check(Check::failure(
            &locate(finding),
            sanitize(&finding.message),
            match finding.kind {
                FindingKind::Line => "rely only on the entries before this line",
                FindingKind::BrokenChain => {
                    "rely neither on the previous entry nor on later ones: compare the log with a \
                     copy"
                }
                FindingKind::EmptyLog => {
                    "check that this is the right file, and whether somebody emptied it"
                }
            },
        ));
    }
    for finding in &report.recovered {
        ui.report_check(Check::warning(
            &locate(finding),
            sanitize(&finding.message),
            "nothing to do: a run was killed before the action of this entry started",
        ));
    }
    for finding in &report.unknown {
        ui.report_check(Check::warning(
            &locate(finding),
            sanitize(&finding.message),
            "check the object itself, as every later run does",
        ));
    }
    if report.findings.is_empty() {
        ui.report_check(Check::ok(
            "chain",
            format!("{} entries in {}", report.entry_count, file.display()),
        ));
    }
}

fn check_tail(verification: &LogVerification) -> Check {
    let head = verification
        .logs
        .last()
        .and_then(|log| log.report.head.as_deref())
        .unwrap_or("none");
    match verification.anchored {
        None => Check::warning(
            "tail",
            format!(
                "not anchored: a log that was cut off or rewritten as a whole would go unnoticed \
                 (head: {head})"
            ),
            "pass the line `audit head …` of an earlier run: `--expect 'audit head LOG SEQ:HASH'`",
        ),
        Some(true) => Check::ok("tail", format!("the expected entry exists (head: {head})")),
        Some(false) => Check::failure(
            "tail",
            format!("the expected entry is missing (head: {head})"),
            "check whether the log was truncated or rewritten, or the head belongs to another log",
        ),
    }
}
