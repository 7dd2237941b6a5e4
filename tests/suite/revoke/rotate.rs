//! `rotate`

use super::{assert_revoked, enabled, ended, error, quick};
use crate::enable::{CONFIG, TOKEN_FILE};
use crate::sandbox::Sandbox;
use std::path::Path;

const ROTATE: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

/// Two more profiles of the same place, the second with the token of the first, and one of another product.
fn with_profiles(sb: &Sandbox) {
    let config = sb.read(CONFIG);
    let profile = |name: &str, file: &str| {
        let file = sb.home(file);
        format!(
            "\n[[profile]]\nname = \"{name}\"\nproduct = \"clustered\"\nhost = \"127.0.0.1\"\nport = \"26444\"\n[profile.tls]\ndisable = true\n\
             [profile.auth.token]\ntoken_file = \"{}\"\n",
            file.display()
        )
    };
    sb.write(
        CONFIG,
        config + &profile("test", "test.json") + &profile("other", "other.json"),
    );
    sb.write("home/test.json", sb.admin_token());
    sb.write(
        "home/other.json",
        b"{\"access_token\": \"of-some-other-cluster-altogether\"}",
    );
    sb.chmod("home/test.json", 0o600);
}

fn rotate(sb: &Sandbox, code: i32, more: &[&str]) -> crate::sandbox::Run {
    let run = sb.run(&[ROTATE, more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    sb.assert_no_secret(&[
        Path::new(TOKEN_FILE),
        Path::new("home/test.json"),
        Path::new("tmp/token.json"),
    ]);
    run
}

#[test]
fn the_profile_gets_the_new_token() {
    let sb = enabled();
    let (old, config) = (sb.admin_token(), sb.read(CONFIG));
    let run = ended(&sb, 0, ROTATE);
    insta::assert_snapshot!("rotate", super::settled(&run.normalised()));
    assert_revoked(&sb, &old, "rotate");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(sb.read(CONFIG), config, "it names the same file");
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
    sb.assert_verified();
}

#[test]
fn a_profile_that_had_none() {
    let sb = quick();
    ended(&sb, 0, ROTATE);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
}

#[test]
fn several_profiles() {
    let sb = enabled();
    with_profiles(&sb);
    rotate(&sb, 0, &["--profile", "default", "--profile", "test"]);
    let new = sb.admin_token();
    assert_eq!(
        (
            sb.read(TOKEN_FILE).into_bytes(),
            sb.read("home/test.json").into_bytes()
        ),
        (new.clone(), new)
    );
    let several = sb.run(&[
        "status",
        "-n",
        "influxdb",
        "--profile",
        "default",
        "--profile",
        "test",
    ]);
    assert!(
        several.code == 2 && several.stderr.contains("only `rotate` takes several"),
        "{}",
        several.stderr
    );
}

#[test]
fn every_profile_that_held_the_old_one() {
    let sb = enabled();
    with_profiles(&sb);
    let run = rotate(&sb, 0, &["--all-profiles"]);
    assert!(
        run.stdout
            .contains("in use with profile `default`, `test`\n"),
        "{}",
        run.stdout
    );
    let new = sb.admin_token();
    assert_eq!(
        (
            sb.read(TOKEN_FILE).into_bytes(),
            sb.read("home/test.json").into_bytes()
        ),
        (new.clone(), new)
    );
    assert!(
        sb.read("home/other.json").contains("of-some-other-cluster"),
        "not touched"
    );
}

#[test]
fn no_profile_holds_it() {
    let sb = quick();
    let run = rotate(&sb, 4, &["--all-profiles"]);
    insta::assert_snapshot!(error(&run), @"
    error: no profile's token file holds the old token
    hint: name the profiles that are to get the new one: --profile NAME
    ");
}

#[test]
fn production_is_for_those_who_say_so() {
    let sb = quick();
    let run = sb.run(&[
        "rotate",
        "-n",
        "influxdb",
        "--context",
        "acme-prod",
        "--confirm",
        "acme-prod/influxdb",
    ]);
    assert!(
        run.code == 4 && run.stderr.contains("looks like production"),
        "{}",
        run.stderr
    );
    // To end a bypass in production is what a revocation is for.
    let confirmed = [
        "--context",
        "acme-prod",
        "--confirm",
        "acme-prod/influxdb",
        "--grace",
        "1s",
    ];
    let run = sb.run(&[&["revoke", "-n", "influxdb"][..], &confirmed].concat());
    assert!(run.code == 10, "{}", run.stderr);
}
