//! The token probe, and versions of influxctl.

use super::{CONFIG_FILE, TOKEN_FILE, expect_refusal, run_enable};
use crate::sandbox::{Sandbox, extract_error, wrap_lines};
use serde_json::json;

/// Creates a sandbox with a profile of an unknown host.
fn create_sandbox_with_unknown_host() -> Sandbox {
    let sb = Sandbox::new();
    let config = sb
        .read(CONFIG_FILE)
        .replace("127.0.0.1", "influxdb.invalid");
    sb.write(CONFIG_FILE, config);
    sb
}

fn has_token_probe(sb: &Sandbox) -> bool {
    sb.call_lines().contains("database list")
}

#[test]
fn enable_fails_when_token_is_rejected() {
    for text in [
        "rpc error: code = Unauthenticated desc = no",
        "rpc error: code = PermissionDenied desc = no",
    ] {
        let sb = Sandbox::new();
        sb.inject_fault(json!({"tool": "influxctl", "contains": ["list"],
                        "do": {"exit": {"code": 1, "stderr": format!("error\t{text}\n")}}}));
        for how in ["try", "require"] {
            let run = expect_refusal(&sb, 1, &["--verify", how]);
            assert!(run.stderr.contains(text), "{}", run.stderr);
        }
    }
}

#[test]
fn enable_fails_for_token_of_another_cluster() {
    let sb = Sandbox::new();
    let config = sb
        .read(CONFIG_FILE)
        .replace("127.0.0.1", "influxdb.prod.invalid");
    sb.write(CONFIG_FILE, config);
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 1, &[]))), @"
    error: token rejected by influxdb.prod.invalid:26444: rpc error: code = Unauthenticated desc =
        token is not valid
    hint: check that the profile's host belongs to this namespace. If it does, the token was
        revoked: `kubectl get secrets,jobs --namespace influxdb --context sim-dev` shows the job
        that created it
    audit head [UID] 19:[SHA256]
    ");
}

#[test]
fn inconclusive_probe_continues_with_warning() {
    let sb = create_sandbox_with_unknown_host();
    let run = run_enable(&sb, &[]);
    insta::assert_snapshot!(wrap_lines(super::normalize_step_order(&run)), @r#"
    exit 10
    --- stdout
    done      get-token: secret `admin-token` read, fingerprint [HEX]
    done      record-cluster: the cluster is reachable, UID [UID]
    done      write-token: [SANDBOX]/home/.config/influxctl/admin-token-default.json written, mode
        0600
    done      edit-profile: [SANDBOX]/home/.config/influxctl/config.toml edited
    done, but the token probe was inconclusive
    to undo this, run `bypassctl disable`
    --- stderr
    warning: the admin token bypasses the identity provider: use it for development and testing only
       hint: before production, set up the identity provider and run `bypassctl revoke`
    warning: the profile also has `[profile.auth.oauth2]`: influxctl's documentation does not state
        which of the two it uses
       hint: if influxctl still opens a login, remove that section while you use the admin token
    warning: profile `default` connects to influxdb.invalid:26444 without TLS: others on the network
        can read the token
       hint: remove `disable` from `[profile.tls]` of the profile
    warning: cannot probe the token with influxdb.invalid:26444: rpc error: code = Unavailable desc
        = connection error: desc = "transport: Error while dialing: dial tcp: lookup
        influxdb.invalid: no such host"
       hint: check host, port and TLS settings of the profile, then run `bypassctl status`
    audit head [UID] 23:[SHA256]
    "#);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    let again = run_enable(&sb, &["--verify", "try"]);
    assert_eq!(again.code, 10);
}

#[test]
fn inconclusive_probe_fails_when_verification_is_required() {
    let sb = create_sandbox_with_unknown_host();
    let run = expect_refusal(&sb, 1, &["--verify", "require"]);
    insta::assert_snapshot!(wrap_lines(extract_error(&run)), @r#"
    error: cannot probe the token with influxdb.invalid:26444: rpc error: code = Unavailable desc =
        connection error: desc = "transport: Error while dialing: dial tcp: lookup influxdb.invalid:
        no such host"
    hint: check host, port and TLS settings of the profile, or pass --verify try to continue without
        verification
    audit head [UID] 19:[SHA256]
    "#);
}

#[test]
fn verify_skip_runs_no_token_probe() {
    let sb = create_sandbox_with_unknown_host();
    let run = run_enable(&sb, &["--verify", "skip"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!has_token_probe(&sb), "{}", sb.call_lines());
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
}

#[test]
fn unusable_probe_answers_are_inconclusive() {
    let with = |name: &str| -> serde_json::Value { json!(name) };
    for what in [
        with("silent"),
        with("garbage"),
        json!({"exit": {"code": 1}}),
        json!({"flood": {"bytes": 50_000_000}}),
    ] {
        let sb = Sandbox::new();
        sb.inject_fault(json!({"tool": "influxctl", "contains": ["list"], "do": what}));
        expect_refusal(&sb, 1, &["--verify", "require"]);
        let run = run_enable(&sb, &[]);
        assert_eq!(run.code, 10, "{what}: {}", run.stderr);
        assert!(
            run.stderr
                .contains("warning: cannot probe the token with 127.0.0.1:26444: "),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn tls_error_makes_probe_inconclusive() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["influx_tls_error"] = json!("x509: certificate signed by unknown authority")
    });
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 10, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("certificate signed by unknown authority"),
        "{}",
        run.stderr
    );
}

#[test]
fn token_printed_by_influxctl_is_not_leaked() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": "influxctl", "contains": ["list"], "do": "print_secret"}));
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 10);
    assert!(
        run.stderr.contains("cannot probe the token"),
        "{}",
        run.stderr
    );
}

