//! What stops it before anything is looked at.

use super::{CONFIG, enable, error, refused};
use crate::sandbox::Sandbox;
use serde_json::json;

#[test]
fn a_namespace_is_never_guessed() {
    let mut sb = Sandbox::new();
    let run = sb.run(&["enable"]);
    insta::assert_snapshot!(run.normalised(), @r"
    exit 2
    --- stdout
    --- stderr
    error: no namespace is named
    hint: name the namespace of InfluxDB Clustered: -n NS, or BYPASSCTL_NAMESPACE (the documentation's example is `influxdb`)
    audit head [UID] 3:[SHA256]
    ");
    assert_eq!(sb.call_lines(), "");
    for bad in ["", "--all", "Influx", "a/b"] {
        assert_eq!(sb.run(&["enable", "--namespace", bad]).code, 2, "{bad}");
    }
    sb.env("BYPASSCTL_NAMESPACE", "influxdb");
    assert_eq!(sb.run(&["enable"]).code, 0);
}

#[test]
fn production_that_is_named() {
    let sb = Sandbox::new();
    let run = refused(&sb, 4, &["--context", "acme-prod"]);
    insta::assert_snapshot!(error(&run), @r"
    error: `acme-prod` looks like production, where the admin token must not be used
    hint: if it is not production, say so with --allow-production
    audit head [UID] 3:[SHA256]
    ");
    for namespace in ["influxdb-prod", "production", "reprod"] {
        let run = sb.run(&["enable", "-n", namespace]);
        assert_eq!(run.code, 4, "{}", run.stderr);
    }
    assert_eq!(sb.call_lines(), "", "nothing is run");
}

#[test]
fn production_that_is_in_force() {
    let sb = Sandbox::new();
    sb.world(|world| world["current_context"] = json!("acme-prod"));
    let run = refused(&sb, 4, &[]);
    assert!(
        run.stderr
            .contains("error: `acme-prod` looks like production"),
        "{}",
        run.stderr
    );
    assert!(!sb.call_lines().contains("secrets"), "{}", sb.call_lines());
}

#[test]
fn production_that_is_allowed() {
    let sb = Sandbox::new();
    let config = sb
        .read(CONFIG)
        .replace("127.0.0.1", "influxdb.prod.invalid");
    sb.write(CONFIG, config);
    let run = enable(&sb, &["--context", "acme-prod", "--allow-production"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .starts_with("warning: the admin token bypasses the identity provider"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let sb = Sandbox::new();
    let lines: [&[&str]; 6] = [
        &["--create-profile"],
        &["--host", "x", "--port", "1"],
        &["--verify", "maybe"],
        &["--dry-run=shell"],
        &["--timeout", "0s"],
        &["--create-profile", "--host", "x", "--port", "65536"],
    ];
    for line in lines {
        let run = sb.run(&[&["enable", "-n", "influxdb"], line].concat());
        assert_eq!(run.code, 2, "{line:?}: {}", run.stderr);
    }
    assert_eq!(sb.call_lines(), "");
    assert!(
        !sb.home(".local/state/bypassctl").exists(),
        "nothing to record"
    );
}
