//! A run that was cut short is carried on, from the cluster and, for a day, from the record.

use super::{assert_revoked, changes, enabled, steps, told, uid};
use crate::crash::end_orphans;
use crate::enable::TOKEN_FILE;
use crate::sandbox::Sandbox;
use serde_json::json;

const ROTATE: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];

/// Killed when all in the cluster is new, and the profile has the old token still.
fn killed_before_the_token_is_read(sb: &Sandbox) {
    sb.fault(json!({"tool": "kubectl", "contains": ["--template={{.data.token}}"], "nth": 2, "before": true, "do": "kill_parent"}));
    assert_eq!(sb.run(ROTATE).code, 128 + 9);
    end_orphans(sb);
    sb.no_faults();
    sb.forget_calls();
    // The pods are younger than the keys by more than what a shown time leaves open: a whole second.
    sb.cluster(|cluster| {
        cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"] = json!(
            cluster["secrets"]["influxdb/rsa-keys"]["meta"]["created_ms"]
                .as_u64()
                .expect("a time")
                - 2000
        );
    });
}

#[test]
fn the_record_tells_what_is_new() {
    let sb = enabled();
    let old = sb.admin_token();
    killed_before_the_token_is_read(&sb);
    let (keys, token) = (uid(&sb, "rsa-keys"), uid(&sb, "admin-token"));
    let run = super::ended(&sb, 10, ROTATE);
    insta::assert_snapshot!(told(&run));
    assert_eq!(
        (uid(&sb, "rsa-keys"), uid(&sb, "admin-token")),
        (keys, token)
    );
    assert_revoked(&sb, &old, "carried on");
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    // What came to its end is no more carried on with.
    let next = super::ended(&sb, 0, ROTATE);
    assert!(
        steps(&next).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        next.stdout
    );
}

#[test]
fn on_another_host_all_in_order_is_a_fresh_start() {
    let sb = enabled();
    let old = sb.admin_token();
    killed_before_the_token_is_read(&sb);
    let elsewhere = sb.path("elsewhere.jsonl").display().to_string();
    let run = super::ended(&sb, 0, &[ROTATE, &["--audit-log", &elsewhere]].concat());
    assert!(
        steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
    assert_revoked(&sb, &old, "elsewhere");
}

#[test]
fn a_dry_run_ends_nothing() {
    let sb = enabled();
    killed_before_the_token_is_read(&sb);
    for _ in 0..2 {
        let run = super::ended(&sb, 0, &["rotate", "-n", "influxdb", "--dry-run"]);
        assert!(
            run.stderr
                .contains("a revocation has begun here and did not come to its end"),
            "{}",
            run.stderr
        );
        assert!(
            !steps(&run).contains(&"delete-rsa-keys".to_owned()),
            "{}",
            run.stdout
        );
    }
}

#[test]
fn another_namespace_of_the_record_is_another_matter() {
    let sb = enabled();
    killed_before_the_token_is_read(&sb);
    let text = String::from_utf8(sb.log_bytes()).expect("ASCII");
    // As if that run had been about another namespace.
    std::fs::write(
        sb.log(),
        text.replace(r#""namespace":"influxdb""#, r#""namespace":"influxdc""#),
    )
    .expect("sandbox");
    let run = super::ended(&sb, 0, ROTATE);
    assert!(
        steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}

#[test]
fn the_record_is_believed_for_a_day() {
    let sb = enabled();
    killed_before_the_token_is_read(&sb);
    let text = String::from_utf8(sb.log_bytes()).expect("ASCII");
    let times = regex::Regex::new(r#""ts":"\d{4}"#).expect("a pattern");
    std::fs::write(
        sb.log(),
        times.replace_all(&text, r#""ts":"2020"#).as_bytes(),
    )
    .expect("sandbox");
    let run = super::ended(&sb, 0, ROTATE);
    assert!(
        steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
}

#[test]
fn who_puts_the_new_token_to_use_means_that_one_next() {
    let sb = enabled();
    killed_before_the_token_is_read(&sb);
    super::ended(&sb, 0, &["enable", "-n", "influxdb"]);
    let in_use = sb.admin_token();
    let run = super::ended(&sb, 0, ROTATE);
    assert!(
        steps(&run).contains(&"delete-rsa-keys".to_owned()),
        "{}",
        run.stdout
    );
    assert_revoked(&sb, &in_use, "put to use");
}

#[test]
fn again_is_explicit() {
    let sb = enabled();
    let old = sb.admin_token();
    killed_before_the_token_is_read(&sb);
    let keys = uid(&sb, "rsa-keys");
    super::ended(&sb, 0, &[ROTATE, &["--again"]].concat());
    assert_ne!(uid(&sb, "rsa-keys"), keys);
    assert_revoked(&sb, &old, "again");
    assert!(changes(&sb).contains("delete secrets/rsa-keys"));
}
