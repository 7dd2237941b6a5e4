//! The `[tools]` section for what is installed: to paste, or put into a policy whose every other byte stays.

use super::{Pin, Places, Policy, PolicyError, Tools, read};
use crate::tool::ToolName;
use semver::{Comparator, Op, Version, VersionReq};
use std::ops::Range;
use std::path::PathBuf;
use toml_edit::{Document, Item, Table, Value};

/// A tool as it is to be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Which one.
    pub name: ToolName,
    /// Where it is, symlinks resolved.
    pub path: PathBuf,
    /// Where it was found, before that: a policy that says so is right.
    pub found: PathBuf,
    /// Its version, where it is known.
    pub version: Option<Version>,
    /// SHA-256 of its file.
    pub sha256: String,
}

impl Pinned {
    fn is_at(&self, pin: &Pin) -> bool {
        pin.path
            .as_ref()
            .is_some_and(|path| [&self.path, &self.found].contains(&path))
    }

    /// Its keys and values, as TOML.
    fn values(&self) -> Vec<(&'static str, String)> {
        let version = self
            .version
            .as_ref()
            .map(|version| ("version", quoted(&format!("={version}"))));
        std::iter::once(("path", quoted_path(self)))
            .chain(version)
            .chain([("sha256", format!("[{}]", quoted(&self.sha256)))])
            .collect()
    }

    fn section(&self) -> String {
        let lines: String = self
            .values()
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("[tools.{}]\n{lines}", self.name.as_str())
    }
}

