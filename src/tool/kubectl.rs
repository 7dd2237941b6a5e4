//! Every kubectl command of this program, one constructor each, and what it prints, read by pure functions.
//!
//! Documentation: "Manage admin tokens" of InfluxDB Clustered, as of March and of September 2024. What real kubectl
//! 1.20 to 1.37 prints is in `fixtures/recordings`.

mod cluster;
mod events;
mod failure;
mod manifest;
pub mod name;
mod objects;
mod revocation;

pub use cluster::ClusterId;
pub use events::{EventReader, EventType, WatchEvent};
pub use failure::KubectlError;
pub use manifest::{JobManifest, comparable_spec};
pub use objects::{AppInstance, Deployment, Job, Metadata, Pod, SecretUid};
pub use revocation::{check_jobs_dry_run, check_success, parse_created_uid};

use super::invocation::{Invocation, Sensitivity, ToolOutput};
use super::permission::{self, Permission};
use super::{Tool, find_version};
use crate::secret::Secret;
use crate::text::sanitize_truncated;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use semver::Version;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The largest token that is believed, in bytes: no secret of Kubernetes may be larger.
const MAX_TOKEN_BYTES: usize = 1 << 20;

/// kubectl would fetch and read the schema of the whole API first, which takes longer than all else it does. What is
/// created is the server's own job or made here, and the server has the last word.
const NO_VALIDATION: &str = "--validate=false";

/// What pins every call to one cluster and one account: kubectl's own flags, handed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalFlags {
    /// `--kubeconfig`
    pub kubeconfig: Option<String>,
    /// `--context`; none in a cluster, where there is no context.
    pub context: Option<String>,
    /// `--as`
    pub as_user: Option<String>,
    /// `--as-group`
    pub as_groups: Vec<String>,
}

impl GlobalFlags {
    /// The flags in a fixed order, to be put behind a command.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let single = [
            ("--kubeconfig", &self.kubeconfig),
            ("--context", &self.context),
            ("--as", &self.as_user),
        ];
        let single = single
            .into_iter()
            .filter_map(|(flag, value)| value.clone().map(|value| (flag, value)));
        let groups = self
            .as_groups
            .iter()
            .map(|group| ("--as-group", group.clone()));
        single
            .chain(groups)
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    fn to_config_args(&self) -> Vec<String> {
        Self {
            as_user: None,
            as_groups: Vec::new(),
            ..self.clone()
        }
        .to_args()
    }
}

/// kubectl, pinned to a cluster and an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubectl {
    /// The binary.
    pub tool: Tool,
    /// The flags behind every call.
    pub global_flags: GlobalFlags,
}

/// The client's version. The documentation has no such step; `--output json` is the same in every version, the text
/// is not (recordings `version-client`).
pub fn get_version(tool: &Tool) -> Invocation {
    Invocation::new_read(tool, ["version", "--client", "--output", "json"])
}

/// The version in what [`version`] printed; `None` when it cannot be read.
#[must_use]
pub fn parse_version(output: &ToolOutput) -> Option<Version> {
    find_version(&parse_git_version(output)?)
}

/// Whether it is the kubectl of Google's SDK, which starts a sibling `kubectl.1.NN` that fits the server (recordings
/// `kubectl-gke.json`: `v1.32.4-dispatcher`).
#[must_use]
pub fn is_dispatcher(output: &ToolOutput) -> bool {
    parse_git_version(output).is_some_and(|version| version.ends_with("-dispatcher"))
}

fn parse_git_version(output: &ToolOutput) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct VersionOutput {
        client_version: ClientVersion,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct ClientVersion {
        git_version: String,
    }
    let versions: VersionOutput = serde_json::from_slice(&output.stdout)
        .ok()
        .filter(|_| output.is_success())?;
    Some(versions.client_version.git_version)
}

impl Kubectl {
    fn build_call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Invocation {
        let pins = self.global_flags.to_args();
        Invocation::new_read(&self.tool, args.into_iter().map(str::to_owned).chain(pins))
    }

    /// The context in force and its server. Only these two are asked for: the whole view can hold a credential
    /// plugin's environment, which kubectl does not redact.
    pub fn get_context(&self) -> Invocation {
        let template = r#"jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}"#;
        let args = ["config", "view", "--minify", "--output", template].map(str::to_owned);
        Invocation::new_read(
            &self.tool,
            args.into_iter().chain(self.global_flags.to_config_args()),
        )
    }

