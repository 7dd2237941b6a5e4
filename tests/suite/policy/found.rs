//! Which policy is in force.

use super::{error, policy, run};
use crate::crash::{STRACE, can_trace};
use crate::sandbox::{Run, Sandbox, sha256};
use std::os::unix::fs::{PermissionsExt as _, symlink};

/// A policy that is told from others by the reason that it wants.
fn wanting(reason: &str) -> String {
    format!("[guard]\nrequire_reason = \"{reason}\"\n")
}

fn wants(run: &Run) -> &str {
    let marked = run.stderr.split("wants a reason that matches `").nth(1);
    marked.map_or_else(
        || panic!("none asked: {}", run.stderr),
        |text| text.split('`').next().unwrap_or_default(),
    )
}

const DISABLE: &[&str] = &["disable"];

#[test]
fn the_nearest_of_those_that_it_may_come_from() {
    let mut sb = Sandbox::new();
    run(&sb, 0, DISABLE);
    for (name, reason) in [
        ("etc", "system"),
        ("home/repo", "root"),
        ("home/repo/a", "above"),
        ("home/repo/a/b", "here"),
        ("home", "outside"),
        ("home/named", "named"),
        ("home/variable", "variable"),
    ] {
        sb.write(format!("{name}/bypassctl.toml"), wanting(reason));
    }
    sb.write("home/repo/.git/HEAD", "");
    std::fs::create_dir_all(sb.home("repo/c/d")).expect("sandbox");
    std::fs::create_dir_all(sb.home("empty")).expect("sandbox");
    assert_eq!(wants(&sb.run_in("home/repo/a/b", DISABLE)), "here");
    assert_eq!(wants(&sb.run_in("home/repo/a", DISABLE)), "above");
    assert_eq!(wants(&sb.run_in("home/repo/c/d", DISABLE)), "root");
    assert_eq!(
        sb.run_in("home/empty", DISABLE).code,
        0,
        "without a repository, no directory above"
    );
    std::fs::remove_file(sb.home("repo/bypassctl.toml")).expect("sandbox");
    assert_eq!(
        sb.run_in("home/repo/c/d", DISABLE).code,
        0,
        "not above the repository's root"
    );

    std::fs::remove_file(sb.home("bypassctl.toml")).expect("sandbox");
    assert_eq!(wants(&sb.run_on_system(DISABLE)), "system");
    let named = ["disable", "--policy", "named/bypassctl.toml"];
    assert_eq!(wants(&sb.run_on_system(&named)), "named");
    sb.env("BYPASSCTL_POLICY", sb.home("variable/bypassctl.toml"));
    assert_eq!(wants(&sb.run_on_system(DISABLE)), "variable");
    assert_eq!(wants(&sb.run_in("home/repo/a", DISABLE)), "variable");
    assert_eq!(wants(&sb.run(&named)), "named");
}

#[test]
fn it_is_shown_and_recorded_by_digest() {
    let sb = Sandbox::new();
    let text = "# nothing asked for\n";
    policy(&sb, text);
    let told = run(&sb, 0, &["doctor", "-n", "influxdb"]).stdout;
    let digest = sha256(text.as_bytes());
    let line = format!(
        "ok        policy: {}/bypassctl.toml, sha256 {digest}\n",
        sb.home("").display()
    );
    assert!(
        told.replace("//", "/")
            .starts_with(&line.replace("//", "/")),
        "{told}"
    );
    assert_eq!(
        sb.records_of("run.begin").last().expect("a run")["policy"],
        digest
    );
    sb.assert_verified();
}

#[test]
fn a_locked_one_of_the_system_wins() {
    let mut sb = Sandbox::new();
    let system = sb.write(
        "etc/bypassctl.toml",
        format!("locked = true\n{}", wanting("system")),
    );
    policy(&sb, &wanting("own"));
    let told = sb.run_on_system(DISABLE);
    assert_eq!(wants(&told), "system");
    insta::assert_snapshot!(told.normalised());
    let named = sb.run_on_system(&["disable", "--policy", "bypassctl.toml"]);
    assert_eq!(named.code, 4);
    insta::assert_snapshot!(error(&named));
    let itself = ["disable", "--policy", system.to_str().expect("text")];
    assert_eq!(wants(&sb.run_on_system(&itself)), "system");
    sb.env("BYPASSCTL_POLICY", sb.home("bypassctl.toml"));
    assert_eq!(error(&sb.run_on_system(DISABLE)), error(&named));
    assert_eq!(sb.call_lines(), "");
}

#[test]
fn one_of_the_system_that_cannot_be_read_lets_nothing_run() {
    let sb = Sandbox::new();
    for (text, said) in [
        ("locked = tru", "line 1: not valid TOML"),
        ("lock = true", "did you mean `locked`?"),
    ] {
        sb.write("etc/bypassctl.toml", text);
        policy(&sb, "");
        for args in [
            &["disable"][..],
            &["enable", "-n", "influxdb"],
            &["audit", "list"],
            &["tools", "list"],
        ] {
            let run = sb.run_on_system(args);
            assert_eq!(run.code, 4, "{}", run.stderr);
            assert!(
                run.stderr.contains(said) && run.stderr.contains("hint: "),
                "{}",
                run.stderr
            );
        }
    }
    assert_eq!((sb.call_lines(), sb.log().exists()), (String::new(), false));
}