fn quoted_path(tool: &Pinned) -> String {
    quoted(&tool.path.display().to_string())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The section as a whole, to paste; with `all` nothing else is to run.
#[must_use]
pub fn section(tools: &[Pinned], all: bool) -> String {
    let head = all.then(|| "[tools]\nrequire_pins = true\n".to_owned());
    head.into_iter()
        .chain(tools.iter().map(Pinned::section))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A policy's text with these tools pinned in it; all else stays as it is.
///
/// # Errors
/// [`PolicyError`] where the section is written in a form that cannot be edited in place.
pub fn pin(text: &str, tools: &[Pinned], places: &Places) -> Result<String, PolicyError> {
    let before = read::policy(text, places)?;
    let document = Document::parse(text).map_err(|_| unfit(text, None))?;
    let edits: Vec<Edit> = match document.get("tools") {
        None => vec![appended(text, &section(tools, true))],
        Some(item) => {
            let section = item.as_table().filter(|table| !table.is_dotted());
            let section = section.ok_or_else(|| unfit(text, item.span()))?;
            let of = |tool: &Pinned| edits(text, section, before.tools.pin(tool.name), tool);
            tools
                .iter()
                .map(of)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        }
    };
    let after = with(text, edits);
    holds(&before, &after, tools, places)
        .then_some(after)
        .ok_or_else(|| unfit(text, None))
}

#[derive(Clone)]
struct Edit {
    at: Range<usize>,
    text: String,
}

fn edits(text: &str, section: &Table, pin: &Pin, tool: &Pinned) -> Result<Vec<Edit>, PolicyError> {
    let Some(item) = section.get(tool.name.as_str()) else {
        return Ok(vec![appended(text, &tool.section())]);
    };
    let table = item
        .as_table()
        .filter(|table| !table.is_dotted() && !table.is_implicit());
    let table = table.ok_or_else(|| unfit(text, item.span()))?;
    let place = Place {
        text,
        table,
        below: table.span().ok_or_else(|| unfit(text, None))?,
    };
    let path = (!tool.is_at(pin)).then(|| place.set("path", quoted_path(tool)));
    let version =
        new_version(text, table, pin, tool)?.map(|version| place.set("version", quoted(&version)));
    let sha256 = (!pin.sha256.contains(&tool.sha256)).then(|| place.digest(&tool.sha256));
    Ok([path, version, sha256].into_iter().flatten().collect())
}

/// The exact version of before goes with its digest; a range is the site's own, and stays.
fn new_version(
    text: &str,
    table: &Table,
    pin: &Pin,
    tool: &Pinned,
) -> Result<Option<String>, PolicyError> {
    let Some(version) = &tool.version else {
        return Ok(None);
    };
    match &pin.version {
        Some(wanted) if wanted.matches(version) => Ok(None),
        Some(wanted) if !is_exact(wanted) => {
            let what = format!(
                "it has {} {wanted}, and {version} is installed",
                tool.name.as_str()
            );
            let span = table.get("version").and_then(Item::span);
            Err(PolicyError::new(
                text,
                span,
                what,
                "change `version` there first, if that is meant to be",
            ))
        }
        _ => Ok(Some(format!("={version}"))),
    }
}

fn is_exact(wanted: &VersionReq) -> bool {
    matches!(
        &wanted.comparators[..],
        [Comparator {
            op: Op::Exact,
            patch: Some(_),
            ..
        }]
    )
}

/// A tool's table in the text.
struct Place<'a> {
    text: &'a str,
    table: &'a Table,
    /// Its header.
    below: Range<usize>,
}

impl Place<'_> {
    /// In the place of the key's value, or right below the header.
    fn set(&self, key: &str, value: String) -> Edit {
        if let Some(at) = self.table.get(key).and_then(Item::span) {
            return Edit { at, text: value };
        }
        let Self { text, below, .. } = self;
        let above = text[..below.start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[above..below.start]
            .chars()
            .take_while(|c| c.is_whitespace())
            .collect();
        match text[below.end..].find('\n').map(|at| below.end + at + 1) {
            Some(at) => Edit {
                at: at..at,
                text: format!("{indent}{key} = {value}{}", ending(text)),
            },
            None => Edit {
                at: text.len()..text.len(),
                text: format!("\n{indent}{key} = {value}"),
            },
        }
    }

    /// One digest goes for another; where there are several, for other machines perhaps, they stay.
    fn digest(&self, sha256: &str) -> Edit {
        let listed = self.table.get("sha256").and_then(Item::as_array);
        let last = listed.and_then(|list| Some((list.len(), list.iter().last()?.span()?)));
        match last {
            Some((1, only)) => Edit {
                at: only,
                text: quoted(sha256),
            },
            Some((_, last)) => Edit {
                at: last.end..last.end,
                text: format!(", {}", quoted(sha256)),
            },
            None => self.set("sha256", format!("[{}]", quoted(sha256))),
        }
    }
}

fn ending(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// At the end of a text, a blank line before it.
fn appended(text: &str, section: &str) -> Edit {
    let ending = ending(text);
    let gap = match text {
        text if text.is_empty() || text.ends_with(&ending.repeat(2)) => String::new(),
        text if text.ends_with('\n') => ending.to_owned(),
        _ => ending.repeat(2),
    };
    Edit {
        at: text.len()..text.len(),
        text: gap + &section.replace('\n', ending),
    }
}

fn with(text: &str, mut edits: Vec<Edit>) -> String {
    // What goes in at one place stays in its order.
    edits.sort_by_key(|edit| edit.at.start);
    let mut after = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        after.push_str(&text[copied..edit.at.start]);
        after.push_str(&edit.text);
        copied = edit.at.end;
    }
    after.push_str(&text[copied..]);
    after
}

/// Whether the new text, read again, has these tools pinned and says nothing else that is new.
fn holds(before: &Policy, after: &str, tools: &[Pinned], places: &Places) -> bool {
    let Ok(after) = read::policy(after, places) else {
        return false;
    };
    let pinned = tools.iter().all(|tool| {
        let pin = after.tools.pin(tool.name);
        let version = tool.version.as_ref().zip(pin.version.as_ref());
        tool.is_at(pin)
            && pin.sha256.contains(&tool.sha256)
            && version.is_none_or(|(version, pin)| pin.matches(version))
    });
    let rest = |policy: &Policy| {
        let mut policy = policy.clone();
        tools
            .iter()
            .for_each(|tool| *policy.tools.pin_mut(tool.name) = Pin::default());
        format!("{policy:?}")
    };
    // Where nothing was said of tools, nothing but these are to run from now on.
    let strict = Policy {
        tools: Tools {
            require_pins: after.tools.require_pins,
            ..before.tools.clone()
        },
        ..before.clone()
    };
    let before = if before.tools == Tools::default() {
        &strict
    } else {
        before
    };
    pinned && rest(before) == rest(&after)
}

fn unfit(text: &str, span: Option<Range<usize>>) -> PolicyError {
    let hint =
        "write it as [tools.kubectl] and [tools.influxctl], or paste what `tools pin` prints";
    PolicyError::new(
        text,
        span,
        "`tools` is written in a form that cannot be edited in place",
        hint,
    )
}
