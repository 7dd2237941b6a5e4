//! The path of the token file.

use super::{
    CONFIG_FILE, TOKEN_FILE, expect_refusal, read_configured_token_file, run_enable,
    run_enable_with_token_file,
};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use std::os::unix::fs::{FileTypeExt as _, symlink};

#[test]
fn enable_refuses_directory_writable_by_others() {
    let sb = Sandbox::new();
    sb.chmod("home/.config/influxctl", 0o775);
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 4, &[]))), @"
    error: the directory of the token file is unsafe: others can write to the directory
        `[SANDBOX]/home/.config/influxctl` (mode 0775)
    hint: chmod go-w '[SANDBOX]/home/.config/influxctl', or pass another path: `--token-file FILE`
    audit head [UID] 11:[SHA256]
    ");
    sb.chmod("home/.config/influxctl", 0o1777);
    expect_refusal(&sb, 4, &[]);
}

#[test]
fn enable_refuses_missing_token_directory() {
    let sb = Sandbox::new();
    let run = expect_refusal(&sb, 4, &["--token-file", "nowhere/token.json"]);
    assert!(
        run.stderr.contains(
            "error: the directory of the token file is unsafe: cannot read the directory `"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn enable_refuses_token_file_that_is_not_regular() {
    for kind in ["directory", "symlink", "dangling", "fifo"] {
        let sb = Sandbox::new();
        let target = sb.path(TOKEN_FILE);
        match kind {
            "directory" => std::fs::create_dir(&target).expect("sandbox"),
            "symlink" => symlink(sb.write("home/elsewhere", "mine"), &target).expect("sandbox"),
            "dangling" => symlink("/no/where", &target).expect("sandbox"),
            _ => {
                let mode = rustix::fs::Mode::from_raw_mode(0o600);
                let fifo = rustix::fs::FileType::Fifo;
                rustix::fs::mknodat(rustix::fs::CWD, &target, fifo, mode, 0).expect("sandbox");
            }
        }
        let run = expect_refusal(&sb, 4, &[]);
        let text = extract_error(&run);
        let expected = "error: `[SANDBOX]/home/.config/influxctl/admin-token-default.json` is not \
                        a regular file\nhint: ";
        assert!(text.starts_with(expected), "{kind}: {text}");
        let meta = target.symlink_metadata().expect("the file still exists");
        assert!(
            meta.is_dir() || meta.is_symlink() || meta.file_type().is_fifo(),
            "{kind}"
        );
    }
}

#[test]
fn existing_token_file_is_replaced_not_overwritten() {
    let sb = Sandbox::new();
    sb.write(
        TOKEN_FILE,
        "an older one, and longer than the new: ".repeat(200),
    );
    let hard = sb.home_path("hard-link");
    std::fs::hard_link(sb.path(TOKEN_FILE), &hard).expect("sandbox");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(sb.file_mode(TOKEN_FILE), 0o600);
    let old = std::fs::read_to_string(hard).expect("sandbox");
    assert!(
        old.starts_with("an older one"),
        "enable replaces the file and never writes into it"
    );
}

#[test]
fn token_file_path_with_special_characters_works() {
    let names = [
        "token.json",
        "a b/to ken.json",
        "quote's \"and\" \\back.json",
        "größe/トークン.json",
        "$HOME;`x`.json",
    ];
    for name in names {
        let sb = Sandbox::new();
        let file = format!("home/{name}");
        std::fs::create_dir_all(sb.path(&file).parent().expect("below")).expect("sandbox");
        let run = run_enable_with_token_file(&sb, &file, &["--token-file", name]);
        assert_eq!(run.code, 0, "{name}: {}", run.stderr);
        assert_eq!(sb.read(&file).into_bytes(), sb.admin_token(), "{name}");
        assert_eq!(
            read_configured_token_file(&sb),
            sb.path(&file).display().to_string()
        );
        let again = run_enable_with_token_file(&sb, &file, &["--token-file", name]);
        assert!(
            again.code == 0 && again.stdout.contains("unchanged"),
            "{name}: {}",
            again.stdout
        );
        assert!(!sb.path(TOKEN_FILE).exists());
    }
}

#[test]
fn enable_updates_config_for_new_token_file() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("written");
    let old = sb.read(CONFIG_FILE);
    assert_eq!(
        run_enable_with_token_file(&sb, "home/other.json", &["--token-file", "other.json"]).code,
        0
    );
    let other = sb.home_path("other.json").display().to_string();
    assert_eq!(
        sb.read(CONFIG_FILE),
        old.replace(&sb.path(TOKEN_FILE).display().to_string(), &other)
    );
}

#[test]
fn invalid_token_file_path_is_usage_error() {
    let sb = Sandbox::new();
    let run = expect_refusal(&sb, 2, &["--token-file", "/"]);
    assert!(
        run.stderr.contains("invalid token file path"),
        "{}",
        run.stderr
    );
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    let words = ["enable", "-n", "influxdb", "--token-file"].map(OsStr::new);
    let run = sb.run(&[&words[..], &[OsStr::from_bytes(b"no-\xff-text.json")]].concat());
    assert_eq!(run.code, 2, "{}", run.stderr);
}

#[test]
fn enable_warns_when_profiles_share_token_file() {
    let sb = Sandbox::new();
    let second = "\n[[profile]]\n    name = \"second\"\n    product = \"clustered\"\n    \
                  host = \"127.0.0.1\"\n";
    let config = sb.read(CONFIG_FILE) + second;
    sb.write(CONFIG_FILE, config);
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let run = run_enable(
        &sb,
        &[
            "--profile",
            "second",
            "--token-file",
            ".config/influxctl/admin-token-default.json",
        ],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("warning: profile `default` uses the same token file"),
        "{}",
        run.stderr
    );
}

#[test]
fn unusual_profile_name_requires_token_file_option() {
    let sb = Sandbox::new();
    let config = sb.read(CONFIG_FILE).replace("\"default\"", "\"my site/1\"");
    sb.write(CONFIG_FILE, config);
    let run = expect_refusal(&sb, 2, &["--profile", "my site/1"]);
    assert!(
        run.stderr.contains("hint: pass `--token-file FILE`"),
        "{}",
        run.stderr
    );
    let run = run_enable_with_token_file(
        &sb,
        "home/t.json",
        &["--profile", "my site/1", "--token-file", "t.json"],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
}

#[test]
fn config_and_log_are_refused_as_token_file() {
    let sb = Sandbox::new();
    assert_eq!(
        run_enable(&sb, &["--dry-run"]).code,
        0,
        "the audit log exists now"
    );
    symlink(sb.config_path(), sb.path("home/link.toml")).expect("sandbox");
    std::fs::hard_link(
        sb.config_path(),
        sb.path("home/.config/influxctl/hard.toml"),
    )
    .expect("sandbox");
    let log = sb.log_path();
    for path in [
        ".config/influxctl/config.toml",
        ".config/influxctl/hard.toml",
        log.to_str().expect("text"),
    ] {
        let before = sb.read(CONFIG_FILE);
        let run = run_enable(&sb, &["--token-file", path]);
        assert!(
            run.code == 4 && run.stderr.contains("as the token file: "),
            "{path}: {}",
            run.stderr
        );
        assert_eq!(sb.read(CONFIG_FILE), before);
    }
}

#[test]
fn enable_reuses_token_file_and_warns_when_moved() {
    let sb = Sandbox::new();
    assert_eq!(
        run_enable_with_token_file(&sb, "home/first.json", &["--token-file", "first.json"]).code,
        0
    );
    let again = run_enable_with_token_file(&sb, "home/first.json", &[]);
    assert!(
        again.code == 0 && again.stdout.contains("unchanged write-token"),
        "{}",
        again.stdout
    );
    assert!(sb.read(CONFIG_FILE).contains("first.json") && !sb.path(TOKEN_FILE).exists());
    let moved = sb.run(&["enable", "-n", "influxdb", "--token-file", "second.json"]);
    assert!(
        moved
            .stderr
            .contains("first.json`, which still contains a token"),
        "{}",
        moved.stderr
    );
    assert!(
        read_configured_token_file(&sb).ends_with("/second.json")
            && sb.path("home/first.json").exists()
    );
}

#[test]
fn file_without_token_is_never_replaced_or_deleted() {
    let sb = Sandbox::new();
    let notes = sb.write("home/notes.txt", "my very own notes");
    let run = expect_refusal(&sb, 4, &["--token-file", "notes.txt"]);
    assert!(
        run.stderr.contains("does not contain a token"),
        "{}",
        run.stderr
    );
    let config = sb.read(CONFIG_FILE)
        + &format!(
            "\n    [profile.auth.token]\n        token_file = {:?}\n",
            notes.display().to_string()
        );
    sb.write(CONFIG_FILE, config);
    let run = sb.run(&["disable"]);
    assert!(
        run.code == 0 && run.stderr.contains("is kept: it does not contain a token"),
        "{}",
        run.stderr
    );
    assert_eq!(sb.read("home/notes.txt"), "my very own notes");
    assert!(!sb.read(CONFIG_FILE).contains("notes.txt"));
}
