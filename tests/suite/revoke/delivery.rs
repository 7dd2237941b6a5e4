//! The delivery of the new token to another program.

use super::{
    REVOKE_ARGS, create_enabled_sandbox, get_secret_uid, list_cluster_changes, run_with_exit_code,
};
use crate::sandbox::{
    CommandOutput, Sandbox, drop_audit_head, extract_error, sha256_hex, wrap_lines,
};
use serde_json::{Value, json};

const ROTATE_ARGS: &[&str] = &["rotate", "-n", "influxdb", "--confirm", "sim-dev/influxdb"];
const DELIVER_ARGS: &[&str] = &["--deliver", "vault", "kv", "put", "-mount=x", "token=-"];

/// Installs a program `vault` in PATH that stores the digest of its input, its arguments and its
/// environment.
pub fn install_vault(sb: &Sandbox, last_line: &str) {
    let dir = sb.root().display();
    let script = format!(
        "#!/bin/sh\n/usr/bin/sha256sum >{dir}/received\nprintf '%s\\n' \"$@\" >{dir}/args\n\
         /usr/bin/env >{dir}/env\n{last_line}\n"
    );
    sb.write("bin/vault", script);
    sb.chmod("bin/vault", 0o755);
}

pub fn create_sandbox_with_vault_ending(last_line: &str) -> Sandbox {
    let sb = create_enabled_sandbox();
    install_vault(&sb, last_line);
    sb
}

pub fn create_sandbox_with_vault() -> Sandbox {
    create_sandbox_with_vault_ending("exit 0")
}

fn assert_token_received(sb: &Sandbox) {
    let received = sb.read("received");
    assert_eq!(
        received.split(' ').next(),
        Some(sha256_hex(&sb.admin_token()).as_str())
    );
}

/// Returns the arguments of a confirmed `rotate` that delivers the token.
pub fn rotate_args() -> Vec<&'static str> {
    [ROTATE_ARGS, DELIVER_ARGS].concat()
}

pub fn rotate_and_deliver(sb: &Sandbox, code: i32) -> CommandOutput {
    run_with_exit_code(sb, code, &rotate_args())
}

fn find_delivery(sb: &Sandbox) -> Value {
    let intents = sb.read_entries_by_type("intent");
    let mut deliveries = intents
        .into_iter()
        .filter(|intent| intent["step"] == "deliver-token");
    deliveries.next_back().expect("a delivery")
}

#[test]
fn rotate_delivers_the_verified_token_on_stdin_alone() {
    let sb = create_sandbox_with_vault_ending("echo done; echo done >&2");
    let run = rotate_and_deliver(&sb, 0);
    assert_token_received(&sb);
    assert_eq!(sb.read("args"), "kv\nput\n-mount=x\ntoken=-\n");
    // The program gets the user's environment as it is, not that of the tools.
    let env = sb.read("env");
    assert!(
        !env.contains("LC_ALL=") && !env.contains("KUBERC="),
        "{env}"
    );
    assert!(
        run.stdout
            .contains("~ deliver  the new token to `vault kv put '-mount=x' 'token=-'`"),
        "{}",
        run.stdout
    );
    let delivery = find_delivery(&sb);
    assert_eq!(
        delivery["argv"],
        json!(["vault", "kv", "put", "-mount=x", "token=-"])
    );
    assert_eq!(delivery["stdin"], json!({"withheld": "secret"}));
    let is_result = |result: &&Value| result["intent"] == delivery["seq"];
    let results = sb.read_entries_by_type("result");
    let result = results.iter().rev().find(is_result).expect("a result");
    assert_eq!(result["exit"]["code"], 0);
    let withheld = json!({"withheld": "secret"});
    assert_eq!(
        (&result["stdout"], &result["stderr"]),
        (&withheld, &withheld)
    );
    let verified = sb.read_entries_by_type("verification").pop();
    let verified = verified.expect("a verification");
    assert!(verified["seq"].as_u64() < delivery["seq"].as_u64());
}

