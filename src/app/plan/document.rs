//! The file of a plan. `docs/PLAN.md` describes every field.

use crate::app::session::Session;
use crate::audit::Target;
use crate::cli::Request;
use crate::plan::{Plan, script};
use crate::tool::Tool;
use crate::tool::invocation::printable;
use crate::tool::kubectl::{ClusterId, SecretUid};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// The version of this form.
const SCHEMA: &str = "bypassctl.plan/1";

/// A plan as it is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    schema: String,
    /// Version of the program that made it.
    bypassctl: String,
    pub(super) made: Timestamp,
    pub(super) request: Request,
    pub(super) target: Target,
    pub(super) tools: Vec<ToolSeen>,
    pub(super) observed: Observed,
    pub(super) steps: Vec<Value>,
    /// The steps for people.
    pub(super) text: String,
    /// The same as a POSIX shell script.
    pub(super) script: String,
}

/// A tool, as it was found.
#[derive(PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ToolSeen {
    name: String,
    path: String,
    version: Option<String>,
    sha256: Option<String>,
}

impl From<Tool> for ToolSeen {
    fn from(tool: Tool) -> Self {
        Self {
            name: tool.name.as_str().to_owned(),
            path: tool.path.display().to_string(),
            version: tool.version.map(|version| version.to_string()),
            sha256: tool.sha256,
        }
    }
}

/// What was seen when it was planned, as far as the steps do not say it themselves.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::app) struct Observed {
    /// What tells the cluster from another.
    cluster: Option<Value>,
    /// The secrets that are there, each with its UID.
    secrets: Vec<Value>,
    /// The files that matter, each with its digest where that may be said.
    files: Vec<Value>,
}

impl Observed {
    pub(in crate::app) fn cluster(mut self, cluster: &ClusterId) -> Self {
        self.cluster = Some(match cluster {
            ClusterId::Cluster(uid) => json!({ "kube_system_uid": uid }),
            ClusterId::Namespace(uid) => json!({ "namespace_uid": uid }),
            ClusterId::Server(server) => json!({ "server": crate::exec::without_credentials(server) }),
            ClusterId::Pods => json!({ "own": true }),
        });
        self
    }

    pub(in crate::app) fn secrets(mut self, secrets: &[SecretUid]) -> Self {
        self.secrets = secrets.iter().map(|secret| json!({ "name": secret.name, "uid": secret.uid })).collect();
        self
    }

    /// influxctl's configuration; of one that may hold a secret no digest is told.
    pub(in crate::app) fn config(mut self, path: &Path, text: Option<&str>) -> Self {
        let content = text.map(|text| {
            if crate::profile::may_hold_secret(text) {
                json!({ "withheld": "secret" })
            } else {
                json!({ "sha256": crate::secret::sha256_hex(text.as_bytes()) })
            }
        });
        self.files.push(json!({ "path": path, "content": content }));
        self
    }
}

impl Document {
    /// Of a plan that was just made.
    pub(super) fn of(session: &Session, plan: &Plan, observed: Observed, request: Request) -> Self {
        let mut tools: Vec<ToolSeen> = session.exec.tools().into_iter().map(ToolSeen::from).collect();
        tools.sort_by(|one, other| one.name.cmp(&other.name));
        Self {
            schema: SCHEMA.to_owned(),
            bypassctl: env!("CARGO_PKG_VERSION").to_owned(),
            made: Timestamp::now(),
            request,
            target: session.exec.target(),
            tools,
            observed,
            steps: plan.view().iter().map(|step| serde_json::to_value(step).unwrap_or_default()).collect(),
            text: plan.to_text(),
            script: script::render(plan),
        }
    }

    /// Reads a file; why it is none where it is none.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            schema: String,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.schema != SCHEMA {
            let schema = printable(&head.schema, 64);
            return Err(format!("its schema is `{schema}`, and this program knows `{SCHEMA}`"));
        }
        serde_json::from_slice(bytes).map_err(|error| printable(&error.to_string(), 256))
    }

    /// As it is written: the digest is of these bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// For people: where, with which tools, what was seen, what is done.
    pub(super) fn rendered(&self) -> String {
        let mut text = String::new();
        let none = "none".to_owned();
        let mut line = |name: &str, what: &str| {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10}{}", printable(what, usize::MAX));
        };
        line("made", &format!("{:.0} by bypassctl {}", self.made, self.bypassctl));
        let target = &self.target;
        for (name, what) in [("context", &target.context), ("server", &target.server), ("namespace", &target.namespace)]
        {
            line(name, what.as_ref().unwrap_or(&none));
        }
        line("cluster", &self.observed.cluster.as_ref().map_or_else(|| none.clone(), ToString::to_string));
        for tool in &self.tools {
            let version = tool.version.as_deref().unwrap_or("of unknown version");
            line(
                &tool.name,
                &format!("{version}, {}, sha256 {}", tool.path, tool.sha256.as_deref().unwrap_or("unknown")),
            );
        }
        self.observed.secrets.iter().for_each(|secret| line("seen", &secret.to_string()));
        self.observed.files.iter().for_each(|file| line("seen", &file.to_string()));
        for shown in self.text.lines() {
            let _ = writeln!(text, "{}", printable(shown, usize::MAX));
        }
        text
    }
}
