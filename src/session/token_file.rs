//! The token file: its size limit, its mode, its content.

use super::Session;
use crate::error::{Error, Result};
use crate::exec::read_file;
use crate::secret::{Secret, is_token_like};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The largest token file that is looked at, in bytes.
pub(crate) const MAX_TOKEN_FILE: u64 = 2 << 20;

/// Whether only its owner can read a file, and nobody can execute it.
pub(crate) fn is_owner_only(meta: &Metadata) -> bool {
    meta.mode() & 0o7177 == 0
}

/// A token in a file: a copy of the old one.
pub(crate) fn read_token_file(session: &Session, path: &Path) -> Result<Option<Secret>> {
    let told = |why: String| {
        Error::failure(format!("`{}` {why}", path.display()))
            .hint("name a file that holds the token as `enable` writes it")
    };
    let found = read_file(path, MAX_TOKEN_FILE)
        .map_err(|error| told(format!("cannot be read: {error}")))?;
    let token = found
        .filter(|file| is_token_like(&file.bytes))
        .map(|file| Secret::new(file.bytes));
    token
        .iter()
        .for_each(|token| session.executor.register_secret(token));
    Ok(token)
}
