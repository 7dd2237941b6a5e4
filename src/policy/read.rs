//! Reads a policy.
//!
//! Unknown keys are errors, because a misspelt guard must not be a missing guard.

mod file;

use super::error::PolicyError;
use super::model::{
    AuditPolicy, FILE_NAME, GUARDABLE_COMMANDS, Guard, NamedTarget, NamespaceDefaults, PathContext,
    Policy, ProductionPatterns, ToolPin, ToolPolicy,
};
use crate::procedure::revoke::Rerun;
use crate::text::sanitize_truncated;
use crate::tool;
use crate::tool::kubectl::name;
use file::{
    AuditSection, GuardSection, NamespaceSection, PinSection, PlanRequirement, ProductionSection,
    Table, TargetSection,
};
use regex::Regex;
use semver::{Prerelease, VersionReq};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;
use toml::Spanned;

type Result<T> = std::result::Result<T, PolicyError>;

/// Parses the text of a policy.
///
/// # Errors
/// A [`PolicyError`] with the line, for invalid TOML, keys, types and values.
pub fn parse_policy(text: &str, context: &PathContext) -> Result<Policy> {
    let file = file::parse_file(text)?;
    // A variable must not change the meaning of a locked policy.
    let home = if file.locked {
        context.account_home
    } else {
        context.home
    };
    let reader = Reader {
        text,
        context: &PathContext { home, ..*context },
    };
    let namespaces = file.namespaces.into_iter().map(|(name, section)| {
        if let Err(hint) = name::parse_namespace(&name) {
            let message = format!("invalid namespace `{}`", sanitize_truncated(&name, 80));
            return Err(PolicyError::new(text, Some(section.span()), message, hint));
        }
        let section_name = format!("namespaces.{name}");
        let defaults = reader.namespace_defaults(&section_name, section.into_inner().0)?;
        Ok((name, defaults))
    });
    let namespaces: BTreeMap<_, _> = namespaces.collect::<Result<_>>()?;
    let targets = file.targets.into_iter().map(|(name, section)| {
        let target = reader.target(&name, section, &namespaces)?;
        Ok((name, target))
    });
    let targets = targets.collect::<Result<_>>()?;
    let tools = file.tools.0;
    Ok(Policy {
        locked: file.locked,
        tools: ToolPolicy {
            require_pins: tools.require_pins,
            kubectl: reader.tool_pin("tools.kubectl", tools.kubectl.0)?,
            influxctl: reader.tool_pin("tools.influxctl", tools.influxctl.0)?,
            delivery: ToolPin {
                sha256: reader.digests("tools.delivery.sha256", tools.delivery.0.sha256)?,
                ..ToolPin::default()
            },
        },
        guard: reader.guard(file.guard.0)?,
        audit: reader.audit(file.audit.0)?,
        namespaces,
        targets,
    })
}

/// Converts the strings of a policy file. Errors quote the value and name the key and the line.
struct Reader<'a> {
    text: &'a str,
    context: &'a PathContext<'a>,
}

