//! The policies that the user trusts, by absolute path and SHA-256.

use super::paths;
use crate::error::{Error, Result};
use crate::exec::{Environment, FileAccess, FileWrite, Snapshot, find_writers, read_file};
use crate::policy::ActivePolicy;
use crate::session::Session;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The file in the state directory.
const FILE_NAME: &str = "trusted-policies.json";

/// The size limit of the file, in bytes. An entry has some hundred.
const MAX_STORE: u64 = 1 << 20;

/// The content of the file: the trusted digest of each path.
type TrustedPolicies = BTreeMap<String, String>;

/// The trusted policies, as they are on disk.
#[derive(Default)]
pub(crate) struct TrustStore(TrustedPolicies);

impl TrustStore {
    /// Reads the trusted policies. Without a state directory, no policy is trusted.
    ///
    /// # Errors
    /// Refuses a file that others can write to.
    pub(crate) fn read(environment: &Environment) -> Result<Self> {
        let Ok(path) = store_path(environment) else {
            return Ok(Self::default());
        };
        read_store(&path).map(|(policies, _)| Self(policies))
    }

    pub(crate) fn contains(&self, policy: &ActivePolicy) -> bool {
        policy
            .file
            .to_str()
            .is_some_and(|file| self.0.get(file) == Some(&policy.sha256))
    }
}

fn store_path(environment: &Environment) -> Result<PathBuf> {
    Ok(paths::state_dir(environment)?.join(FILE_NAME))
}

fn read_store(path: &Path) -> Result<(TrustedPolicies, Option<Snapshot>)> {
    let unusable = |reason: String| {
        Error::refusal(format!(
            "cannot use the list of trusted policies `{}`: {reason}",
            path.display()
        ))
    };
    let delete_hint = "delete it, and trust the policies again";
    let snapshot = read_file(path, MAX_STORE)
        .map_err(|error| unusable(error.to_string()).hint(delete_hint))?;
    let Some(snapshot) = snapshot else {
        return Ok((TrustedPolicies::default(), None));
    };
    let writers: Vec<String> = find_writers(path)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .map(|writer| writer.to_string())
        .collect();
    if !writers.is_empty() {
        let reason = format!("others can change it: {}", writers.join(", "));
        return Err(unusable(reason).hint(
            "run `chmod go-w` on its parent directories, delete it, and trust the policies again",
        ));
    }
    if snapshot.meta.nlink() != 1 {
        return Err(
            unusable("it has more than one name (hard links)".to_owned()).hint(delete_hint),
        );
    }
    let policies = serde_json::from_slice(&snapshot.bytes)
        .map_err(|error| unusable(error.to_string()).hint(delete_hint))?;
    Ok((policies, Some(snapshot)))
}

/// Trusts the content with this digest of the policy at this absolute path.
pub(crate) fn trust_policy(session: &Session, file: &Path, sha256: &str) -> Result<()> {
    let Some(name) = file.to_str() else {
        return Err(Error::refusal(format!(
            "cannot trust `{}`: its path is not UTF-8",
            file.display()
        ))
        .hint("name it with --policy FILE, or rename its directory"));
    };
    let path = store_path(session.executor.environment())?;
    let _lock = session
        .executor
        .lock_target("trusted-policies", "the list of trusted policies")?;
    let (mut policies, snapshot) = read_store(&path)?;
    if policies.get(name).map(String::as_str) == Some(sha256) {
        return Ok(());
    }
    policies.insert(name.to_owned(), sha256.to_owned());
    let text = serde_json::to_string_pretty(&policies).unwrap_or_default();
    session.executor.write_file(
        "trust-policy",
        &FileWrite {
            token_file: None,
            path: &path,
            bytes: format!("{text}\n").as_bytes(),
            old_file: snapshot.as_ref(),
            access: FileAccess::OwnerOnly,
            is_secret: false,
        },
    )
}
