//! A token on the command line.

use super::{TOKEN_FILE, run_enable};
use crate::sandbox::{Sandbox, extract_error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[test]
fn reason_with_content_of_token_file_is_never_recorded() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let log = sb.read_log();
    let token = sb.read(TOKEN_FILE);
    let reason = format!("CHG-1 {}", token.trim());
    for args in [
        &["status", "-n", "influxdb", "--reason", &reason][..],
        &["disable", "--reason", &reason],
        &["disable", "--reason", &STANDARD.encode(&token)],
        &[
            "enable",
            "-n",
            "influxdb",
            "--host",
            &reason,
            "--create-profile",
            "--port",
            "1",
        ],
        &["audit", "rotate-log", "--reason", &reason],
    ] {
        let run = sb.run(args);
        assert_eq!(run.code, 4, "{}", run.stderr);
        assert!(
            run.stderr
                .contains("the command line contains the content of token file"),
            "{}",
            run.stderr
        );
    }
    insta::assert_snapshot!(extract_error(&sb.run(&["disable", "--reason", &reason])), @"
    error: the command line contains the content of token file `[SANDBOX]/home/.config/influxctl/admin-token-default.json`
    hint: remove it from the command line. Other users of this host could read the token: run `bypassctl rotate`, unless nobody did
    ");
    assert!(sb.read_log() == log, "nothing is recorded");
    sb.assert_no_secret_leaked(&[std::path::Path::new(TOKEN_FILE)]);
}

#[test]
fn token_files_of_options_and_other_profiles_count() {
    let sb = Sandbox::new();
    let config = sb.read(super::CONFIG_FILE);
    let secret = "a-token-that-only-this-test-knows";
    let mine = sb.write("home/mine.json", secret).display().to_string();
    sb.write(
        super::CONFIG_FILE,
        format!(
            "{config}\n[[profile]]\nname = \"other\"\n[profile.auth.token]\ntoken_file = \"{mine}\"\n"
        ),
    );
    assert_eq!(sb.run(&["disable", "--reason", secret]).code, 4);
    sb.write(super::CONFIG_FILE, config);
    assert_eq!(sb.run(&["disable", "--reason", secret]).code, 0);
    for args in [
        &["enable", "-n", "influxdb", "--token-file", "mine.json"][..],
        &["revoke", "-n", "influxdb", "--old-token-file", "mine.json"],
    ] {
        let run = sb.run(&[args, &["--reason", secret]].concat());
        assert_eq!(run.code, 4, "{}", run.stderr);
        assert!(run.stderr.contains("token file `"), "{}", run.stderr);
    }
}
