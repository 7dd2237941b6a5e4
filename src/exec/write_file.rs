//! Replaces and deletes files, each between its intent and its result in the audit log.

use super::executor::Executor;
use super::files::{self, ModeSource, Snapshot, WriteOutcome};
use super::sync::lock_mutex;
use crate::audit::{ActionResult, Body, FileChange, FileOp, Operation, Receipt, Stream, Text};
use crate::error::{Error, Result};
use crate::profile::TokenFileChange;
use crate::tool::invocation::Effect;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The new content of a file.
pub struct FileWrite<'a> {
    /// An absolute path without symlinks.
    pub path: &'a Path,
    pub bytes: &'a [u8],
    /// The current file. `None`: the file is new.
    pub old_file: Option<&'a Snapshot>,
    pub access: FileAccess,
    /// The old or the new content contains a secret.
    pub is_secret: bool,
    /// The change of a profile's token file, for a later `disable`.
    pub token_file: Option<&'a TokenFileChange>,
}

/// The permissions of a written file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileAccess {
    /// Mode 0600.
    OwnerOnly,
    /// Those of the old file, or mode 0600 for a new one.
    Preserve,
    /// Those of the old file, or mode 0644 for a new one.
    WorldReadable,
}

impl Executor {
    /// Replaces a file atomically.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] before any change, [`ErrorKind::Failed`] where the old file
    /// remains.
    pub fn write_file(&self, step: &str, write: &FileWrite) -> Result<()> {
        self.check_interrupted()?;
        let stream = |bytes: &[u8]| {
            if write.is_secret {
                Stream::new_withheld()
            } else {
                Stream::from_bytes(bytes)
            }
        };
        let change = FileChange {
            op: FileOp::Write,
            path: Text::from(write.path),
            before: write.old_file.map(|old| stream(&old.bytes)),
            after: Some(stream(write.bytes)),
            token_file: write.token_file.cloned(),
        };
        let receipt = self.record_intent(
            step,
            Effect::Changes,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let mode = match (write.access, write.old_file) {
            (FileAccess::Preserve | FileAccess::WorldReadable, Some(old)) => {
                ModeSource::Existing(&old.meta)
            }
            (FileAccess::WorldReadable, None) => ModeSource::Fixed(0o644),
            _ => ModeSource::Fixed(0o600),
        };
        let outcome = files::replace_file(&receipt, write.path, write.bytes, &mode);
        self.finish_file_change(receipt, change, outcome, |path, error| {
            write_error(&path, error)
        })
    }

    /// Writes a document that the user asked for, mode 0600. This does not count as a change.
    ///
    /// # Errors
    /// As [`Self::write_file`].
    pub fn write_document(
        &self,
        step: &str,
        path: &Path,
        bytes: &[u8],
        old: Option<&Snapshot>,
    ) -> Result<()> {
        self.check_interrupted()?;
        let before = old.map(|old| Stream::from_bytes(&old.bytes));
        let change = FileChange {
            op: FileOp::Write,
            path: Text::from(path),
            before,
            after: Some(Stream::from_bytes(bytes)),
            token_file: None,
        };
        let receipt = self.record_intent(
            step,
            Effect::Reads,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let outcome = files::replace_file(&receipt, path, bytes, &ModeSource::Fixed(0o600));
        self.record_file_change(receipt, change, outcome.result.as_ref().err())?;
        outcome
            .result
            .map_err(|error| write_error(&path.display().to_string(), error))
    }

    /// Deletes a file that contains a secret.
    ///
    /// # Errors
    /// [`ErrorKind::Unrecorded`] before any change, [`ErrorKind::Failed`] where the file remains.
    pub fn delete_file(&self, step: &str, path: &Path) -> Result<()> {
        self.check_interrupted()?;
        let before = path.symlink_metadata().ok().map(|_| Stream::new_withheld());
        let change = FileChange {
            op: FileOp::Delete,
            path: Text::from(path),
            before,
            after: None,
            token_file: None,
        };
        let receipt = self.record_intent(
            step,
            Effect::Changes,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let outcome = files::delete_file(&receipt, path);
        self.finish_file_change(receipt, change, outcome, |path, error| {
            Error::failure(format!("cannot delete `{path}`: {error}"))
                .with_source(error)
                .hint("delete it by hand: it contains a token")
        })
    }

    fn finish_file_change(
        &self,
        receipt: Receipt,
        change: FileChange,
        outcome: WriteOutcome,
        to_error: impl FnOnce(String, std::io::Error) -> Error,
    ) -> Result<()> {
        let path = match &change.path {
            Text::Utf8(path) => path.clone(),
            Text::Bytes { b64 } => format!("base64:{b64}"),
        };
        self.change_count
            .fetch_add(usize::from(outcome.is_applied), Ordering::SeqCst);
        let files = if outcome.is_applied {
            vec![change]
        } else {
            Vec::new()
        };
        self.record_file_changes(receipt, files, outcome.result.as_ref().err())?;
        outcome.result.map_err(|error| to_error(path, error))
    }

    pub(super) fn record_file_change(
        &self,
        receipt: Receipt,
        change: FileChange,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        self.record_file_changes(
            receipt,
            if error.is_none() {
                vec![change]
            } else {
                Vec::new()
            },
            error,
        )
    }

    fn record_file_changes(
        &self,
        receipt: Receipt,
        files: Vec<FileChange>,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        let result = ActionResult {
            intent: receipt.seq(),
            exit: None,
            duration_ms: receipt.elapsed_ms(),
            stdout: None,
            stderr: None,
            files,
            verdict: None,
            error: error.map(ToString::to_string),
        };
        lock_mutex(&self.log).append_result(
            receipt,
            &self.run_id,
            &Body::Result(Box::new(result)),
            &lock_mutex(&self.redactor),
        )
    }
}

fn write_error(path: &str, error: std::io::Error) -> Error {
    Error::failure(format!("cannot write `{path}`: {error}"))
        .with_source(error)
        .hint("check the owner, mode and free space of the directory")
}
