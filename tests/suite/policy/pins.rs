//! Only pinned tools run.

use super::{
    build_pinned_policy, create_sandbox_with_own_tools, hash_tool, run_with_exit_code,
    write_policy, write_trusted_policy,
};
use crate::sandbox::{Sandbox, extract_error, report_skipped};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

#[test]
fn pinned_tools_run_and_digests_are_logged() {
    let sb = create_sandbox_with_own_tools();
    write_policy(&sb, &build_pinned_policy(&sb));
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
    let sha256 = hash_tool(&sb, "kubectl");
    let intents = sb.read_entries_by_type("intent");
    let kubectl_intents: Vec<_> = intents
        .iter()
        .filter(|intent| intent["argv"][0] == "kubectl")
        .collect();
    assert!(
        kubectl_intents.len() > 2
            && kubectl_intents
                .iter()
                .all(|intent| intent["exe"]["sha256"] == sha256.as_str())
    );
    assert!(
        sb.calls()
            .iter()
            .all(|call| ["kubectl", "influxctl"].contains(&call.tool.as_str())),
        "argv[0] is unchanged"
    );
}

#[test]
fn pin_accepts_prefixed_uppercase_and_several_digests() {
    let sb = create_sandbox_with_own_tools();
    let text = build_pinned_policy(&sb);
    let upper = hash_tool(&sb, "kubectl").to_uppercase();
    write_policy(
        &sb,
        &text.replace(&hash_tool(&sb, "kubectl"), &format!("sha256:{upper}")),
    );
    run_with_exit_code(&sb, 0, &["tools", "verify"]);
    write_policy(
        &sb,
        &text.replace(
            &hash_tool(&sb, "kubectl"),
            &format!("{}\", \"{upper}", "0".repeat(64)),
        ),
    );
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
}

#[test]
fn unpinned_tools_are_refused_and_never_executed() {
    let sb = create_sandbox_with_own_tools();
    let mut output = String::new();
    for text in [
        "[tools]\nrequire_pins = true\n".to_owned(),
        format!("[tools.kubectl]\nsha256 = [\"{}\"]\n", "0".repeat(64)),
        format!(
            "[tools.kubectl]\nsha256 = [\"{}\"]\n",
            hash_tool(&sb, "influxctl").replace(|c| c != '0', "1")
        ),
    ] {
        write_policy(&sb, &text);
        output += &extract_error(&run_with_exit_code(&sb, 4, ENABLE_ARGS));
        assert!(
            !sb.call_lines().contains("kubectl"),
            "kubectl ran for its version: {}",
            sb.call_lines()
        );
        sb.clear_calls();
    }
    insta::assert_snapshot!(output);
}

#[test]
fn pinning_one_tool_leaves_other_unrestricted() {
    let sb = create_sandbox_with_own_tools();
    write_policy(
        &sb,
        &format!(
            "[tools.influxctl]\nsha256 = [\"{}\"]\n",
            hash_tool(&sb, "influxctl")
        ),
    );
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
}

/// A wrapper that would start the real tool.
fn replace_kubectl(sb: &Sandbox, script: bool, name: &str) {
    let (kubectl, other) = (sb.path("bin/kubectl"), sb.path("bin").join(name));
    std::fs::rename(&kubectl, sb.path("bin/kubectl.real")).expect("sandbox");
    if script {
        sb.write(
            Path::new("bin").join(name),
            format!(
                "#!/bin/sh\nexec {} \"$@\"\n",
                sb.path("bin/kubectl.real").display()
            ),
        );
    } else {
        std::fs::copy(sb.path("bin/kubectl.real"), &other).expect("sandbox");
    }
    std::fs::set_permissions(&other, std::fs::Permissions::from_mode(0o755)).expect("sandbox");
    if other != kubectl {
        symlink(&other, &kubectl).expect("sandbox");
    }
}

#[test]
fn scripts_and_launchers_cannot_be_pinned() {
    let mut output = String::new();
    for (script, name) in [
        (true, "kubectl"),
        (false, "snap"),
        (false, "minikube"),
        (false, "k3s-arm64"),
    ] {
        let sb = create_sandbox_with_own_tools();
        replace_kubectl(&sb, script, name);
        write_policy(&sb, &build_pinned_policy(&sb));
        output += &extract_error(&run_with_exit_code(&sb, 4, ENABLE_ARGS));
        assert!(!sb.call_lines().contains("kubectl"), "{}", sb.call_lines());
        output += &extract_error(&run_with_exit_code(&sb, 4, &["tools", "pin"]));
    }
    let sb = create_sandbox_with_own_tools();
    sb.set_kubectl_version("v1.32.4-dispatcher");
    write_policy(&sb, &build_pinned_policy(&sb));
    output += &extract_error(&run_with_exit_code(&sb, 4, ENABLE_ARGS));
    output += &extract_error(&run_with_exit_code(&sb, 4, &["tools", "pin"]));
    insta::assert_snapshot!(output);
    let calls = sb.call_lines();
    assert!(
        calls.lines().all(|line| line.contains("version")),
        "only the version was read: {calls}"
    );
}

#[test]
fn unpinned_wrapper_tools_still_run() {
    let sb = create_sandbox_with_own_tools();
    replace_kubectl(&sb, true, "kubectl");
    // The fake depends on `argv[0]`, which `exec` in a sh script cannot set.
    sb.write(
        "bin/kubectl",
        format!(
            "#!/bin/bash\nexec -a kubectl {} \"$@\"\n",
            sb.path("bin/kubectl.real").display()
        ),
    );
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
    let sb = create_sandbox_with_own_tools();
    sb.set_kubectl_version("v1.32.4-dispatcher");
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
}

