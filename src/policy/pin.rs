//! The `[tools]` section for what is installed: to paste, or put into a policy whose every other byte stays.

use super::error::PolicyError;
use super::model::{PathContext, Policy, ToolPin, ToolPolicy};
use super::read::parse_policy;
use crate::tool::ToolName;
use semver::{Comparator, Op, Version, VersionReq};
use std::ops::Range;
use std::path::PathBuf;
use toml_edit::{Document, Item, Table, Value};

/// A tool as it is to be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedTool {
    /// Which one.
    pub name: ToolName,
    /// Where it is, symlinks resolved.
    pub path: PathBuf,
    /// Where it was found, before that: a policy that says so is right.
    pub found_at: PathBuf,
    /// Its version, where it is known.
    pub version: Option<Version>,
    /// SHA-256 of its file.
    pub sha256: String,
}

impl PinnedTool {
    fn matches_pin_path(&self, pin: &ToolPin) -> bool {
        pin.path
            .as_ref()
            .is_some_and(|path| [&self.path, &self.found_at].contains(&path))
    }

    /// Its keys and values, as TOML.
    fn to_key_values(&self) -> Vec<(&'static str, String)> {
        let version = self
            .version
            .as_ref()
            .map(|version| ("version", toml_quote(&format!("={version}"))));
        std::iter::once(("path", toml_quote_path(self)))
            .chain(version)
            .chain([("sha256", format!("[{}]", toml_quote(&self.sha256)))])
            .collect()
    }

    fn to_toml_section(&self) -> String {
        let lines: String = self
            .to_key_values()
            .iter()
            .map(|(key, value)| format!("{key} = {value}\n"))
            .collect();
        format!("[tools.{}]\n{lines}", self.name.as_str())
    }
}

fn toml_quote_path(tool: &PinnedTool) -> String {
    toml_quote(&tool.path.display().to_string())
}

fn toml_quote(text: &str) -> String {
    Value::from(text).to_string()
}

/// The section as a whole, to paste; with `all` nothing else is to run.
#[must_use]
pub fn render_tools_section(tools: &[PinnedTool], all: bool) -> String {
    let head = all.then(|| "[tools]\nrequire_pins = true\n".to_owned());
    head.into_iter()
        .chain(tools.iter().map(PinnedTool::to_toml_section))
        .collect::<Vec<_>>()
        .join("\n")
}

/// A policy's text with these tools pinned in it; all else stays as it is.
///
/// # Errors
/// [`PolicyError`] where the section is written in a form that cannot be edited in place.
pub fn pin_tools(
    text: &str,
    tools: &[PinnedTool],
    places: &PathContext,
) -> Result<String, PolicyError> {
    let before = parse_policy(text, places)?;
    let document = Document::parse(text).map_err(|_| uneditable_error(text, None))?;
    let edits: Vec<TextEdit> = match document.get("tools") {
        None => vec![append_section(text, &render_tools_section(tools, true))],
        Some(item) => {
            let section = item.as_table().filter(|table| !table.is_dotted());
            let section = section.ok_or_else(|| uneditable_error(text, item.span()))?;
            let of =
                |tool: &PinnedTool| collect_edits(text, section, before.tools.pin(tool.name), tool);
            tools
                .iter()
                .map(of)
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        }
    };
    let after = apply_edits(text, edits);
    has_only_pin_changes(&before, &after, tools, places)
        .then_some(after)
        .ok_or_else(|| uneditable_error(text, None))
}

#[derive(Clone)]
struct TextEdit {
    range: Range<usize>,
    text: String,
}

fn collect_edits(
    text: &str,
    section: &Table,
    pin: &ToolPin,
    tool: &PinnedTool,
) -> Result<Vec<TextEdit>, PolicyError> {
    let Some(item) = section.get(tool.name.as_str()) else {
        return Ok(vec![append_section(text, &tool.to_toml_section())]);
    };
    let table = item
        .as_table()
        .filter(|table| !table.is_dotted() && !table.is_implicit());
    let table = table.ok_or_else(|| uneditable_error(text, item.span()))?;
    let place = ToolTable {
        text,
        table,
        header: table.span().ok_or_else(|| uneditable_error(text, None))?,
    };
    let path = (!tool.matches_pin_path(pin)).then(|| place.set_key("path", toml_quote_path(tool)));
    let version = choose_version(text, table, pin, tool)?
        .map(|version| place.set_key("version", toml_quote(&version)));
    let sha256 = (!pin.sha256.contains(&tool.sha256)).then(|| place.set_digest(&tool.sha256));
    Ok([path, version, sha256].into_iter().flatten().collect())
}

