use super::*;

const SECRET_AFTER_TOKEN: &str = concat!(
    "[[profile]]\nauth = { token = { token_file = \"/x\" }, ",
    "oauth2 = { client_secret = 's3cret' } }"
);

fn format_changes(edit: &ConfigEdit, old: &str) -> String {
    let lines = edit.changed_lines(old);
    let lines = lines
        .iter()
        .map(|l| format!("{:>2} {}|{}|", l.number, l.sign, l.text));
    lines.collect::<Vec<_>>().join("\n")
}

fn format_enable_changes(text: &str) -> String {
    format_changes(&enable_token_file(text, "default", "/t").unwrap(), text)
}

fn format_disable_changes(text: &str) -> String {
    format_changes(&disable_token_file(text, "default", None).unwrap(), text)
}

#[test]
fn changes_show_whole_lines() {
    let on = enable_token_file(EXAMPLE, "default", "/t").unwrap().text;
    insta::assert_snapshot!(format_enable_changes(EXAMPLE), @r#"
    15 +||
    16 +|    [profile.auth.token]|
    17 +|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(format_disable_changes(&on), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(format_enable_changes(EXAMPLE.trim_end()), @r#"
    15 +||
    16 +|    [profile.auth.token]|
    17 +|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(format_disable_changes(on.trim_end()), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
    insta::assert_snapshot!(format_disable_changes(on.replace('\n', "\r\n").trim_end()), @r#"
    15 -||
    16 -|    [profile.auth.token]|
    17 -|        token_file = "/t"|
    "#);
}

#[test]
fn changes_show_new_profile() {
    let created = create_profile(EXAMPLE, "b", "h", "1", "/t").unwrap();
    insta::assert_snapshot!(format_changes(&created, EXAMPLE), @r#"
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
    let created = create_profile("", "b", "h", "1", "/t").unwrap();
    insta::assert_snapshot!(format_changes(&created, ""), @r#"
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
fn changes_show_separate_ranges() {
    let text = "[[profile]]\n\n[profile.auth]\n# c\n\n[profile.auth.token]\ntoken_file = \"/x\"\n";
    insta::assert_snapshot!(format_disable_changes(text), @r#"
    3 -|[profile.auth]|
    5 -||
    6 -|[profile.auth.token]|
    7 -|token_file = "/x"|
    "#);
    let text = "profile = [\n  { name = \"a\" } # s3cret\n]\n";
    let created = create_profile(text, "b", "h", "1", "/t").unwrap();
    insta::assert_snapshot!(format_changes(&created, text), @r#"
    2 +|…,…|
    3 +|  { name = "b", product = "clustered", host = "h", port = "1", auth = { token = { token_file = "/t" } } }|
    "#);
}

#[test]
fn changes_show_replaced_value() {
    let text = "[[profile]]\n  [profile.auth.token]\n\ttoken_file = '/x' # s3cret\n";
    insta::assert_snapshot!(
        format_enable_changes(text),
        @r#"
    3 -|	token_file = '/x'…|
    3 +|	token_file = "/t"…|
    "#
    );
    insta::assert_snapshot!(
        format_enable_changes("[[profile]]\nauth.token.token_file = \"\"\"\n/x\"\"\"\n"),
        @r#"
    2 -|auth.token.token_file = """|
    3 -|/x"""|
    2 +|auth.token.token_file = "/t"|
    "#
    );
}

#[test]
fn changes_hide_rest_of_line() {
    for text in [
        "[[profile]]\nauth = { oauth2 = { client_secret = \"s3cret\" } } # s3cret\n",
        "[[profile]]\nauth = { oauth2.client_secret = \"s3cret\", token.token_file = \"/x\" }\n",
        SECRET_AFTER_TOKEN,
        "profile = [{ mgmt_token = \"s3cret\" }, { name = \"s3cret\" }]",
        "[[profile]]\nmgmt_token = \"s3cret\"\n",
        "[[profile]]\nmgmt_token = \"s3cret\"",
    ] {
        let on = enable_token_file(text, "default", "/t").unwrap();
        let shown = [
            format_enable_changes(text),
            format_disable_changes(text),
            format_disable_changes(&on.text),
        ]
        .concat();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("token_file = \"/t\""), "{shown}");
        assert!(!format!("{on:?}").contains("s3cret"));
    }
    let text = "[[profile]]\nauth = { oauth2 = { client_secret = \"s3cret\" } }\n";
    insta::assert_snapshot!(
        format_enable_changes(text),
        @r#" 2 +|…, token = { token_file = "/t" }…|"#
    );
    let on = enable_token_file(text, "default", "/t").unwrap().text;
    insta::assert_snapshot!(
        format_disable_changes(&on),
        @r#" 2 -|…, token = { token_file = "/t" }…|"#
    );
    let text = SECRET_AFTER_TOKEN;
    insta::assert_snapshot!(format_enable_changes(text), @r#"
    2 -|… token_file = "/x"…|
    2 +|… token_file = "/t"…|
    "#);
    insta::assert_snapshot!(
        format_disable_changes(text),
        @r#" 2 -|… token = { token_file = "/x" }, …|"#
    );
}

#[test]
fn changes_escape_control_characters() {
    // TOML allows the C1 controls, but some terminals execute them.
    let text = "[[profile]]\nauth.token.token_file = \"/x\u{9b}1m\"\n";
    insta::assert_snapshot!(
        format_disable_changes(text),
        @r#" 2 -|auth.token.token_file = "/x\u{9b}1m"|"#
    );
}
