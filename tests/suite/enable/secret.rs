//! The secret `admin-token` is not as it should be.

use super::{enable, error, refused};
use crate::sandbox::Sandbox;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

#[test]
fn without_the_key() {
    let sb = Sandbox::new();
    sb.drop_admin_token_key();
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @r"
    error: secret `admin-token` has no key `token`
    hint: look at its keys: `kubectl describe secrets/admin-token --namespace NS`
    audit head [UID] 15:[SHA256]
    ");
    assert!(!sb.call_lines().contains("database"), "no token, no trial");
}

#[test]
fn empty_or_not_base64_or_too_large() {
    let sb = Sandbox::new();
    for (text, said) in [
        ("", "has an empty key `token`"),
        ("invented-%-token", "is not base64"),
        ("aW52ZW50ZWQ", "is not base64"),
        (&STANDARD.encode(vec![b'x'; (1 << 20) + 1]), "is over 1 MiB"),
    ] {
        sb.set_admin_token_text(text);
        let run = refused(&sb, 1, &[]);
        assert!(
            run.stderr.contains("secret `admin-token`") && run.stderr.contains(said),
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
fn far_too_large() {
    let sb = Sandbox::new();
    sb.set_admin_token_text(&"QUJD".repeat(1 << 20));
    let run = refused(&sb, 1, &[]);
    insta::assert_snapshot!(error(&run), @r"
    error: kubectl printed more on standard output than any right answer needs, and was ended
    hint: run the same command by hand; it is in the audit log
    audit head [UID] 15:[SHA256]
    ");
}

#[test]
fn not_there() {
    let sb = Sandbox::new();
    sb.remove_secret("admin-token");
    insta::assert_snapshot!(error(&refused(&sb, 1, &[])), @r#"
    error: secret `admin-token` cannot be read: Error from server (NotFound): secrets "admin-token" not found
    hint: look at the name of the namespace and at the context: `kubectl get secrets,jobs --namespace NS`; a revocation that was cut short, or with --no-new-token, leaves none: `bypassctl revoke` makes one
    audit head [UID] 15:[SHA256]
    "#);
}

#[test]
fn any_bytes_are_written_as_they_are() {
    let mut sb = Sandbox::new();
    for token in [
        b"line one\nline two\n\n".as_slice(),
        b"\xff\x00\xfe binary bytes \x80 here",
        b"{\"access_token\": 1} ",
    ] {
        sb.set_admin_token(token);
        assert_eq!(enable(&sb, &[]).code, 0);
        assert_eq!(
            std::fs::read(sb.path(super::TOKEN_FILE)).expect("written"),
            token
        );
    }
}
