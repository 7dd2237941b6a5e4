//! The object that `-o json` prints. `docs/JSON.md` describes it, and `docs/schema/report.json` is
//! generated from these types.

use super::check::Check;
use crate::audit::{Body, Head, LOG_FORMAT_VERSION, LastWrite, LogVerification, Run, Target};
use crate::plan::StepView;
use crate::tool::ToolInfo;
use serde::Serialize;
use serde_json::Value;

/// The version of this format. Within it, keys are added, never changed or removed.
pub(super) const REPORT_SCHEMA: &str = "bypassctl/2";

/// The result of a command, also of a failed one: the one object that `-o json` prints.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report<'a> {
    /// The version of this format: `bypassctl/2`.
    pub(super) schema: &'static str,
    /// The command, for example `audit verify`. For `plan` and `apply`, the planned command once
    /// it is known. After a usage error, `bypassctl`.
    pub(super) command: &'a str,
    /// The exit code as a word, `done` for 0.
    pub(super) outcome: &'static str,
    /// The exit code.
    pub(super) exit_code: u8,
    /// The command only printed or saved its plan.
    pub(super) dry_run: bool,
    /// The command changed the cluster, a file of the user, or the audit log's file.
    pub(super) changed: bool,
    /// The run ID, or null for a command that is not a run.
    pub(super) run: Option<&'a str>,
    /// The target of the command, as far as it is known.
    pub(super) target: &'a Target,
    /// The error, or null.
    pub(super) error: Option<ErrorReport<'a>>,
    /// The last entry of the audit log, or null for a command that is not a run.
    pub(super) audit: Option<LogHead>,
    #[serde(flatten)]
    pub(super) data: &'a ReportData,
}

/// An error with its hint.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ErrorReport<'a> {
    /// The kind as a word, the same as `outcome`.
    pub(super) code: &'static str,
    /// The object and the failure.
    pub(super) message: &'a str,
    /// The instruction for the user.
    pub(super) hint: &'a str,
}

/// An audit log and its last entry.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogHead {
    /// The file of the audit log.
    pub file: String,
    /// The last entry.
    #[serde(flatten)]
    pub head: Head,
}

/// The part of the report that grows while a command runs.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct ReportData {
    /// The tools that the command used.
    pub(super) tools: Vec<ToolInfo>,
    /// The warnings, in order.
    pub(super) warnings: Vec<Warning>,
    /// The checks of `doctor`, `status`, `tools verify` and `audit verify`.
    pub(super) checks: Vec<Check>,
    /// The steps of a dry run or a revocation, the whole document of `plan`, or null.
    pub(super) plan: Option<ReportedPlan>,
    /// The steps that ended, in the order of their ends.
    pub(super) steps: Vec<StepReport>,
    #[serde(flatten)]
    pub(super) fields: CommandFields,
}

/// A warning with its hint.
#[derive(Clone, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Warning {
    /// The subject of the warning.
    pub(super) message: String,
    /// The instruction for the user.
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
    /// The step does not apply and was omitted.
    Skipped,
    /// The plan omits the step, because its postcondition was already met.
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

/// A step that ended.
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

/// A plan: its steps, or the whole document.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum ReportedPlan {
    /// The steps of a dry run or a revocation.
    Steps(Vec<StepView>),
    /// The document of `plan`, as its file contains it.
    #[cfg_attr(test, schemars(schema_with = "tests::plan_schema"))]
    Document(Value),
}

/// A key that only some commands have, with a value that can be null.
///
/// An `Option` has too few states: without the key, with null, with a value.
#[derive(Default, Serialize)]
#[serde(untagged)]
pub enum Nullable<T> {
    /// The object lacks the key.
    #[default]
    Absent,
    /// The object has the key. Its value is null for `None`.
    Present(Option<T>),
}

