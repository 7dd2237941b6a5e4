//! Every observable state, and every way to rerun a job.

use super::{
    assert_revoked, create_enabled_sandbox, create_fast_sandbox, extract_progress, get_secret_uid,
    list_cluster_changes, list_plan_steps, run_revoke,
};
use crate::sandbox::{Sandbox, wait_until, wrap_lines};
use serde_json::json;

/// Runs `revoke` and returns the steps of its plan and the calls that changed something.
fn describe_revocation(sb: &Sandbox, more: &[&str]) -> String {
    let old = sb.refresh_cluster()["secrets"]["influxdb/admin-token"]
        .is_object()
        .then(|| sb.admin_token());
    let run = run_revoke(sb, if old.is_some() { 0 } else { 10 }, more);
    if let Some(old) = old {
        assert_revoked(sb, &old, "revoked");
    }
    sb.assert_log_intact();
    format!(
        "{}\n{}",
        list_plan_steps(&run).join(" "),
        list_cluster_changes(sb)
    )
}

#[test]
fn revoke_deletes_jobs_when_operator_recreates_them() {
    let sb = create_fast_sandbox();
    sb.install_operator();
    let before = sb.refresh_cluster()["jobs"]["influxdb/key-gen-7c9d2b41"]["meta"]["uid"].clone();
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &[])), @"
    delete-rsa-keys delete-admin-token rerun-key-gen verify-rsa-keys restart-pods verify-rejection
        rerun-create-admin-token verify-admin-token get-token verify-revocation
    kubectl delete secrets/rsa-keys --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl delete secrets/admin-token --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl delete job/key-gen-7c9d2b41 --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete job/create-admin-token-7c9d2b41 --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    ");
    assert_ne!(
        sb.refresh_cluster()["jobs"]["influxdb/key-gen-7c9d2b41"]["meta"]["uid"],
        before
    );
}

#[test]
fn revoke_clones_jobs_when_operator_is_unavailable() {
    let paused = create_fast_sandbox();
    paused.install_operator();
    paused.set_operator_paused(true);
    let hidden = create_fast_sandbox();
    hidden.install_operator();
    hidden.deny_access(json!({"verb": "list", "resource": "deployments"}));
    let asked = create_fast_sandbox();
    asked.install_operator();
    let all = [
        describe_revocation(&paused, &["--rerun", "clone"]),
        describe_revocation(&hidden, &[]),
        describe_revocation(&asked, &["--rerun", "clone"]),
    ];
    insta::assert_snapshot!(wrap_lines(&all[0]), @"
    delete-rsa-keys delete-admin-token rerun-key-gen verify-rsa-keys restart-pods verify-rejection
        rerun-create-admin-token verify-admin-token get-token verify-revocation
    kubectl delete secrets/rsa-keys --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl delete secrets/admin-token --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert!(all.iter().all(|one| *one == all[0]), "{all:?}");
}

#[test]
fn revoke_with_missing_keys_recreates_both_secrets() {
    let sb = create_fast_sandbox();
    sb.remove_secret("rsa-keys");
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &[])), @"
    delete-admin-token rerun-key-gen verify-rsa-keys restart-pods verify-rejection
        rerun-create-admin-token verify-admin-token get-token verify-revocation
    kubectl delete secrets/admin-token --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
}

#[test]
fn revoke_with_both_secrets_missing_recreates_them() {
    let sb = create_fast_sandbox();
    sb.remove_secret("rsa-keys");
    sb.remove_secret("admin-token");
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &[])), @"
    rerun-key-gen verify-rsa-keys restart-pods rerun-create-admin-token verify-admin-token get-token
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
}

/// Dates the end of the token's job before the creation of the keys.
fn backdate_token_job(sb: &Sandbox) {
    sb.edit_cluster(|cluster| {
        let made = cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"]
            .as_u64()
            .expect("a time");
        cluster["jobs"]["influxdb/create-admin-token-7c9d2b41"]["ended_ms"] = json!(made - 60_000);
    });
}

#[test]
fn revoke_with_missing_token_keeps_only_new_keys() {
    let sb = create_fast_sandbox();
    sb.remove_secret("admin-token");
    let keys = get_secret_uid(&sb, "rsa-keys");
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &[])), @"
    delete-rsa-keys rerun-key-gen verify-rsa-keys restart-pods rerun-create-admin-token
        verify-admin-token get-token
    kubectl delete secrets/rsa-keys --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert_ne!(
        get_secret_uid(&sb, "rsa-keys"),
        keys,
        "it was made with these keys and taken away: they are as old as it"
    );
    let sb = create_fast_sandbox();
    sb.remove_secret("admin-token");
    backdate_token_job(&sb);
    let keys = get_secret_uid(&sb, "rsa-keys");
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &[])), @"
    restart-pods rerun-create-admin-token verify-admin-token get-token
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert_eq!(
        get_secret_uid(&sb, "rsa-keys"),
        keys,
        "none was made since the keys were: they are new"
    );
}

