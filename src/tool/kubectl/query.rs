//! The commands that read the kubeconfig and the cluster, except secrets.

use super::client::{Kubectl, NO_VALIDATION, PinnedServer};
use super::failure::KubectlError;
use super::output::{check_success, parse_json, read_text};
use crate::tool::invocation::{Invocation, ToolOutput};
use crate::tool::permission::{self, Permission};
use semver::Version;
use serde::de::DeserializeOwned;

/// The maximum output of a list of jobs, in bytes. A single job can have 1 MiB of environment.
const MAX_JOBS_BYTES: usize = 64 << 20;

/// The first version of kubectl with `auth whoami`.
const WHOAMI_VERSION: Version = Version::new(1, 28, 0);

impl Kubectl {
    /// Gets the current context with its server and its user, and no more: the whole view can
    /// contain the environment of a credential plugin, which kubectl does not redact. The URL of a
    /// proxy can contain a password, so the template prints only whether one is set.
    pub fn get_context(&self) -> Invocation {
        let template = concat!(
            r#"jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}"#,
            r#"{.contexts[0].context.user}{"\n"}{.clusters[0].cluster.tls-server-name}{"\n"}"#,
            r#"{.clusters[0].cluster.insecure-skip-tls-verify}{"\n"}"#,
            r#"{range .clusters[?(@.cluster.proxy-url)]}proxy{end}{"\n"}"#
        );
        self.build_config_view(template)
    }

    /// Gets the name of the account that the cluster sees. kubectl 1.28 and later have this
    /// command. Like an access review, it stores nothing.
    pub fn get_account(&self) -> Option<Invocation> {
        let version = self.tool.version.as_ref()?;
        let output = "jsonpath={.status.userInfo.username}";
        (*version >= WHOAMI_VERSION)
            .then(|| self.build_call(["auth", "whoami", "--output", output]))
    }

    /// Gets the UID of namespace `kube-system`, which identifies a cluster. A context can lead to
    /// another cluster tomorrow.
    pub fn get_cluster_uid(&self) -> Invocation {
        self.get_namespace_uid("kube-system")
    }

    pub fn get_namespace_uid(&self, namespace: &str) -> Invocation {
        self.build_call([
            "get",
            "namespace",
            namespace,
            "--output",
            "jsonpath={.metadata.uid}",
        ])
    }

    /// Lists the jobs as JSON. The documented command prints a table.
    pub fn list_jobs(&self, namespace: &str) -> Invocation {
        let mut invocation =
            self.build_call(["get", "jobs", "--namespace", namespace, "--output", "json"]);
        invocation.max_stdout = MAX_JOBS_BYTES;
        invocation
    }

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

    /// Lists all pods, to find those that use the keys.
    pub fn list_all_pods(&self, namespace: &str) -> Invocation {
        self.build_call(["get", "pods", "--namespace", namespace, "--output", "json"])
    }

    /// Lists the deployments of kubit in all namespaces.
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

    /// Lists the deployments of a kubit for one namespace.
    pub fn list_namespace_operators(&self, namespace: &str) -> Invocation {
        self.build_call([
            "get",
            "deployments",
            "--selector",
            "control-plane=kubit",
            "--namespace",
            namespace,
            "--output",
            "json",
        ])
    }

    /// Asks for several permissions in one process. The server does not store access reviews, so
    /// this `create` is a read.
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

/// A context of the kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContextInfo {
    pub context: String,
    /// The server, with the URL as it is in the kubeconfig.
    pub server: PinnedServer,
    /// The name of the user. A context can have none.
    pub user: Option<String>,
}

/// Parses the output of [`Kubectl::get_context`].
///
/// # Errors
/// [`KubectlError::NoContext`] and [`KubectlError::UnknownContext`] among kubectl's failures.
pub fn parse_context(output: &ToolOutput) -> Result<ContextInfo, KubectlError> {
    let lines: Vec<&str> = read_text(output)?.split('\n').collect();
    let [context, url, user, name, insecure, proxy, ""] = lines[..] else {
        return Err(KubectlError::from_unrecognised(output));
    };
    if context.is_empty() || url.is_empty() {
        return Err(KubectlError::from_unrecognised(output));
    }
    let optional = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(ContextInfo {
        context: context.to_owned(),
        server: PinnedServer {
            url: url.to_owned(),
            tls_server_name: optional(name),
            has_proxy: !proxy.is_empty(),
            skips_verification: insecure == "true",
        },
        user: optional(user),
    })
}

/// Parses the output of [`Kubectl::get_account`].
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] for empty output.
pub fn parse_account(output: &ToolOutput) -> Result<String, KubectlError> {
    let account = read_text(output)?.trim();
    if account.is_empty() {
        Err(KubectlError::from_unrecognised(output))
    } else {
        Ok(account.to_owned())
    }
}

/// Parses a UID.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] for anything but a UID.
pub fn parse_uid(output: &ToolOutput) -> Result<String, KubectlError> {
    let uid = read_text(output)?.trim();
    let is_uid = (1..=64).contains(&uid.len())
        && uid
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if is_uid {
        Ok(uid.to_owned())
    } else {
        Err(KubectlError::from_unrecognised(output))
    }
}

/// Parses the objects of a list.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] for anything but such a list.
pub fn parse_list<T: DeserializeOwned>(output: &ToolOutput) -> Result<Vec<T>, KubectlError> {
    #[derive(serde::Deserialize)]
    struct List<T> {
        items: Vec<T>,
    }
    let list: List<T> = parse_json(output)?;
    Ok(list.items)
}

/// Parses the output of [`Kubectl::review_permissions`] into one answer per permission.
///
/// # Errors
/// kubectl's failure, or [`KubectlError::Unrecognised`] if the answers do not match the
/// permissions.
pub fn parse_permissions(
    permissions: &[Permission],
    output: &ToolOutput,
) -> Result<Vec<bool>, KubectlError> {
    check_success(output)?;
    permission::parse_access_reviews(permissions, &output.stdout)
        .ok_or_else(|| KubectlError::from_unrecognised(output))
}
