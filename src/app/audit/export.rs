//! `audit export`: the record in another form.

mod in_toto;
mod page;
mod script;

use super::{Outcome, of_each, only_run, verify};
use crate::audit::{Record, Source, records};
use crate::cli::{AuditExport, ExportAs};
use crate::error::{Error, Result};
use crate::exec::{ExportDirectory, Surroundings};
use crate::ui::Ui;

/// Runs by name, each with its records.
type Runs = [(String, Vec<Record>)];

pub(super) fn run(
    logs: &[Source],
    args: &AuditExport,
    surroundings: &Surroundings,
    ui: &Ui,
) -> Outcome {
    if args.directory.is_some() && args.format != ExportAs::InToto {
        return Err(
            Error::usage("--directory is for --format in-toto").hint("the other forms are printed")
        );
    }
    let wanted = args.run.as_deref();
    let all = of_each(logs, |log| records(log, wanted.unwrap_or_default()))?;
    let runs = chosen(&all, wanted)?;
    match args.format {
        ExportAs::Script => {
            let script = script::of(runs, verify::warn(logs, ui)?);
            ui.document(&script);
            ui.fields(|fields| fields.script = Some(script));
        }
        ExportAs::Html => {
            let page = page::of(logs, runs)?;
            ui.document(&page);
            ui.fields(|fields| fields.page = Some(page));
        }
        ExportAs::InToto => {
            let directory = args.directory.as_ref().ok_or_else(|| {
                Error::usage("no directory is named").hint("name it: --directory DIR")
            })?;
            let directory = ExportDirectory::new(surroundings.cwd.join(directory));
            in_toto::write(logs, runs, &directory, args.attach_signature.as_deref(), ui)?;
        }
    }
    Ok(None)
}

fn chosen<'a>(all: &'a Runs, wanted: Option<&str>) -> Result<&'a Runs> {
    match wanted {
        Some(wanted) => Ok(std::slice::from_ref(only_run(all, wanted)?)),
        None if all.is_empty() => Err(Error::failed("there is no run on record")
            .hint("it has one after the first run of any command but `audit`")),
        None => Ok(all),
    }
}
