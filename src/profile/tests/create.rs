use super::*;

const NEW: &str = r#"[[profile]]
name = "new"
product = "clustered"
host = "h"
port = "1"

[profile.auth.token]
token_file = "/t"
"#;

const ENTRY: &str = r#"{ name = "new", product = "clustered", host = "h", port = "1", auth = { token = { token_file = "/t" } } }"#;

#[track_caller]
fn creates(text: &str) {
    let (without, with) = marked(text);
    let edit = create(&without, "new", "h", "1", "/t").unwrap();
    assert_eq!(edit.text, with);
    let new = find(&edit.text, "new").unwrap();
    assert_eq!(new.token_file.as_deref(), Some("/t"));
    let again = create(&edit.text, "new", "h", "1", "/t");
    assert_eq!(
        again,
        Err(ConfigError::ProfileExists { name: "new".into() })
    );
}

#[test]
fn in_a_file_without_profiles() {
    creates(&format!("⟦{NEW}⟧"));
    creates(&format!("\u{feff}⟦{NEW}⟧"));
    creates(&format!("# mine\n⟦\n{NEW}⟧"));
    creates(&format!("# mine\n\n⟦{NEW}⟧"));
    creates(&format!("# mine⟦\n\n{}⟧", NEW.trim_end()));
    creates(
        &format!("[x]\r\n⟦\n{NEW}⟧")
            .replace('\n', "\r\n")
            .replace("\r\r", "\r"),
    );
}

#[test]
fn behind_other_profiles_as_they_are_indented() {
    let indented = NEW
        .replace("[[profile]]\n", "[[profile]]\n    ")
        .replace("\nproduct", "\n    product")
        .replace("\nhost", "\n    host")
        .replace("\nport", "\n    port")
        .replace("\n[profile", "\n    [profile")
        .replace("\ntoken_file", "\n        token_file");
    creates(&format!("{EXAMPLE}⟦\n{indented}⟧"));
    creates(&format!("[[profile]]\nname = \"a\"\n⟦\n{NEW}⟧"));
}

#[test]
fn in_an_inline_array() {
    creates(&format!("profile = [⟦{ENTRY}⟧]"));
    creates(&format!(
        "profile = [ {{ name = \"a\" }}⟦, {ENTRY}⟧ ] # c\n"
    ));
    creates(&format!("profile = [{{ name = \"a\" }},⟦ {ENTRY},⟧]"));
    creates(&format!(
        "profile = [\n  {{ name = \"a\" }}, # a, b\n⟦  {ENTRY},\n⟧  # end\n]\n"
    ));
    creates(&format!(
        "profile = [\r\n  {{ name = \"a\" }}⟦,⟧ # a, b\r\n⟦  {ENTRY}\r\n⟧]\r\n"
    ));
    creates(&format!(
        "profile = [\n  {{ name = \"a\" }} # a, b\n  ,⟦ {ENTRY},⟧]\n"
    ));
}

#[test]
fn values_are_escaped() {
    let edit = create("", "a \"b\"", "h\\", "p", "/t\u{1b}").unwrap();
    let new = find(&edit.text, "a \"b\"").unwrap();
    assert_eq!(new.host.as_deref(), Some("h\\"));
    assert_eq!(new.token_file.as_deref(), Some("/t\u{1b}"));
}
