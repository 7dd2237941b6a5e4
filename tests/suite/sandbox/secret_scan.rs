//! Searches the sandbox for leaked secrets.

use super::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::Value;
use std::path::{Path, PathBuf};

impl Sandbox {
    /// Returns all tokens and keys that the fake or the test ever created.
    pub fn list_secrets(&self) -> Vec<Vec<u8>> {
        let created = self.edit_state(|world| {
            world["known_secrets"]
                .as_array()
                .cloned()
                .unwrap_or_default()
        });
        let created = created.iter().map(|text| {
            STANDARD
                .decode(text.as_str().expect("text"))
                .expect("base64")
        });
        created.chain(self.extra_secrets.iter().cloned()).collect()
    }

    /// Fails if a secret is anywhere in the sandbox, raw, base64 or hex: in a file or its name, in
    /// output, in the arguments or environment of a process. Skips the fake's own state, the copy
    /// of the old token that an unfinished revocation keeps, and `spared`, the token files.
    pub fn assert_no_secret_leaked(&self, spared: &[&Path]) {
        let found = self.find_leaked_secrets(spared);
        assert!(found.is_empty(), "secrets in {found:?}");
    }

    /// Returns the paths with secrets, relative to the sandbox.
    pub fn find_leaked_secrets(&self, spared: &[&Path]) -> Vec<PathBuf> {
        let needles: Vec<Vec<u8>> = self
            .list_secrets()
            .iter()
            .flat_map(|s| list_encodings(s))
            .collect();
        assert!(needles.len() > 20, "the sandbox has secrets");
        let mut files = Vec::new();
        collect_files(self.root(), &mut files);
        files.retain(|file| {
            !spared.iter().any(|s| self.root().join(s) == *file)
                && !is_fake_state(file)
                && !is_kept_old_token(file)
        });
        let any: Vec<String> = needles.iter().map(|n| escape_bytes(n)).collect();
        let any = regex::bytes::Regex::new(&any.join("|")).expect("literals");
        let has_secret = |haystack: &[u8]| any.is_match(haystack);
        files.retain(|file| {
            let bytes = std::fs::read(file).unwrap_or_default();
            has_secret(&bytes) || has_secret(file.as_os_str().as_encoded_bytes())
        });
        files
            .into_iter()
            .map(|f| f.strip_prefix(self.root()).expect("below").to_owned())
            .collect()
    }
}

/// The fake's own secrets. Its logs of calls and processes are searched like everything else.
fn is_fake_state(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.parent().is_some_and(|p| p.ends_with("state")) && name.starts_with("cluster.json")
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let kind = entry.file_type().expect("a file in the sandbox");
        if kind.is_dir() {
            collect_files(&entry.path(), files);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
}

/// Returns the forms of a secret: raw, in JSON, in a URL, hex, and base64 at every offset in a
/// longer text.
fn list_encodings(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = secret.iter().map(|b| format!("{b:02x}")).collect();
    let percent: String = secret.iter().map(|b| format!("%{b:02x}")).collect();
    let quoted = Value::from(String::from_utf8_lossy(secret)).to_string();
    let mut forms = vec![
        secret.to_vec(),
        quoted.trim_matches('"').into(),
        percent.into_bytes(),
    ];
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    for skipped in 0..3 {
        // The encoding of whole groups of three bytes does not depend on the bytes around them.
        let inner = secret.get(skipped..).unwrap_or_default();
        let inner = &inner[..inner.len() / 3 * 3];
        forms.push(STANDARD_NO_PAD.encode(inner).into_bytes());
        forms.push(URL_SAFE_NO_PAD.encode(inner).into_bytes());
    }
    forms.retain(|form| form.len() >= 8);
    forms
}

/// Returns a pattern that matches exactly these bytes.
fn escape_bytes(bytes: &[u8]) -> String {
    let escaped = bytes
        .iter()
        .map(|b| format!("\\x{b:02x}"))
        .collect::<String>();
    format!("(?-u:{escaped})")
}

/// Returns whether a file is the copy of the old token, which only its owner can read.
fn is_kept_old_token(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    file.parent()
        .is_some_and(|parent| parent.ends_with("state/bypassctl"))
        && name.trim_start_matches('.').starts_with("old-token-")
        && file.metadata().is_ok_and(|meta| meta.mode() & 0o077 == 0)
}