/// The exact version of before goes with its digest; a range is the site's own, and stays.
fn choose_version(
    text: &str,
    table: &Table,
    pin: &ToolPin,
    tool: &PinnedTool,
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
struct ToolTable<'a> {
    text: &'a str,
    table: &'a Table,
    /// Its header.
    header: Range<usize>,
}

impl ToolTable<'_> {
    /// In the place of the key's value, or right below the header.
    fn set_key(&self, key: &str, value: String) -> TextEdit {
        if let Some(at) = self.table.get(key).and_then(Item::span) {
            return TextEdit {
                range: at,
                text: value,
            };
        }
        let Self {
            text,
            header: below,
            ..
        } = self;
        let above = text[..below.start].rfind('\n').map_or(0, |at| at + 1);
        let indent: String = text[above..below.start]
            .chars()
            .take_while(|c| c.is_whitespace())
            .collect();
        match text[below.end..].find('\n').map(|at| below.end + at + 1) {
            Some(at) => TextEdit {
                range: at..at,
                text: format!("{indent}{key} = {value}{}", line_ending(text)),
            },
            None => TextEdit {
                range: text.len()..text.len(),
                text: format!("\n{indent}{key} = {value}"),
            },
        }
    }

    /// One digest goes for another; where there are several, for other machines perhaps, they stay.
    fn set_digest(&self, sha256: &str) -> TextEdit {
        let listed = self.table.get("sha256").and_then(Item::as_array);
        let last = listed.and_then(|list| Some((list.len(), list.iter().last()?.span()?)));
        match last {
            Some((1, only)) => TextEdit {
                range: only,
                text: toml_quote(sha256),
            },
            Some((_, last)) => TextEdit {
                range: last.end..last.end,
                text: format!(", {}", toml_quote(sha256)),
            },
            None => self.set_key("sha256", format!("[{}]", toml_quote(sha256))),
        }
    }
}

fn line_ending(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// At the end of a text, a blank line before it.
fn append_section(text: &str, section: &str) -> TextEdit {
    let ending = line_ending(text);
    let gap = match text {
        text if text.is_empty() || text.ends_with(&ending.repeat(2)) => String::new(),
        text if text.ends_with('\n') => ending.to_owned(),
        _ => ending.repeat(2),
    };
    TextEdit {
        range: text.len()..text.len(),
        text: gap + &section.replace('\n', ending),
    }
}

fn apply_edits(text: &str, mut edits: Vec<TextEdit>) -> String {
    // What goes in at one place stays in its order.
    edits.sort_by_key(|edit| edit.range.start);
    let mut after = String::with_capacity(text.len());
    let mut copied = 0;
    for edit in edits {
        after.push_str(&text[copied..edit.range.start]);
        after.push_str(&edit.text);
        copied = edit.range.end;
    }
    after.push_str(&text[copied..]);
    after
}

/// Whether the new text, read again, has these tools pinned and says nothing else that is new.
fn has_only_pin_changes(
    before: &Policy,
    after: &str,
    tools: &[PinnedTool],
    places: &PathContext,
) -> bool {
    let Ok(after) = parse_policy(after, places) else {
        return false;
    };
    let pinned = tools.iter().all(|tool| {
        let pin = after.tools.pin(tool.name);
        let version = tool.version.as_ref().zip(pin.version.as_ref());
        tool.matches_pin_path(pin)
            && pin.sha256.contains(&tool.sha256)
            && version.is_none_or(|(version, pin)| pin.matches(version))
    });
    let rest = |policy: &Policy| {
        let mut policy = policy.clone();
        tools
            .iter()
            .for_each(|tool| *policy.tools.pin_mut(tool.name) = ToolPin::default());
        format!("{policy:?}")
    };
    // Where nothing was said of tools, nothing but these are to run from now on.
    let strict = Policy {
        tools: ToolPolicy {
            require_pins: after.tools.require_pins,
            ..before.tools.clone()
        },
        ..before.clone()
    };
    let before = if before.tools == ToolPolicy::default() {
        &strict
    } else {
        before
    };
    pinned && rest(before) == rest(&after)
}

fn uneditable_error(text: &str, span: Option<Range<usize>>) -> PolicyError {
    let hint =
        "write it as [tools.kubectl] and [tools.influxctl], or paste what `tools pin` prints";
    PolicyError::new(
        text,
        span,
        "`tools` is written in a form that cannot be edited in place",
        hint,
    )
}
