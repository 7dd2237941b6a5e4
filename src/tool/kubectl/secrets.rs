//! The commands that read secrets: the admin token, and UIDs and versions of both secrets.

use super::client::Kubectl;
use super::failure::KubectlError;
use crate::secret::Secret;
use crate::tool::invocation::{Invocation, ObjectKind, ObjectRef, Sensitivity, ToolOutput};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use zeroize::Zeroizing;

/// The maximum size of a token, in bytes. Kubernetes allows no larger secret.
const MAX_TOKEN_BYTES: usize = 1 << 20;

impl Kubectl {
    /// Gets the admin token with the documented command.
    pub fn get_admin_token(&self, namespace: &str) -> Invocation {
        let mut invocation = self.build_call([
            "get",
            "secrets/admin-token",
            "--template={{.data.token}}",
            "--namespace",
            namespace,
        ]);
        invocation.sensitivity = Sensitivity::Stdout;
        // Leaves room above the limit, so that the parser can report a token that is too large.
        invocation.max_stdout = MAX_TOKEN_BYTES / 3 * 4 + 4096;
        invocation
    }

    /// Gets UIDs, versions, creation times and finalizers of both secrets, without their data.
    pub fn get_secret_uids(&self, namespace: &str) -> Invocation {
        self.get_columns(&["secrets/rsa-keys", "secrets/admin-token"], namespace)
    }

    /// Gets the same of the secret `admin-token`.
    pub fn get_token_uid(&self, namespace: &str) -> Invocation {
        self.get_columns(&["secrets/admin-token"], namespace)
    }

    fn get_columns(&self, objects: &[&str], namespace: &str) -> Invocation {
        let columns = concat!(
            "custom-columns=NAME:.metadata.name,UID:.metadata.uid,",
            "VERSION:.metadata.resourceVersion,",
            "CREATED:.metadata.creationTimestamp,DELETED:.metadata.deletionTimestamp,",
            "FINALIZERS:.metadata.finalizers[*]"
        );
        let options = [
            "--namespace",
            namespace,
            "--output",
            columns,
            "--no-headers",
        ];
        self.build_call(["get"].iter().chain(objects).chain(&options).copied())
    }
}

/// An invalid admin token.
#[derive(Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The secret has no key `token`: kubectl prints `<no value>` and exits with 0.
    NoKey,
    /// The key is empty.
    Empty,
    NotBase64,
    /// Over 1 MiB.
    TooLarge,
    /// kubectl failed.
    Kubectl(KubectlError),
}

/// Decodes the admin token. Its format is not documented, so every byte is accepted.
///
/// # Errors
/// [`TokenError`].
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

/// A secret without its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretUid {
    pub name: String,
    /// Distinguishes the secret from another of the same name.
    pub uid: String,
    /// Changes with each change of the secret, also of its data.
    pub resource_version: String,
    /// To the second.
    pub created_at: String,
    /// The time of the deletion that finalizers delay, to the second.
    pub deleted_at: Option<String>,
    /// Delay a deletion until their controllers have removed them.
    pub finalizers: Vec<String>,
}

/// kubectl's text for a missing value.
const NO_VALUE: &str = "<none>";

impl SecretUid {
    #[must_use]
    pub fn to_object_ref(&self) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::Secret,
            name: self.name.clone(),
            uid: self.uid.clone(),
        }
    }

    /// Returns the creation time, to the second, unless it cannot be parsed.
    #[must_use]
    pub fn creation_time(&self) -> Option<Timestamp> {
        self.created_at.parse().ok()
    }

    /// Parses one row of the columns NAME, UID, VERSION, CREATED, DELETED, FINALIZERS.
    fn parse_row(row: &str) -> Option<Self> {
        let columns: Vec<&str> = row.split_whitespace().collect();
        let &[name, uid, version, created_at, deleted_at, finalizers] = columns.as_slice() else {
            return None;
        };
        // The server gives every secret a version. A missing one would equal another missing one.
        if version == NO_VALUE {
            return None;
        }
        let optional = |value: &str| (value != NO_VALUE).then(|| value.to_owned());
        // The server allows neither a space nor a comma in the name of a finalizer.
        let finalizers = optional(finalizers)
            .map(|list| list.split(',').map(str::to_owned).collect())
            .unwrap_or_default();
        Some(Self {
            name: name.to_owned(),
            uid: uid.to_owned(),
            resource_version: version.to_owned(),
            created_at: created_at.to_owned(),
            deleted_at: optional(deleted_at),
            finalizers,
        })
    }
}

/// Parses the output of [`Kubectl::get_token_uid`].
///
/// # Errors
/// [`KubectlError::NotFound`] and the like.
pub fn parse_token_uid(output: &ToolOutput) -> Result<SecretUid, KubectlError> {
    if !output.is_success() {
        return Err(KubectlError::from_output(output));
    }
    let row = std::str::from_utf8(&output.stdout).ok();
    row.and_then(|row| SecretUid::parse_row(row.trim_end()))
        .ok_or_else(|| KubectlError::from_unrecognised(output))
}

