//! Confirmation of an irreversible change: typed at a terminal, or given by `--confirm`.

use crate::error::{Error, ErrorKind, Result};
use crate::plan::ClusterTarget;
use crate::session::Session;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// Interval of the checks for Ctrl-C while the prompt waits.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Asks for confirmation, unless `--confirm` gives it.
pub(crate) fn require_confirmation(
    session: &Session,
    target: &ClusterTarget,
    given: Option<&str>,
) -> Result<()> {
    let phrase = target.confirmation_phrase();
    let unconfirmed = |text: String| {
        Error::from_kind(ErrorKind::Unconfirmed, text).hint(format!(
            "check context and namespace, then pass `--confirm '{phrase}'`"
        ))
    };
    if let Some(given) = given {
        if given == phrase {
            return Ok(());
        }
        return Err(unconfirmed(format!(
            "confirmation `{given}` does not match `{phrase}`"
        )));
    }
    let question = format!("Type {phrase} to continue: ");
    let answer = session
        .ui
        .prompt_line(&question)
        .map_err(|reason| unconfirmed(format!("cannot ask for confirmation: {reason}")))?;
    await_answer(session, &answer, &phrase)
}

fn await_answer(session: &Session, answer: &Receiver<String>, phrase: &str) -> Result<()> {
    let unconfirmed = |text: String| {
        let hint = format!("nothing changed: run the same command again and type {phrase}");
        Error::from_kind(ErrorKind::Unconfirmed, text).hint(hint)
    };
    loop {
        match answer.recv_timeout(POLL_INTERVAL) {
            // A line without its end is an unfinished answer.
            Ok(line) if line.trim() == phrase && line.ends_with('\n') => return Ok(()),
            Ok(line) if line.ends_with('\n') && !line.trim().is_empty() => {
                return Err(unconfirmed(format!("input does not match `{phrase}`")));
            }
            Err(RecvTimeoutError::Timeout) => session
                .executor
                .check_interrupted()
                .inspect_err(|_| session.ui.end_prompt())?,
            Ok(line) if line.ends_with('\n') => {
                return Err(unconfirmed("not confirmed".to_owned()));
            }
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                session.ui.end_prompt();
                return Err(unconfirmed("not confirmed".to_owned()));
            }
        }
    }
}
