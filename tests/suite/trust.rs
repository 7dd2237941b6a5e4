//! Refusal of files that others can change.

use crate::enable::{CONFIG_FILE, TOKEN_FILE};
use crate::sandbox::{Sandbox, extract_error, report_skipped};

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

/// Runs a command, which must be refused with this message and change nothing.
#[track_caller]
fn expect_refusal(sb: &Sandbox, args: &[&str], message: &str) {
    let before = sb.snapshot_files();
    let run = sb.run(args);
    assert_eq!(run.code, 4, "{args:?}: {}{}", run.stdout, run.stderr);
    assert!(run.stderr.contains(message), "{args:?}: {}", run.stderr);
    assert!(sb.snapshot_files() == before, "{args:?} changed something");
    sb.assert_no_secret_leaked(&[TOKEN_FILE.as_ref()]);
}

/// Returns whether `doctor` fails with this line, and changes nothing.
#[track_caller]
fn expect_failed_check(sb: &Sandbox, line: &str) {
    let run = sb.run(&["doctor", "-n", "influxdb"]);
    let is_line = |found: &str| found.starts_with("failed ") && found.contains(line);
    assert!(
        run.code == 1 && run.stdout.lines().any(is_line),
        "{}",
        run.stdout
    );
}

#[test]
fn config_that_others_can_change_is_refused_for_probes_and_edits() {
    let sb = Sandbox::new();
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
    for (path, mode) in [
        (CONFIG_FILE, 0o646),
        ("home/.config", 0o757),
        ("home", 0o722),
    ] {
        let old = sb.file_mode(path);
        sb.chmod(path, mode);
        for args in [
            ENABLE_ARGS,
            &["status", "-n", "influxdb"],
            &["revoke", "-n", "influxdb", "--dry-run"],
            &["rotate", "-n", "influxdb", "--dry-run"],
            &["disable"],
        ] {
            expect_refusal(&sb, args, "others can change ");
        }
        expect_failed_check(&sb, "others can change influxctl's configuration `");
        sb.chmod(path, old);
    }
    assert_eq!(sb.run(&["disable"]).code, 0);
}

#[test]
fn config_behind_symlink_in_shared_directory_is_refused() {
    let sb = Sandbox::new();
    sb.write("mine/config.toml", sb.read(CONFIG_FILE));
    sb.write("shared/x", "");
    std::fs::remove_file(sb.path(CONFIG_FILE)).expect("sandbox");
    std::os::unix::fs::symlink(sb.path("mine/config.toml"), sb.path("shared/link"))
        .expect("sandbox");
    std::os::unix::fs::symlink(sb.path("shared/link"), sb.path(CONFIG_FILE)).expect("sandbox");
    sb.chmod("shared", 0o777);
    let run = sb.run(ENABLE_ARGS);
    insta::assert_snapshot!(extract_error(&run), @"
    error: others can change influxctl's configuration `[SANDBOX]/home/.config/influxctl/config.toml`: everyone
    hint: run `chmod go-w` or `chown` on it and on each directory of its path, or pass another file: `--config FILE`
    audit head [UID] 11:[SHA256]
    ");
    // The owner of a directory with the sticky bit is root or the user.
    sb.chmod("shared", 0o1777);
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
}

#[test]
fn audit_log_or_state_directory_that_others_can_change_is_refused() {
    let mut sb = Sandbox::new();
    sb.write("state/log/x", "");
    let log = sb.path("state/log/audit.jsonl").display().to_string();
    sb.set_env("BYPASSCTL_AUDIT_LOG", log);
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
    for (path, what) in [
        ("state/log", "the audit log `"),
        ("home/.local/state/bypassctl", "the state directory `"),
    ] {
        let old = sb.file_mode(path);
        sb.chmod(path, 0o777);
        let message = format!("others can change {what}");
        expect_refusal(&sb, ENABLE_ARGS, &message);
        expect_refusal(&sb, &["status", "-n", "influxdb"], &message);
        expect_refusal(&sb, &["disable"], &message);
        expect_failed_check(&sb, &message);
        assert_eq!(sb.run(&["enable", "-n", "influxdb", "--dry-run"]).code, 0);
        sb.chmod(path, old);
    }
}

#[test]
fn token_file_below_shared_directory_is_refused() {
    let sb = Sandbox::new();
    sb.write("shared/mine/x", "");
    sb.chmod("shared", 0o777);
    sb.chmod("shared/mine", 0o700);
    let file = sb.path("shared/mine/token.json").display().to_string();
    let args = [ENABLE_ARGS, &["--token-file", &file]].concat();
    expect_refusal(&sb, &args, "others can change the token file `");
    let section = format!("\n[profile.auth.token]\ntoken_file = \"{file}\"\n");
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE) + &section);
    expect_failed_check(&sb, "others can change the token file `");
}

/// A CI job can run as root with the directories of another user.
#[test]
fn config_of_another_user_needs_to_be_named() {
    let sb = Sandbox::new();
    if std::os::unix::fs::chown(sb.path(CONFIG_FILE), Some(12345), None).is_err() {
        return report_skipped("only root can give a file to another user");
    }
    expect_refusal(
        &sb,
        ENABLE_ARGS,
        "others can change influxctl's configuration `",
    );
    let config = sb.path(CONFIG_FILE).display().to_string();
    let args = [ENABLE_ARGS, &["--config", &config]].concat();
    assert_eq!(sb.run(&args).code, 0);
    sb.chmod(CONFIG_FILE, 0o602);
    expect_refusal(&sb, &args, "config.toml`: everyone");
}

#[test]
fn connection_without_verified_tls_causes_warning() {
    for (host, tls, warning) in [
        (
            "influx.invalid",
            "disable = true",
            "without TLS: others on the network can read",
        ),
        (
            "influx.invalid",
            "insecure = true",
            "does not verify the certificate of",
        ),
        ("influx.invalid", "insecure = false", ""),
        ("127.0.0.1", "disable = true", ""),
        ("localhost", "insecure = true", ""),
    ] {
        let sb = Sandbox::new();
        let text = sb
            .read(CONFIG_FILE)
            .replace("127.0.0.1", host)
            .replace("disable = true", tls);
        sb.write(CONFIG_FILE, text);
        for args in [
            ENABLE_ARGS,
            &["enable", "-n", "influxdb"],
            &["status", "-n", "influxdb"],
            &["doctor", "-n", "influxdb"],
            &["revoke", "-n", "influxdb", "--dry-run"],
        ] {
            let run = sb.run(args);
            let output = run.stdout.clone() + &run.stderr;
            let found = ["without TLS", "does not verify"].map(|text| output.matches(text).count());
            let expected = usize::from(!warning.is_empty());
            assert_eq!(found.iter().sum::<usize>(), expected, "{args:?}: {output}");
            assert!(output.contains(warning), "{args:?}: {output}");
        }
    }
}
