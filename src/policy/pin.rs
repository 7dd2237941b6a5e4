//! The `[tools]` section for what is installed: to paste, or put into a policy whose every other byte stays.

use super::{Places, Policy, PolicyError, Tools, read};
use crate::tool::ToolName;
use semver::Version;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml_edit::{Document, Item, Table, Value};

/// A tool as it is to be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// Which one.
    pub name: ToolName,
    /// Where it is.
    pub path: PathBuf,
    /// Its version, where it is known.
    pub version: Option<Version>,
    /// SHA-256 of its file.
    pub sha256: String,
}

impl Pinned {
    /// Its keys and values, as TOML.
    fn values(&self) -> Vec<(&'static str, String)> {
        let version = self.version.as_ref().map(|version| ("version", quoted(&format!("={version}"))));
        std::iter::once(("path", quoted(&self.path.display().to_string())))
            .chain(version)
            .chain([("sha256", format!("[{}]", quoted(&self.sha256)))])
            .collect()
    }

    fn section(&self) -> String {
        let lines: String = self.values().iter().map(|(key, value)| format!("{key} = {value}\n")).collect();
        format!("[tools.{}]\n{lines}", self.name.as_str())
    }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// The section as a whole, to paste; with `all` nothing else is to run.
#[must_use]
pub fn section(tools: &[Pinned], all: bool) -> String {
    let head = all.then(|| "[tools]\nrequire_pins = true\n".to_owned());
    head.into_iter().chain(tools.iter().map(Pinned::section)).collect::<Vec<_>>().join("\n")
}

/// A policy's text with these tools pinned in it; all else stays as it is.
///
/// # Errors
/// [`PolicyError`] where the section is written in a form that cannot be edited in place.
pub fn pin(text: &str, tools: &[Pinned], directory: &Path, home: Option<&Path>) -> Result<String, PolicyError> {
    let places = Places { directory, home };
    let before = read::policy(text, &places)?;
    let document = Document::parse(text).map_err(|_| unfit(text, None))?;
    let edits: Vec<Edit> = match document.get("tools") {
        None => vec![Edit { at: text.len()..text.len(), text: appended(text, &section(tools, true)) }],
        Some(item) => {
            let section = item.as_table().filter(|table| !table.is_dotted());
            let section = section.ok_or_else(|| unfit(text, item.span()))?;
            let edits = tools.iter().map(|tool| edits(text, section, tool)).collect::<Result<Vec<_>, _>>()?;
            edits.concat()
        }
    };
    let after = with(text, edits);
    holds(&before, &after, tools, &places).then_some(after).ok_or_else(|| unfit(text, None))
}

#[derive(Clone)]
struct Edit {
    at: Range<usize>,
    text: String,
}

fn edits(text: &str, section: &Table, tool: &Pinned) -> Result<Vec<Edit>, PolicyError> {
    let Some(item) = section.get(tool.name.as_str()) else {
        let end = text.len();
        return Ok(vec![Edit { at: end..end, text: appended(text, &tool.section()) }]);
    };
    let table = item.as_table().filter(|table| !table.is_dotted() && !table.is_implicit());
    let table = table.ok_or_else(|| unfit(text, item.span()))?;
    let header = table.span().ok_or_else(|| unfit(text, None))?;
    let below = text[header.end..].find('\n').map_or(text.len(), |at| header.end + at + 1);
    let above = text[..header.start].rfind('\n').map_or(0, |at| at + 1);
    let indent: String = text[above..header.start].chars().take_while(|c| c.is_whitespace()).collect();
    let ending = if text[..below].ends_with("\r\n") { "\r\n" } else { "\n" };
    let edit = |(key, value): (&str, String)| match table.get(key).and_then(Item::span) {
        Some(at) => Edit { at, text: value },
        None if text[..below].ends_with('\n') => {
            Edit { at: below..below, text: format!("{indent}{key} = {value}{ending}") }
        }
        None => Edit { at: below..below, text: format!("\n{indent}{key} = {value}") },
    };
    // A version that is not known now is not the one that was pinned before.
    let outdated = Some(("version", quoted("*"))).filter(|_| tool.version.is_none() && table.contains_key("version"));
    Ok(tool.values().into_iter().chain(outdated).map(edit).collect())
}

/// At the end of a text, a blank line before it.
fn appended(text: &str, section: &str) -> String {
    let gap = match text {
        "" => "",
        text if text.ends_with("\n\n") => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    format!("{gap}{section}")
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
    let Ok(after) = read::policy(after, places) else { return false };
    let pinned = tools.iter().all(|tool| {
        let pin = after.tools.pin(tool.name);
        let version = tool.version.as_ref().zip(pin.version.as_ref());
        pin.path.as_ref() == Some(&tool.path)
            && pin.sha256 == [tool.sha256.clone()]
            && version.is_none_or(|(version, pin)| pin.matches(version))
    });
    let rest = |policy: &Policy| format!("{:?}", Policy { tools: Tools::default(), ..policy.clone() });
    pinned && rest(before) == rest(&after)
}

fn unfit(text: &str, span: Option<Range<usize>>) -> PolicyError {
    let hint = "write it as [tools.kubectl] and [tools.influxctl], or paste what `tools pin` prints";
    PolicyError::new(text, span, "`tools` is written in a form that cannot be edited in place", hint)
}
