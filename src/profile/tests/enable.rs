use super::*;

#[test]
fn the_example() {
    let text = format!("{EXAMPLE}⟦\n    [profile.auth.token]\n        token_file = \"/t\"\n⟧");
    round_trip("default", &text);
    round_trip("default", text.replace('\n', "\r\n").as_str());
    round_trip("default", &format!("\u{feff}{text}"));
}

#[test]
fn without_a_final_newline_there_is_still_none() {
    let text = format!(
        "{}⟦\n\n    [profile.auth.token]\n        token_file = \"/t\"⟧",
        EXAMPLE.trim_end()
    );
    round_trip("default", &text);
    round_trip("default", text.replace('\n', "\r\n").as_str());
    round_trip(
        "default",
        "[[profile]]⟦\n\n[profile.auth.token]\ntoken_file = \"/t\"⟧",
    );
}

#[test]
fn the_named_profile_in_the_middle() {
    round_trip(
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
fn comments_that_lead_the_next_header_stay_with_it() {
    round_trip(
        "default",
        "[[profile]]\nhost = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧# next\n# one\n[other]\na = 1\n",
    );
    round_trip(
        "default",
        "[[profile]]\n# host = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧  \n# vim: ft=toml",
    );
    round_trip(
        "default",
        "[[profile]]\n# host = \"h\"⟦\n\n[profile.auth.token]\ntoken_file = \"/t\"⟧",
    );
}

#[test]
fn what_looks_like_a_header_inside_a_string_is_none() {
    round_trip(
        "default",
        "[[profile]]\ndatabase = \"\"\"\n[[profile]]\nname = \"x\"\n\n# \"\"\" # end\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧\n[x]\n",
    );
}

#[test]
fn a_sub_table_behind_an_unrelated_table_is_still_the_profiles() {
    round_trip(
        "default",
        "[[profile]]\nhost = \"h\"\n\n[other]\na = 1\n\n[profile.tls]\ninsecure = true\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
    );
    round_trip(
        "default",
        "[[profile]]\n[[profile.extra.x]]\na = 1\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧\n[[other]]\n",
    );
}

#[test]
fn indentation_is_that_of_the_sub_tables() {
    for (header, key) in [
        ("", ""),
        ("  ", "    "),
        ("\t", "\t\t"),
        ("    ", "    "),
        ("  ", ""),
    ] {
        let text = format!(
            "[[profile]]\n{header}host = \"h\"\n\n{header}[profile.tls]\n{key}disable = true\n⟦\n{header}[profile.auth.token]\n{key}token_file = \"/t\"\n⟧"
        );
        round_trip("default", &text);
    }
    // Rather that of a table under `auth`, and of one with keys.
    round_trip(
        "default",
        "[[profile]]\n\t[profile.tls]\n\t\tdisable = true\n  [profile.auth]\n   [profile.auth.oauth2]\n    client_id = \"c\"\n⟦\n   [profile.auth.token]\n    token_file = \"/t\"\n⟧",
    );
    round_trip(
        "default",
        "[[profile]]\n  [profile.tls]\n⟦\n  [profile.auth.token]\n  token_file = \"/t\"\n⟧",
    );
    round_trip(
        "default",
        "[[profile]]\n  host = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
    );
}

#[test]
fn mixed_line_endings_take_that_of_the_line_before() {
    round_trip(
        "default",
        "[[profile]]\nhost = \"h\"\r\n⟦\r\n[profile.auth.token]\r\ntoken_file = \"/t\"\r\n⟧\n[x]\n",
    );
    round_trip(
        "default",
        "[[profile]]\r\nhost = \"h\"\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧\r\n[x]\r\n",
    );
}

#[test]
fn auth_with_a_header() {
    round_trip(
        "default",
        "[[profile]]\n[profile.auth]\noauth2 = { client_id = \"c\" }\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
    );
    round_trip(
        "default",
        "[[profile]]\n[profile.auth]\n  oauth2.client_id = \"c\"\n\n  [profile.tls]\n⟦\n[profile.auth.token]\n  token_file = \"/t\"\n⟧",
    );
    // Empty before, so it must stay empty behind `disable`.
    round_trip(
        "default",
        "[[profile]]\n  [profile.auth] # none\n⟦  token.token_file = \"/t\"\n⟧\n  # nothing here\n",
    );
    round_trip(
        "default",
        "[[profile]]\n[profile.auth]⟦\ntoken.token_file = \"/t\"⟧",
    );
}

#[test]
fn auth_inline() {
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
        round_trip("default", &format!("[[profile]]\n{text}"));
    }
}

#[test]
fn auth_dotted() {
    for text in [
        "  auth.oauth2.client_id = \"c\" # c\n  auth.oauth2.scopes = [\n    \"a\",\n  ] # e\n⟦  auth.token.token_file = \"/t\"\n⟧  host = \"h\"\n\n[profile.tls]\n",
        "auth.oauth2 = { client_id = \"c\" }⟦\nauth.token.token_file = \"/t\"⟧",
        "auth.token.a = 1\n⟦auth.token.token_file = \"/t\"\n⟧auth.b = 1\n",
        "auth.token = { a = 1⟦, token_file = \"/t\"⟧ }\n",
        "auth.a = 1\n⟦auth.token.token_file = \"/t\"\n⟧[profile.auth.oauth2]\n client_id = \"c\"\n",
        "[profile.auth]\n\ttoken.a = 1\n⟦\ttoken.token_file = \"/t\"\n⟧\n",
        "[profile.auth]\ntoken = { a = 1⟦, token_file = \"/t\"⟧ }\n",
    ] {
        round_trip("default", &format!("[[profile]]\n{text}"));
    }
}

#[test]
fn a_token_section_without_token_file() {
    for text in [
        "[profile.auth.token]\n⟦token_file = \"/t\"\n⟧# more\na = 1\n",
        "  [profile.auth.token] # c\n⟦   token_file = \"/t\"\n⟧   a = 1",
        "[profile.auth.token.x]\n a = 1\n⟦\n[profile.auth.token]\n token_file = \"/t\"\n⟧",
    ] {
        let (without, with) = marked(&format!("[[profile]]\n{text}"));
        assert_eq!(enable(&without, "default", "/t").unwrap().text, with);
    }
    let enabled = enable("[[profile]]\n [profile.auth.token]", "default", "/t").unwrap();
    assert_eq!(
        enabled.text,
        "[[profile]]\n [profile.auth.token]\n token_file = \"/t\""
    );
}

#[test]
fn another_path_is_replaced_and_nothing_else() {
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
        assert_eq!(enable(&before, "default", "/t").unwrap().text, after);
    }
}

