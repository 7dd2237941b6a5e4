//! Finds the file of a tool and who could replace it.

use super::writers::find_writers;
use crate::error::{Error, Result};
use crate::tool::{Tool, ToolName};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A tool as it was found.
pub struct ResolvedTool {
    /// The tool, without a version yet.
    pub tool: Tool,
    /// One for each path that untrusted users can write to.
    pub warnings: Vec<String>,
    /// Why another program runs as well (a script, a launcher).
    pub indirection: Option<String>,
    /// Why the policy refuses it.
    pub refusal: Option<Error>,
}

/// Finds a tool: the explicit path, or the first file in PATH. Ignores empty and relative entries
/// of PATH, since they depend on the current directory.
pub(super) fn locate_tool(
    name: ToolName,
    explicit: Option<&ExplicitPath>,
    path: Option<&OsStr>,
) -> Result<ResolvedTool> {
    let found = match explicit {
        Some(explicit) => check_explicit_path(explicit)?,
        None => search_path(name.as_str(), name, path.unwrap_or_default())?,
    };
    // A file in an earlier directory of PATH would take precedence.
    let searched = match explicit {
        Some(_) => Vec::new(),
        None => list_earlier_directories(path.unwrap_or_default(), &found),
    };
    describe_tool(name, found, searched)
}

/// Finds the program of a delivery: a path, or a name in PATH.
pub(super) fn locate_delivery_program(
    word: &str,
    cwd: &Path,
    path: Option<&OsStr>,
) -> Result<ResolvedTool> {
    let name = ToolName::Delivery;
    if word.contains('/') {
        let explicit = ExplicitPath {
            path: cwd.join(word),
            hint: name.path_hint(),
        };
        return describe_tool(name, check_explicit_path(&explicit)?, Vec::new());
    }
    let found = search_path(word, name, path.unwrap_or_default())?;
    let searched = list_earlier_directories(path.unwrap_or_default(), &found);
    describe_tool(name, found, searched)
}

/// Resolves the symlinks of a tool, and finds out who can replace it. `searched` are the earlier
/// directories of PATH.
fn describe_tool(name: ToolName, found: PathBuf, searched: Vec<PathBuf>) -> Result<ResolvedTool> {
    let real = found.canonicalize().map_err(|error| {
        Error::failure(format!("cannot resolve `{}`: {error}", found.display()))
            .with_source(error)
            .hint("check each directory and symlink of this path")
    })?;
    let warnings: BTreeSet<String> = searched
        .into_iter()
        .chain([found.clone()])
        .filter_map(|path| describe_untrusted_writers(&path))
        .collect();
    let tool = Tool {
        name,
        path: real,
        found_at: found,
        sha256: None,
        version: None,
        kuberc: None,
    };
    let warnings = warnings.into_iter().collect();
    Ok(ResolvedTool {
        tool,
        warnings,
        indirection: None,
        refusal: None,
    })
}

/// A path from the command line or the policy.
pub(super) struct ExplicitPath {
    /// An absolute path.
    pub(super) path: PathBuf,
    /// The hint of an error about this path.
    pub(super) hint: String,
}

fn check_explicit_path(explicit: &ExplicitPath) -> Result<PathBuf> {
    let path = &explicit.path;
    let meta = std::fs::metadata(path).map_err(|error| {
        Error::failure(format!("cannot find `{}`: {error}", path.display()))
            .with_source(error)
            .hint(&explicit.hint)
    })?;
    if !meta.is_file() {
        return Err(
            Error::failure(format!("`{}` is not a file", path.display())).hint(&explicit.hint),
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

fn search_path(program: &str, name: ToolName, path: &OsStr) -> Result<PathBuf> {
    let (absolute, relative): (Vec<PathBuf>, Vec<PathBuf>) =
        std::env::split_paths(path).partition(|entry| entry.is_absolute());
    let absolute = std::env::join_paths(absolute).unwrap_or_default();
    // The current directory, `/`, only matters for relative entries.
    which::which_in(program, Some(absolute), "/").map_err(|_| {
        let ignored = if relative.is_empty() {
            String::new()
        } else {
            " (empty and relative entries are ignored)".to_owned()
        };
        Error::failure(format!("`{program}` is not in PATH{ignored}"))
            .hint(format!("install it, or {}", name.path_hint()))
    })
}

fn list_earlier_directories(path: &OsStr, found: &Path) -> Vec<PathBuf> {
    let absolute = std::env::split_paths(path).filter(|entry| entry.is_absolute());
    absolute
        .take_while(|entry| Some(entry.as_path()) != found.parent())
        .collect()
}

/// Names the users, other than root and the current one, who can replace the file at `path`.
fn describe_untrusted_writers(path: &Path) -> Option<String> {
    let others: Vec<String> = find_writers(path)
        .into_iter()
        .filter(|writer| writer.is_untrusted())
        .map(|writer| writer.to_string())
        .collect();
    (!others.is_empty()).then(|| {
        format!(
            "others can replace the program `{}`: {}",
            path.display(),
            others.join(", ")
        )
    })
}
