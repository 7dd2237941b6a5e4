//! The file of a plan. `docs/PLAN.md` describes every field.

use crate::audit::{Actor, Target};
use crate::cli::PlanRequest;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::plan::{Plan, format_shell_line, render_script};
use crate::text::{sanitize, sanitize_truncated};
use crate::tool::ToolInfo;
use crate::tool::kubectl::{ClusterId, SecretUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The largest plan file that is read, in bytes. A plan has some ten thousand.
pub(crate) const MAX_PLAN: u64 = 4 << 20;

/// The version of this form.
pub(crate) const PLAN_SCHEMA: &str = "bypassctl.plan/2";

/// A plan as it is written down: what `plan` writes, and `apply` compares with what would be done now.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    /// The version of this form: `bypassctl.plan/2`.
    schema: String,
    /// Version of the program that made it.
    bypassctl: String,
    /// When it was made: UTC, RFC 3339.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) created_at: Timestamp,
    /// Who says to have made it.
    author: Actor,
    /// What it is the plan of.
    pub(crate) request: PlanRequest,
    /// What it is done to.
    pub(crate) target: Target,
    /// The tools, as they were found, by name.
    pub(crate) tools: Vec<ToolInfo>,
    /// What was seen when it was planned, as far as the steps do not say it themselves.
    pub(crate) observed: PlanObservation,
    /// In the order in which they run.
    #[cfg_attr(test, schemars(with = "Vec<crate::plan::StepView>"))]
    pub(crate) steps: Vec<Value>,
    /// The same as a POSIX shell script.
    pub(crate) script: String,
}

/// What was seen when it was planned, as far as the steps do not say it themselves.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanObservation {
    /// What tells the cluster from another; null where no cluster is needed.
    #[cfg_attr(test, schemars(with = "Option<ClusterIdentity>"))]
    pub(crate) cluster: Option<Value>,
    /// The secrets that are there, each with its UID.
    #[cfg_attr(test, schemars(with = "Vec<SecretRef>"))]
    secrets: Vec<Value>,
    /// The files that matter, each with its digest where that may be said.
    #[cfg_attr(test, schemars(with = "Vec<FileState>"))]
    pub(crate) files: Vec<Value>,
}

/// What tells a cluster from another: the first of these that the account may look at.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum ClusterIdentity {
    /// By the UID of namespace `kube-system`.
    KubeSystem {
        /// That UID.
        kube_system_uid: String,
    },
    /// By the UID of the namespace itself.
    Namespace {
        /// That UID.
        namespace_uid: String,
    },
    /// By its address.
    Server {
        /// That address, credentials cut out.
        server: String,
    },
    /// The one that this ran in.
    InCluster {
        /// Always true.
        in_cluster: bool,
    },
}

/// A secret of the cluster.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SecretRef {
    /// Its name.
    name: String,
    /// Its UID.
    uid: String,
}

/// A file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileState {
    /// Where it is.
    path: String,
    /// What it holds; null where it is not there.
    content: Option<FileContent>,
}

/// Bytes, by what may be said of them.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum FileContent {
    /// By their digest.
    Digest {
        /// Their SHA-256, lower-case hexadecimal.
        sha256: String,
    },
    /// Nothing may be said of them.
    Withheld {
        /// Why: `secret`.
        withheld: &'static str,
    },
}

impl PlanObservation {
    pub(crate) fn with_cluster(mut self, cluster: &ClusterId) -> Self {
        let seen = match cluster {
            ClusterId::KubeSystem(uid) => ClusterIdentity::KubeSystem {
                kube_system_uid: uid.clone(),
            },
            ClusterId::Namespace(uid) => ClusterIdentity::Namespace {
                namespace_uid: uid.clone(),
            },
            ClusterId::Server(server) => ClusterIdentity::Server {
                server: crate::exec::strip_credentials(server),
            },
            ClusterId::InCluster => ClusterIdentity::InCluster { in_cluster: true },
        };
        self.cluster = Some(json!(seen));
        self
    }

    pub(crate) fn with_secrets(mut self, secrets: &[SecretUid]) -> Self {
        let seen = |secret: &SecretUid| {
            json!(SecretRef {
                name: secret.name.clone(),
                uid: secret.uid.clone()
            })
        };
        self.secrets = secrets.iter().map(seen).collect();
        self
    }

    /// influxctl's configuration; of one that may hold a secret no digest is told.
    pub(crate) fn with_config(mut self, path: &Path, text: Option<&str>) -> Self {
        let content = text.map(|text| {
            if crate::profile::can_hold_secret(text) {
                FileContent::Withheld { withheld: "secret" }
            } else {
                FileContent::Digest {
                    sha256: crate::digest::Digest::compute(text.as_bytes()).to_string(),
                }
            }
        });
        self.files.push(json!(FileState {
            path: path.display().to_string(),
            content
        }));
        self
    }
}

impl PlanFile {
    /// Of a plan that was just made.
    pub(crate) fn new(
        executor: &Executor,
        plan: &Plan,
        observed: PlanObservation,
        request: PlanRequest,
    ) -> Result<Self> {
        let mut tools: Vec<ToolInfo> = executor.tools().into_iter().map(ToolInfo::from).collect();
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        let steps = plan
            .to_view()
            .iter()
            .map(serde_json::to_value)
            .collect::<std::result::Result<_, _>>();
        Ok(Self {
            schema: PLAN_SCHEMA.to_owned(),
            bypassctl: env!("CARGO_PKG_VERSION").to_owned(),
            created_at: Timestamp::now(),
            author: executor.actor().clone(),
            request,
            target: executor.target(),
            tools,
            observed,
            steps: steps.map_err(|error| serialize_error(&error))?,
            script: render_script(plan),
        })
    }

