//! `status`

use crate::enable::{CONFIG_FILE, TOKEN_FILE, run_enable};
use crate::sandbox::{CommandOutput, Sandbox, wrap_lines};
use serde_json::{Value, json};
use std::path::Path;

/// Runs `status`, which must exit with this code and change nothing.
fn run_status(sb: &Sandbox, code: i32, more: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = sb.run(&[&["status", "-n", "influxdb"], more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    assert!(sb.snapshot_files() == before);
    sb.assert_no_secret_leaked(&[Path::new(TOKEN_FILE)]);
    run
}

fn create_enabled_sandbox() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    sb
}

/// Returns the failed checks.
fn list_failed_checks(run: &CommandOutput) -> String {
    let text = run.normalized_stdout();
    text.lines()
        .filter(|line| line.starts_with("failed"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn hints_repeat_the_options_of_the_run() {
    let sb = Sandbox::new();
    let config = sb.read(CONFIG_FILE).replace("\"default\"", "\"other\"");
    sb.write(CONFIG_FILE, config);
    let args = [
        "status",
        "-n",
        "influxdb",
        "--context",
        "sim-dev",
        "--profile",
        "other",
    ];
    let run = sb.run(&args);
    let command = "`bypassctl enable -n influxdb --context sim-dev --profile other`";
    assert!(run.stdout.contains(command), "{}", run.stdout);
}

#[test]
fn status_passes_when_token_is_in_use() {
    let sb = create_enabled_sandbox();
    sb.clear_calls();
    insta::assert_snapshot!(wrap_lines(run_status(&sb, 0, &[]).normalized_output()), @"
    exit 0
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        context: `sim-dev`, server https://127.0.0.1:26443, namespace `influxdb`
    ok        admin token: in secret `admin-token`, fingerprint [HEX]
    ok        token age: 1 h old, created at [TIME]
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for
        127.0.0.1:26444
    warning   influxctl: the profile also has `[profile.auth.oauth2]`: influxctl's documentation
        does not state which of the two it uses
               hint: if influxctl still opens a login, remove that section while you use the admin
        token
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json, mode 0600
    ok        bypass: on: [USER] on [HOST] wrote the token file at [TIME] (run [UID])
    ok        token match: the token file contains the token of the cluster, fingerprint [HEX]
    ok        token probe: 127.0.0.1:26444 accepts the token of the file
    the admin token is in use
    --- stderr
    audit head [UID] 43:[SHA256]
    ");
    insta::assert_snapshot!(wrap_lines(sb.sorted_call_lines()), @r#"
    influxctl --config [SANDBOX]/run/bypassctl-probe-[RANDOM]/config.toml --profile default database
        list --format json
    influxctl version
    kubectl config view --minify --output
        'jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}{.contexts[0].context.user}{"\n"}{.clusters[0].cluster.tls-server-name}{"\n"}{.clusters[0].cluster.insecure-skip-tls-verify}{"\n"}{range
        .clusters[?(@.cluster.proxy-url)]}proxy{end}{"\n"}'
    kubectl get namespace kube-system --output jsonpath={.metadata.uid} --context sim-dev --server
        https://127.0.0.1:26443
    kubectl get secrets/admin-token --namespace influxdb --output
        custom-columns=NAME:.metadata.name,UID:.metadata.uid,VERSION:.metadata.resourceVersion,CREATED:.metadata.creationTimestamp,DELETED:.metadata.deletionTimestamp,FINALIZERS:.metadata.finalizers[*]
        --no-headers --context sim-dev --server https://127.0.0.1:26443
    kubectl get secrets/admin-token --template={{.data.token}} --namespace influxdb --context
        sim-dev --server https://127.0.0.1:26443
    kubectl version --client --output json
    "#);
}

#[test]
fn status_exits_with_3_when_token_unused() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(wrap_lines(run_status(&sb, 3, &[]).normalized_output()), @"
    exit 3
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        context: `sim-dev`, server https://127.0.0.1:26443, namespace `influxdb`
    ok        admin token: in secret `admin-token`, fingerprint [HEX]
    ok        token age: 1 h old, created at [TIME]
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for
        127.0.0.1:26444
    warning   influxctl: the profile also has `[profile.auth.oauth2]`: influxctl's documentation
        does not state which of the two it uses
               hint: if influxctl still opens a login, remove that section while you use the admin
        token
    failed    token file: profile `default` has no `auth.token.token_file`
               hint: run `bypassctl enable -n influxdb` to set it
    the state differs from the required one: see each `failed` line
    --- stderr
    audit head [UID] 17:[SHA256]
    ");
}

#[test]
fn status_fails_when_token_file_is_missing() {
    let sb = create_enabled_sandbox();
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("written");
    let checks = list_failed_checks(&run_status(&sb, 3, &[]));
    insta::assert_snapshot!(wrap_lines(checks), @"
    failed    token file: `[SANDBOX]/home/.config/influxctl/admin-token-default.json` not found
    ");
}

#[test]
fn status_fails_when_token_file_mode_differs() {
    for mode in [0o644, 0o640, 0o700] {
        let sb = create_enabled_sandbox();
        sb.chmod(TOKEN_FILE, mode);
        let text = list_failed_checks(&run_status(&sb, 3, &[]));
        assert!(
            text.contains(&format!("has mode {mode:04o}, not 0600")),
            "{text}"
        );
        let enable = sb.run(&["enable", "-n", "influxdb"]);
        assert_eq!(
            enable.stderr.contains("other users had access"),
            mode != 0o700,
            "{}",
            enable.stderr
        );
    }
}

#[test]
fn status_fails_when_cluster_token_changed() {
    let mut sb = create_enabled_sandbox();
    sb.set_admin_token(b"another-invented-admin-token-0123456789");
    let checks = list_failed_checks(&run_status(&sb, 3, &[]));
    insta::assert_snapshot!(wrap_lines(checks), @"
    failed    token match: the token file ([HEX]) differs from the cluster ([HEX])
    ");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    run_status(&sb, 0, &[]);
}

#[test]
fn status_fails_when_file_token_is_rejected() {
    let sb = create_enabled_sandbox();
    sb.write(TOKEN_FILE, "some other token that nobody knows");
    insta::assert_snapshot!(wrap_lines(list_failed_checks(&run_status(&sb, 3, &[]))), @"
    failed    token match: the token file ([HEX]) differs from the cluster ([HEX])
    failed    token probe: 127.0.0.1:26444 rejects the token of the file: rpc error: code =
        Unauthenticated desc = token is not valid
    ");
}

#[test]
fn status_fails_when_profile_or_config_is_missing() {
    let sb = create_enabled_sandbox();
    let text = list_failed_checks(&run_status(&sb, 3, &["--profile", "x"]));
    assert!(
        text.contains("profile `x` not found (known profiles: default)"),
        "{text}"
    );
    std::fs::remove_file(sb.config_path()).expect("sandbox");
    let text = list_failed_checks(&run_status(&sb, 3, &[]));
    assert!(text.contains("config.toml` not found"), "{text}");
}

#[test]
fn status_warns_when_token_probe_is_inconclusive() {
    let sb = create_enabled_sandbox();
    sb.write(
        CONFIG_FILE,
        sb.read(CONFIG_FILE)
            .replace("127.0.0.1", "influxdb.invalid"),
    );
    let run = run_status(&sb, 10, &[]);
    assert!(
        run.stdout
            .contains("warning   token probe: inconclusive at influxdb.invalid:26444"),
        "{run:?}"
    );
}

#[test]
fn status_exits_with_5_when_cluster_is_unreachable() {
    let sb = create_enabled_sandbox();
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true));
    insta::assert_snapshot!(wrap_lines(run_status(&sb, 5, &[]).normalized_output()), @"
    exit 5
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        context: `sim-dev`, server https://127.0.0.1:26443, namespace `influxdb`
    failed    admin token: cannot read secret `admin-token`: The connection to the server
        127.0.0.1:26443 was refused - did you specify the right host or port?
               hint: check the cluster and the network until `kubectl cluster-info` works
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for
        127.0.0.1:26444
    warning   influxctl: the profile also has `[profile.auth.oauth2]`: influxctl's documentation
        does not state which of the two it uses
               hint: if influxctl still opens a login, remove that section while you use the admin
        token
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json, mode 0600
    ok        bypass: on: [USER] on [HOST] wrote the token file at [TIME] (run [UID])
    ok        token probe: 127.0.0.1:26444 accepts the token of the file
    the state is not known completely: see each `failed` line
    --- stderr
    error: cannot read secret `admin-token`: The connection to the server 127.0.0.1:26443 was
        refused - did you specify the right host or port?
    hint: check the cluster and the network until `kubectl cluster-info` works
    audit head [UID] 43:[SHA256]
    ");
    sb.edit_cluster(|cluster| cluster["unreachable"] = json!(false));
    sb.deny_access(json!({"verb": "get", "resource": "secrets"}));
    run_status(&sb, 4, &[]);
    run_status(&sb, 1, &["--context", "nope"]);
    assert_eq!(sb.run(&["status"]).code, 2);
}

#[test]
fn status_json_report_lists_checks() {
    let sb = create_enabled_sandbox();
    sb.chmod(TOKEN_FILE, 0o644);
    let run = run_status(&sb, 3, &["-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (&report["outcome"], &report["exit_code"]),
        (&json!("drift"), &json!(3))
    );
    let checks = report["checks"].as_array().expect("checks");
    let find = |name: &str| {
        checks
            .iter()
            .filter(|c| c["name"] == name)
            .map(|c| c["state"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(find("token file"), ["failed"]);
    assert_eq!(find("token match"), ["ok"]);
    assert_eq!(find("token probe"), ["ok"]);
}

/// Sets the time of the secret's creation, in milliseconds before now.
fn set_token_age(sb: &Sandbox, age_ms: i64) {
    let now = std::time::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_millis();
    let created = i64::try_from(now).expect("a time") - age_ms;
    sb.edit_cluster(|cluster| {
        cluster["secrets"]["influxdb/admin-token"]["meta"]["created_ms"] = json!(created);
    });
}

#[test]
fn status_requires_off_before_production() {
    let sb = Sandbox::new();
    let off = ["--require", "off"];
    let run = run_status(&sb, 0, &off);
    assert!(run.stdout.contains("bypass: off"), "{}", run.stdout);
    assert!(
        !sb.sorted_call_lines().contains("kubectl"),
        "the token can be gone"
    );
    assert_eq!(run_enable(&sb, &["--reason", "CHG-7"]).code, 0);
    let run = run_status(&sb, 3, &off);
    assert!(
        run.stdout.contains("failed    bypass: on: ") && run.stdout.contains(", CHG-7)"),
        "{}",
        run.stdout
    );
    run_status(&sb, 1, &[&off[..], &["--profile", "typo"]].concat());
    run_status(&sb, 2, &[&off[..], &["--max-age", "1d"]].concat());
    assert_eq!(sb.run(&["disable"]).code, 0);
    run_status(&sb, 0, &off);
}

#[test]
fn status_names_who_enabled_and_the_age() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &["--reason", "CHG-7"]).code, 0);
    let enabled = &sb.read_entries_by_type("run.begin")[0];
    set_token_age(&sb, 3 * 24 * 3_600_000);
    let run = run_status(&sb, 0, &["-o", "json", "--max-age", "4d"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let bypass = &report["bypass"];
    assert_eq!(bypass["is_on"], true);
    assert_eq!(bypass["written"]["run"], enabled["run"]);
    assert_eq!(bypass["written"]["reason"], "CHG-7");
    let text = run_status(&sb, 3, &["--max-age", "2d"]).stdout;
    assert!(
        text.contains("failed    token age: 3 days old, more than 2 days"),
        "{text}"
    );
    set_token_age(&sb, -60_000);
    let run = run_status(&sb, 1, &["--max-age", "2d"]);
    assert!(
        run.stderr.contains("is dated in the future"),
        "{}",
        run.stderr
    );
    run_status(&sb, 0, &[]);
}

#[test]
fn rotate_leaves_a_young_token_alone() {
    let sb = create_enabled_sandbox();
    let secret = |sb: &Sandbox| sb.refresh_cluster()["secrets"].clone();
    set_token_age(&sb, 3 * 24 * 3_600_000);
    let before = secret(&sb);
    let rotate = |limit: &str| {
        let args = ["rotate", "-n", "influxdb", "--if-older-than", limit];
        sb.run(&args)
    };
    let run = rotate("90d");
    assert!(
        run.code == 0
            && run.stdout
                == "nothing to rotate: the token is 3 days old, and the limit is 90 days\n",
        "{run:?}"
    );
    assert_eq!(secret(&sb), before);
    assert_eq!(rotate("2d").code, 7, "it asks for a confirmation");
}
