//! Which file a tool is, what its digest is, and who could replace it.

use super::writers::find_writers;
use crate::error::{Error, Result};
use crate::tool::{Tool, ToolName};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A tool as found, and what about the way to it deserves a warning.
pub struct ResolvedTool {
    /// The tool, neither hashed nor asked for its version yet.
    pub tool: Tool,
    /// Who else could put another file there.
    pub warnings: Vec<String>,
    /// Why it is not this file alone that runs, as far as the file shows it.
    pub indirection: Option<String>,
    /// Why the policy does not have it run.
    pub refusal: Option<Error>,
}

/// Finds a tool: the file that is named, or the first in PATH.
///
/// # Errors
/// [`crate::error::Kind::Failed`] when there is none, or it is no executable file. Empty and relative entries of PATH are passed over: what they
/// mean depends on the current directory.
pub(super) fn locate_tool(
    name: ToolName,
    named: Option<&ExplicitPath>,
    path: Option<&OsStr>,
) -> Result<ResolvedTool> {
    let found = match named {
        Some(named) => check_explicit_path(named)?,
        None => search_path(name, path.unwrap_or_default())?,
    };
    let real = found.canonicalize().map_err(|error| {
        Error::failure(format!("`{}` cannot be resolved: {error}", found.display()))
            .caused_by(error)
            .hint("look at each directory and symlink on the way to it")
    })?;
    // Whoever can write to a directory that is searched before can put another tool in front.
    let searched = match named {
        Some(_) => Vec::new(),
        None => list_earlier_directories(path.unwrap_or_default(), &found),
    };
    let ways = searched
        .into_iter()
        .chain([found.clone()])
        .filter_map(|way| describe_untrusted_writers(&way));
    let warnings: BTreeSet<String> = ways.collect();
    let tool = Tool {
        name,
        path: real,
        found_at: found,
        sha256: None,
        version: None,
    };
    let warnings = warnings.into_iter().collect();
    Ok(ResolvedTool {
        tool,
        warnings,
        indirection: None,
        refusal: None,
    })
}

/// A file that is named for a tool.
pub(super) struct ExplicitPath {
    /// Absolute.
    pub(super) path: PathBuf,
    /// How another is named.
    pub(super) hint: String,
}

fn check_explicit_path(named: &ExplicitPath) -> Result<PathBuf> {
    let path = &named.path;
    let meta = std::fs::metadata(path).map_err(|error| {
        Error::failure(format!("`{}` is not there: {error}", path.display()))
            .caused_by(error)
            .hint(&named.hint)
    })?;
    if !meta.is_file() {
        return Err(
            Error::failure(format!("`{}` is not a file", path.display())).hint(&named.hint),
        );
    }
    if rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_err() {
        return Err(
            Error::failure(format!("`{}` is not executable", path.display()))
                .hint(format!("chmod +x '{}'", path.display())),
        );
    }
    Ok(path.to_owned())
}

fn search_path(name: ToolName, path: &OsStr) -> Result<PathBuf> {
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
        Error::failure(format!("`{}` is not in PATH{passed_over}", name.as_str()))
            .hint(format!("install it, or name it: --{} PATH", name.as_str()))
    })
}

fn list_earlier_directories(path: &OsStr, found: &Path) -> Vec<PathBuf> {
    let absolute = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    absolute
        .take_while(|entry| Some(entry.as_path()) != found.parent())
        .collect()
}

/// Who, besides root and who runs this, decides what is found there.
fn describe_untrusted_writers(path: &Path) -> Option<String> {
    let others: Vec<String> = find_writers(path)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
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
