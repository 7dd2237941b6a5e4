use super::*;

#[test]
fn enable_round_trips_example() {
    let text = format!("{EXAMPLE}⟦\n    [profile.auth.token]\n        token_file = \"/t\"\n⟧");
    assert_round_trip("default", &text);
    assert_round_trip("default", text.replace('\n', "\r\n").as_str());
    assert_round_trip("default", &format!("\u{feff}{text}"));
}

#[test]
fn enable_preserves_missing_final_newline() {
    let text = format!(
        "{}⟦\n\n    [profile.auth.token]\n        token_file = \"/t\"⟧",
        EXAMPLE.trim_end()
    );
    assert_round_trip("default", &text);
    assert_round_trip("default", text.replace('\n', "\r\n").as_str());
    assert_round_trip(
        "default",
        "[[profile]]⟦\n\n[profile.auth.token]\ntoken_file = \"/t\"⟧",
    );
}

#[test]
fn enable_edits_named_profile_in_the_middle() {
    assert_round_trip(
        "b",
        r#"
[[profile]]
name = "a"

[profile.auth.token]
token_file = "/of/a"

# b is for tests
[[profile]]
name = "b"
  [profile.tls]
  insecure = true
  # ca = "/ca.pem"
⟦
  [profile.auth.token]
  token_file = "/t"
⟧
# --- staging ---

# c is the last
[[profile]]
name = "c"
"#,
    );
}

#[test]
fn enable_keeps_comments_above_next_header() {
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\nhost = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n",
            "⟧# next\n# one\n[other]\na = 1\n",
        ),
    );
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\n# host = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧  \n",
            "# vim: ft=toml",
        ),
    );
    assert_round_trip(
        "default",
        "[[profile]]\n# host = \"h\"⟦\n\n[profile.auth.token]\ntoken_file = \"/t\"⟧",
    );
}

#[test]
fn enable_ignores_header_inside_string() {
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\ndatabase = \"\"\"\n[[profile]]\nname = \"x\"\n\n# \"\"\" # end\n⟦\n",
            "[profile.auth.token]\ntoken_file = \"/t\"\n⟧\n[x]\n",
        ),
    );
}

#[test]
fn enable_finds_sub_table_after_unrelated_table() {
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\nhost = \"h\"\n\n[other]\na = 1\n\n[profile.tls]\ninsecure = true\n",
            "⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
        ),
    );
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\n[[profile.extra.x]]\na = 1\n⟦\n[profile.auth.token]\n",
            "token_file = \"/t\"\n⟧\n[[other]]\n",
        ),
    );
}

#[test]
fn enable_matches_sub_table_indentation() {
    for (header, key) in [
        ("", ""),
        ("  ", "    "),
        ("\t", "\t\t"),
        ("    ", "    "),
        ("  ", ""),
    ] {
        let text = format!(
            "[[profile]]\n{header}host = \"h\"\n\n{header}[profile.tls]\n{key}disable = true\n\
             ⟦\n{header}[profile.auth.token]\n{key}token_file = \"/t\"\n⟧"
        );
        assert_round_trip("default", &text);
    }
    // Tables in `auth` and tables with keys come first.
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\n\t[profile.tls]\n\t\tdisable = true\n  [profile.auth]\n",
            "   [profile.auth.oauth2]\n    client_id = \"c\"\n⟦\n   [profile.auth.token]\n",
            "    token_file = \"/t\"\n⟧",
        ),
    );
    assert_round_trip(
        "default",
        "[[profile]]\n  [profile.tls]\n⟦\n  [profile.auth.token]\n  token_file = \"/t\"\n⟧",
    );
    assert_round_trip(
        "default",
        "[[profile]]\n  host = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
    );
}

#[test]
fn enable_copies_line_ending_of_previous_line() {
    assert_round_trip(
        "default",
        "[[profile]]\nhost = \"h\"\r\n⟦\r\n[profile.auth.token]\r\ntoken_file = \"/t\"\r\n⟧\n[x]\n",
    );
    assert_round_trip(
        "default",
        "[[profile]]\r\nhost = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧\r\n[x]\r\n",
    );
}

#[test]
fn enable_handles_auth_with_header() {
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\n[profile.auth]\noauth2 = { client_id = \"c\" }\n⟦\n",
            "[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
        ),
    );
    assert_round_trip(
        "default",
        concat!(
            "[[profile]]\n[profile.auth]\n  oauth2.client_id = \"c\"\n\n  [profile.tls]\n⟦\n",
            "[profile.auth.token]\n  token_file = \"/t\"\n⟧",
        ),
    );
    // `auth` is empty before, so `disable` must leave it empty.
    assert_round_trip(
        "default",
        "[[profile]]\n  [profile.auth] # none\n⟦  token.token_file = \"/t\"\n⟧\n  # nothing here\n",
    );
    assert_round_trip(
        "default",
        "[[profile]]\n[profile.auth]⟦\ntoken.token_file = \"/t\"⟧",
    );
}

#[test]
fn enable_handles_inline_auth() {
    for text in [
        "auth = { oauth2 = { client_secret = \"s\" }⟦, token = { token_file = \"/t\" }⟧ } # c\n",
        "auth = {oauth2.client_id = \"s\"⟦, token = { token_file = \"/t\" }⟧}",
        "auth = {⟦token.token_file = \"/t\"⟧}\nhost = \"h\"\n",
        "auth = {⟦ token.token_file = \"/t\"⟧ }\n\n[profile.tls]\n",
        "auth = { token.a = 1⟦, token.token_file = \"/t\"⟧ }\n",
        "auth = { token = { a = [ 1 ]⟦, token_file = \"/t\"⟧ } }\n",
        // TOML 1.1
        "auth = {\n oauth2 = { client_id = \"s\", }⟦, token = { token_file = \"/t\" }⟧, # c\n}\n",
    ] {
        assert_round_trip("default", &format!("[[profile]]\n{text}"));
    }
}

