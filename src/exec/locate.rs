//! Which file a tool is, what its digest is, and who could replace it.

use super::writers::writers;
use crate::error::{Error, Result};
use crate::tool::{Tool, ToolName};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A tool as found, and what about the way to it deserves a warning.
pub struct Found {
    /// The tool, neither hashed nor asked for its version yet.
    pub tool: Tool,
    /// Who else could put another file there.
    pub warnings: Vec<String>,
    /// Why it is not this file alone that runs, as far as the file shows it.
    pub starts_another: Option<String>,
    /// Why the policy does not have it run.
    pub refused: Option<Error>,
}

/// Finds a tool: the file that is named, or the first in PATH.
///
/// # Errors
/// [`crate::error::Kind::Failed`] when there is none, or it is no executable file. Empty and relative entries of PATH are passed over: what they
/// mean depends on the current directory.
pub(super) fn locate(name: ToolName, named: Option<&Named>, path: Option<&OsStr>) -> Result<Found> {
    let found = match named {
        Some(named) => explicit(named)?,
        None => in_path(name, path.unwrap_or_default())?,
    };
    let real = found.canonicalize().map_err(|error| {
        Error::failed(format!("`{}` cannot be resolved: {error}", found.display()))
            .hint("look at each directory and symlink on the way to it")
    })?;
    // Whoever can write to a directory that is searched before can put another tool in front.
    let searched = match named {
        Some(_) => Vec::new(),
        None => searched_before(path.unwrap_or_default(), &found),
    };
    let ways = searched
        .into_iter()
        .chain([found.clone()])
        .filter_map(|way| in_other_hands(&way));
    let warnings: BTreeSet<String> = ways.collect();
    let tool = Tool {
        name,
        path: real,
        found,
        sha256: None,
        version: None,
    };
    let warnings = warnings.into_iter().collect();
    Ok(Found {
        tool,
        warnings,
        starts_another: None,
        refused: None,
    })
}

/// A file that is named for a tool.
pub(super) struct Named {
    /// Absolute.
    pub(super) path: PathBuf,
    /// How another is named.
    pub(super) hint: String,
}

fn explicit(named: &Named) -> Result<PathBuf> {
    let path = &named.path;
    let meta = std::fs::metadata(path).map_err(|error| {
        Error::failed(format!("`{}` is not there: {error}", path.display())).hint(&named.hint)
    })?;
    if !meta.is_file() {
        return Err(Error::failed(format!("`{}` is not a file", path.display())).hint(&named.hint));
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Err(
            Error::failed(format!("`{}` is not executable", path.display()))
                .hint(format!("chmod +x '{}'", path.display())),
        );
    }
    Ok(path.to_owned())
}

fn in_path(name: ToolName, path: &OsStr) -> Result<PathBuf> {
    let (absolute, relative): (Vec<PathBuf>, Vec<PathBuf>) =
        std::env::split_paths(path).partition(|entry| entry.is_absolute());
    let absolute = std::env::join_paths(absolute).unwrap_or_default();
    // The second argument only serves relative entries, of which there are none left.
    which::which_in(name.as_str(), Some(absolute), "/").map_err(|_| {
        let passed_over = if relative.is_empty() {
            String::new()
        } else {
            " (empty and relative entries are passed over)".to_owned()
        };
        Error::failed(format!("`{}` is not in PATH{passed_over}", name.as_str()))
            .hint(format!("install it, or name it: --{} PATH", name.as_str()))
    })
}

fn searched_before(path: &OsStr, found: &Path) -> Vec<PathBuf> {
    let absolute = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    absolute
        .take_while(|entry| Some(entry.as_path()) != found.parent())
        .collect()
}

/// Who, besides root and who runs this, decides what is found there.
fn in_other_hands(path: &Path) -> Option<String> {
    let others: Vec<String> = writers(path)
        .into_iter()
        .filter(|writer| writer.is_another())
        .map(|w| w.to_string())
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "others decide what runs by way of `{}`: {}",
            path.display(),
            others.join(", ")
        )
    })
}
