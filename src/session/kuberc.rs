//! Keeps the credential plugin policy of the user's kuberc, and nothing else of it.

use super::{Session, paths};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::exec::{Environment, read_file};
use crate::tool::Tool;
use crate::tool::kubectl::{self, PluginPolicy};
use std::path::{Path, PathBuf};

/// The size limit of a kuberc, in bytes.
const MAX_KUBERC: u64 = 1 << 20;

/// Gives kubectl a private kuberc with the policy of the user's one, if it has a policy.
///
/// The presets of a kuberc can make kubectl delete nothing and exit with 0, so they stay off. But
/// `KUBERC=off` would also run a plugin that the user's kubectl refuses.
pub(crate) fn apply_plugin_policy(session: &Session, kubectl: Tool) -> Result<Tool> {
    let environment = session.executor.environment();
    if !kubectl::enforces_plugin_policy(kubectl.version.as_ref()) {
        return Ok(kubectl);
    }
    let Some(path) = find_kuberc(environment) else {
        return Ok(kubectl);
    };
    let Some(policy) = read_policy(session, &kubectl, &path)? else {
        return Ok(kubectl);
    };
    let kuberc = Some(write_private_kuberc(session, &policy)?);
    Ok(Tool { kuberc, ..kubectl })
}

/// Describes the policy that a kubectl gets, and the kuberc that it comes from.
pub(crate) fn describe_plugin_policy(session: &Session, kubectl: &Tool) -> Option<String> {
    let private = read_file(kubectl.kuberc.as_deref()?, MAX_KUBERC).ok()??;
    let policy = kubectl::parse_kuberc_file(&String::from_utf8_lossy(&private.bytes))??;
    let source = find_kuberc(session.executor.environment())?;
    Some(format!("{} in {}", policy.describe(), source.display()))
}

/// Returns the user's kuberc, unless it is missing or the environment disables it.
fn find_kuberc(environment: &Environment) -> Option<PathBuf> {
    let disabled = ["0", "f", "F", "false", "False", "FALSE"];
    let switch = environment.utf8_var("KUBECTL_KUBERC");
    if switch.is_some_and(|switch| disabled.contains(&switch)) {
        return None;
    }
    let path = match environment.var("KUBERC") {
        Some(path) if path == "off" => return None,
        Some(path) => environment.cwd.join(path),
        None => environment.home()?.join(".kube/kuberc"),
    };
    path.symlink_metadata().is_ok().then_some(path)
}

/// Reads the policy with kubectl, or from the file for a kubectl without that command.
fn read_policy(session: &Session, kubectl: &Tool, path: &Path) -> Result<Option<PluginPolicy>> {
    let unreadable = |reason: &str| {
        Error::refusal(format!(
            "cannot read the credential plugin policy of `{}`: {reason}",
            path.display()
        ))
        .hint("correct the file until `kubectl kuberc view` prints it, or unset KUBERC")
    };
    let file = read_file(path, MAX_KUBERC).map_err(|error| unreadable(&error.to_string()))?;
    let Some(file) = file else { return Ok(None) };
    let text = String::from_utf8_lossy(&file.bytes);
    let output = session.run("kuberc", &kubectl::get_kuberc(kubectl))?;
    if kubectl::lacks_kuberc_command(&output) {
        return kubectl::parse_kuberc_file(&text)
            .ok_or_else(|| unreadable("only simple YAML and JSON are supported"));
    }
    match kubectl::parse_kuberc(&output) {
        Ok(policy) => Ok(policy),
        // kubectl ignores a kuberc that it cannot parse, but not always all of it.
        Err(_) if !kubectl::mentions_plugin_policy(&text) => Ok(None),
        Err(_) => Err(unreadable("`kubectl kuberc view` fails")),
    }
}

/// Writes the policy to a file of the state directory that is named by its content.
fn write_private_kuberc(session: &Session, policy: &PluginPolicy) -> Result<PathBuf> {
    let text = policy.render_kuberc();
    let digest = Digest::compute(text.as_bytes()).to_string();
    let directory = paths::state_dir(session.executor.environment())?;
    let path = directory.join(format!("kuberc-{}.json", &digest[..16]));
    let old = read_file(&path, MAX_KUBERC).map_err(|error| {
        Error::failure(format!("cannot read `{}`: {error}", path.display()))
            .hint("move it away: `bypassctl` writes it again")
    })?;
    if old
        .as_ref()
        .is_none_or(|old| *old.bytes != *text.as_bytes())
    {
        session
            .executor
            .write_document("write-kuberc", &path, text.as_bytes(), old.as_ref())?;
    }
    Ok(path)
}
