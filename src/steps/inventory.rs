//! The step that counts the tokens that a revocation does not revoke.

use super::state::{RunState, TokenCounts};
use super::token::run_with_token;
use crate::error::{ErrorKind, Result};
use crate::plan::TokenInventory;
use crate::session::runner::Runner;
use crate::tool::influxctl;
use crate::tool::invocation::Invocation;
use jiff::Timestamp;

/// Counts the tokens with the new token. A failure leaves the counts unknown, because the
/// revocation is complete.
pub(super) fn count_tokens(
    runner: &Runner,
    step: &str,
    inventory: &TokenInventory,
    state: &RunState,
) -> Result<()> {
    // A token that the server does not accept cannot list others.
    if state.first_acceptance.get().is_none() {
        return Ok(());
    }
    let _wait = runner.start_wait("the lists of other tokens", None);
    let mut counts = TokenCounts::default();
    match count_list(runner, step, &inventory.database, inventory, state)? {
        Ok(count) => counts.database = Some(count),
        Err(reason) => counts.problem = Some(reason),
    }
    // The same server would most likely fail again, and each failure can take its time limit.
    if counts.problem.is_none() {
        match count_list(runner, step, &inventory.management, inventory, state)? {
            Ok(count) => counts.management = Some(count),
            Err(reason) => counts.problem = Some(reason),
        }
    }
    let _ = state.token_counts.set(counts);
    Ok(())
}

/// Returns the number of valid tokens in a list, or the reason why it is unknown.
fn count_list(
    runner: &Runner,
    step: &str,
    command: &Invocation,
    inventory: &TokenInventory,
    state: &RunState,
) -> Result<std::result::Result<u64, String>> {
    let output = run_with_token(
        runner,
        step,
        command,
        &inventory.profile,
        state.token()?,
        None,
    );
    match output {
        Ok(output) => Ok(influxctl::count_valid_tokens(&output, Timestamp::now())),
        Err(error) if error.kind == ErrorKind::Unrecorded => Err(error),
        // An interrupt, too: nothing of the revocation is left to stop.
        Err(error) => Ok(Err(error.message)),
    }
}
