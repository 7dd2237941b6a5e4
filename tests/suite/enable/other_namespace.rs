//! A profile that has the token of another namespace.

use super::{TOKEN_FILE, run_enable};
use crate::sandbox::{CommandOutput, Sandbox, extract_error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

const OTHER_TOKEN: &str = "another-token-of-another-namespace";

/// Creates a sandbox whose namespace `default` has an admin token as well.
fn create_sandbox_with_two_namespaces() -> Sandbox {
    let sb = Sandbox::new();
    let text = STANDARD.encode(OTHER_TOKEN);
    sb.edit_cluster(|cluster| {
        let mut secret = cluster["secrets"]["influxdb/admin-token"].clone();
        secret["data"]["token"] = json!(text);
        secret["meta"]["namespace"] = json!("default");
        cluster["secrets"]["default/admin-token"] = secret;
        let accepted = cluster["extra_tokens"].as_array_mut().expect("a list");
        accepted.push(json!(text));
    });
    sb
}

fn enable_default(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    sb.run(&[&["enable", "-n", "default"], more].concat())
}

#[test]
fn token_of_another_namespace_is_replaced_only_on_demand() {
    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let token = sb.read(TOKEN_FILE);
    let run = enable_default(&sb, &[]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    insta::assert_snapshot!(extract_error(&run), @"
    error: token file `[SANDBOX]/home/.config/influxctl/admin-token-default.json` has the token of namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
    hint: pass --replace to replace it with the token of namespace `default`, or pass another profile or file: --profile NAME, --token-file FILE
    audit head [UID] 33:[SHA256]
    ");
    assert_eq!(sb.read(TOKEN_FILE), token);
    let dry_run = enable_default(&sb, &["--dry-run"]);
    assert_eq!(dry_run.code, 4, "{}", dry_run.stderr);

    let run = enable_default(&sb, &["--replace"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains(" loses the token of namespace `influxdb`, context `sim-dev`"),
        "{}",
        run.stderr
    );
    assert_eq!(sb.read(TOKEN_FILE), OTHER_TOKEN);
    // Now the other way round.
    assert_eq!(enable_default(&sb, &[]).code, 0);
    assert_eq!(sb.run(&["enable", "-n", "influxdb"]).code, 4);
    // A saved plan keeps the decision.
    let plan = [
        "plan",
        "enable",
        "-n",
        "influxdb",
        "--replace",
        "--out",
        "p",
    ];
    assert_eq!(sb.run(&plan).code, 0);
    let applied = sb.run(&["apply", "p"]);
    assert_eq!(applied.code, 0, "{}", applied.stderr);
    assert_eq!(sb.read(TOKEN_FILE), token);
    sb.assert_log_intact();
}

#[test]
fn closed_log_still_shows_the_other_namespace() {
    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(sb.run(&["audit", "rotate-log"]).code, 0);
    assert_eq!(enable_default(&sb, &[]).code, 4);
    let status = sb.run(&["status", "-n", "influxdb"]);
    assert!(
        status.stdout.contains("wrote the token file"),
        "{}",
        status.stdout
    );
}

#[test]
fn rotate_warns_about_token_of_another_namespace() {
    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(enable_default(&sb, &[]).code, 0);
    let run = sb.run(&["rotate", "-n", "influxdb", "--dry-run"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains(" loses the token of namespace `default`"),
        "{}",
        run.stderr
    );
}

#[test]
fn absent_or_unknown_token_is_no_other_namespace() {
    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(sb.run(&["disable"]).code, 0);
    assert_eq!(enable_default(&sb, &[]).code, 0, "disabled");

    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("the token file");
    assert_eq!(enable_default(&sb, &[]).code, 0, "deleted by hand");

    let sb = create_sandbox_with_two_namespaces();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    std::fs::remove_file(sb.log_path()).expect("the log");
    let run = enable_default(&sb, &[]);
    assert_eq!(run.code, 0, "the log knows nothing: {}", run.stderr);
}

#[test]
fn same_cluster_at_another_address_is_the_same_namespace() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let sim = "https://127.0.0.1:26443";
    let state = sb.read("state/cluster.json");
    assert!(state.contains(sim), "{state}");
    sb.write(
        "state/cluster.json",
        state.replace(sim, "https://127.0.0.2:26443"),
    );
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
}
