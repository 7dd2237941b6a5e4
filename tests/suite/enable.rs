//! `enable`

mod cluster;
mod config;
mod dry_run;
mod foreign_home;
mod guard;
mod other_namespace;
mod secret;
mod token_argument;
mod token_file;
mod token_probe;

pub use dry_run::{check_script, run_script, run_system_program};

use crate::sandbox::{CommandOutput, Sandbox, wrap_lines};
use serde_json::Value;
use std::path::Path;

/// Path of influxctl's configuration in the sandbox.
pub const CONFIG_FILE: &str = "home/.config/influxctl/config.toml";

/// Default path of the token file.
pub const TOKEN_FILE: &str = "home/.config/influxctl/admin-token-default.json";

/// Runs `enable`, and asserts that no secret leaked.
pub fn run_enable(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    run_enable_with_token_file(sb, TOKEN_FILE, more)
}

/// Like `run_enable`, with another token file.
pub fn run_enable_with_token_file(sb: &Sandbox, file: &str, more: &[&str]) -> CommandOutput {
    let run = sb.run(&[&["enable", "-n", "influxdb"], more].concat());
    sb.assert_no_secret_leaked(&[Path::new(file)]);
    assert_eq!(
        sb.list_directory("run"),
        [""; 0],
        "a token probe leaves no files"
    );
    run
}

/// Runs `enable`, which must exit with this code and change nothing.
pub fn expect_refusal(sb: &Sandbox, code: i32, more: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = run_enable(sb, more);
    assert_eq!(run.code, code, "{}", run.stderr);
    assert!(sb.snapshot_files() == before, "the run changed something");
    assert!(run.stderr.contains("\nhint: "), "no hint: {}", run.stderr);
    run
}

/// Sorts the lines of parallel steps for a snapshot: first the read of the token, last its probe.
pub fn normalize_step_order(run: &CommandOutput) -> String {
    let text = run.normalized_output();
    let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
    let is = |line: &str, step: &str| line.contains(&format!(" {step}: "));
    for (first, second) in [
        ("probe-token", "check-cluster"),
        ("record-cluster", "get-token"),
    ] {
        if let Some(at) = lines
            .windows(2)
            .position(|w| is(w[0], first) && is(w[1], second))
        {
            lines.swap(at, at + 1);
        }
    }
    lines.concat()
}

/// Returns the token file of the configuration's first profile.
pub fn read_configured_token_file(sb: &Sandbox) -> String {
    let document: toml_edit::DocumentMut = sb.read(CONFIG_FILE).parse().expect("TOML");
    document["profile"][0]["auth"]["token"]["token_file"]
        .as_str()
        .expect("a token file")
        .to_owned()
}

#[test]
fn enable_writes_token_and_edits_profile() {
    let sb = Sandbox::new();
    let before = sb.read(CONFIG_FILE);
    let run = run_enable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(normalize_step_order(&run)), @"
    exit 0
    --- stdout
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    done      record-cluster: the cluster is reachable, UID [UID]
    verified  probe-token: token accepted by 127.0.0.1:26444
    done      write-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json written, mode
        0600
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done: influxctl uses the admin token with profile `default`
    to undo this, run `bypassctl disable`
    --- stderr
    warning: the admin token bypasses the identity provider: use it for development and testing only
       hint: before production, set up the identity provider and run `bypassctl revoke`
    warning: the profile also has `[profile.auth.oauth2]`: influxctl's documentation does not state
        which of the two it uses
       hint: if influxctl still opens a login, remove that section while you use the admin token
    audit head [UID] 23:[SHA256]
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
    kubectl get secrets/admin-token --template={{.data.token}} --namespace influxdb --context
        sim-dev --server https://127.0.0.1:26443
    kubectl version --client --output json
    "#);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    assert_eq!(sb.file_mode(TOKEN_FILE), 0o600);
    let file = sb.path(TOKEN_FILE).display().to_string();
    let section = format!("\n    [profile.auth.token]\n        token_file = \"{file}\"\n");
    assert_eq!(sb.read(CONFIG_FILE), before + &section);
    assert_eq!(
        sb.list_directory("home/.config/influxctl"),
        ["admin-token-default.json", "config.toml"]
    );
}

#[test]
fn influxctl_accepts_token_after_enable() {
    let sb = Sandbox::new();
    let list = || {
        sb.run_tool(
            "influxctl",
            &[
                "--profile",
                "default",
                "database",
                "list",
                "--format",
                "json",
            ],
            None,
        )
    };
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let run = list();
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "[]\n"),
        "{}",
        run.stderr
    );
}

#[test]
fn enable_rerun_changes_nothing() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let before = sb.snapshot_files();
    let run = run_enable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(normalize_step_order(&run)), @"
    exit 0
    --- stdout
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    done      record-cluster: the cluster is reachable, UID [UID]
    verified  probe-token: token accepted by 127.0.0.1:26444
    unchanged write-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json already
        contains this token
    done: influxctl uses the admin token with profile `default`
    to undo this, run `bypassctl disable`
    --- stderr
    warning: the profile also has `[profile.auth.oauth2]`: influxctl's documentation does not state
        which of the two it uses
       hint: if influxctl still opens a login, remove that section while you use the admin token
    audit head [UID] 41:[SHA256]
    ");
    assert!(sb.snapshot_files() == before);
    // The bypass begins again with a new token file, even if the profile names it already.
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("a token file");
    let run = run_enable(&sb, &[]);
    assert!(
        run.stderr.contains("bypasses the identity provider"),
        "{}",
        run.stderr
    );
}

