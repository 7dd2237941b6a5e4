//! A policy's text as data. What is not known is an error: a guard that is misspelt must not be no guard.

use super::{
    Audit, Defaults, FILE_NAME, GUARDED, Guard, Pin, Policy, PolicyError, Production, Tools,
};
use crate::procedure::revoke::Rerun;
use crate::tool;
use crate::tool::kubectl::name;
use regex::Regex;
use semver::{Prerelease, VersionReq};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml_edit::{Document, Item, TableLike, Value};

/// What a path in a policy is relative to.
#[derive(Clone, Copy)]
pub struct Places<'a> {
    /// Where the policy is.
    pub directory: &'a Path,
    /// HOME, for `~/`.
    pub home: Option<&'a Path>,
    /// The home directory of the account, for `~/` in a locked policy.
    pub account_home: Option<&'a Path>,
}

type Result<T> = std::result::Result<T, PolicyError>;

pub(super) fn policy(text: &str, places: &Places) -> Result<Policy> {
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
        places,
    };
    // What is locked does not depend on a variable.
    let locked = root.flag("locked")?;
    let places = &Places {
        home: if locked {
            places.account_home
        } else {
            places.home
        },
        ..*places
    };
    let root = Section { places, ..root };
    root.knows(&["locked", "tools", "guard", "audit", "namespaces"])?;
    Ok(Policy {
        locked,
        tools: tools(&root.section("tools")?)?,
        guard: guard(&root.section("guard")?)?,
        audit: audit(&root.section("audit")?)?,
        namespaces: namespaces(&root.section("namespaces")?)?,
    })
}

fn tools(section: &Section) -> Result<Tools> {
    section.knows(&["require_pins", "kubectl", "influxctl"])?;
    Ok(Tools {
        require_pins: section.flag("require_pins")?,
        kubectl: pin(&section.section("kubectl")?)?,
        influxctl: pin(&section.section("influxctl")?)?,
    })
}

fn pin(section: &Section) -> Result<Pin> {
    section.knows(&["path", "version", "sha256"])?;
    Ok(Pin {
        path: section.path("path")?,
        version: section.parsed("version", requirement)?,
        sha256: digests(section)?,
    })
}

/// An empty list looks like a pin, and would be none.
fn digests(section: &Section) -> Result<Vec<String>> {
    match section.list("sha256", tool::sha256)? {
        Some(none) if none.is_empty() => Err(section.wrong(
            "sha256",
            "is empty",
            "`bypassctl tools pin` prints what to put there; or leave it out",
        )),
        digests => Ok(digests.unwrap_or_default()),
    }
}

/// As Cargo writes them. Vendors' suffixes (`-eks-…`, `-dispatcher`) would be taken for pre-releases, older than the
/// release; the tools' versions are compared without them as well.
fn requirement(text: &str) -> std::result::Result<VersionReq, String> {
    let digits = regex::Regex::new(r"\bv(\d)")
        .expect("the pattern is a constant")
        .replace_all(text, "$1");
    let mut requirement: VersionReq = digits.parse().map_err(|error| {
        format!("it is no version requirement such as `=1.34.5` or `>=1.30, <1.36`: {error}")
    })?;
    for comparator in &mut requirement.comparators {
        comparator.pre = Prerelease::EMPTY;
    }
    Ok(requirement)
}

fn guard(section: &Section) -> Result<Guard> {
    section.knows(&["production", "require_plan", "require_reason"])?;
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
        production: production(&section.section("production")?)?,
        require_plan: require_plan(section)?,
        require_reason: section.parsed("require_reason", pattern)?,
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
fn require_plan(section: &Section) -> Result<Vec<String>> {
    if section
        .get("require_plan")
        .is_some_and(|item| item.as_bool().is_some())
    {
        let all = GUARDED.iter().map(|command| (*command).to_owned());
        return Ok(if section.flag("require_plan")? {
            all.collect()
        } else {
            Vec::new()
        });
    }
    let command = |text: &str| match GUARDED.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "it is not one of {}{}",
            GUARDED.join(", "),
            nearest(text, GUARDED)
        )),
    };
    Ok(section.list("require_plan", command)?.unwrap_or_default())
}

fn production(section: &Section) -> Result<Production> {
    section.knows(&["context", "namespace", "server"])?;
    let pattern = |text: &str| match text {
        "" => Err("an empty pattern matches nothing".to_owned()),
        text => Ok(text.to_owned()),
    };
    Ok(Production {
        context: section.list("context", pattern)?,
        namespace: section.list("namespace", pattern)?,
        server: section.list("server", pattern)?,
    })
}

fn audit(section: &Section) -> Result<Audit> {
    section.knows(&["file", "require"])?;
    let audit = Audit {
        file: section.path("file")?,
        require: section.flag("require")?,
    };
    if audit.require && audit.file.is_none() {
        return Err(section.error(
            "require",
            "`audit.require` needs `audit.file`",
            "say where the record is to be",
        ));
    }
    Ok(audit)
}

