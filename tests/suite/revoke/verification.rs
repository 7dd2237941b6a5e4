//! Verification of a revocation, and its limits.

use super::{
    assert_revoked, create_enabled_sandbox, create_fast_sandbox, extract_error, extract_progress,
    get_secret_uid, is_token_accepted, list_cluster_changes, run_revoke, run_with_exit_code,
};
use crate::enable::TOKEN_FILE;
use crate::sandbox::{Sandbox, check_in_parallel, wrap_lines};
use serde_json::{Value, json};

/// Returns the outcome of the verification from the JSON report.
fn read_verification(sb: &crate::sandbox::Sandbox, code: i32, more: &[&str]) -> Value {
    let run = run_revoke(sb, code, &[&["-o", "json"], more].concat());
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    report["verification"].clone()
}

#[test]
fn revoke_without_new_token_is_verified() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    assert_eq!(
        read_verification(&sb, 0, &["--no-new-token"]),
        json!({"outcome": "verified"})
    );
    assert_eq!(get_secret_uid(&sb, "admin-token"), None);
    assert!(!is_token_accepted(&sb, &old));
}

/// Revokes without a new token, which is verified. Returns the old token.
fn revoke_without_new_token(sb: &Sandbox) -> Vec<u8> {
    let old = sb.admin_token();
    run_revoke(sb, 0, &["--no-new-token"]);
    sb.clear_calls();
    old
}

#[test]
fn revoke_after_verified_revocation_keeps_keys_and_is_verified() {
    let sandboxes = [create_fast_sandbox(), create_enabled_sandbox()];
    check_in_parallel(sandboxes.into_iter(), |sb| {
        let old = revoke_without_new_token(&sb);
        let keys = get_secret_uid(&sb, "rsa-keys");
        let earlier = sb.read_entries_by_type("run.end").pop().expect("an end");
        let next = run_revoke(&sb, 0, &[]);
        let entry = sb.read_entries_by_type("verification").remove(0);
        let expected = format!(
            "verified  keys: entry {} of run {} verified these keys: this run keeps them",
            entry["seq"],
            &earlier["run"].as_str().expect("a run")[..8]
        );
        assert!(next.stdout.contains(&expected), "{}", next.stdout);
        // Only the second cluster has a copy of the old token, in the profile.
        let is_old_probed = next
            .stdout
            .contains("accepts the new token and rejected the old one 10 times in a row");
        assert_eq!(
            !is_old_probed,
            next.stdout.contains("the server rejected older tokens"),
            "{}",
            next.stdout
        );
        assert_eq!(is_old_probed, sb.path(TOKEN_FILE).exists());
        for absent in [
            "unfinished",
            "no copy of the old token",
            "inconclusive",
            "deleted no keys",
        ] {
            assert!(!next.stderr.contains(absent), "{}", next.stderr);
        }
        assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys);
        assert_revoked(&sb, &old, "resumed");
        // The new token is in use, so the next run replaces the keys.
        run_revoke(&sb, 0, &[]);
        assert_ne!(get_secret_uid(&sb, "rsa-keys"), keys);
    });
}

#[test]
fn verified_revocation_without_new_token_changes_nothing_again() {
    let sb = create_fast_sandbox();
    revoke_without_new_token(&sb);
    let again = run_revoke(&sb, 0, &["--no-new-token"]);
    assert_eq!(list_cluster_changes(&sb), "", "{}", again.stdout);
    assert!(
        again.stdout.contains("\n  nothing to do\n"),
        "{}",
        again.stdout
    );
}

#[test]
fn token_that_nobody_saw_accepted_verifies_nothing() {
    let sb = create_fast_sandbox();
    // Somebody restores a secret with another token, and deletes the keys.
    sb.set_admin_token_base64("bm8gdG9rZW4gb2YgdGhpcyBjbHVzdGVy");
    sb.remove_secret("rsa-keys");
    let run = run_revoke(&sb, 10, &[]);
    assert!(
        run.stderr
            .contains("did not accept it before the revocation"),
        "{}",
        run.stderr
    );
}

