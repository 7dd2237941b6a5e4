//! influxctl and the token.

use super::TOKEN;
use crate::sandbox::{Run, Sandbox};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::path::Path;

/// A configuration with nothing but what a trial of the token needs, and these lines in the profile.
fn config(sb: &Sandbox, lines: &str) -> String {
    let file = sb.path("tmp/token.json").display().to_string();
    let text = format!(
        "[[profile]]\nname = \"try\"\nproduct = \"clustered\"\nhost = \"127.0.0.1\"\nport = \"26444\"\n{lines}\n\
         [profile.auth.token]\ntoken_file = \"{file}\"\n"
    );
    sb.write("tmp/config.toml", text).display().to_string()
}

/// Tries a token.
pub fn try_token(sb: &Sandbox, token: &[u8]) -> Run {
    sb.write("tmp/token.json", token);
    try_config(sb, &config(sb, ""))
}

fn try_config(sb: &Sandbox, config: &str) -> Run {
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
    sb.tool("influxctl", &list, None)
}

#[test]
fn the_token_of_the_cluster_is_accepted() {
    let sb = Sandbox::new();
    let fetched = sb.tool("kubectl", TOKEN, None).stdout;
    let token = STANDARD.decode(fetched).expect("base64");
    assert_eq!(token, sb.admin_token());
    let run = try_token(&sb, &token);
    assert_eq!((run.code, run.stdout.as_str()), (0, "[]\n"));
    let refused = try_token(&sb, b"{\"access_token\": \"e30.e30.x\"}");
    let text = "error\trpc error: code = Unauthenticated desc = token is not valid\n";
    assert_eq!((refused.code, refused.stderr.as_str()), (1, text));
    sb.world(|world| world["influxctl_refusal_text"] = json!("permission denied"));
    assert_eq!(try_token(&sb, b"x").stderr, "error\tpermission denied\n");
}

#[test]
fn the_secret_can_hold_anything() {
    let mut sb = Sandbox::new();
    sb.set_admin_token(b"bare");
    assert_eq!(
        sb.tool("kubectl", TOKEN, None).stdout,
        STANDARD.encode("bare")
    );
    assert_eq!(try_token(&sb, b"bare").code, 0);
    for text in ["", "not base64!", &"QUJD".repeat(500_000)] {
        sb.set_admin_token_text(text);
        assert_eq!(sb.tool("kubectl", TOKEN, None).stdout, *text);
    }
    sb.drop_admin_token_key();
    let run = sb.tool("kubectl", TOKEN, None);
    assert_eq!((run.code, run.stdout.as_str()), (0, "<no value>"));
}

#[test]
fn versions() {
    let sb = Sandbox::new();
    let version = || sb.tool("influxctl", &["version"], None).stdout;
    assert_eq!(version(), "influxctl v2.12.0 linux/amd64\n");
    sb.influxctl_version("2.4.3");
    assert_eq!(version(), "influxctl v2.4.3 linux/amd64\n");
    sb.influxctl_prints("influxctl version dev\n");
    assert_eq!(version(), "influxctl version dev\n");
}

#[test]
fn old_ones_cache() {
    let sb = Sandbox::new();
    let token = sb.admin_token();
    let cache = "home/.cache/influxctl/default.json";
    sb.influxctl_version("2.4.0");
    assert_eq!(try_token(&sb, &token).code, 0);
    assert!(!sb.path(cache).exists());
    sb.write(cache, "an older token");
    assert_eq!(
        try_token(&sb, &token).code,
        1,
        "before 2.5.0 the cached one wins"
    );
    sb.influxctl_version("2.5.0");
    assert_eq!(try_token(&sb, &token).code, 0);
    std::fs::remove_file(sb.path(cache)).expect("written above");
    sb.influxctl_version("2.3.0");
    assert_eq!(try_token(&sb, &token).code, 0);
    assert_eq!(
        sb.read(cache).into_bytes(),
        token,
        "before 2.3.1 the token is left in the cache"
    );
    assert_eq!(
        sb.find_secrets(&[Path::new("tmp/token.json")]),
        [Path::new(cache)]
    );
}

#[test]
fn configuration() {
    let sb = Sandbox::new();
    sb.write("tmp/token.json", sb.admin_token());
    let secret = "[profile.auth.oauth2]\nclient_id = \"x\"\nclient_secret = \"y\"";
    let try_lines = |lines: &str| {
        let run = try_config(&sb, &config(&sb, lines));
        (run.code, run.stderr)
    };
    sb.influxctl_version("2.9.7");
    assert_eq!(try_lines(secret).0, 0);
    sb.influxctl_version("2.9.8");
    let text = "error\tunrecognized configuration options: [profile.auth.oauth2.client_secret]\n";
    assert_eq!(try_lines(secret), (1, text.into()));
    let text = "error\tunrecognized configuration options: [profile.colour]\n";
    assert_eq!(try_lines("colour = 1"), (1, text.into()));
    assert_eq!(try_lines("mgmt_token = \"x\"").0, 0);
    sb.influxctl_version("2.1.0");
    let text = "error\tunrecognized configuration options: [profile.auth.token]\n";
    assert_eq!(try_lines(""), (1, text.into()));
    sb.influxctl_version("2.12.0");
    assert!(
        try_lines("port = 1")
            .1
            .starts_with("error\tfailed to parse configuration: ")
    );
    let run = sb.tool(
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
fn without_a_token_a_browser_would_open() {
    let sb = Sandbox::new();
    // The profile of the home directory has only OAuth2.
    let running = sb.spawn_tool("influxctl", &["database", "list", "--format", "json"]);
    crate::sandbox::wait_until("it asks for a login", || {
        running.so_far("stderr").contains("please log in")
    });
    assert_eq!(running.so_far("stdout"), "");
}

#[test]
fn servers_out_of_reach() {
    let sb = Sandbox::new();
    sb.write("tmp/token.json", sb.admin_token());
    let text = std::fs::read_to_string(config(&sb, "")).expect("written");
    let elsewhere = sb.write(
        "tmp/other.toml",
        text.replace("127.0.0.1", "unreachable.invalid"),
    );
    let run = try_config(&sb, elsewhere.to_str().expect("text"));
    assert!(
        run.code == 1
            && run
                .stderr
                .starts_with("error\trpc error: code = Unavailable desc = "),
        "{}",
        run.stderr
    );
    sb.cluster(|c| c["influx_tls_error"] = json!("x509: certificate signed by unknown authority"));
    let run = try_config(&sb, &config(&sb, ""));
    assert!(
        run.code == 1
            && run
                .stderr
                .contains("x509: certificate signed by unknown authority"),
        "{}",
        run.stderr
    );
}
