//! The search for the policy, and its validation.

use super::{run_with_exit_code, write_policy};
use crate::crash::{STRACE_PATH, can_trace};
use crate::sandbox::{CommandOutput, Sandbox, extract_error, sha256_hex};
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// Returns a policy with a recognizable reason pattern.
fn build_reason_policy(reason: &str) -> String {
    format!("[guard]\nrequire_reason = \"{reason}\"\n")
}

fn extract_required_reason(run: &CommandOutput) -> &str {
    let marked = run.stderr.split("requires a reason that matches `").nth(1);
    marked.map_or_else(
        || panic!("none asked: {}", run.stderr),
        |text| text.split('`').next().unwrap_or_default(),
    )
}

const DISABLE_ARGS: &[&str] = &["disable"];

#[test]
fn nearest_policy_is_used() {
    let mut sb = Sandbox::new();
    run_with_exit_code(&sb, 0, DISABLE_ARGS);
    for (name, reason) in [
        ("etc", "system"),
        ("home/repo", "root"),
        ("home/repo/a", "above"),
        ("home/repo/a/b", "here"),
        ("home", "outside"),
        ("home/named", "named"),
        ("home/variable", "variable"),
    ] {
        sb.write(
            format!("{name}/bypassctl.toml"),
            build_reason_policy(reason),
        );
    }
    sb.write("home/repo/.git/HEAD", "");
    std::fs::create_dir_all(sb.home_path("repo/c/d")).expect("sandbox");
    std::fs::create_dir_all(sb.home_path("empty")).expect("sandbox");
    assert_eq!(
        extract_required_reason(&sb.run_in_directory("home/repo/a/b", DISABLE_ARGS)),
        "here"
    );
    assert_eq!(
        extract_required_reason(&sb.run_in_directory("home/repo/a", DISABLE_ARGS)),
        "above"
    );
    assert_eq!(
        extract_required_reason(&sb.run_in_directory("home/repo/c/d", DISABLE_ARGS)),
        "root"
    );
    assert_eq!(
        sb.run_in_directory("home/empty", DISABLE_ARGS).code,
        0,
        "without a repository, no directory above"
    );
    std::fs::remove_file(sb.home_path("repo/bypassctl.toml")).expect("sandbox");
    assert_eq!(
        sb.run_in_directory("home/repo/c/d", DISABLE_ARGS).code,
        0,
        "not above the repository's root"
    );

    std::fs::remove_file(sb.home_path("bypassctl.toml")).expect("sandbox");
    assert_eq!(
        extract_required_reason(&sb.run_with_system_dir(DISABLE_ARGS)),
        "system"
    );
    let named = ["disable", "--policy", "named/bypassctl.toml"];
    assert_eq!(
        extract_required_reason(&sb.run_with_system_dir(&named)),
        "named"
    );
    sb.set_env("BYPASSCTL_POLICY", sb.home_path("variable/bypassctl.toml"));
    assert_eq!(
        extract_required_reason(&sb.run_with_system_dir(DISABLE_ARGS)),
        "variable"
    );
    assert_eq!(
        extract_required_reason(&sb.run_in_directory("home/repo/a", DISABLE_ARGS)),
        "variable"
    );
    assert_eq!(extract_required_reason(&sb.run(&named)), "named");
}

#[test]
fn policy_digest_is_reported_and_logged() {
    let sb = Sandbox::new();
    let text = "# nothing asked for\n";
    write_policy(&sb, text);
    let output = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]).stdout;
    let digest = sha256_hex(text.as_bytes());
    let line = format!(
        "ok        policy: {}/bypassctl.toml, sha256 {digest}\n",
        sb.home_path("").display()
    );
    assert!(
        output
            .replace("//", "/")
            .starts_with(&line.replace("//", "/")),
        "{output}"
    );
    assert_eq!(
        sb.read_entries_by_type("run.begin").last().expect("a run")["policy"],
        digest
    );
    sb.assert_log_intact();
}

#[test]
fn locked_system_policy_takes_precedence() {
    let mut sb = Sandbox::new();
    let system = sb.write(
        "etc/bypassctl.toml",
        format!("locked = true\n{}", build_reason_policy("system")),
    );
    write_policy(&sb, &build_reason_policy("own"));
    let output = sb.run_with_system_dir(DISABLE_ARGS);
    assert_eq!(extract_required_reason(&output), "system");
    insta::assert_snapshot!(output.normalized_output());
    let named = sb.run_with_system_dir(&["disable", "--policy", "bypassctl.toml"]);
    assert_eq!(named.code, 4);
    insta::assert_snapshot!(extract_error(&named));
    let itself = ["disable", "--policy", system.to_str().expect("text")];
    assert_eq!(
        extract_required_reason(&sb.run_with_system_dir(&itself)),
        "system"
    );
    sb.set_env("BYPASSCTL_POLICY", sb.home_path("bypassctl.toml"));
    assert_eq!(
        extract_error(&sb.run_with_system_dir(DISABLE_ARGS)),
        extract_error(&named)
    );
    assert_eq!(sb.call_lines(), "");
}

#[test]
fn invalid_system_policy_blocks_every_command() {
    let sb = Sandbox::new();
    for (text, expected) in [
        ("locked = tru", "line 1: not valid TOML"),
        ("lock = true", "did you mean `locked`?"),
    ] {
        sb.write("etc/bypassctl.toml", text);
        write_policy(&sb, "");
        for args in [
            &["disable"][..],
            &["enable", "-n", "influxdb"],
            &["audit", "list"],
            &["tools", "list"],
        ] {
            let run = sb.run_with_system_dir(args);
            assert_eq!(run.code, 4, "{}", run.stderr);
            assert!(
                run.stderr.contains(expected) && run.stderr.contains("hint: "),
                "{}",
                run.stderr
            );
        }
    }
    assert_eq!(
        (sb.call_lines(), sb.log_path().exists()),
        (String::new(), false)
    );
}

