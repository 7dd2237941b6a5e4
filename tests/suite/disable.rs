//! `disable`

use crate::enable::{CONFIG, TOKEN_FILE, enable, enable_into, error};
use crate::sandbox::{Call, Run, Sandbox};
use std::path::Path;

/// Runs `disable`, which calls nobody and leaves no token.
fn disable(sb: &Sandbox, more: &[&str]) -> Run {
    sb.forget_calls();
    let run = sb.run(&[&["disable"], more].concat());
    let calls: Vec<Call> = sb.calls();
    assert!(calls.is_empty(), "{calls:?}");
    run
}

/// A sandbox where the token is in use.
fn enabled() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(enable(&sb, &[]).code, 0);
    sb
}

#[test]
fn everything_is_as_before() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG);
    sb.chmod(CONFIG, 0o640);
    assert_eq!(enable(&sb, &[]).code, 0);
    let run = disable(&sb, &[]);
    insta::assert_snapshot!(run.normalised(), @r"
    exit 0
    --- stdout
    done      delete-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json deleted
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` has no admin token any more; the token itself stays valid until it is revoked
    --- stderr
    audit head [UID] 31:[SHA256]
    ");
    assert_eq!((sb.read(CONFIG), sb.mode(CONFIG)), (before, 0o640));
    assert_eq!(sb.names("home/.config/influxctl"), ["config.toml"]);
    sb.assert_no_secret(&[]);
}

#[test]
fn byte_for_byte() {
    for text in [
        "[[profile]]\r\nname = \"default\"\r\nhost = \"127.0.0.1\"\r\n",
        "[[profile]]\nname = \"default\"\nhost = \"127.0.0.1\"",
        "# a\n[[profile]] # b\n\tname='default'\n\thost = '127.0.0.1' # c\n\n\n# end\n",
        "[[profile]]\nname = \"x\"\n[[profile]]\nhost = \"127.0.0.1\"\nauth.oauth2.client_id = \"a\"\n[[profile]]\nname = \"y\"\n",
    ] {
        let sb = Sandbox::new();
        sb.write(CONFIG, text);
        let run = enable(&sb, &[]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_ne!(sb.read(CONFIG), text);
        assert_eq!(disable(&sb, &[]).code, 0);
        assert_eq!(sb.read(CONFIG), text);
        sb.assert_no_secret(&[]);
    }
}

#[test]
fn what_was_edited_in_between_stays() {
    let sb = enabled();
    let edited = |text: String| text.replace("26444", "443") + "# a note\n";
    let before = edited(sb.read(CONFIG));
    sb.write(CONFIG, &before);
    assert_eq!(disable(&sb, &[]).code, 0);
    let after = sb.read(CONFIG);
    assert!(
        after.contains("443") && after.ends_with("# a note\n") && !after.contains("token_file"),
        "{after}"
    );
}

#[test]
fn nothing_to_do() {
    let sb = Sandbox::new();
    let before = sb.picture();
    insta::assert_snapshot!(disable(&sb, &[]).normalised(), @r"
    exit 0
    --- stdout
    nothing to do: profile `default` has no admin token
    --- stderr
    audit head [UID] 3:[SHA256]
    ");
    assert!(sb.picture() == before);
}

#[test]
fn without_any_tool() {
    let sb = enabled();
    for tool in ["kubectl", "influxctl"] {
        std::fs::remove_file(sb.path("bin").join(tool)).expect("sandbox");
    }
    let run = disable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sb.assert_no_secret(&[]);
}

#[test]
fn a_file_that_another_profile_uses_stays() {
    let sb = enabled();
    let file = sb.path(TOKEN_FILE).display().to_string();
    let second =
        format!("\n[[profile]]\n    name = \"second\"\n    auth.token.token_file = \"{file}\"\n");
    sb.write(CONFIG, sb.read(CONFIG) + &second);
    let run = disable(&sb, &[]);
    insta::assert_snapshot!(run.normalised(), @r"
    exit 0
    --- stdout
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` has no admin token any more; the token itself stays valid until it is revoked
    --- stderr
    warning: `[SANDBOX]/home/.config/influxctl/admin-token-default.json` stays: profile `second` uses it
       hint: it may hold an admin token: look at it, and delete it yourself
    audit head [UID] 29:[SHA256]
    ");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert!(sb.read(CONFIG).ends_with(&second));
    assert_eq!(disable(&sb, &["--profile", "second"]).code, 0);
    sb.assert_no_secret(&[]);
}

