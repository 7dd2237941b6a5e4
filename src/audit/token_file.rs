//! Finds the token file that a profile had before `enable` or `rotate` set another one.

use super::body::{Body, FileChange, Operation, Text};
use super::entry::Entry;
use super::lines::for_each_entry;
use super::segments::open_chain;
use crate::profile::TokenFileChange;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use uuid::Uuid;

/// The origin of the current token file of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFileOrigin {
    /// This program set it. It replaced this TOML string, or none.
    Set { former: Option<String> },
    /// `disable` restored it.
    Restored,
    /// The log does not show who set it.
    Unknown,
}

/// The last change of a profile.
struct LastChange {
    value: Option<String>,
    origin: TokenFileOrigin,
}

/// Finds the origin of `current`, the token file of a profile as a TOML string. Also reads the
/// closed logs that the log continues.
pub(super) fn find_token_file_origin(
    log: &Path,
    file: &File,
    config: &Path,
    profile: &str,
    current: &str,
) -> io::Result<TokenFileOrigin> {
    let config = Text::from(config);
    let select = |file: FileChange| {
        let is_same = file.path == config;
        let change = file.token_file.filter(|_| is_same)?;
        (change.profile == profile).then_some(change)
    };
    let mut commands: BTreeMap<Uuid, String> = BTreeMap::new();
    let mut last: Option<LastChange> = None;
    // The last change without a result: its run was killed before or after the change.
    let mut pending = None;
    let mut visit = |entry: Entry<'_>| {
        let Some(run) = entry.run else { return };
        let is_restored = || {
            commands
                .get(&run)
                .is_some_and(|command| command == "disable")
        };
        match entry.body {
            Ok(Body::RunBegin(begin)) => drop(commands.insert(run, begin.command)),
            Ok(Body::RunEnd { .. }) => drop(commands.remove(&run)),
            Ok(Body::Intent(intent)) => {
                if let Operation::File { file } = intent.operation
                    && let Some(change) = select(file)
                {
                    pending = Some((change, is_restored()));
                }
            }
            Ok(Body::Result(result)) => {
                if let Some(change) = result.files.into_iter().find_map(select) {
                    last = Some(follow_change(last.take(), change, is_restored()));
                    pending = None;
                }
            }
            _ => {}
        }
    };
    for segment in open_chain(log, file, |_| Ok(false))? {
        let mut reader = BufReader::new(segment.reader()?);
        for_each_entry(&mut reader, |entry, _, _| visit(entry))?;
    }
    if let Some((change, is_restored)) = pending
        && change.after.as_deref() == Some(current)
    {
        last = Some(follow_change(last, change, is_restored));
    }
    Ok(last
        .filter(|last| last.value.as_deref() == Some(current))
        .map_or(TokenFileOrigin::Unknown, |last| last.origin))
}

/// Several runs of `enable` in a row have the same former value: the one before the first.
fn follow_change(
    last: Option<LastChange>,
    change: TokenFileChange,
    is_restored: bool,
) -> LastChange {
    let origin = match last {
        _ if is_restored => TokenFileOrigin::Restored,
        Some(LastChange {
            value,
            origin: origin @ TokenFileOrigin::Set { .. },
        }) if value == change.before => origin,
        _ => TokenFileOrigin::Set {
            former: change.before,
        },
    };
    LastChange {
        value: change.after,
        origin,
    }
}
