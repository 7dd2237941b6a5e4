//! What is pinned runs, and nothing else.

use super::{digest, error, pinned, policy, run, with_own_tools};
use crate::sandbox::Sandbox;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

const ENABLE: &[&str] = &["enable", "-n", "influxdb"];

#[test]
fn what_is_pinned_runs() {
    let sb = with_own_tools();
    policy(&sb, &pinned(&sb));
    run(&sb, 0, ENABLE);
    let sha256 = digest(&sb, "kubectl");
    let intents = sb.records_of("intent");
    let of_kubectl: Vec<_> = intents
        .iter()
        .filter(|intent| intent["argv"][0] == "kubectl")
        .collect();
    assert!(
        of_kubectl.len() > 4
            && of_kubectl
                .iter()
                .all(|intent| intent["exe"]["sha256"] == sha256.as_str())
    );
    assert!(
        sb.calls()
            .iter()
            .all(|call| ["kubectl", "influxctl"].contains(&call.tool.as_str())),
        "argv[0] stays"
    );
}

#[test]
fn digests_are_taken_as_people_write_them() {
    let sb = with_own_tools();
    let text = pinned(&sb);
    let upper = digest(&sb, "kubectl").to_uppercase();
    policy(
        &sb,
        &text.replace(&digest(&sb, "kubectl"), &format!("sha256:{upper}")),
    );
    run(&sb, 0, &["tools", "verify"]);
    policy(
        &sb,
        &text.replace(
            &digest(&sb, "kubectl"),
            &format!("{}\", \"{upper}", "0".repeat(64)),
        ),
    );
    run(&sb, 0, ENABLE);
}