    /// The server's address alone: what is left to tell a cluster by, for an account that may read no namespace.
    pub fn get_server(&self) -> Invocation {
        let args = [
            "config",
            "view",
            "--minify",
            "--output",
            "jsonpath={.clusters[0].cluster.server}",
        ]
        .map(str::to_owned);
        Invocation::new_read(
            &self.tool,
            args.into_iter().chain(self.global_flags.to_config_args()),
        )
    }

    /// The UID of namespace `kube-system`: it names a cluster, where a context only names a name.
    pub fn get_cluster_uid(&self) -> Invocation {
        self.get_namespace_uid("kube-system")
    }

    /// The UID of a namespace.
    pub fn get_namespace_uid(&self, namespace: &str) -> Invocation {
        self.build_call([
            "get",
            "namespace",
            namespace,
            "--output",
            "jsonpath={.metadata.uid}",
        ])
    }

    /// The documented command that reads the admin token.
    pub fn get_admin_token(&self, namespace: &str) -> Invocation {
        let mut invocation = self.build_call([
            "get",
            "secrets/admin-token",
            "--template={{.data.token}}",
            "--namespace",
            namespace,
        ]);
        invocation.sensitivity = Sensitivity::Stdout;
        // Room for a token over the limit, so that it is told from one that never ends.
        invocation.max_stdout = MAX_TOKEN_BYTES / 3 * 4 + 4096;
        invocation
    }

    /// UIDs and creation times of both secrets, without their data.
    pub fn get_secret_uids(&self, namespace: &str) -> Invocation {
        let columns = "custom-columns=NAME:.metadata.name,UID:.metadata.uid,CREATED:.metadata.creationTimestamp";
        self.build_call([
            "get",
            "secrets/rsa-keys",
            "secrets/admin-token",
            "--namespace",
            namespace,
            "--output",
            columns,
            "--no-headers",
        ])
    }

    /// The jobs. The documentation lists them as a table for people; JSON is for programs.
    pub fn list_jobs(&self, namespace: &str) -> Invocation {
        self.build_call(["get", "jobs", "--namespace", namespace, "--output", "json"])
    }

