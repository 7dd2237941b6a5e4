use super::*;

#[test]
fn disable_removes_hand_written_section() {
    assert_removes(concat!(
        "[[profile]]\na = 1\n⟦[profile.auth.token]\ntoken_file = '/x' # mine\n⟧\n",
        "[[profile]]\nname = \"b\"\n",
    ));
    assert_removes(concat!(
        "[[profile]]\na = 1\n\n⟦  \n[profile.auth.token] # t\n\n\n token_file = \"\"\"\n",
        "/x\"\"\"\n⟧\n",
    ));
    assert_removes("[[profile]]⟦\r\n\r\n[profile.auth.token]\r\ntoken_file = \"/x\"⟧");
}

#[test]
fn disable_accepts_any_product() {
    assert_removes("[[profile]]\nproduct = \"dedicated\"\n⟦auth.token.token_file = \"/x\"\n⟧");
}

#[test]
fn disable_keeps_other_keys_of_section() {
    assert_removes("[[profile]]\n\n[profile.auth.token]\n⟦token_file = \"/x\"\n⟧other = 1\n");
    assert_removes("[[profile]]\n\n[profile.auth.token]\nother = 1⟦\ntoken_file = \"/x\"⟧");
    assert_removes(
        "[[profile]]\n[profile.auth.token]\n⟦token_file = \"/x\"\n⟧[profile.auth.token.x]\n",
    );
    assert_removes("[[profile]]\nauth = { token = { ⟦token_file = \"/x\", ⟧other = 1 } }\n");
    assert_removes("[[profile]]\nauth = { token = { other = 1⟦, token_file = \"/x\"⟧ } }\n");
}

#[test]
fn disable_keeps_standalone_comments_in_section() {
    assert_removes(concat!(
        "[[profile]]\na = 1\n\n⟦[profile.auth.token]\n⟧# by hand\n",
        "⟦token_file = \"/x\" # mine\n⟧# below\n\n[other]\n",
    ));
    assert_removes(
        "[[profile]]\na = 1\n\n# above\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧\n[other]\n",
    );
}

#[test]
fn disable_removes_auth_when_left_empty() {
    assert_removes(concat!(
        "[[profile]]\na = 1\n⟦\n[profile.auth]\n\n[profile.auth.token]\n",
        "token_file = \"/x\"\n⟧\n[other]\n",
    ));
    assert_removes(
        "[[profile]]\na = 1⟦\n\n[profile.auth]\n[profile.auth.token]\ntoken_file = \"/x\"⟧",
    );
    assert_removes(
        "[[profile]]\na = 1⟦\n\n[profile.auth]\n\n[profile.auth.token]\ntoken_file = \"/x\"⟧",
    );
    assert_removes(
        "[[profile]]\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧[profile.tls]⟦\n[profile.auth]⟧",
    );
    assert_removes(concat!(
        "[[profile]]\n\n⟦[profile.auth]\n⟧# about auth\n⟦\n[profile.auth.token]\n",
        "token_file = \"/x\"\n⟧",
    ));
    assert_removes("[[profile]]\n⟦\n[profile.auth]\ntoken = { token_file = \"/x\" }\n⟧\n[other]\n");
    assert_removes("[[profile]]\n⟦auth = { token = { token_file = \"/x\" } } # c\n⟧host = \"h\"\n");
    assert_removes("[[profile]]\n⟦auth.token = { token_file = \"/x\" }\n⟧host = \"h\"\n");
    assert_removes("profile = [{ ⟦auth = { token = { token_file = \"/x\" } }, ⟧port = 1 }]\n");
    assert_removes("profile = [{ port = 1⟦, auth.token = { token_file = \"/x\" }⟧ }]\n");
}

