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
pub use events::{Change, Event, Events};
pub use failure::Failure;
pub use manifest::{JobManifest, work};
pub use objects::{AppInstance, Deployment, Job, Metadata, Pod, SecretUid};
pub use revocation::{parse_created, parse_done, parse_tried};

use super::invocation::{Exposure, Invocation, Output, printable};
use super::permission::{self, Permission};
use super::{Tool, version_in};
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use semver::Version;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

/// The largest token that is believed, in bytes: no secret of Kubernetes may be larger.
const MAX_TOKEN: usize = 1 << 20;

/// kubectl would fetch and read the schema of the whole API first, which takes longer than all else it does. What is
/// created is the server's own job or made here, and the server has the last word.
const NO_VALIDATION: &str = "--validate=false";

/// What pins every call to one cluster and one account: kubectl's own flags, handed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// `--kubeconfig`
    pub kubeconfig: Option<String>,
    /// `--context`; none in a cluster, where there is no context.
    pub context: Option<String>,
    /// `--as`
    pub as_user: Option<String>,
    /// `--as-group`
    pub as_groups: Vec<String>,
}

impl Pins {
    /// The flags in a fixed order, to be put behind a command.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
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

    fn config_flags(&self) -> Vec<String> {
        Self {
            as_user: None,
            as_groups: Vec::new(),
            ..self.clone()
        }
        .flags()
    }
}

/// kubectl, pinned to a cluster and an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubectl {
    /// The binary.
    pub tool: Tool,
    /// The flags behind every call.
    pub pins: Pins,
}

/// The client's version. The documentation has no such step; `--output json` is the same in every version, the text
/// is not (recordings `version-client`).
pub fn version(tool: &Tool) -> Invocation {
    Invocation::reads(tool, ["version", "--client", "--output", "json"])
}

/// The version in what [`version`] printed; `None` when it cannot be read.
#[must_use]
pub fn parse_version(output: &Output) -> Option<Version> {
    version_in(&git_version(output)?)
}

/// Whether it is the kubectl of Google's SDK, which starts a sibling `kubectl.1.NN` that fits the server (recordings
/// `kubectl-gke.json`: `v1.32.4-dispatcher`).
#[must_use]
pub fn is_dispatcher(output: &Output) -> bool {
    git_version(output).is_some_and(|version| version.ends_with("-dispatcher"))
}

fn git_version(output: &Output) -> Option<String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Versions {
        client_version: Client,
    }
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Client {
        git_version: String,
    }
    let versions: Versions = serde_json::from_slice(&output.stdout)
        .ok()
        .filter(|_| output.ok())?;
    Some(versions.client_version.git_version)
}

impl Kubectl {
    fn call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Invocation {
        let pins = self.pins.flags();
        Invocation::reads(&self.tool, args.into_iter().map(str::to_owned).chain(pins))
    }

    /// The context in force and its server. Only these two are asked for: the whole view can hold a credential
    /// plugin's environment, which kubectl does not redact.
    pub fn context(&self) -> Invocation {
        let template = r#"jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}"#;
        let args = ["config", "view", "--minify", "--output", template].map(str::to_owned);
        Invocation::reads(&self.tool, args.into_iter().chain(self.pins.config_flags()))
    }

    /// The server's address alone: what is left to tell a cluster by, for an account that may read no namespace.
    pub fn server(&self) -> Invocation {
        let args = [
            "config",
            "view",
            "--minify",
            "--output",
            "jsonpath={.clusters[0].cluster.server}",
        ]
        .map(str::to_owned);
        Invocation::reads(&self.tool, args.into_iter().chain(self.pins.config_flags()))
    }

    /// The UID of namespace `kube-system`: it names a cluster, where a context only names a name.
    pub fn cluster_uid(&self) -> Invocation {
        self.namespace_uid("kube-system")
    }

    /// The UID of a namespace.
    pub fn namespace_uid(&self, namespace: &str) -> Invocation {
        self.call([
            "get",
            "namespace",
            namespace,
            "--output",
            "jsonpath={.metadata.uid}",
        ])
    }

    /// The documented command that reads the admin token.
    pub fn admin_token(&self, namespace: &str) -> Invocation {
        let mut invocation = self.call([
            "get",
            "secrets/admin-token",
            "--template={{.data.token}}",
            "--namespace",
            namespace,
        ]);
        invocation.exposure = Exposure::Stdout;
        // Room for a token over the limit, so that it is told from one that never ends.
        invocation.max_stdout = MAX_TOKEN / 3 * 4 + 4096;
        invocation
    }