/// Parses the output of [`Kubectl::get_secret_uids`]. A missing secret is missing from the list.
///
/// # Errors
/// [`KubectlError::Forbidden`] and the like.
pub fn parse_secret_uids(output: &ToolOutput) -> Result<Vec<SecretUid>, KubectlError> {
    let text =
        std::str::from_utf8(&output.stdout).map_err(|_| KubectlError::from_unrecognised(output))?;
    let secrets: Vec<SecretUid> = text
        .lines()
        .map(|line| {
            SecretUid::parse_row(line).ok_or_else(|| KubectlError::from_unrecognised(output))
        })
        .collect::<Result<_, _>>()?;
    // A secret is missing only if the server reports exactly this secret as not found.
    let is_missing = |name: &str| {
        let suffix = format!("(NotFound): secrets \"{name}\" not found");
        output.error_lines().any(|line| line.ends_with(&suffix))
    };
    let is_known =
        |name: &str| secrets.iter().any(|secret| secret.name == name) || is_missing(name);
    if is_known("rsa-keys") && is_known("admin-token") {
        Ok(secrets)
    } else {
        Err(KubectlError::from_partial_output(output))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::ToolName;
    use crate::tool::invocation::ProcessExit;

    fn parse_secret_count(code: i32, stdout: &str, stderr: &str) -> Result<usize, KubectlError> {
        let output = ToolOutput {
            tool: ToolName::Kubectl,
            exit: ProcessExit::Code(code),
            stdout: stdout.as_bytes().to_vec().into(),
            stderr: stderr.as_bytes().to_vec().into(),
        };
        parse_secret_uids(&output).map(|secrets| secrets.len())
    }

    #[test]
    fn finalizers_are_parsed_as_kubectl_prints_them() {
        let parse = |end: &str| {
            let row = format!("rsa-keys   u   337   2026-01-01T00:00:00Z   {end}");
            let secret = SecretUid::parse_row(&row)?;
            Some((secret.deleted_at, secret.finalizers.join(" ")))
        };
        let none = Some((None, String::new()));
        assert_eq!(parse("<none>                 <none>"), none);
        let one = Some((None, "example.com/f".to_owned()));
        assert_eq!(parse("<none>                 example.com/f"), one);
        let both = Some((
            Some("2026-01-02T00:00:00Z".to_owned()),
            "example.com/f orphan".to_owned(),
        ));
        assert_eq!(parse("2026-01-02T00:00:00Z   example.com/f,orphan"), both);
        assert_eq!(parse("<none>"), None, "a column is missing");
        assert_eq!(parse("<none>   example.com/f   orphan"), None);
    }

    #[test]
    fn version_is_parsed_and_required() {
        let parse = |columns: &str| {
            let row = format!("rsa-keys   u   {columns}   <none>   <none>");
            SecretUid::parse_row(&row).map(|secret| secret.resource_version)
        };
        let version = Some("337".to_owned());
        assert_eq!(parse("337   2026-01-01T00:00:00Z"), version);
        assert_eq!(parse("<none>   2026-01-01T00:00:00Z"), None);
        assert_eq!(parse("2026-01-01T00:00:00Z"), None, "no column VERSION");
    }

    #[test]
    fn secret_is_missing_only_when_server_reports_it_not_found() {
        const KEYS: &str = concat!(
            "rsa-keys   0341f76c-5e91-4434-93a8-5447e0656ab6   337   2026-01-01T00:00:00Z   ",
            "<none>   <none>\n"
        );
        const NO_TOKEN: &str = "Error from server (NotFound): secrets \"admin-token\" not found\n";
        const NO_KEYS: &str = "Error from server (NotFound): secrets \"rsa-keys\" not found\n";
        assert_eq!(parse_secret_count(1, KEYS, NO_TOKEN), Ok(1));
        assert_eq!(
            parse_secret_count(1, "", &format!("{NO_KEYS}{NO_TOKEN}")),
            Ok(0)
        );
        let slow = "Error from server (Timeout): the server was unable to return a response\n";
        let forbidden = concat!(
            "Error from server (Forbidden): secrets \"rsa-keys\" is forbidden: ",
            "User \"a\" cannot get resource\n"
        );
        assert!(matches!(
            parse_secret_count(1, "", &format!("{slow}{NO_TOKEN}")),
            Err(KubectlError::Unreachable(_))
        ));
        assert!(matches!(
            parse_secret_count(1, "", &format!("{forbidden}{NO_TOKEN}")),
            Err(KubectlError::Forbidden(_))
        ));
        assert!(
            matches!(
                parse_secret_count(0, KEYS, ""),
                Err(KubectlError::Unrecognised(_))
            ),
            "the output does not mention admin-token"
        );
        assert!(matches!(
            parse_secret_count(0, "", ""),
            Err(KubectlError::Unrecognised(_))
        ));
        assert!(
            matches!(
                parse_secret_count(1, "", NO_TOKEN),
                Err(KubectlError::NotFound(_))
            ),
            "the output does not mention rsa-keys"
        );
    }
}