#[test]
fn revoke_keeps_keys_newer_than_token() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        let made = cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"]
            .as_u64()
            .expect("a time");
        cluster["secrets"]["influxdb/admin-token"]["meta"]["created_ms"] = json!(made - 5000);
        for pod in cluster["pods"].as_object_mut().expect("pods").values_mut() {
            pod["meta"]["created_ms"] = json!(made);
        }
    });
    let keys = get_secret_uid(&sb, "rsa-keys");
    let run = run_revoke(&sb, 11, &["--grace-period", "1s"]);
    // The fake's pods still use the previous keys, whatever their times, so they accept the old
    // token.
    insta::assert_snapshot!(wrap_lines(format!("{}\n{}", list_plan_steps(&run).join(" "), list_cluster_changes(&sb))), @"
    delete-admin-token restart-pods rerun-create-admin-token verify-admin-token get-token
    kubectl delete secrets/admin-token --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys);
}

#[test]
fn start_over_flag_deletes_new_keys() {
    let sb = create_fast_sandbox();
    sb.remove_secret("admin-token");
    backdate_token_job(&sb);
    let keys = get_secret_uid(&sb, "rsa-keys");
    insta::assert_snapshot!(wrap_lines(describe_revocation(&sb, &["--start-over"])), @"
    delete-rsa-keys rerun-key-gen verify-rsa-keys restart-pods rerun-create-admin-token
        verify-admin-token get-token
    kubectl delete secrets/rsa-keys --namespace influxdb --context sim-dev --server
        https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert_ne!(get_secret_uid(&sb, "rsa-keys"), keys);
}

#[test]
fn revoke_awaits_running_job_when_secret_is_missing() {
    let sb = create_fast_sandbox();
    let old = sb.admin_token();
    sb.edit_cluster(|cluster| {
        cluster["secrets"]
            .as_object_mut()
            .expect("secrets")
            .remove("influxdb/rsa-keys");
        cluster["secrets"]
            .as_object_mut()
            .expect("secrets")
            .remove("influxdb/admin-token");
        cluster["job_seconds"] = json!(5.0);
    });
    sb.run_fake(&["job", "influxdb", "key-gen-001"]);
    sb.clear_calls();
    let run = run_revoke(&sb, 10, &[]);
    insta::assert_snapshot!(wrap_lines(format!("{}\n{}", list_plan_steps(&run).join(" "), list_cluster_changes(&sb))), @"
    rerun-key-gen verify-rsa-keys restart-pods rerun-create-admin-token verify-admin-token get-token
    kubectl delete pods --selector app=token-management --namespace influxdb --wait=false --context
        sim-dev --server https://127.0.0.1:26443
    kubectl create --filename - --validate=false --namespace influxdb --output json --context
        sim-dev --server https://127.0.0.1:26443
    ");
    assert_revoked(&sb, &old, "await-existing");
}

#[test]
fn revoke_handles_equivalent_jobs_and_many_pods() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        let mut other = cluster["jobs"]["influxdb/key-gen-7c9d2b41"].clone();
        other["meta"]["name"] = json!("key-gen-00000000");
        other["meta"]["uid"] = json!("11111111-1111-4111-8111-111111111111");
        let made = other["meta"]["created_ms"].as_u64().expect("a time");
        other["meta"]["created_ms"] = json!(made + 60_000);
        cluster["jobs"]["influxdb/key-gen-00000000"] = other;
        let mut numbered = cluster["jobs"]["influxdb/token-gen-56a2e859"].clone();
        numbered["meta"]["name"] = json!("key-gen-999");
        cluster["jobs"]["influxdb/key-gen-999"] = numbered;
        cluster["deployments"]["influxdb/token-management"]["replicas"] = json!(5);
    });
    wait_until("five pods serve", || {
        let pods = sb.refresh_cluster()["pods"].clone();
        let all = pods.as_object().expect("pods").values();
        all.filter(|pod| {
            pod["meta"]["labels"]["app"] == "token-management" && pod["phase"] == "Running"
        })
        .count()
            == 5
    });
    let run = run_revoke(&sb, 0, &[]);
    assert!(
        run.stdout
            .contains("+ create   job/key-gen-1000, job/create-admin-token-001 (clones, kept)"),
        "{}",
        run.stdout
    );
    assert!(
        run.stdout
            .contains("restart-pods: 5 old pods are gone, 5 new pods are ready"),
        "{}",
        run.stdout
    );
}