#[test]
fn enable_refuses_outdated_influxctl() {
    let sb = Sandbox::new();
    sb.set_influxctl_version("2.1.0");
    insta::assert_snapshot!(extract_error(&expect_refusal(&sb, 4, &[])), @"
    error: influxctl 2.1.0 is too old: 2.2.0 or newer is required
    hint: update it, or choose another one with --influxctl PATH
    audit head [UID] 11:[SHA256]
    ");
    let run = expect_refusal(&sb, 4, &["--assume-influxctl-version", "2.2.0"]);
    assert!(
        run.stderr
            .contains("so --assume-influxctl-version 2.2.0 has no effect"),
        "{}",
        run.stderr
    );
    sb.set_influxctl_version("2.2.0");
    assert_eq!(run_enable(&sb, &[]).code, 0);
}

#[test]
fn unknown_influxctl_version_can_be_assumed() {
    let sb = Sandbox::new();
    sb.set_influxctl_version("2.4.1");
    sb.set_influxctl_version_output("influxctl version dev\n");
    insta::assert_snapshot!(wrap_lines(extract_error(&expect_refusal(&sb, 4, &[]))), @"
    error: cannot read the version of influxctl
    hint: pass --assume-influxctl-version X.Y.Z: influxctl 2.2.0 to 2.4.1 does not report its
        version
    audit head [UID] 10:[SHA256]
    ");
    let run = expect_refusal(&sb, 4, &["--assume-influxctl-version", "2.1.9"]);
    assert!(
        run.stderr.contains("influxctl 2.1.9 is too old"),
        "{}",
        run.stderr
    );
    let run = run_enable(&sb, &["--assume-influxctl-version", "2.4.1"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("warning: influxctl before 2.5.0 prefers an older cached token"),
        "{}",
        run.stderr
    );
}

#[test]
fn probe_ignores_older_cached_token() {
    let sb = Sandbox::new();
    sb.set_influxctl_version("2.3.0");
    sb.write(
        "home/.cache/influxctl/default.json",
        "an older token of somebody",
    );
    let cache = || {
        sb.snapshot_files()
            .into_iter()
            .filter(|(path, _)| path.starts_with(sb.home_path(".cache")))
            .collect::<Vec<_>>()
    };
    let before = cache();
    let run = run_enable(&sb, &["--verify", "require"]);
    insta::assert_snapshot!(wrap_lines(super::normalize_step_order(&run)), @"
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
    warning: influxctl before 2.3.1 keeps a copy of the admin token in its cache directory
       hint: update influxctl, or delete the copies that `bypassctl disable` names
    warning: influxctl before 2.5.0 prefers an older cached token to the token file
       hint: update influxctl, or delete its cache directory `~/.cache/influxctl`
    warning: the profile also has `[profile.auth.oauth2]`: influxctl's documentation does not state
        which of the two it uses
       hint: if influxctl still opens a login, remove that section while you use the admin token
    audit head [UID] 23:[SHA256]
    ");
    assert_eq!(cache(), before);
    assert!(has_token_probe(&sb));
}

#[test]
fn enable_warns_about_other_profile_credentials() {
    let lines = [
        (
            "2.12.0",
            "client_secret = \"planted-1\"",
            "influxctl 2.9.8 and later cannot read a profile with `client_secret`",
        ),
        (
            "2.9.7",
            "client_secret = \"planted-1\"",
            "[profile.auth.oauth2]",
        ),
    ];
    for (version, line, expected) in lines {
        let sb = Sandbox::new();
        sb.set_influxctl_version(version);
        let config = sb.read(CONFIG_FILE).replace(
            "client_id = \"example\"",
            &format!("client_id = \"example\"\n{line}"),
        );
        sb.write(CONFIG_FILE, config);
        let run = run_enable(&sb, &[]);
        assert!(
            run.code == 0 && run.stderr.contains(expected),
            "{}",
            run.stderr
        );
        assert_eq!(
            run.stderr.contains("cannot read a profile"),
            version == "2.12.0",
            "{}",
            run.stderr
        );
        assert_eq!(
            run.stderr
                .contains("remove `client_secret` in line 13 from"),
            version == "2.12.0",
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains("planted-1") && !run.stdout.contains("planted-1"));
        let log = sb.read("home/.local/state/bypassctl/audit.jsonl");
        assert!(
            !log.contains("planted-1"),
            "the audit log withholds a configuration with a secret"
        );
    }
    let sb = Sandbox::new();
    let config = sb
        .read(CONFIG_FILE)
        .replace("product =", "mgmt_token = \"planted-2\"\n    product =");
    sb.write(CONFIG_FILE, config);
    let run = run_enable(&sb, &["-v"]);
    assert!(
        run.code == 0 && run.stderr.contains("the profile also has `mgmt_token`"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("planted-2") && !run.stdout.contains("planted-2"));
}