    /// UIDs and creation times of both secrets, without their data.
    pub fn secret_uids(&self, namespace: &str) -> Invocation {
        let columns = "custom-columns=NAME:.metadata.name,UID:.metadata.uid,CREATED:.metadata.creationTimestamp";
        self.call([
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
    pub fn jobs(&self, namespace: &str) -> Invocation {
        self.call(["get", "jobs", "--namespace", namespace, "--output", "json"])
    }

    /// The pods that a selector matches.
    pub fn pods(&self, namespace: &str, selector: &str) -> Invocation {
        self.call([
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
    pub fn all_pods(&self, namespace: &str) -> Invocation {
        self.call(["get", "pods", "--namespace", namespace, "--output", "json"])
    }

    /// The kubit operator, wherever it runs.
    pub fn operator(&self) -> Invocation {
        self.call([
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
    pub fn app_instances(&self, namespace: &str) -> Invocation {
        self.call([
            "get",
            "appinstances.kubecfg.dev",
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
    }

    /// Several permissions, asked in one process. A review is an answer, not an object: nothing is stored.
    pub fn permissions(&self, permissions: &[Permission]) -> Invocation {
        let mut invocation = self.call([
            "create",
            "--filename",
            "-",
            NO_VALIDATION,
            "--output",
            "json",
        ]);
        invocation.stdin = Some(permission::question(permissions));
        invocation
    }
}

/// The context's name (none in a cluster) and its server.
///
/// # Errors
/// [`Failure::NoContext`] when there is none in force, [`Failure::UnknownContext`] when the one asked for is not there.
pub fn parse_context(output: &Output) -> Result<(String, String), Failure> {
    let text = printed(output)?;
    match text.trim_end().split_once('\n') {
        Some((context, server)) if !context.is_empty() && !server.is_empty() => {
            Ok((context.to_owned(), server.to_owned()))
        }
        _ => Err(Failure::unrecognised(output)),
    }
}

/// The server's address.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] when it printed nothing.
pub fn parse_server(output: &Output) -> Result<String, Failure> {
    let server = printed(output)?.trim();
    if server.is_empty() {
        Err(Failure::unrecognised(output))
    } else {
        Ok(server.to_owned())
    }
}

/// A UID.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no UID.
pub fn parse_uid(output: &Output) -> Result<String, Failure> {
    let text = printed(output)?.trim();
    let fits = !text.is_empty()
        && text.len() <= 64
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(Failure::unrecognised(output))
    }
}

/// Why what kubectl printed is no token.
#[derive(Debug, PartialEq, Eq)]
pub enum NoToken {
    /// The secret has no key `token`: kubectl prints `<no value>` and exits 0.
    NoKey,
    /// The key is there and empty.
    Empty,
    /// Not base64.
    NotBase64,
    /// Over 1 MiB.
    TooLarge,
    /// kubectl failed.
    Kubectl(Failure),
}

/// The admin token: the decoded bytes as they are. What is in them is not published, so nothing else is required.
///
/// # Errors
/// See [`NoToken`].
pub fn parse_admin_token(output: &Output) -> Result<Secret, NoToken> {
    if !output.ok() {
        return Err(NoToken::Kubectl(Failure::of(output)));
    }
    let text = output.stdout.trim_ascii();
    if text == b"<no value>" {
        return Err(NoToken::NoKey);
    }
    let mut token = Zeroizing::new(Vec::with_capacity(text.len() / 4 * 3 + 3));
    STANDARD
        .decode_vec(text, &mut token)
        .map_err(|_| NoToken::NotBase64)?;
    match token.len() {
        0 => Err(NoToken::Empty),
        length if length > MAX_TOKEN => Err(NoToken::TooLarge),
        _ => Ok(Secret::new(token)),
    }
}

/// The objects of a list. The exit code comes first: a forbidden list prints an empty one.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] for anything that is no such list.
pub fn parse_list<T: DeserializeOwned>(output: &Output) -> Result<Vec<T>, Failure> {
    #[derive(serde::Deserialize)]
    struct List<T> {
        items: Vec<T>,
    }
    if !output.ok() {
        return Err(Failure::of(output));
    }
    let list: List<T> =
        serde_json::from_slice(&output.stdout).map_err(|_| Failure::unrecognised(output))?;
    Ok(list.items)
}

/// The secrets that are there.
///
/// # Errors
/// [`Failure::Forbidden`] and the like; a missing secret is no failure, it is missing from the list.
pub fn parse_secret_uids(output: &Output) -> Result<Vec<SecretUid>, Failure> {
    let text = std::str::from_utf8(&output.stdout).map_err(|_| Failure::unrecognised(output))?;
    let found: Vec<SecretUid> = text
        .lines()
        .map(|line| SecretUid::parse(line).ok_or_else(|| Failure::unrecognised(output)))
        .collect::<Result<_, _>>()?;
    // A secret counts as missing only where the server says so of that one: what it did not answer is not known.
    let missing = |name: &str| {
        output
            .complaints()
            .any(|said| said.ends_with(&format!("(NotFound): secrets \"{name}\" not found")))
    };
    let answered = |name: &str| found.iter().any(|secret| secret.name == name) || missing(name);
    if answered("rsa-keys") && answered("admin-token") {
        Ok(found)
    } else {
        Err(Failure::unless_missing(output))
    }
}

/// Whether each permission is given.
///
/// # Errors
/// As kubectl says, or [`Failure::Unrecognised`] when the answers do not fit the questions.
pub fn parse_permissions(asked: &[Permission], output: &Output) -> Result<Vec<bool>, Failure> {
    if !output.ok() {
        return Err(Failure::of(output));
    }
    permission::answers(asked, &output.stdout).ok_or_else(|| Failure::unrecognised(output))
}

fn printed(output: &Output) -> Result<&str, Failure> {
    if !output.ok() {
        return Err(Failure::of(output));
    }
    let text = std::str::from_utf8(&output.stdout).map_err(|_| Failure::unrecognised(output))?;
    if text.trim().chars().any(|c| c.is_control() && c != '\n') {
        Err(Failure::unrecognised(output))
    } else {
        Ok(text)
    }
}

/// A short sight of what was printed, for an error about it; never of what may be a secret.
fn glimpse(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout[..output.stdout.len().min(400)]);
    let line = text.trim();
    if line.is_empty() {
        "it printed nothing".to_owned()
    } else {
        format!("it printed `{}`", printable(line, 60))
    }
}
