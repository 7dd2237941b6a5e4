//! Edits influxctl's `config.toml`: text in, edited text out.
//!
//! The file belongs to the user, so this module never serialises it. `toml_edit` parses the text
//! and reports positions. [`Splice`]s change the text there. Then the module parses the result and
//! compares it with the original as data. It refuses an edit that differs in more than one key.
//!
//! Rules of the edits:
//! - [`enable_token_file`] appends a new `[profile.auth.token]` to the profile, after a blank line.
//!   Comment lines directly after the last line of the profile belong to the profile, unless a
//!   header follows directly. A comment after a blank line ends up below the new section.
//! - In an `auth` with inline tables or dotted keys, the new key has the same form.
//! - [`disable_token_file`] removes exactly the text that [`enable_token_file`] inserted. It keeps
//!   the user's comment lines within the section, but not a comment on a removed line.
//! - It also removes an `auth` that contains nothing but the section. To mark an `auth` that was
//!   empty before, [`enable_token_file`] inserts a dotted `token.token_file` there. In an empty
//!   `token` it inserts a quoted `"token_file"`, for the same reason.
//! - [`disable_token_file`] sets a former value again, if the caller knows one from the audit log.
//!
//! Sources: <https://docs.influxdata.com/influxdb3/clustered/reference/cli/influxctl/> for the
//! keys, and "Use the admin token" in the same documentation for the section.

mod create;
mod data;
mod edit;
mod error;
mod insert;
mod model;
mod newer_syntax;
mod node;
mod quote;
mod read;
mod remove;
#[cfg(test)]
mod tests;

pub use edit::ConfigEdit;
pub use error::ConfigError;
pub use model::{Profile, Tls, TokenFileChange};
pub use newer_syntax::find_newer_syntax;

use node::TokenFilePath;
use quote::to_basic_string;
use regex::Regex;
use std::sync::LazyLock;

/// Reads all profiles in the order of the file. Two can have the same name.
///
/// # Errors
/// [`ConfigError::Syntax`], and [`ConfigError::Shape`] if a key of any profile has a type that
/// influxctl cannot read.
pub fn list_profiles(text: &str) -> Result<Vec<Profile>, ConfigError> {
    let document = node::parse_document(text)?;
    node::collect_profiles(text, &document)?
        .iter()
        .map(|profile| read::read_profile(text, profile))
        .collect()
}

/// Reads the profile of a name. Of the other profiles it reads only the names.
///
/// # Errors
/// Those of [`list_profiles`], [`ConfigError::NoProfiles`], [`ConfigError::NoSuchProfile`] and
/// [`ConfigError::DuplicateProfile`].
pub fn find_profile(text: &str, name: &str) -> Result<Profile, ConfigError> {
    let document = node::parse_document(text)?;
    let (_, profile) = node::locate_profile(text, &document, name)?;
    read::read_profile(text, &profile)
}

/// Lists every key with the kind of its value, such as `profile[0].port: string`, and no value.
///
/// # Errors
/// [`ConfigError::Syntax`], and [`ConfigError::Shape`] if the tables are nested too deeply.
pub fn list_keys(text: &str) -> Result<Vec<String>, ConfigError> {
    data::list_keys(text)
}

/// Sets `auth.token.token_file` of a profile. Changes nothing if it has this value in any form.
///
/// # Errors
/// Those of [`find_profile`], [`ConfigError::NotClustered`] for another product, and
/// [`ConfigError::UnsafeEdit`] if anything else would change. The product can be missing.
pub fn enable_token_file(
    text: &str,
    name: &str,
    token_file: &str,
) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let (index, profile) = node::locate_profile(text, &document, name)?;
    let data = read::read_profile(text, &profile)?;
    if let Some(product) = data
        .product
        .filter(|product| !product.eq_ignore_ascii_case("clustered"))
    {
        let name = data.name;
        return Err(ConfigError::NotClustered { name, product });
    }
    let path = TokenFilePath::from_profile(text, profile)?;
    let splices = insert::insert_splices(text, &path, token_file)?;
    let change = TokenFileChange {
        profile: name.to_owned(),
        before: path.recordable_token_file(text),
        after: Some(to_basic_string(token_file)),
    };
    let edit = ConfigEdit::new(text, splices, change);
    data::check_enabled(&document, &edit.text, index, token_file)?;
    Ok(edit)
}