#[test]
fn version_outside_policy_range_is_refused() {
    let sb = create_sandbox_with_own_tools();
    write_policy(&sb, "[tools.kubectl]\nversion = \">=1.30, <1.34\"\n");
    let output = extract_error(&run_with_exit_code(&sb, 4, ENABLE_ARGS));
    insta::assert_snapshot!(output);
    write_policy(
        &sb,
        "[tools.kubectl]\nversion = \"=1.34.5-eks-1\"\n[tools.influxctl]\nversion = \"2\"\n",
    );
    sb.set_kubectl_version("v1.34.5-eks-4f4795d");
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
}

/// A revocation works without influxctl, but not with an unpinned one.
#[test]
fn revoke_is_refused_when_influxctl_violates_policy() {
    let sb = create_sandbox_with_own_tools();
    for text in [
        build_pinned_policy(&sb).replace(&hash_tool(&sb, "influxctl"), &"0".repeat(64)),
        "[tools.influxctl]\nversion = \">=3\"\n".to_owned(),
    ] {
        write_policy(&sb, &text);
        for command in ["revoke", "rotate"] {
            run_with_exit_code(
                &sb,
                4,
                &[command, "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
            );
        }
    }
    assert!(!sb.call_lines().contains("delete"), "{}", sb.call_lines());
}

/// An assumed version does not satisfy a policy.
#[test]
fn assumed_version_does_not_satisfy_policy() {
    let sb = create_sandbox_with_own_tools();
    sb.set_influxctl_version_output("influxctl version dev\n");
    write_policy(&sb, "[tools.influxctl]\nversion = \">=2.9\"\n");
    let assumed = [
        "enable",
        "-n",
        "influxdb",
        "--assume-influxctl-version",
        "2.12.0",
    ];
    insta::assert_snapshot!(extract_error(&run_with_exit_code(&sb, 4, &assumed)));
    let output = run_with_exit_code(&sb, 4, &["tools", "verify"]).stdout;
    assert!(
        output.contains("failed    influxctl: cannot read the version of influxctl"),
        "{output}"
    );
    write_policy(
        &sb,
        &format!(
            "[tools.influxctl]\nsha256 = [\"{}\"]\n",
            hash_tool(&sb, "influxctl")
        ),
    );
    run_with_exit_code(&sb, 0, &assumed);
}

#[test]
fn oversized_tool_is_refused() {
    let sb = create_sandbox_with_own_tools();
    let file = std::fs::File::options()
        .write(true)
        .open(sb.path("bin/kubectl"))
        .expect("the fake");
    file.set_len((1 << 30) + 1).expect("sandbox");
    let output = run_with_exit_code(&sb, 1, ENABLE_ARGS);
    assert!(
        output.stderr.contains("larger than 1 GiB"),
        "{}",
        output.stderr
    );
}

#[test]
fn policy_tool_path_precedes_search_path() {
    let sb = create_sandbox_with_own_tools();
    std::fs::create_dir(sb.home_path("tools")).expect("sandbox");
    std::fs::rename(sb.path("bin/kubectl"), sb.home_path("tools/kubectl")).expect("sandbox");
    write_trusted_policy(&sb, "[tools.kubectl]\npath = \"tools/kubectl\"\n");
    run_with_exit_code(&sb, 0, ENABLE_ARGS);
    write_trusted_policy(&sb, "[tools.kubectl]\npath = \"tools/none\"\n");
    insta::assert_snapshot!(extract_error(&run_with_exit_code(&sb, 1, ENABLE_ARGS)));
    let output = run_with_exit_code(
        &sb,
        1,
        &["enable", "-n", "influxdb", "--kubectl", "/no/where"],
    );
    assert!(
        output.stderr.contains("cannot find `/no/where`"),
        "a flag overrides an unlocked policy"
    );
}

/// On tmpfs, a write through a memory map changes no time, so nothing would show the exchange of the
/// program between two starts.
#[test]
fn pinned_tool_that_others_can_change_on_tmpfs_is_refused() {
    let is_tmpfs = |path: &Path| {
        rustix::fs::statfs(path).is_ok_and(|stat| u64::try_from(stat.f_type) == Ok(0x0102_1994))
    };
    let shared_memory = Path::new("/dev/shm");
    if !is_tmpfs(shared_memory) {
        return report_skipped("/dev/shm is no tmpfs, so no tool is on one");
    }
    let sb = create_sandbox_with_own_tools();
    let directory = tempfile::tempdir_in(shared_memory).expect("a directory");
    let kubectl = directory.path().join("kubectl");
    std::fs::copy(sb.path("bin/kubectl"), &kubectl).expect("sandbox");
    let pin = format!("[tools.kubectl]\npath = \"{}\"\n", kubectl.display());
    let policy = build_pinned_policy(&sb).replace("[tools.kubectl]\n", &pin);
    write_trusted_policy(&sb, &policy);
    let chmod = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&kubectl, mode).expect("sandbox");
    };
    chmod(0o777);
    let refusal = run_with_exit_code(&sb, 4, ENABLE_ARGS);
    let expected = format!(
        "`{}` is pinned, but others can change it unnoticed: everyone. ",
        kubectl.display()
    );
    assert!(refusal.stderr.contains(&expected), "{}", refusal.stderr);
    assert!(!sb.call_lines().contains("kubectl"), "{}", sb.call_lines());
    let verify = run_with_exit_code(&sb, 4, &["tools", "verify"]);
    assert!(verify.stdout.contains(&expected), "{}", verify.stdout);
    // A mount option can forbid execution there.
    chmod(0o755);
    let run = sb.run(ENABLE_ARGS);
    assert!(!run.stderr.contains("unnoticed"), "{}", run.stderr);
}
