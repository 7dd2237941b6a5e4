use super::*;

const NEW_PROFILE: &str = r#"[[profile]]
name = "new"
product = "clustered"
host = "h"
port = "1"

[profile.auth.token]
token_file = "/t"
"#;

const INLINE_ENTRY: &str = concat!(
    r#"{ name = "new", product = "clustered", host = "h", port = "1", "#,
    r#"auth = { token = { token_file = "/t" } } }"#
);

#[track_caller]
fn assert_creates(text: &str) {
    let (without, with) = expand_marks(text);
    let edit = create_profile(&without, "new", "h", "1", "/t").unwrap();
    assert_eq!(edit.text, with);
    let new = find_profile(&edit.text, "new").unwrap();
    assert_eq!(new.token_file.as_deref(), Some("/t"));
    let again = create_profile(&edit.text, "new", "h", "1", "/t");
    assert_eq!(
        again,
        Err(ConfigError::ProfileExists { name: "new".into() })
    );
}

#[test]
fn create_appends_to_file_without_profiles() {
    assert_creates(&format!("⟦{NEW_PROFILE}⟧"));
    assert_creates(&format!("\u{feff}⟦{NEW_PROFILE}⟧"));
    assert_creates(&format!("# mine\n⟦\n{NEW_PROFILE}⟧"));
    assert_creates(&format!("# mine\n\n⟦{NEW_PROFILE}⟧"));
    assert_creates(&format!("# mine⟦\n\n{}⟧", NEW_PROFILE.trim_end()));
    assert_creates(
        &format!("[x]\r\n⟦\n{NEW_PROFILE}⟧")
            .replace('\n', "\r\n")
            .replace("\r\r", "\r"),
    );
}

#[test]
fn create_matches_indentation_of_other_profiles() {
    let indented = NEW_PROFILE
        .replace("[[profile]]\n", "[[profile]]\n    ")
        .replace("\nproduct", "\n    product")
        .replace("\nhost", "\n    host")
        .replace("\nport", "\n    port")
        .replace("\n[profile", "\n    [profile")
        .replace("\ntoken_file", "\n        token_file");
    assert_creates(&format!("{EXAMPLE}⟦\n{indented}⟧"));
    assert_creates(&format!("[[profile]]\nname = \"a\"\n⟦\n{NEW_PROFILE}⟧"));
}

#[test]
fn create_extends_inline_array() {
    assert_creates(&format!("profile = [⟦{INLINE_ENTRY}⟧]"));
    assert_creates(&format!(
        "profile = [ {{ name = \"a\" }}⟦, {INLINE_ENTRY}⟧ ] # c\n"
    ));
    assert_creates(&format!(
        "profile = [{{ name = \"a\" }},⟦ {INLINE_ENTRY},⟧]"
    ));
    assert_creates(&format!(
        "profile = [\n  {{ name = \"a\" }}, # a, b\n⟦  {INLINE_ENTRY},\n⟧  # end\n]\n"
    ));
    assert_creates(&format!(
        "profile = [\r\n  {{ name = \"a\" }}⟦,⟧ # a, b\r\n⟦  {INLINE_ENTRY}\r\n⟧]\r\n"
    ));
    assert_creates(&format!(
        "profile = [\n  {{ name = \"a\" }} # a, b\n  ,⟦ {INLINE_ENTRY},⟧]\n"
    ));
}

#[test]
fn create_escapes_values() {
    let edit = create_profile("", "a \"b\"", "h\\", "p", "/t\u{1b}").unwrap();
    let new = find_profile(&edit.text, "a \"b\"").unwrap();
    assert_eq!(new.host.as_deref(), Some("h\\"));
    assert_eq!(new.token_file.as_deref(), Some("/t\u{1b}"));
}
