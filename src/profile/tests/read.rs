use super::*;

/// A profile with every key that is read, and a profile with empty keys.
const ALL_KEYS: &str = r#"
        [[profile]]
        product = "clustered"
        host = "h"
        port = 443
        mgmt_token = "m"
        [profile.tls]
        insecure = true
        disable = false
        cert = "c"
        key = "k"
        ca = "a"
        [profile.auth]
        oauth2.client_secret = "s"
        token.token_file = "/t"
        [[profile]]
        name = "bare"
        mgmt_token = ""
        auth.oauth2.client_secret = ""
    "#;

#[test]
fn list_profiles_reads_every_key() {
    let some = |value: &str| Some(value.to_owned());
    let tls = Tls {
        insecure: Some(true),
        disable: Some(false),
        cert: some("c"),
        key: some("k"),
        ca: some("a"),
    };
    let full = Profile {
        name: "default".into(),
        product: some("clustered"),
        host: some("h"),
        port: some("443"),
        tls,
        token_file: some("/t"),
        has_oauth2: true,
        client_secret_line: Some(14),
        has_mgmt_token: true,
    };
    let bare = Profile {
        name: "bare".into(),
        product: None,
        host: None,
        port: None,
        tls: Tls::default(),
        token_file: None,
        has_oauth2: true,
        client_secret_line: Some(19),
        has_mgmt_token: false,
    };
    assert_eq!(list_profiles(ALL_KEYS).unwrap(), [full, bare]);
}

#[test]
fn list_profiles_is_empty_when_file_has_none() {
    for text in [
        "",
        "\u{feff}",
        "# nothing\n",
        "profile = []",
        "[other]\na = 1\n",
    ] {
        assert_eq!(list_profiles(text).unwrap(), []);
        let name = "default".to_owned();
        assert_eq!(
            find_profile(text, "default"),
            Err(ConfigError::NoProfiles { name })
        );
    }
}

#[test]
fn find_profile_ignores_other_malformed_profiles() {
    let text = "[[profile]]\nname = \"a\"\nhost = 1\n[[profile]]\nname = \"b\"\n";
    assert_eq!(find_profile(text, "b").unwrap().name, "b");
    let message = "`host` is not a string";
    assert_eq!(
        list_profiles(text),
        Err(ConfigError::Shape { message, line: 3 })
    );
}

#[test]
fn probe_config_contains_only_connection_settings() {
    let profile = find_profile(&EXAMPLE.replace("default", "mine"), "mine").unwrap();
    insta::assert_snapshot!(render_probe_config(&profile, "/t\\x"), @r#"
    [[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"
    port = "26444"

    [profile.tls]
    disable = true

    [profile.auth.token]
    token_file = "/t\\x"
    "#);
    let bare = find_profile("[[profile]]\nmgmt_token = \"m\"\nhost = \"h\"\n", "default").unwrap();
    insta::assert_snapshot!(render_probe_config(&bare, "/t"), @r#"
    [[profile]]
    name = "default"
    product = "clustered"
    host = "h"

    [profile.auth.token]
    token_file = "/t"
    "#);
}

#[test]
fn probe_config_round_trips_profile() {
    let text = concat!(
        "[[profile]]\nhost = 'h\"'\nport = 1\nproduct = \"clustered\"\n",
        "tls = { insecure = true, cert = 'c\\', key = 'k', ca = 'a' }\n",
    );
    let mut profile = find_profile(text, "default").unwrap();
    profile.token_file = Some("/t".into());
    assert_eq!(
        find_profile(&render_probe_config(&profile, "/t"), "default").unwrap(),
        profile
    );
}