#[test]
fn the_same_path_written_otherwise_is_left_alone() {
    for value in ["'/a\\b'", "'''/a\\b'''", "\"/a\\\\b\"", "\"/\\u0061\\\\b\""] {
        let text = format!("[[profile]]\nauth.token.token_file = {value}");
        assert!(enable(&text, "default", "/a\\b").unwrap().is_noop());
    }
}

#[test]
fn an_inline_array_of_profiles() {
    for text in [
        "profile = [{ name = \"a\"⟦, auth = { token = { token_file = \"/t\" } }⟧ }, { name = \"b\" }]\n",
        "profile = [\n  { name = \"b\" }, # b\n  { name = \"a\", auth.oauth2.client_id = \"c\"⟦, auth.token.token_file = \"/t\"⟧ }, # a\n]",
        "profile = [{ auth.a = 1, name = \"a\", auth.b = 2⟦, auth.token.token_file = \"/t\"⟧ }]",
        "profile = [\r\n\t{ auth = { oauth2 = { client_id = \"c\" }⟦, token = { token_file = \"/t\" }⟧ }, name = \"a\" }\r\n]\r\n",
    ] {
        round_trip("a", text);
    }
    round_trip(
        "default",
        "profile = [{⟦auth = { token = { token_file = \"/t\" } }⟧}]",
    );
    round_trip(
        "default",
        "profile = [{⟦ auth = { token = { token_file = \"/t\" } }⟧ }]",
    );
}

#[test]
fn paths_are_escaped() {
    for (path, quoted) in [
        ("/a b/ö/日本", r#""/a b/ö/日本""#),
        (r#"C:\x\"y"'z'"#, r#""C:\\x\\\"y\"'z'""#),
        (
            "\t\n\r\u{8}\u{c}\0\u{1b}\u{7f}\u{9b}",
            r#""\t\n\r\b\f\u0000\u001B\u007F\u009B""#,
        ),
        ("", r#""""#),
    ] {
        let edit = enable("[[profile]]\n", "default", path).unwrap();
        let want = format!("[[profile]]\n\n[profile.auth.token]\ntoken_file = {quoted}\n");
        assert_eq!(edit.text, want);
    }
}

#[test]
fn a_quoted_or_spaced_header_is_the_same_header() {
    round_trip(
        "default",
        "[[ \"profile\" ]]\n[ profile . 'auth' . oauth2 ]\na = 1\n⟦\n[profile.auth.token]\ntoken_file = \"/t\"\n⟧",
    );
}