#[test]
fn clones_omit_ttl_and_suspension() {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| {
        let job = &mut cluster["jobs"]["influxdb/key-gen-7c9d2b41"];
        job["spec"]["ttlSecondsAfterFinished"] = json!(86_400);
        let job = &mut cluster["jobs"]["influxdb/create-admin-token-7c9d2b41"];
        job["spec"]["suspend"] = json!(true);
        job["phase"] = json!("active");
    });
    let run = run_revoke(&sb, 0, &[]);
    insta::assert_snapshot!(wrap_lines(extract_progress(&run)), @"
    exit 0
    --- stdout
    verified  probe-old-token: 127.0.0.1:26444 accepts the old token
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
    verified  verify-rejection: 127.0.0.1:26444 rejects the old token
    done      rerun-create-admin-token: job `create-admin-token-001` is complete
    verified  verify-admin-token: secret `admin-token` has the new UID [UID]
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    verified  verify-revocation: 127.0.0.1:26444 accepts the new token and rejected the old one 10
        times in a row
    revoked and verified
    [DURATION] from the first rejection of the old token to the first acceptance of the new one
    secret `admin-token` contains a new token: run `bypassctl enable -n influxdb` to use it
    other tokens, not revoked: 2 management tokens and 3 database tokens
    --- stderr
    warning: job `create-admin-token-7c9d2b41` is suspended, but its clone runs
       hint: find out who suspended it, and why
    ");
    let spec = sb.refresh_cluster()["jobs"]["influxdb/key-gen-001"]["spec"].clone();
    assert!(
        spec["ttlSecondsAfterFinished"].is_null(),
        "its end must be seen: {spec}"
    );
}

#[test]
fn token_stays_accepted_when_selector_misses_pods() {
    let sb = create_enabled_sandbox();
    sb.run_fake(&[
        "deployment",
        "influxdb",
        "core",
        "app=core",
        "1",
        "rsa-keys",
    ]);
    wait_until("its pod serves", || {
        let pods = sb.refresh_cluster()["pods"].clone();
        pods.as_object()
            .expect("pods")
            .values()
            .any(|pod| pod["meta"]["labels"]["app"] == "core" && pod["phase"] == "Running")
    });
    // Pods outside the selector still accept the old token, and the probe detects that.
    let run = run_revoke(
        &sb,
        11,
        &["--restart-selector", "app=core", "--grace-period", "1s"],
    );
    insta::assert_snapshot!(wrap_lines(extract_progress(&run)), @"
    exit 11
    --- stdout
    verified  probe-old-token: 127.0.0.1:26444 accepts the old token
    verified  operator: kubit is not installed: jobs are rerun as clones
    Revoke all admin tokens: namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
      - delete   secret/rsa-keys, secret/admin-token
      + create   job/key-gen-001, job/create-admin-token-001 (clones, kept)
      ~ restart  1 pod, app=core
    All admin tokens issued so far stop working, for all users. This cannot be undone.
    Expect an outage until the new token exists. Each wait ends after 300 s.
    The effect on database tokens is not documented. Commands and hints: --dry-run
    done      delete-rsa-keys: secret `rsa-keys` is deleted, last seen with UID [UID]
    done      delete-admin-token: secret `admin-token` is deleted, last seen with UID [UID]
    done      rerun-key-gen: job `key-gen-001` is complete
    verified  verify-rsa-keys: secret `rsa-keys` has the new UID [UID]
    done      restart-pods: 1 old pods are gone, 1 new pods are ready
    done      rerun-create-admin-token: job `create-admin-token-001` is complete
    verified  verify-admin-token: secret `admin-token` has the new UID [UID]
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    revoked, but the old token is still accepted
    secret `admin-token` contains a new token: run `bypassctl enable -n influxdb` to use it
    other tokens, not revoked: 2 management tokens and 3 database tokens
    the state directory keeps a copy of the old token until the next revocation, mode 0600
    --- stderr
    warning: other pods mount or read secret `rsa-keys` and do not restart: `app=token-management`
       hint: select those that check tokens with `--restart-selector`. List the others as
        `ignored_key_users` in the policy
    warning: 127.0.0.1:26444 accepted the old token after the restart, and did not reject it
        consistently within 1 s
       hint: find other pods that load `rsa-keys` (`kubectl get pods --output yaml`), select them
        with --restart-selector, and run again with --start-over. Also check that the profile's host
        belongs to this cluster
    ");
}
