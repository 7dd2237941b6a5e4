//! The file of a saved plan. `docs/PLAN.md` describes every field.

use crate::audit::{Actor, Target};
use crate::cli::PlanRequest;
use crate::error::{Error, Result};
use crate::exec::Executor;
use crate::plan::{Plan, PlanSummary, format_shell_line, render_script};
use crate::text::{sanitize, sanitize_truncated};
use crate::tool::ToolInfo;
use crate::tool::kubectl::{ClusterId, PodSummary, SecretUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// The size limit of a plan file, in bytes. A plan has about ten thousand.
pub(crate) const MAX_PLAN: u64 = 4 << 20;

/// The version of the file format.
pub(crate) const PLAN_SCHEMA: &str = "bypassctl.plan/2";

/// A saved plan, which `plan` writes and `apply` compares with the current plan.
#[derive(Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    /// Version of this format: `bypassctl.plan/2`.
    schema: String,
    /// Version of the program that created the plan.
    bypassctl: String,
    /// Creation time: UTC, RFC 3339.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(crate) created_at: Timestamp,
    /// User and host, not authenticated.
    author: Actor,
    /// The planned command and its options.
    pub(crate) request: PlanRequest,
    /// Context, server, cluster and namespace.
    pub(crate) target: Target,
    /// The tools, sorted by name.
    pub(crate) tools: Vec<ToolInfo>,
    /// The observed state, as far as the steps do not contain it.
    pub(crate) observed: PlanObservation,
    /// The steps in the order of execution.
    #[cfg_attr(test, schemars(with = "Vec<crate::plan::StepView>"))]
    pub(crate) steps: Vec<Value>,
    /// The same plan as a POSIX shell script.
    pub(crate) script: String,
}

/// The observed state, as far as the steps do not contain it.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanObservation {
    /// Identity of the cluster, null if the plan needs no cluster.
    #[cfg_attr(test, schemars(with = "Option<ClusterIdentity>"))]
    pub(crate) cluster: Option<Value>,
    /// The existing secrets, each with its UID.
    #[cfg_attr(test, schemars(with = "Vec<SecretRef>"))]
    secrets: Vec<Value>,
    /// The files that the plan depends on, each with its digest unless it can contain a secret.
    #[cfg_attr(test, schemars(with = "Vec<FileState>"))]
    pub(crate) files: Vec<Value>,
}

/// Identity of a cluster: the first of these that the account can read.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum ClusterIdentity {
    /// The UID of namespace `kube-system`.
    KubeSystem {
        /// The UID.
        kube_system_uid: String,
    },
    /// The UID of the namespace itself.
    Namespace {
        /// The UID.
        namespace_uid: String,
    },
    /// The address of the server.
    Server {
        /// The address, without credentials.
        server: String,
    },
    /// The cluster that runs this program.
    InCluster {
        /// Always true.
        in_cluster: bool,
    },
}

/// A secret of the cluster.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct SecretRef {
    /// Name of the secret.
    name: String,
    /// UID of the secret.
    uid: String,
}

/// A file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct FileState {
    /// Path of the file.
    path: String,
    /// Content of the file, null if it is missing.
    content: Option<FileContent>,
}

/// Content of a file.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
enum FileContent {
    /// Content without secrets, by its digest.
    Digest {
        /// SHA-256 in lower-case hexadecimal.
        sha256: String,
    },
    /// Content that can contain a secret, so it has no digest.
    Withheld {
        /// The reason: `secret`.
        withheld: &'static str,
    },
}

impl PlanObservation {
    pub(crate) fn with_cluster(mut self, cluster: &ClusterId) -> Self {
        let identity = match cluster {
            ClusterId::KubeSystem(uid) => ClusterIdentity::KubeSystem {
                kube_system_uid: uid.clone(),
            },
            ClusterId::Namespace(uid) => ClusterIdentity::Namespace {
                namespace_uid: uid.clone(),
            },
            ClusterId::Server(server) => ClusterIdentity::Server {
                server: server.clone(),
            },
            ClusterId::InCluster => ClusterIdentity::InCluster { in_cluster: true },
        };
        self.cluster = Some(json!(identity));
        self
    }

    pub(crate) fn with_secrets(mut self, secrets: &[SecretUid]) -> Self {
        let to_json = |secret: &SecretUid| {
            json!(SecretRef {
                name: secret.name.clone(),
                uid: secret.uid.clone()
            })
        };
        self.secrets = secrets.iter().map(to_json).collect();
        self
    }

