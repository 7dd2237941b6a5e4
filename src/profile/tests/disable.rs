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
        disable_token_file(text, "default"),
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
        let edit = disable_token_file(text, "default").unwrap();
        assert!(edit.is_noop());
        assert_eq!(edit.text, text);
    }
}