impl Reader<'_> {
    fn tool_pin(&self, section: &str, pin: PinSection) -> Result<ToolPin> {
        let key = |key: &str| format!("{section}.{key}");
        Ok(ToolPin {
            path: self.optional_path(&key("path"), pin.path)?,
            version: self.optional(&key("version"), pin.version, parse_version_requirement)?,
            sha256: self.digests(&key("sha256"), pin.sha256)?,
        })
    }

    fn digests(
        &self,
        key: &str,
        digests: Option<Spanned<Vec<Spanned<String>>>>,
    ) -> Result<Vec<String>> {
        let Some(digests) = digests else {
            return Ok(Vec::new());
        };
        // An empty list looks like a pin, but would pin nothing.
        if digests.get_ref().is_empty() {
            return Err(PolicyError::new(
                self.text,
                Some(digests.span()),
                format!("`{key}` is empty"),
                "remove the key, or list the accepted digests",
            ));
        }
        self.list(key, digests.into_inner(), tool::parse_sha256)
    }

    fn guard(&self, guard: GuardSection) -> Result<Guard> {
        let require_plan = match guard.require_plan {
            PlanRequirement::All(true) => GUARDABLE_COMMANDS
                .iter()
                .map(|command| (*command).to_owned())
                .collect(),
            PlanRequirement::All(false) => Vec::new(),
            PlanRequirement::Commands(commands) => {
                self.list("guard.require_plan", commands, parse_guardable_command)?
            }
        };
        Ok(Guard {
            production: self.production(guard.production.0)?,
            require_plan,
            require_reason: self.optional(
                "guard.require_reason",
                guard.require_reason,
                parse_reason_pattern,
            )?,
            delete_by_uid: guard.delete_by_uid,
            prune_clones: guard.prune_clones,
        })
    }

    fn production(&self, production: ProductionSection) -> Result<ProductionPatterns> {
        let patterns = |key: &str, patterns: Option<Vec<Spanned<String>>>| {
            let key = format!("guard.production.{key}");
            patterns
                .map(|patterns| self.list(&key, patterns, parse_name_pattern))
                .transpose()
        };
        Ok(ProductionPatterns {
            context: patterns("context", production.context)?,
            namespace: patterns("namespace", production.namespace)?,
            server: patterns("server", production.server)?,
        })
    }

    fn audit(&self, audit: AuditSection) -> Result<AuditPolicy> {
        let file = self.optional_path("audit.file", audit.file)?;
        match audit.enforce {
            Some(enforce) if *enforce.get_ref() && file.is_none() => Err(PolicyError::new(
                self.text,
                Some(enforce.span()),
                "`audit.enforce` needs `audit.file`",
                "set `file` in [audit] to the path of the audit log",
            )),
            enforce => Ok(AuditPolicy {
                file,
                enforce: enforce.is_some_and(Spanned::into_inner),
            }),
        }
    }

    fn target(
        &self,
        name: &str,
        section: Spanned<Table<TargetSection>>,
        namespaces: &BTreeMap<String, NamespaceDefaults>,
    ) -> Result<NamedTarget> {
        let span = section.span();
        let invalid = |message: String, hint: &str| {
            Err(PolicyError::new(
                self.text,
                Some(span.clone()),
                message,
                hint,
            ))
        };
        if name.is_empty() || name.chars().any(char::is_control) {
            let message = format!("invalid target `{}`", sanitize_truncated(name, 80));
            return invalid(message, "write a name without control characters");
        }
        let section = section.into_inner().0;
        let section_name = format!("targets.{name}");
        let key = |key: &str| format!("{section_name}.{key}");
        let context = self.parse(&key("context"), &section.context, parse_context)?;
        let namespace = self.parse(&key("namespace"), &section.namespace, name::parse_namespace)?;
        let defaults = self.namespace_defaults(&section_name, section.into_namespace_section())?;
        let own_name = NamespaceDefaults {
            profile: Some(name.to_owned()),
            ..NamespaceDefaults::default()
        };
        let inherited = namespaces.get(&namespace).cloned().unwrap_or_default();
        Ok(NamedTarget {
            defaults: defaults.or(own_name).or(inherited),
            context,
            namespace,
        })
    }

    fn namespace_defaults(
        &self,
        section: &str,
        defaults: NamespaceSection,
    ) -> Result<NamespaceDefaults> {
        let key = |key: &str| format!("{section}.{key}");
        Ok(NamespaceDefaults {
            profile: defaults.profile,
            config: self.optional_path(&key("config"), defaults.config)?,
            token_file: self.optional_path(&key("token_file"), defaults.token_file)?,
            restart_selector: self.optional(
                &key("restart_selector"),
                defaults.restart_selector,
                name::parse_selector,
            )?,
            ignored_key_users: defaults
                .ignored_key_users
                .map(|users| self.list(&key("ignored_key_users"), users, name::parse_label))
                .transpose()?,
            key_gen_job: self.optional(
                &key("key_gen_job"),
                defaults.key_gen_job,
                name::parse_job_name,
            )?,
            create_admin_token_job: self.optional(
                &key("create_admin_token_job"),
                defaults.create_admin_token_job,
                name::parse_job_name,
            )?,
            rerun: self.optional(&key("rerun"), defaults.rerun, parse_rerun)?,
        })
    }

    fn optional_path(&self, key: &str, value: Option<Spanned<String>>) -> Result<Option<PathBuf>> {
        self.optional(key, value, |text| resolve_path(text, self.context))
    }

    fn optional<T>(
        &self,
        key: &str,
        value: Option<Spanned<String>>,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Option<T>> {
        value
            .map(|value| self.parse(key, &value, parse))
            .transpose()
    }

    fn list<T>(
        &self,
        key: &str,
        values: Vec<Spanned<String>>,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<Vec<T>> {
        values
            .iter()
            .map(|value| self.parse(key, value, &parse))
            .collect()
    }

    /// Parses one value. The error of `parse` becomes the hint.
    fn parse<T>(
        &self,
        key: &str,
        value: &Spanned<String>,
        parse: impl Fn(&str) -> std::result::Result<T, String>,
    ) -> Result<T> {
        parse(value.get_ref()).map_err(|hint| {
            let shown = sanitize_truncated(value.get_ref(), 80);
            let message = format!("invalid value `{shown}` for `{key}`");
            PolicyError::new(self.text, Some(value.span()), message, hint)
        })
    }
}

/// Parses a version requirement as in Cargo.
///
/// Drops the suffixes of vendors (`-eks-…`, `-dispatcher`), which semver treats as pre-releases,
/// older than the release. Versions of tools are compared without suffixes, too.
fn parse_version_requirement(text: &str) -> std::result::Result<VersionReq, String> {
    static LEADING_V: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\bv(\d)").expect("the pattern is a constant"));
    let mut requirement: VersionReq =
        LEADING_V.replace_all(text, "$1").parse().map_err(|error| {
            format!("write a version requirement such as `=1.34.5` or `>=1.30, <1.36` ({error})")
        })?;
    for comparator in &mut requirement.comparators {
        comparator.pre = Prerelease::EMPTY;
    }
    Ok(requirement)
}

fn parse_reason_pattern(text: &str) -> std::result::Result<Regex, String> {
    if text.is_empty() {
        return Err("remove the key: an empty pattern matches every reason".to_owned());
    }
    Regex::new(text).map_err(|error| {
        // The lines before the last one draw the position within the pattern.
        let error = error.to_string();
        let reason = error.lines().next_back().unwrap_or_default();
        format!(
            "write a regular expression ({})",
            reason.trim_start_matches("error: ")
        )
    })
}

fn parse_guardable_command(text: &str) -> std::result::Result<String, String> {
    let found = GUARDABLE_COMMANDS.iter().find(|command| **command == text);
    found
        .map(|command| (*command).to_owned())
        .ok_or_else(|| list_choices(text, GUARDABLE_COMMANDS))
}

fn parse_context(text: &str) -> std::result::Result<String, String> {
    match text {
        "" => Err("write the name of a context in the kubeconfig".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn parse_rerun(text: &str) -> std::result::Result<Rerun, String> {
    let found = Rerun::ALL.iter().find(|rerun| rerun.as_str() == text);
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = Rerun::ALL.iter().map(|rerun| rerun.as_str()).collect();
        list_choices(text, &names)
    })
}

fn list_choices(text: &str, choices: &[&str]) -> String {
    let nearest = file::suggest_nearest(text, choices);
    format!("write one of {}{nearest}", choices.join(", "))
}

fn parse_name_pattern(text: &str) -> std::result::Result<String, String> {
    match text {
        "" => Err("remove the empty pattern: it matches nothing".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn resolve_path(text: &str, context: &PathContext) -> std::result::Result<PathBuf, String> {
    match (text.strip_prefix("~/"), context.home) {
        (Some(rest), Some(home)) => Ok(home.join(rest)),
        (Some(_), None) => Err(
            "write an absolute path: no home directory is known (HOME, or the account's if locked)"
                .to_owned(),
        ),
        (None, _) if text.is_empty() => Err(format!(
            "write an absolute path, or one relative to the directory of {FILE_NAME}"
        )),
        (None, _) if text.starts_with('~') => {
            Err("write an absolute path: `~` needs a `/` after it".to_owned())
        }
        (None, _) => Ok(context.directory.join(text)),
    }
}
