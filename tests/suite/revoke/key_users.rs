//! Pods outside the selector that use the keys.

use super::{create_fast_sandbox, run_with_exit_code};
use crate::policy::write_trusted_policy;
use crate::sandbox::Sandbox;

const WARNING: &str = "other pods mount or read secret `rsa-keys` and ";

/// Adds a deployment outside the documented selector that mounts the keys.
pub fn create_sandbox_with_ingester() -> Sandbox {
    let sb = create_fast_sandbox();
    sb.run_fake(&[
        "deployment",
        "influxdb",
        "ingester",
        "app=ingester",
        "1",
        "rsa-keys",
    ]);
    sb
}

#[test]
fn other_key_users_are_named_in_plan_and_doctor() {
    let sb = create_sandbox_with_ingester();
    let run = run_with_exit_code(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run"]);
    assert!(
        run.stderr
            .contains(&format!("{WARNING}do not restart: `app=ingester`")),
        "{}",
        run.stderr
    );
    assert!(
        run.stdout
            .contains("without these pods, which use `rsa-keys` too: `app=ingester`"),
        "{}",
        run.stdout
    );
    let doctor = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]);
    assert!(
        doctor
            .stdout
            .contains(&format!("{WARNING}would not restart: `app=ingester`")),
        "{}",
        doctor.stdout
    );
}

#[test]
fn policy_silences_known_key_users() {
    let sb = create_sandbox_with_ingester();
    write_trusted_policy(
        &sb,
        "[namespaces.influxdb]\nignored_key_users = [\"app=ingester\"]\n",
    );
    let run = run_with_exit_code(&sb, 0, &["revoke", "-n", "influxdb", "--dry-run"]);
    assert!(!run.stderr.contains(WARNING), "{}", run.stderr);
    let doctor = run_with_exit_code(&sb, 0, &["doctor", "-n", "influxdb"]);
    assert!(!doctor.stdout.contains(WARNING), "{}", doctor.stdout);
}
