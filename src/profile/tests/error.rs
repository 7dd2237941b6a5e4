use super::*;

fn format_error(error: &ConfigError) -> String {
    let hint = error.hint().unwrap_or_else(|| "-".to_owned());
    format!("{error}\n  hint: {hint}")
}

#[test]
fn syntax_error_reports_position_and_quotes_nothing() {
    for (text, line, column) in [
        ("[[profile]]\nclient_secret = s3cret\n", 2, 17),
        ("[[profile]]\r\nname = \"ö\" s3cret\r\n", 2, 12),
        ("\u{feff}s3cret\n", 1, 7),
        ("[[profile]]\nhost = \"a\"\nhost = \"s3cret\"\n", 3, 1),
        ("[[profile]]\nname = \"s3cret", 2, 15),
        ("[profile]\n[[profile]]\n", 2, 3),
        ("[[profile]]\nauth = {}\n[profile.auth.token]\n", 3, 10),
    ] {
        let error = enable_token_file(text, "default", "/t").unwrap_err();
        assert_eq!(error, ConfigError::Syntax { line, column }, "{text}");
    }
}

#[track_caller]
fn assert_shape_errors(cases: &[(&str, &'static str, usize)]) {
    for &(text, message, line) in cases {
        let error = enable_token_file(text, "default", "/t").unwrap_err();
        assert_eq!(error, ConfigError::Shape { message, line }, "{text}");
    }
}

#[test]
fn malformed_profile_is_a_shape_error() {
    assert_shape_errors(&[
        (
            "\n[profile]\nname = \"a\"\n",
            "`profile` is not an array of tables",
            2,
        ),
        ("profile = 1", "`profile` is not an array of tables", 1),
        (
            "profile = [\n{},\n1]",
            "an entry of `profile` is not a table",
            3,
        ),
        ("[[profile]]\nname = 1", "`name` is not a string", 2),
        (
            "[[profile]]\nport = 1.5",
            "`port` is neither a string nor an integer",
            2,
        ),
        (
            "[[profile]]\ntls.disable = 1",
            "`tls.disable` is not a boolean",
            2,
        ),
        ("[[profile]]\ntls = 1", "`tls` is not a table", 2),
    ]);
}

#[test]
fn malformed_key_path_is_a_shape_error() {
    assert_shape_errors(&[
        ("[[profile]]\nauth = 1", "`auth` is not a table", 2),
        ("[[profile]]\n[[profile.auth]]", "`auth` is not a table", 2),
        (
            "[[profile]]\nauth.token = \"x\"",
            "`auth.token` is not a table",
            2,
        ),
        (
            "[[profile]]\nauth.oauth2 = []",
            "`auth.oauth2` is not a table",
            2,
        ),
        (
            "[[profile]]\n[profile.auth.token]\ntoken_file = 1",
            "`auth.token.token_file` is not a string",
            3,
        ),
        (
            "[[profile]]\n[profile.auth.token]\n[profile.auth.token.token_file]",
            "`auth.token.token_file` is not a string",
            3,
        ),
    ]);
}

#[test]
fn profile_errors_name_profile_and_hint() {
    let two = concat!(
        "[[profile]]\nname = \"Prod\"\n[[profile]]\nname = \"b\\u001b[1m\"\n[[profile]]\n",
        "name = \"c\"\n[[profile]]\nname = \"c\"\n",
    );
    let dedicated = "[[profile]]\nproduct = \"dedicated\"\n";
    let errors = [
        format_error(&find_profile(two, "prod").unwrap_err()),
        format_error(&disable_token_file(two, "x", None).unwrap_err()),
        format_error(&enable_token_file(two, "c", "/t").unwrap_err()),
        format_error(&enable_token_file("", "x", "/t").unwrap_err()),
        format_error(&enable_token_file(dedicated, "default", "/t").unwrap_err()),
        format_error(&create_profile(two, "Prod", "h", "1", "/t").unwrap_err()),
        format_error(&list_profiles("a = 1\nb").unwrap_err()),
        format_error(&list_profiles("profile = 1").unwrap_err()),
        format_error(&ConfigError::UnsafeEdit),
    ]
    .join("\n");
    insta::assert_snapshot!(errors);
}

#[test]
fn enable_accepts_clustered_in_any_case_or_missing_product() {
    for product in ["", "product = \"clustered\"\n", "product = \"Clustered\"\n"] {
        assert!(enable_token_file(&format!("[[profile]]\n{product}"), "default", "/t").is_ok());
    }
}

#[test]
fn unbounded_nesting_is_a_syntax_error() {
    let keys = vec!["a"; 100].join(".");
    for text in [
        format!("[[profile]]\na = {}", "[".repeat(100_000)),
        format!("[[profile]]\na = {}", "{a=".repeat(100_000)),
        format!("[[profile]]\n{keys} = 1"),
    ] {
        let error = list_profiles(&text).unwrap_err();
        assert!(matches!(error, ConfigError::Syntax { .. }), "{error}");
    }
}

#[test]
fn deep_nesting_does_not_overflow_stack() {
    let keys = vec!["a"; 79].join(".");
    let message = "the tables are nested too deeply";
    for (open, close) in [("", ""), ("[[1, ", "]]")] {
        let text = format!(
            "[[profile]]\nx = {}1{}\n",
            format!("{open}{{{keys}=").repeat(25),
            format!("}}{close}").repeat(25)
        );
        let edit = enable_token_file(&text, "default", "/t");
        assert_eq!(edit, Err(ConfigError::Shape { message, line: 2 }));
    }
}
