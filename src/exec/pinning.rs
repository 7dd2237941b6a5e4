//! Opens a tool's file once and checks it against the policy.

use super::executor::Executor;
use super::find_tool::{ExplicitPath, ResolvedTool, locate_delivery_program, locate_tool};
use super::program::Program;
use super::sync::lock_mutex;
use super::writers::Writer;
use crate::error::{Error, Result};
use crate::policy::{ActivePolicy, ToolPin};
use crate::tool::{self, Tool, ToolName};
use std::path::Path;
use std::sync::Arc;

impl Executor {
    /// Finds a tool and opens its file. This run executes no other file for it, and this one only
    /// if the policy allows it. Compares the digest where the policy requires a pin.
    ///
    /// # Errors
    /// [`ErrorKind::Failed`](crate::error::ErrorKind) where the tool cannot be found or read,
    /// `Refused` where the command line and a locked policy disagree.
    pub fn resolve_tool(&self, name: ToolName, path: Option<&Path>) -> Result<ResolvedTool> {
        let explicit = self.find_explicit_path(name, path)?;
        let found = locate_tool(name, explicit.as_ref(), self.environment.var("PATH"))?;
        self.open_tool(found)
    }

    /// Finds the program of a delivery, as [`Self::resolve_tool`] does.
    ///
    /// # Errors
    /// As [`Self::resolve_tool`].
    pub fn resolve_delivery_program(&self, word: &str) -> Result<ResolvedTool> {
        let path = self.environment.var("PATH");
        self.open_tool(locate_delivery_program(word, &self.environment.cwd, path)?)
    }

    fn open_tool(&self, mut found: ResolvedTool) -> Result<ResolvedTool> {
        let name = found.tool.name;
        let program =
            Program::open(&found.tool.path).map_err(|error| hash_error(&found.tool, error))?;
        found.indirection = find_indirection(&found.tool, &program);
        if let Some(policy) = self.policy().filter(|policy| policy.requires_pin(name)) {
            let sha256 = program
                .compute_sha256()
                .map_err(|error| hash_error(&found.tool, error))?
                .to_string();
            found.refusal =
                check_pin(policy, &found, &sha256).or_else(|| check_writers(&found.tool, &program));
            found.tool.sha256 = Some(sha256);
        }
        if found.refusal.is_none() {
            lock_mutex(&self.programs).insert(found.tool.path.clone(), Arc::new(program));
        }
        Ok(found)
    }

    /// Returns the path for a tool from the command line, or else from the policy.
    fn find_explicit_path(
        &self,
        name: ToolName,
        flag: Option<&Path>,
    ) -> Result<Option<ExplicitPath>> {
        let tool = name.as_str();
        let from_flag = flag.map(|path| ExplicitPath {
            path: self.environment.cwd.join(path),
            hint: format!("give the path of an executable file: --{tool} PATH"),
        });
        let Some(policy) = self.policy() else {
            return Ok(from_flag);
        };
        let file = policy.file.display();
        let from_policy = policy
            .rules
            .tools
            .pin(name)
            .path
            .clone()
            .map(|path| ExplicitPath {
                path,
                hint: format!("correct `path` in [tools.{tool}] of the policy `{file}`"),
            });
        match (from_flag, from_policy) {
            (Some(flag), Some(pin)) if policy.rules.locked && flag.path != pin.path => {
                Err(Error::refusal(format!(
                    "--{tool} {} differs from the locked policy `{file}`: {}",
                    flag.path.display(),
                    pin.path.display()
                ))
                .hint(format!("omit --{tool}")))
            }
            (flag, pin) => Ok(flag.or(pin)),
        }
    }

    /// Computes the SHA-256 of the file that is executed for a tool.
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

    /// Returns the opened file of a tool.
    pub(super) fn get_program(&self, tool: &Tool) -> Result<Arc<Program>> {
        let program = lock_mutex(&self.programs).get(&tool.path).cloned();
        program.ok_or_else(|| {
            Error::failure(format!(
                "`{}` was not opened before its first run",
                tool.path.display()
            ))
            .into_internal_bug()
        })
    }