#[test]
fn earlier_verification_counts_after_the_log_is_rotated() {
    let sb = create_fast_sandbox();
    revoke_without_new_token(&sb);
    run_with_exit_code(&sb, 0, &["audit", "rotate-log"]);
    let next = run_revoke(&sb, 0, &[]);
    assert!(
        next.stdout.contains("the server rejected older tokens"),
        "{}",
        next.stdout
    );
}

#[test]
fn earlier_verification_counts_only_with_an_intact_log() {
    let sb = create_fast_sandbox();
    revoke_without_new_token(&sb);
    let log = String::from_utf8(sb.read_log()).expect("ASCII");
    std::fs::write(sb.log_path(), log.replacen("\"pid\":", "\"pid\":1", 1)).expect("sandbox");
    let next = run_revoke(&sb, 10, &[]);
    assert!(
        next.stderr.contains("no copy of the old token found"),
        "{}",
        next.stderr
    );
}

#[test]
fn earlier_verification_counts_only_for_the_same_keys() {
    let sb = create_fast_sandbox();
    revoke_without_new_token(&sb);
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/rsa-keys"]["meta"]["uid"] =
            json!("00000000-0000-4000-8000-000000000000");
    });
    let next = run_revoke(&sb, 10, &[]);
    assert!(
        next.stderr.contains("no copy of the old token found"),
        "{}",
        next.stderr
    );
}

#[test]
fn earlier_verification_counts_only_without_an_issued_token() {
    let sb = create_fast_sandbox();
    run_revoke(&sb, 0, &[]);
    // Somebody deletes the token and the traces of its creation.
    sb.edit_cluster(|cluster| {
        let remove = |value: &mut Value, key: &str| value.as_object_mut().expect("it").remove(key);
        assert!(remove(&mut cluster["secrets"], "influxdb/admin-token").is_some());
        assert!(remove(&mut cluster["jobs"], "influxdb/create-admin-token-001").is_some());
    });
    let next = run_revoke(&sb, 10, &[]);
    assert!(
        next.stderr.contains("no copy of the old token found"),
        "{}",
        next.stderr
    );
}

#[test]
fn remaining_copy_of_old_token_does_not_hide_the_verification() {
    let sb = create_enabled_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl", "contains": ["--template={{.data.token}}"], "nth": 2, "before": true,
        "do": {"wait_for_file": {"path": "gate"}}
    }));
    let running = sb.spawn(super::REVOKE_ARGS);
    sb.wait_for_gate("gate");
    let directory = "home/.local/state/bypassctl";
    let mut names = sb.list_directory(directory);
    names.retain(|name| name.starts_with("old-token-"));
    let copy = sb.path(format!("{directory}/{}", names[0]));
    // The program deletes a file, not a directory.
    std::fs::remove_file(&copy).expect("sandbox");
    std::fs::create_dir(&copy).expect("sandbox");
    sb.release_gate("gate");
    let run = running.wait();
    assert_eq!(run.code, 8, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("error: the revocation is verified, but the copy of the old token remains: ")
            && run.stderr.contains(&copy.display().to_string())
            && run.stderr.contains("elete the file"),
        "{}",
        run.stderr
    );
}

#[test]
fn simultaneous_first_runs_create_one_probe_key() {
    let sb = create_enabled_sandbox();
    // Without a confirmation they only read.
    let runs = [(); 4].map(|()| sb.spawn(&["revoke", "-n", "influxdb"]));
    for run in runs {
        run.wait();
    }
    let intents = sb.read_entries_by_type("intent");
    let created = intents
        .iter()
        .filter(|intent| intent["step"] == "create-probe-key");
    assert_eq!(created.count(), 1);
}