#[test]
fn a_relative_path_stays() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG);
    sb.write(
        CONFIG,
        before.clone() + "\n    [profile.auth.token]\n        token_file = \"token.json\"\n",
    );
    sb.write("home/token.json", "an invented token");
    let run = disable(&sb, &[]);
    insta::assert_snapshot!(run.normalised(), @r"
    exit 0
    --- stdout
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` has no admin token any more; the token itself stays valid until it is revoked
    --- stderr
    warning: `token.json` stays: its path is relative, so which file it is depends on where influxctl runs
       hint: it may hold an admin token: look at it, and delete it yourself
    audit head [UID] 5:[SHA256]
    ");
    assert_eq!(
        (sb.read(CONFIG), sb.read("home/token.json")),
        (before, "an invented token".into())
    );
}

#[test]
fn what_is_no_regular_file_stays() {
    let sb = enabled();
    let real = sb.home("real.json");
    std::fs::rename(sb.path(TOKEN_FILE), &real).expect("sandbox");
    std::os::unix::fs::symlink(&real, sb.path(TOKEN_FILE)).expect("sandbox");
    let run = disable(&sb, &[]);
    assert!(
        run.code == 0 && run.stderr.contains("stays: it is not a regular file"),
        "{}",
        run.stderr
    );
    assert!(real.exists() && sb.path(TOKEN_FILE).is_symlink());
}

#[test]
fn what_a_killed_run_left_goes() {
    let sb = enabled();
    sb.write(
        "home/.config/influxctl/.admin-token-default.json.bypassctl-new",
        sb.admin_token(),
    );
    assert_eq!(disable(&sb, &[]).code, 0);
    sb.assert_no_secret(&[]);
    // The file without the profile: a run was cut short between the two.
    sb.write(TOKEN_FILE, sb.admin_token());
    assert_eq!(disable(&sb, &[]).code, 0);
    sb.assert_no_secret(&[]);
}

#[test]
fn a_token_file_elsewhere_goes_as_well() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG);
    assert_eq!(
        enable_into(&sb, "home/t.json", &["--token-file", "t.json"]).code,
        0
    );
    assert_eq!(disable(&sb, &[]).code, 0);
    assert_eq!(sb.read(CONFIG), before);
    sb.assert_no_secret(&[]);
}

#[test]
fn cached_copies_are_named() {
    let sb = Sandbox::new();
    sb.influxctl_version("2.3.0");
    assert_eq!(enable(&sb, &[]).code, 0);
    let list = [
        "--profile",
        "default",
        "database",
        "list",
        "--format",
        "json",
    ];
    assert_eq!(sb.tool("influxctl", &list, None).code, 0);
    let copy = "home/.cache/influxctl/default.json";
    sb.write("home/.cache/influxctl/notes.txt", "");
    let run = disable(&sb, &[]);
    insta::assert_snapshot!(run.normalised(), @r"
    exit 0
    --- stdout
    done      delete-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json deleted
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: profile `default` has no admin token any more; the token itself stays valid until it is revoked
    --- stderr
    warning: influxctl's cache holds `[SANDBOX]/home/.cache/influxctl/default.json`: influxctl before 2.3.1 keeps a copy of the admin token there
       hint: if you ever used such an influxctl with the admin token, delete it; influxctl makes its cache anew
    audit head [UID] 31:[SHA256]
    ");
    sb.assert_no_secret(&[Path::new(copy)]);
    assert!(sb.path(copy).exists(), "named, not deleted");
}

#[test]
fn failures() {
    let sb = enabled();
    sb.chmod(CONFIG, 0o444);
    let before = sb.picture();
    assert_eq!(disable(&sb, &[]).code, 4);
    assert!(
        disable(&sb, &["--profile", "x"])
            .stderr
            .contains("(known profiles: default)")
    );
    assert!(sb.picture() == before);
    sb.chmod(CONFIG, 0o644);
    sb.write(CONFIG, "[[profile]\n");
    let text = error(&disable(&sb, &[]));
    assert!(
        text.contains("config.toml`: not valid TOML at line 1, column "),
        "{text}"
    );
    std::fs::remove_file(sb.config()).expect("sandbox");
    assert_eq!(
        disable(&sb, &[]).code,
        0,
        "the token goes even where the configuration is gone"
    );
    assert!(!sb.path(TOKEN_FILE).exists());
    assert_eq!(disable(&sb, &[]).code, 1);
}

