//! The request of the user to `revoke` or `rotate`.

use crate::cli::RevocationArgs;
use crate::procedure::revoke::RevocationOptions;
use crate::tool::kubectl::DeletionMethod;

pub(crate) struct RevocationRequest<'a> {
    pub(crate) command: &'static str,
    pub(crate) args: &'a RevocationArgs,
    pub(crate) creates_new_token: bool,
    /// The profiles that get the new token, none for `revoke`.
    pub(crate) profiles: Vec<String>,
}

impl RevocationRequest<'_> {
    /// Returns the options of the planner.
    pub(crate) fn options(&self) -> RevocationOptions {
        let args = self.args;
        RevocationOptions {
            rerun: args.rerun(),
            is_rerun_from_policy: args.is_rerun_from_policy,
            selector: args.selector().to_owned(),
            key_gen_job: args.key_gen_job.clone(),
            create_admin_token_job: args.create_admin_token_job.clone(),
            start_over: args.start_over,
            deletion_method: if args.delete_by_uid {
                DeletionMethod::ByUid
            } else {
                DeletionMethod::Documented
            },
            prune_clones: args.prune_clones,
            creates_new_token: self.creates_new_token,
            skip_checks: args.skip_check.clone(),
            timeout: args.wait_timeout,
        }
    }
}
