//! What the user asked `revoke` or `rotate` to do.

use crate::cli::RevocationArgs;
use crate::procedure::revoke::RevocationOptions;

/// What was asked for.
pub(crate) struct RevocationRequest<'a> {
    pub(crate) command: &'static str,
    pub(crate) args: &'a RevocationArgs,
    pub(crate) new_token: bool,
    /// For people: the profiles that get the new token.
    pub(crate) profiles: Vec<String>,
}

impl RevocationRequest<'_> {
    /// Returns the options of the planner.
    pub(crate) fn options(&self) -> RevocationOptions {
        let how = self.args;
        RevocationOptions {
            rerun: how.rerun(),
            selector: how.selector().to_owned(),
            key_gen_job: how.key_gen_job.clone(),
            create_admin_token_job: how.create_admin_token_job.clone(),
            start_over: how.start_over,
            new_token: self.new_token,
            skip_check: how.skip_check,
            timeout: how.wait_timeout,
        }
    }
}
