//! Writes in-toto statements, their signing input, and envelopes with signatures of the site.

use crate::audit::{Statement, build_statements};
use crate::commands::audit::describe::format_count;
use crate::commands::audit::source::RunEntries;
use crate::error::{Error, Result};
use crate::exec::ExportDirectory;
use crate::ui::{ExportedFiles, Ui};
use std::io;

/// In bytes. A signature has hundreds, a statement thousands.
const MAX_ATTESTATION_FILE: u64 = 1 << 20;

/// Writes the statements of all results. With `keyid`, writes their signed envelopes instead.
pub(super) fn write_statements(
    runs: &[RunEntries],
    directory: &ExportDirectory,
    keyid: Option<&str>,
    ui: &Ui,
) -> Result<()> {
    let add = |name: &str, bytes: &[u8]| {
        directory
            .add_file(name, bytes)
            .map_err(|error| export_error(directory, name, &error))
    };
    let mut written = Vec::new();
    let mut unsigned_count = 0;
    for (run, entries) in runs {
        let log = entries
            .first()
            .map_or("", |entry| entry.log.get(..8).unwrap_or(&entry.log));
        for statement in build_statements(run, entries) {
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
                    None => unsigned_count += 1,
                },
            }
        }
    }
    directory
        .sync_directory()
        .map_err(|error| export_error(directory, ".", &error))?;
    let path = directory.path().display().to_string();
    let count = written.len() as u64;
    ui.print_lines(&if keyid.is_some() {
        let envelopes = format_count(count, "envelope", "envelopes");
        format!("wrote {envelopes} to {path}")
    } else {
        let statements = format_count(count, "statement", "statements");
        format!("wrote {statements} and the bytes to sign (.pae) to {path}")
    });
    let exported = ExportedFiles {
        directory: path.clone(),
        files: written,
    };
    ui.update_fields(|fields| fields.exported = Some(exported));
    if unsigned_count > 0 {
        return Err(Error::failure(format!(
            "unsigned statements in `{path}`: {unsigned_count} of {}",
            count + unsigned_count
        ))
        .hint("sign each NAME.pae into NAME.sig, then rerun this command"));
    }
    Ok(())
}

/// Returns the signature of a statement, or `None` while it is unsigned.
///
/// # Errors
/// When the signed bytes differ from the statement of the log, or a file is unreadable.
fn read_signature(
    directory: &ExportDirectory,
    name: &str,
    statement: &Statement,
) -> Result<Option<Vec<u8>>> {
    let read = |name: &str| {
        directory
            .read_file(name, MAX_ATTESTATION_FILE)
            .map_err(|error| export_error(directory, name, &error))
    };
    match read(&format!("{name}.pae"))? {
        Some(signed) if signed == statement.to_signing_input() => {}
        Some(_) => {
            return Err(
                Error::failure(format!("`{name}.pae` does not match the audit log"))
                    .hint("export the statements into an empty directory and sign those"),
            );
        }
        None => return Ok(None),
    }
    Ok(read(&format!("{name}.sig"))?.filter(|signature| !signature.is_empty()))
}

fn export_error(directory: &ExportDirectory, name: &str, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "create the directory first",
        io::ErrorKind::AlreadyExists => "the export overwrites no file: use an empty directory",
        _ => "use another directory",
    };
    Error::failure(format!(
        "cannot access `{}`: {error}",
        directory.path().join(name).display()
    ))
    .hint(hint)
}
