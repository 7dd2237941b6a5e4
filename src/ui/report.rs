//! What `-o json` prints. `docs/JSON.md` describes it; `docs/schema/report.json` is made from these types.

use super::check::Check;
use crate::audit::{Body, Head, LogVerification, RECORD_VERSION, Run, Target};
use crate::plan::StepView;
use crate::tool::ToolInfo;
use serde::Serialize;
use serde_json::Value;

/// The version of this form: within it keys are added, never changed or removed.
pub(super) const REPORT_SCHEMA: &str = "bypassctl/2";

/// What a command did or found: the one object that `-o json` prints, whatever the command and however it ended.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report<'a> {
    /// The version of this form: `bypassctl/2`.
    pub(super) schema: &'static str,
    /// Which command: `enable`, `audit verify`, …; with `plan` and `apply` the command that is planned, once that is known; `bypassctl` where the command line does not make sense.
    pub(super) command: &'a str,
    /// How it ended, in a word: that of the exit code. `done` for 0.
    pub(super) outcome: &'static str,
    /// The exit code.
    pub(super) exit_code: u8,
    /// Whether it only showed, or wrote down, what it would do.
    pub(super) dry_run: bool,
    /// Whether anything was changed: in the cluster, a file of the user's, or which log is written to.
    pub(super) changed: bool,
    /// The run's name in the record; null for what is no run.
    pub(super) run: Option<&'a str>,
    /// What it was done to, as far as known.
    pub(super) target: &'a Target,
    /// What went wrong; null where nothing did.
    pub(super) error: Option<ErrorReport<'a>>,
    /// The record's last record, which anchors all before it; null for what is no run.
    pub(super) audit: Option<Anchor>,
    /// What was told meanwhile.
    #[serde(flatten)]
    pub(super) data: &'a ReportData,
}

/// What went wrong, and what to do about it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorReport<'a> {
    /// Which kind, in a word: the same as `outcome`.
    pub(super) code: &'static str,
    /// What happened, to what.
    pub(super) message: &'a str,
    /// What to do about it.
    pub(super) hint: &'a str,
}

/// A log and its last record.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Anchor {
    /// The log's file.
    pub file: String,
    /// The last record.
    #[serde(flatten)]
    pub head: Head,
}

/// A log's file and its last record.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogHead {
    /// The log's file.
    pub file: String,
    /// The last record.
    pub head: Head,
}

/// What is told while a command goes on.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ReportData {
    /// The tools that were used, as they were found.
    pub(super) tools: Vec<ToolInfo>,
    /// What should not stay as it is.
    pub(super) warnings: Vec<Warning>,
    /// What was looked at (`doctor`, `status`, `tools verify`, `audit verify`).
    pub(super) checks: Vec<Check>,
    /// The steps that a dry run or a revocation has planned; the whole document from `plan`; else null.
    pub(super) plan: Option<ReportedPlan>,
    /// The steps that are done or were not needed, in the order in which they ended.
    pub(super) steps: Vec<StepReport>,
    /// What only some commands tell.
    #[serde(flatten)]
    pub(super) fields: CommandFields,
}

/// Something that should not stay as it is.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Warning {
    /// What it is.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: String,
}

/// The result of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum StepOutcome {
    /// The step ran, and its postcondition is met.
    Done,
    /// The step found its postcondition met and changed nothing.
    Unchanged,
    /// The step does not apply and was left out.
    Skipped,
    /// The plan leaves the step out: its postcondition was met before the plan was made.
    Satisfied,
    /// A preflight check or a comparison that succeeded.
    Verified,
}

impl StepOutcome {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Skipped => "skipped",
            Self::Satisfied => "satisfied",
            Self::Verified => "verified",
        }
    }
}

/// A step that is done, or that needed nothing.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct StepReport {
    /// The step's ID, stable, as in the plan.
    pub(super) id: String,
    /// The step's outcome.
    pub(super) outcome: StepOutcome,
    /// The outcome in a sentence.
    pub(super) detail: String,
    /// Milliseconds from the start of the run to the end of the step.
    pub(super) elapsed_ms: u64,
}

/// A plan.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ReportedPlan {
    /// The steps of a dry run or a revocation.
    Steps(Vec<StepView>),
    /// The document of `plan`, as it is in its file.
    #[cfg_attr(test, schemars(schema_with = "tests::plan_schema"))]
    Document(Value),
}

