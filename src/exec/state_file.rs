//! Small secret files in the state directory: the key that makes tokens comparable, and the copy of
//! the old token that an interrupted revocation needs for its verification.

use super::executor::Executor;
use super::files::{self, ModeSource, read_file};
use super::lock::lock_guard;
use crate::audit::{FileChange, FileOp, Operation, Stream, Text};
use crate::error::{Error, Result};
use crate::secret::{HmacKey, Secret};
use crate::tool::invocation::Effect;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// The name of the file with the key.
const HMAC_KEY_FILE: &str = "probe-key";

/// The size limit of a state file, in bytes: a token has at most 1 MiB.
const MAX_STATE_FILE: u64 = 2 << 20;

impl Executor {
    /// Loads the key that makes tokens comparable. `create` generates it if it is missing.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::error::ErrorKind::Refused) where others can use the file.
    pub fn load_hmac_key(&self, create: bool) -> Result<()> {
        let path = self.state_dir.join(HMAC_KEY_FILE);
        let to_error = |error| state_file_error(&path, &error);
        let mut bytes = self.read_state_file(HMAC_KEY_FILE)?;
        if bytes.is_none() && create {
            // Another first run can create the file at the same moment.
            let _guard =
                lock_guard(&self.lock_directory(), &self.interrupt_check()).map_err(to_error)?;
            bytes = self.read_state_file(HMAC_KEY_FILE)?;
            if bytes.is_none() {
                let key = HmacKey::generate().map_err(to_error)?;
                self.change_state_file("create-probe-key", HMAC_KEY_FILE, Some(key.expose_key()))?;
                let _ = self.hmac_key.set(key);
            }
        }
        if let Some(bytes) = bytes {
            let key = HmacKey::from_bytes(&bytes)
                .ok_or_else(|| to_error(io::Error::other("it is not a key of 32 bytes")))?;
            let _ = self.hmac_key.set(key);
        }
        Ok(())
    }

    /// Computes the HMAC of a token, if the key is loaded.
    #[must_use]
    pub fn compute_token_hmac(&self, token: &Secret) -> Option<String> {
        let key = self.hmac_key.get()?;
        Some(key.compute_hmac(token).to_string())
    }

    /// Reads a token from the state directory, and redacts it from then on.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`](crate::error::ErrorKind::Refused) where others can use the file.
    pub fn read_state_token(&self, name: &str) -> Result<Option<Secret>> {
        let token = self.read_state_file(name)?.map(Secret::new);
        token.iter().for_each(|token| self.register_secret(token));
        Ok(token)
    }

    /// Returns whether the state directory has a file of this name.
    #[must_use]
    pub fn has_state_file(&self, name: &str) -> bool {
        self.state_dir.join(name).symlink_metadata().is_ok()
    }

    /// Writes a token to the state directory, mode 0600. This does not count as a change.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`](crate::error::ErrorKind::Unrecorded) before the change.
    pub fn write_state_token(&self, step: &str, name: &str, token: &Secret) -> Result<()> {
        self.change_state_file(step, name, Some(token.expose_secret()))
    }

    /// Deletes a file in the state directory, if it exists.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`](crate::error::ErrorKind::Unrecorded) before the change.
    pub fn delete_state_file(&self, step: &str, name: &str) -> Result<()> {
        match self.state_dir.join(name).symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            _ => self.change_state_file(step, name, None),
        }
    }

    fn read_state_file(&self, name: &str) -> Result<Option<zeroize::Zeroizing<Vec<u8>>>> {
        let path = self.state_dir.join(name);
        let to_error = |error| state_file_error(&path, &error);
        match path.symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            meta => check_ownership(&meta.map_err(to_error)?).map_err(to_error)?,
        }
        let Some(file) = read_file(&path, MAX_STATE_FILE).map_err(to_error)? else {
            return Ok(None);
        };
        check_ownership(&file.meta).map_err(to_error)?;
        Ok(Some(file.bytes))
    }

    fn change_state_file(&self, step: &str, name: &str, bytes: Option<&[u8]>) -> Result<()> {
        let path = self.state_dir.join(name);
        let existing = path.symlink_metadata().ok();
        let change = FileChange {
            op: match bytes {
                Some(_) => FileOp::Write,
                None => FileOp::Delete,
            },
            path: Text::from(&path),
            before: existing.map(|_| Stream::new_withheld()),
            after: bytes.map(|_| Stream::new_withheld()),
            token_file: None,
        };
        let operation = Operation::File {
            file: change.clone(),
        };
        let receipt = self.record_intent(step, Effect::Reads, operation)?;
        let outcome = match bytes {
            Some(bytes) => files::replace_file(&receipt, &path, bytes, &ModeSource::Fixed(0o600)),
            None => files::delete_file(&receipt, &path),
        };
        self.record_file_change(receipt, change, outcome.result.as_ref().err())?;
        outcome
            .result
            .map_err(|error| state_file_error(&path, &error))
    }
}

/// Fails unless the file is regular, and only this account can use it.
fn check_ownership(meta: &std::fs::Metadata) -> io::Result<()> {
    let is_own = meta.uid() == rustix::process::geteuid().as_raw();
    if meta.is_file() && is_own && meta.mode() & 0o077 == 0 && meta.nlink() == 1 {
        Ok(())
    } else {
        Err(io::Error::other(
            "it is not a regular file that only this account can use",
        ))
    }
}

fn state_file_error(path: &Path, error: &io::Error) -> Error {
    Error::refusal(format!("cannot use `{}`: {error}", path.display()))
        .hint("check owner, mode (0600) and free space in the state directory")
}
