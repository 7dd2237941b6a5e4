//! What cannot be undone is confirmed, by a person at the terminal or by a script that names what it means.

use super::session::Session;
use crate::error::{Error, Kind, Result};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How often a person who thinks is looked after for a Ctrl-C.
const TICK: Duration = Duration::from_millis(100);

/// `CONTEXT/NAMESPACE`, as it has to be typed. In a cluster there is no context.
pub(super) fn phrase(session: &Session, namespace: &str) -> String {
    let context = session.exec.target().context.unwrap_or_else(|| "in-cluster".to_owned());
    format!("{context}/{namespace}")
}

/// Asks for it, unless the command line has it.
pub(super) fn confirm(session: &Session, namespace: &str, given: Option<&str>, consequences: &str) -> Result<()> {
    let phrase = phrase(session, namespace);
    let told = |text: String| {
        Error::new(Kind::Unconfirmed, text).hint(format!("if that is what you mean: --confirm '{phrase}'"))
    };
    if let Some(given) = given {
        if given == phrase {
            return Ok(());
        }
        return Err(told(format!("`{given}` was confirmed, but this is `{phrase}`")));
    }
    if session.exec.surroundings().is_ci() {
        return Err(told("nobody can be asked in CI, and what cannot be undone needs to be confirmed".to_owned()));
    }
    let question = format!("{consequences}\ntype {phrase} to go on: ");
    let Some(answer) = session.ui.ask(&question) else {
        return Err(told("there is no terminal to ask at, and what cannot be undone needs to be confirmed".to_owned()));
    };
    loop {
        match answer.recv_timeout(TICK) {
            Ok(line) if line.trim() == phrase => return Ok(()),
            Ok(line) if line.trim().is_empty() => return Err(told("not confirmed".to_owned())),
            Ok(_) => return Err(told(format!("what was typed is not `{phrase}`"))),
            Err(RecvTimeoutError::Timeout) => session.exec.heed()?,
            Err(RecvTimeoutError::Disconnected) => return Err(told("not confirmed".to_owned())),
        }
    }
}
