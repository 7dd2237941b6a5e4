//! Pins the installed tools: renders a `[tools]` section, or edits a policy.

use super::error::PolicyError;
use super::model::{PathContext, Policy, ToolPin, ToolPolicy};
use super::read::parse_policy;
use crate::splice::{Lines, Splice, apply_splices};
use crate::tool::ToolName;
use semver::{Comparator, Op, Version, VersionReq};
use std::ops::Range;
use std::path::PathBuf;
use toml_edit::{Document, Item, Table, Value};

/// An installed tool that a policy pins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedTool {
    pub name: ToolName,
    /// The path without symlinks.
    pub path: PathBuf,
    /// The path before symlinks were resolved. A policy can name either path.
    pub found_at: PathBuf,
    /// `None` if the tool does not report its version.
    pub version: Option<Version>,
    /// SHA-256 of the file, in lower-case hexadecimal.
    pub sha256: String,
}

impl PinnedTool {
    fn matches_pin_path(&self, pin: &ToolPin) -> bool {
        pin.path
            .as_ref()
            .is_some_and(|path| [&self.path, &self.found_at].contains(&path))
    }

    /// Returns the keys, and their values as TOML.
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

/// Renders a section for each tool. With `require_pins`, the policy allows no other tools.
#[must_use]
pub fn render_tools_section(tools: &[PinnedTool], require_pins: bool) -> String {
    let head = require_pins.then(|| "[tools]\nrequire_pins = true\n".to_owned());
    head.into_iter()
        .chain(tools.iter().map(PinnedTool::to_toml_section))
        .collect::<Vec<_>>()
        .join("\n")
}

/// Pins tools in the text of a policy. All other bytes stay as they are.
///
/// # Errors
/// A [`PolicyError`] for an invalid policy, for an uneditable form of the `[tools]` section, and
/// for a tool outside the version range of the policy.
pub fn pin_tools(
    text: &str,
    tools: &[PinnedTool],
    context: &PathContext,
) -> Result<String, PolicyError> {
    let before = parse_policy(text, context)?;
    let document = Document::parse(text).map_err(|_| uneditable_error(text, None))?;
    let mut splices: Vec<Splice> = match document.get("tools") {
        None => vec![append_section(text, &render_tools_section(tools, true))],
        Some(item) => {
            let section = item.as_table().filter(|table| !table.is_dotted());
            let section = section.ok_or_else(|| uneditable_error(text, item.span()))?;
            tools
                .iter()
                .map(|tool| collect_splices(text, section, before.tools.pin(tool.name), tool))
                .collect::<Result<Vec<_>, _>>()?
                .concat()
        }
    };
    // Keeps the order of splices at the same place.
    splices.sort_by_key(|splice| splice.range.start);
    let after = apply_splices(text, &splices);
    has_only_pin_changes(&before, &after, tools, context)
        .then_some(after)
        .ok_or_else(|| uneditable_error(text, None))
}

fn collect_splices(
    text: &str,
    section: &Table,
    pin: &ToolPin,
    tool: &PinnedTool,
) -> Result<Vec<Splice>, PolicyError> {
    let Some(item) = section.get(tool.name.as_str()) else {
        return Ok(vec![append_section(text, &tool.to_toml_section())]);
    };
    let table = item
        .as_table()
        .filter(|table| !table.is_dotted() && !table.is_implicit());
    let table = table.ok_or_else(|| uneditable_error(text, item.span()))?;
    let tool_table = ToolTable {
        text,
        table,
        header: table.span().ok_or_else(|| uneditable_error(text, None))?,
    };
    let path =
        (!tool.matches_pin_path(pin)).then(|| tool_table.set_key("path", toml_quote_path(tool)));
    let version = choose_version(text, table, pin, tool)?
        .map(|version| tool_table.set_key("version", toml_quote(&version)));
    let sha256 = (!pin.sha256.contains(&tool.sha256)).then(|| tool_table.set_digest(&tool.sha256));
    Ok([path, version, sha256].into_iter().flatten().collect())
}

/// Chooses the new version requirement. An exact version changes with the digest. A range is the
/// decision of the site and stays.
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
        Some(pinned) if pinned.matches(version) => Ok(None),
        Some(pinned) if !is_exact(pinned) => {
            let name = tool.name.as_str();
            let message = format!("{name} {version} does not match `version = \"{pinned}\"`");
            let hint = format!("change `version` in [tools.{name}] to allow {version}");
            let span = table.get("version").and_then(Item::span);
            Err(PolicyError::new(text, span, message, hint))
        }
        _ => Ok(Some(format!("={version}"))),
    }
}

