//! What must not happen although all looked well: another cluster, a token that is refused, a token that is left.

use super::{REVOKE, accepted, enabled, ended, quick, refused, steps};
use crate::crash::end_orphans;
use crate::enable::TOKEN_FILE;
use serde_json::json;

const ROTATE: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

#[test]
fn a_context_that_leads_elsewhere_by_now() {
    let sb = quick();
    let other = json!({"exit": {"code": 0, "stdout": "7c1f1d5e-3c6a-4b57-9d0f-6a1f0c2b9e44"}});
    sb.fault(json!({"tool": "kubectl", "contains": ["kube-system"], "nth": 2, "do": other}));
    let told = refused(&sb, 4, &[]);
    assert!(
        told.contains("the context leads to another cluster now"),
        "{told}"
    );
}

#[test]
fn half_an_answer_is_no_missing_secret() {
    let sb = quick();
    let stderr = "Error from server (Timeout): the server was unable to return a response in the time allotted\nError from server (NotFound): secrets \"admin-token\" not found\n";
    let look = json!({"tool": "kubectl", "contains": ["secrets/rsa-keys", "secrets/admin-token", "get"], "nth": 1, "do": {"exit": {"code": 1, "stderr": stderr}}});
    sb.fault(look);
    let told = refused(&sb, 5, &[]);
    assert!(told.contains("(Timeout)"), "{told}");
}

#[test]
fn a_new_token_that_is_refused_is_not_put_to_use() {
    let sb = enabled();
    let old = sb.admin_token();
    let run = ended(
        &sb,
        11,
        &[
            ROTATE,
            &["--restart-selector", "app=querier", "--grace", "1s"],
        ]
        .concat(),
    );
    assert!(
        run.stderr
            .contains("none of the pods labelled app=querier mounts or reads secret `rsa-keys`"),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout
            .contains("the new token is refused, and profile `default` was left as it was"),
        "{}",
        run.stdout
    );
    assert_eq!(
        sb.read(TOKEN_FILE).into_bytes(),
        old,
        "what still works stays where it is"
    );
    assert!(accepted(&sb, &old));
}

#[test]
fn a_token_of_an_unfinished_revocation_is_not_left_behind() {
    let sb = enabled();
    sb.fault(json!({"tool": "kubectl", "contains": ["--template={{.data.token}}"], "nth": 2, "before": true, "do": "kill_parent"}));
    assert_eq!(sb.run(ROTATE).code, 128 + 9);
    end_orphans(&sb);
    sb.no_faults();
    sb.forget_calls();
    sb.cluster(|cluster| {
        for pod in cluster["pods"].as_object_mut().expect("pods").values_mut() {
            pod["meta"]["created_ms"] =
                json!(pod["meta"]["created_ms"].as_u64().expect("a time") + 2000);
        }
    });
    let told = refused(&sb, 4, &["--no-new-token"]);
    insta::assert_snapshot!(told, @"
    error: an unfinished revocation has made a new admin token: it would stay valid
    hint: to end with it: run again without --no-new-token; to end without any token: start over, --again
    ");
    let run = ended(&sb, 0, &[REVOKE, &["--no-new-token", "--again"]].concat());
    assert!(
        steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}
