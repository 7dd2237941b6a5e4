//! Tests of the comparison that refuses wrong splices.

use super::*;

const OLD: &str = concat!(
    "title = 1\n[[profile]]\nname = \"a\"\nauth.oauth2.scopes = [1, nan]\n",
    "[[profile]]\nname = \"b\"\n",
);

fn check_enabled(new: &str) -> Result<(), ConfigError> {
    data::check_enabled(&node::parse_document(OLD).unwrap(), new, 1, "/t")
}

#[test]
fn check_enabled_allows_only_token_file_key() {
    let good = format!("{OLD}auth.token.token_file = \"/t\"\n");
    assert_eq!(check_enabled(&good), Ok(()));
    assert_eq!(
        check_enabled(&format!("# c\n\n{}", good.replace("1, nan", "1,\n nan"))),
        Ok(())
    );
    for wrong in [
        OLD.to_owned(),
        good.replace("/t", "/u"),
        good.replace("token_file = \"/t\"", "token_file = 1"),
        good.replace("title = 1", "title = 2"),
        good.replace("title = 1", "title = 1.0"),
        good.replace("title = 1", ""),
        good.replace("nan", "inf"),
        good.replace("[1, nan]", "[nan, 1]"),
        good.replace("\"a\"", "\"c\""),
        format!("{good}more = 1\n"),
        format!("{good}[[profile]]\n"),
        format!("{good}not toml"),
        // The right key in the wrong profile.
        OLD.replacen("auth.", "auth.token.token_file = \"/t\"\nauth.", 1),
    ] {
        assert_eq!(
            check_enabled(&wrong),
            Err(ConfigError::UnsafeEdit),
            "{wrong}"
        );
    }
}

#[test]
fn check_disabled_allows_only_token_file_removal() {
    let on = format!("{OLD}[profile.auth.token]\ntoken_file = \"/t\"\n");
    let check_with = |old: &str, new: &str, keeps_token| {
        data::check_disabled(&node::parse_document(old).unwrap(), new, 1, keeps_token)
    };
    let check = |old: &str, new: &str| check_with(old, new, false);
    let with_empty_token = format!("{OLD}auth.token = {{}}\n");
    assert_eq!(check_with(&on, &with_empty_token, true), Ok(()));
    assert_eq!(check_with(&on, OLD, true), Err(ConfigError::UnsafeEdit));
    assert_eq!(check(&on, OLD), Ok(()));
    assert_eq!(check(&on, &format!("{OLD}auth = {{}}\n")), Ok(()));
    let more = format!("{on}other = 1\n");
    let wrong = [
        on.clone(),
        format!("{OLD}auth.token = {{}}\n"),
        format!("{OLD}auth.oauth2 = {{}}\n"),
        OLD.replace("title = 1\n", ""),
        OLD.replace("auth.oauth2.scopes = [1, nan]\n", ""),
    ];
    for wrong in wrong {
        assert_eq!(check(&on, &wrong), Err(ConfigError::UnsafeEdit), "{wrong}");
    }
    assert_eq!(check(&more, OLD), Err(ConfigError::UnsafeEdit));
    assert_eq!(
        check(&more, &format!("{OLD}auth.token.other = 1\n")),
        Ok(())
    );
}
