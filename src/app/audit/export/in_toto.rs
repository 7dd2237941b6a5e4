//! Statements of each result, the bytes to sign, and envelopes with signatures made elsewhere.

use super::Runs;
use crate::app::audit::verify;
use crate::audit::{Source, Statement, statements};
use crate::error::{Error, Result};
use crate::exec::ExportDirectory;
use crate::ui::{Exported, Ui};
use std::io;

/// A signature is some hundred bytes, a statement some thousand; more is another file.
const MAX_SIZE: u64 = 1 << 20;

pub(super) fn write(
    logs: &[Source],
    runs: &Runs,
    directory: &ExportDirectory,
    keyid: Option<&str>,
    ui: &Ui,
) -> Result<()> {
    // Nobody should sign for a record that does not hold.
    verify::must_hold(logs)?;
    let add = |name: &str, bytes: &[u8]| {
        directory
            .add(name, bytes)
            .map_err(|error| unusable(directory, name, &error))
    };
    let mut written = Vec::new();
    let mut unsigned = 0;
    for (run, records) in runs {
        let log = records
            .first()
            .map_or("", |record| record.log.get(..8).unwrap_or(&record.log));
        for statement in statements(run, records) {
            let name = format!("{log}-{:06}", statement.seq);
            match keyid {
                None => {
                    add(&format!("{name}.statement.json"), &statement.bytes)?;
                    add(&format!("{name}.pae"), &statement.to_be_signed())?;
                    written.push(format!("{name}.pae"));
                }
                Some(keyid) => match signature(directory, &name, &statement)? {
                    Some(signature) => {
                        add(
                            &format!("{name}.dsse.json"),
                            &statement.envelope(keyid, &signature),
                        )?;
                        written.push(format!("{name}.dsse.json"));
                    }
                    None => unsigned += 1,
                },
            }
        }
    }
    directory
        .sync()
        .map_err(|error| unusable(directory, ".", &error))?;
    let what = if keyid.is_some() {
        "envelopes"
    } else {
        "statements, each with the bytes to sign (.pae)"
    };
    ui.say(&format!(
        "{} {what}, in {}",
        written.len(),
        directory.path().display()
    ));
    let exported = Exported {
        directory: directory.path().display().to_string(),
        files: written,
    };
    ui.fields(|fields| fields.exported = Some(exported));
    if unsigned > 0 {
        return Err(Error::failed(format!(
            "{unsigned} statements have no signature in `{}`",
            directory.path().display()
        ))
        .hint("sign each NAME.pae there into NAME.sig, and run this again"));
    }
    Ok(())
}

/// The signature of a statement; `None` where there is none. What was signed must be what the record says now.
fn signature(
    directory: &ExportDirectory,
    name: &str,
    statement: &Statement,
) -> Result<Option<Vec<u8>>> {
    let get = |name: &str| {
        directory
            .get(name, MAX_SIZE)
            .map_err(|error| unusable(directory, name, &error))
    };
    match get(&format!("{name}.pae"))? {
        Some(signed) if signed == statement.to_be_signed() => {}
        Some(_) => {
            return Err(
                Error::failed(format!("`{name}.pae` was not made from this record"))
                    .hint("export the statements anew into an empty directory, and sign those"),
            );
        }
        None => return Ok(None),
    }
    Ok(get(&format!("{name}.sig"))?.filter(|signature| !signature.is_empty()))
}

fn unusable(directory: &ExportDirectory, name: &str, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::AlreadyExists => "nothing is overwritten: name an empty directory",
        _ => "name another directory",
    };
    Error::failed(format!(
        "`{}`: {error}",
        directory.path().join(name).display()
    ))
    .hint(hint)
}
