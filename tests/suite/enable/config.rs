//! Real-world configurations.

use super::{CONFIG_FILE, TOKEN_FILE, expect_refusal, read_configured_token_file, run_enable};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use std::os::unix::fs::symlink;

const SECOND_PROFILE: &str =
    "\n[[profile]]\n    name = \"second\"\n    product = \"clustered\"\n    host = \"127.0.0.1\"\n";

/// Creates a sandbox with this change to its configuration.
fn create_sandbox_with_config(change: impl FnOnce(String) -> String) -> Sandbox {
    let sb = Sandbox::new();
    let config = change(sb.read(CONFIG_FILE));
    sb.write(CONFIG_FILE, config);
    sb
}

#[test]
fn missing_profile_error_lists_known_profiles() {
    let sb = create_sandbox_with_config(|config| config + SECOND_PROFILE);
    let run = expect_refusal(&sb, 1, &["--profile", "third"]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: profile `third` not found (known
        profiles: default, second)
    hint: pass a known profile: `--profile NAME`, or create the profile with `bypassctl enable -n
        influxdb --profile third --create-profile --host HOST --port PORT`
    audit head [UID] 11:[SHA256]
    ");
    let text = extract_error(&expect_refusal(&sb, 1, &["--profile", "Default"]));
    assert!(text.contains("hint: did you mean `default`?"), "{text}");
}

#[test]
fn create_profile_appends_profile_once() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG_FILE);
    let make = [
        "--profile",
        "new",
        "--create-profile",
        "--host",
        "127.0.0.1",
        "--port",
        "26444",
    ];
    let file = "home/.config/influxctl/admin-token-new.json";
    let run = super::run_enable_with_token_file(&sb, file, &make);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let after = sb.read(CONFIG_FILE);
    let added = after.strip_prefix(&before).expect("appended").trim_start();
    insta::assert_snapshot!(crate::sandbox::normalize(added, sb.root()), @r#"
    [[profile]]
        name = "new"
        product = "clustered"
        host = "127.0.0.1"
        port = "26444"

        [profile.auth.token]
            token_file = "[SANDBOX]/home/.config/influxctl/admin-token-new.json"
    "#);
    let again = super::run_enable_with_token_file(&sb, file, &make);
    assert_eq!((again.code, sb.read(CONFIG_FILE)), (0, after.clone()));
    let other = [
        "--profile",
        "new",
        "--create-profile",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
    ];
    let run = super::run_enable_with_token_file(&sb, file, &other);
    assert_eq!(
        (run.code, sb.read(CONFIG_FILE)),
        (4, after),
        "{}",
        run.stderr
    );
}

#[test]
fn create_profile_creates_missing_config() {
    let sb = Sandbox::new();
    std::fs::remove_dir_all(sb.home_path(".config/influxctl")).expect("sandbox");
    let run = run_enable(
        &sb,
        &["--create-profile", "--host", "127.0.0.1", "--port", "26444"],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        (
            sb.file_mode("home/.config/influxctl"),
            sb.file_mode(CONFIG_FILE),
            sb.file_mode(TOKEN_FILE)
        ),
        (0o700, 0o600, 0o600)
    );
    assert_eq!(
        read_configured_token_file(&sb),
        sb.path(TOKEN_FILE).display().to_string()
    );
}

#[test]
fn enable_fails_for_missing_or_empty_config() {
    let sb = Sandbox::new();
    std::fs::remove_file(sb.config_path()).expect("sandbox");
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 1, &[]))), @"
    error: influxctl configuration `[SANDBOX]/home/.config/influxctl/config.toml` not found
    hint: pass an existing file with --config FILE, or create the profile with `bypassctl enable -n
        influxdb --create-profile --host HOST --port PORT`
    audit head [UID] 11:[SHA256]
    ");
    sb.write(CONFIG_FILE, "");
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 1, &[]))), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: profile `default` not found: the
        configuration has no profiles
    hint: add a `[[profile]]` with name, product, host and port, or create the profile with
        `bypassctl enable -n influxdb --create-profile --host HOST --port PORT`
    audit head [UID] 21:[SHA256]
    ");
}