#[test]
fn enable_rerun_fixes_only_what_differs() {
    let mut sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let config = sb.read(CONFIG_FILE);
    sb.chmod(TOKEN_FILE, 0o644);
    let run = run_enable(&sb, &[]);
    assert!(
        run.code == 0 && run.stdout.contains("write-token: ") && !run.stdout.contains("unchanged"),
        "{run:?}"
    );
    assert_eq!(
        (sb.file_mode(TOKEN_FILE), sb.read(CONFIG_FILE)),
        (0o600, config.clone())
    );
    sb.set_admin_token(b"another-invented-admin-token-0123456789");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(
        sb.read(TOKEN_FILE),
        "another-invented-admin-token-0123456789"
    );
    assert_eq!(sb.read(CONFIG_FILE), config);
}

#[test]
fn enable_controls_child_environment() {
    let mut sb = Sandbox::new();
    sb.set_env("INFLUXCTL_MANAGEMENT", "x")
        .set_env("KUBERC", "on")
        .set_env("LC_ALL", "de_DE.UTF-8");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    let calls = sb.calls();
    assert_eq!(calls.len(), 6);
    for call in &calls {
        assert_eq!(
            (call.env["KUBERC"].as_str(), call.env["LC_ALL"].as_str()),
            ("off", "C"),
            "{call:?}"
        );
        assert!(call.stdin_null, "{call:?}");
        let is_probe = call.argv.contains(&"list".to_owned());
        let home = sb.home_path("").display().to_string();
        let home = home.trim_end_matches('/');
        assert_eq!(call.env["HOME"] == home, !is_probe, "{call:?}");
        assert_eq!(
            call.env.contains_key("INFLUXCTL_MANAGEMENT"),
            !is_probe,
            "{call:?}"
        );
        assert_eq!(
            call.env["XDG_CACHE_HOME"].starts_with(home),
            !is_probe,
            "{call:?}"
        );
    }
}

#[test]
fn enable_json_report_has_all_keys() {
    let sb = Sandbox::new();
    let run = run_enable(&sb, &["-o", "json"]);
    assert_eq!(run.code, 0);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let keys: Vec<&String> = report.as_object().expect("an object").keys().collect();
    assert_eq!(
        keys,
        [
            "audit",
            "changed",
            "checks",
            "command",
            "dry_run",
            "error",
            "exit_code",
            "outcome",
            "plan",
            "run",
            "schema",
            "steps",
            "target",
            "tools",
            "warnings"
        ]
    );

    assert_eq!(report["command"], "enable");
    assert_eq!(
        (&report["outcome"], &report["exit_code"], &report["changed"]),
        (&"done".into(), &0.into(), &true.into())
    );
    assert_eq!(
        (&report["target"]["context"], &report["target"]["namespace"]),
        (&"sim-dev".into(), &"influxdb".into())
    );
    assert!(report["error"].is_null());
    let digests = report["tools"]
        .as_array()
        .expect("tools")
        .iter()
        .map(|tool| tool["sha256"].as_str().map(str::len));
    assert_eq!(digests.collect::<Vec<_>>(), [Some(64), Some(64)]);
    let mut steps: Vec<&str> = report["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|s| s["id"].as_str())
        .collect();
    steps.sort_unstable();
    assert_eq!(
        steps,
        [
            "edit-profile",
            "get-token",
            "probe-token",
            "record-cluster",
            "write-token"
        ]
    );
    let [log, seq, hash] =
        ["log", "seq", "hash"].map(|key| report["audit"][key].to_string().replace('"', ""));
    assert_eq!(run.stderr, format!("audit head {log} {seq}:{hash}\n"));
    let log = std::fs::read_to_string(report["audit"]["file"].as_str().expect("a path"))
        .expect("the audit log");
    assert!(
        log.lines()
            .last()
            .is_some_and(|line| line.contains("\"type\":\"run.end\"")),
        "{log}"
    );
}

#[test]
fn enable_json_report_describes_failure() {
    let sb = Sandbox::new();
    sb.remove_admin_token_key();
    let run = run_enable(&sb, &["-o", "json"]);
    assert_eq!(run.code, 1);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert_eq!(
        (&report["outcome"], &report["exit_code"]),
        (&"failed".into(), &1.into())
    );
    assert_eq!(
        (&report["error"]["code"], &report["changed"]),
        (&"failed".into(), &false.into())
    );
    assert!(report["error"]["hint"].is_string());
}

#[test]
fn enable_respects_quiet_and_verbose() {
    let sb = Sandbox::new();
    let quiet = run_enable(&sb, &["-q"]);
    assert_eq!((quiet.code, quiet.stdout.as_str()), (0, ""));
    assert!(quiet.stderr.contains("audit head "), "{}", quiet.stderr);
    let verbose = run_enable(&sb, &["-v"]);
    assert_eq!(
        verbose
            .stdout
            .lines()
            .filter(|line| line.starts_with("$ "))
            .count(),
        6,
        "{}",
        verbose.stdout
    );
    assert!(
        verbose.stdout.contains("kubectl 1.34.5 at "),
        "{}",
        verbose.stdout
    );
    assert!(
        !verbose.stdout.contains('\u{1b}'),
        "no color without a terminal"
    );
}
