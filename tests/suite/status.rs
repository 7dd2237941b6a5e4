//! `status`

use crate::enable::{CONFIG, TOKEN_FILE, enable};
use crate::sandbox::{Run, Sandbox};
use serde_json::{Value, json};
use std::path::Path;

/// Runs `status`, which must end with this code and change nothing.
fn status(sb: &Sandbox, code: i32, more: &[&str]) -> Run {
    let before = sb.picture();
    let run = sb.run(&[&["status", "-n", "influxdb"], more].concat());
    assert_eq!(run.code, code, "{}{}", run.stdout, run.stderr);
    assert!(sb.picture() == before);
    sb.assert_no_secret(&[Path::new(TOKEN_FILE)]);
    run
}

fn enabled() -> Sandbox {
    let sb = Sandbox::new();
    assert_eq!(enable(&sb, &[]).code, 0);
    sb
}

/// The lines that are not as they should be.
fn failed(run: &Run) -> String {
    let text = run.normalised_stdout();
    text.lines()
        .filter(|line| line.starts_with("failed"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn in_use() {
    let sb = enabled();
    sb.forget_calls();
    insta::assert_snapshot!(status(&sb, 0, &[]).normalised(), @"
    exit 0
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        cluster: context `sim-dev` (https://127.0.0.1:26443), namespace `influxdb`
    ok        admin token: in secret `admin-token`, fingerprint [HEX]
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for 127.0.0.1:26444
    warning   influxctl: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
               hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json, mode 0600
    ok        agreement: the file holds the cluster's token, fingerprint [HEX]
    ok        trial: the file's token is accepted by 127.0.0.1:26444
    the admin token is in use
    --- stderr
    audit head [UID] 43:[SHA256]
    ");
    insta::assert_snapshot!(sb.sorted_call_lines(), @r#"
    influxctl --config [SANDBOX]/run/bypassctl-trial-[RANDOM]/config.toml --profile default database list --format json
    influxctl version
    kubectl config view --minify --output 'jsonpath={.current-context}{"\n"}{.clusters[0].cluster.server}{"\n"}'
    kubectl get namespace kube-system --output jsonpath={.metadata.uid} --context sim-dev
    kubectl get secrets/admin-token --template={{.data.token}} --namespace influxdb --context sim-dev
    kubectl version --client --output json
    "#);
}

#[test]
fn not_in_use() {
    let sb = Sandbox::new();
    insta::assert_snapshot!(status(&sb, 3, &[]).normalised(), @"
    exit 3
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        cluster: context `sim-dev` (https://127.0.0.1:26443), namespace `influxdb`
    ok        admin token: in secret `admin-token`, fingerprint [HEX]
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for 127.0.0.1:26444
    warning   influxctl: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
               hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    failed    token file: profile `default` has no `auth.token.token_file`
               hint: bypassctl enable sets it
    the admin token is not in use as `enable` would set it
    --- stderr
    audit head [UID] 15:[SHA256]
    ");
}

#[test]
fn the_file_is_gone() {
    let sb = enabled();
    std::fs::remove_file(sb.path(TOKEN_FILE)).expect("written");
    insta::assert_snapshot!(failed(&status(&sb, 3, &[])), @"failed    token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json is not there");
}

#[test]
fn the_file_can_be_read_by_others() {
    for mode in [0o644, 0o640, 0o700] {
        let sb = enabled();
        sb.chmod(TOKEN_FILE, mode);
        let text = failed(&status(&sb, 3, &[]));
        assert!(
            text.contains(&format!("has mode {mode:04o}, not 0600")),
            "{text}"
        );
    }
}

#[test]
fn the_clusters_token_is_another_now() {
    let mut sb = enabled();
    sb.set_admin_token(b"another-invented-admin-token-0123456789");
    insta::assert_snapshot!(failed(&status(&sb, 3, &[])), @"failed    agreement: the file's token ([HEX]) is not the cluster's ([HEX])");
    assert_eq!(enable(&sb, &[]).code, 0);
    status(&sb, 0, &[]);
}

#[test]
fn the_files_token_is_refused() {
    let sb = enabled();
    sb.write(TOKEN_FILE, "some other token that nobody knows");
    insta::assert_snapshot!(failed(&status(&sb, 3, &[])), @"
    failed    agreement: the file's token ([HEX]) is not the cluster's ([HEX])
    failed    trial: the file's token is refused by 127.0.0.1:26444: rpc error: code = Unauthenticated desc = token is not valid
    ");
}

#[test]
fn the_profile_is_gone_or_has_no_token() {
    let sb = enabled();
    let text = failed(&status(&sb, 3, &["--profile", "x"]));
    assert!(
        text.contains("no profile `x` (known profiles: default)"),
        "{text}"
    );
    std::fs::remove_file(sb.config()).expect("sandbox");
    let text = failed(&status(&sb, 3, &[]));
    assert!(
        text.contains("there is no influxctl configuration"),
        "{text}"
    );
}

#[test]
fn whether_it_is_accepted_is_not_shown() {
    let sb = enabled();
    sb.write(
        CONFIG,
        sb.read(CONFIG).replace("127.0.0.1", "influxdb.invalid"),
    );
    let run = status(&sb, 10, &[]);
    assert!(
        run.stdout
            .contains("warning   trial: whether influxdb.invalid:26444 accepts it was not shown"),
        "{run:?}"
    );
}

#[test]
fn the_cluster_does_not_answer() {
    let sb = enabled();
    sb.cluster(|cluster| cluster["unreachable"] = json!(true));
    insta::assert_snapshot!(status(&sb, 5, &[]).normalised(), @"
    exit 5
    --- stdout
    ok        kubectl: 1.34.5 at [FAKE]
    ok        influxctl: 2.12.0 at [FAKE]
    ok        cluster: context `sim-dev` (https://127.0.0.1:26443), namespace `influxdb`
    failed    admin token: secret `admin-token` cannot be read: The connection to the server 127.0.0.1:26443 was refused - did you specify the right host or port?
               hint: is the cluster up and the network there? `kubectl cluster-info` must answer
    ok        profile: `default` in [SANDBOX]/home/.config/influxctl/config.toml, for 127.0.0.1:26444
    warning   influxctl: the profile has `[profile.auth.oauth2]` as well; which of the two influxctl uses is not published
               hint: if influxctl opens a login all the same, take the section out while the admin token is in use
    ok        token file: [SANDBOX]/home/.config/influxctl/admin-token-default.json, mode 0600
    ok        trial: the file's token is accepted by 127.0.0.1:26444
    --- stderr
    error: secret `admin-token` cannot be read: The connection to the server 127.0.0.1:26443 was refused - did you specify the right host or port?
    hint: is the cluster up and the network there? `kubectl cluster-info` must answer
    audit head [UID] 43:[SHA256]
    ");
    sb.cluster(|cluster| cluster["unreachable"] = json!(false));
    sb.deny(json!({"verb": "get", "resource": "secrets"}));
    status(&sb, 4, &[]);
    status(&sb, 1, &["--context", "nope"]);
    assert_eq!(sb.run(&["status"]).code, 2);
}

#[test]
fn as_json() {
    let sb = enabled();
    sb.chmod(TOKEN_FILE, 0o644);
    let run = status(&sb, 3, &["-o", "json"]);
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
    assert_eq!(find("agreement"), ["ok"]);
    assert_eq!(find("trial"), ["ok"]);
}
