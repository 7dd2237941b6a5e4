//! kubit's AppInstance: a pause, and a site's own signing key.

use super::{create_fast_sandbox, expect_refusal, run_with_exit_code};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

/// The content of a site's own key. It must not appear anywhere.
const PRIVATE: &str = "SITE-PRIVATE-KEY";

const DRY_RUN: &[&str] = &["revoke", "-n", "influxdb", "--dry-run"];

fn make_spec_with_key() -> Value {
    json!({"package": {"spec": {"admin": {"internalSigningKey": PRIVATE}}}, "pause": false})
}

/// Creates a cluster where the AppInstance is a resource.
fn create_sandbox_with_instance(spec: &Value) -> Sandbox {
    let sb = create_fast_sandbox();
    sb.install_operator();
    sb.edit_cluster(|cluster| cluster["appinstances"]["influxdb/influxdb"]["spec"] = spec.clone());
    sb
}

/// Creates a cluster where the AppInstance is in a ConfigMap, without a CRD.
fn create_sandbox_with_config_map(spec: &Value) -> Sandbox {
    let sb = create_fast_sandbox();
    sb.edit_cluster(|cluster| cluster["crd"] = json!(false));
    sb.run_fake(&["app-instance-config", "influxdb", &spec.to_string()]);
    sb
}

/// Creates a cluster for each place of the AppInstance.
fn create_sandboxes(spec: &Value) -> [Sandbox; 2] {
    [
        create_sandbox_with_instance(spec),
        create_sandbox_with_config_map(spec),
    ]
}

fn assert_key_is_not_revealed(sb: &Sandbox, output: &str) {
    assert!(!output.contains(PRIVATE), "{output}");
    assert!(!String::from_utf8_lossy(&sb.read_log()).contains(PRIVATE));
    let digests: Vec<Value> = sb
        .read_entries_by_type("result")
        .into_iter()
        .filter(|result| result["stdout"]["bytes"].as_u64() > Some(100))
        .collect();
    let intents = sb.read_entries();
    for result in digests {
        let intent = &intents[result["intent"].as_u64().unwrap() as usize - 1];
        let step = intent["step"].as_str().unwrap();
        assert!(!step.starts_with("app-instance"), "{step} has a digest");
    }
}

#[test]
fn revoke_refuses_site_signing_key() {
    let spec = make_spec_with_key();
    for sb in &create_sandboxes(&spec) {
        let error = expect_refusal(sb, 4, &[]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"
            error: the AppInstance sets its own signing key (`spec.package.spec.admin.internalSigningKey`): new `rsa-keys` would revoke no token
            hint: replace the key in the AppInstance. If `rsa-keys` signs the tokens all the same, pass `--skip-check signing-key`
            ");
        }
        assert_key_is_not_revealed(sb, &error);
        let doctor = run_with_exit_code(sb, 1, &["doctor", "-n", "influxdb"]);
        assert!(
            doctor
                .stdout
                .contains("signing key: the AppInstance sets its own"),
            "{}",
            doctor.stdout
        );
        assert_key_is_not_revealed(sb, &doctor.stdout);
        let skipping = ["--skip-check", "signing-key", "--skip-check", "dry-run"];
        let skipping = [DRY_RUN, &skipping].concat();
        run_with_exit_code(sb, 0, &skipping);
    }
}

#[test]
fn revoke_refuses_paused_kubit_unless_command_line_says_clone() {
    let spec = json!({"package": {}, "pause": true});
    for sb in &create_sandboxes(&spec) {
        let error = expect_refusal(sb, 4, &[]);
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"
            error: kubit is paused for namespace `influxdb`: a backup or a restore can be in progress
            hint: wait until kubit runs again. If you know why it is paused, pass `--rerun clone` on the command line
            ");
        }
        let policy = sb.write(
            "home/policy.toml",
            "[namespaces.influxdb]\nrerun = \"clone\"\n",
        );
        let policy = policy.display().to_string();
        assert_eq!(expect_refusal(sb, 4, &["--policy", &policy]), error);
        run_with_exit_code(sb, 0, &[DRY_RUN, &["--rerun", "clone"]].concat());
        let explicit = ["--rerun", "clone", "--policy", &policy];
        run_with_exit_code(sb, 0, &[DRY_RUN, &explicit].concat());
    }
}

#[test]
fn unreadable_app_instance_is_reported_as_not_checked() {
    let sb = create_sandbox_with_instance(&make_spec_with_key());
    sb.deny_access(json!({"verb": "list", "resource": "appinstances"}));
    let run = run_with_exit_code(&sb, 0, DRY_RUN);
    let expected = "signing-key: whether the site sets its own signing key was not checked: \
                    the account cannot list AppInstances";
    assert!(run.stdout.contains(expected), "{}", run.stdout);
    let doctor = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]);
    let expected = "signing key: not checked: the account cannot list AppInstances";
    assert!(doctor.stdout.contains(expected), "{}", doctor.stdout);
}

#[test]
fn operator_of_one_namespace_is_found() {
    let sb = create_sandbox_with_config_map(&json!({"package": {}}));
    sb.deny_access(json!({"verb": "list", "resource": "deployments", "namespace": ""}));
    sb.run_fake(&[
        "deployment",
        "influxdb",
        "kubit",
        "control-plane=kubit",
        "1",
    ]);
    crate::sandbox::wait_until("the operator's pod is ready", || {
        let run = run_with_exit_code(&sb, 0, DRY_RUN);
        run.stdout
            .contains("operator: kubit runs: it recreates deleted jobs")
    });
}
