//! Remembers the plans that were applied, so that a plan applies only once. The audit log alone would
//! forget them when somebody rotates it, and when it grows beyond the part that a run reads.

use super::executor::Executor;
use crate::error::{Error, Result};
use std::path::PathBuf;

impl Executor {
    /// Returns the file that exists once a plan has been applied.
    fn applied_plan_path(&self, plan_sha256: &str) -> PathBuf {
        self.state_dir.join("applied-plans").join(plan_sha256)
    }

    /// Returns the file that says that a plan was applied, if it exists.
    ///
    /// # Errors
    /// Fails where the state directory cannot be read.
    pub fn find_applied_plan(&self, plan_sha256: &str) -> Result<Option<PathBuf>> {
        let path = self.applied_plan_path(plan_sha256);
        match path.symlink_metadata() {
            Ok(_) => Ok(Some(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(
                Error::failure(format!("cannot read `{}`: {error}", path.display()))
                    .with_source(error)
                    .hint("make the state directory readable, or set XDG_STATE_HOME"),
            ),
        }
    }

    /// Records that the plan of this run has been applied.
    ///
    /// # Errors
    /// As [`Self::write_document`].
    pub fn record_applied_plan(&self) -> Result<()> {
        let Some(plan_sha256) = self.plan_sha256.as_ref().filter(|_| !self.dry_run) else {
            return Ok(());
        };
        let path = self.applied_plan_path(plan_sha256);
        let text = format!("{}\n", self.run_id);
        self.write_document("record-plan", &path, text.as_bytes(), None)
    }
}
