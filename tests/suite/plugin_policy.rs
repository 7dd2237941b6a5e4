//! The credential plugin policy of a kuberc, which kubectl 1.35 and later enforces.

use crate::sandbox::{Call, CommandOutput, Sandbox, extract_error};
use serde_json::json;

const PLUGIN: &str = "/opt/sso/login";

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];

/// Creates a sandbox with kubectl 1.37, whose kubeconfig names a credential plugin.
fn create_sandbox(kuberc: &str) -> Sandbox {
    let sb = Sandbox::new();
    sb.set_kubectl_version("v1.37.1");
    sb.edit_state(|world| world["contexts"]["sim-dev"]["plugin"] = json!(PLUGIN));
    if !kuberc.is_empty() {
        sb.write("home/.kube/kuberc", kuberc);
    }
    sb
}

/// Builds a kuberc with this policy, and a preset that breaks `create`.
fn build_kuberc(policy: &str, allowed: &[&str]) -> String {
    let allowed: Vec<_> = allowed
        .iter()
        .map(|path| json!({"command": path}))
        .collect();
    let preset =
        json!({"command": "create", "options": [{"name": "dry-run", "default": "client"}]});
    json!({
        "apiVersion": "kubectl.config.k8s.io/v1beta1",
        "kind": "Preference",
        "defaults": [preset],
        "credentialPluginPolicy": policy,
        "credentialPluginAllowlist": allowed,
    })
    .to_string()
}

/// Runs a command, which must be refused and change no file but the log.
#[track_caller]
fn expect_refusal(sb: &Sandbox, args: &[&str]) -> CommandOutput {
    let before = sb.snapshot_files();
    let run = sb.run(args);
    assert_eq!(run.code, 4, "{}{}", run.stdout, run.stderr);
    let mut after = sb.snapshot_files();
    after.retain(|path, _| !path.to_string_lossy().contains("bypassctl/kuberc-"));
    assert!(after == before);
    sb.assert_no_secret_leaked(&[]);
    run
}

#[test]
fn denied_plugin_ends_run_before_any_change() {
    let sb = create_sandbox(&build_kuberc("DenyAll", &[]));
    insta::assert_snapshot!(extract_error(&expect_refusal(&sb, ENABLE_ARGS)), @r#"
    error: cannot read secret `admin-token`: Unable to connect to the server: getting credentials: plugin "/opt/sso/login" not allowed: policy set to "DenyAll"
    hint: allow the plugin in `credentialPluginAllowlist` of your kuberc, or use another context with `--context`: `kubectl kuberc view` prints the policy
    audit head [UID] 19:[SHA256]
    "#);
    let sb = create_sandbox(&build_kuberc("Allowlist", &["/opt/other"]));
    expect_refusal(&sb, ENABLE_ARGS);
    expect_refusal(
        &sb,
        &["revoke", "-n", "influxdb", "--confirm", "sim-dev/influxdb"],
    );
    let run = sb.run(&["doctor", "-n", "influxdb"]);
    assert_eq!(run.code, 1);
    assert!(
        run.stdout
            .contains("plugin policy: `Allowlist`, allowed: /opt/other in ")
            && run
                .stdout
                .contains("is not permitted by the credential plugin allowlist"),
        "{}",
        run.stdout
    );
}

#[test]
fn allowed_plugin_runs_without_presets() {
    let sb = create_sandbox(&build_kuberc("Allowlist", &[PLUGIN]));
    assert_eq!(sb.run(ENABLE_ARGS).code, 0);
    let calls: Vec<Call> = sb.calls();
    let has_policy = |call: &&Call| {
        call.env
            .get("KUBERC")
            .is_some_and(|path| path.contains("kuberc-"))
    };
    let private: Vec<&Call> = calls.iter().filter(has_policy).collect();
    assert!(private.len() >= 3, "{}", private.len());
    let path = private[0].env["KUBERC"].as_str();
    let kuberc: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path).expect("a file")).expect("JSON");
    assert_eq!(
        kuberc,
        json!({
            "apiVersion": "kubectl.config.k8s.io/v1beta1",
            "kind": "Preference",
            "credentialPluginPolicy": "Allowlist",
            "credentialPluginAllowlist": [{"command": PLUGIN}],
        })
    );
    let name = std::path::Path::new(path)
        .strip_prefix(sb.root())
        .expect("in the sandbox");
    assert_eq!(sb.file_mode(name), 0o600);
    assert_eq!(
        sb.run(&["doctor", "-n", "influxdb"]).code,
        0,
        "access reviews use `create`"
    );
    let script = sb
        .run(&["enable", "-n", "influxdb", "--dry-run=script"])
        .stdout;
    assert!(
        script.contains(&format!("export KUBERC={path} LC_ALL=C")),
        "{script}"
    );
}

#[test]
fn kuberc_without_policy_stays_off() {
    let no_policy = json!({"kind": "Preference", "defaults": []}).to_string();
    for (version, kuberc, switch) in [
        ("v1.37.1", "", None),
        ("v1.37.1", no_policy.as_str(), None),
        ("v1.37.1", "not: [valid", None),
        ("v1.34.5", &build_kuberc("DenyAll", &[]), None),
        (
            "v1.37.1",
            &build_kuberc("DenyAll", &[]),
            Some(("KUBERC", "off")),
        ),
        (
            "v1.37.1",
            &build_kuberc("DenyAll", &[]),
            Some(("KUBECTL_KUBERC", "false")),
        ),
    ] {
        let mut sb = create_sandbox(kuberc);
        sb.set_kubectl_version(version);
        if let Some((name, value)) = switch {
            sb.set_env(name, value);
        }
        let run = sb.run(ENABLE_ARGS);
        assert_eq!(run.code, 0, "{version} {kuberc} {switch:?}: {}", run.stderr);
        let states = sb.list_directory("home/.local/state/bypassctl");
        assert!(
            !states.iter().any(|name| name.contains("kuberc")),
            "{states:?}"
        );
    }
}

#[test]
fn unreadable_policy_is_refused() {
    let sb = create_sandbox("credentialPluginPolicy: [DenyAll");
    let run = expect_refusal(&sb, ENABLE_ARGS);
    insta::assert_snapshot!(extract_error(&run), @"
    error: cannot read the credential plugin policy of `[SANDBOX]/home/.kube/kuberc`: `kubectl kuberc view` fails
    hint: correct the file until `kubectl kuberc view` prints it, or unset KUBERC
    audit head [UID] 8:[SHA256]
    ");
}

/// kubectl 1.35 has no `kuberc view`.
#[test]
fn policy_is_read_from_file_without_kuberc_command() {
    let sb = create_sandbox("credentialPluginPolicy: DenyAll\n");
    sb.set_kubectl_version("v1.35.0");
    let run = expect_refusal(&sb, ENABLE_ARGS);
    assert!(
        run.stderr.contains("policy set to \"DenyAll\""),
        "{}",
        run.stderr
    );
    sb.write("home/.kube/kuberc", "credentialPluginPolicy: &x DenyAll\n");
    let run = expect_refusal(&sb, ENABLE_ARGS);
    assert!(
        run.stderr
            .contains("only simple YAML and JSON are supported"),
        "{}",
        run.stderr
    );
}
