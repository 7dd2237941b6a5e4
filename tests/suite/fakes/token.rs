//! influxctl and the token.

use super::GET_TOKEN_ARGS;
use crate::sandbox::{CommandOutput, Sandbox};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;

/// Writes a minimal configuration for a token probe, with these lines in the profile.
fn write_config(sb: &Sandbox, lines: &str) -> String {
    let file = sb.path("tmp/token.json").display().to_string();
    let text = format!(
        "[[profile]]\nname = \"try\"\nproduct = \"clustered\"\nhost = \"127.0.0.1\"\n\
         port = \"26444\"\n{lines}\n[profile.auth.token]\ntoken_file = \"{file}\"\n"
    );
    sb.write("tmp/config.toml", text).display().to_string()
}

/// Probes a token.
pub fn probe_token(sb: &Sandbox, token: &[u8]) -> CommandOutput {
    sb.write("tmp/token.json", token);
    probe_config(sb, &write_config(sb, ""))
}

fn probe_config(sb: &Sandbox, config: &str) -> CommandOutput {
    let list = [
        "--config",
        config,
        "--profile",
        "try",
        "database",
        "list",
        "--format",
        "json",
    ];
    sb.run_tool("influxctl", &list, None)
}

#[test]
fn cluster_token_is_accepted_and_others_rejected() {
    let sb = Sandbox::new();
    let fetched = sb.run_tool("kubectl", GET_TOKEN_ARGS, None).stdout;
    let token = STANDARD.decode(fetched).expect("base64");
    assert_eq!(token, sb.admin_token());
    let run = probe_token(&sb, &token);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[]\n"));
    let refused = probe_token(&sb, b"{\"access_token\": \"e30.e30.x\"}");
    let text = "error\trpc error: code = Unauthenticated desc = token is not valid\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (1, text));
    sb.edit_state(|world| world["influxctl_refusal_text"] = json!("permission denied"));
    assert_eq!(probe_token(&sb, b"x").stderr, "error\tpermission denied\n");
}

#[test]
fn secret_accepts_arbitrary_content() {
    let mut sb = Sandbox::new();
    sb.set_admin_token(b"bare");
    assert_eq!(
        sb.run_tool("kubectl", GET_TOKEN_ARGS, None).stdout,
        STANDARD.encode("bare")
    );
    assert_eq!(probe_token(&sb, b"bare").code, 0);
    for text in ["", "not base64!", &"QUJD".repeat(500_000)] {
        sb.set_admin_token_base64(text);
        assert_eq!(sb.run_tool("kubectl", GET_TOKEN_ARGS, None).stdout, *text);
    }
    sb.remove_admin_token_key();
    let run = sb.run_tool("kubectl", GET_TOKEN_ARGS, None);
    assert_eq!((run.code, run.stdout.as_str()), (0, "<no value>"));
}

#[test]
fn influxctl_version_is_configurable() {
    let sb = Sandbox::new();
    let version = || sb.run_tool("influxctl", &["version"], None).stdout;
    assert_eq!(version(), "influxctl v2.12.0 linux/amd64\n");
    sb.set_influxctl_version("2.4.3");
    assert_eq!(version(), "influxctl v2.4.3 linux/amd64\n");
    sb.set_influxctl_version_output("influxctl version dev\n");
    assert_eq!(version(), "influxctl version dev\n");
}

#[test]
fn old_influxctl_versions_use_token_cache() {
    let sb = Sandbox::new();
    let token = sb.admin_token();
    let cache = "home/.cache/influxctl/default.json";
    sb.set_influxctl_version("2.4.0");
    assert_eq!(probe_token(&sb, &token).code, 0);
    assert!(!sb.path(cache).exists());
    sb.write(cache, "an older token");
    assert_eq!(
        probe_token(&sb, &token).code,
        1,
        "influxctl before 2.5.0 prefers the cached token"
    );
    sb.set_influxctl_version("2.5.0");
    assert_eq!(probe_token(&sb, &token).code, 0);
    std::fs::remove_file(sb.path(cache)).expect("written above");
    sb.set_influxctl_version("2.3.0");
    assert_eq!(probe_token(&sb, &token).code, 0);
    assert_eq!(
        sb.read(cache).into_bytes(),
        token,
        "influxctl before 2.3.1 leaves the token in the cache"
    );
    assert_eq!(
        sb.find_leaked_secrets(&[Path::new("tmp/token.json")]),
        [Path::new(cache)]
    );
}

#[test]
fn invalid_influxctl_config_is_rejected() {
    let sb = Sandbox::new();
    sb.write("tmp/token.json", sb.admin_token());
    let secret = "[profile.auth.oauth2]\nclient_id = \"x\"\nclient_secret = \"y\"";
    let try_lines = |lines: &str| {
        let run = probe_config(&sb, &write_config(&sb, lines));
        (run.code, run.stderr)
    };
    sb.set_influxctl_version("2.9.7");
    assert_eq!(try_lines(secret).0, 0);
    sb.set_influxctl_version("2.9.8");
    let text = "error\tunrecognized configuration options: [profile.auth.oauth2.client_secret]\n";
    assert_eq!(try_lines(secret), (1, text.into()));
    let text = "error\tunrecognized configuration options: [profile.colour]\n";
    assert_eq!(try_lines("colour = 1"), (1, text.into()));
    assert_eq!(try_lines("mgmt_token = \"x\"").0, 0);
    sb.set_influxctl_version("2.1.0");
    let text = "error\tunrecognized configuration options: [profile.auth.token]\n";
    assert_eq!(try_lines(""), (1, text.into()));
    sb.set_influxctl_version("2.12.0");
    assert!(
        try_lines("port = 1")
            .1
            .starts_with("error\tfailed to parse configuration: ")
    );
    let run = sb.run_tool(
        "influxctl",
        &["database", "list", "--format", "json", "--profile", "none"],
        None,
    );
    assert_eq!(run.stderr, "error\tprofile not found: none\n");
    std::fs::remove_file(sb.path("tmp/token.json")).expect("written above");
    assert!(
        try_lines("")
            .1
            .starts_with("error\tfailed to read token file: open ")
    );
}

#[test]
fn profile_without_token_waits_for_login() {
    let sb = Sandbox::new();
    // The profile in the home directory has only OAuth2.
    let running = sb.spawn_tool("influxctl", &["database", "list", "--format", "json"]);
    crate::sandbox::wait_until("influxctl asks for a login", || {
        running.read_output("stderr").contains("please log in")
    });
    assert_eq!(running.read_output("stdout"), "");
}

#[test]
fn unreachable_host_and_tls_errors_are_reported() {
    let sb = Sandbox::new();
    sb.write("tmp/token.json", sb.admin_token());
    let text = std::fs::read_to_string(write_config(&sb, "")).expect("written");
    let elsewhere = sb.write(
        "tmp/other.toml",
        text.replace("127.0.0.1", "unreachable.invalid"),
    );
    let run = probe_config(&sb, elsewhere.to_str().expect("text"));
    assert!(
        run.code == 1
            && run
                .stderr
                .starts_with("error\trpc error: code = Unavailable desc = "),
        "{}",
        run.stderr
    );
    sb.edit_cluster(|c| {
        c["influx_tls_error"] = json!("x509: certificate signed by unknown authority")
    });
    let run = probe_config(&sb, &write_config(&sb, ""));
    assert!(
        run.code == 1
            && run
                .stderr
                .contains("x509: certificate signed by unknown authority"),
        "{}",
        run.stderr
    );
}
