//! A policy's text as data. What is not known is an error: a guard that is misspelt must not be no guard.

use super::{
    AuditPolicy, FILE_NAME, GUARDABLE_COMMANDS, Guard, NamespaceDefaults, Policy, PolicyError,
    ProductionPatterns, ToolPin, ToolPolicy,
};
use crate::procedure::revoke::Rerun;
use crate::tool;
use crate::tool::kubectl::name;
use regex::Regex;
use semver::{Prerelease, VersionReq};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use toml_edit::{Document, Item, TableLike, Value};

/// What a path in a policy is relative to.
#[derive(Clone, Copy)]
pub struct PathContext<'a> {
    /// Where the policy is.
    pub directory: &'a Path,
    /// HOME, for `~/`.
    pub home: Option<&'a Path>,
    /// The home directory of the account, for `~/` in a locked policy.
    pub account_home: Option<&'a Path>,
}

type Result<T> = std::result::Result<T, PolicyError>;

pub(super) fn parse_policy(text: &str, places: &PathContext) -> Result<Policy> {
    let document = Document::parse(text).map_err(|error| {
        // Its message without the line that it quotes.
        let what = format!(
            "not valid TOML: {}",
            error.message().lines().next().unwrap_or_default()
        );
        PolicyError::new(text, error.span(), what, "mend that line")
    })?;
    let root = Section {
        text,
        path: String::new(),
        table: Some(document.as_table()),
        path_context: places,
    };
    // What is locked does not depend on a variable.
    let locked = root.parse_bool("locked")?;
    let places = &PathContext {
        home: if locked {
            places.account_home
        } else {
            places.home
        },
        ..*places
    };
    let root = Section {
        path_context: places,
        ..root
    };
    root.reject_unknown_keys(&["locked", "tools", "guard", "audit", "namespaces"])?;
    Ok(Policy {
        locked,
        tools: parse_tools(&root.subsection("tools")?)?,
        guard: parse_guard(&root.subsection("guard")?)?,
        audit: parse_audit(&root.subsection("audit")?)?,
        namespaces: parse_namespaces(&root.subsection("namespaces")?)?,
    })
}

fn parse_tools(section: &Section) -> Result<ToolPolicy> {
    section.reject_unknown_keys(&["require_pins", "kubectl", "influxctl"])?;
    Ok(ToolPolicy {
        require_pins: section.parse_bool("require_pins")?,
        kubectl: parse_pin(&section.subsection("kubectl")?)?,
        influxctl: parse_pin(&section.subsection("influxctl")?)?,
    })
}

fn parse_pin(section: &Section) -> Result<ToolPin> {
    section.reject_unknown_keys(&["path", "version", "sha256"])?;
    Ok(ToolPin {
        path: section.parse_path("path")?,
        version: section.parse_string("version", parse_version_requirement)?,
        sha256: parse_digests(section)?,
    })
}

/// An empty list looks like a pin, and would be none.
fn parse_digests(section: &Section) -> Result<Vec<String>> {
    match section.parse_list("sha256", tool::parse_sha256)? {
        Some(none) if none.is_empty() => Err(section.invalid_value(
            "sha256",
            "is empty",
            "`bypassctl tools pin` prints what to put there; or leave it out",
        )),
        digests => Ok(digests.unwrap_or_default()),
    }
}

/// As Cargo writes them. Vendors' suffixes (`-eks-…`, `-dispatcher`) would be taken for pre-releases, older than the
/// release; the tools' versions are compared without them as well.
fn parse_version_requirement(text: &str) -> std::result::Result<VersionReq, String> {
    static V_PREFIX: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bv(\d)").expect("the pattern is a constant"));
    let digits = V_PREFIX.replace_all(text, "$1");
    let mut requirement: VersionReq = digits.parse().map_err(|error| {
        format!("it is no version requirement such as `=1.34.5` or `>=1.30, <1.36`: {error}")
    })?;
    for comparator in &mut requirement.comparators {
        comparator.pre = Prerelease::EMPTY;
    }
    Ok(requirement)
}