#[test]
fn unverified_revocation_does_not_count_as_verified() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["sticky"] = json!(true));
    run_revoke(&sb, 11, &["--no-new-token", "--grace-period", "1s"]);
    assert_eq!(
        sb.read_entries_by_type("verification"),
        [] as [serde_json::Value; 0]
    );
    // The run has kept a copy of the old token, so the next one verifies its rejection.
    let next = run_revoke(&sb, 0, &[]);
    assert!(
        next.stdout
            .contains("accepts the new token and rejected the old one 10 times in a row"),
        "{}",
        next.stdout
    );
}

#[test]
fn sticky_token_stays_accepted_without_new_token() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["sticky"] = json!(true));
    let old = sb.admin_token();
    let run = run_revoke(&sb, 11, &["--no-new-token", "--grace-period", "1s"]);
    insta::assert_snapshot!(wrap_lines(extract_progress(&run)), @"
    exit 11
    --- stdout
    verified  probe-old-token: 127.0.0.1:26444 accepts the old token
    verified  operator: kubit is not installed: jobs are rerun as clones
    Revoke all admin tokens: namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
      - delete   secret/rsa-keys, secret/admin-token
      + create   job/key-gen-001 (clones, kept)
      ~ restart  2 pods, app=token-management
    All admin tokens issued so far stop working, for all users. This cannot be undone.
    No admin token is left afterwards, until another run creates one. Each wait ends after 300 s.
    The effect on database tokens is not documented. Commands and hints: --dry-run
    done      delete-rsa-keys: secret `rsa-keys` is deleted, last seen with UID [UID]
    done      delete-admin-token: secret `admin-token` is deleted, last seen with UID [UID]
    done      rerun-key-gen: job `key-gen-001` is complete
    verified  verify-rsa-keys: secret `rsa-keys` has the new UID [UID]
    done      restart-pods: 2 old pods are gone, 2 new pods are ready
    revoked, but the old token is still accepted
    secret `admin-token` is deleted, and no new token was created
    the state directory keeps a copy of the old token until the next revocation, mode 0600
    --- stderr
    warning: 127.0.0.1:26444 accepted the old token after the restart, and did not reject it
        consistently within 1 s
       hint: run the same command without --no-new-token: some releases accept the last token until
        a new one exists (influxdata/docs-v2 pull 5612)
    ");
    assert!(is_token_accepted(&sb, &old));
    run_revoke(&sb, 0, &[]);
    assert_revoked(&sb, &old, "with a new one");
}

#[test]
fn failed_job_ends_run_while_old_token_is_accepted() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["sticky"] = json!(true);
        cluster["job_faults"] = json!({"create-admin-token-001": "fail"});
    });
    let run = run_revoke(&sb, 8, &["--wait-timeout", "20s"]);
    assert!(
        run.stderr.contains("job `create-admin-token-001` failed"),
        "{}",
        run.stderr
    );
}

#[test]
fn sticky_token_is_rejected_after_new_token() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["sticky"] = json!(true));
    assert_eq!(
        read_verification(&sb, 0, &[]),
        json!({"outcome": "verified"})
    );
}

