//! Root with the home directory of another user.

use crate::sandbox::{CommandOutput, Sandbox, extract_error, report_skipped};
use std::os::unix::fs::chown;

const OTHER_USER: u32 = 65534;

/// Gives the home directory and all XDG directories in it to another user, as in a container job of
/// GitHub: it runs as root, with HOME=/github/home. Returns `None` unless root runs the test.
fn create_sandbox_with_foreign_home() -> Option<Sandbox> {
    let mut sb = Sandbox::new();
    for name in ["home/.config", "home/.local", "home/.local/state", "home"] {
        if chown(sb.path(name), Some(OTHER_USER), None).is_err() {
            report_skipped("only root can use the home directory of another user");
            return None;
        }
    }
    sb.set_env("CI", "true").set_env("GITHUB_ACTIONS", "true");
    for name in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"] {
        sb.set_env(name, "");
    }
    Some(sb)
}

fn refuse(sb: &Sandbox, args: &[&str]) -> CommandOutput {
    let run = sb.run(args);
    assert_eq!(run.code, 4, "{args:?}: {}", run.stderr);
    run
}

#[test]
fn root_must_name_files_outside_of_its_own_home() {
    let Some(mut sb) = create_sandbox_with_foreign_home() else {
        return;
    };
    let enable = ["enable", "-n", "influxdb"];
    let before = sb.snapshot_files();
    let missing = |run: &CommandOutput| {
        let list = run.stderr.split("missing: ").nth(1).unwrap_or_default();
        let list = list.split(['\n', '%']).next().unwrap_or_default();
        list.to_owned()
    };
    let run = refuse(&sb, &enable);
    assert_eq!(
        missing(&run),
        "--config, --token-file, --audit-log, XDG_STATE_HOME"
    );
    for command in ["revoke", "rotate", "status", "doctor"] {
        let run = refuse(&sb, &[command, "-n", "influxdb"]);
        assert_eq!(missing(&run), "--config, --audit-log, XDG_STATE_HOME");
    }
    assert_eq!(
        missing(&refuse(&sb, &["tools", "list"])),
        "--audit-log, XDG_STATE_HOME"
    );
    refuse(&sb, &["audit", "list"]);
    refuse(&sb, &["audit", "rotate-log"]);
    assert!(sb.snapshot_files() == before, "nothing changes");
    assert_eq!(sb.call_lines(), "");

    // An option, the environment and a policy each name a file.
    for name in ["own/state", "own/log"] {
        std::fs::create_dir_all(sb.path(name)).expect("sandbox");
    }
    sb.set_env("XDG_STATE_HOME", sb.path("own/state"));
    let run = refuse(&sb, &enable);
    assert_eq!(missing(&run), "--config, --token-file");
    sb.remove_env("XDG_STATE_HOME");
    sb.set_env("XDG_STATE_HOME", "");
    sb.set_env("BYPASSCTL_AUDIT_LOG", sb.path("own/log/audit.jsonl"));
    let config = sb.write(
        "own/config.toml",
        sb.read("home/.config/influxctl/config.toml"),
    );
    let policy = format!("[namespaces.influxdb]\nconfig = \"{}\"\n", config.display());
    sb.set_env("BYPASSCTL_POLICY", sb.write("own/bypassctl.toml", policy));
    let run = refuse(&sb, &enable);
    assert_eq!(missing(&run), "--token-file, XDG_STATE_HOME");
    sb.set_env("XDG_STATE_HOME", sb.path("own/state"));
    let token = sb.path("own/token.json").display().to_string();
    let run = sb.run(&[&enable[..], &["--token-file", &token]].concat());
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert_eq!(sb.read("own/token.json").into_bytes(), sb.admin_token());
    assert_eq!(sb.run(&["audit", "verify"]).code, 0);
}

#[test]
fn error_for_foreign_home_names_directory_and_owner() {
    let Some(mut sb) = create_sandbox_with_foreign_home() else {
        return;
    };
    sb.remove_env("GITHUB_ACTIONS");
    insta::assert_snapshot!(extract_error(&refuse(&sb, &["disable"])), @"
    error: root cannot use the default directory `[SANDBOX]/home/.config`: it belongs to nobody, missing: --config, --audit-log, XDG_STATE_HOME
    hint: pass the missing options or set them in a policy, and set XDG_STATE_HOME to a directory of root. Or set HOME to root's own directory and unset the XDG variables
    ");
    // A home directory of root in a directory of another user.
    let other = Sandbox::new();
    std::fs::create_dir_all(other.path("theirs/root")).expect("sandbox");
    chown(other.path("theirs"), Some(OTHER_USER), None).expect("root");
    let mut other = other;
    other.set_env("XDG_STATE_HOME", other.path("theirs/root"));
    refuse(&other, &["tools", "list"]);
}