fn parse_guard(section: &Section) -> Result<Guard> {
    section.reject_unknown_keys(&["production", "require_plan", "require_reason"])?;
    let pattern = |text: &str| match Regex::new(text) {
        Ok(_) if text.is_empty() => {
            Err("an empty pattern matches every reason: leave it out".to_owned())
        }
        Ok(pattern) => Ok(pattern),
        Err(error) => Err(format!(
            "it is no regular expression: {}",
            last_line(&error.to_string())
        )),
    };
    Ok(Guard {
        production: parse_production(&section.subsection("production")?)?,
        require_plan: parse_require_plan(section)?,
        require_reason: section.parse_string("require_reason", pattern)?,
    })
}

/// What is wrong with a pattern; what stands before it shows where, in several lines.
fn last_line(text: &str) -> &str {
    text.lines()
        .next_back()
        .unwrap_or_default()
        .trim_start_matches("error: ")
}

/// `true` for all that can be guarded, or a list of commands.
fn parse_require_plan(section: &Section) -> Result<Vec<String>> {
    if section
        .get("require_plan")
        .is_some_and(|item| item.as_bool().is_some())
    {
        let all = GUARDABLE_COMMANDS
            .iter()
            .map(|command| (*command).to_owned());
        return Ok(if section.parse_bool("require_plan")? {
            all.collect()
        } else {
            Vec::new()
        });
    }
    let command = |text: &str| match GUARDABLE_COMMANDS.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "it is not one of {}{}",
            GUARDABLE_COMMANDS.join(", "),
            suggest_nearest(text, GUARDABLE_COMMANDS)
        )),
    };
    Ok(section
        .parse_list("require_plan", command)?
        .unwrap_or_default())
}

fn parse_production(section: &Section) -> Result<ProductionPatterns> {
    section.reject_unknown_keys(&["context", "namespace", "server"])?;
    let pattern = |text: &str| match text {
        "" => Err("an empty pattern matches nothing".to_owned()),
        text => Ok(text.to_owned()),
    };
    Ok(ProductionPatterns {
        context: section.parse_list("context", pattern)?,
        namespace: section.parse_list("namespace", pattern)?,
        server: section.parse_list("server", pattern)?,
    })
}

fn parse_audit(section: &Section) -> Result<AuditPolicy> {
    if section.get("require").is_some() {
        return Err(section.key_error(
            "require",
            "`require` in [audit] is now `enforce`",
            "rename the key",
        ));
    }
    section.reject_unknown_keys(&["file", "enforce"])?;
    let audit = AuditPolicy {
        file: section.parse_path("file")?,
        enforce: section.parse_bool("enforce")?,
    };
    if audit.enforce && audit.file.is_none() {
        return Err(section.key_error(
            "enforce",
            "`audit.enforce` needs `audit.file`",
            "say where the record is to be",
        ));
    }
    Ok(audit)
}

fn parse_namespaces(section: &Section) -> Result<BTreeMap<String, NamespaceDefaults>> {
    let keys: Vec<String> = section.keys();
    keys.into_iter()
        .map(|key| {
            name::parse_namespace(&key)
                .map_err(|why| section.key_error(&key, format!("`{key}` is no namespace"), why))?;
            let defaults = parse_defaults(&section.subsection(&key)?)?;
            Ok((key, defaults))
        })
        .collect()
}

fn parse_defaults(section: &Section) -> Result<NamespaceDefaults> {
    section.reject_unknown_keys(&[
        "profile",
        "config",
        "token_file",
        "restart_selector",
        "key_gen_job",
        "create_admin_token_job",
        "rerun",
    ])?;
    let text = |text: &str| Ok(text.to_owned());
    let way = |text: &str| {
        let ways: Vec<&str> = Rerun::ALL.iter().map(|way| way.as_str()).collect();
        let found = Rerun::ALL.iter().copied().find(|way| way.as_str() == text);
        found.ok_or_else(|| {
            format!(
                "it is not one of {}{}",
                ways.join(", "),
                suggest_nearest(text, &ways)
            )
        })
    };
    Ok(NamespaceDefaults {
        profile: section.parse_string("profile", text)?,
        config: section.parse_path("config")?,
        token_file: section.parse_path("token_file")?,
        restart_selector: section.parse_string("restart_selector", name::parse_selector)?,
        key_gen_job: section.parse_string("key_gen_job", name::parse_job_name)?,
        create_admin_token_job: section
            .parse_string("create_admin_token_job", name::parse_job_name)?,
        rerun: section.parse_string("rerun", way)?,
    })
}

