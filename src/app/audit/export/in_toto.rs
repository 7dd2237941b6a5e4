//! Statements of each result, the bytes to sign, and envelopes with signatures made elsewhere.

use super::Runs;
use crate::app::audit::verify;
use crate::audit::{Statement, statements};
use crate::error::{Error, Result};
use crate::exec;
use crate::ui::Ui;
use std::io;
use std::path::{Path, PathBuf};

/// A signature is some hundred bytes; more is another file.
const MAX_SIGNATURE: u64 = 64 << 10;

pub(super) fn write(logs: &[PathBuf], runs: &Runs, directory: &Path, keyid: Option<&str>, ui: &Ui) -> Result<()> {
    // Nobody should sign for a record that does not hold.
    verify::must_hold(logs)?;
    let mut written = Vec::new();
    let mut unsigned = 0;
    for (run, records) in runs {
        let log = records.first().map_or("", |record| record.log.get(..8).unwrap_or(&record.log));
        for statement in statements(run, records) {
            let path = |end: &str| directory.join(format!("{log}-{:06}.{end}", statement.seq));
            match keyid {
                None => {
                    add(&path("statement.json"), &statement.bytes)?;
                    add(&path("pae"), &statement.to_be_signed())?;
                    written.push(path("pae"));
                }
                Some(keyid) => match signature(&path("pae"), &path("sig"), &statement)? {
                    Some(signature) => {
                        add(&path("dsse.json"), &statement.envelope(keyid, &signature))?;
                        written.push(path("dsse.json"));
                    }
                    None => unsigned += 1,
                },
            }
        }
    }
    let what = if keyid.is_some() { "envelopes" } else { "statements, each with the bytes to sign (.pae)" };
    ui.say(&format!("{} {what}, in {}", written.len(), directory.display()));
    ui.field("exported", &written);
    if unsigned > 0 {
        return Err(Error::failed(format!("{unsigned} statements have no signature in `{}`", directory.display()))
            .hint("sign each NAME.pae there into NAME.sig, and run this again"));
    }
    Ok(())
}

/// The signature of a statement; `None` where there is none. What was signed must be what the record says now.
fn signature(pae: &Path, sig: &Path, statement: &Statement) -> Result<Option<Vec<u8>>> {
    let read = |path: &Path, max| exec::read(path, max).map_err(|error| unusable(path, &error));
    let to_be_signed = statement.to_be_signed();
    match read(pae, to_be_signed.len() as u64)? {
        Some(signed) if *signed.bytes == to_be_signed => {}
        Some(_) => {
            return Err(Error::failed(format!("`{}` was not made from this record", pae.display()))
                .hint("export the statements anew into an empty directory, and sign those"));
        }
        None => return Ok(None),
    }
    Ok(read(sig, MAX_SIGNATURE)?.map(|signature| signature.bytes.to_vec()))
}

fn add(path: &Path, bytes: &[u8]) -> Result<()> {
    exec::add(path, bytes).map_err(|error| unusable(path, &error))
}

fn unusable(path: &Path, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::AlreadyExists => "nothing is overwritten: name an empty directory",
        _ => "name another directory",
    };
    Error::failed(format!("`{}`: {error}", path.display())).hint(hint)
}