#[test]
fn a_profile_that_is_gone_leaves_no_token() {
    let sb = enabled();
    sb.write(CONFIG, "[[profile]]\nname = \"other\"\n");
    assert_eq!(disable(&sb, &[]).code, 0);
    assert!(!sb.path(TOKEN_FILE).exists());
    assert_eq!(
        disable(&sb, &[]).code,
        1,
        "then there is nothing of that name"
    );
}

#[test]
fn it_looks_where_the_token_is_whatever_the_variable_says() {
    let mut sb = Sandbox::new();
    let other = sb.write("home/other.toml", "[[profile]]\nname = \"default\"\n");
    sb.env("INFLUXCTL_PROFILE", other.as_os_str());
    sb.influxctl_version("2.9.7");
    assert_eq!(enable(&sb, &[]).code, 0);
    assert!(
        sb.read(CONFIG).contains("token_file"),
        "influxctl before 2.10.2 does not look at the variable"
    );
    let run = disable(&sb, &[]);
    assert!(
        run.code == 0 && run.stdout.contains("has no admin token any more"),
        "{}",
        run.stdout
    );
    assert!(!sb.read(CONFIG).contains("token_file") && !sb.path(TOKEN_FILE).exists());
}

#[test]
fn the_configuration_is_never_deleted() {
    let sb = Sandbox::new();
    let config = format!(
        "[[profile]]\n[profile.auth.token]\ntoken_file = \"{}\"\n",
        sb.config().display()
    );
    sb.write(CONFIG, &config);
    let run = disable(&sb, &[]);
    assert!(
        run.code == 0
            && run
                .stderr
                .contains("stays: it is influxctl's configuration"),
        "{}",
        run.stderr
    );
    assert!(sb.path(CONFIG).exists());
}

#[test]
fn what_a_killed_run_left_beside_the_configuration_goes() {
    let sb = Sandbox::new();
    let left = sb.write(
        "home/.config/influxctl/.config.toml.bypassctl-new",
        "client_secret = \"x\"",
    );
    assert_eq!(disable(&sb, &[]).code, 0);
    assert!(!left.exists());
}

#[test]
fn a_deletion_is_on_record_as_one() {
    let sb = enabled();
    assert_eq!(disable(&sb, &[]).code, 0);
    let deletions: Vec<_> = sb
        .records_of("intent")
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
fn dry_runs() {
    let sb = enabled();
    let before = sb.picture();
    insta::assert_snapshot!(disable(&sb, &["--dry-run"]).normalised(), @r#"
    exit 0
    --- stdout
    plan: disable profile `default` in [SANDBOX]/home/.config/influxctl/config.toml
    1. delete-token: the admin token is long-lived: leave no copy
       delete [SANDBOX]/home/.config/influxctl/admin-token-default.json
       then: the file is gone
    2. edit-profile: take the token file out of profile `default`
       edit [SANDBOX]/home/.config/influxctl/config.toml
         -  15
         -  16     [profile.auth.token]
         -  17         token_file = "[SANDBOX]/home/.config/influxctl/admin-token-default.json"
       then: `auth.token.token_file` of that profile is gone, and nothing else differs
    this was a dry run: nothing was changed
    --- stderr
    audit head [UID] 27:[SHA256]
    "#);
    let script = disable(&sb, &["--dry-run=script"]).stdout;
    assert!(sb.picture() == before);
    let (code, text) = crate::enable::run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    sb.assert_no_secret(&[]);
    assert!(!sb.read(CONFIG).contains("token_file"));
}

#[test]
fn as_json() {
    let sb = enabled();
    let run = disable(&sb, &["-o", "json"]);
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let ids: Vec<&str> = report["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|s| s["id"].as_str())
        .collect();
    assert_eq!((run.code, ids), (0, vec!["delete-token", "edit-profile"]));
}
