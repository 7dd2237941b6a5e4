//! Files changed as a whole, each change between its intent and its result.

use super::files::{self, Changed, Like, Snapshot};
use super::{Executor, held};
use crate::audit::{Act, Begun, Body, FileChange, FileOp, Outcome, Stream, Text};
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
    pub old: Option<&'a Snapshot>,
    /// Who may read it.
    pub readers: Readers,
    /// Whether it holds a secret, now or after.
    pub secret: bool,
}

/// Who may read a file that is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Its owner alone, whatever the old one was.
    Private,
    /// Who may read the old one; its owner alone where there is none.
    Kept,
    /// Who may read the old one; everyone where there is none.
    Public,
}

impl Executor {
    /// Puts a file in the place of another as a whole.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when the old file is still there.
    pub fn write_file(&self, step: &str, write: &FileWrite) -> Result<()> {
        self.heed()?;
        let stream = |bytes: &[u8]| {
            if write.secret {
                Stream::withheld()
            } else {
                Stream::seen(bytes)
            }
        };
        let change = FileChange {
            op: FileOp::Write,
            path: Text::from(write.path),
            before: write.old.map(|old| stream(&old.bytes)),
            after: Some(stream(write.bytes)),
        };
        let begun = self.intend(
            step,
            Effect::Changes,
            Act::File {
                file: change.clone(),
            },
        )?;
        let like = match (write.readers, write.old) {
            (Readers::Kept | Readers::Public, Some(old)) => Like::Old(&old.meta),
            (Readers::Public, None) => Like::Mode(0o644),
            _ => Like::Mode(0o600),
        };
        let done = files::replace(&begun, write.path, write.bytes, &like);
        self.file_done(begun, change, done, |path, error| unwritten(&path, &error))
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
        self.heed()?;
        let before = old.map(|old| Stream::seen(&old.bytes));
        let change = FileChange {
            op: FileOp::Write,
            path: Text::from(path),
            before,
            after: Some(Stream::seen(bytes)),
        };
        let begun = self.intend(
            step,
            Effect::Reads,
            Act::File {
                file: change.clone(),
            },
        )?;
        let done = files::replace(&begun, path, bytes, &Like::Mode(0o600));
        self.file_result(begun, change, done.result.as_ref().err())?;
        done.result
            .map_err(|error| unwritten(&path.display().to_string(), &error))
    }

    /// Deletes a file that holds a secret.
    ///
    /// # Errors
    /// [`Kind::Unrecorded`] before anything changed, [`Kind::Failed`] when it is still there.
    pub fn delete_file(&self, step: &str, path: &Path) -> Result<()> {
        self.heed()?;
        let before = path.symlink_metadata().ok().map(|_| Stream::withheld());
        let change = FileChange {
            op: FileOp::Delete,
            path: Text::from(path),
            before,
            after: None,
        };
        let begun = self.intend(
            step,
            Effect::Changes,
            Act::File {
                file: change.clone(),
            },
        )?;
        let done = files::delete(&begun, path);
        self.file_done(begun, change, done, |path, error| {
            Error::failed(format!("`{path}` could not be deleted: {error}"))
                .hint("delete it yourself: it holds a token")
        })
    }

    fn file_done(
        &self,
        begun: Begun,
        change: FileChange,
        done: Changed,
        told: impl FnOnce(String, std::io::Error) -> Error,
    ) -> Result<()> {
        let path = match &change.path {
            Text::Utf8(path) => path.clone(),
            Text::Bytes { b64 } => format!("base64:{b64}"),
        };
        self.changed.fetch_or(done.happened, Ordering::SeqCst);
        let files = if done.happened {
            vec![change]
        } else {
            Vec::new()
        };
        self.files_result(begun, files, done.result.as_ref().err())?;
        done.result.map_err(|error| told(path, error))
    }

    pub(super) fn file_result(
        &self,
        begun: Begun,
        change: FileChange,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        self.files_result(
            begun,
            if error.is_none() {
                vec![change]
            } else {
                Vec::new()
            },
            error,
        )
    }

    fn files_result(
        &self,
        begun: Begun,
        files: Vec<FileChange>,
        error: Option<&std::io::Error>,
    ) -> Result<()> {
        let outcome = Outcome {
            intent: begun.seq(),
            exit: None,
            ms: begun.ms(),
            stdout: None,
            stderr: None,
            files,
            error: error.map(ToString::to_string),
        };
        held(&self.log).end(
            begun,
            &self.run,
            &Body::Result(Box::new(outcome)),
            &held(&self.needles),
        )
    }
}

fn unwritten(path: &str, error: &std::io::Error) -> Error {
    Error::failed(format!("`{path}` could not be written: {error}"))
        .hint("look at the directory's owner, mode and free room")
}
