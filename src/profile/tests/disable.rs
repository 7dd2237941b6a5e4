use super::*;

#[test]
fn a_section_written_by_hand() {
    takes_out(
        "[[profile]]\na = 1\n⟦[profile.auth.token]\ntoken_file = '/x' # mine\n⟧\n[[profile]]\nname = \"b\"\n",
    );
    takes_out(
        "[[profile]]\na = 1\n\n⟦  \n[profile.auth.token] # t\n\n\n token_file = \"\"\"\n/x\"\"\"\n⟧\n",
    );
    takes_out("[[profile]]⟦\r\n\r\n[profile.auth.token]\r\ntoken_file = \"/x\"⟧");
}

#[test]
fn whatever_product() {
    takes_out("[[profile]]\nproduct = \"dedicated\"\n⟦auth.token.token_file = \"/x\"\n⟧");
}

#[test]
fn other_keys_of_the_section_stay() {
    takes_out("[[profile]]\n\n[profile.auth.token]\n⟦token_file = \"/x\"\n⟧other = 1\n");
    takes_out("[[profile]]\n\n[profile.auth.token]\nother = 1⟦\ntoken_file = \"/x\"⟧");
    takes_out("[[profile]]\n[profile.auth.token]\n⟦token_file = \"/x\"\n⟧[profile.auth.token.x]\n");
    takes_out("[[profile]]\nauth = { token = { ⟦token_file = \"/x\", ⟧other = 1 } }\n");
    takes_out("[[profile]]\nauth = { token = { other = 1⟦, token_file = \"/x\"⟧ } }\n");
}

#[test]
fn comments_of_their_own_inside_the_section_stay() {
    takes_out(
        "[[profile]]\na = 1\n\n⟦[profile.auth.token]\n⟧# by hand\n⟦token_file = \"/x\" # mine\n⟧# below\n\n[other]\n",
    );
    takes_out(
        "[[profile]]\na = 1\n\n# above\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧\n[other]\n",
    );
}

#[test]
fn an_auth_left_empty_goes() {
    takes_out(
        "[[profile]]\na = 1\n⟦\n[profile.auth]\n\n[profile.auth.token]\ntoken_file = \"/x\"\n⟧\n[other]\n",
    );
    takes_out("[[profile]]\na = 1⟦\n\n[profile.auth]\n[profile.auth.token]\ntoken_file = \"/x\"⟧");
    takes_out(
        "[[profile]]\na = 1⟦\n\n[profile.auth]\n\n[profile.auth.token]\ntoken_file = \"/x\"⟧",
    );
    takes_out(
        "[[profile]]\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧[profile.tls]⟦\n[profile.auth]⟧",
    );
    takes_out(
        "[[profile]]\n\n⟦[profile.auth]\n⟧# about auth\n⟦\n[profile.auth.token]\ntoken_file = \"/x\"\n⟧",
    );
    takes_out("[[profile]]\n⟦\n[profile.auth]\ntoken = { token_file = \"/x\" }\n⟧\n[other]\n");
    takes_out("[[profile]]\n⟦auth = { token = { token_file = \"/x\" } } # c\n⟧host = \"h\"\n");
    takes_out("[[profile]]\n⟦auth.token = { token_file = \"/x\" }\n⟧host = \"h\"\n");
    takes_out("profile = [{ ⟦auth = { token = { token_file = \"/x\" } }, ⟧port = 1 }]\n");
    takes_out("profile = [{ port = 1⟦, auth.token = { token_file = \"/x\" }⟧ }]\n");
}

#[test]
fn an_auth_with_more_stays() {
    takes_out("[[profile]]\nauth = { ⟦token = { token_file = \"/x\" }, ⟧oauth2 = {} }\n");
    takes_out("[[profile]]\nauth = { ⟦token.token_file = \"/x\" , ⟧oauth2 = {} }\n");
    takes_out("[[profile]]\nauth = { oauth2.a = 1⟦, token.token_file = \"/x\"⟧, oauth2.b = 2 }\n");
    takes_out("[[profile]]\n[profile.auth]\noauth2 = {}\n⟦token = { token_file = \"/x\" }\n⟧");
    takes_out(
        "[[profile]]\n⟦[profile.auth.token]\ntoken_file = \"/x\"\n⟧[profile.auth]\noauth2 = {}\n",
    );
}

#[test]
fn toml_1_1_inside_braces() {
    takes_out("[[profile]]\nauth = {\n  oauth2 = {}⟦,\n  token = { token_file = \"/x\" }⟧,\n}\n");
    takes_out("[[profile]]\nauth = {\n  ⟦token = { token_file = \"/x\" },\n  ⟧oauth2 = {},\n}\n");
    takes_out("[[profile]]\nauth = {⟦ token.token_file = \"/x\",⟧ }\n");
    // A comment would go with the key.
    let text = "[[profile]]\nauth = {\n  oauth2 = {}, # c\n  token = { token_file = \"/x\" }\n}\n";
    let what = "a comment inside an inline table";
    assert_eq!(
        disable(text, "default"),
        Err(ConfigError::Shape { what, line: 4 })
    );
}

#[test]
fn nothing_there_is_nothing_to_do() {
    for text in [
        EXAMPLE,
        "[[profile]]\n[profile.auth.token]\n",
        "[[profile]]\nauth = {}",
    ] {
        let edit = disable(text, "default").unwrap();
        assert!(edit.is_noop());
        assert_eq!(edit.text, text);
    }
}
