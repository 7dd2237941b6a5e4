//! `tools`: lists, pins and verifies kubectl and influxctl.

use crate::cli::ToolsCommand;
use crate::digest::Digest;
use crate::error::{CommandResult, Error, Result};
use crate::exec::{FileAccess, FileWrite, ResolvedTool, Snapshot, find_writers, read_file};
use crate::policy::{
    self, ActivePolicy, FILE_NAME, MAX_POLICY, PathContext, PinnedTool, PolicySource, ToolPolicy,
};
use crate::session::Session;
use crate::session::tools::{accept_tool, inspect_tool};
use crate::session::trust::trust_policy;
use crate::text::escape_controls;
use crate::tool::ToolName;
use crate::ui::{Check, CheckState, InstalledTool};
use std::path::Path;

const TOOL_NAMES: [ToolName; 2] = [ToolName::Kubectl, ToolName::Influxctl];

pub(crate) fn run(session: &Session, command: ToolsCommand) -> CommandResult {
    match command {
        ToolsCommand::List => list_tools(session),
        ToolsCommand::Pin { write } => pin_tools(session, write),
        ToolsCommand::Verify => verify_tools(session),
    }
}

fn list_tools(session: &Session) -> CommandResult {
    let results = TOOL_NAMES
        .into_iter()
        .map(|name| session.propagate_fatal(inspect_installed_tool(session, name)))
        .collect::<Result<Vec<_>>>()?;
    let (found, missing): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let installed: Vec<InstalledTool> = found.into_iter().flatten().collect();
    session.ui.print_lines(&format!(
        "policy: {}",
        session
            .executor
            .policy()
            .map_or("none".to_owned(), ActivePolicy::describe)
    ));
    for tool in &installed {
        let version = tool.version.as_deref().unwrap_or("(unknown version)");
        session.ui.print_lines(&format!(
            "{} {version}, {}",
            tool.name,
            describe_pin_status(tool)
        ));
        let found_at = if tool.found_at == tool.path {
            String::new()
        } else {
            format!(", found as {}", tool.found_at)
        };
        session
            .ui
            .print_lines(&format!("  path         {}{found_at}", tool.path));
        session
            .ui
            .print_lines(&format!("  sha256       {}", tool.sha256));
        session
            .ui
            .print_lines(&format!("  writable by  {}", tool.writable_by.join(", ")));
    }
    session
        .ui
        .update_fields(|fields| fields.installed_tools = Some(installed));
    missing
        .into_iter()
        .find_map(Result::err)
        .map_or(Ok(None), Err)
}

fn describe_pin_status(tool: &InstalledTool) -> String {
    match (&tool.refusal, tool.pinned) {
        (Some(reason), _) => format!("refused: {reason}"),
        (None, true) => "pinned".to_owned(),
        (None, false) => "not pinned".to_owned(),
    }
}

fn inspect_installed_tool(session: &Session, name: ToolName) -> Result<InstalledTool> {
    let found = inspect_tool(session, name)?;
    let refusal = match found.refusal {
        Some(refusal) => Some(refusal),
        None => session
            .propagate_fatal(accept_tool(session, found.tool.clone()))?
            .err(),
    };
    Ok(InstalledTool {
        name: name.as_str().to_owned(),
        writable_by: find_writers(&found.tool.found_at)
            .iter()
            .map(ToString::to_string)
            .collect(),
        found_at: found.tool.found_at.display().to_string(),
        path: found.tool.path.display().to_string(),
        version: found.tool.version.as_ref().map(ToString::to_string),
        sha256: found.tool.sha256.unwrap_or_default(),
        pinned: is_pinned(session, name),
        refusal: refusal.map(|error| error.message),
    })
}

fn is_pinned(session: &Session, name: ToolName) -> bool {
    session
        .executor
        .policy()
        .is_some_and(|policy| policy.rules.tools.pin(name).is_pinned())
}

