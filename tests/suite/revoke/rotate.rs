//! `rotate`

use super::{
    assert_revoked, create_enabled_sandbox, create_fast_sandbox, extract_error, run_with_exit_code,
};
use crate::enable::{CONFIG_FILE, TOKEN_FILE};
use crate::sandbox::Sandbox;
use std::path::Path;

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

/// Two more profiles of the same cluster, the second with the token of the first, and one of
/// another product.
fn add_profiles(sb: &Sandbox) {
    let config = sb.read(CONFIG_FILE);
    let profile = |name: &str, file: &str| {
        let file = sb.home_path(file);
        format!(
            "\n[[profile]]\nname = \"{name}\"\nproduct = \"clustered\"\nhost = \"127.0.0.1\"\n\
             port = \"26444\"\n[profile.tls]\ndisable = true\n[profile.auth.token]\n\
             token_file = \"{}\"\n",
            file.display()
        )
    };
    sb.write(
        CONFIG_FILE,
        config + &profile("test", "test.json") + &profile("other", "other.json"),
    );
    sb.write("home/test.json", sb.admin_token());
    sb.write(
        "home/other.json",
        b"{\"access_token\": \"of-some-other-cluster-altogether\"}",
    );
    sb.chmod("home/test.json", 0o600);
}

fn run_rotate(sb: &Sandbox, code: i32, more: &[&str]) -> crate::sandbox::CommandOutput {
    let run = sb.run(&[ROTATE_ARGS, more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    sb.assert_no_secret_leaked(&[
        Path::new(TOKEN_FILE),
        Path::new("home/test.json"),
        Path::new("tmp/token.json"),
    ]);
    run
}

#[test]
fn rotate_writes_new_token_for_profile() {
    let sb = create_enabled_sandbox();
    let (old, config) = (sb.admin_token(), sb.read(CONFIG_FILE));
    let run = run_with_exit_code(&sb, 0, ROTATE_ARGS);
    insta::assert_snapshot!(
        "rotate",
        super::normalize_step_order(&run.normalized_output())
    );
    assert_revoked(&sb, &old, "rotate");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(
        sb.read(CONFIG_FILE),
        config,
        "the profile names the same file"
    );
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
    sb.assert_log_intact();
}

#[test]
fn rotate_configures_profile_without_token() {
    let sb = create_fast_sandbox();
    run_with_exit_code(&sb, 0, ROTATE_ARGS);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(sb.run(&["status", "-n", "influxdb"]).code, 0);
}

#[test]
fn rotate_updates_each_named_profile() {
    let sb = create_enabled_sandbox();
    add_profiles(&sb);
    run_rotate(&sb, 0, &["--profile", "default", "--profile", "test"]);
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
        several.code == 2 && several.stderr.contains("only `rotate` accepts several"),
        "{}",
        several.stderr
    );
}

#[test]
fn rotate_all_profiles_updates_those_with_old_token() {
    let sb = create_enabled_sandbox();
    add_profiles(&sb);
    let run = run_rotate(&sb, 0, &["--all-profiles"]);
    assert!(
        run.stdout
            .contains("profiles `default`, `test` use the new token\n"),
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
        "the file is unchanged"
    );
}

#[test]
fn rotate_all_profiles_refuses_when_none_has_token() {
    let sb = create_fast_sandbox();
    let run = run_rotate(&sb, 4, &["--all-profiles"]);
    insta::assert_snapshot!(extract_error(&run), @"
    error: no token file of a profile contains the old token
    hint: pass the profiles that get the new token: `--profile NAME`
    ");
}

#[test]
fn rotate_refuses_production_but_revoke_allows_it() {
    let sb = Sandbox::with_production_workload();
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
    // A revocation ends the bypass, so production does not forbid it.
    let confirmed = [
        "--context",
        "acme-prod",
        "--confirm",
        "acme-prod/influxdb",
        "--grace-period",
        "1s",
    ];
    let run = sb.run(&[&["revoke", "-n", "influxdb"][..], &confirmed].concat());
    assert!(run.code == 10, "{}", run.stderr);
}

#[test]
fn rotate_names_profile_whose_address_is_not_verified() {
    let sb = create_enabled_sandbox();
    add_profiles(&sb);
    let config = sb.read(CONFIG_FILE);
    let (first, second) = config.split_once("name = \"test\"").expect("the profile");
    let second = second.replacen("127.0.0.1", "influxdb.prod.invalid", 1);
    sb.write(CONFIG_FILE, format!("{first}name = \"test\"{second}"));
    let profiles = ["--profile", "default", "--profile", "test"];
    let run = run_rotate(
        &sb,
        10,
        &[&profiles[..], &["--grace-period", "1s"]].concat(),
    );
    let expected = "warning: profile `test` is not verified at influxdb.prod.invalid:26444: ";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
    assert!(
        run.stdout.contains("\nrevoked and verified\n")
            && run.stdout.contains("\nprofile `test` is not verified: "),
        "{}",
        run.stdout
    );
    // Both profiles have the new token, and the other address was probed with it.
    assert_eq!(sb.read("home/test.json").into_bytes(), sb.admin_token());
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
}
