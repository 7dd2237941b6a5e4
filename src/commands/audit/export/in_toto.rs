//! Statements of each result, the bytes to sign, and envelopes with signatures made elsewhere.

use super::Runs;
use crate::audit::{LogFile, Statement, build_statements};
use crate::commands::audit::verify;
use crate::error::{Error, Result};
use crate::exec::ExportDirectory;
use crate::ui::{ExportedFiles, Ui};
use std::io;

/// A signature is some hundred bytes, a statement some thousand; more is another file.
const MAX_ATTESTATION_FILE: u64 = 1 << 20;

pub(super) fn write_statements(
    logs: &[LogFile],
    runs: &Runs,
    directory: &ExportDirectory,
    keyid: Option<&str>,
    ui: &Ui,
) -> Result<()> {
    // Nobody should sign for a record that does not hold.
    verify::ensure_intact(logs)?;
    let add = |name: &str, bytes: &[u8]| {
        directory
            .add_file(name, bytes)
            .map_err(|error| export_error(directory, name, &error))
    };
    let mut written = Vec::new();
    let mut unsigned = 0;
    for (run, records) in runs {
        let log = records
            .first()
            .map_or("", |record| record.log.get(..8).unwrap_or(&record.log));
        for statement in build_statements(run, records) {
            let name = format!("{log}-{:06}", statement.seq);
            match keyid {
                None => {
                    add(&format!("{name}.statement.json"), &statement.bytes)?;
                    add(&format!("{name}.pae"), &statement.to_signing_input())?;
                    written.push(format!("{name}.pae"));
                }
                Some(keyid) => match read_signature(directory, &name, &statement)? {
                    Some(signature) => {
                        add(
                            &format!("{name}.dsse.json"),
                            &statement.to_envelope(keyid, &signature),
                        )?;
                        written.push(format!("{name}.dsse.json"));
                    }
                    None => unsigned += 1,
                },
            }
        }
    }
    directory
        .sync_directory()
        .map_err(|error| export_error(directory, ".", &error))?;
    let what = if keyid.is_some() {
        "envelopes"
    } else {
        "statements, each with the bytes to sign (.pae)"
    };
    ui.print_lines(&format!(
        "{} {what}, in {}",
        written.len(),
        directory.path().display()
    ));
    let exported = ExportedFiles {
        directory: directory.path().display().to_string(),
        files: written,
    };
    ui.update_fields(|fields| fields.exported = Some(exported));
    if unsigned > 0 {
        return Err(Error::failure(format!(
            "{unsigned} statements have no signature in `{}`",
            directory.path().display()
        ))
        .hint("sign each NAME.pae there into NAME.sig, and run this again"));
    }
    Ok(())
}

/// The signature of a statement; `None` where there is none. What was signed must be what the record says now.
fn read_signature(
    directory: &ExportDirectory,
    name: &str,
    statement: &Statement,
) -> Result<Option<Vec<u8>>> {
    let get = |name: &str| {
        directory
            .read_file(name, MAX_ATTESTATION_FILE)
            .map_err(|error| export_error(directory, name, &error))
    };
    match get(&format!("{name}.pae"))? {
        Some(signed) if signed == statement.to_signing_input() => {}
        Some(_) => {
            return Err(
                Error::failure(format!("`{name}.pae` was not made from this record"))
                    .hint("export the statements anew into an empty directory, and sign those"),
            );
        }
        None => return Ok(None),
    }
    Ok(get(&format!("{name}.sig"))?.filter(|signature| !signature.is_empty()))
}

fn export_error(directory: &ExportDirectory, name: &str, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::AlreadyExists => "nothing is overwritten: name an empty directory",
        _ => "name another directory",
    };
    Error::failure(format!(
        "`{}`: {error}",
        directory.path().join(name).display()
    ))
    .hint(hint)
}
