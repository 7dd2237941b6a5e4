//! Confirmation of an irreversible change: typed at a terminal, or given by `--confirm`.

use crate::error::{Error, ErrorKind, Result};
use crate::plan::ClusterTarget;
use crate::session::Session;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How often a person who thinks is looked after for a Ctrl-C.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Asks for it, unless the command line has it.
pub(crate) fn require_confirmation(
    session: &Session,
    at: &ClusterTarget,
    given: Option<&str>,
    consequences: &str,
) -> Result<()> {
    let phrase = at.confirmation_phrase();
    let told = |text: String| {
        Error::from_kind(ErrorKind::Unconfirmed, text)
            .hint(format!("if that is what you mean: --confirm '{phrase}'"))
    };
    if let Some(given) = given {
        if given == phrase {
            session.ui.print_lines(consequences);
            return Ok(());
        }
        return Err(told(format!(
            "`{given}` was confirmed, but this is `{phrase}`"
        )));
    }
    if session.executor.environment().is_ci() {
        return Err(told(
            "nobody can be asked in CI, and what cannot be undone needs to be confirmed".to_owned(),
        ));
    }
    let question = format!("{consequences}\ntype {phrase} to go on: ");
    let Some(answer) = session.ui.prompt_line(&question) else {
        return Err(told("nobody can be asked (no terminal, output redirected, -q or -o json), and what cannot be undone needs to be confirmed".to_owned()));
    };
    await_answer(session, &answer, &phrase)
}

fn await_answer(session: &Session, answer: &Receiver<String>, phrase: &str) -> Result<()> {
    let not = |text: String| {
        let hint = format!("nothing was changed; to go on, run it again and type {phrase}");
        Error::from_kind(ErrorKind::Unconfirmed, text).hint(hint)
    };
    loop {
        match answer.recv_timeout(POLL_INTERVAL) {
            // Without its end the line was not meant to be all.
            Ok(line) if line.trim() == phrase && line.ends_with('\n') => return Ok(()),
            Ok(line) if line.ends_with('\n') && !line.trim().is_empty() => {
                return Err(not(format!("what was typed is not `{phrase}`")));
            }
            Err(RecvTimeoutError::Timeout) => session
                .executor
                .check_interrupted()
                .inspect_err(|_| session.ui.end_prompt())?,
            Ok(line) if line.ends_with('\n') => return Err(not("not confirmed".to_owned())),
            Ok(_) | Err(RecvTimeoutError::Disconnected) => {
                session.ui.end_prompt();
                return Err(not("not confirmed".to_owned()));
            }
        }
    }
}
