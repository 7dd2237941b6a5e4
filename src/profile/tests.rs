//! Tests of the edits. `⟦` and `⟧` mark the inserted or removed part of a text. Every other byte
//! must stay as it is.

mod create;
mod disable;
mod enable;
mod error;
mod properties;
mod read;
mod show;
mod unsafe_edit;

use super::*;

/// The example configuration of the control plane.
const EXAMPLE: &str = r#"# stand-in cluster
[[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"   # loopback
    port = "26444"

    [profile.tls]
        disable = true

    [profile.auth.oauth2]
        client_id = "example"
        device_url = "https://idp.invalid/device"
        token_url = "https://idp.invalid/token"
"#;

/// Returns the text without and with its marked parts.
fn expand_marks(text: &str) -> (String, String) {
    let mut without = String::new();
    for (index, part) in text.split('⟦').enumerate() {
        let rest = match part.split_once('⟧') {
            Some((_, rest)) => rest,
            None => {
                assert_eq!(index, 0, "unbalanced marks in {text}");
                part
            }
        };
        without.push_str(rest);
    }
    (without, text.replace(['⟦', '⟧'], ""))
}

/// Asserts that `enable` inserts exactly the marked parts, that `disable` removes them, and that
/// repeating each changes nothing.
#[track_caller]
fn assert_round_trip(name: &str, text: &str) {
    let (without, with) = expand_marks(text);
    let enabled = enable_token_file(&without, name, "/t").unwrap();
    assert_eq!(enabled.text, with, "enable");
    assert!(
        enable_token_file(&with, name, "/t").unwrap().is_noop(),
        "twice"
    );
    assert_eq!(
        disable_token_file(&with, name, None).unwrap().text,
        without,
        "disable"
    );
    assert!(
        disable_token_file(&without, name, None).unwrap().is_noop(),
        "disable twice"
    );
    assert_eq!(
        find_profile(&with, name).unwrap().token_file.as_deref(),
        Some("/t")
    );
}

/// Asserts that `disable` removes exactly the marked parts.
#[track_caller]
fn assert_removes(text: &str) {
    let (without, with) = expand_marks(text);
    assert_eq!(
        disable_token_file(&with, "default", None).unwrap().text,
        without
    );
}
