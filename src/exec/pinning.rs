//! Which file a tool is, opened once; and whether the policy has it run.

use super::executor::Executor;
use super::find_tool::{ExplicitPath, ResolvedTool, locate_tool};
use super::program::Program;
use super::sync::lock_mutex;
use crate::error::{Error, Result};
use crate::policy::{ActivePolicy, ToolPin};
use crate::tool::{self, Tool, ToolName};
use std::path::Path;
use std::sync::Arc;

impl Executor {
    /// Finds a tool and opens its file: nothing else is executed for it in this run, and that only where the policy has
    /// it run. Where it has nothing but pinned tools run, or this one pinned, the file is hashed and compared here.
    ///
    /// # Errors
    /// [`crate::error::Kind::Failed`] where there is none or it cannot be read, [`crate::error::Kind::Refused`] where
    /// the command line names another than a locked policy.
    pub fn resolve_tool(&self, name: ToolName, named: Option<&Path>) -> Result<ResolvedTool> {
        let named = self.find_explicit_path(name, named)?;
        let mut found = locate_tool(name, named.as_ref(), self.environment.var("PATH"))?;
        let program =
            Program::open(&found.tool.path).map_err(|error| hash_error(&found.tool, error))?;
        found.indirection = find_indirection(&found.tool, &program);
        if let Some(policy) = self.policy().filter(|policy| policy.requires_pin(name)) {
            let sha256 = program
                .compute_sha256()
                .map_err(|error| hash_error(&found.tool, error))?
                .to_string();
            found.refusal = check_pin(policy, &found, &sha256);
            found.tool.sha256 = Some(sha256);
        }
        if found.refusal.is_none() {
            lock_mutex(&self.programs).insert(found.tool.path.clone(), Arc::new(program));
        }
        Ok(found)
    }

    /// The file that is named for a tool, by the command line or else by the policy.
    fn find_explicit_path(
        &self,
        name: ToolName,
        flag: Option<&Path>,
    ) -> Result<Option<ExplicitPath>> {
        let tool = name.as_str();
        let by_flag = flag.map(|path| ExplicitPath {
            path: self.environment.cwd.join(path),
            hint: format!("name the file itself: --{tool} PATH"),
        });
        let Some(policy) = self.policy() else {
            return Ok(by_flag);
        };
        let file = policy.file.display();
        let by_policy = policy
            .policy
            .tools
            .pin(name)
            .path
            .clone()
            .map(|path| ExplicitPath {
                path,
                hint: format!("it is `path` in [tools.{tool}] of the policy `{file}`"),
            });
        match (by_flag, by_policy) {
            (Some(flag), Some(place)) if policy.policy.locked && flag.path != place.path => {
                Err(Error::refusal(format!(
                    "--{tool} {} is not the one of the policy `{file}`, which is locked: {}",
                    flag.path.display(),
                    place.path.display()
                ))
                .hint("leave the flag out"))
            }
            (flag, place) => Ok(flag.or(place)),
        }
    }

    /// SHA-256 of the file that is executed for a tool.
    ///
    /// # Errors
    /// [`crate::error::Kind::Failed`] where it cannot be read.
    pub fn compute_tool_digest(&self, tool: &Tool) -> Result<String> {
        match &tool.sha256 {
            Some(sha256) => Ok(sha256.clone()),
            None => self
                .get_program(tool)?
                .compute_sha256()
                .map(|sha256| sha256.to_string())
                .map_err(|error| hash_error(tool, error)),
        }
    }

    /// The file that is executed for a tool.
    pub(super) fn get_program(&self, tool: &Tool) -> Result<Arc<Program>> {
        let program = lock_mutex(&self.programs).get(&tool.path).cloned();
        program.ok_or_else(|| {
            Error::failure(format!(
                "`{}` was not looked at before it was to run",
                tool.path.display()
            ))
            .into_internal_bug()
        })
    }

    /// The same right before it runs.
    pub(super) fn get_unchanged_program(&self, tool: &Tool) -> Result<Arc<Program>> {
        let program = self.get_program(tool)?;
        if program.is_unchanged() {
            return Ok(program);
        }
        Err(executable_changed_error(tool))
    }

    /// Whether the policy says which file or version a tool has to be.
    #[must_use]
    pub fn is_constrained_by_policy(&self, name: ToolName) -> bool {
        self.policy().is_some_and(|policy| {
            policy.requires_pin(name) || *policy.policy.tools.pin(name) != ToolPin::default()
        })
    }

    /// The policy in force.
    #[must_use]
    pub fn policy(&self) -> Option<&ActivePolicy> {
        self.policy.as_ref()
    }
}

/// Why a tool that has to be a pinned one is none.
fn check_pin(policy: &ActivePolicy, found: &ResolvedTool, sha256: &str) -> Option<Error> {
    let tool = &found.tool;
    let (name, path, file) = (
        tool.name.as_str(),
        tool.path.display(),
        policy.file.display(),
    );
    let pin = policy.policy.tools.pin(tool.name);
    if !pin.is_pinned() {
        let what =
            format!("{name} is not pinned, and the policy `{file}` has none run that is not");
        return Some(Error::refusal(what).hint("`bypassctl tools pin` prints what to put there"));
    }
    if !pin.sha256.iter().any(|pinned| pinned == sha256) {
        let of_policy = pin.sha256.join(", ");
        let what = format!(
            "`{path}` is not the {name} that is pinned: its SHA-256 is {sha256}, and the policy `{file}` has {of_policy}"
        );
        return Some(Error::refusal(what).hint(
            "find out why it is another; if that is meant to be, `bypassctl tools pin` prints what to put there",
        ));
    }
    let what = found.indirection.as_ref()?;
    Some(
        Error::refusal(format!("`{path}` is pinned, but {what}, which is not")).hint(format!(
            "pin the {name} that runs in the end: `path` in [tools.{name}], or --{name} PATH"
        )),
    )
}

fn find_indirection(tool: &Tool, program: &Program) -> Option<String> {
    if program.is_script() {
        return Some("it is a script: what runs is its interpreter and what it starts".to_owned());
    }
    let launcher = tool::detect_launcher(&tool.path)?;
    Some(format!("`{launcher}` starts another program for it"))
}

/// A tool's file that is not any more what was hashed.
pub(super) fn executable_changed_error(tool: &Tool) -> Error {
    let path = tool.path.display();
    Error::refusal(format!(
        "`{path}` was overwritten since it was looked at: it is another program now"
    ))
    .hint("find out who did that; run again once it is the right one")
}

fn hash_error(tool: &Tool, error: std::io::Error) -> Error {
    Error::failure(format!(
        "`{}` cannot be hashed: {error}",
        tool.path.display()
    ))
    .caused_by(error)
    .hint("the record needs its digest: it must be readable, and no program is larger than 1 GiB")
}