    /// Adds influxctl's configuration, without a digest if it can contain a secret.
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
    pub(crate) fn new(
        executor: &Executor,
        plan: &Plan,
        observed: PlanObservation,
        request: PlanRequest,
    ) -> Result<Self> {
        let mut tools: Vec<ToolInfo> = executor.tools().into_iter().map(ToolInfo::from).collect();
        tools.sort_by(|a, b| a.name.cmp(&b.name));
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
            // Another account may apply the plan.
            target: Target {
                user: None,
                account: None,
                ..executor.target()
            },
            tools,
            observed,
            steps: steps.map_err(|error| serialize_error(&error))?,
            script: render_script(plan),
        })
    }

    /// Parses a plan file. The error can quote the file, so it is sanitized.
    pub(crate) fn parse(bytes: &[u8]) -> std::result::Result<Self, String> {
        Self::parse_unsanitized(bytes).map_err(|reason| sanitize_truncated(&reason, 256))
    }

    fn parse_unsanitized(bytes: &[u8]) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct SchemaHeader {
            schema: String,
        }
        let header: SchemaHeader =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if header.schema != PLAN_SCHEMA {
            return Err(format!(
                "schema `{}` is not supported, this program reads `{PLAN_SCHEMA}`",
                header.schema
            ));
        }
        crate::audit::check_strict_json(bytes)?;
        let document: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let is_printable = |line: &str| sanitize(line) == line;
        if document.bypassctl.parse::<semver::Version>().is_err() {
            Err("`bypassctl` is not a version".to_owned())
        } else if !document.script.lines().all(is_printable) {
            Err("`script` contains control characters or invisible characters".to_owned())
        } else {
            Ok(document)
        }
    }

    /// Returns the JSON of the file, for `-o json`.
    pub(crate) fn to_json(&self) -> Result<Value> {
        serde_json::to_value(self).map_err(|error| serialize_error(&error))
    }

    /// Returns the bytes of the file. The digest of the plan is computed from these bytes.
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|error| serialize_error(&error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Returns what the plan changes.
    pub(crate) fn to_summary(&self) -> PlanSummary {
        let target = &self.target;
        let context = match &target.context {
            Some(context) => format!("context `{context}`"),
            None => "in the cluster".to_owned(),
        };
        let description = match &target.namespace {
            Some(namespace) => {
                let server = target.server.as_deref().unwrap_or("unknown server");
                format!("namespace `{namespace}`, {context} ({server})")
            }
            None => "this host".to_owned(),
        };
        PlanSummary::from_steps(self.request.command.name(), &description, &self.steps)
    }

    /// Renders request, target, tools, observed state and every field of every step for people.
    pub(crate) fn render(&self) -> String {
        let none = "none".to_owned();
        let mut lines = vec![
            (
                "created",
                format!(
                    "{:.0} by {}@{} with bypassctl {}",
                    self.created_at,
                    self.author.user_name(),
                    self.author.host,
                    self.bypassctl
                ),
            ),
            (
                "command",
                strip_empty(&json!(self.request.command)).to_string(),
            ),
            (
                "options",
                strip_empty(&json!(self.request.common)).to_string(),
            ),
        ];
        let target = &self.target;
        for (name, value) in [
            ("context", &target.context),
            ("server", &target.server),
            ("namespace", &target.namespace),
        ] {
            lines.push((name, value.clone().unwrap_or_else(|| none.clone())));
        }
        lines.push((
            "cluster",
            self.observed
                .cluster
                .as_ref()
                .map_or(none, ToString::to_string),
        ));
        for tool in &self.tools {
            let version = tool.version.as_deref().unwrap_or("unknown version");
            let digest = tool.sha256.as_deref().unwrap_or("unknown");
            lines.push((
                &tool.name,
                format!("{version}, {}, sha256 {digest}", tool.path),
            ));
        }
        let observed = self.observed.secrets.iter().chain(&self.observed.files);
        lines.extend(observed.map(|object| ("observed", object.to_string())));
        let mut text: String = lines
            .iter()
            .map(|(name, value)| format!("{name:<10}{}\n", sanitize(value)))
            .collect();
        for (step, number) in self.steps.iter().zip(1..) {
            text.push_str(&render_step(step, number));
        }
        text
    }
}

fn serialize_error(error: &serde_json::Error) -> Error {
    Error::refusal(format!("cannot save this plan: {error}")).hint("use paths in UTF-8")
}

/// Removes fields without information: null, false and empty lists.
fn strip_empty(value: &Value) -> Value {
    let is_informative = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        _ => true,
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| is_informative(value))
            .map(|(name, value)| (name.clone(), strip_empty(value)))
            .collect(),
        other => other.clone(),
    }
}

/// Puts each line below the name of its field.
fn indent_lines(lines: &[String]) -> String {
    let indent = |line: &String| format!("\n     {}", sanitize(line));
    lines.iter().map(indent).collect()
}

/// Renders ID and reason of a step, then each of its fields. Commands are quoted for a shell.
fn render_step(step: &Value, number: usize) -> String {
    let text = |name: &str| step[name].as_str().unwrap_or_default();
    let parallel = if step["parallel"] == true {
        format!(" (in parallel with {})", number - 1)
    } else {
        String::new()
    };
    let mut lines = format!(
        "{number}. {}{parallel}: {}\n",
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
            (name, Some(words), _) if name == "argv" || name.ends_with("_argv") => {
                format!("$ {}", format_shell_line(&words))
            }
            ("lines", Some(lines), _) => indent_lines(&lines),
            ("pod", _, pod) => match PodSummary::deserialize(pod) {
                Ok(pod) => indent_lines(&pod.to_lines()),
                // `apply` refuses such a plan.
                Err(_) => strip_empty(pod).to_string(),
            },
            (_, _, Value::String(text)) => text.clone(),
            (_, _, other) => strip_empty(other).to_string(),
        };
        // Every line is indented, so that a value with line breaks cannot imitate another field.
        let value: Vec<String> = value.split('\n').map(sanitize).collect();
        let indented = if ["lines", "pod"].contains(&name.as_str()) {
            value.join("\n")
        } else {
            value.join(" ")
        };
        lines.push_str(&format!("   {:<15} {indented}\n", sanitize(name)));
    }
    lines + &format!("   then            {}\n", sanitize(text("postcondition")))
}
