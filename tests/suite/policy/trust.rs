//! A policy that nobody has named or trusted may only tighten.

use super::{
    TRUST_STORE, create_sandbox_with_own_tools, run_with_exit_code, write_policy,
    write_trusted_policy,
};
use crate::sandbox::{Sandbox, extract_error, sha256_hex};
use bypassctl::policy::{KeyClass, POLICY_KEYS};
use std::os::unix::fs::PermissionsExt as _;

/// Returns a policy that sets one redirecting key.
fn build_redirecting_policy(key: &str) -> String {
    let key = key.replace("*", "influxdb");
    let (section, name) = key.rsplit_once('.').expect("a section");
    let value = match name {
        "ignored_key_users" => "[\"app=x\"]",
        "rerun" => "\"clone\"",
        "restart_selector" => "\"app=x\"",
        "enforce" => "true\nfile = \"x\"",
        "prune_clones" => "true",
        _ => "\"x\"",
    };
    // A target needs a context and a namespace.
    let required = match (section.starts_with("targets."), name) {
        (true, "context") => "namespace = \"x\"\n",
        (true, "namespace") => "context = \"x\"\n",
        (true, _) => "context = \"x\"\nnamespace = \"x\"\n",
        (false, _) => "",
    };
    format!("[{section}]\n{required}{name} = {value}\n")
}

#[test]
fn discovered_policy_that_redirects_is_refused() {
    let sb = Sandbox::new();
    let redirecting = POLICY_KEYS
        .iter()
        .filter(|(_, class)| *class == KeyClass::Redirecting);
    for (key, _) in redirecting {
        write_policy(&sb, &build_redirecting_policy(key));
        for args in [
            &["disable"][..],
            &["status", "-n", "influxdb"],
            &["tools", "list"],
            &["audit", "list"],
        ] {
            let run = run_with_exit_code(&sb, 4, args);
            let key = key.replace("*", "influxdb");
            let refused = run.stderr.split_once("cannot set ").expect("a refusal").1;
            let mut refused = refused.lines().next().expect("a line").split(", ");
            assert!(
                refused.any(|refused| refused == key || refused == "audit.enforce"),
                "{key}: {}",
                run.stderr
            );
        }
    }
    write_policy(
        &sb,
        "[audit]\nfile = \"x\"\n[tools.kubectl]\npath = \"x\"\n",
    );
    insta::assert_snapshot!(extract_error(&run_with_exit_code(&sb, 4, &["disable"])), @"
    error: the discovered policy `[SANDBOX]/home/bypassctl.toml` is not trusted, so it cannot set audit.file, tools.kubectl.path
    hint: read the policy, then run `bypassctl policy trust` to trust this content of it, or name it with --policy FILE
    ");
    assert_eq!(
        (sb.call_lines(), sb.log_path().exists()),
        (String::new(), false),
        "nothing runs"
    );
}

/// The attack: a clone brings its own kubectl, and belongs to whoever cloned it.
#[test]
fn program_of_cloned_repository_does_not_run() {
    let sb = Sandbox::new();
    sb.write("home/clone/.git/HEAD", "");
    let kubectl = sb.write(
        "home/clone/kubectl",
        format!("#!/bin/sh\n: >{}\n", sb.path("ran").display()),
    );
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).expect("sandbox");
    sb.write(
        "home/clone/bypassctl.toml",
        "[tools.kubectl]\npath = \"kubectl\"\n",
    );
    let enable = &["enable", "-n", "influxdb"];
    let run = sb.run_in_directory("home/clone", enable);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(!sb.path("ran").exists(), "the clone's program ran");
    // The user may still decide so.
    let trust = sb.run_in_directory("home/clone", &["policy", "trust"]);
    assert_eq!(trust.code, 0, "{}", trust.stderr);
    sb.run_in_directory("home/clone", enable);
    assert!(sb.path("ran").exists(), "the trusted policy is in force");
}