#[test]
fn disable_keeps_auth_with_other_keys() {
    assert_removes("[[profile]]\nauth = { ⟦token = { token_file = \"/x\" }, ⟧oauth2 = {} }\n");
    assert_removes("[[profile]]\nauth = { ⟦token.token_file = \"/x\" , ⟧oauth2 = {} }\n");
    assert_removes(
        "[[profile]]\nauth = { oauth2.a = 1⟦, token.token_file = \"/x\"⟧, oauth2.b = 2 }\n",
    );
    assert_removes("[[profile]]\n[profile.auth]\noauth2 = {}\n⟦token = { token_file = \"/x\" }\n⟧");
    assert_removes(
        "[[profile]]\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧[profile.auth]\noauth2 = {}\n",
    );
}

#[test]
fn disable_handles_toml_1_1_inline_tables() {
    assert_removes(
        "[[profile]]\nauth = {\n  oauth2 = {}⟦,\n  token = { token_file = \"/x\" }⟧,\n}\n",
    );
    assert_removes(
        "[[profile]]\nauth = {\n  ⟦token = { token_file = \"/x\" },\n  ⟧oauth2 = {},\n}\n",
    );
    assert_removes("[[profile]]\nauth = {⟦ token.token_file = \"/x\",⟧ }\n");
    // The edit would remove the comment together with the key.
    let text = "[[profile]]\nauth = {\n  oauth2 = {}, # c\n  token = { token_file = \"/x\" }\n}\n";
    let message = "cannot edit an inline table that contains a comment";
    assert_eq!(
        disable_token_file(text, "default", None),
        Err(ConfigError::Shape { message, line: 4 })
    );
}

#[test]
fn disable_is_noop_without_token_file() {
    for text in [
        EXAMPLE,
        "[[profile]]\n[profile.auth.token]\n",
        "[[profile]]\nauth = {}",
    ] {
        let edit = disable_token_file(text, "default", None).unwrap();
        assert!(edit.is_noop());
        assert_eq!(edit.text, text);
    }
}

#[test]
fn disable_keeps_section_that_was_empty_before_enable() {
    for text in [
        "[[profile]]\n\n[profile.auth.token]\n⟦\"token_file\" = \"/t\"\n⟧",
        "[[profile]]\n[profile.auth]\n[profile.auth.token]\n⟦\"token_file\" = \"/t\"\n⟧# c\n",
        "[[profile]]\nauth = { token = {⟦\"token_file\" = \"/t\"⟧} }\n",
        "[[profile]]\n[profile.auth]\ntoken = {⟦ \"token_file\" = \"/t\"⟧ } # c\n",
    ] {
        assert_round_trip("default", text);
    }
}

#[test]
fn disable_restores_former_token_file() {
    for former in [
        "'/old'",
        "\"/\\u006fld\"",
        "\"\"\"\n/old\"\"\"",
        "\"token.json\"",
    ] {
        for text in [
            format!("[[profile]]\n[profile.auth.token]\ntoken_file = {former} # c\n"),
            format!("profile = [{{ auth = {{ token = {{ token_file = {former} }} }} }}]\n"),
        ] {
            let on = enable_token_file(&text, "default", "/t").unwrap();
            let change = on.token_file.unwrap();
            assert_eq!(change.before.as_deref(), Some(former));
            assert_eq!(change.after.as_deref(), Some("\"/t\""));
            let off = disable_token_file(&on.text, "default", change.before.as_deref()).unwrap();
            assert_eq!(off.text, text);
        }
    }
}

#[test]
fn disable_ignores_former_value_that_is_no_string() {
    let text = "[[profile]]\nhost = \"h\"\n";
    let on = enable_token_file(text, "default", "/t").unwrap();
    for former in ["1", "", "\"/a\" # c", "\"/a\"\nhost = \"x\"", "{}"] {
        let off = disable_token_file(&on.text, "default", Some(former));
        assert_eq!(off.map(|off| off.text).as_deref(), Ok(text), "{former}");
    }
}

#[test]
fn enable_does_not_record_former_value_that_resembles_a_token() {
    let token = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhZG1pbiJ9.c2lnbmF0dXJlLWludmVudGVk";
    let text = format!("[[profile]]\nauth.token.token_file = \"{token}\"\n");
    let on = enable_token_file(&text, "default", "/t").unwrap();
    assert_eq!(on.token_file.unwrap().before, None);
}
