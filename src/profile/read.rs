//! Reads the keys of a profile.

use toml_edit::{Item, Value};

use super::error::ConfigError;
use super::model::{Profile, Tls};
use super::node::{self, Node, TokenFilePath, shape_error};
use crate::splice::Lines;

/// Reads one profile. A type that influxctl cannot read is an error.
pub(super) fn read_profile(text: &str, profile: &Node<'_>) -> Result<Profile, ConfigError> {
    let path = TokenFilePath::from_profile(text, profile.clone())?;
    let oauth2 = match &path.auth {
        Some(auth) => auth.child(text, "oauth2", "`auth.oauth2` is not a table")?,
        None => None,
    };
    Ok(Profile {
        name: node::read_profile_name(text, profile)?.to_owned(),
        product: read_string(text, profile, "product", "`product` is not a string")?,
        host: read_string(text, profile, "host", "`host` is not a string")?,
        port: read_port(text, profile)?,
        tls: read_tls(text, profile)?,
        token_file: path.token_file.and_then(Value::as_str).map(str::to_owned),
        has_oauth2: oauth2.is_some(),
        client_secret_line: oauth2.and_then(|oauth2| find_key_line(text, &oauth2, "client_secret")),
        has_mgmt_token: is_set(profile, "mgmt_token"),
    })
}

fn read_tls(text: &str, profile: &Node<'_>) -> Result<Tls, ConfigError> {
    let Some(tls) = profile.child(text, "tls", "`tls` is not a table")? else {
        return Ok(Tls::default());
    };
    Ok(Tls {
        insecure: read_bool(text, &tls, "insecure", "`tls.insecure` is not a boolean")?,
        disable: read_bool(text, &tls, "disable", "`tls.disable` is not a boolean")?,
        cert: read_string(text, &tls, "cert", "`tls.cert` is not a string")?,
        key: read_string(text, &tls, "key", "`tls.key` is not a string")?,
        ca: read_string(text, &tls, "ca", "`tls.ca` is not a string")?,
    })
}

fn read_port(text: &str, profile: &Node<'_>) -> Result<Option<String>, ConfigError> {
    match profile.table.get("port").and_then(Item::as_integer) {
        Some(port) => Ok(Some(port.to_string())),
        None => read_string(
            text,
            profile,
            "port",
            "`port` is neither a string nor an integer",
        ),
    }
}

fn read_string(
    text: &str,
    node: &Node<'_>,
    key: &str,
    message: &'static str,
) -> Result<Option<String>, ConfigError> {
    let Some(item) = node.table.get(key) else {
        return Ok(None);
    };
    let value = item
        .as_str()
        .ok_or_else(|| shape_error(text, item, message))?;
    Ok(Some(value.to_owned()))
}

fn read_bool(
    text: &str,
    node: &Node<'_>,
    key: &str,
    message: &'static str,
) -> Result<Option<bool>, ConfigError> {
    let Some(item) = node.table.get(key) else {
        return Ok(None);
    };
    item.as_bool()
        .map(Some)
        .ok_or_else(|| shape_error(text, item, message))
}

/// Returns the line of a key. Its value can be empty, because an unknown key is an error anyway.
fn find_key_line(text: &str, node: &Node<'_>, key: &str) -> Option<usize> {
    let (key, _) = node.table.get_key_value(key)?;
    Some(Lines(text).line_number(key.span()?.start))
}

/// Returns whether a secret is set. An empty string is a template, not a secret.
fn is_set(node: &Node<'_>, key: &str) -> bool {
    node.table
        .get(key)
        .is_some_and(|item| item.as_str() != Some(""))
}
