//! `disable`

use crate::enable::{CONFIG_FILE, TOKEN_FILE, run_enable, run_enable_with_token_file};
use crate::sandbox::{Call, CommandOutput, Sandbox, extract_error, wrap_lines};
use std::path::Path;

/// Runs `disable`, which must call no tool and leave no token.
fn run_disable(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    sb.clear_calls();
    let run = sb.run(&[&["disable"], more].concat());
    let calls: Vec<Call> = sb.calls();
    assert!(calls.is_empty(), "{calls:?}");
    run
}

/// Creates a sandbox with an enabled token.
fn create_enabled_sandbox() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    sb
}

#[test]
fn disable_restores_files_after_enable() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG_FILE);
    sb.chmod(CONFIG_FILE, 0o640);
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let run = run_disable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 0
    --- stdout
    done      delete-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json deleted
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` no longer has an admin token
    the token stays valid until you revoke it
    --- stderr
    audit head [UID] 29:[SHA256]
    ");
    assert_eq!(
        (sb.read(CONFIG_FILE), sb.file_mode(CONFIG_FILE)),
        (before, 0o640)
    );
    assert_eq!(sb.list_directory("home/.config/influxctl"), ["config.toml"]);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_restores_config_byte_for_byte() {
    for text in [
        "[[profile]]\r\nname = \"default\"\r\nhost = \"127.0.0.1\"\r\n",
        "[[profile]]\nname = \"default\"\nhost = \"127.0.0.1\"",
        "# a\n[[profile]] # b\n\tname='default'\n\thost = '127.0.0.1' # c\n\n\n# end\n",
        "[[profile]]\nname = \"x\"\n[[profile]]\nhost = \"127.0.0.1\"\n\
         auth.oauth2.client_id = \"a\"\n[[profile]]\nname = \"y\"\n",
    ] {
        let sb = Sandbox::new();
        sb.write(CONFIG_FILE, text);
        let run = run_enable(&sb, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_ne!(sb.read(CONFIG_FILE), text);
        assert_eq!(run_disable(&sb, &[]).code, 0);
        assert_eq!(sb.read(CONFIG_FILE), text);
        sb.assert_no_secret_leaked(&[]);
    }
}

#[test]
fn disable_restores_former_token_file() {
    let former = "\n    [profile.auth.token]\n        token_file = '~/mine.json' # mine\n";
    let sb = Sandbox::new();
    let text = sb.read(CONFIG_FILE) + former;
    sb.write(CONFIG_FILE, &text);
    // The former value is the one before the first of several runs.
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let second = sb.path("home/second.json").display().to_string();
    let again = sb.run(&["enable", "-n", "influxdb", "--token-file", &second]);
    assert_eq!(again.code, 0);
    let run = run_disable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 0
    --- stdout
    done      delete-token: [SANDBOX]/home/second.json deleted
    done      delete-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json deleted
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` has its former token file again: `~/mine.json`
    the admin token stays valid until you revoke it
    --- stderr
    audit head [UID] 53:[SHA256]
    ");
    assert_eq!(sb.read(CONFIG_FILE), text);
    assert!(!sb.path("home/second.json").exists() && !sb.path(TOKEN_FILE).exists());
    let before = sb.snapshot_files();
    let run = run_disable(&sb, &[]);
    assert!(run.stdout.starts_with("nothing to do: "), "{}", run.stdout);
    assert!(sb.snapshot_files() == before);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_restores_former_token_file_after_the_log_is_rotated() {
    let sb = Sandbox::new();
    let former = "\n    [profile.auth.token]\n        token_file = '~/mine.json' # mine\n";
    let text = sb.read(CONFIG_FILE) + former;
    sb.write(CONFIG_FILE, &text);
    assert_eq!(run_enable(&sb, &[]).code, 0);
    for _ in 0..2 {
        assert_eq!(sb.run(&["audit", "rotate-log"]).code, 0);
        assert_eq!(sb.run(&["disable", "--dry-run"]).code, 0);
    }
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert_eq!(sb.read(CONFIG_FILE), text);
}

