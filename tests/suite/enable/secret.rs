//! A missing or unusual secret `admin-token`.

use super::{expect_refusal, run_enable};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[test]
fn enable_fails_when_secret_has_no_token_key() {
    let sb = Sandbox::new();
    sb.remove_admin_token_key();
    insta::assert_snapshot!(extract_error(&expect_refusal(&sb, 1, &[])), @"
    error: secret `admin-token` has no key `token`
    hint: check its keys: `kubectl describe secrets/admin-token --namespace influxdb --context sim-dev`
    audit head [UID] 15:[SHA256]
    ");
    assert!(!sb.call_lines().contains("database"), "no token, no probe");
}

#[test]
fn enable_fails_for_invalid_token_value() {
    let sb = Sandbox::new();
    for (text, expected) in [
        ("", "has an empty key `token`"),
        ("invented-%-token", "is not base64"),
        ("aW52ZW50ZWQ", "is not base64"),
        (
            &STANDARD.encode(vec![b'x'; (1 << 20) + 1]),
            "is larger than 1 MiB",
        ),
    ] {
        sb.set_admin_token_base64(text);
        let run = expect_refusal(&sb, 1, &[]);
        assert!(
            run.stderr.contains("secret `admin-token`") && run.stderr.contains(expected),
            "{}",
            run.stderr
        );
        assert!(
            !run.stderr.contains("invented") && !run.stderr.contains("aW52"),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn enable_kills_kubectl_that_prints_too_much() {
    let sb = Sandbox::new();
    sb.set_admin_token_base64(&"QUJD".repeat(1 << 20));
    let run = expect_refusal(&sb, 1, &[]);
    insta::assert_snapshot!(extract_error(&run), @r"
    error: `kubectl get secrets/admin-token` printed more than 1 MiB on standard output and was killed
    hint: run the command by hand: the audit log shows it
    audit head [UID] 15:[SHA256]
    ");
}

#[test]
fn enable_fails_when_secret_is_missing() {
    let sb = Sandbox::new();
    sb.remove_secret("admin-token");
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 1, &[]))), @r#"
    error: cannot read secret `admin-token`: Error from server (NotFound): secrets "admin-token" not
        found
    hint: check the namespace and the context with `kubectl get secrets,jobs --namespace influxdb
        --context sim-dev`. Run `bypassctl revoke -n influxdb` to create a token: an interrupted
        revocation leaves none, and neither does --no-new-token
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn token_bytes_are_written_unchanged() {
    let mut sb = Sandbox::new();
    for token in [
        b"line one\nline two\n\n".as_slice(),
        b"\xff\x00\xfe binary bytes \x80 here",
        b"{\"access_token\": 1} ",
    ] {
        sb.set_admin_token(token);
        assert_eq!(run_enable(&sb, &[]).code, 0);
        assert_eq!(
            std::fs::read(sb.path(super::TOKEN_FILE)).expect("written"),
            token
        );
    }
}