/// The known name that a misspelt one is nearest to, as the end of a sentence.
fn suggest_nearest(text: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(near, _)| *near > 0.7);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!("; did you mean `{name}`?"))
}

/// One table of the policy, or one that is not there.
struct Section<'a> {
    text: &'a str,
    /// Its keys from the root.
    path: String,
    table: Option<&'a dyn TableLike>,
    path_context: &'a PathContext<'a>,
}

impl<'a> Section<'a> {
    fn get(&self, key: &str) -> Option<&'a Item> {
        self.table.and_then(|table| table.get(key))
    }

    fn keys(&self) -> Vec<String> {
        self.table
            .map(|table| table.iter().map(|(key, _)| key.to_owned()).collect())
            .unwrap_or_default()
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn key_error(
        &self,
        key: &str,
        what: impl Into<String>,
        hint: impl Into<String>,
    ) -> PolicyError {
        let of_key = self
            .table
            .and_then(|table| table.key(key))
            .and_then(toml_edit::Key::span);
        let span = of_key.or_else(|| self.get(key).and_then(Item::span));
        PolicyError::new(self.text, span, what, hint)
    }

    /// Fails for a key that is not one of these.
    fn reject_unknown_keys(&self, known: &[&str]) -> Result<()> {
        let Some(unknown) = self
            .keys()
            .into_iter()
            .find(|key| !known.contains(&key.as_str()))
        else {
            return Ok(());
        };
        let shown = crate::text::sanitize_truncated(&self.key_path(&unknown), 80);
        let what = format!("`{shown}` is not known{}", suggest_nearest(&unknown, known));
        Err(self.key_error(&unknown, what, format!("known here: {}", known.join(", "))))
    }

    fn subsection(&self, key: &str) -> Result<Section<'a>> {
        let table = self.get(key).map(|item| {
            let wrong = || {
                self.key_error(
                    key,
                    format!("`{}` is not a table", self.key_path(key)),
                    self.table_hint(key),
                )
            };
            item.as_table_like().ok_or_else(wrong)
        });
        Ok(Section {
            text: self.text,
            path: self.key_path(key),
            table: table.transpose()?,
            path_context: self.path_context,
        })
    }

    fn table_hint(&self, key: &str) -> String {
        format!(
            "it is written as [{}], with its keys below",
            self.key_path(key)
        )
    }

    fn parse_bool(&self, key: &str) -> Result<bool> {
        let Some(item) = self.get(key) else {
            return Ok(false);
        };
        let name = self.key_path(key);
        item.as_bool().ok_or_else(|| {
            self.key_error(
                key,
                format!("`{name}` is neither true nor false"),
                "true or false",
            )
        })
    }

    /// A string that means something.
    fn parse_string<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let text = item
            .as_str()
            .ok_or_else(|| self.invalid_value(key, "is not a string", "in quotation marks"))?;
        parse(text)
            .map(Some)
            .map_err(|why| self.invalid_value(key, "does not make sense", &why))
    }

    fn parse_list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<Vec<T>>> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let wrong =
            || self.invalid_value(key, "is not a list of strings", &format!("{key} = [\"…\"]"));
        let array = item.as_array().ok_or_else(wrong)?;
        let of = |value: &Value| {
            let text = value.as_str().ok_or_else(wrong)?;
            let shown = crate::text::sanitize_truncated(text, 80);
            parse(text).map_err(|why| self.invalid_value(key, &format!("holds `{shown}`"), &why))
        };
        array.iter().map(of).collect::<Result<Vec<T>>>().map(Some)
    }

    fn invalid_value(&self, key: &str, what: &str, hint: &str) -> PolicyError {
        self.key_error(key, format!("`{}` {what}", self.key_path(key)), hint)
    }

    fn parse_path(&self, key: &str) -> Result<Option<PathBuf>> {
        let path = |text: &str| {
            match (text.strip_prefix("~/"), self.path_context.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => {
                Err("no home directory is known: HOME where the policy is not locked, else the account's".to_owned())
            }
            (None, _) if text.is_empty() => Err(format!("a path, absolute or as seen from {FILE_NAME}")),
            (None, _) if text.starts_with('~') => Err("only `~/` stands for a home directory".to_owned()),
            (None, _) => Ok(self.path_context.directory.join(text)),
        }
        };
        self.parse_string(key, path)
    }
}