#[test]
fn verification_is_inconclusive_without_influxctl_or_profile() {
    let sb = create_fast_sandbox();
    // A given influxctl must exist, the default one may be missing.
    assert!(
        super::expect_refusal(&sb, 1, &["--influxctl", "/nonexistent"])
            .contains("cannot find `/nonexistent`")
    );
    std::fs::rename(sb.path("bin/influxctl"), sb.path("influxctl")).expect("sandbox");
    let run = run_revoke(&sb, 10, &[]);
    std::fs::rename(sb.path("influxctl"), sb.path("bin/influxctl")).expect("sandbox");
    insta::assert_snapshot!(wrap_lines(extract_progress(&run)), @"
    exit 10
    --- stdout
    verified  operator: kubit is not installed: jobs are rerun as clones
    Revoke all admin tokens: namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
      - delete   secret/rsa-keys, secret/admin-token
      + create   job/key-gen-001, job/create-admin-token-001 (clones, kept)
      ~ restart  2 pods, app=token-management
    All admin tokens issued so far stop working, for all users. This cannot be undone.
    Expect an outage until the new token exists. Each wait ends after 300 s.
    The effect on database tokens is not documented. Commands and hints: --dry-run
    done      delete-rsa-keys: secret `rsa-keys` is deleted, last seen with UID [UID]
    done      delete-admin-token: secret `admin-token` is deleted, last seen with UID [UID]
    done      rerun-key-gen: job `key-gen-001` is complete
    verified  verify-rsa-keys: secret `rsa-keys` has the new UID [UID]
    done      restart-pods: 2 old pods are gone, 2 new pods are ready
    done      rerun-create-admin-token: job `create-admin-token-001` is complete
    verified  verify-admin-token: secret `admin-token` has the new UID [UID]
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    revoked, but the verification is inconclusive
    secret `admin-token` contains a new token: run `bypassctl enable -n influxdb` to use it
    the state directory keeps a copy of the old token until the next revocation, mode 0600
    --- stderr
    warning: cannot probe tokens, so the verification will be inconclusive: `influxctl` is not in
        PATH
       hint: install it, or give its path: --influxctl PATH
    warning: the verification is inconclusive: no token probe is available
       hint: run `influxctl database list` with a copy of the old token: the server must reject it.
        Next time, pass the copy with --old-token-file and a profile of this cluster with --profile
    ");
    std::fs::remove_file(sb.config_path()).expect("it is there");
    let proof = read_verification(&sb, 10, &[]);
    assert_eq!(proof["outcome"], "inconclusive");
}

#[test]
fn verification_is_inconclusive_when_profile_names_another_host() {
    let sb = create_fast_sandbox();
    let config = sb
        .read("home/.config/influxctl/config.toml")
        .replace("127.0.0.1", "influxdb.prod.invalid");
    sb.write("home/.config/influxctl/config.toml", config);
    let run = run_revoke(&sb, 10, &["--grace-period", "1s"]);
    assert!(
        run.stderr.contains(
            "influxdb.prod.invalid:26444 already rejects the old token, so the verification will be \
             inconclusive"
        ),
        "{}",
        run.stderr
    );
}

#[test]
fn old_token_file_verifies_revocation() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    sb.write("home/old.json", &old);
    // The run does not read the secret's data.
    assert_eq!(
        read_verification(&sb, 0, &["--old-token-file", "old.json"]),
        json!({"outcome": "verified"})
    );
    let reads = |sb: &crate::sandbox::Sandbox| {
        sb.calls()
            .iter()
            .filter(|call| call.argv.contains(&"--template={{.data.token}}".to_owned()))
            .count()
    };
    assert_eq!(reads(&sb), 1, "only the new one");
    sb.write("home/old.json", "not a token, but notes");
    let run = super::run_with_exit_code(
        &sb,
        1,
        &[super::REVOKE_ARGS, &["--old-token-file", "old.json"]].concat(),
    );
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @"
    error: `[SANDBOX]/home/old.json` contains no token
    hint: pass a file with a token as `enable` writes it
    ");
    sb.write("home/old.json", &old);
    let again = run_revoke(
        &sb,
        10,
        &["--old-token-file", "old.json", "--grace-period", "1s"],
    );
    assert!(
        again.stderr.contains(
            "the server rejects the old token, but did not accept it before the revocation"
        ),
        "{}",
        again.stderr
    );
}

#[test]
fn profile_token_verifies_when_secret_is_missing() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    sb.remove_secret("rsa-keys");
    sb.remove_secret("admin-token");
    // Pods use the old keys until their restart, so the server still accepts the copy.
    assert_eq!(
        read_verification(&sb, 0, &[]),
        json!({"outcome": "verified"})
    );
    assert_revoked(&sb, &old, "from the profile's copy");
}

#[test]
fn failed_token_probe_makes_verification_inconclusive() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        cluster["influx_tls_error"] = json!("x509: certificate signed by unknown authority")
    });
    let run = run_revoke(&sb, 10, &["--grace-period", "1s"]);
    assert!(
        run.stderr
            .contains("the verification is inconclusive: cannot probe the old token"),
        "{}",
        run.stderr
    );
}