    /// Reads a file; why it is none where it is none. What is wrong may quote the file, and is told as that may be.
    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        Self::parse_unsanitized(bytes).map_err(|why| sanitize_truncated(&why, 256))
    }

    fn parse_unsanitized(bytes: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct SchemaHeader {
            schema: String,
        }
        let head: SchemaHeader =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.schema != PLAN_SCHEMA {
            return Err(format!(
                "schema `{}` is not supported, this program reads `{PLAN_SCHEMA}`",
                head.schema
            ));
        }
        crate::audit::check_strict_json(bytes)?;
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let as_shown = |line: &str| sanitize(line) == line;
        if document.bypassctl.parse::<semver::Version>().is_err() {
            Err("`bypassctl` is no version".to_owned())
        } else if !document.script.lines().all(as_shown) {
            Err("`script` holds what would not be shown as it is".to_owned())
        } else {
            Ok(document)
        }
    }

    /// As `-o json` has it: the same as in the file.
    pub(crate) fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| serialize_error(&error))
    }

    /// As it is written: the digest is of these bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| serialize_error(&error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// For people: what was asked for, where, with which tools, what was seen, and every step with all that it says.
    pub(crate) fn render(&self) -> String {
        let none = "none".to_owned();
        let mut lines = vec![
            (
                "made",
                format!(
                    "{:.0} by {}@{} with bypassctl {}",
                    self.created_at,
                    self.author.user_name(),
                    self.author.host,
                    self.bypassctl
                ),
            ),
            (
                "asked for",
                strip_empty(&json!(self.request.command)).to_string(),
            ),
            ("with", strip_empty(&json!(self.request.common)).to_string()),
        ];
        let target = &self.target;
        for (name, what) in [
            ("context", &target.context),
            ("server", &target.server),
            ("namespace", &target.namespace),
        ] {
            lines.push((name, what.clone().unwrap_or_else(|| none.clone())));
        }
        lines.push((
            "cluster",
            self.observed
                .cluster
                .as_ref()
                .map_or(none, ToString::to_string),
        ));
        for tool in &self.tools {
            let version = tool.version.as_deref().unwrap_or("of unknown version");
            let digest = tool.sha256.as_deref().unwrap_or("unknown");
            lines.push((
                &tool.name,
                format!("{version}, {}, sha256 {digest}", tool.path),
            ));
        }
        let seen = self.observed.secrets.iter().chain(&self.observed.files);
        lines.extend(seen.map(|seen| ("seen", seen.to_string())));
        let mut text: String = lines
            .iter()
            .map(|(name, what)| format!("{name:<10}{}\n", sanitize(what)))
            .collect();
        for (step, number) in self.steps.iter().zip(1..) {
            text.push_str(&render_step(step, number));
        }
        if self.steps.is_empty() {
            text.push_str("nothing to do\n");
        }
        text
    }
}

fn serialize_error(error: &serde_json::Error) -> Error {
    Error::refusal(format!("this plan cannot be written down: {error}"))
        .hint("name files by paths in UTF-8")
}

/// Without what says nothing: null, false, nothing in it.
fn strip_empty(value: &Value) -> Value {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| says(value))
            .map(|(name, value)| (name.clone(), strip_empty(value)))
            .collect(),
        other => other.clone(),
    }
}

/// A step: its name and why, then each of its fields, commands as a shell takes them.
fn render_step(step: &Value, number: usize) -> String {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let beside = if step["parallel"] == true {
        " (side by side with the one before)"
    } else {
        ""
    };
    let mut lines = format!(
        "{number}. {}{beside}: {}\n",
        sanitize(text("id")),
        sanitize(text("reason"))
    );
    for (name, value) in step.as_object().into_iter().flatten() {
        if ["id", "reason", "postcondition", "parallel"].contains(&name.as_str()) || value.is_null()
        {
            continue;
        }
        let words = value.as_array().and_then(|items| {
            items
                .iter()
                .map(|word| word.as_str().map(str::to_owned))
                .collect::<Option<Vec<String>>>()
        });
        let value = match (name.as_str(), words, value) {
            ("argv" | "list_argv" | "watch_argv", Some(words), _) => {
                format!("$ {}", format_shell_line(&words))
            }
            ("lines", Some(lines), _) => lines
                .iter()
                .map(|line| format!("\n     {}", sanitize(line)))
                .collect(),
            (_, _, Value::String(text)) => text.clone(),
            (_, _, other) => strip_empty(other).to_string(),
        };
        // Line by line: a text that holds a line's end looks like no line of its own.
        let value: Vec<String> = value.split('\n').map(sanitize).collect();
        let indented = if name == "lines" {
            value.join("\n")
        } else {
            value.join(" ")
        };
        lines.push_str(&format!("   {:<15} {indented}\n", sanitize(name)));
    }
    lines + &format!("   then            {}\n", sanitize(text("postcondition")))
}