#[test]
fn disable_keeps_former_token_file_and_its_content() {
    let sb = Sandbox::new();
    let mine = sb.write("home/mine.json", "an earlier token");
    let text = format!(
        "{}\n    [profile.auth.token]\n        token_file = \"{}\"\n",
        sb.read(CONFIG_FILE),
        mine.display()
    );
    sb.write(CONFIG_FILE, &text);
    let other = sb.path("home/other.json").display().to_string();
    assert_eq!(
        run_enable_with_token_file(&sb, "home/other.json", &["--token-file", &other]).code,
        0
    );
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert_eq!(sb.read(CONFIG_FILE), text);
    assert_eq!(sb.read("home/mine.json"), "an earlier token");
    assert!(!sb.path("home/other.json").exists());
}

#[test]
fn disable_removes_token_file_that_someone_else_set_since_enable() {
    let sb = Sandbox::new();
    let text = sb.read(CONFIG_FILE);
    let section = "\n    [profile.auth.token]\n        token_file = 'relative.json'\n";
    sb.write(CONFIG_FILE, format!("{text}{section}"));
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let elsewhere = sb.path("home/elsewhere.json").display().to_string();
    let ours = sb.path(TOKEN_FILE).display().to_string();
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE).replace(&ours, &elsewhere));
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert_eq!(sb.read(CONFIG_FILE), text);
}

#[test]
fn disable_keeps_config_edits_made_since_enable() {
    let sb = create_enabled_sandbox();
    let edited = |text: String| text.replace("26444", "443") + "# a note\n";
    let before = edited(sb.read(CONFIG_FILE));
    sb.write(CONFIG_FILE, &before);
    assert_eq!(run_disable(&sb, &[]).code, 0);
    let after = sb.read(CONFIG_FILE);
    assert!(
        after.contains("443") && after.ends_with("# a note\n") && !after.contains("token_file"),
        "{after}"
    );
}

#[test]
fn disable_without_token_changes_nothing() {
    let sb = Sandbox::new();
    let before = sb.snapshot_files();
    insta::assert_snapshot!(run_disable(&sb, &[]).normalized_output(), @r"
    exit 0
    --- stdout
    nothing to do: profile `default` has no admin token
    --- stderr
    audit head [UID] 3:[SHA256]
    ");
    assert!(sb.snapshot_files() == before);
}

#[test]
fn disable_works_without_tools() {
    let sb = create_enabled_sandbox();
    for tool in ["kubectl", "influxctl"] {
        std::fs::remove_file(sb.path("bin").join(tool)).expect("sandbox");
    }
    let run = run_disable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_keeps_token_file_shared_with_another_profile() {
    let sb = create_enabled_sandbox();
    let file = sb.path(TOKEN_FILE).display().to_string();
    let second =
        format!("\n[[profile]]\n    name = \"second\"\n    auth.token.token_file = \"{file}\"\n");
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE) + &second);
    let run = run_disable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 0
    --- stdout
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` no longer has an admin token
    the token stays valid until you revoke it
    --- stderr
    warning: `[SANDBOX]/home/.config/influxctl/admin-token-default.json` is kept: profile `second`
        uses it
       hint: check whether it contains an admin token, and delete it
    audit head [UID] 27:[SHA256]
    ");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert!(sb.read(CONFIG_FILE).ends_with(&second));
    assert_eq!(run_disable(&sb, &["--profile", "second"]).code, 0);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_keeps_token_file_with_relative_path() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG_FILE);
    sb.write(
        CONFIG_FILE,
        before.clone() + "\n    [profile.auth.token]\n        token_file = \"token.json\"\n",
    );
    sb.write("home/token.json", "an invented token");
    let run = run_disable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 0
    --- stdout
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` no longer has an admin token
    the token stays valid until you revoke it
    --- stderr
    warning: `token.json` is kept: its path is relative, so it depends on the working directory of
        influxctl
       hint: check whether it contains an admin token, and delete it
    audit head [UID] 5:[SHA256]
    ");
    assert_eq!(
        (sb.read(CONFIG_FILE), sb.read("home/token.json")),
        (before, "an invented token".into())
    );
}

