//! Dangers behind passed checks: another cluster, a rejected token, a leftover token.

use super::{
    REVOKE_ARGS, create_enabled_sandbox, create_fast_sandbox, expect_refusal, is_token_accepted,
    list_plan_steps, run_with_exit_code,
};
use crate::crash::kill_orphans;
use crate::enable::TOKEN_FILE;
use crate::sandbox::wrap_lines;
use serde_json::json;

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

#[test]
fn revoke_refuses_when_unverified_server_changes_cluster() {
    let sb = create_fast_sandbox();
    sb.skip_tls_verification();
    let other = json!({"exit": {"code": 0, "stdout": "7c1f1d5e-3c6a-4b57-9d0f-6a1f0c2b9e44"}});
    sb.inject_fault(json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 2, "do": other}));
    let output = expect_refusal(&sb, 4, &[]);
    assert!(
        output.contains("the context points to another cluster"),
        "{output}"
    );
}

#[test]
fn partial_secret_list_is_an_error() {
    let sb = create_fast_sandbox();
    let stderr = "Error from server (Timeout): the server was unable to return a response in the \
                  time allotted\nError from server (NotFound): secrets \"admin-token\" not found\n";
    let fault = json!({
        "tool": "kubectl",
        "contains": ["secrets/rsa-keys", "secrets/admin-token", "get"],
        "nth": 1,
        "do": {"exit": {"code": 1, "stderr": stderr}}
    });
    sb.inject_fault(fault);
    let output = expect_refusal(&sb, 5, &[]);
    assert!(output.contains("(Timeout)"), "{output}");
}

#[test]
fn rejected_new_token_leaves_profile_unchanged() {
    let sb = create_enabled_sandbox();
    let old = sb.admin_token();
    let run = run_with_exit_code(
        &sb,
        11,
        &[
            ROTATE_ARGS,
            &["--restart-selector", "app=querier", "--grace-period", "1s"],
        ]
        .concat(),
    );
    assert!(
        run.stderr
            .contains("no pod with label app=querier mounts or reads secret `rsa-keys`"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout
            .contains("the new token is rejected, so profile `default` is unchanged"),
        "{}",
        run.stdout
    );
    assert_eq!(
        sb.read(TOKEN_FILE).into_bytes(),
        old,
        "a working token stays in its file"
    );
    assert!(is_token_accepted(&sb, &old));
}

#[test]
fn no_new_token_is_refused_after_unfinished_revocation() {
    let sb = create_enabled_sandbox();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["--template={{.data.token}}"],
        "nth": 2,
        "before": true,
        "do": "kill_parent"
    }));
    assert_eq!(sb.run(ROTATE_ARGS).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    sb.clear_calls();
    sb.edit_cluster(|cluster| {
        for pod in cluster["pods"].as_object_mut().expect("pods").values_mut() {
            pod["meta"]["created_ms"] =
                json!(pod["meta"]["created_ms"].as_u64().expect("a time") + 2000);
        }
    });
    let output = expect_refusal(&sb, 4, &["--no-new-token"]);
    insta::assert_snapshot!(wrap_lines(output), @"
    error: an unfinished revocation has created a new admin token, which would stay valid
    hint: remove --no-new-token to finish with the new token, or add --start-over to finish without
        any token
    ");
    let run = run_with_exit_code(
        &sb,
        0,
        &[REVOKE_ARGS, &["--no-new-token", "--start-over"]].concat(),
    );
    assert!(
        list_plan_steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}