    /// The pods that a selector matches.
    pub fn list_pods(&self, namespace: &str, selector: &str) -> Invocation {
        self.build_call([
            "get",
            "pods",
            "--selector",
            selector,
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
    }

    /// All pods, to find those that load the keys.
    pub fn list_all_pods(&self, namespace: &str) -> Invocation {
        self.build_call(["get", "pods", "--namespace", namespace, "--output", "json"])
    }

    /// The kubit operator, wherever it runs.
    pub fn list_operators(&self) -> Invocation {
        self.build_call([
            "get",
            "deployments",
            "--all-namespaces",
            "--selector",
            "control-plane=kubit",
            "--output",
            "json",
        ])
    }

    /// The AppInstance that kubit renders, and whether it is paused.
    pub fn list_app_instances(&self, namespace: &str) -> Invocation {
        self.build_call([
            "get",
            "appinstances.kubecfg.dev",
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
    }

    /// Several permissions, asked in one process. A review is an answer, not an object: nothing is stored.
    pub fn review_permissions(&self, permissions: &[Permission]) -> Invocation {
        let mut invocation = self.build_call([
            "create",
            "--filename",
            "-",
            NO_VALIDATION,
            "--output",
            "json",
        ]);
        invocation.stdin = Some(permission::render_access_reviews(permissions));
        invocation
    }
}

/// The context's name (none in a cluster) and its server.
///
/// # Errors
/// [`Failure::NoContext`] when there is none in force, [`Failure::UnknownContext`] when the one asked for is not there.
pub fn parse_context(output: &ToolOutput) -> Result<(String, String), KubectlError> {
    let text = read_stdout(output)?;
    match text.trim_end().split_once('\n') {
        Some((context, server)) if !context.is_empty() && !server.is_empty() => {
            Ok((context.to_owned(), server.to_owned()))
        }
        _ => Err(KubectlError::from_unrecognised(output)),
    }
}

/// The server's address.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] when it printed nothing.
pub fn parse_server(output: &ToolOutput) -> Result<String, KubectlError> {
    let server = read_stdout(output)?.trim();
    if server.is_empty() {
        Err(KubectlError::from_unrecognised(output))
    } else {
        Ok(server.to_owned())
    }
}

/// A UID.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no UID.
pub fn parse_uid(output: &ToolOutput) -> Result<String, KubectlError> {
    let text = read_stdout(output)?.trim();
    let fits = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(KubectlError::from_unrecognised(output))
    }
}

/// Why what kubectl printed is no token.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The secret has no key `token`: kubectl prints `<no value>` and exits 0.
    NoKey,
    /// The key is there and empty.
    Empty,
    /// Not base64.
    NotBase64,
    /// Over 1 MiB.
    TooLarge,
    /// kubectl failed.
    Kubectl(KubectlError),
}

/// The admin token: the decoded bytes as they are. What is in them is not published, so nothing else is required.
///
/// # Errors
/// See [`NoToken`].
pub fn parse_admin_token(output: &ToolOutput) -> Result<Secret, TokenError> {
    if !output.is_success() {
        return Err(TokenError::Kubectl(KubectlError::from_output(output)));
    }
    let text = output.stdout.trim_ascii();
    if text == b"<no value>" {
        return Err(TokenError::NoKey);
    }
    let mut token = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    STANDARD
        .decode_vec(text, &mut token)
        .map_err(|_| TokenError::NotBase64)?;
    match token.len() {
        0 => Err(TokenError::Empty),
        length if length > MAX_TOKEN_BYTES => Err(TokenError::TooLarge),
        _ => Ok(Secret::new(token)),
    }
}

/// The objects of a list. The exit code comes first: a forbidden list prints an empty one.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no such list.
pub fn parse_list<T: DeserializeOwned>(output: &ToolOutput) -> Result<Vec<T>, KubectlError> {
    #[derive(serde::Deserialize)]
    struct List<T> {
        items: Vec<T>,
    }
    if !output.is_success() {
        return Err(KubectlError::from_output(output));
    }
    let list: List<T> = serde_json::from_slice(&output.stdout)
        .map_err(|_| KubectlError::from_unrecognised(output))?;
    Ok(list.items)
}

/// The secrets that are there.
///
/// # Errors
/// [`Failure::Forbidden`] and the like; a missing secret is no failure, it is missing from the list.
pub fn parse_secret_uids(output: &ToolOutput) -> Result<Vec<SecretUid>, KubectlError> {
    let text =
        std::str::from_utf8(&output.stdout).map_err(|_| KubectlError::from_unrecognised(output))?;
    let found: Vec<SecretUid> = text
        .lines()
        .map(|line| {
            SecretUid::parse_row(line).ok_or_else(|| KubectlError::from_unrecognised(output))
        })
        .collect::<Result<_, _>>()?;
    // A secret counts as missing only where the server says so of that one: what it did not answer is not known.
    let missing = |name: &str| {
        output
            .error_lines()
            .any(|said| said.ends_with(&format!("(NotFound): secrets \"{name}\" not found")))
    };
    let answered = |name: &str| found.iter().any(|secret| secret.name == name) || missing(name);
    if answered("rsa-keys") && answered("admin-token") {
        Ok(found)
    } else {
        Err(KubectlError::from_partial_output(output))
    }
}

/// Whether each permission is given.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] when the answers do not fit the questions.
pub fn parse_permissions(
    asked: &[Permission],
    output: &ToolOutput,
) -> Result<Vec<bool>, KubectlError> {
    if !output.is_success() {
        return Err(KubectlError::from_output(output));
    }
    permission::parse_access_reviews(asked, &output.stdout)
        .ok_or_else(|| KubectlError::from_unrecognised(output))
}

fn read_stdout(output: &ToolOutput) -> Result<&str, KubectlError> {
    if !output.is_success() {
        return Err(KubectlError::from_output(output));
    }
    let text =
        std::str::from_utf8(&output.stdout).map_err(|_| KubectlError::from_unrecognised(output))?;
    if text.trim().chars().any(|c| c.is_control() && c != '\n') {
        Err(KubectlError::from_unrecognised(output))
    } else {
        Ok(text)
    }
}

/// A short sight of what was printed, for an error about it; never of what may be a secret.
fn excerpt_stdout(output: &ToolOutput) -> String {
    let text = String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(400)]);
    let line = text.trim();
    if line.is_empty() {
        "it printed nothing".to_owned()
    } else {
        format!("it printed `{}`", sanitize_truncated(line, 60))
    }
}
