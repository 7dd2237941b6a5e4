//! `audit export`: converts the audit log to a script, an HTML page or in-toto statements.

mod html;
mod in_toto;
mod script;

use super::source::{NO_RUN_HINT, RunEntries, read_each, select_run};
use super::verify;
use crate::audit::{LogFile, read_entries};
use crate::cli::{AuditExportArgs, ExportFormat};
use crate::error::{CommandResult, Error, Result};
use crate::exec::{Environment, ExportDirectory};
use crate::ui::Ui;

pub(super) fn run(
    logs: &[LogFile],
    args: &AuditExportArgs,
    environment: &Environment,
    ui: &Ui,
) -> CommandResult {
    if args.directory.is_some() && args.format != ExportFormat::InToto {
        return Err(Error::usage("--directory needs --format in-toto")
            .hint("omit --directory: the other formats go to standard output"));
    }
    let id_prefix = args.run.as_deref();
    let all = read_each(logs, |log| read_entries(log, id_prefix.unwrap_or_default()))?;
    let runs = select_runs(&all, id_prefix)?;
    match args.format {
        ExportFormat::Script => {
            let script = script::render_audit_script(runs, verify::warn_unless_intact(logs, ui)?);
            ui.print_document(&script);
            ui.update_fields(|fields| fields.script = Some(script));
        }
        ExportFormat::Html => {
            let page = html::render_page(&verify::verify_logs(logs, None)?, runs);
            ui.print_document(&page);
            ui.update_fields(|fields| fields.html = Some(page));
        }
        ExportFormat::InToto => {
            let directory = args.directory.as_ref().ok_or_else(|| {
                Error::usage("missing --directory DIR").hint("create a directory and pass it")
            })?;
            // A signature must not vouch for a log that somebody edited.
            verify::ensure_intact(logs)?;
            let directory = ExportDirectory::new(environment.cwd.join(directory));
            in_toto::write_statements(runs, &directory, args.attach_signature.as_deref(), ui)?;
        }
    }
    Ok(None)
}

fn select_runs<'a>(all: &'a [RunEntries], id_prefix: Option<&str>) -> Result<&'a [RunEntries]> {
    match id_prefix {
        Some(prefix) => Ok(std::slice::from_ref(select_run(all, prefix)?)),
        None if all.is_empty() => {
            Err(Error::failure("the audit log has no runs").hint(NO_RUN_HINT))
        }
        None => Ok(all),
    }
}
