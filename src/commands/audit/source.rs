//! The audit log's files, as the `audit` commands read them.

use crate::audit::{LogFile, RunEntry, UnsupportedFormat, open_segments, sort_by_chain};
use crate::cli::CommonArgs;
use crate::error::{Error, Result};
use crate::exec::Environment;
use crate::session::paths;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A run ID and the entries of that run.
pub(super) type RunEntries = (String, Vec<RunEntry>);

/// The hint for a log without entries or runs.
pub(super) const NO_RUN_HINT: &str =
    "pass the right file: every command except `audit` records a run";

/// Opens the named files, or all segments of the default log, oldest first.
pub(super) fn open_logs(
    files: &[PathBuf],
    common: &CommonArgs,
    environment: &Environment,
) -> Result<Vec<LogFile>> {
    if files.is_empty() {
        let log = paths::audit_log_path(common, environment)?;
        return open_segments(&log).map_err(|error| log_read_error(&log, &error));
    }
    let mut logs: Vec<LogFile> = Vec::new();
    for file in files {
        let path = environment.cwd.join(file);
        let log = LogFile::open(&path).map_err(|error| log_read_error(&path, &error))?;
        if logs.iter().any(|other| other.is_same_file(&log)) {
            return Err(Error::usage(format!("`{}` is given twice", path.display()))
                .hint("pass each file once"));
        }
        logs.push(log);
    }
    Ok(sort_by_chain(logs))
}

/// Applies `read` to each file and concatenates the results.
pub(super) fn read_each<T>(
    logs: &[LogFile],
    read: impl Fn(&mut dyn BufRead) -> io::Result<Vec<T>>,
) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for log in logs {
        let items = log
            .reader()
            .and_then(|file| read(&mut BufReader::new(file)))
            .map_err(|error| log_read_error(&log.path, &error))?;
        all.extend(items);
    }
    Ok(all)
}

pub(super) fn log_read_error(path: &Path, error: &io::Error) -> Error {
    Error::failure(format!(
        "cannot read the audit log `{}`: {error}",
        path.display()
    ))
    .hint(if UnsupportedFormat::is_cause_of(error) {
        "read it with the version of bypassctl that wrote it"
    } else {
        "pass the file: `bypassctl audit … FILE` or `--audit-log FILE`"
    })
}

/// Returns the only run of `runs`, or an error. All run IDs start with `prefix`.
pub(super) fn select_run<'a>(runs: &'a [RunEntries], prefix: &str) -> Result<&'a RunEntries> {
    let message = match runs {
        [run] => return Ok(run),
        [] => format!("no run ID starts with `{prefix}`"),
        _ => format!("{} run IDs start with `{prefix}`", runs.len()),
    };
    Err(Error::failure(message).hint("run `bypassctl audit list` to see the run IDs"))
}
