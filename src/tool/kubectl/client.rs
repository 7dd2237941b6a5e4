//! kubectl with the flags that every call passes, and its version.

use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::{Tool, find_version};
use semver::Version;

/// Skips client-side validation, for which kubectl fetches the schema of the whole API. The server
/// validates every object anyway.
pub(super) const NO_VALIDATION: &str = "--validate=false";

/// kubectl's flags that select a cluster and an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GlobalFlags {
    /// `--kubeconfig`
    pub kubeconfig: Option<String>,
    /// `--context`. `None` in a pod, which has no context.
    pub context: Option<String>,
    /// `--as`
    pub as_user: Option<String>,
    /// `--as-group`
    pub as_groups: Vec<String>,
}

impl GlobalFlags {
    /// Returns the flags in a fixed order, to append to a command.
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

    /// Returns the flags that `kubectl config` needs: all but the account.
    fn to_config_args(&self) -> Vec<String> {
        Self {
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
