//! kubectl with the flags that every call passes, and its version.

use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::{Tool, find_version};
use semver::Version;

/// Skips client-side validation, for which kubectl fetches the schema of the whole API. The server
/// validates every object anyway.
pub(super) const NO_VALIDATION: &str = "--validate=false";

/// The server of a context. Every call names it, so that a kubeconfig that changes during the run
/// cannot lead to another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedServer {
    /// The URL, without credentials.
    pub url: String,
    /// The name in the server's certificate. kubectl ignores the one of the kubeconfig as soon as
    /// `--server` is given (`getCluster` in client-go's `client_config.go`, kubectl 1.20 to 1.37).
    pub tls_server_name: Option<String>,
    /// The kubeconfig names a proxy, which decides where the URL leads.
    pub has_proxy: bool,
    /// The kubeconfig switches the verification of the certificate off.
    pub skips_verification: bool,
}

impl PinnedServer {
    /// Returns whether the URL can lead to another server without an error.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        let scheme = self.url.split_once("://").map(|(scheme, _)| scheme);
        let is_encrypted = scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
        self.has_proxy || self.skips_verification || !is_encrypted
    }

    /// Returns the path of the URL without a slash at its end.
    pub(super) fn base_path(&self) -> &str {
        let rest = self
            .url
            .split_once("://")
            .map_or(&*self.url, |(_, rest)| rest);
        let path = rest.find('/').map_or("", |start| &rest[start..]);
        path.trim_end_matches('/')
    }
}

/// kubectl's flags that select a cluster and an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalFlags {
    /// `--kubeconfig`
    pub kubeconfig: Option<String>,
    /// `--context`. `None` in a pod, which has no context.
    pub context: Option<String>,
    /// `--server` and `--tls-server-name`. `None` in a pod.
    pub server: Option<PinnedServer>,
    /// `--as`
    pub as_user: Option<String>,
    /// `--as-group`
    pub as_groups: Vec<String>,
}

impl GlobalFlags {
    /// Returns the flags in a fixed order, to append to a command.
    #[must_use]
    pub fn to_args(&self) -> Vec<String> {
        let server = self.server.as_ref();
        let single = [
            ("--kubeconfig", self.kubeconfig.as_ref()),
            ("--context", self.context.as_ref()),
            ("--server", server.map(|server| &server.url)),
            (
                "--tls-server-name",
                server.and_then(|server| server.tls_server_name.as_ref()),
            ),
            ("--as", self.as_user.as_ref()),
        ];
        let single = single
            .into_iter()
            .filter_map(|(flag, value)| value.map(|value| (flag, value.clone())));
        let groups = self
            .as_groups
            .iter()
            .map(|group| ("--as-group", group.clone()));
        single
            .chain(groups)
            .flat_map(|(flag, value)| [flag.to_owned(), value])
            .collect()
    }

    /// Returns the flags that `kubectl config` needs: neither server nor account.
    fn to_config_args(&self) -> Vec<String> {
        Self {
            server: None,
            as_user: None,
            as_groups: Vec::new(),
            ..self.clone()
        }
        .to_args()
    }
}

/// kubectl for one cluster and one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kubectl {
    pub tool: Tool,
    /// The flags at the end of every call.
    pub global_flags: GlobalFlags,
}

impl Kubectl {
    pub(super) fn build_call<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> Invocation {
        let flags = self.global_flags.to_args();
        Invocation::new_read(&self.tool, args.into_iter().map(str::to_owned).chain(flags))
    }

    /// Returns whether later calls can reach another cluster than earlier ones. In a pod, the
    /// server is fixed and its certificate is verified.
    #[must_use]
    pub fn can_change_cluster(&self) -> bool {
        let server = self.global_flags.server.as_ref();
        server.is_some_and(PinnedServer::is_ambiguous)
    }

    /// Builds a `kubectl config view` of the current context, with an output template.
    pub(super) fn build_config_view(&self, template: &str) -> Invocation {
        let args = ["config", "view", "--minify", "--output", template].map(str::to_owned);
        let flags = self.global_flags.to_config_args();
        Invocation::new_read(&self.tool, args.into_iter().chain(flags))
    }
}

/// Gets the version of the client. Only the JSON output is the same in every version (recordings
/// `version-client`).
pub fn get_version(tool: &Tool) -> Invocation {
    Invocation::new_read(tool, ["version", "--client", "--output", "json"])
}

/// Parses the output of [`get_version`].
#[must_use]
pub fn parse_version(output: &ToolOutput) -> Option<Version> {
    find_version(&parse_git_version(output)?)
}

/// Returns whether this is the kubectl of Google's SDK, which starts a sibling `kubectl.1.NN` that
/// fits the server (recordings `kubectl-gke.json`: `v1.32.4-dispatcher`).
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
