//! `tools list`, `pin`, `verify`.

use super::{digest, error, pinned, policy, run, with_own_tools};
use crate::sandbox::Run;
use serde_json::Value;

/// Without who may write to what leads to the sandbox.
fn settled(run: &Run) -> String {
    let writers = regex::Regex::new("(?m)^  writable by  .*$").expect("a pattern");
    writers
        .replace_all(&run.normalised(), "  writable by  [WRITERS]")
        .into_owned()
}

#[test]
fn listed() {
    let sb = with_own_tools();
    insta::assert_snapshot!("listed", settled(&run(&sb, 0, &["tools", "list"])));
    policy(
        &sb,
        &pinned(&sb).replace(&digest(&sb, "influxctl"), &"0".repeat(64)),
    );
    insta::assert_snapshot!(
        "listed_with_a_policy",
        settled(&run(&sb, 0, &["tools", "list"]))
    );
    let json: Value =
        serde_json::from_str(&run(&sb, 0, &["tools", "list", "-o", "json"]).stdout).expect("JSON");
    assert_eq!(
        (&json["listed"][0]["pinned"], &json["listed"][0]["refused"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(json["listed"][0]["sha256"], digest(&sb, "kubectl").as_str());
    assert!(
        json["listed"][1]["refused"].is_string() && json["listed"][1]["version"].is_null(),
        "{json}"
    );
    assert!(
        !json["listed"][0]["writable_by"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
}

#[test]
fn who_can_write_is_told() {
    let sb = with_own_tools();
    sb.chmod("bin", 0o777);
    let told = run(&sb, 0, &["tools", "list"]).stdout;
    assert!(
        told.contains("writable by") && told.contains("everyone"),
        "{told}"
    );
    sb.chmod("bin", 0o1777);
    let told = run(&sb, 0, &["tools", "list"]).stdout;
    assert!(!told.contains("everyone"), "{told}");
    sb.chmod("bin/kubectl", 0o757);
    assert!(run(&sb, 0, &["tools", "list"]).stdout.contains("everyone"));
}

#[test]
fn one_that_is_missing_hides_the_other_from_nobody() {
    let sb = with_own_tools();
    std::fs::remove_file(sb.path("bin/kubectl")).expect("sandbox");
    let told = run(&sb, 1, &["tools", "list"]);
    assert!(
        told.stdout.contains("\ninfluxctl 2.") && told.stderr.contains("`kubectl` is not in PATH"),
        "{}",
        told.stderr
    );
}

#[test]
fn pinned_and_verified() {
    let sb = with_own_tools();
    insta::assert_snapshot!("no_policy", error(&run(&sb, 4, &["tools", "verify"])));
    let section = run(&sb, 0, &["tools", "pin"]);
    insta::assert_snapshot!("the_section", section.normalised());
    policy(&sb, &section.stdout);
    insta::assert_snapshot!("verified", run(&sb, 0, &["tools", "verify"]).normalised());
    policy(&sb, "[guard]\nrequire_plan = true\n");
    insta::assert_snapshot!("pins_nothing", error(&run(&sb, 4, &["tools", "verify"])));
    policy(&sb, "[tools.kubectl]\nversion = \"1.30\"\n");
    run(&sb, 0, &["tools", "verify"]);
    policy(&sb, "[tools.kubectl]\nversion = \"=1.30\"\n");
    run(&sb, 4, &["tools", "verify"]);
    let one = format!(
        "[tools.kubectl]\nsha256 = [\"{}\"]\n",
        digest(&sb, "kubectl")
    );
    policy(&sb, &one);
    insta::assert_snapshot!("one_pinned", run(&sb, 0, &["tools", "verify"]).normalised());
    policy(
        &sb,
        &format!("[tools]\nrequire_pins = true\n{one}version = \"=1.30.1\"\n"),
    );
    insta::assert_snapshot!("not_pinned", run(&sb, 4, &["tools", "verify"]).normalised());
    policy(
        &sb,
        &section
            .stdout
            .replace(&digest(&sb, "kubectl"), &"0".repeat(64)),
    );
    sb.chmod("bin/influxctl", 0o757);
    insta::assert_snapshot!("another", run(&sb, 4, &["tools", "verify"]).normalised());
    std::fs::remove_file(sb.path("bin/influxctl")).expect("sandbox");
    let told = run(&sb, 4, &["tools", "verify", "-o", "json"]);
    let json: Value = serde_json::from_str(&told.stdout).expect("JSON");
    assert_eq!(
        json["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .filter(|check| check["state"] == "failed")
            .count(),
        2
    );
    sb.assert_verified();
}

#[test]
fn what_is_pinned_and_too_old_does_not_verify() {
    let sb = with_own_tools();
    sb.kubectl_version("v1.19.3");
    policy(&sb, &pinned(&sb));
    let told = run(&sb, 4, &["tools", "verify"]).stdout;
    assert!(
        told.contains("failed    kubectl: kubectl 1.19.3 is too old"),
        "{told}"
    );
}

/// A path in a policy is as seen from where it was found, also for what is written into it.
#[test]
fn a_policy_that_is_a_symlink_stays_one() {
    let sb = with_own_tools();
    let real = sb.write(
        "home/site/real.toml",
        "[tools.kubectl]\npath = \"../bin/kubectl\"\n",
    );
    std::os::unix::fs::symlink(&real, sb.home("bypassctl.toml")).expect("sandbox");
    run(&sb, 0, &["tools", "pin", "--write"]);
    assert!(sb.home("bypassctl.toml").is_symlink());
    let new = sb.read("home/site/real.toml");
    assert!(
        new.contains("sha256 = ") && new.contains("path = \"../bin/kubectl\"\n"),
        "{new}"
    );
    run(&sb, 0, &["tools", "verify"]);
}

#[test]
fn written_into_the_policy() {
    let sb = with_own_tools();
    run(&sb, 0, &["tools", "pin", "--write"]);
    assert_eq!(
        sb.mode("home/bypassctl.toml") & 0o777,
        0o644,
        "there is nothing secret in it"
    );
    let new = sb.read("home/bypassctl.toml");
    assert_eq!(new, run(&sb, 0, &["tools", "pin"]).stdout);
    run(&sb, 0, &["tools", "verify"]);

    let text =
        "# ours\n[guard] # strict\nrequire_reason = \"CHG\"\n\n[tools]\nrequire_pins = true\n";
    policy(&sb, text);
    let told = run(&sb, 0, &["tools", "pin", "--write"]);
    assert!(
        told.stderr
            .contains("warning: the version of kubectl is not known"),
        "it was not run: {}",
        told.stderr
    );
    let once = sb.read("home/bypassctl.toml");
    assert!(
        once.starts_with(text) && !once.contains("version"),
        "{once}"
    );
    assert_eq!(sb.mode("home/bypassctl.toml") & 0o777, 0o644);
    run(&sb, 0, &["tools", "pin", "--write"]);
    let twice = sb.read("home/bypassctl.toml");
    assert!(
        twice.starts_with(text) && twice.contains("version = \"=1.34.5\""),
        "{twice}"
    );
    let told = run(&sb, 0, &["tools", "pin", "--write"]).stdout;
    assert!(told.contains("has them pinned already"), "{told}");
    run(&sb, 0, &["tools", "verify"]);
    let outdated = format!(
        "[tools.kubectl]\nsha256 = [\n  \"{}\", # the vendor's\n]\n",
        "0".repeat(64)
    );
    policy(&sb, &outdated);
    run(&sb, 0, &["tools", "pin", "--write"]);
    let new = sb.read("home/bypassctl.toml");
    assert!(
        new.contains(&format!(
            "  \"{}\", # the vendor's\n]\n",
            digest(&sb, "kubectl")
        )),
        "{new}"
    );
    policy(&sb, "tools = { require_pins = true }\n");
    insta::assert_snapshot!("inline", error(&run(&sb, 4, &["tools", "pin", "--write"])));
    sb.assert_verified();
}
