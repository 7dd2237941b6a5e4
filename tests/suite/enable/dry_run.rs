//! `--dry-run`: as a plan, and as an equivalent script.

use super::{CONFIG_FILE, TOKEN_FILE, expect_refusal, run_enable};
use crate::sandbox::{CommandOutput, Sandbox, report_skipped};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// Runs a dry run, which must only read.
fn execute_dry_run(sb: &Sandbox, more: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = run_enable(sb, more);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(sb.snapshot_files() == before);
    let lines = sb.call_lines();
    assert!(
        lines.lines().count() == 3 && !lines.contains("secrets") && !lines.contains("database"),
        "{lines}"
    );
    run
}

/// Runs a program of the system, with the fakes first in PATH.
pub fn run_system_program(sb: &Sandbox, program: &str, args: &[&str]) -> Option<(i32, String)> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests run what the program prints"
    )]
    let mut command = Command::new(program);
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", sb.path("bin").display());
    command
        .args(args)
        .env_clear()
        .env("PATH", path)
        .env("HOME", sb.home_path(""))
        .env("FAKE_STATE", sb.path("state"));
    command
        .env("TMPDIR", sb.path("tmp"))
        .env("LC_ALL", "C.UTF-8");
    let output = command.current_dir(sb.home_path("")).output().ok()?;
    let text = [output.stdout, output.stderr].concat();
    Some((
        output.status.code().expect("no signal"),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// Writes the script and lints it with shellcheck.
pub fn check_script(sb: &Sandbox, script: &str) -> String {
    let file = sb.write("tmp/script.sh", script).display().to_string();
    match run_system_program(sb, "shellcheck", &["--severity=style", &file]) {
        Some((code, text)) => assert_eq!((code, text.as_str()), (0, ""), "shellcheck"),
        None => report_skipped("shellcheck is not installed, nobody looked at the script"),
    }
    file
}

/// Checks the script and runs it.
pub fn run_script(sb: &Sandbox, script: &str, args: &[&str]) -> (i32, String) {
    let file = check_script(sb, script);
    run_system_program(sb, "sh", &[&[&*file], args].concat()).expect("sh")
}

#[test]
fn dry_run_prints_plan() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run"]);
    insta::assert_snapshot!(run.normalized_output(), @r#"
    exit 0
    --- stdout
    plan: enable profile `default`, namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
    1. get-token: read the admin token from secret `admin-token` of namespace `influxdb`
       $ kubectl get secrets/admin-token '--template={{.data.token}}' --namespace influxdb --context sim-dev
       then: the token is in memory only
    2. record-cluster (in parallel with 1): record the cluster that the context points to
       $ kubectl get namespace kube-system --output 'jsonpath={.metadata.uid}' --context sim-dev
       or, if that is forbidden, $ kubectl get namespace influxdb --output 'jsonpath={.metadata.uid}' --context sim-dev
       or, if that is forbidden, $ kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}' --context sim-dev
       then: the cluster of the token is known
    3. probe-token: test the token before any of your files changes
       $ influxctl --config <throwaway configuration> --profile default database list --format json
       then: the token was not rejected
    4. check-cluster (in parallel with 3): check before any of your files changes that the context points there still
       $ kubectl get namespace kube-system --output 'jsonpath={.metadata.uid}' --context sim-dev
       or the command that answered before
       then: the cluster is the same
    5. write-token: write the token where influxctl reads it
       write [SANDBOX]/home/.config/influxctl/admin-token-default.json, mode 0600: <token from step 1>
       then: the file contains exactly the token, mode 0600
    6. edit-profile: point profile `default` at the token file
       edit [SANDBOX]/home/.config/influxctl/config.toml
         +  15
         +  16     [profile.auth.token]
         +  17         token_file = "[SANDBOX]/home/.config/influxctl/admin-token-default.json"
       then: `auth.token.token_file` of that profile is set, and nothing else differs
    this was a dry run: nothing was changed
    --- stderr
    warning: the admin token bypasses the identity provider: it is for development and testing, not for production
       hint: end it with `bypassctl disable` before that
    warning: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
       hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    audit head [UID] 11:[SHA256]
    "#);
    assert_eq!(
        repeat_dry_run(&sb, "--dry-run=plan").normalized_stdout(),
        run.normalized_stdout()
    );
}

fn repeat_dry_run(sb: &Sandbox, how: &str) -> CommandOutput {
    sb.clear_calls();
    execute_dry_run(sb, &[how])
}

#[test]
fn dry_run_prints_script() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run=script"]);
    insta::assert_snapshot!(run.normalized_stdout().replace(&extract_checksums(&run.stdout)[0], "[CKSUM-1]").replace(&extract_checksums(&run.stdout)[1], "[CKSUM-2]"), @r#"
    #!/bin/sh
    # enable profile `default`, namespace `influxdb`, context `sim-dev` (https://127.0.0.1:26443)
    # Created by bypassctl [VERSION] Read this script before you run it.
    # It runs only once: create another one after an interruption.
    # shellcheck disable=SC2016,SC2089,SC2090 # quoted text is literal
    set -eu
    umask 077
    # A kuberc can change the defaults of kubectl's commands.
    export KUBERC=off LC_ALL=C
    fail() { printf '%s\n' "$*" >&2; exit 1; }
    decode() { if printf 'eA==' | base64 -d >/dev/null 2>&1; then base64 -d; else base64 -D; fi; }
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    new_token=[SANDBOX]/home/.config/influxctl/.admin-token-default.json.bypassctl-new
    trap 'rm -rf "$work" "$new_token"' EXIT
    [ "$(cksum <[SANDBOX]/home/.config/influxctl/config.toml)" = '[CKSUM-1]' ] || fail [SANDBOX]/home/.config/influxctl/config.toml 'has changed since this script was created'

    # get-token: read the admin token from secret `admin-token` of namespace `influxdb`
    encoded=$([SANDBOX]/bin/kubectl get secrets/admin-token '--template={{.data.token}}' --namespace influxdb --context sim-dev)
    case $encoded in '' | '<no value>') fail 'the secret admin-token has no key token' ;; esac
    rm -f "$new_token"
    printf '%s' "$encoded" | decode >"$new_token"
    [ -s "$new_token" ] || fail 'the token is empty'

    # record-cluster: record the cluster that the context points to
    cluster() { [SANDBOX]/bin/kubectl get namespace kube-system --output 'jsonpath={.metadata.uid}' --context sim-dev 2>/dev/null || [SANDBOX]/bin/kubectl get namespace influxdb --output 'jsonpath={.metadata.uid}' --context sim-dev 2>/dev/null || [SANDBOX]/bin/kubectl config view --minify --output 'jsonpath={.clusters[0].cluster.server}' --context sim-dev || :; }
    cluster=$(cluster)
    [ -n "$cluster" ] || fail 'cannot identify the cluster'

    # probe-token: test the token before any of your files changes
    mkdir "$work/home"
    cat >"$work/config.toml" <<'END_OF_CONFIG'
    [[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"
    port = "26444"

    [profile.tls]
    disable = true

    [profile.auth.token]
    token_file = "[SANDBOX]/home/.config/influxctl/.admin-token-default.json.bypassctl-new"
    END_OF_CONFIG
    if ! (
      for name in $(env | sed -n 's/^\(INFLUXCTL_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
      unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME
      export HOME="$work/home"
      [SANDBOX]/bin/influxctl --config "$work/config.toml" --profile default database list --format json </dev/null >/dev/null
    ) 2>"$work/said"; then
      cat "$work/said" >&2
      ! grep -Eiq 'unauthenticated|permissiondenied|unauthorized' "$work/said" || fail 'the token was rejected'
      echo 'the token probe was inconclusive' >&2
    fi

    # check-cluster: check before any of your files changes that the context points there still
    [ "$(cluster)" = "$cluster" ] || fail 'the context points to another cluster now'

    # write-token: write the token where influxctl reads it
    mv -f "$new_token" [SANDBOX]/home/.config/influxctl/admin-token-default.json

    # edit-profile: point profile `default` at the token file
    cp -p [SANDBOX]/home/.config/influxctl/config.toml [SANDBOX]/home/.config/influxctl/.config.toml.bypassctl-new
    {
      dd if=[SANDBOX]/home/.config/influxctl/config.toml bs=1 skip=0 count=330 2>/dev/null
      printf '%s' '
        [profile.auth.token]
            token_file = "[SANDBOX]/home/.config/influxctl/admin-token-default.json"
    '
    } >[SANDBOX]/home/.config/influxctl/.config.toml.bypassctl-new
    [ "$(cksum <[SANDBOX]/home/.config/influxctl/.config.toml.bypassctl-new)" = '[CKSUM-2]' ] || { rm -f [SANDBOX]/home/.config/influxctl/.config.toml.bypassctl-new; fail [SANDBOX]/home/.config/influxctl/config.toml 'cannot be edited'; }
    mv -f [SANDBOX]/home/.config/influxctl/.config.toml.bypassctl-new [SANDBOX]/home/.config/influxctl/config.toml
    "#);
}

/// Returns the checksums in the script, which vary because the files contain the sandbox's path.
fn extract_checksums(script: &str) -> Vec<String> {
    let pattern = regex::Regex::new(r"'(\d+ \d+)'").expect("a pattern");
    pattern
        .captures_iter(script)
        .map(|found| found[1].to_owned())
        .collect()
}

#[test]
fn script_produces_same_files_as_enable() {
    let sb = Sandbox::new();
    let script = execute_dry_run(&sb, &["--dry-run=script"]).stdout;
    let config = sb.read(CONFIG_FILE);
    sb.chmod(CONFIG_FILE, 0o640);
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    let by_script = (
        sb.read(CONFIG_FILE),
        sb.read(TOKEN_FILE),
        sb.file_mode(TOKEN_FILE),
        sb.file_mode(CONFIG_FILE),
    );
    assert_eq!(
        sb.list_directory("home/.config/influxctl"),
        ["admin-token-default.json", "config.toml"]
    );
    sb.assert_no_secret_leaked(&[Path::new(TOKEN_FILE)]);
    sb.write(CONFIG_FILE, config);
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("written");
    assert_eq!(run_enable(&sb, &[]).code, 0);
    assert_eq!(
        (
            sb.read(CONFIG_FILE),
            sb.read(TOKEN_FILE),
            sb.file_mode(TOKEN_FILE),
            sb.file_mode(CONFIG_FILE)
        ),
        by_script
    );
}

#[test]
fn script_handles_special_paths_and_new_profile() {
    let sb = Sandbox::new();
    let name = "it's \"a\" $HOME `x` ü.json";
    let more = [
        "--profile",
        "new",
        "--create-profile",
        "--host",
        "127.0.0.1",
        "--port",
        "1",
        "--token-file",
        name,
    ];
    let script = execute_dry_run(&sb, &[&more[..], &["--dry-run=script"]].concat()).stdout;
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!((code, text.as_str()), (0, ""));
    assert_eq!(
        sb.read(format!("home/{name}")).into_bytes(),
        sb.admin_token()
    );
    let by_script = sb.read(CONFIG_FILE);
    let run = super::run_enable_with_token_file(&sb, &format!("home/{name}"), &more);
    assert!(
        run.code == 0 && run.stdout.contains("unchanged"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert_eq!(sb.read(CONFIG_FILE), by_script);
}

#[test]
fn script_stops_where_enable_refuses() {
    let sb = Sandbox::new();
    let script = execute_dry_run(&sb, &["--dry-run=script"]).stdout;
    let before = sb.snapshot_files();
    sb.inject_fault(serde_json::json!({"tool": "influxctl", "contains": ["list"], "do": {"exit": {"code": 1, "stderr": "error\trpc error: code = Unauthenticated\n"}}}));
    let (code, text) = run_script(&sb, &script, &[]);
    assert!(
        code == 1 && text.ends_with("the token was rejected\n"),
        "{text}"
    );
    let names = |picture: &std::collections::BTreeMap<_, _>| {
        picture.keys().cloned().collect::<Vec<std::path::PathBuf>>()
    };
    assert_eq!(names(&sb.snapshot_files()), names(&before));
    sb.clear_faults();
    sb.remove_admin_token_key();
    let (code, text) = run_script(&sb, &script, &[]);
    assert_eq!(
        (code, text.as_str()),
        (1, "the secret admin-token has no key token\n")
    );
    sb.write(CONFIG_FILE, sb.read(CONFIG_FILE) + "# changed\n");
    let (code, text) = run_script(&sb, &script, &[]);
    assert!(
        code == 1 && text.contains("has changed since this script was created"),
        "{text}"
    );
    sb.assert_no_secret_leaked(&[]);
}

#[test]
fn dry_run_omits_satisfied_edit() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &[]).code, 0);
    sb.clear_calls();
    let text = execute_dry_run(&sb, &["--dry-run"]).stdout;
    assert!(
        text.contains("write-token") && !text.contains("edit-profile"),
        "{text}"
    );
}

#[test]
fn dry_run_hides_secrets_in_neighbouring_lines() {
    let sb = Sandbox::new();
    let config = sb.read(CONFIG_FILE).replace(
        "client_id",
        "client_secret = \"planted-3\"\n        client_id",
    );
    sb.write(
        CONFIG_FILE,
        config + "\n        mgmt_token = \"planted-4\"\n",
    );
    for how in ["--dry-run", "--dry-run=script"] {
        sb.clear_calls();
        let run = run_enable(&sb, &[how, "-v"]);
        assert!(
            !run.stdout.contains("planted") && !run.stderr.contains("planted"),
            "{}{}",
            run.stdout,
            run.stderr
        );
    }
}

#[test]
fn dry_run_json_report_contains_plan_and_script() {
    let sb = Sandbox::new();
    let run = execute_dry_run(&sb, &["--dry-run", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    let plan = report["plan"].as_array().expect("a plan");
    let ids: Vec<&str> = plan.iter().filter_map(|step| step["id"].as_str()).collect();
    assert_eq!(
        ids,
        [
            "get-token",
            "record-cluster",
            "probe-token",
            "check-cluster",
            "write-token",
            "edit-profile"
        ]
    );
    assert_eq!(plan[0]["argv"][1], "get");
    assert_eq!(plan[4]["content"], "<token from step 1>");
    assert_eq!(report["changed"], false);
    sb.clear_calls();
    let run = execute_dry_run(&sb, &["--dry-run=script", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("one JSON object");
    assert!(
        report["script"]
            .as_str()
            .is_some_and(|script| script.starts_with("#!/bin/sh\n"))
    );
}

#[test]
fn dry_run_refuses_what_enable_refuses() {
    let sb = Sandbox::new();
    sb.chmod(CONFIG_FILE, 0o444);
    expect_refusal(&sb, 4, &["--dry-run"]);
    expect_refusal(&sb, 4, &["--dry-run=script", "--context", "acme-prod"]);
}
