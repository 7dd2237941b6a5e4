//! `tools list`, `pin`, `verify`.

use super::{
    build_pinned_policy, create_sandbox_with_own_tools, hash_tool, run_with_exit_code,
    write_policy, write_trusted_policy,
};
use crate::sandbox::{CommandOutput, extract_error};
use serde_json::Value;

/// Removes the warnings about the sandbox's parent directories.
fn normalize_writers(run: &CommandOutput) -> String {
    let writers = regex::Regex::new("(?m)^  writable by  .*$").expect("a pattern");
    writers
        .replace_all(&run.normalized_output(), "  writable by  [WRITERS]")
        .into_owned()
}

#[test]
fn list_reports_tools_and_pins() {
    let sb = create_sandbox_with_own_tools();
    insta::assert_snapshot!(
        "listed",
        normalize_writers(&run_with_exit_code(&sb, 0, &["tools", "list"]))
    );
    write_policy(
        &sb,
        &build_pinned_policy(&sb).replace(&hash_tool(&sb, "influxctl"), &"0".repeat(64)),
    );
    insta::assert_snapshot!(
        "listed_with_a_policy",
        normalize_writers(&run_with_exit_code(&sb, 0, &["tools", "list"]))
    );
    let json: Value =
        serde_json::from_str(&run_with_exit_code(&sb, 0, &["tools", "list", "-o", "json"]).stdout)
            .expect("JSON");
    assert_eq!(
        (
            &json["installed_tools"][0]["pinned"],
            &json["listed"][0]["refusal"]
        ),
        (&true.into(), &Value::Null)
    );
    assert_eq!(
        json["installed_tools"][0]["sha256"],
        hash_tool(&sb, "kubectl").as_str()
    );
    assert!(
        json["installed_tools"][1]["refusal"].is_string() && json["listed"][1]["version"].is_null(),
        "{json}"
    );
    assert!(
        !json["installed_tools"][0]["writable_by"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
}

#[test]
fn list_reports_who_can_write_to_tools() {
    let sb = create_sandbox_with_own_tools();
    sb.chmod("bin", 0o777);
    let output = run_with_exit_code(&sb, 0, &["tools", "list"]).stdout;
    assert!(
        output.contains("writable by") && output.contains("everyone"),
        "{output}"
    );
    sb.chmod("bin", 0o1777);
    let output = run_with_exit_code(&sb, 0, &["tools", "list"]).stdout;
    assert!(!output.contains("everyone"), "{output}");
    sb.chmod("bin/kubectl", 0o757);
    assert!(
        run_with_exit_code(&sb, 0, &["tools", "list"])
            .stdout
            .contains("everyone")
    );
}

#[test]
fn list_reports_remaining_tool_when_one_is_missing() {
    let sb = create_sandbox_with_own_tools();
    std::fs::remove_file(sb.path("bin/kubectl")).expect("sandbox");
    let output = run_with_exit_code(&sb, 1, &["tools", "list"]);
    assert!(
        output.stdout.contains("\ninfluxctl 2.")
            && output.stderr.contains("`kubectl` is not in PATH"),
        "{}",
        output.stderr
    );
}

#[test]
fn pin_output_verifies_and_mismatches_fail() {
    let sb = create_sandbox_with_own_tools();
    insta::assert_snapshot!(
        "no_policy",
        extract_error(&run_with_exit_code(&sb, 4, &["tools", "verify"]))
    );
    let section = run_with_exit_code(&sb, 0, &["tools", "pin"]);
    insta::assert_snapshot!("the_section", section.normalized_output());
    write_trusted_policy(&sb, &section.stdout);
    insta::assert_snapshot!(
        "verified",
        run_with_exit_code(&sb, 0, &["tools", "verify"]).normalized_output()
    );
    write_policy(&sb, "[guard]\nrequire_plan = true\n");
    insta::assert_snapshot!(
        "pins_nothing",
        extract_error(&run_with_exit_code(&sb, 4, &["tools", "verify"]))
    );
    write_policy(&sb, "[tools.kubectl]\nversion = \"1.30\"\n");
    run_with_exit_code(&sb, 0, &["tools", "verify"]);
    write_policy(&sb, "[tools.kubectl]\nversion = \"=1.30\"\n");
    run_with_exit_code(&sb, 4, &["tools", "verify"]);
    let one = format!(
        "[tools.kubectl]\nsha256 = [\"{}\"]\n",
        hash_tool(&sb, "kubectl")
    );
    write_policy(&sb, &one);
    insta::assert_snapshot!(
        "one_pinned",
        run_with_exit_code(&sb, 0, &["tools", "verify"]).normalized_output()
    );
    write_policy(
        &sb,
        &format!("[tools]\nrequire_pins = true\n{one}version = \"=1.30.1\"\n"),
    );
    insta::assert_snapshot!(
        "not_pinned",
        run_with_exit_code(&sb, 4, &["tools", "verify"]).normalized_output()
    );
    write_trusted_policy(
        &sb,
        &section
            .stdout
            .replace(&hash_tool(&sb, "kubectl"), &"0".repeat(64)),
    );
    sb.chmod("bin/influxctl", 0o757);
    insta::assert_snapshot!(
        "another",
        run_with_exit_code(&sb, 4, &["tools", "verify"]).normalized_output()
    );
    std::fs::remove_file(sb.path("bin/influxctl")).expect("sandbox");
    let output = run_with_exit_code(&sb, 4, &["tools", "verify", "-o", "json"]);
    let json: Value = serde_json::from_str(&output.stdout).expect("JSON");
    assert_eq!(
        json["checks"]
            .as_array()
            .expect("checks")
            .iter()
            .filter(|check| check["state"] == "failed")
            .count(),
        2
    );
    sb.assert_log_intact();
}

#[test]
fn verify_fails_for_pinned_but_outdated_tool() {
    let sb = create_sandbox_with_own_tools();
    sb.set_kubectl_version("v1.19.3");
    write_policy(&sb, &build_pinned_policy(&sb));
    let output = run_with_exit_code(&sb, 4, &["tools", "verify"]).stdout;
    assert!(
        output.contains("failed    kubectl: kubectl 1.19.3 is too old"),
        "{output}"
    );
}

/// Paths in a policy are relative to it, also those that `tools pin` writes.
#[test]
fn pin_write_keeps_policy_symlink() {
    let sb = create_sandbox_with_own_tools();
    let real = sb.write(
        "home/site/real.toml",
        "[tools.kubectl]\npath = \"../bin/kubectl\"\n",
    );
    std::os::unix::fs::symlink(&real, sb.home_path("bypassctl.toml")).expect("sandbox");
    run_with_exit_code(&sb, 0, &["policy", "trust"]);
    run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    assert!(sb.home_path("bypassctl.toml").is_symlink());
    let new = sb.read("home/site/real.toml");
    assert!(
        new.contains("sha256 = ") && new.contains("path = \"../bin/kubectl\"\n"),
        "{new}"
    );
    run_with_exit_code(&sb, 0, &["tools", "verify"]);
}

#[test]
fn pin_write_updates_policy_and_keeps_other_text() {
    let sb = create_sandbox_with_own_tools();
    run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    assert_eq!(
        sb.file_mode("home/bypassctl.toml") & 0o777,
        0o644,
        "a policy contains no secret"
    );
    let new = sb.read("home/bypassctl.toml");
    assert_eq!(new, run_with_exit_code(&sb, 0, &["tools", "pin"]).stdout);
    run_with_exit_code(&sb, 0, &["tools", "verify"]);

    let expected =
        "# ours\n[guard] # strict\nrequire_reason = \"CHG\"\n\n[tools]\nrequire_pins = true\n";
    write_policy(&sb, expected);
    let output = run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    assert!(
        output
            .stderr
            .contains("warning: version of kubectl unknown"),
        "an unpinned kubectl does not run: {}",
        output.stderr
    );
    let once = sb.read("home/bypassctl.toml");
    assert!(
        once.starts_with(expected) && !once.contains("version"),
        "{once}"
    );
    assert_eq!(sb.file_mode("home/bypassctl.toml") & 0o777, 0o644);
    run_with_exit_code(&sb, 0, &["policy", "trust"]);
    run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    let twice = sb.read("home/bypassctl.toml");
    assert!(
        twice.starts_with(expected) && twice.contains("version = \"=1.34.5\""),
        "{twice}"
    );
    let output = run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]).stdout;
    assert!(output.contains("already contains these pins"), "{output}");
    run_with_exit_code(&sb, 0, &["tools", "verify"]);
    let outdated = format!(
        "[tools.kubectl]\nsha256 = [\n  \"{}\", # the vendor's\n]\n",
        "0".repeat(64)
    );
    write_policy(&sb, &outdated);
    run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    let new = sb.read("home/bypassctl.toml");
    assert!(
        new.contains(&format!(
            "  \"{}\", # the vendor's\n]\n",
            hash_tool(&sb, "kubectl")
        )),
        "{new}"
    );
    write_policy(&sb, "tools = { require_pins = true }\n");
    insta::assert_snapshot!(
        "inline",
        extract_error(&run_with_exit_code(&sb, 4, &["tools", "pin", "--write"]))
    );
    sb.assert_log_intact();
}