#[test]
fn enable_fails_for_dedicated_profile() {
    let sb = create_sandbox_with_config(|config| config.replace("\"clustered\"", "\"dedicated\""));
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 1, &[]))), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: profile `default` is for product
        `dedicated`
    hint: choose a profile with product `clustered`: only InfluxDB Clustered has admin tokens
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn enable_fails_for_duplicate_profile_names() {
    let sb =
        create_sandbox_with_config(|config| config + &SECOND_PROFILE.replace("second", "default"));
    insta::assert_snapshot!(extract_error(&expect_refusal(&sb, 1, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: more than one profile is named `default`
    hint: give each profile a unique name
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn invalid_toml_error_omits_file_content() {
    let place = regex::Regex::new(r"config\.toml`: not valid TOML at line \d+, column \d+\nhint: ")
        .expect("pattern");
    for line in [
        "mgmt_token = \"planted-secret",
        "mgmt_token = \"a\" \"planted-secret\"",
        "mgmt_token = \"a\"\n    mgmt_token = \"planted-secret\"",
        "mgmt_token = { planted-secret }",
    ] {
        let sb = create_sandbox_with_config(|config| config.replace("port = \"26444\"", line));
        let run = expect_refusal(&sb, 1, &["-v"]);
        let text = extract_error(&run);
        assert!(place.is_match(&text), "{text}");
        for shown in [
            run.stdout,
            run.stderr,
            sb.read("home/.local/state/bypassctl/audit.jsonl"),
        ] {
            assert!(!shown.contains("planted"), "{shown}");
        }
        assert!(
            !sb.call_lines().contains("secrets"),
            "the configuration is read before any secret"
        );
    }
}

#[test]
fn enable_fails_for_unreadable_config() {
    let sb = Sandbox::new();
    sb.write(
        CONFIG_FILE,
        b"[[profile]]\nname = \"default\"\nhost = \"\xff\"\n",
    );
    let text = extract_error(&expect_refusal(&sb, 1, &[]));
    assert!(
        text.contains("config.toml` is not UTF-8 in line 3\nhint: "),
        "{text}"
    );
    sb.write(CONFIG_FILE, "#".repeat((1 << 20) + 1));
    let text = extract_error(&expect_refusal(&sb, 1, &[]));
    assert!(
        text.contains("config.toml`: larger than 1048576 bytes"),
        "{text}"
    );
    std::fs::remove_file(sb.config_path()).expect("sandbox");
    std::fs::create_dir(sb.config_path()).expect("sandbox");
    let text = extract_error(&expect_refusal(&sb, 1, &[]));
    assert!(text.contains("config.toml`: not a regular file"), "{text}");
}

#[test]
fn enable_refuses_read_only_config() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG_FILE, 0o444);
    insta::assert_snapshot!(extract_error(&expect_refusal(&sb, 4, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml` is read-only
    hint: run `chmod u+w [SANDBOX]/home/.config/influxctl/config.toml`
    audit head [UID] 11:[SHA256]
    ");
    assert!(
        !sb.call_lines().contains("secrets"),
        "the error comes before any secret is read"
    );
}

#[test]
fn symlinked_config_is_edited_and_link_kept() {
    let sb = Sandbox::new();
    let real = sb.write("home/dotfiles/influxctl.toml", sb.read(CONFIG_FILE));
    std::fs::remove_file(sb.config_path()).expect("sandbox");
    symlink("../../dotfiles/influxctl.toml", sb.config_path()).expect("sandbox");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(
        std::fs::read_link(sb.config_path())
            .expect("a link")
            .to_str(),
        Some("../../dotfiles/influxctl.toml")
    );
    assert!(
        std::fs::read_to_string(real)
            .expect("text")
            .contains("token_file")
    );
    assert_eq!(
        read_configured_token_file(&sb),
        sb.path(TOKEN_FILE).display().to_string()
    );
    assert_eq!(sb.list_directory("home/dotfiles"), ["influxctl.toml"]);
}

#[test]
fn config_mode_and_owner_are_preserved() {
    for mode in [0o600, 0o640, 0o644, 0o664] {
        let sb = Sandbox::new();
        sb.chmod(CONFIG_FILE, mode);
        let owned = rustix::process::geteuid().is_root();
        // A group of others must not be able to write.
        let group = if mode & 0o020 == 0 { 4321 } else { 0 };
        if owned {
            std::os::unix::fs::chown(sb.config_path(), Some(1234), Some(group)).expect("root may");
        }
        let config = sb.config_path().display().to_string();
        assert_eq!(run_enable(&sb, &["--config", &config]).code, 0);
        assert_eq!(sb.file_mode(CONFIG_FILE), mode);
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(sb.config_path()).expect("the file exists");
        assert!(!owned || (meta.uid(), meta.gid()) == (1234, group));
    }
}

#[test]
fn enable_preserves_other_config_lines() {
    for (what, text) in [
        (
            "CRLF",
            "[[profile]]\r\nname = \"default\"\r\nproduct = \"clustered\"\r\n\
             host = \"127.0.0.1\"\r\n",
        ),
        (
            "no final newline",
            "[[profile]]\nname = \"default\"\nhost = \"127.0.0.1\"",
        ),
        (
            "tabs and comments",
            "# a\n[[profile]] # b\n\tname='default'\n\thost = '127.0.0.1' # c\n# end\n",
        ),
    ] {
        let sb = Sandbox::new();
        sb.write(CONFIG_FILE, text);
        let run = run_enable(&sb, &[]);
        assert_eq!(run.code, 0, "{what}: {}", run.stderr);
        let after = sb.read(CONFIG_FILE);
        let mut rest = after.lines();
        assert!(
            text.lines().all(|line| rest.any(|there| there == line)),
            "{what}: {after:?}"
        );
        assert_eq!(after.contains("\r\n"), what == "CRLF");
        assert_eq!(
            read_configured_token_file(&sb),
            sb.path(TOKEN_FILE).display().to_string()
        );
    }
}

#[test]
fn enable_edits_only_the_named_profile() {
    let sb = create_sandbox_with_config(|config| {
        config + SECOND_PROFILE + &SECOND_PROFILE.replace("second", "third")
    });
    let file = "home/.config/influxctl/admin-token-second.json";
    assert_eq!(
        super::run_enable_with_token_file(&sb, file, &["--profile", "second"]).code,
        0
    );
    let document: toml_edit::DocumentMut = sb.read(CONFIG_FILE).parse().expect("TOML");
    let has = |index: usize| {
        document["profile"][index]
            .get("auth")
            .is_some_and(|auth| auth.get("token").is_some())
    };
    assert_eq!([has(0), has(1), has(2)], [false, true, false]);
}

#[test]
fn enable_uses_config_from_flag_or_variable() {
    let mut sb = Sandbox::new();
    let usual = sb.read(CONFIG_FILE);
    for name in ["--config", "INFLUXCTL_PROFILE"] {
        let other = sb.write(format!("home/{name}/other.toml"), &usual);
        let file = format!("home/{name}/admin-token-default.json");
        let run = if name == "--config" {
            super::run_enable_with_token_file(
                &sb,
                &file,
                &["--config", other.to_str().expect("text")],
            )
        } else {
            sb.set_env(name, &other);
            super::run_enable_with_token_file(&sb, &file, &[])
        };
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(
            (sb.read(CONFIG_FILE), sb.read(&file).into_bytes()),
            (usual.clone(), sb.admin_token())
        );
        std::fs::remove_file(sb.path(&file)).expect("written");
    }
    sb.set_influxctl_version("2.10.1");
    let run = run_enable(&sb, &[]);
    assert!(
        run.stderr
            .contains("warning: INFLUXCTL_PROFILE is set, but influxctl before 2.10.2"),
        "{}",
        run.stderr
    );
    assert_ne!(sb.read(CONFIG_FILE), usual);
}

#[test]
fn enable_stops_when_config_changes_meanwhile() {
    let sb = Sandbox::new();
    sb.inject_fault(serde_json::json!({
        "tool": "influxctl",
        "contains": ["list"],
        "do": {"wait_for_file": {"path": "probe-gate"}}
    }));
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_for_gate("probe-gate");
    let theirs = sb.read(CONFIG_FILE) + "# a line of theirs\n";
    sb.write(CONFIG_FILE, &theirs);
    let second = sb.run(&["enable", "-n", "influxdb"]);
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(
        second.stderr.contains("error: another run is working on `"),
        "{}",
        second.stderr
    );
    sb.release_gate("probe-gate");
    let run = running.wait();
    assert_eq!(sb.read(CONFIG_FILE), theirs);
    assert!(
        run.stderr
            .contains("was changed by someone else during this run"),
        "{}",
        run.stderr
    );
    assert_eq!(
        run.code, 8,
        "the token file is already written: {}",
        run.stderr
    );
    assert_eq!(run_enable(&sb, &[]).code, 0);
}

#[test]
fn toml_1_1_syntax_causes_warning() {
    let sb = Sandbox::new();
    let other = "\n[[profile]]\nname = \"second\"\nproduct = \"clustered\"\nhost = \"h\"\n\
                 port = \"1\"\nauth = { token = { token_file = \"/x\", } }\n";
    let config = sb.read(CONFIG_FILE) + other;
    sb.write(CONFIG_FILE, &config);
    let line = config.lines().count();
    let expected = format!(
        "line {line} has a comma at the end of an inline table, which only TOML 1.1 allows"
    );
    let run = sb.run(&["enable", "-n", "influxdb"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(run.stderr.matches(&expected).count(), 1, "{}", run.stderr);
    let doctor = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        doctor.stdout.contains("warning   configuration: line "),
        "{}",
        doctor.stdout
    );
}
