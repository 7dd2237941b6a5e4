//! Files changed as a whole, each change between its intent and its result.

use super::executor::Executor;
use super::files::{self, ModeSource, Snapshot, WriteOutcome};
use super::sync::lock_mutex;
use crate::audit::{Body, FileChange, FileOp, Operation, Receipt, ResultRecord, Stream, Text};
use crate::error::{Error, Result};
use crate::tool::invocation::Effect;
use std::path::Path;
use std::sync::atomic::Ordering;

/// What a file is to become.
pub struct FileWrite<'a> {
    /// Absolute, symlinks resolved.
    pub path: &'a Path,
    /// The new bytes.
    pub bytes: &'a [u8],
    /// What is there now; without it the file is new.
    pub old_file: Option<&'a Snapshot>,
    /// Who may read it.
    pub access: FileAccess,
    /// Whether it holds a secret, now or after.
    pub is_secret: bool,
}

/// Who may read a file that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum FileAccess {
    /// Its owner alone, whatever the old one was.
    OwnerOnly,
    /// Who may read the old one; its owner alone where there is none.
    Preserve,
    /// Who may read the old one; everyone where there is none.
    WorldReadable,
}

impl Executor {
    /// Puts a file in the place of another as a whole.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when the old file is still there.
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
        };
        let begun = self.record_intent(
            step,
            Effect::Changes,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let like = match (write.access, write.old_file) {
            (FileAccess::Preserve | FileAccess::WorldReadable, Some(old)) => {
                ModeSource::Existing(&old.meta)
            }
            (FileAccess::WorldReadable, None) => ModeSource::Fixed(0o644),
            _ => ModeSource::Fixed(0o600),
        };
        let done = files::replace_file(&begun, write.path, write.bytes, &like);
        self.finish_file_change(begun, change, done, |path, error| write_error(&path, error))
    }

    /// Writes what was only asked to be written down, mode 0600: that changes nothing of what this program is about.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`], [`Kind::Failed`] when the old file is still there.
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
        };
        let begun = self.record_intent(
            step,
            Effect::Reads,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let done = files::replace_file(&begun, path, bytes, &ModeSource::Fixed(0o600));
        self.record_file_change(begun, change, done.result.as_ref().err())?;
        done.result
            .map_err(|error| write_error(&path.display().to_string(), error))
    }

    /// Deletes a file that holds a secret.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when it is still there.
    pub fn delete_file(&self, step: &str, path: &Path) -> Result<()> {
        self.check_interrupted()?;
        let before = path.symlink_metadata().ok().map(|_| Stream::new_withheld());
        let change = FileChange {
            op: FileOp::Delete,
            path: Text::from(path),
            before,
            after: None,
        };
        let begun = self.record_intent(
            step,
            Effect::Changes,
            Operation::File {
                file: change.clone(),
            },
        )?;
        let done = files::delete_file(&begun, path);
        self.finish_file_change(begun, change, done, |path, error| {
            Error::failure(format!("`{path}` could not be deleted: {error}"))
                .caused_by(error)
                .hint("delete it yourself: it holds a token")
        })
    }

    fn finish_file_change(
        &self,
        begun: Receipt,
        change: FileChange,
        done: WriteOutcome,
        told: impl FnOnce(String, std::io::Error) -> Error,
    ) -> Result<()> {
        let path = match &change.path {
            Text::Utf8(path) => path.clone(),
            Text::Bytes { b64 } => format!("base64:{b64}"),
        };
        self.has_changed.fetch_or(done.is_applied, Ordering::SeqCst);
        let files = if done.is_applied {
            vec![change]
        } else {
            Vec::new()
        };
        self.record_file_changes(begun, files, done.result.as_ref().err())?;
        done.result.map_err(|error| told(path, error))
    }

    pub(super) fn record_file_change(
        &self,
        begun: Receipt,
        change: FileChange,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        self.record_file_changes(
            begun,
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
        begun: Receipt,
        files: Vec<FileChange>,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        let outcome = ResultRecord {
            intent: begun.seq(),
            exit: None,
            duration_ms: begun.elapsed_ms(),
            stdout: None,
            stderr: None,
            files,
            error: error.map(ToString::to_string),
        };
        lock_mutex(&self.log).append_result(
            begun,
            &self.run_id,
            &Body::Result(Box::new(outcome)),
            &lock_mutex(&self.redactor),
        )
    }
}

fn write_error(path: &str, error: std::io::Error) -> Error {
    Error::failure(format!("`{path}` could not be written: {error}"))
        .caused_by(error)
        .hint("look at the directory's owner, mode and free room")
}
