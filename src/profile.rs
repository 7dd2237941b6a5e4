//! influxctl's `config.toml`: `&str` in, edited text out, and nothing else touched.
//!
//! The file is the user's, so nothing is ever reserialised: `toml_edit` parses it and says where
//! things are, the text is spliced at those places, and the result is parsed again and compared as
//! data with the original. Whatever differs in more than the one key is an error, never an edit.
//!
//! Where things go, and what comes out again:
//! - A new `[profile.auth.token]` goes behind the last line of the profile, with one blank line
//!   before it. Comment lines that follow that last line directly belong to the profile, unless
//!   they lead straight into the next header; a comment behind a blank line stays where it is,
//!   below the new section.
//! - Where `auth` is written inline or with dotted keys, the new key is written the same way.
//! - [`disable`] takes out what [`enable`] put in, byte for byte. Comment lines that somebody wrote
//!   inside the section stay; a comment on a line that goes, goes with it.
//! - An `auth` that held nothing but the section goes too. An `auth` that was empty before
//!   [`enable`] gets the dotted `token.token_file`, which is how [`disable`] knows to leave it.
//!
//! Source of the keys: <https://docs.influxdata.com/influxdb3/clustered/reference/cli/influxctl/>;
//! of the section: "Use the admin token" in the same documentation.

mod create;
mod data;
mod edit;
mod error;
mod insert;
mod line;
mod model;
mod node;
mod quote;
mod read;
mod remove;
#[cfg(test)]
mod tests;

pub use edit::{ChangedLine, ConfigEdit, Splice};
pub use error::ConfigError;
pub use model::{Profile, Tls};

use node::TokenFilePath;
use quote::to_basic_string;
use regex::Regex;
use std::sync::LazyLock;

/// All profiles in the order of the file; none if the file has none. Two may share a name.
///
/// # Errors
/// [`ConfigError::Syntax`], and [`ConfigError::Shape`] where a key of any profile has a type that
/// influxctl could not read.
pub fn list_profiles(text: &str) -> Result<Vec<Profile>, ConfigError> {
    let document = node::parse_document(text)?;
    node::collect_profiles(text, &document)?
        .iter()
        .map(|profile| read::read_profile(text, profile))
        .collect()
}

/// The one profile of that name. Only this profile need be readable, the others only named.
///
/// # Errors
/// Those of [`profiles`], and [`ConfigError::NoProfiles`], [`ConfigError::NoSuchProfile`],
/// [`ConfigError::DuplicateProfile`].
pub fn find_profile(text: &str, name: &str) -> Result<Profile, ConfigError> {
    let document = node::parse_document(text)?;
    let (_, profile) = node::locate_profile(text, &document, name)?;
    read::read_profile(text, &profile)
}

/// Points the profile's `auth.token.token_file` at `token_file`. A no-op if it is already exactly
/// that, in whatever way it is written.
///
/// # Errors
/// Those of [`find`]; [`ConfigError::NotClustered`] if the profile names another product (a missing
/// one is allowed); [`ConfigError::Unsafe`] if the edited text would differ in anything else.
pub fn enable_token_file(
    text: &str,
    name: &str,
    token_file: &str,
) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let (index, profile) = node::locate_profile(text, &document, name)?;
    let known = read::read_profile(text, &profile)?;
    if let Some(product) = known
        .product
        .filter(|p| !p.eq_ignore_ascii_case("clustered"))
    {
        let name = known.name;
        return Err(ConfigError::NotClustered { name, product });
    }
    let path = TokenFilePath::from_profile(text, profile)?;
    let edit = ConfigEdit::new(text, insert::insert_splices(text, &path, token_file)?);
    data::check_enabled(&document, &edit.text, index, token_file)?;
    Ok(edit)
}

/// Takes `token_file` out of the profile: with its section if that holds nothing else, and with an
/// `auth` that held nothing but the section. A no-op if there is none. Any product will do.
///
/// # Errors
/// Those of [`find`], except that only the way to the key must be readable;
/// [`ConfigError::Unsafe`] if the edited text would differ in anything else.
pub fn disable_token_file(text: &str, name: &str) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let (index, profile) = node::locate_profile(text, &document, name)?;
    let path = TokenFilePath::from_profile(text, profile)?;
    let edit = ConfigEdit::new(text, remove::remove_splices(text, &path)?);
    if !edit.is_noop() {
        data::check_disabled(&document, &edit.text, index)?;
    }
    Ok(edit)
}

/// Appends a profile for InfluxDB Clustered with its token section. `text` may be empty: there is
/// no file yet. Imitates the indentation of the file's last profile.
///
/// # Errors
/// [`ConfigError::Syntax`] and [`ConfigError::Shape`] if the profiles that are there cannot be
/// listed, [`ConfigError::ProfileExists`], and [`ConfigError::Unsafe`] as for [`enable`].
pub fn create_profile(
    text: &str,
    name: &str,
    host: &str,
    port: &str,
    token_file: &str,
) -> Result<ConfigEdit, ConfigError> {
    let document = node::parse_document(text)?;
    let present = node::collect_profiles(text, &document)?;
    for profile in &present {
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
    let edit = ConfigEdit::new(
        text,
        create::create_splices(text, &document, &present, &new),
    );
    data::check_created(&document, &edit.text, &new)?;
    Ok(edit)
}

/// A throwaway configuration to try a token with: one profile `default`, product `clustered`, the
/// profile's host, port and TLS settings, and the token file. No OAuth2 and no other secret, so
/// that influxctl has nothing to fall back on.
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

/// Whether a configuration may hold a secret: then the record says nothing of its bytes. `client_secret`, `mgmt_token`
/// and the database `token` are the keys that do; a name that only looks like one is taken for one.
#[must_use]
pub fn can_hold_secret(text: &str) -> bool {
    static TOKEN_KEY: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(^|[^A-Za-z0-9_-])"?token"?\s*="#).expect("the pattern is a constant")
    });
    text.contains("client_secret") || text.contains("mgmt_token") || TOKEN_KEY.is_match(text)
}