impl<T> Nullable<T> {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

/// Keys that only some commands have.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CommandFields {
    /// `version`: the versions of this program and its formats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub versions: Option<VersionInfo>,
    /// `tools list`: the `kubectl` and the `influxctl` that would run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed_tools: Option<Vec<InstalledTool>>,
    /// `targets list`: the targets of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targets: Option<Vec<PolicyTarget>>,
    /// `tools pin`: the `[tools]` section for the installed tools.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools_section: Option<String>,
    /// `status`: the use of the token, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<BypassState>,
    /// `doctor --role`: the Role and the ClusterRole as YAML.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// `audit verify`: every finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_verification: Option<LogVerification>,
    /// `audit anchor`: the last entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<Head>,
    /// `audit rotate-log`: the closed log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closed_log: Option<LogHead>,
    /// `audit rotate-log`: the new log, which links to the closed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_log: Option<LogHead>,
    /// `audit list`: the runs, in the order of their starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs: Option<Vec<Run>>,
    /// `audit list`: the number of all runs in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_count: Option<usize>,
    /// `audit show`: the run ID.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_run: Option<String>,
    /// `audit show`: the entries of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<Vec<EntryView>>,
    /// `audit export --format in-toto`: the files that were written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exported: Option<ExportedFiles>,
    /// `audit export --format html`: the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub html: Option<String>,
    /// `--dry-run=script`, `--format script`, `completion`: the POSIX shell script.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<String>,
    /// `plan`, `tools pin --write`, `doctor --report`: the file that was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// `plan`, `plan show`, `apply`: SHA-256 of the plan file, lower-case hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// `apply`: the differences between the plan and the current state, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub differences: Option<Vec<Difference>>,
    /// `revoke`, `rotate`: the reason to resume an earlier revocation, or null.
    #[serde(skip_serializing_if = "Nullable::is_absent")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub resuming: Nullable<String>,
    /// `revoke`, `rotate`: the progress of a revocation that stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// `revoke`, `rotate`: the verification, if the revocation completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verification: Option<RevocationVerification>,
    /// `revoke`, `rotate`: milliseconds from the first rejection of the old token to the first
    /// acceptance of the new one, if the run observed both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_gap_ms: Option<u64>,
    /// `rotate`: the further profiles that are not verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unverified_profiles: Vec<UnverifiedProfile>,
    /// `revoke`, `rotate`: the number of management tokens that the revocation does not revoke:
    /// not expired, and not revoked otherwise. Null if it is unknown.
    #[serde(skip_serializing_if = "Nullable::is_absent")]
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    pub management_tokens: Nullable<u64>,
    /// `revoke`, `rotate`: the same for database tokens.
    #[serde(skip_serializing_if = "Nullable::is_absent")]
    #[cfg_attr(test, schemars(with = "Option<u64>"))]
    pub database_tokens: Nullable<u64>,
    /// `revoke`, `rotate`: why the server rejected the new token, or null.
    #[serde(skip_serializing_if = "Nullable::is_absent")]
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub new_token_rejection: Nullable<String>,
}

/// A profile that has the new token, but another address than the verification.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnverifiedProfile {
    /// Name of the profile.
    pub profile: String,
    /// What the probes at its address showed instead.
    pub reason: String,
}

impl CommandFields {
    pub fn set_unverified_profiles(&mut self, profiles: Vec<(String, String)>) {
        let to_field = |(profile, reason)| UnverifiedProfile { profile, reason };
        self.unverified_profiles = profiles.into_iter().map(to_field).collect();
    }
}

/// The use of the admin token by a profile.
#[derive(Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BypassState {
    /// The profile uses a token file.
    pub is_on: bool,
    /// The token file of the profile, or null.
    pub token_file: Option<String>,
    /// The creation time of the cluster's token, or null if it is unknown.
    pub token_created_at: Option<String>,
    /// The last write of the token file, or null if it is not in the audit log.
    pub written: Option<TokenFileWrite>,
}

