use super::*;

fn shown(edit: &Edit, old: &str) -> String {
    let lines = edit.changed_lines(old);
    let lines = lines
        .iter()
        .map(|l| format!("{:>2} {}|{}|", l.number, l.sign, l.text));
    lines.collect::<Vec<_>>().join("\n")
}

fn enabled(text: &str) -> String {
    shown(&enable(text, "default", "/t").unwrap(), text)
}

fn disabled(text: &str) -> String {
    shown(&disable(text, "default").unwrap(), text)
}

#[test]
fn whole_lines() {
    let on = enable(EXAMPLE, "default", "/t").unwrap().text;
    insta::assert_snapshot!(enabled(EXAMPLE), @r#"
    15 +||
    16 +|    [profile.auth.token]|
    17 +|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(disabled(&on), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(enabled(EXAMPLE.trim_end()), @r#"
    15 +||
    16 +|    [profile.auth.token]|
    17 +|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(disabled(on.trim_end()), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(disabled(on.replace('\n', "\r\n").trim_end()), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
}

#[test]
fn a_new_profile() {
    let created = create(EXAMPLE, "b", "h", "1", "/t").unwrap();
    insta::assert_snapshot!(shown(&created, EXAMPLE), @r#"
    15 +||
    16 +|[[profile]]|
    17 +|    name = "b"|
    18 +|    product = "clustered"|
    19 +|    host = "h"|
    20 +|    port = "1"|
    21 +||
    22 +|    [profile.auth.token]|
    23 +|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(shown(&create("", "b", "h", "1", "/t").unwrap(), ""), @r#"
    1 +|[[profile]]|
    2 +|name = "b"|
    3 +|product = "clustered"|
    4 +|host = "h"|
    5 +|port = "1"|
    6 +||
    7 +|[profile.auth.token]|
    8 +|token_file = "/t"|
    "#);
}

#[test]
fn several_places() {
    let text = "[[profile]]\n\n[profile.auth]\n# c\n\n[profile.auth.token]\ntoken_file = \"/x\"\n";
    insta::assert_snapshot!(disabled(text), @r#"
    3 -|[profile.auth]|
    5 -||
    6 -|[profile.auth.token]|
    7 -|token_file = "/x"|
    "#);
    let text = "profile = [\n  { name = \"a\" } # s3cret\n]\n";
    insta::assert_snapshot!(shown(&create(text, "b", "h", "1", "/t").unwrap(), text), @r#"
    2 +|…,…|
    3 +|  { name = "b", product = "clustered", host = "h", port = "1", auth = { token = { token_file = "/t" } } }|
    "#);
}

#[test]
fn a_replaced_value() {
    insta::assert_snapshot!(
        enabled("[[profile]]\n  [profile.auth.token]\n\ttoken_file = '/x' # s3cret\n"),
        @r#"
    3 -|	token_file = '/x'…|
    3 +|	token_file = "/t"…|
    "#
    );
    insta::assert_snapshot!(
        enabled("[[profile]]\nauth.token.token_file = \"\"\"\n/x\"\"\"\n"),
        @r#"
    2 -|auth.token.token_file = """|
    3 -|/x"""|
    2 +|auth.token.token_file = "/t"|
    "#
    );
}

#[test]
fn never_what_else_is_on_the_line() {
    for text in [
        "[[profile]]\nauth = { oauth2 = { client_secret = \"s3cret\" } } # s3cret\n",
        "[[profile]]\nauth = { oauth2.client_secret = \"s3cret\", token.token_file = \"/x\" }\n",
        "[[profile]]\nauth = { token = { token_file = \"/x\" }, oauth2 = { client_secret = 's3cret' } }",
        "profile = [{ mgmt_token = \"s3cret\" }, { name = \"s3cret\" }]",
        "[[profile]]\nmgmt_token = \"s3cret\"\n",
        "[[profile]]\nmgmt_token = \"s3cret\"",
    ] {
        let on = enable(text, "default", "/t").unwrap();
        let shown = [enabled(text), disabled(text), disabled(&on.text)].concat();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("token_file = \"/t\""), "{shown}");
        assert!(!format!("{on:?}").contains("s3cret"));
    }
    let text = "[[profile]]\nauth = { oauth2 = { client_secret = \"s3cret\" } }\n";
    insta::assert_snapshot!(enabled(text), @r#" 2 +|…, token = { token_file = "/t" }…|"#);
    let on = enable(text, "default", "/t").unwrap().text;
    insta::assert_snapshot!(disabled(&on), @r#" 2 -|…, token = { token_file = "/t" }…|"#);
    let text = "[[profile]]\nauth = { token = { token_file = \"/x\" }, oauth2 = { client_secret = 's3cret' } }";
    insta::assert_snapshot!(enabled(text), @r#"
    2 -|… token_file = "/x"…|
    2 +|… token_file = "/t"…|
    "#);
    insta::assert_snapshot!(disabled(text), @r#" 2 -|… token = { token_file = "/x" }, …|"#);
}

#[test]
fn control_characters_are_spelt_out() {
    // TOML allows the C1 controls; a terminal may obey them.
    let text = "[[profile]]\nauth.token.token_file = \"/x\u{9b}1m\"\n";
    insta::assert_snapshot!(disabled(text), @r#" 2 -|auth.token.token_file = "/x\u{9b}1m"|"#);
}
