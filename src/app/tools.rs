//! `tools`: which binaries would run, and whether they are the pinned ones.

use super::policy::MAX_POLICY;
use super::session::Session;
use super::{Outcome, probe};
use crate::cli::Tools;
use crate::error::{Error, Result};
use crate::exec::{FileWrite, Found, Readers, read, writers};
use crate::policy::{self, FILE_NAME, InForce, Pinned, Places, Tools as PolicyTools};
use crate::tool::ToolName;
use crate::tool::invocation::visible;
use crate::ui::{Check, ListedTool, State};
use std::path::Path;

const TOOLS: [ToolName; 2] = [ToolName::Kubectl, ToolName::Influxctl];

pub(super) fn run(session: &Session, command: Tools) -> Outcome {
    match command {
        Tools::List => list(session),
        Tools::Pin { write } => pin(session, write),
        Tools::Verify => verify(session),
    }
}

fn list(session: &Session) -> Outcome {
    let seen = TOOLS
        .into_iter()
        .map(|name| session.heeded(listed(session, name)))
        .collect::<Result<Vec<_>>>()?;
    let (listed, missing): (Vec<_>, Vec<_>) = seen.into_iter().partition(Result::is_ok);
    let listed: Vec<ListedTool> = listed.into_iter().flatten().collect();
    session.ui.say(&format!(
        "policy: {}",
        session
            .exec
            .policy()
            .map_or("none in force".to_owned(), InForce::told)
    ));
    for tool in &listed {
        let version = tool.version.as_deref().unwrap_or("of unknown version");
        session
            .ui
            .say(&format!("{} {version}, {}", tool.name, stands(tool)));
        let leads = if tool.found == tool.path {
            String::new()
        } else {
            format!(", found as {}", tool.found)
        };
        session
            .ui
            .say(&format!("  path         {}{leads}", tool.path));
        session.ui.say(&format!("  sha256       {}", tool.sha256));
        session
            .ui
            .say(&format!("  writable by  {}", tool.writable_by.join(", ")));
    }
    session.ui.fields(|fields| fields.listed = Some(listed));
    missing
        .into_iter()
        .find_map(Result::err)
        .map_or(Ok(None), Err)
}

fn stands(tool: &ListedTool) -> String {
    match (&tool.refused, tool.pinned) {
        (Some(why), _) => format!("refused: {why}"),
        (None, true) => "pinned".to_owned(),
        (None, false) => "not pinned".to_owned(),
    }
}

fn listed(session: &Session, name: ToolName) -> Result<ListedTool> {
    let found = probe::sight(session, name)?;
    let refused = match found.refused {
        Some(refused) => Some(refused),
        None => session
            .heeded(probe::accepted(session, found.tool.clone()))?
            .err(),
    };
    Ok(ListedTool {
        name: name.as_str().to_owned(),
        writable_by: writers(&found.tool.found)
            .iter()
            .map(ToString::to_string)
            .collect(),
        found: found.tool.found.display().to_string(),
        path: found.tool.path.display().to_string(),
        version: found.tool.version.as_ref().map(ToString::to_string),
        sha256: found.tool.sha256.unwrap_or_default(),
        pinned: is_pinned(session, name),
        refused: refused.map(|why| why.message),
    })
}

fn is_pinned(session: &Session, name: ToolName) -> bool {
    session
        .exec
        .policy()
        .is_some_and(|policy| policy.policy.tools.pin(name).is_pinned())
}

/// The section for what is installed: printed, or put into the policy in force.
fn pin(session: &Session, write: bool) -> Outcome {
    let seen = TOOLS
        .into_iter()
        .map(|name| session.heeded(pinned(session, name)))
        .collect::<Result<Vec<_>>>()?;
    let (tools, others): (Vec<_>, Vec<_>) = seen.into_iter().partition(Result::is_ok);
    let tools: Vec<Pinned> = tools.into_iter().flatten().collect();
    if !write && !tools.is_empty() {
        let section = policy::section(&tools, others.is_empty());
        session.ui.document(&section);
        session.ui.fields(|fields| fields.section = Some(section));
    }
    if let Some(error) = others.into_iter().find_map(Result::err) {
        return Err(error);
    }
    if !write {
        return Ok(None);
    }
    put_into_policy(session, &tools)
}