#[test]
fn enable_handles_dotted_auth() {
    for text in [
        concat!(
            "  auth.oauth2.client_id = \"c\" # c\n  auth.oauth2.scopes = [\n    \"a\",\n",
            "  ] # e\n⟦  auth.token.token_file = \"/t\"\n⟧  host = \"h\"\n\n[profile.tls]\n",
        ),
        "auth.oauth2 = { client_id = \"c\" }⟦\nauth.token.token_file = \"/t\"⟧",
        "auth.token.a = 1\n⟦auth.token.token_file = \"/t\"\n⟧auth.b = 1\n",
        "auth.token = { a = 1⟦, token_file = \"/t\"⟧ }\n",
        "auth.a = 1\n⟦auth.token.token_file = \"/t\"\n⟧[profile.auth.oauth2]\n client_id = \"c\"\n",
        "[profile.auth]\n\ttoken.a = 1\n⟦\ttoken.token_file = \"/t\"\n⟧\n",
        "[profile.auth]\ntoken = { a = 1⟦, token_file = \"/t\"⟧ }\n",
    ] {
        assert_round_trip("default", &format!("[[profile]]\n{text}"));
    }
}

#[test]
fn enable_adds_key_to_section_without_token_file() {
    for text in [
        "[profile.auth.token]\n⟦token_file = \"/t\"\n⟧# more\na = 1\n",
        "  [profile.auth.token] # c\n⟦   token_file = \"/t\"\n⟧   a = 1",
        "[profile.auth.token.x]\n a = 1\n⟦\n[profile.auth.token]\n token_file = \"/t\"\n⟧",
    ] {
        let (without, with) = expand_marks(&format!("[[profile]]\n{text}"));
        assert_eq!(
            enable_token_file(&without, "default", "/t").unwrap().text,
            with
        );
    }
    let enabled = enable_token_file("[[profile]]\n [profile.auth.token]", "default", "/t").unwrap();
    assert_eq!(
        enabled.text,
        "[[profile]]\n [profile.auth.token]\n \"token_file\" = \"/t\""
    );
}

#[test]
fn enable_replaces_only_different_path() {
    for (before, after) in [
        (
            "[profile.auth.token]\n  token_file  =  '/old' # keep\r\n",
            "[profile.auth.token]\n  token_file  =  \"/t\" # keep\r\n",
        ),
        (
            "auth.token.token_file=\"\"\"\n/old\n\"\"\"",
            "auth.token.token_file=\"/t\"",
        ),
        (
            "auth = { token = { token_file = \"/old\" }, oauth2 = {} }",
            "auth = { token = { token_file = \"/t\" }, oauth2 = {} }",
        ),
    ] {
        let (before, after) = (
            format!("[[profile]]\n{before}"),
            format!("[[profile]]\n{after}"),
        );
        assert_eq!(
            enable_token_file(&before, "default", "/t").unwrap().text,
            after
        );
    }
}

#[test]
fn enable_is_noop_when_path_is_quoted_differently() {
    for value in ["'/a\\b'", "'''/a\\b'''", "\"/a\\\\b\"", "\"/\\u0061\\\\b\""] {
        let text = format!("[[profile]]\nauth.token.token_file = {value}");
        assert!(
            enable_token_file(&text, "default", "/a\\b")
                .unwrap()
                .is_noop()
        );
    }
}

#[test]
fn enable_handles_inline_profile_array() {
    for text in [
        concat!(
            "profile = [{ name = \"a\"⟦, auth = { token = { token_file = \"/t\" } }⟧ }, ",
            "{ name = \"b\" }]\n",
        ),
        concat!(
            "profile = [\n  { name = \"b\" }, # b\n",
            "  { name = \"a\", auth.oauth2.client_id = \"c\"",
            "⟦, auth.token.token_file = \"/t\"⟧ }, # a\n]",
        ),
        "profile = [{ auth.a = 1, name = \"a\", auth.b = 2⟦, auth.token.token_file = \"/t\"⟧ }]",
        concat!(
            "profile = [\r\n",
            "\t{ auth = { oauth2 = { client_id = \"c\" }⟦, token = { token_file = \"/t\" }⟧ }, ",
            "name = \"a\" }\r\n]\r\n",
        ),
    ] {
        assert_round_trip("a", text);
    }
    assert_round_trip(
        "default",
        "profile = [{⟦auth = { token = { token_file = \"/t\" } }⟧}]",
    );
    assert_round_trip(
        "default",
        "profile = [{⟦ auth = { token = { token_file = \"/t\" } }⟧ }]",
    );
}

#[test]
fn enable_escapes_paths() {
    for (path, quoted) in [
        ("/a b/ö/日本", r#""/a b/ö/日本""#),
        (r#"C:\x\"y"'z'"#, r#""C:\\x\\\"y\"'z'""#),
        (
            "\t\n\r\u{8}\u{c}\0\u{1b}\u{7f}\u{9b}",
            r#""\t\n\r\b\f\u0000\u001B\u007F\u009B""#,
        ),
        ("", r#""""#),
    ] {
        let edit = enable_token_file("[[profile]]\n", "default", path).unwrap();
        let want = format!("[[profile]]\n\n[profile.auth.token]\ntoken_file = {quoted}\n");
        assert_eq!(edit.text, want);
    }
}

#[test]
fn enable_recognizes_quoted_or_spaced_header() {
    assert_round_trip(
        "default",
        concat!(
            "[[ \"profile\" ]]\n[ profile . 'auth' . oauth2 ]\na = 1\n⟦\n",
            "[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
        ),
    );
}