#[test]
fn unusable_policy_file_is_refused() {
    let sb = Sandbox::new();
    std::fs::create_dir(sb.home_path("directory")).expect("sandbox");
    symlink("/no/where", sb.home_path("dangling")).expect("sandbox");
    sb.write("home/latin", b"# \xe9\n");
    sb.write("home/large", "#".repeat((1 << 20) + 1));
    sb.write("home/twice", "locked = true\nlocked = false\n");
    let output: String = [
        "missing",
        "directory",
        "dangling",
        "latin",
        "large",
        "twice",
    ]
    .map(|name| extract_error(&run_with_exit_code(&sb, 4, &["disable", "--policy", name])))
    .concat();
    insta::assert_snapshot!(output);
    assert!(!sb.log_path().exists(), "a refused policy creates no log");
}

#[test]
fn locked_policy_writable_by_others_is_refused() {
    let sb = Sandbox::new();
    let path = write_policy(&sb, "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).expect("sandbox");
    let output = run_with_exit_code(&sb, 0, DISABLE_ARGS);
    let expected = format!(
        "warning: others can change the policy `{}`: everyone",
        path.display()
    );
    assert!(output.stderr.contains(&expected), "{}", output.stderr);

    let locked = write_policy(&sb, "locked = true\n");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o646)).expect("sandbox");
    insta::assert_snapshot!(extract_error(&run_with_exit_code(&sb, 4, DISABLE_ARGS)));
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o644)).expect("sandbox");
    run_with_exit_code(&sb, 0, DISABLE_ARGS);
    sb.chmod("home", 0o757);
    let output = run_with_exit_code(&sb, 4, DISABLE_ARGS);
    assert!(
        output
            .stderr
            .contains("others can change the locked policy"),
        "{}",
        output.stderr
    );
}

#[test]
fn locked_policy_behind_writable_symlink_is_refused() {
    let sb = Sandbox::new();
    sb.write("etc/real/policy.toml", "locked = true\n");
    sb.write("shared/x", "");
    symlink("../etc/real/policy.toml", sb.path("shared/link")).expect("sandbox");
    symlink("../shared/link", sb.home_path("bypassctl.toml")).expect("sandbox");
    run_with_exit_code(&sb, 0, DISABLE_ARGS);
    sb.chmod("shared", 0o777);
    let output = run_with_exit_code(&sb, 4, DISABLE_ARGS);
    assert!(
        output
            .stderr
            .contains("others can change the locked policy"),
        "{}",
        output.stderr
    );
    // In a directory like /tmp the owner of the symlink counts, not the owner of its target.
    sb.chmod("shared", 0o1777);
    run_with_exit_code(&sb, 0, DISABLE_ARGS);
    if std::os::unix::fs::lchown(sb.path("shared/link"), Some(65534), None).is_err() {
        return crate::sandbox::report_skipped("only root can create a symlink of another user");
    }
    run_with_exit_code(&sb, 4, DISABLE_ARGS);
}

/// An unreadable policy is not a missing one.
#[test]
fn inaccessible_policy_path_is_refused() {
    if !can_trace() {
        return;
    }
    let sb = Sandbox::new();
    write_policy(&sb, &build_reason_policy("root"));
    for name in [".git", "bypassctl.toml"] {
        let path = sb.home_path(name).display().to_string();
        let denied = "inject=statx,newfstatat,lstat:error=EACCES";
        let under = [
            STRACE_PATH,
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-P",
            &path,
            "-e",
            "trace=statx,newfstatat,lstat",
            "-e",
            denied,
        ];
        let output = sb.spawn_with_wrapper(&under, DISABLE_ARGS).wait();
        assert_eq!(output.code, 4, "{}", output.stderr);
        let expected = format!("cannot search for a policy: `{path}`: Permission denied");
        assert!(output.stderr.contains(&expected), "{}", output.stderr);
    }
    assert!(!sb.log_path().exists());
}

#[test]
fn dangling_policy_symlink_is_refused() {
    let sb = Sandbox::new();
    symlink("/not/mounted", sb.home_path("bypassctl.toml")).expect("sandbox");
    insta::assert_snapshot!(extract_error(&run_with_exit_code(&sb, 4, DISABLE_ARGS)));
    std::fs::remove_file(sb.home_path("bypassctl.toml")).expect("sandbox");
    symlink("/not/mounted", sb.path("etc")).expect("sandbox");
    assert_eq!(sb.run_with_system_dir(DISABLE_ARGS).code, 4);
    // A `.git` that points elsewhere also marks a repository.
    symlink("/not/mounted", sb.home_path(".git")).expect("sandbox");
    write_policy(&sb, &build_reason_policy("root"));
    std::fs::create_dir(sb.home_path("below")).expect("sandbox");
    assert_eq!(
        extract_required_reason(&sb.run_in_directory("home/below", DISABLE_ARGS)),
        "root"
    );
}

/// Creates a repository of another owner, like a container's checkout.
#[test]
fn policy_of_another_user_must_be_named() {
    let sb = Sandbox::new();
    let path = write_policy(&sb, "");
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        return crate::sandbox::report_skipped("only root can create a file of another user");
    }
    let output = run_with_exit_code(&sb, 4, DISABLE_ARGS);
    assert!(
        output
            .stderr
            .contains("hint: pass --policy FILE if you trust them"),
        "{}",
        output.stderr
    );
    run_with_exit_code(&sb, 0, &["disable", "--policy", "bypassctl.toml"]);
}