#[test]
fn trust_ends_when_content_or_path_changes() {
    let sb = Sandbox::new();
    let text = "[namespaces.influxdb]\nprofile = \"site\"\n[audit]\nfile = \"site.jsonl\"\n";
    write_policy(&sb, text);
    run_with_exit_code(&sb, 4, &["disable"]);
    let trusted = run_with_exit_code(&sb, 0, &["policy", "trust"]);
    insta::assert_snapshot!(trusted.normalized_output(), @r#"
    exit 0
    --- stdout
    trusted: [SANDBOX]/home/bypassctl.toml, sha256 [SHA256], until its content changes
      it sets audit.file = "site.jsonl"
      it sets namespaces.influxdb.profile = "site"
    --- stderr
    audit head [UID] 5:[SHA256]
    "#);
    assert_eq!(sb.file_mode(TRUST_STORE) & 0o777, 0o600);
    assert!(
        sb.log_path().exists(),
        "the untrusted policy does not select the log"
    );
    run_with_exit_code(&sb, 0, &["disable"]);
    assert!(sb.home_path("site.jsonl").exists());
    run_with_exit_code(&sb, 0, &["policy", "trust"]);

    write_policy(&sb, &format!("{text}enforce = true\n"));
    run_with_exit_code(&sb, 4, &["disable"]);
    write_policy(&sb, text);
    run_with_exit_code(&sb, 0, &["disable"]);
    sb.write("home/other/bypassctl.toml", text);
    let run = sb.run_in_directory("home/other", &["disable"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    let by_path = sb.run_in_directory(
        "home/.config",
        &["policy", "trust", "../other/bypassctl.toml"],
    );
    assert_eq!(by_path.code, 0, "{}", by_path.stderr);
    let run = sb.run_in_directory("home/other", &["disable"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sb.assert_log_intact();
}

#[test]
fn named_policy_counts_whole() {
    let mut sb = Sandbox::new();
    write_policy(&sb, "[audit]\nfile = \"site.jsonl\"\n");
    run_with_exit_code(&sb, 0, &["disable", "--policy", "bypassctl.toml"]);
    sb.set_env("BYPASSCTL_POLICY", "bypassctl.toml");
    run_with_exit_code(&sb, 0, &["disable"]);
    assert!(sb.home_path("site.jsonl").exists() && !sb.log_path().exists());
}

#[test]
fn discovered_production_patterns_add_to_built_in_ones() {
    let sb = Sandbox::new();
    let patterns = "[guard.production]\ncontext = [\"sim-*\"]\nnamespace = []\nserver = [\"x\"]\n";
    let refused = |args: &[&str], name: &str| {
        let run = run_with_exit_code(&sb, 4, args);
        let expected = format!("`{name}` looks like production");
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    };
    write_policy(&sb, patterns);
    refused(&["enable", "-n", "influxdb"], "sim-dev");
    refused(&["enable", "-n", "influxdb-prod"], "influxdb-prod");
    refused(&["enable", "-n", "influxdb", "--context", "prod"], "prod");
    write_trusted_policy(&sb, patterns);
    refused(&["enable", "-n", "influxdb-prod"], "sim-dev");
}

#[test]
fn discovered_policy_does_not_replace_system_policy() {
    let sb = Sandbox::new();
    sb.write("etc/bypassctl.toml", "[guard]\nrequire_reason = \"CHG\"\n");
    write_policy(&sb, "");
    let run = sb.run_with_system_dir(&["disable"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    insta::assert_snapshot!(extract_error(&run), @"
    error: the discovered policy `[SANDBOX]/home/bypassctl.toml` is not trusted, so it cannot replace `[SANDBOX]/etc/bypassctl.toml`
    hint: read the policy, then run `bypassctl policy trust` to trust this content of it, or name it with --policy FILE
    ");
    let trust = sb.run_with_system_dir(&["policy", "trust"]);
    assert_eq!(trust.code, 0, "{}", trust.stderr);
    let run = sb.run_with_system_dir(&["disable"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    sb.write("etc/bypassctl.toml", "locked = true\n");
    let trust = sb.run_with_system_dir(&["policy", "trust"]);
    assert_eq!(trust.code, 4, "{}", trust.stderr);
    insta::assert_snapshot!(extract_error(&trust), @"
    error: the policy `[SANDBOX]/etc/bypassctl.toml` is locked, so `[SANDBOX]/home/bypassctl.toml` cannot replace it
    hint: have its rules moved into the locked policy
    audit head [UID] 9:[SHA256]
    ");
}

#[test]
fn unsafe_list_of_trusted_policies_is_refused() {
    let sb = Sandbox::new();
    write_trusted_policy(&sb, "[audit]\nfile = \"site.jsonl\"\n");
    run_with_exit_code(&sb, 0, &["disable"]);
    let refused = |reason: &str| {
        let run = run_with_exit_code(&sb, 4, &["disable"]);
        assert!(run.stderr.contains(reason), "{}", run.stderr);
    };
    sb.chmod(TRUST_STORE, 0o646);
    refused("others can change it: everyone");
    sb.chmod(TRUST_STORE, 0o600);
    sb.chmod("home/.local/state/bypassctl", 0o777);
    refused("others can change it: everyone");
    sb.chmod("home/.local/state/bypassctl", 0o700);
    std::fs::hard_link(sb.path(TRUST_STORE), sb.path("tmp/link")).expect("sandbox");
    refused("it has more than one name (hard links)");
    std::fs::remove_file(sb.path("tmp/link")).expect("sandbox");
    sb.write(TRUST_STORE, "[]");
    refused("cannot use the list of trusted policies");
}

#[test]
fn every_run_names_policy_and_redirections() {
    let sb = create_sandbox_with_own_tools();
    let kubectl = sb.path("bin/kubectl");
    let text = format!(
        "[tools.kubectl]\npath = \"{}\"\n[namespaces.influxdb]\nprofile = \"default\"\n\
         [namespaces.other]\nprofile = \"\u{202e}\"\n",
        kubectl.display()
    );
    let path = write_trusted_policy(&sb, &text);
    let run = run_with_exit_code(&sb, 0, &["enable", "-n", "influxdb"]);
    let redirections = [
        "namespaces.influxdb.profile = \"default\"".to_owned(),
        format!("tools.kubectl.path = \"{}\"", kubectl.display()),
    ];
    let expected = format!(
        "policy: {}, sha256 {}\n  it sets {}\n  it sets {}\n",
        path.display(),
        sha256_hex(text.as_bytes()),
        redirections[0],
        redirections[1]
    );
    assert!(run.stderr.contains(&expected), "{}", run.stderr);
    let begin = &sb.read_entries_by_type("run.begin")[0];
    assert_eq!(begin["policy_file"], path.to_str().expect("text"));
    assert_eq!(begin["policy_redirects"], serde_json::json!(redirections));
    let other = sb.run(&["status", "-n", "other"]);
    assert!(
        other
            .stderr
            .contains("namespaces.other.profile = \"\\u{202e}\""),
        "{}",
        other.stderr
    );
    let run = begin["run"].as_str().expect("an ID");
    for args in [
        &["audit", "show", run][..],
        &["audit", "export", "--format", "html", "--run", run],
    ] {
        let output = run_with_exit_code(&sb, 0, args).stdout;
        let output = output.replace("&quot;", "\"");
        assert!(output.contains(&redirections.join(", ")), "{output}");
    }
    run_with_exit_code(&sb, 0, &["disable", "-q"]);
    write_policy(&sb, "[guard]\nrequire_plan = true\n");
    run_with_exit_code(&sb, 0, &["tools", "list"]);
    let begin = sb.read_entries_by_type("run.begin");
    let begin = begin.last().expect("a run");
    assert_eq!(begin["policy_file"], path.to_str().expect("text"));
    assert!(begin.get("policy_redirects").is_none(), "{begin}");
    sb.assert_log_intact();
}

#[test]
fn pin_write_trusts_only_files_that_were_in_force() {
    let sb = create_sandbox_with_own_tools();
    run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    run_with_exit_code(&sb, 0, &["tools", "verify"]);
    write_policy(&sb, "[guard.production]\ncontext = []\n");
    let run = run_with_exit_code(&sb, 0, &["tools", "pin", "--write"]);
    assert!(
        run.stdout.contains("run `bypassctl policy trust`"),
        "{}",
        run.stdout
    );
    run_with_exit_code(&sb, 4, &["tools", "verify"]);
}