    /// Like [`Self::get_program`], but fails where the file has changed since it was hashed.
    pub(super) fn get_unchanged_program(&self, tool: &Tool) -> Result<Arc<Program>> {
        let program = self.get_program(tool)?;
        if program.is_unchanged() {
            return Ok(program);
        }
        Err(executable_changed_error(tool))
    }

    /// Returns whether the policy requires a certain file or version of a tool.
    #[must_use]
    pub fn is_constrained_by_policy(&self, name: ToolName) -> bool {
        self.policy().is_some_and(|policy| {
            policy.requires_pin(name) || *policy.rules.tools.pin(name) != ToolPin::default()
        })
    }

    #[must_use]
    pub fn policy(&self) -> Option<&ActivePolicy> {
        self.policy.as_ref()
    }
}

/// Checks a tool against its pin and returns the refusal.
fn check_pin(policy: &ActivePolicy, found: &ResolvedTool, sha256: &str) -> Option<Error> {
    let tool = &found.tool;
    let (name, path, file) = (
        tool.name.as_str(),
        tool.path.display(),
        policy.file.display(),
    );
    let pin = policy.rules.tools.pin(tool.name);
    if !pin.is_pinned() {
        let message =
            format!("{name} is not pinned, and the policy `{file}` allows only pinned tools");
        return Some(Error::refusal(message).hint(suggest_pin(tool.name)));
    }
    if !pin.sha256.iter().any(|pinned| pinned == sha256) {
        let pinned = pin.sha256.join(", ");
        let message = format!(
            "`{path}` is not the pinned {name}: its SHA-256 is {sha256}, the policy `{file}` \
             allows {pinned}"
        );
        return Some(Error::refusal(message).hint(format!(
            "find out why it differs. If the change is intended, {}",
            suggest_pin(tool.name)
        )));
    }
    let indirection = found.indirection.as_ref()?;
    Some(
        Error::refusal(format!(
            "`{path}` is pinned, but {indirection}, which is not"
        ))
        .hint(format!(
            "pin the program that runs in the end, and {}",
            tool.name.path_hint()
        )),
    )
}

/// Returns the instruction to pin a tool.
fn suggest_pin(name: ToolName) -> &'static str {
    match name {
        ToolName::Kubectl | ToolName::Influxctl => "run `bypassctl tools pin` to print the pin",
        ToolName::Delivery => "add its SHA-256 to `sha256` in [tools.delivery] of the policy",
    }
}

/// Refuses a pinned tool that others can change between two starts without a trace.
fn check_writers(tool: &Tool, program: &Program) -> Option<Error> {
    let writers = match program.find_unnoticed_writers() {
        Ok(writers) if writers.is_empty() => return None,
        Ok(writers) => writers,
        Err(error) => return Some(hash_error(tool, error)),
    };
    let names: Vec<String> = writers.iter().map(Writer::to_string).collect();
    let path = tool.path.display();
    Some(
        Error::refusal(format!(
            "`{path}` is pinned, but others can change it unnoticed: {}. Its filesystem does not \
             change the times of a file at each write",
            names.join(", ")
        ))
        .hint(format!(
            "run `chmod go-w {path}`, or copy it to a local disk (ext4, XFS, Btrfs)"
        )),
    )
}

fn find_indirection(tool: &Tool, program: &Program) -> Option<String> {
    if program.is_script() {
        return Some("it is a script that starts an interpreter".to_owned());
    }
    let launcher = tool::detect_launcher(&tool.path)?;
    Some(format!("`{launcher}` starts another program"))
}

pub(super) fn executable_changed_error(tool: &Tool) -> Error {
    let path = tool.path.display();
    Error::refusal(format!("`{path}` changed after it was hashed"))
        .hint("find out who changed it, and run again with the right file")
}

fn hash_error(tool: &Tool, error: std::io::Error) -> Error {
    Error::failure(format!("cannot hash `{}`: {error}", tool.path.display()))
        .with_source(error)
        .hint("the audit log needs its SHA-256: it must be readable and at most 1 GiB")
}