fn is_exact(requirement: &VersionReq) -> bool {
    matches!(
        &requirement.comparators[..],
        [Comparator {
            op: Op::Exact,
            patch: Some(_),
            ..
        }]
    )
}

/// The table of a tool in the text.
struct ToolTable<'a> {
    text: &'a str,
    table: &'a Table,
    /// The position of the header.
    header: Range<usize>,
}

impl ToolTable<'_> {
    /// Replaces the value of a key, or inserts the key below the header.
    fn set_key(&self, key: &str, value: String) -> Splice {
        if let Some(old_value) = self.table.get(key).and_then(Item::span) {
            return Splice::replace(old_value, value);
        }
        let lines = Lines(self.text);
        let indent = lines.indent(self.header.start);
        let line = format!("{indent}{key} = {value}");
        let at = lines.next_line_start(self.header.end);
        if lines.is_line_start(at) {
            Splice::insert(at, format!("{line}{}", detect_line_ending(self.text)))
        } else {
            Splice::insert(at, format!("\n{line}"))
        }
    }

    /// Replaces the only digest, or adds to several digests, which can be for other machines.
    fn set_digest(&self, sha256: &str) -> Splice {
        let list = self.table.get("sha256").and_then(Item::as_array);
        let last = list.and_then(|list| Some((list.len(), list.iter().last()?.span()?)));
        match last {
            Some((1, only)) => Splice::replace(only, toml_quote(sha256)),
            Some((_, last)) => Splice::insert(last.end, format!(", {}", toml_quote(sha256))),
            None => self.set_key("sha256", format!("[{}]", toml_quote(sha256))),
        }
    }
}

fn detect_line_ending(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// Appends a section after a blank line.
fn append_section(text: &str, section: &str) -> Splice {
    let ending = detect_line_ending(text);
    let gap = match text {
        text if text.is_empty() || text.ends_with(&ending.repeat(2)) => String::new(),
        text if text.ends_with('\n') => ending.to_owned(),
        _ => ending.repeat(2),
    };
    Splice::insert(text.len(), gap + &section.replace('\n', ending))
}

/// Returns whether the new text pins these tools and changes nothing else.
fn has_only_pin_changes(
    before: &Policy,
    after: &str,
    tools: &[PinnedTool],
    context: &PathContext,
) -> bool {
    let Ok(after) = parse_policy(after, context) else {
        return false;
    };
    let is_pinned = tools.iter().all(|tool| {
        let pin = after.tools.pin(tool.name);
        let version = tool.version.as_ref().zip(pin.version.as_ref());
        tool.matches_pin_path(pin)
            && pin.sha256.contains(&tool.sha256)
            && version.is_none_or(|(version, pin)| pin.matches(version))
    });
    let without_pins = |policy: &Policy| {
        let mut policy = policy.clone();
        tools
            .iter()
            .for_each(|tool| *policy.tools.pin_mut(tool.name) = ToolPin::default());
        format!("{policy:?}")
    };
    // A policy without a `[tools]` section gets `require_pins`.
    let with_require_pins = Policy {
        tools: ToolPolicy {
            require_pins: after.tools.require_pins,
            ..before.tools.clone()
        },
        ..before.clone()
    };
    let before = if before.tools == ToolPolicy::default() {
        &with_require_pins
    } else {
        before
    };
    is_pinned && without_pins(before) == without_pins(&after)
}

fn uneditable_error(text: &str, span: Option<Range<usize>>) -> PolicyError {
    let hint = "write the sections [tools.kubectl] and [tools.influxctl], \
                or paste the output of `bypassctl tools pin`";
    PolicyError::new(text, span, "cannot edit `tools` in place", hint)
}