/// Sets `token_file` of a profile of any product to its `former` value, a TOML string.
///
/// Without a former value, it removes the key, with its section and `auth` if they contain nothing
/// else and existed only for the key. Changes nothing if the profile has no `token_file`.
///
/// # Errors
/// Those of [`find_profile`] for the tables that contain the key, and [`ConfigError::UnsafeEdit`]
/// if anything else would change.
pub fn disable_token_file(
    text: &str,
    name: &str,
    former: Option<&str>,
) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let (index, profile) = node::locate_profile(text, &document, name)?;
    let path = TokenFilePath::from_profile(text, profile)?;
    let former = former.filter(|former| quote::parse_string(former).is_some());
    let splices = match former {
        Some(former) => insert::replace_value(&path, former)?,
        None => remove::remove_splices(text, &path)?,
    };
    let change = TokenFileChange {
        profile: name.to_owned(),
        before: path.recordable_token_file(text),
        after: former.map(str::to_owned),
    };
    let edit = ConfigEdit::new(text, splices, change);
    match former.and_then(quote::parse_string) {
        _ if edit.is_noop() => {}
        Some(former) => data::check_enabled(&document, &edit.text, index, &former)?,
        None => data::check_disabled(&document, &edit.text, index, path.keeps_token(text))?,
    }
    Ok(edit)
}

/// Appends a profile for InfluxDB Clustered with its token section, indented like the last profile.
/// `text` is empty if the file does not exist yet.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Shape`] for invalid profiles,
/// [`ConfigError::ProfileExists`], and [`ConfigError::UnsafeEdit`] if anything else would change.
pub fn create_profile(
    text: &str,
    name: &str,
    host: &str,
    port: &str,
    token_file: &str,
) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let profiles = node::collect_profiles(text, &document)?;
    for profile in &profiles {
        if node::read_profile_name(text, profile)? == name {
            return Err(ConfigError::ProfileExists { name: name.into() });
        }
    }
    let new = create::NewProfile {
        name,
        host,
        port,
        token_file,
    };
    let change = TokenFileChange {
        profile: name.to_owned(),
        before: None,
        after: Some(to_basic_string(token_file)),
    };
    let splices = create::create_splices(text, &document, &profiles, &new);
    let edit = ConfigEdit::new(text, splices, change);
    data::check_created(&document, &edit.text, &new)?;
    Ok(edit)
}

/// Renders the throwaway configuration of a token probe.
///
/// Its only profile `default` has the product `clustered`, the profile's host, port and TLS
/// settings, and the token file. It has no OAuth2 and no other secret that influxctl could use
/// instead.
pub fn render_probe_config(profile: &Profile, token_file: &str) -> String {
    let mut lines = vec![
        "[[profile]]".to_owned(),
        "name = \"default\"".to_owned(),
        "product = \"clustered\"".to_owned(),
    ];
    let string = |key: &str, value: &Option<String>| {
        let value = value.as_deref()?;
        Some(format!("{key} = {}", to_basic_string(value)))
    };
    let boolean = |key: &str, value: Option<bool>| value.map(|value| format!("{key} = {value}"));
    lines.extend(string("host", &profile.host));
    lines.extend(string("port", &profile.port));
    let tls = &profile.tls;
    if *tls != Tls::default() {
        lines.extend([String::new(), "[profile.tls]".to_owned()]);
        lines.extend(boolean("insecure", tls.insecure));
        lines.extend(boolean("disable", tls.disable));
        lines.extend(string("cert", &tls.cert));
        lines.extend(string("key", &tls.key));
        lines.extend(string("ca", &tls.ca));
    }
    lines.extend([String::new(), "[profile.auth.token]".to_owned()]);
    lines.push(format!("token_file = {}", to_basic_string(token_file)));
    lines.push(String::new());
    lines.join("\n")
}

/// Returns whether a configuration can contain a secret, so that the audit log omits its digest.
///
/// Secrets are the values of `client_secret`, `mgmt_token` and the database's `token`. Any text
/// that resembles one of these keys counts.
#[must_use]
pub fn can_hold_secret(text: &str) -> bool {
    static TOKEN_KEY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(^|[^A-Za-z0-9_-])"?token"?\s*="#).expect("the pattern is a constant")
    });
    text.contains("client_secret") || text.contains("mgmt_token") || TOKEN_KEY.is_match(text)
}