/// What only some commands tell.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CommandFields {
    /// `version`: what this program is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionInfo>,
    /// `tools list`: the tools that would run, `kubectl` and `influxctl`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_tools: Option<Vec<InstalledTool>>,
    /// `tools pin`: the `[tools]` section for what is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_section: Option<String>,
    /// `audit verify`: what holds, in all of its detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_verification: Option<LogVerification>,
    /// `audit anchor`: the last record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// `audit rotate-log`: the log that was closed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_log: Option<LogHead>,
    /// `audit rotate-log`: the log that goes on from it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_log: Option<LogHead>,
    /// `audit list`: the runs on record, in the order in which they began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Run>>,
    /// `audit show`: the run's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_run: Option<String>,
    /// `audit show`: its records.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<RecordView>>,
    /// `audit export --format in-toto`: what was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exported: Option<ExportedFiles>,
    /// `audit export --format html`: the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// The POSIX shell script that was asked for (`--dry-run=script`, `--format script`, `completion`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// `plan`, `tools pin --write`: the file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `plan`, `plan show`, `apply`: SHA-256 of the plan's file, lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `apply`: where what would be done now is not what the plan has; there only where anything differs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<Difference>>,
    /// `revoke`, `rotate`: why an earlier revocation is taken to have begun and not ended; null where none is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resuming: Option<Option<String>>,
    /// `revoke`, `rotate`: how far it has come; there only where it stopped on the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// `revoke`, `rotate`: what the proof has shown; there only where it came to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<RevocationVerification>,
    /// `revoke`, `rotate`: why the new token was refused; null where it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_token_rejection: Option<Option<String>>,
}

/// What a program is, and which forms it reads and writes.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VersionInfo {
    /// Its version, `X.Y.Z`.
    pub version: &'static str,
    /// The commit that it was built from (`BYPASSCTL_COMMIT` when it was built); null where that was not told.
    pub commit: Option<&'static str>,
    /// `release` or `debug`.
    pub build: &'static str,
    /// The system that it was built for.
    pub os: &'static str,
    /// The processor that it was built for.
    pub arch: &'static str,
    /// The version of what `-o json` prints.
    pub report: &'static str,
    /// The version of the plans that it writes and applies.
    pub plan: &'static str,
    /// The version of the record (`v` of each).
    pub audit_log: u32,
}

impl VersionInfo {
    /// Of this program; of plans, which are not known here, it is told.
    pub fn new(plan: &'static str) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("BYPASSCTL_COMMIT").filter(|commit| !commit.is_empty()),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            },
            os: std::env::consts::OS,
            arch: std::env::consts::ARCH,
            report: REPORT_SCHEMA,
            plan,
            audit_log: RECORD_VERSION,
        }
    }
}

/// A tool that would run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InstalledTool {
    /// `kubectl` or `influxctl`.
    pub name: String,
    /// Where it was found, before symlinks were resolved.
    pub found_at: String,
    /// The file that is executed: absolute, symlinks resolved.
    pub path: String,
    /// Its version, `X.Y.Z`; null where it does not tell, or is not to be run.
    pub version: Option<String>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// Whether the policy has a digest for it.
    pub pinned: bool,
    /// Why the policy does not have it run; null where it does, or says nothing of it.
    pub refusal: Option<String>,
    /// Who can put another file there: users, groups, `everyone`.
    pub writable_by: Vec<String>,
}

/// One record of a run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecordView {
    /// Its sequence number.
    pub seq: u64,
    /// When it was made: UTC, RFC 3339.
    pub ts: String,
    /// What it says, as `docs/AUDIT.md` describes it.
    #[cfg_attr(test, schemars(with = "Body"))]
    pub record: Value,
}

impl RecordView {
    /// Of a record that says this.
    pub fn new(seq: u64, ts: &str, body: &Body) -> Self {
        // What was read as JSON can be written as JSON.
        Self {
            seq,
            ts: ts.to_owned(),
            record: serde_json::to_value(body).unwrap_or_default(),
        }
    }
}

/// Files that were written.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExportedFiles {
    /// The directory.
    pub directory: String,
    /// The files' names in it.
    pub files: Vec<String>,
}

/// How far a plan has come: the names of its steps.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Progress {
    /// What must hold after them was seen to hold.
    pub done: Vec<String>,
    /// They have begun, and what must hold after them was not seen.
    pub running: Vec<String>,
    /// They have not begun.
    pub pending: Vec<String>,
}

/// A place where a plan is not what would be done now.
#[derive(Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// Where, as a JSON pointer into the plan.
    pub pointer: String,
    /// What the plan has there; null where nothing.
    pub planned: Value,
    /// What is there now; null where nothing.
    pub current: Value,
}

/// What the proof of a revocation has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum RevocationVerification {
    /// The old token is refused where it was, or the new one is, accepted.
    Verified,
    /// The old token is accepted still.
    StillAccepted,
    /// Neither, for this reason.
    Inconclusive(String),
}

#[cfg(test)]
mod tests {
    use schemars::{Schema, SchemaGenerator, json_schema};

    /// It has a schema of its own, which is there for its file as well.
    pub(super) fn plan_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "plan.json" })
    }
}