/// Prints the `[tools]` section for the installed tools, or writes it to the policy.
fn pin_tools(session: &Session, write: bool) -> CommandResult {
    let results = TOOL_NAMES
        .into_iter()
        .map(|name| session.propagate_fatal(pin_tool(session, name)))
        .collect::<Result<Vec<_>>>()?;
    let (tools, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    let tools: Vec<PinnedTool> = tools.into_iter().flatten().collect();
    if !write && !tools.is_empty() {
        let section = policy::render_tools_section(&tools, failed.is_empty());
        session.ui.print_document(&section);
        session
            .ui
            .update_fields(|fields| fields.tools_section = Some(section));
    }
    if let Some(error) = failed.into_iter().find_map(Result::err) {
        return Err(error);
    }
    if !write {
        return Ok(None);
    }
    write_pins_to_policy(session, &tools)
}

/// Writes the pins to the active policy, or to a new one in the working directory.
fn write_pins_to_policy(session: &Session, tools: &[PinnedTool]) -> CommandResult {
    let file = match session.executor.policy() {
        Some(policy) => policy.file.clone(),
        None => session.executor.environment().cwd.join(FILE_NAME),
    };
    let environment = session.executor.environment();
    let account_home = environment.account_home();
    let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
    let paths = PathContext {
        directory: &directory,
        home: environment.home(),
        account_home: account_home.as_deref(),
    };
    let found_at = file.clone();
    // Symlinks are kept: the write replaces their target.
    let file = file.canonicalize().unwrap_or(file);
    let unusable = |reason: String| Error::refusal(format!("`{}`: {reason}", file.display()));
    let paste_hint = "paste the output of `bypassctl tools pin` into it";
    let old = read_file(&file, MAX_POLICY)
        .map_err(|error| unusable(error.to_string()).hint(paste_hint))?;
    let text = old
        .as_ref()
        .map_or(Ok(""), |old| std::str::from_utf8(&old.bytes))
        .map_err(|error| unusable(error.to_string()).hint(paste_hint))?;
    let new = policy::pin_tools(text, tools, &paths)
        .map_err(|error| unusable(error.to_string()).hint(error.hint))?;
    if new == text {
        session
            .ui
            .print_lines(&format!("{} already contains these pins", file.display()));
        return Ok(None);
    }
    let write = FileWrite {
        token_file: None,
        path: &file,
        bytes: new.as_bytes(),
        old_file: old.as_ref(),
        access: FileAccess::WorldReadable,
        is_secret: false,
    };
    session.executor.write_file("write-policy", &write)?;
    keep_trust(session, &found_at, old.as_ref(), &new)?;
    session
        .ui
        .print_lines(&format!("pinned in {}", file.display()));
    session
        .ui
        .update_fields(|fields| fields.file = Some(file.display().to_string()));
    if !session
        .executor
        .policy()
        .is_none_or(|policy| policy.rules.tools.require_pins)
    {
        session
            .ui
            .print_lines("set `require_pins = true` in [tools] to refuse tools without a pin");
    }
    Ok(None)
}

/// Trusts the new content if the run created the file, or if the user trusted the old content.
fn keep_trust(session: &Session, file: &Path, old: Option<&Snapshot>, new: &str) -> Result<()> {
    let is_trusted = match (session.executor.policy(), old) {
        (None, None) => true,
        (Some(policy), Some(old)) => {
            policy.source == PolicySource::Trusted
                && policy.sha256 == Digest::compute(&old.bytes).to_string()
        }
        _ => false,
    };
    if is_trusted {
        let sha256 = Digest::compute(new.as_bytes()).to_string();
        return trust_policy(session, file, &sha256);
    }
    if session
        .executor
        .policy()
        .is_some_and(|policy| policy.source == PolicySource::Discovered)
    {
        session
            .ui
            .print_lines("to use these paths, read the policy and run `bypassctl policy trust`");
    }
    Ok(())
}

fn pin_tool(session: &Session, name: ToolName) -> Result<PinnedTool> {
    let ResolvedTool {
        tool, indirection, ..
    } = inspect_tool(session, name)?;
    if let Some(indirection) = indirection {
        return Err(Error::refusal(format!(
            "cannot pin `{}`: {indirection}",
            tool.path.display()
        ))
        .hint(format!(
            "pass the {} that finally runs: `--{0} PATH`",
            name.as_str()
        )));
    }
    if tool.version.is_none() {
        session.ui.warn(
            &format!("version of {} unknown", name.as_str()),
            "add the digest to the policy, then rerun `bypassctl tools pin`",
        );
    }
    if tool
        .path
        .to_str()
        .is_none_or(|path| escape_controls(path) != path)
    {
        return Err(Error::refusal(format!(
            "cannot pin `{}`: its path contains invisible or non-UTF-8 characters",
            tool.path.display()
        ))
        .hint("move the tool to a path of plain text"));
    }
    let sha256 = tool.sha256.unwrap_or_default();
    Ok(PinnedTool {
        name,
        path: tool.path,
        found_at: tool.found_at,
        version: tool.version,
        sha256,
    })
}

/// Verifies for CI that the tools match their pins.
fn verify_tools(session: &Session) -> CommandResult {
    let Some(policy) = session.executor.policy() else {
        return Err(Error::refusal("no policy is active, so no tool is pinned")
            .hint("run `bypassctl tools pin --write` to create one, or pass `--policy FILE`"));
    };
    if policy.rules.tools == ToolPolicy::default() {
        return Err(Error::refusal(format!(
            "policy `{}` has no `[tools]` section",
            policy.file.display()
        ))
        .hint("run `bypassctl tools pin --write` to add the installed tools"));
    }
    session
        .ui
        .report_check(Check::ok("policy", policy.describe()));
    let checks = TOOL_NAMES
        .into_iter()
        .map(|name| verify_tool(session, name))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let failed = checks
        .iter()
        .filter(|check| check.state == CheckState::Failed)
        .count();
    checks
        .into_iter()
        .for_each(|check| session.ui.report_check(check));
    if failed == 0 {
        session
            .ui
            .print_lines("the installed tools match their pins");
        return Ok(None);
    }
    Err(
        Error::refusal("the installed tools do not match their pins")
            .hint("see the reason in each `failed` line"),
    )
}

fn verify_tool(session: &Session, name: ToolName) -> Result<Vec<Check>> {
    let found = match session.propagate_fatal(inspect_tool(session, name))? {
        Ok(found) => found,
        Err(error) => return Ok(vec![Check::from_error(name.as_str(), &error)]),
    };
    let warnings = found
        .warnings
        .iter()
        .map(|warning| Check::warning(name.as_str(), warning, "run `chmod go-w` on it"));
    let tool = &found.tool;
    let accepted = found
        .refusal
        .map_or_else(|| accept_tool(session, tool.clone()), Err);
    let check = match session.propagate_fatal(accepted)? {
        Err(error) => Check::from_error(name.as_str(), &error),
        Ok(_) if !is_pinned(session, name) => Check::warning(
            name.as_str(),
            format!("{} has no digest in the policy", tool.path.display()),
            "run `bypassctl tools pin --write`, and set `require_pins = true` to refuse such tools",
        ),
        Ok(_) => {
            let version = tool
                .version
                .as_ref()
                .map_or("(unknown version)".to_owned(), ToString::to_string);
            let sha256 = tool.sha256.as_deref().unwrap_or_default();
            Check::ok(
                name.as_str(),
                format!("{version} at {}, sha256 {sha256}", tool.path.display()),
            )
        }
    };
    Ok(warnings.chain([check]).collect())
}