#[test]
fn disable_keeps_token_file_that_is_a_symlink() {
    let sb = create_enabled_sandbox();
    let real = sb.home_path("real.json");
    std::fs::rename(sb.path(TOKEN_FILE), &real).expect("sandbox");
    std::os::unix::fs::symlink(&real, sb.path(TOKEN_FILE)).expect("sandbox");
    let run = run_disable(&sb, &[]);
    assert!(
        run.code == 0 && run.stderr.contains("is kept: it is not a regular file"),
        "{}",
        run.stderr
    );
    assert!(real.exists() && sb.path(TOKEN_FILE).is_symlink());
}

#[test]
fn disable_deletes_token_files_of_killed_run() {
    let sb = create_enabled_sandbox();
    sb.write(
        "home/.config/influxctl/.admin-token-default.json.bypassctl-new",
        sb.admin_token(),
    );
    assert_eq!(run_disable(&sb, &[]).code, 0);
    sb.assert_no_secret_leaked(&[]);
    // The token file without the profile, as an interrupted run leaves it.
    sb.write(TOKEN_FILE, sb.admin_token());
    assert_eq!(run_disable(&sb, &[]).code, 0);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_deletes_token_file_at_custom_path() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG_FILE);
    assert_eq!(
        run_enable_with_token_file(&sb, "home/t.json", &["--token-file", "t.json"]).code,
        0
    );
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert_eq!(sb.read(CONFIG_FILE), before);
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn disable_warns_about_cached_token_copies() {
    let sb = Sandbox::new();
    sb.set_influxctl_version("2.3.0");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let list = [
        "--profile",
        "default",
        "database",
        "list",
        "--format",
        "json",
    ];
    assert_eq!(sb.run_tool("influxctl", &list, None).code, 0);
    let copy = "home/.cache/influxctl/default.json";
    sb.write("home/.cache/influxctl/notes.txt", "");
    let run = run_disable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 0
    --- stdout
    done      delete-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json deleted
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` no longer has an admin token
    the token stays valid until you revoke it
    --- stderr
    warning: influxctl's cache contains `[SANDBOX]/home/.cache/influxctl/default.json`: influxctl
        before 2.3.1 copies the admin token there
       hint: delete it if such an influxctl used the admin token: influxctl recreates its cache
    audit head [UID] 29:[SHA256]
    ");
    sb.assert_no_secret_leaked(&[Path::new(copy)]);
    assert!(sb.path(copy).exists(), "the copy is reported, not deleted");
}

#[test]
fn disable_fails_for_unusable_config() {
    let sb = create_enabled_sandbox();
    sb.chmod(CONFIG_FILE, 0o444);
    let before = sb.snapshot_files();
    assert_eq!(run_disable(&sb, &[]).code, 4);
    let text = run_disable(&sb, &["--profile", "x"]).stderr;
    assert!(
        text.contains("(known profiles: default)") && !text.contains("--create-profile"),
        "{text}"
    );
    assert!(sb.snapshot_files() == before);
    sb.chmod(CONFIG_FILE, 0o644);
    sb.write(CONFIG_FILE, "[[profile]\n");
    let text = extract_error(&run_disable(&sb, &[]));
    assert!(
        text.contains("config.toml`: not valid TOML at line 1, column "),
        "{text}"
    );
    std::fs::remove_file(sb.config_path()).expect("sandbox");
    assert_eq!(
        run_disable(&sb, &[]).code,
        0,
        "disable deletes the token without a configuration"
    );
    assert!(!sb.path(TOKEN_FILE).exists());
    assert_eq!(run_disable(&sb, &[]).code, 1);
}

#[test]
fn disable_deletes_token_file_of_missing_profile() {
    let sb = create_enabled_sandbox();
    sb.write(CONFIG_FILE, "[[profile]]\nname = \"other\"\n");
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert!(!sb.path(TOKEN_FILE).exists());
    assert_eq!(run_disable(&sb, &[]).code, 1, "the file is already deleted");
}

