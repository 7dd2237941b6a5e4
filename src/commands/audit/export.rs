//! `audit export`: the record in another form.

mod in_toto;
mod page;
mod script;

use super::{CommandResult, read_each, select_run, verify};
use crate::audit::{LogFile, Record, read_records};
use crate::cli::{AuditExportArgs, ExportFormat};
use crate::error::{Error, Result};
use crate::exec::{Environment, ExportDirectory};
use crate::ui::Ui;

/// Runs by name, each with its records.
type Runs = [(String, Vec<Record>)];

pub(super) fn run(
    logs: &[LogFile],
    args: &AuditExportArgs,
    environment: &Environment,
    ui: &Ui,
) -> CommandResult {
    if args.directory.is_some() && args.format != ExportFormat::InToto {
        return Err(
            Error::usage("--directory is for --format in-toto").hint("the other forms are printed")
        );
    }
    let wanted = args.run.as_deref();
    let all = read_each(logs, |log| read_records(log, wanted.unwrap_or_default()))?;
    let runs = select_runs(&all, wanted)?;
    match args.format {
        ExportFormat::Script => {
            let script = script::render_audit_script(runs, verify::warn_if_broken(logs, ui)?);
            ui.print_document(&script);
            ui.update_fields(|fields| fields.script = Some(script));
        }
        ExportFormat::Html => {
            let page = page::render_html(logs, runs)?;
            ui.print_document(&page);
            ui.update_fields(|fields| fields.html = Some(page));
        }
        ExportFormat::InToto => {
            let directory = args.directory.as_ref().ok_or_else(|| {
                Error::usage("no directory is named").hint("name it: --directory DIR")
            })?;
            let directory = ExportDirectory::new(environment.cwd.join(directory));
            in_toto::write_statements(
                logs,
                runs,
                &directory,
                args.attach_signature.as_deref(),
                ui,
            )?;
        }
    }
    Ok(None)
}

fn select_runs<'a>(all: &'a Runs, wanted: Option<&str>) -> Result<&'a Runs> {
    match wanted {
        Some(wanted) => Ok(std::slice::from_ref(select_run(all, wanted)?)),
        None if all.is_empty() => Err(Error::failure("there is no run on record")
            .hint("it has one after the first run of any command but `audit`")),
        None => Ok(all),
    }
}