fn namespaces(section: &Section) -> Result<BTreeMap<String, Defaults>> {
    let keys: Vec<String> = section.keys();
    keys.into_iter()
        .map(|key| {
            name::namespace(&key)
                .map_err(|why| section.error(&key, format!("`{key}` is no namespace"), why))?;
            let defaults = defaults(&section.section(&key)?)?;
            Ok((key, defaults))
        })
        .collect()
}

fn defaults(section: &Section) -> Result<Defaults> {
    section.knows(&[
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
                nearest(text, &ways)
            )
        })
    };
    Ok(Defaults {
        profile: section.parsed("profile", text)?,
        config: section.path("config")?,
        token_file: section.path("token_file")?,
        restart_selector: section.parsed("restart_selector", name::selector)?,
        key_gen_job: section.parsed("key_gen_job", name::job)?,
        create_admin_token_job: section.parsed("create_admin_token_job", name::job)?,
        rerun: section.parsed("rerun", way)?,
    })
}

/// The known name that a misspelt one is nearest to, as the end of a sentence.
fn nearest(text: &str, known: &[&str]) -> String {
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
    places: &'a Places<'a>,
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

    fn named(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn error(&self, key: &str, what: impl Into<String>, hint: impl Into<String>) -> PolicyError {
        let of_key = self
            .table
            .and_then(|table| table.key(key))
            .and_then(toml_edit::Key::span);
        let span = of_key.or_else(|| self.get(key).and_then(Item::span));
        PolicyError::new(self.text, span, what, hint)
    }

    /// Fails for a key that is not one of these.
    fn knows(&self, known: &[&str]) -> Result<()> {
        let Some(unknown) = self
            .keys()
            .into_iter()
            .find(|key| !known.contains(&key.as_str()))
        else {
            return Ok(());
        };
        let shown = tool::invocation::printable(&self.named(&unknown), 80);
        let what = format!("`{shown}` is not known{}", nearest(&unknown, known));
        Err(self.error(&unknown, what, format!("known here: {}", known.join(", "))))
    }

    fn section(&self, key: &str) -> Result<Section<'a>> {
        let table = self.get(key).map(|item| {
            let wrong = || {
                self.error(
                    key,
                    format!("`{}` is not a table", self.named(key)),
                    self.as_table(key),
                )
            };
            item.as_table_like().ok_or_else(wrong)
        });
        Ok(Section {
            text: self.text,
            path: self.named(key),
            table: table.transpose()?,
            places: self.places,
        })
    }

    fn as_table(&self, key: &str) -> String {
        format!(
            "it is written as [{}], with its keys below",
            self.named(key)
        )
    }

    fn flag(&self, key: &str) -> Result<bool> {
        let Some(item) = self.get(key) else {
            return Ok(false);
        };
        let name = self.named(key);
        item.as_bool().ok_or_else(|| {
            self.error(
                key,
                format!("`{name}` is neither true nor false"),
                "true or false",
            )
        })
    }

    /// A string that means something.
    fn parsed<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let text = item
            .as_str()
            .ok_or_else(|| self.wrong(key, "is not a string", "in quotation marks"))?;
        parse(text)
            .map(Some)
            .map_err(|why| self.wrong(key, "does not make sense", &why))
    }

    fn list<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<Vec<T>>> {
        let Some(item) = self.get(key) else {
            return Ok(None);
        };
        let wrong = || self.wrong(key, "is not a list of strings", &format!("{key} = [\"…\"]"));
        let array = item.as_array().ok_or_else(wrong)?;
        let of = |value: &Value| {
            let text = value.as_str().ok_or_else(wrong)?;
            let shown = tool::invocation::printable(text, 80);
            parse(text).map_err(|why| self.wrong(key, &format!("holds `{shown}`"), &why))
        };
        array.iter().map(of).collect::<Result<Vec<T>>>().map(Some)
    }

    fn wrong(&self, key: &str, what: &str, hint: &str) -> PolicyError {
        self.error(key, format!("`{}` {what}", self.named(key)), hint)
    }

    fn path(&self, key: &str) -> Result<Option<PathBuf>> {
        let path = |text: &str| {
            match (text.strip_prefix("~/"), self.places.home) {
            (Some(rest), Some(home)) => Ok(home.join(rest)),
            (Some(_), None) => {
                Err("no home directory is known: HOME where the policy is not locked, else the account's".to_owned())
            }
            (None, _) if text.is_empty() => Err(format!("a path, absolute or as seen from {FILE_NAME}")),
            (None, _) if text.starts_with('~') => Err("only `~/` stands for a home directory".to_owned()),
            (None, _) => Ok(self.places.directory.join(text)),
        }
        };
        self.parsed(key, path)
    }
}
