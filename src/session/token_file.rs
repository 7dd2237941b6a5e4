//! The token file: size limit, mode and content.

use super::Session;
use crate::error::{Error, Result};
use crate::exec::read_file;
use crate::plan::shell_quote;
use crate::secret::{Secret, is_token_like};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The size limit of a token file, in bytes.
pub(crate) const MAX_TOKEN_FILE: u64 = 2 << 20;

/// Returns whether only its owner can read a file, and nobody can execute it.
pub(crate) fn is_owner_only(meta: &Metadata) -> bool {
    meta.mode() & 0o7177 == 0
}

/// Returns whether others than the owner have any access to a file.
pub(crate) fn is_exposed(meta: &Metadata) -> bool {
    meta.mode() & 0o077 != 0
}

/// Returns the hint for a token file with another mode than 0600.
pub(crate) fn file_mode_hint(file: &Path, meta: &Metadata) -> String {
    let file = shell_quote(&file.display().to_string());
    if is_exposed(meta) {
        format!(
            "others could read this token: run `bypassctl rotate`, or `chmod 600 {file}` if \
             nobody did"
        )
    } else {
        format!("run `chmod 600 {file}`")
    }
}

/// Reads a copy of the old token. Returns `None` if the file is missing or has no token.
pub(crate) fn read_token_file(session: &Session, path: &Path) -> Result<Option<Secret>> {
    let file = read_file(path, MAX_TOKEN_FILE).map_err(|error| {
        Error::failure(format!("cannot read `{}`: {error}", path.display()))
            .hint("pass a file with a token as `enable` writes it")
    })?;
    let token = file
        .filter(|file| is_token_like(&file.bytes))
        .map(|file| Secret::new(file.bytes));
    token
        .iter()
        .for_each(|token| session.executor.register_secret(token));
    Ok(token)
}