#[test]
fn failed_delivery_stops_and_the_same_command_only_delivers() {
    let sb = create_sandbox_with_vault_ending("echo denied >&2; exit 2");
    let run = rotate_and_deliver(&sb, 8);
    insta::assert_snapshot!(wrap_lines(drop_audit_head(&extract_error(&run))), @"
    error: cannot deliver the new token: `vault kv put '-mount=x' 'token=-'` failed with exit code
        2: denied
    hint: a change was made before this error: run the same command again to resume. The new token
        is in use, and only its delivery is missing: correct the command. Steps done:
        delete-rsa-keys, delete-admin-token, rerun-key-gen, verify-rsa-keys, restart-pods,
        rerun-create-admin-token, verify-rejection, verify-admin-token, get-token,
        verify-revocation, write-token; started: deliver-token; pending: count-tokens
    ");
    let keys = get_secret_uid(&sb, "rsa-keys");
    sb.clear_calls();
    install_vault(&sb, "exit 0");
    let run = rotate_and_deliver(&sb, 0);
    assert_eq!(list_cluster_changes(&sb), "", "{}", run.stdout);
    assert_eq!(get_secret_uid(&sb, "rsa-keys"), keys);
    assert_token_received(&sb);
}

/// Such a rotation deletes no keys, so nothing but its own steps shows that it is unfinished.
#[test]
fn failed_delivery_after_revocation_without_token_resumes() {
    let sb = create_sandbox_with_vault_ending("exit 2");
    run_with_exit_code(&sb, 0, &[REVOKE_ARGS, &["--no-new-token"]].concat());
    rotate_and_deliver(&sb, 8);
    let status = sb.run(&["status", "-n", "influxdb"]).stdout;
    assert!(
        status.contains("stopped at step `deliver-token`"),
        "{status}"
    );
    sb.clear_calls();
    install_vault(&sb, "exit 0");
    let run = rotate_and_deliver(&sb, 0);
    assert_eq!(list_cluster_changes(&sb), "", "{}", run.stdout);
    assert_token_received(&sb);
}

#[test]
fn missing_program_is_found_before_the_first_change() {
    let sb = create_enabled_sandbox();
    let run = rotate_and_deliver(&sb, 1);
    insta::assert_snapshot!(wrap_lines(drop_audit_head(&extract_error(&run))), @"
    error: `vault` is not in PATH
    hint: install it, or correct the command after --deliver
    ");
    let path_args = [ROTATE_ARGS, &["--deliver", "./vault"]].concat();
    let run = run_with_exit_code(&sb, 1, &path_args);
    assert!(
        run.stderr.contains("vault`: No such file"),
        "{}",
        run.stderr
    );
    assert_eq!(list_cluster_changes(&sb), "");
}

#[test]
fn rejected_token_is_not_delivered() {
    let sb = create_sandbox_with_vault();
    let mut args = [ROTATE_ARGS, &["--restart-selector", "app=querier"]].concat();
    args.extend(["--grace-period", "1s"]);
    let run = run_with_exit_code(&sb, 11, &[&args, DELIVER_ARGS].concat());
    assert!(
        run.stdout
            .contains("the new token was rejected, so it is not delivered"),
        "{}",
        run.stdout
    );
    assert!(!sb.path("received").exists());
}

#[test]
fn policy_that_requires_pins_needs_the_digest_of_the_program() {
    let sb = create_enabled_sandbox();
    let pins = sb.run(&["tools", "pin"]).stdout;
    let write_policy = |section: &str| {
        let text = format!("{pins}\n{section}");
        sb.write("policy.toml", text).display().to_string()
    };
    let rotate = |policy: &str, code| {
        let mut args = [ROTATE_ARGS, &["--policy", policy]].concat();
        args.extend(["--deliver", "/bin/cat"]);
        run_with_exit_code(&sb, code, &args)
    };
    let run = rotate(&write_policy(""), 4);
    assert!(
        run.stderr.contains("delivery is not pinned") && run.stderr.contains("[tools.delivery]"),
        "{}",
        run.stderr
    );
    assert_eq!(list_cluster_changes(&sb), "");
    let cat = std::fs::canonicalize("/bin/cat").expect("a path");
    let digest = sha256_hex(&std::fs::read(cat).expect("a program"));
    let pin = format!("[tools.delivery]\nsha256 = [\"{digest}\"]\n");
    rotate(&write_policy(&pin), 0);
}

#[test]
fn saved_plan_binds_the_command_and_its_program() {
    let sb = create_sandbox_with_vault();
    let plan_args = ["plan", "rotate", "-n", "influxdb", "--out", "plan.json"];
    run_with_exit_code(&sb, 0, &[&plan_args, DELIVER_ARGS].concat());
    let shown = sb.run(&["plan", "show", "plan.json"]).stdout;
    assert!(
        shown.contains("$ vault kv put '-mount=x' 'token=-'"),
        "{shown}"
    );
    let apply_args = ["apply", "plan.json", "--confirm", "sim-dev/influxdb"];
    install_vault(&sb, "exit 0 # another program");
    let run = run_with_exit_code(&sb, 4, &apply_args);
    assert!(
        run.stderr.contains("differs from the plan"),
        "{}",
        run.stderr
    );
    install_vault(&sb, "exit 0");
    run_with_exit_code(&sb, 0, &apply_args);
    assert_token_received(&sb);
}

#[test]
fn dry_run_delivers_nothing_and_its_script_reads_the_token_file() {
    let sb = create_sandbox_with_vault();
    let dry_run = ["rotate", "-n", "influxdb", "--dry-run=script"];
    let script = sb.run(&[&dry_run, DELIVER_ARGS].concat()).stdout;
    assert!(!sb.path("received").exists());
    let file = sb.home_path(".config/influxctl/admin-token-default.json");
    let command = format!("/vault kv put '-mount=x' 'token=-' <{}\n", file.display());
    assert!(script.contains(&command), "{script}");
}
