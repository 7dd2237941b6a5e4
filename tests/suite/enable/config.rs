//! The configuration as people have it.

use super::{CONFIG, TOKEN_FILE, enable, error, named_token_file, refused};
use crate::sandbox::Sandbox;
use std::os::unix::fs::symlink;

const SECOND: &str =
    "\n[[profile]]\n    name = \"second\"\n    product = \"clustered\"\n    host = \"127.0.0.1\"\n";

/// A sandbox with this change to its configuration.
fn with(change: impl FnOnce(String) -> String) -> Sandbox {
    let sb = Sandbox::new();
    let config = change(sb.read(CONFIG));
    sb.write(CONFIG, config);
    sb
}

#[test]
fn a_missing_profile_is_told_with_those_that_are_there() {
    let sb = with(|config| config + SECOND);
    insta::assert_snapshot!(error(&refused(&sb, 1, &["--profile", "third"])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: no profile `third` (known profiles: default, second)
    hint: name the profile with --profile NAME, or have it made: enable --create-profile --host HOST --port PORT
    audit head [UID] 11:[SHA256]
    ");
    let text = error(&refused(&sb, 1, &["--profile", "Default"]));
    assert!(text.contains("hint: did you mean `default`?"), "{text}");
}

#[test]
fn a_profile_is_made() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG);
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
    let run = super::enable_into(&sb, file, &make);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let after = sb.read(CONFIG);
    insta::assert_snapshot!(after.strip_prefix(&before).expect("appended").trim_start().replace(&sb.root().display().to_string(), "[SANDBOX]"), @r#"
    [[profile]]
        name = "new"
        product = "clustered"
        host = "127.0.0.1"
        port = "26444"

        [profile.auth.token]
            token_file = "[SANDBOX]/home/.config/influxctl/admin-token-new.json"
    "#);
    let again = super::enable_into(&sb, file, &make);
    assert_eq!((again.code, sb.read(CONFIG)), (0, after.clone()));
    let other = [
        "--profile",
        "new",
        "--create-profile",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
    ];
    let run = super::enable_into(&sb, file, &other);
    assert_eq!((run.code, sb.read(CONFIG)), (4, after), "{}", run.stderr);
}

#[test]
fn a_configuration_is_made() {
    let sb = Sandbox::new();
    std::fs::remove_dir_all(sb.home(".config/influxctl")).expect("sandbox");
    let run = enable(
        &sb,
        &["--create-profile", "--host", "127.0.0.1", "--port", "26444"],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(
        (
            sb.mode("home/.config/influxctl"),
            sb.mode(CONFIG),
            sb.mode(TOKEN_FILE)
        ),
        (0o700, 0o600, 0o600)
    );
    assert_eq!(
        named_token_file(&sb),
        sb.path(TOKEN_FILE).display().to_string()
    );
}

#[test]
fn no_configuration() {
    let sb = Sandbox::new();
    std::fs::remove_file(sb.config()).expect("sandbox");
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @"
    error: there is no influxctl configuration at `[SANDBOX]/home/.config/influxctl/config.toml`
    hint: name it with --config FILE, or have it made: enable --create-profile --host HOST --port PORT
    audit head [UID] 11:[SHA256]
    ");
    sb.write(CONFIG, "");
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: no profile `default`: the configuration has no profiles
    hint: add a `[[profile]]` with name, product, host and port
    audit head [UID] 21:[SHA256]
    ");
}

#[test]
fn dedicated_has_no_admin_token() {
    let sb = with(|config| config.replace("\"clustered\"", "\"dedicated\""));
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: profile `default` is for product `dedicated`
    hint: admin tokens are for InfluxDB Clustered: choose a profile with product `clustered`
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn two_profiles_of_one_name() {
    let sb = with(|config| config + &SECOND.replace("second", "default"));
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml`: more than one profile is named `default`
    hint: give each profile a name of its own
    audit head [UID] 11:[SHA256]
    ");
}

#[test]
fn a_broken_file_is_told_without_its_text() {
    let place = regex::Regex::new(r"config\.toml`: not valid TOML at line \d+, column \d+\nhint: ")
        .expect("pattern");
    for line in [
        "mgmt_token = \"planted-secret",
        "mgmt_token = \"a\" \"planted-secret\"",
        "mgmt_token = \"a\"\n    mgmt_token = \"planted-secret\"",
        "mgmt_token = { planted-secret }",
    ] {
        let sb = with(|config| config.replace("port = \"26444\"", line));
        let run = refused(&sb, 1, &["-v"]);
        let text = error(&run);
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
            "read before any secret is fetched"
        );
    }
}

#[test]
fn what_cannot_be_read() {
    let sb = Sandbox::new();
    sb.write(
        CONFIG,
        b"[[profile]]\nname = \"default\"\nhost = \"\xff\"\n",
    );
    let text = error(&refused(&sb, 1, &[]));
    assert!(
        text.contains("config.toml` is not UTF-8 in line 3\nhint: "),
        "{text}"
    );
    sb.write(CONFIG, "#".repeat((1 << 20) + 1));
    let text = error(&refused(&sb, 1, &[]));
    assert!(
        text.contains("cannot be read: it is larger than 1048576 bytes"),
        "{text}"
    );
    std::fs::remove_file(sb.config()).expect("sandbox");
    std::fs::create_dir(sb.config()).expect("sandbox");
    let text = error(&refused(&sb, 1, &[]));
    assert!(
        text.contains("cannot be read: it is not a regular file"),
        "{text}"
    );
}

#[test]
fn what_may_not_be_written() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG, 0o444);
    insta::assert_snapshot!(error(&refused(&sb, 4, &[])), @"
    error: `[SANDBOX]/home/.config/influxctl/config.toml` is read-only
    hint: chmod u+w '[SANDBOX]/home/.config/influxctl/config.toml'
    audit head [UID] 11:[SHA256]
    ");
    assert!(
        !sb.call_lines().contains("secrets"),
        "seen before any secret is fetched"
    );
}

#[test]
fn a_symlink_is_followed_and_kept() {
    let sb = Sandbox::new();
    let real = sb.write("home/dotfiles/influxctl.toml", sb.read(CONFIG));
    std::fs::remove_file(sb.config()).expect("sandbox");
    symlink("../../dotfiles/influxctl.toml", sb.config()).expect("sandbox");
    assert_eq!(enable(&sb, &[]).code, 0);
    assert_eq!(
        std::fs::read_link(sb.config()).expect("a link").to_str(),
        Some("../../dotfiles/influxctl.toml")
    );
    assert!(
        std::fs::read_to_string(real)
            .expect("text")
            .contains("token_file")
    );
    assert_eq!(
        named_token_file(&sb),
        sb.path(TOKEN_FILE).display().to_string()
    );
    assert_eq!(sb.names("home/dotfiles"), ["influxctl.toml"]);
}

#[test]
fn mode_and_owner_are_kept() {
    for mode in [0o600, 0o640, 0o644, 0o664] {
        let sb = Sandbox::new();
        sb.chmod(CONFIG, mode);
        let owned = rustix::process::geteuid().is_root();
        if owned {
            std::os::unix::fs::chown(sb.config(), Some(1234), Some(4321)).expect("root may");
        }
        assert_eq!(enable(&sb, &[]).code, 0);
        assert_eq!(sb.mode(CONFIG), mode);
        use std::os::unix::fs::MetadataExt as _;
        let meta = std::fs::metadata(sb.config()).expect("there");
        assert!(!owned || (meta.uid(), meta.gid()) == (1234, 4321));
    }
}

#[test]
fn every_other_byte_stays() {
    for (what, text) in [
        (
            "CRLF",
            "[[profile]]\r\nname = \"default\"\r\nproduct = \"clustered\"\r\nhost = \"127.0.0.1\"\r\n",
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
        sb.write(CONFIG, text);
        let run = enable(&sb, &[]);
        assert_eq!(run.code, 0, "{what}: {}", run.stderr);
        let after = sb.read(CONFIG);
        let mut rest = after.lines();
        assert!(
            text.lines().all(|line| rest.any(|there| there == line)),
            "{what}: {after:?}"
        );
        assert_eq!(after.contains("\r\n"), what == "CRLF");
        assert_eq!(
            named_token_file(&sb),
            sb.path(TOKEN_FILE).display().to_string()
        );
    }
}

#[test]
fn the_right_profile_of_several() {
    let sb = with(|config| config + SECOND + &SECOND.replace("second", "third"));
    let file = "home/.config/influxctl/admin-token-second.json";
    assert_eq!(
        super::enable_into(&sb, file, &["--profile", "second"]).code,
        0
    );
    let document: toml_edit::DocumentMut = sb.read(CONFIG).parse().expect("TOML");
    let has = |index: usize| {
        document["profile"][index]
            .get("auth")
            .is_some_and(|auth| auth.get("token").is_some())
    };
    assert_eq!([has(0), has(1), has(2)], [false, true, false]);
}

#[test]
fn another_configuration_is_named() {
    let mut sb = Sandbox::new();
    let usual = sb.read(CONFIG);
    for name in ["--config", "INFLUXCTL_PROFILE"] {
        let other = sb.write(format!("home/{name}/other.toml"), &usual);
        let file = format!("home/{name}/admin-token-default.json");
        let run = if name == "--config" {
            super::enable_into(&sb, &file, &["--config", other.to_str().expect("text")])
        } else {
            sb.env(name, &other);
            super::enable_into(&sb, &file, &[])
        };
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert_eq!(
            (sb.read(CONFIG), sb.read(&file).into_bytes()),
            (usual.clone(), sb.admin_token())
        );
        std::fs::remove_file(sb.path(&file)).expect("written");
    }
    sb.influxctl_version("2.10.1");
    let run = enable(&sb, &[]);
    assert!(
        run.stderr
            .contains("warning: INFLUXCTL_PROFILE is set, but influxctl before 2.10.2"),
        "{}",
        run.stderr
    );
    assert_ne!(sb.read(CONFIG), usual);
}

#[test]
fn changed_by_someone_else_meanwhile() {
    let sb = Sandbox::new();
    sb.fault(
        serde_json::json!({"tool": "influxctl", "contains": ["list"], "do": {"wait_for_file": {"path": "trial"}}}),
    );
    let running = sb.spawn(&["enable", "-n", "influxdb"]);
    sb.wait_reached("trial");
    let theirs = sb.read(CONFIG) + "# a line of theirs\n";
    sb.write(CONFIG, &theirs);
    let second = sb.run(&["enable", "-n", "influxdb"]);
    assert_eq!(second.code, 4, "{}", second.stderr);
    assert!(
        second.stderr.contains("error: another run is at work on `"),
        "{}",
        second.stderr
    );
    sb.release("trial");
    let run = running.wait();
    assert_eq!(sb.read(CONFIG), theirs);
    assert!(
        run.stderr.contains("was changed by someone else meanwhile"),
        "{}",
        run.stderr
    );
    assert_eq!(
        run.code, 8,
        "the token file was written before: {}",
        run.stderr
    );
    assert_eq!(enable(&sb, &[]).code, 0);
}