/// The last write of a token file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TokenFileWrite {
    /// UUID of the run.
    pub run: String,
    /// Time: UTC, RFC 3339.
    pub written_at: String,
    /// User of the run.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Text of `--reason`, or null.
    pub reason: Option<String>,
}

impl From<LastWrite> for TokenFileWrite {
    fn from(write: LastWrite) -> Self {
        Self {
            run: write.run,
            written_at: write.written_at,
            user: write.user,
            host: write.host,
            reason: write.reason,
        }
    }
}

/// The versions of this program and of the formats that it reads and writes.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VersionInfo {
    /// The version of the program, `X.Y.Z`.
    pub version: &'static str,
    /// The commit of the source (`BYPASSCTL_COMMIT` during the build), or null.
    pub commit: Option<&'static str>,
    /// `release` or `debug`.
    pub build: &'static str,
    /// The target operating system.
    pub os: &'static str,
    /// The target architecture.
    pub arch: &'static str,
    /// The version of the object that `-o json` prints.
    pub report: &'static str,
    /// The version of saved plans.
    pub plan: &'static str,
    /// The version of the audit log (`v` of each entry).
    pub audit_log: u32,
}

impl VersionInfo {
    /// Takes the version of saved plans as an argument, because this module does not know plans.
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
            audit_log: LOG_FORMAT_VERSION,
        }
    }
}

/// A tool that would run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct InstalledTool {
    /// `kubectl` or `influxctl`.
    pub name: String,
    /// The path before symlinks are resolved.
    pub found_at: String,
    /// The executed file: absolute, symlinks resolved.
    pub path: String,
    /// The version, `X.Y.Z`. Null if it is unknown or the policy refuses the tool.
    pub version: Option<String>,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// The policy has a digest for the tool.
    pub pinned: bool,
    /// Why the policy refuses the tool, or null.
    pub refusal: Option<String>,
    /// Who can replace the file: users, groups, `everyone`.
    pub writable_by: Vec<String>,
}

/// A target of the policy.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PolicyTarget {
    /// The name, for `--target`.
    pub name: String,
    /// The context in the kubeconfig.
    pub context: String,
    /// The namespace of InfluxDB Clustered.
    pub namespace: String,
    /// The influxctl profile, by default the name of the target.
    pub profile: String,
}

/// One audit entry of a run.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EntryView {
    /// The sequence number.
    pub seq: u64,
    /// The time: UTC, RFC 3339.
    pub ts: String,
    /// The contents, as `docs/AUDIT.md` describes them.
    #[cfg_attr(test, schemars(with = "Body"))]
    pub body: Value,
}

impl EntryView {
    pub fn new(seq: u64, ts: &str, body: &Body) -> Self {
        // The entry was read from JSON, so it can be written as JSON.
        Self {
            seq,
            ts: ts.to_owned(),
            body: serde_json::to_value(body).unwrap_or_default(),
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

/// The progress of a plan, as IDs of its steps.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Progress {
    /// Their postconditions are verified.
    pub done: Vec<String>,
    /// They have started, but their postconditions are not verified.
    pub running: Vec<String>,
    /// They have not started.
    pub pending: Vec<String>,
}

/// A difference between a saved plan and the current state.
#[derive(Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Difference {
    /// JSON pointer into the plan.
    pub pointer: String,
    /// The value in the plan, or null.
    pub planned: Value,
    /// The current value, or null.
    pub current: Value,
}

/// The result of the verification of a revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "outcome", content = "detail", rename_all = "kebab-case")]
pub enum RevocationVerification {
    /// The server rejects the old token. It accepted the old token before, or accepts the new one.
    Verified,
    /// The server still accepts the old token.
    StillAccepted,
    /// The verification showed neither, for this reason.
    Inconclusive(String),
}

#[cfg(test)]
mod tests {
    use schemars::{Schema, SchemaGenerator, json_schema};

    /// Refers to the schema of saved plans.
    pub(super) fn plan_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "$ref": "plan.json" })
    }
}