#[test]
fn what_cannot_be_used_is_refused() {
    let sb = Sandbox::new();
    std::fs::create_dir(sb.home("directory")).expect("sandbox");
    symlink("/no/where", sb.home("dangling")).expect("sandbox");
    sb.write("home/latin", b"# \xe9\n");
    sb.write("home/large", "#".repeat((1 << 20) + 1));
    sb.write("home/twice", "locked = true\nlocked = false\n");
    let told: String = [
        "missing",
        "directory",
        "dangling",
        "latin",
        "large",
        "twice",
    ]
    .map(|name| error(&run(&sb, 4, &["disable", "--policy", name])))
    .concat();
    insta::assert_snapshot!(told);
    assert!(!sb.log().exists(), "nothing is run");
}

#[test]
fn one_that_others_can_write_to() {
    let sb = Sandbox::new();
    let path = policy(&sb, "");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o646)).expect("sandbox");
    let told = run(&sb, 0, DISABLE);
    let said = format!(
        "warning: the policy `{}` can be changed by others: everyone",
        path.display()
    );
    assert!(told.stderr.contains(&said), "{}", told.stderr);

    let locked = policy(&sb, "locked = true\n");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o646)).expect("sandbox");
    insta::assert_snapshot!(error(&run(&sb, 4, DISABLE)));
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o644)).expect("sandbox");
    run(&sb, 0, DISABLE);
    sb.chmod("home", 0o757);
    let told = run(&sb, 4, DISABLE);
    assert!(
        told.stderr
            .contains("everyone, which a locked one must not be"),
        "{}",
        told.stderr
    );
}

#[test]
fn a_symlink_on_the_way_counts_as_the_file_does() {
    let sb = Sandbox::new();
    sb.write("etc/real/policy.toml", "locked = true\n");
    sb.write("shared/x", "");
    symlink("../etc/real/policy.toml", sb.path("shared/link")).expect("sandbox");
    symlink("../shared/link", sb.home("bypassctl.toml")).expect("sandbox");
    run(&sb, 0, DISABLE);
    sb.chmod("shared", 0o777);
    let told = run(&sb, 4, DISABLE);
    assert!(
        told.stderr
            .contains("everyone, which a locked one must not be"),
        "{}",
        told.stderr
    );
    // What lies in a directory like /tmp belongs to whom the symlink belongs to, not to whom it leads.
    sb.chmod("shared", 0o1777);
    run(&sb, 0, DISABLE);
    if std::os::unix::fs::lchown(sb.path("shared/link"), Some(65534), None).is_err() {
        return crate::sandbox::skipped("a symlink of another user: only root can make one");
    }
    run(&sb, 4, DISABLE);
}

/// What may not be looked at is not taken for absent.
#[test]
fn where_it_cannot_be_looked_for_nothing_runs() {
    if !can_trace() {
        return;
    }
    let sb = Sandbox::new();
    policy(&sb, &wanting("root"));
    for name in [".git", "bypassctl.toml"] {
        let path = sb.home(name).display().to_string();
        let denied = "inject=statx,newfstatat,lstat:error=EACCES";
        let under = [
            STRACE,
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
        let told = sb.spawn_under(&under, DISABLE).wait();
        assert_eq!(told.code, 4, "{}", told.stderr);
        let said =
            format!("whether there is a policy cannot be found out: `{path}`: Permission denied");
        assert!(told.stderr.contains(&said), "{}", told.stderr);
    }
    assert!(!sb.log().exists());
}

#[test]
fn one_that_leads_to_nothing_is_not_none() {
    let sb = Sandbox::new();
    symlink("/not/mounted", sb.home("bypassctl.toml")).expect("sandbox");
    insta::assert_snapshot!(error(&run(&sb, 4, DISABLE)));
    std::fs::remove_file(sb.home("bypassctl.toml")).expect("sandbox");
    symlink("/not/mounted", sb.path("etc")).expect("sandbox");
    assert_eq!(sb.run_on_system(DISABLE).code, 4);
    // Nor is a repository whose directory is elsewhere none.
    symlink("/not/mounted", sb.home(".git")).expect("sandbox");
    policy(&sb, &wanting("root"));
    std::fs::create_dir(sb.home("below")).expect("sandbox");
    assert_eq!(wants(&sb.run_in("home/below", DISABLE)), "root");
}

/// As a repository that somebody else has put there, or a container's checkout.
#[test]
fn one_of_somebody_else_is_only_taken_if_it_is_named() {
    let sb = Sandbox::new();
    let path = policy(&sb, "");
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        return crate::sandbox::skipped("a file of another user: only root can make one");
    }
    let told = run(&sb, 4, DISABLE);
    assert!(
        told.stderr
            .contains("hint: if you trust them, name it: --policy FILE"),
        "{}",
        told.stderr
    );
    run(&sb, 0, &["disable", "--policy", "bypassctl.toml"]);
}