#[test]
fn what_is_not_pinned_is_never_executed() {
    let sb = with_own_tools();
    let mut told = String::new();
    for text in [
        "[tools]\nrequire_pins = true\n".to_owned(),
        format!("[tools.kubectl]\nsha256 = [\"{}\"]\n", "0".repeat(64)),
        format!(
            "[tools.kubectl]\nsha256 = [\"{}\"]\n",
            digest(&sb, "influxctl").replace(|c| c != '0', "1")
        ),
    ] {
        policy(&sb, &text);
        told += &error(&run(&sb, 4, ENABLE));
        assert!(
            !sb.call_lines().contains("kubectl"),
            "not even for its version: {}",
            sb.call_lines()
        );
        sb.forget_calls();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn one_tool_pinned_leaves_the_other_free() {
    let sb = with_own_tools();
    policy(
        &sb,
        &format!(
            "[tools.influxctl]\nsha256 = [\"{}\"]\n",
            digest(&sb, "influxctl")
        ),
    );
    run(&sb, 0, ENABLE);
}

/// A program of another name or kind that would start the real one.
fn instead(sb: &Sandbox, script: bool, name: &str) {
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
fn what_starts_another_cannot_be_pinned() {
    let mut told = String::new();
    for (script, name) in [
        (true, "kubectl"),
        (false, "snap"),
        (false, "minikube"),
        (false, "k3s-arm64"),
    ] {
        let sb = with_own_tools();
        instead(&sb, script, name);
        policy(&sb, &pinned(&sb));
        told += &error(&run(&sb, 4, ENABLE));
        assert!(!sb.call_lines().contains("kubectl"), "{}", sb.call_lines());
        told += &error(&run(&sb, 4, &["tools", "pin"]));
    }
    let sb = with_own_tools();
    sb.kubectl_version("v1.32.4-dispatcher");
    policy(&sb, &pinned(&sb));
    told += &error(&run(&sb, 4, ENABLE));
    told += &error(&run(&sb, 4, &["tools", "pin"]));
    insta::assert_snapshot!(told);
    let calls = sb.call_lines();
    assert!(
        calls.lines().all(|line| line.contains("version")),
        "only asked what it is: {calls}"
    );
}

#[test]
fn unpinned_ones_still_run() {
    let sb = with_own_tools();
    instead(&sb, true, "kubectl");
    // The fake goes by the name that it is called by, which `exec` in a script of sh cannot give.
    sb.write(
        "bin/kubectl",
        format!(
            "#!/bin/bash\nexec -a kubectl {} \"$@\"\n",
            sb.path("bin/kubectl.real").display()
        ),
    );
    run(&sb, 0, ENABLE);
    let sb = with_own_tools();
    sb.kubectl_version("v1.32.4-dispatcher");
    run(&sb, 0, ENABLE);
}

#[test]
fn a_version_that_the_policy_does_not_have_run() {
    let sb = with_own_tools();
    policy(&sb, "[tools.kubectl]\nversion = \">=1.30, <1.34\"\n");
    let told = error(&run(&sb, 4, ENABLE));
    insta::assert_snapshot!(told);
    policy(
        &sb,
        "[tools.kubectl]\nversion = \"=1.34.5-eks-1\"\n[tools.influxctl]\nversion = \"2\"\n",
    );
    sb.kubectl_version("v1.34.5-eks-4f4795d");
    run(&sb, 0, ENABLE);
}

/// A revocation can do without influxctl, but not with another one than the policy's.
#[test]
fn a_revocation_is_refused_as_well() {
    let sb = with_own_tools();
    for text in [
        pinned(&sb).replace(&digest(&sb, "influxctl"), &"0".repeat(64)),
        "[tools.influxctl]\nversion = \">=3\"\n".to_owned(),
    ] {
        policy(&sb, &text);
        for command in ["revoke", "rotate"] {
            run(
                &sb,
                4,
                &[command, "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
            );
        }
    }
    assert!(!sb.call_lines().contains("delete"), "{}", sb.call_lines());
}

/// A version that is only assumed is nothing to a policy.
#[test]
fn a_version_that_is_not_told() {
    let sb = with_own_tools();
    sb.influxctl_prints("influxctl version dev\n");
    policy(&sb, "[tools.influxctl]\nversion = \">=2.9\"\n");
    let assumed = [
        "enable",
        "-n",
        "influxdb",
        "--assume-influxctl-version",
        "2.12.0",
    ];
    insta::assert_snapshot!(error(&run(&sb, 4, &assumed)));
    let told = run(&sb, 4, &["tools", "verify"]).stdout;
    assert!(
        told.contains("failed    influxctl: influxctl does not tell its version"),
        "{told}"
    );
    policy(
        &sb,
        &format!(
            "[tools.influxctl]\nsha256 = [\"{}\"]\n",
            digest(&sb, "influxctl")
        ),
    );
    run(&sb, 0, &assumed);
}

#[test]
fn one_that_is_too_large_is_not_hashed() {
    let sb = with_own_tools();
    let file = std::fs::File::options()
        .write(true)
        .open(sb.path("bin/kubectl"))
        .expect("the fake");
    file.set_len((1 << 30) + 1).expect("sandbox");
    let told = run(&sb, 1, ENABLE);
    assert!(
        told.stderr.contains("it is larger than 1 GiB"),
        "{}",
        told.stderr
    );
}

#[test]
fn the_path_of_the_policy_goes_before_path() {
    let sb = with_own_tools();
    std::fs::create_dir(sb.home("tools")).expect("sandbox");
    std::fs::rename(sb.path("bin/kubectl"), sb.home("tools/kubectl")).expect("sandbox");
    policy(&sb, "[tools.kubectl]\npath = \"tools/kubectl\"\n");
    run(&sb, 0, ENABLE);
    policy(&sb, "[tools.kubectl]\npath = \"tools/none\"\n");
    insta::assert_snapshot!(error(&run(&sb, 1, ENABLE)));
    let told = run(
        &sb,
        1,
        &["enable", "-n", "influxdb", "--kubectl", "/no/where"],
    );
    assert!(
        told.stderr.contains("`/no/where` is not there"),
        "a flag goes before a policy that is not locked"
    );
}
