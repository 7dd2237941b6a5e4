//! What cannot be undone is confirmed, by a person at the terminal or by a script that names what it means.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use crate::plan::Place;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often a person who thinks is looked after for a Ctrl-C.
const TICK: Duration = Duration::from_millis(100);

/// Asks for it, unless the command line has it.
pub(super) fn confirm(session: &Session, at: &Place, given: Option<&str>, consequences: &str) -> Result<()> {
    let phrase = at.phrase();
    let told = |text: String| {
        Error::of(Kind::Unconfirmed, text).hint(format!("if that is what you mean: --confirm '{phrase}'"))
    };
    if let Some(given) = given {
        if given == phrase {
            session.ui.say(consequences);
            return Ok(());
        }
        return Err(told(format!("`{given}` was confirmed, but this is `{phrase}`")));
    }
    if session.exec.surroundings().is_ci() {
        return Err(told("nobody can be asked in CI, and what cannot be undone needs to be confirmed".to_owned()));
    }
    let question = format!("{consequences}\ntype {phrase} to go on: ");
    let Some(answer) = session.ui.ask(&question) else {
        return Err(told("nobody can be asked (no terminal, output redirected, -q or -o json), and what cannot be undone needs to be confirmed".to_owned()));
    };
    loop {
        match answer.recv_timeout(TICK) {
            // Without its end the line was not meant to be all.
            Ok(line) if line.trim() == phrase && line.ends_with('\n') => return Ok(()),
            Ok(line) if line.trim().is_empty() => return Err(told("not confirmed".to_owned())),
            Ok(_) => return Err(told(format!("what was typed is not `{phrase}`"))),
            Err(RecvTimeoutError::Timeout) => session.exec.heed()?,
            Err(RecvTimeoutError::Disconnected) => return Err(told("not confirmed".to_owned())),
        }
    }
}
