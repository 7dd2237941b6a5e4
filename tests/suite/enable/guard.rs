//! Refusals before the first read.

use super::{CONFIG_FILE, expect_refusal, run_enable};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use serde_json::json;

#[test]
fn enable_requires_valid_namespace() {
    let mut sb = Sandbox::new();
    let run = sb.run(&["enable"]);
    insta::assert_snapshot!(wrap_lines(run.normalized_output()), @"
    exit 2
    --- stdout
    --- stderr
    error: no namespace given
    hint: pass the namespace of InfluxDB Clustered with -n NS or BYPASSCTL_NAMESPACE (`influxdb` in
        the documentation)
    audit head [UID] 3:[SHA256]
    ");
    assert_eq!(sb.call_lines(), "");
    for bad in ["", "--all", "Influx", "a/b"] {
        assert_eq!(sb.run(&["enable", "--namespace", bad]).code, 2, "{bad}");
    }
    sb.set_env("BYPASSCTL_NAMESPACE", "influxdb");
    assert_eq!(sb.run(&["enable"]).code, 0);
}

#[test]
fn enable_refuses_named_production_target() {
    let sb = Sandbox::new();
    let run = expect_refusal(&sb, 4, &["--context", "acme-prod"]);
    insta::assert_snapshot!(extract_error(&run), @"
    error: `acme-prod` looks like production, where the admin token must not be used
    hint: pass --allow-production if it is not production
    audit head [UID] 3:[SHA256]
    ");
    for namespace in ["influxdb-prod", "production", "reprod"] {
        let run = sb.run(&["enable", "-n", namespace]);
        assert_eq!(run.code, 4, "{}", run.stderr);
    }
    assert_eq!(sb.call_lines(), "", "no command runs");
}

#[test]
fn enable_refuses_current_production_context() {
    let sb = Sandbox::new();
    sb.edit_state(|world| world["current_context"] = json!("acme-prod"));
    let run = expect_refusal(&sb, 4, &[]);
    assert!(
        run.stderr
            .contains("error: `acme-prod` looks like production"),
        "{}",
        run.stderr
    );
    assert!(!sb.call_lines().contains("secrets"), "{}", sb.call_lines());
}

#[test]
fn allow_production_flag_permits_production() {
    let sb = Sandbox::with_production_workload();
    let config = sb
        .read(CONFIG_FILE)
        .replace("127.0.0.1", "influxdb.prod.invalid");
    sb.write(CONFIG_FILE, config);
    let run = run_enable(&sb, &["--context", "acme-prod", "--allow-production"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .starts_with("warning: the admin token bypasses the identity provider"),
        "{}",
        run.stderr
    );
}

#[test]
fn invalid_enable_options_are_usage_errors() {
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
        !sb.home_path(".local/state/bypassctl").exists(),
        "no log entry"
    );
}