/// Put into the policy in force, or into a new one in the working directory.
fn put_into_policy(session: &Session, tools: &[Pinned]) -> Outcome {
    let file = match session.exec.policy() {
        Some(policy) => policy.file.clone(),
        None => session.exec.surroundings().cwd.join(FILE_NAME),
    };
    let surroundings = session.exec.surroundings();
    let account_home = surroundings.account_home();
    let directory = file.parent().unwrap_or(Path::new("/")).to_owned();
    let places = Places {
        directory: &directory,
        home: surroundings.home(),
        account_home: account_home.as_deref(),
    };
    // Symlinks are kept: what is replaced is the file that they lead to.
    let file = file.canonicalize().unwrap_or(file);
    let unusable = |why: String| Error::refused(format!("`{}`: {why}", file.display()));
    let paste = "paste what `bypassctl tools pin` prints";
    let old = read(&file, MAX_POLICY).map_err(|error| unusable(error.to_string()).hint(paste))?;
    let text = old
        .as_ref()
        .map_or(Ok(""), |old| std::str::from_utf8(&old.bytes))
        .map_err(|error| unusable(error.to_string()).hint(paste))?;
    let new = policy::pin(text, tools, &places)
        .map_err(|error| unusable(error.to_string()).hint(error.hint))?;
    if new == text {
        session
            .ui
            .say(&format!("{} has them pinned already", file.display()));
        return Ok(None);
    }
    let write = FileWrite {
        path: &file,
        bytes: new.as_bytes(),
        old: old.as_ref(),
        readers: Readers::Public,
        secret: false,
    };
    session.exec.write_file("write-policy", &write)?;
    session.ui.say(&format!("pinned in {}", file.display()));
    session
        .ui
        .fields(|fields| fields.file = Some(file.display().to_string()));
    if !session
        .exec
        .policy()
        .is_none_or(|policy| policy.policy.tools.require_pins)
    {
        session
            .ui
            .say("what is not pinned still runs: `require_pins = true` in [tools] has it refused");
    }
    Ok(None)
}

fn pinned(session: &Session, name: ToolName) -> Result<Pinned> {
    let Found {
        tool,
        starts_another,
        ..
    } = probe::sight(session, name)?;
    if let Some(what) = starts_another {
        return Err(Error::refused(format!(
            "`{}` cannot be pinned: {what}",
            tool.path.display()
        ))
        .hint(format!(
            "name the {} that runs in the end: --{0} PATH",
            name.as_str()
        )));
    }
    if tool.version.is_none() {
        let hint = "once its digest is in the policy, `bypassctl tools pin` asks it";
        session.ui.warn(
            &format!("the version of {} is not known", name.as_str()),
            hint,
        );
    }
    if tool.path.to_str().is_none_or(|path| visible(path) != path) {
        return Err(Error::refused(format!(
            "`{}` cannot be pinned: its path cannot be written down as it is",
            tool.path.display()
        ))
        .hint("give it a path of plain text"));
    }
    let sha256 = tool.sha256.unwrap_or_default();
    Ok(Pinned {
        name,
        path: tool.path,
        found: tool.found,
        version: tool.version,
        sha256,
    })
}

/// For CI: nothing but what the policy has pinned.
fn verify(session: &Session) -> Outcome {
    let Some(policy) = session.exec.policy() else {
        return Err(Error::refused("no policy is in force, so nothing is pinned")
            .hint("`bypassctl tools pin --write` makes one here; one that is elsewhere: --policy FILE"));
    };
    if policy.policy.tools == PolicyTools::default() {
        return Err(Error::refused(format!(
            "the policy `{}` says nothing of the tools",
            policy.file.display()
        ))
        .hint("`bypassctl tools pin --write` puts what is installed into it"));
    }
    session.ui.check(Check::ok("policy", policy.told()));
    let checks = TOOLS
        .into_iter()
        .map(|name| verified(session, name))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let failed = checks
        .iter()
        .filter(|check| check.state == State::Failed)
        .count();
    checks.into_iter().for_each(|check| session.ui.check(check));
    if failed == 0 {
        session.ui.say("what is pinned is what would run");
        return Ok(None);
    }
    Err(Error::refused("what would run is not what is pinned").hint("each `failed` line says why"))
}

fn verified(session: &Session, name: ToolName) -> Result<Vec<Check>> {
    let found = match session.heeded(probe::sight(session, name))? {
        Ok(found) => found,
        Err(error) => return Ok(vec![Check::from_error(name.as_str(), &error)]),
    };
    let warnings = found
        .warnings
        .iter()
        .map(|warning| Check::warning(name.as_str(), warning, "chmod go-w it"));
    let tool = &found.tool;
    let accepted = found
        .refused
        .map_or_else(|| probe::accepted(session, tool.clone()), Err);
    let check = match session.heeded(accepted)? {
        Err(error) => Check::from_error(name.as_str(), &error),
        Ok(_) if !is_pinned(session, name) => Check::warning(
            name.as_str(),
            format!("{} is not pinned by its digest", tool.path.display()),
            "`bypassctl tools pin` prints what to put into the policy; require_pins = true has it refused",
        ),
        Ok(_) => {
            let version = tool
                .version
                .as_ref()
                .map_or("of unknown version".to_owned(), ToString::to_string);
            let sha256 = tool.sha256.as_deref().unwrap_or_default();
            Check::ok(
                name.as_str(),
                format!("{version} at {}, sha256 {sha256}", tool.path.display()),
            )
        }
    };
    Ok(warnings.chain([check]).collect())
}
