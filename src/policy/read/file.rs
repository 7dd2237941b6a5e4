//! The keys and types of a policy file.

use crate::policy::error::PolicyError;
use crate::text::sanitize_truncated;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use toml::Spanned;

/// Renamed keys: the former path, the error for it.
const RENAMED_KEYS: &[(&str, &str)] = &[("audit.require", "`require` in [audit] is now `enforce`")];

/// Longer messages of the parser are cut, because they can quote a key of any length.
const MAX_MESSAGE_CHARS: usize = 400;

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PolicyFile {
    pub(super) locked: bool,
    pub(super) tools: Table<ToolsSection>,
    pub(super) guard: Table<GuardSection>,
    pub(super) audit: Table<AuditSection>,
    pub(super) namespaces: BTreeMap<String, Spanned<Table<NamespaceSection>>>,
    pub(super) targets: BTreeMap<String, Spanned<Table<TargetSection>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ToolsSection {
    pub(super) require_pins: bool,
    pub(super) kubectl: Table<PinSection>,
    pub(super) influxctl: Table<PinSection>,
    pub(super) delivery: Table<DeliverySection>,
}

/// The command line of a run names the program of a delivery, so it has neither path nor version.
#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DeliverySection {
    pub(super) sha256: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PinSection {
    pub(super) path: Option<Spanned<String>>,
    pub(super) version: Option<Spanned<String>>,
    pub(super) sha256: Option<Spanned<Vec<Spanned<String>>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GuardSection {
    pub(super) production: Table<ProductionSection>,
    pub(super) require_plan: PlanRequirement,
    pub(super) require_reason: Option<Spanned<String>>,
    pub(super) delete_by_uid: bool,
    pub(super) prune_clones: bool,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ProductionSection {
    pub(super) context: Option<Vec<Spanned<String>>>,
    pub(super) namespace: Option<Vec<Spanned<String>>>,
    pub(super) server: Option<Vec<Spanned<String>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AuditSection {
    pub(super) file: Option<Spanned<String>>,
    pub(super) enforce: Option<Spanned<bool>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct NamespaceSection {
    pub(super) profile: Option<String>,
    pub(super) config: Option<Spanned<String>>,
    pub(super) token_file: Option<Spanned<String>>,
    pub(super) restart_selector: Option<Spanned<String>>,
    pub(super) ignored_key_users: Option<Vec<Spanned<String>>>,
    pub(super) key_gen_job: Option<Spanned<String>>,
    pub(super) create_admin_token_job: Option<Spanned<String>>,
    pub(super) rerun: Option<Spanned<String>>,
}

/// The keys of [`NamespaceSection`], with context and namespace. serde's `flatten` would lose the
/// lines.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TargetSection {
    pub(super) context: Spanned<String>,
    pub(super) namespace: Spanned<String>,
    profile: Option<String>,
    config: Option<Spanned<String>>,
    token_file: Option<Spanned<String>>,
    restart_selector: Option<Spanned<String>>,
    ignored_key_users: Option<Vec<Spanned<String>>>,
    key_gen_job: Option<Spanned<String>>,
    create_admin_token_job: Option<Spanned<String>>,
    rerun: Option<Spanned<String>>,
}

impl TargetSection {
    /// Returns the keys that are also keys of a namespace.
    pub(super) fn into_namespace_section(self) -> NamespaceSection {
        NamespaceSection {
            profile: self.profile,
            config: self.config,
            token_file: self.token_file,
            restart_selector: self.restart_selector,
            ignored_key_users: self.ignored_key_users,
            key_gen_job: self.key_gen_job,
            create_admin_token_job: self.create_admin_token_job,
            rerun: self.rerun,
        }
    }
}

/// A table and nothing else. serde accepts a list of the values of a struct as well.
#[derive(Default)]
pub(super) struct Table<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Table<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TableVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for TableVisitor<T> {
            type Value = Table<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, keys: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(keys)).map(Table)
            }
        }

        deserializer.deserialize_map(TableVisitor(PhantomData))
    }
}

/// `require_plan`, either for all commands or for some.
///
/// An untagged enum would lose the spans of the commands.
pub(super) enum PlanRequirement {
    All(bool),
    Commands(Vec<Spanned<String>>),
}

impl Default for PlanRequirement {
    fn default() -> Self {
        Self::All(false)
    }
}

impl<'de> Deserialize<'de> for PlanRequirement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PlanRequirementVisitor;

        impl<'de> Visitor<'de> for PlanRequirementVisitor {
            type Value = PlanRequirement;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a boolean or a list of commands")
            }

            fn visit_bool<E>(self, all: bool) -> Result<Self::Value, E> {
                Ok(PlanRequirement::All(all))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, commands: A) -> Result<Self::Value, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(commands))
                    .map(PlanRequirement::Commands)
            }
        }

        deserializer.deserialize_any(PlanRequirementVisitor)
    }
}

/// Reads the file without interpreting its strings.
pub(super) fn parse_file(text: &str) -> Result<PolicyFile, PolicyError> {
    let syntax_error = |error: toml::de::Error| {
        // The message continues with a quoted line of the file.
        let reason = error.message().lines().next().unwrap_or_default();
        let message = format!(
            "not valid TOML: {}",
            sanitize_truncated(reason, MAX_MESSAGE_CHARS)
        );
        PolicyError::new(text, error.span(), message, "fix that line")
    };
    let document = toml::de::Deserializer::parse(text).map_err(syntax_error)?;
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = format_path(error.path());
        let (message, hint) = describe_error(&path, error.inner().message());
        let message = sanitize_truncated(&message, MAX_MESSAGE_CHARS);
        PolicyError::new(text, error.inner().span(), message, hint)
    })
}

/// Formats the keys on a path. The fields of `Spanned` and positions in lists are not keys.
fn format_path(path: &serde_path_to_error::Path) -> String {
    let keys = path.iter().filter_map(|segment| match segment {
        serde_path_to_error::Segment::Map { key } if !key.starts_with("$__") => Some(key.as_str()),
        _ => None,
    });
    keys.collect::<Vec<_>>().join(".")
}

/// Returns message and hint for an error of serde.
///
/// serde reports an error as text only. Text of an unforeseen form becomes the message as it is.
fn describe_error(path: &str, error: &str) -> (String, String) {
    let renamed = RENAMED_KEYS.iter().find(|(former, _)| *former == path);
    if let Some((_, message)) = renamed {
        return ((*message).to_owned(), "rename the key".to_owned());
    }
    if let Some(key) = error.strip_prefix("missing field ") {
        return (format!("`{path}` has no {key}"), "add the key".to_owned());
    }
    let (problem, expected) = error.split_once(", expected ").unwrap_or((error, ""));
    let unknown_key = problem
        .strip_prefix("unknown field `")
        .and_then(|rest| rest.strip_suffix('`'));
    if let Some(key) = unknown_key {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let message = format!("unknown key `{path}`{}", suggest_nearest(key, &known));
        return (message, format!("write one of {}", known.join(", ")));
    }
    let hint = match expected {
        "" => "fix that line".to_owned(),
        "a map" => "write a table".to_owned(),
        "a sequence" => "write a list of strings".to_owned(),
        expected => format!("write {expected}"),
    };
    (format!("`{path}`: {problem}"), hint)
}

/// Returns the most similar known name, as the end of a message.
pub(super) fn suggest_nearest(text: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(text, name), name))
        .filter(|(similarity, _)| *similarity > 0.7);
    near.max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(String::new, |(_, name)| format!(", did you mean `{name}`?"))
}