#[test]
fn disable_finds_token_despite_influxctl_profile_variable() {
    let mut sb = Sandbox::new();
    let other = sb.write("home/other.toml", "[[profile]]\nname = \"default\"\n");
    sb.set_env("INFLUXCTL_PROFILE", other.as_os_str());
    sb.set_influxctl_version("2.9.7");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert!(
        sb.read(CONFIG_FILE).contains("token_file"),
        "influxctl before 2.10.2 ignores the variable"
    );
    let run = run_disable(&sb, &[]);
    assert!(
        run.code == 0 && run.stdout.contains("no longer has an admin token"),
        "{}",
        run.stdout
    );
    assert!(!sb.read(CONFIG_FILE).contains("token_file") && !sb.path(TOKEN_FILE).exists());
}

#[test]
fn disable_keeps_config_named_as_token_file() {
    let sb = Sandbox::new();
    let config = format!(
        "[[profile]]\n[profile.auth.token]\ntoken_file = \"{}\"\n",
        sb.config_path().display()
    );
    sb.write(CONFIG_FILE, &config);
    let run = run_disable(&sb, &[]);
    assert!(
        run.code == 0
            && run
                .stderr
                .contains("is kept: it is influxctl's configuration"),
        "{}",
        run.stderr
    );
    assert!(sb.path(CONFIG_FILE).exists());
}

#[test]
fn disable_deletes_stale_temp_config_file() {
    let sb = Sandbox::new();
    let leftover = sb.write(
        "home/.config/influxctl/.config.toml.bypassctl-new",
        "client_secret = \"x\"",
    );
    assert_eq!(run_disable(&sb, &[]).code, 0);
    assert!(!leftover.exists());
}

#[test]
fn disable_logs_token_file_deletion() {
    let sb = create_enabled_sandbox();
    assert_eq!(run_disable(&sb, &[]).code, 0);
    let deletions: Vec<_> = sb
        .read_entries_by_type("intent")
        .into_iter()
        .filter(|intent| intent["file"]["op"] == "delete")
        .collect();
    assert_eq!(deletions.len(), 1);
    assert_eq!(
        deletions[0]["file"]["before"],
        serde_json::json!({"withheld": "secret"})
    );
    assert!(deletions[0]["file"]["after"].is_null());
}

#[test]
fn disable_dry_run_prints_plan_and_working_script() {
    let sb = create_enabled_sandbox();
    let before = sb.snapshot_files();
    insta::assert_snapshot!(run_disable(&sb, &["--dry-run"]).normalized_output(), @r#"
    exit 0
    --- stdout
    Disable the admin token: profile `default` in [SANDBOX]/home/.config/influxctl/config.toml
      - delete   [SANDBOX]/home/.config/influxctl/admin-token-default.json
      ~ edit     [SANDBOX]/home/.config/influxctl/config.toml
    1. delete-token: the admin token is long-lived: leave no copy
       delete [SANDBOX]/home/.config/influxctl/admin-token-default.json
       then: the file is gone
    2. edit-profile: remove the token file from profile `default`
       edit [SANDBOX]/home/.config/influxctl/config.toml
         -  15
         -  16     [profile.auth.token]
         -  17         token_file = "[SANDBOX]/home/.config/influxctl/admin-token-default.json"
       then: `auth.token.token_file` of that profile is gone, and nothing else differs
    dry run, nothing changed
    --- stderr
    audit head [UID] 25:[SHA256]
    "#);
    let script = run_disable(&sb, &["--dry-run=script"]).stdout;
    assert!(sb.snapshot_files() == before);
    let (code, text) = crate::enable::run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    sb.assert_no_secret_leaked(&[]);
    assert!(!sb.read(CONFIG_FILE).contains("token_file"));
}

#[test]
fn disable_json_report_lists_steps() {
    let sb = create_enabled_sandbox();
    let run = run_disable(&sb, &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let ids: Vec<&str> = report["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|s| s["id"].as_str())
        .collect();
    assert_eq!((run.code, ids), (0, vec!["delete-token", "edit-profile"]));
}
