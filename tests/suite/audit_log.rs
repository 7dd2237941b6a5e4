//! The audit log has an entry for every command and every file change, and contains no secret.

use crate::sandbox::{Call, Sandbox, report_skipped, sha256_hex, split_lines};
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const ENABLE_ARGS: &[&str] = &["enable", "-n", "influxdb"];
const WITHHELD_SECRET: &str = r#"{"withheld":"secret"}"#;

fn run_enable(sb: &Sandbox) -> crate::sandbox::CommandOutput {
    let run = sb.run(ENABLE_ARGS);
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

/// Returns the logged command lines of one tool.
fn list_logged_commands(sb: &Sandbox, tool: &str) -> Vec<Value> {
    let argv = sb
        .read_entries_by_type("intent")
        .into_iter()
        .map(|intent| intent["argv"].clone());
    argv.filter(|argv| argv[0] == tool).collect()
}

#[test]
fn every_call_is_logged_exactly() {
    let sb = Sandbox::new();
    let run = sb.run_with_stdin(ENABLE_ARGS, "not for the tools");
    assert_eq!(run.code, 0, "{}", run.stderr);
    let pinned =
        |call: &Call| call.stdin_null && call.stdin.is_none() && call.env["KUBERC"] == "off";
    assert!(sb.calls().iter().all(pinned));
    assert!(
        sb.read_entries_by_type("intent")
            .iter()
            .all(|intent| intent["stdin"].is_null())
    );
    // Some calls run in parallel, so the log and the fake can have them in different orders.
    let sorted = |mut lines: Vec<Value>| {
        lines.sort_by_key(Value::to_string);
        lines
    };
    for tool in ["kubectl", "influxctl"] {
        let calls = sb.calls().into_iter().filter(|call| call.tool == tool);
        let commands: Vec<Value> = calls
            .map(|call| json!([vec![call.tool], call.argv].concat()))
            .collect();
        assert!(commands.len() >= 2, "{commands:?}");
        assert_eq!(sorted(list_logged_commands(&sb, tool)), sorted(commands));
    }
    let processes = sb
        .read_entries_by_type("intent")
        .into_iter()
        .filter(|intent| intent["argv"].is_array());
    assert_eq!(processes.count(), sb.calls().len());
}

#[test]
fn every_intent_is_followed_by_its_result() {
    let sb = Sandbox::new();
    run_enable(&sb);
    let mut results: Vec<(u64, u64)> = Vec::new();
    for result in sb.read_entries_by_type("result") {
        results.push((
            result["intent"].as_u64().expect("a number"),
            result["seq"].as_u64().expect("a number"),
        ));
        let process = result["files"] == json!([]);
        assert_eq!(
            result["exit"],
            if process {
                json!({"code": 0, "signal": null})
            } else {
                Value::Null
            }
        );
        assert!(result["duration_ms"].is_u64());
    }
    assert!(results.iter().all(|(intent, result)| intent < result));
    let mut intents: Vec<u64> = results.into_iter().map(|(intent, _)| intent).collect();
    intents.sort_unstable();
    let started: Vec<u64> = sb
        .read_entries_by_type("intent")
        .iter()
        .map(|i| i["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(intents, started);
}

#[test]
fn run_begin_and_end_are_logged() {
    let sb = Sandbox::new();
    let run = sb.run(&[ENABLE_ARGS, &["--reason", "CHG-12 \u{e9}\"\\"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    let entries = sb.read_entries();
    let kinds: Vec<&str> = entries
        .iter()
        .map(|entry| entry["type"].as_str().expect("a type"))
        .collect();
    assert_eq!(
        (kinds[0], kinds[1], kinds[kinds.len() - 1]),
        ("log.open", "run.begin", "run.end")
    );
    let (begin, end) = (&entries[1], &entries[entries.len() - 1]);
    assert_eq!(
        begin["argv"],
        json!([
            "bypassctl",
            "enable",
            "-n",
            "influxdb",
            "--reason",
            "CHG-12 \u{e9}\"\\"
        ])
    );
    let program = std::fs::read(env!("CARGO_BIN_EXE_bypassctl")).expect("the program");
    assert_eq!(begin["exe"]["sha256"], sha256_hex(&program));
    assert_eq!(
        begin["cwd"],
        sb.path("home")
            .canonicalize()
            .expect("home")
            .to_str()
            .expect("text")
    );
    assert_eq!(begin["actor"]["uid"], rustix::process::geteuid().as_raw());
    assert_eq!(
        (&end["exit_code"], &end["outcome"], &end["changed"]),
        (&json!(0), &json!("done"), &json!(true))
    );
    assert_eq!(
        (&end["target"]["context"], &end["target"]["namespace"]),
        (&json!("sim-dev"), &json!("influxdb"))
    );
    assert!(end["target"]["cluster_uid"].is_string());
    let reasons = sb
        .read_entries_by_type("intent")
        .into_iter()
        .map(|intent| intent["reason"].clone());
    assert!(
        reasons
            .chain([begin["reason"].clone()])
            .all(|reason| reason == "CHG-12 \u{e9}\"\\")
    );
    assert!(sb.read_log().is_ascii());
}

#[test]
fn both_tools_are_logged_with_digests() {
    let sb = Sandbox::new();
    run_enable(&sb);
    let mut tools = sb.read_entries_by_type("tool");
    tools.sort_by_key(|tool| tool["name"].to_string());
    assert_eq!(tools.len(), 2);
    for (tool, name) in tools.iter().zip(["influxctl", "kubectl"]) {
        let found = sb.path("bin").join(name);
        let real = found.canonicalize().expect("a fake");
        assert_eq!(
            (&tool["name"], &tool["found_at"]),
            (&json!(name), &json!(found))
        );
        assert_eq!(tool["path"], json!(real));
        assert_eq!(
            tool["sha256"],
            sha256_hex(&std::fs::read(&real).expect("a fake"))
        );
        assert!(tool["version"].is_string());
    }
    for intent in sb
        .read_entries_by_type("intent")
        .iter()
        .filter(|intent| intent["argv"].is_array())
    {
        let asked = intent["step"]
            .as_str()
            .is_some_and(|step| step.ends_with("-version"));
        let (exe, tool) = (
            &intent["exe"],
            &tools[usize::from(intent["argv"][0] == "kubectl")],
        );
        let known = if asked {
            json!([null, null])
        } else {
            json!([tool["sha256"], tool["version"]])
        };
        assert_eq!(json!([exe["sha256"], exe["version"]]), known, "{intent}");
        let before = |entry: &Value| entry["seq"].as_u64() < intent["seq"].as_u64();
        assert!(
            asked || before(tool),
            "a tool is logged before its first use"
        );
    }
}

#[test]
fn relevant_environment_is_logged_without_passwords() {
    let mut sb = Sandbox::new();
    let kubeconfig = sb.write("home/kubeconfig", "");
    sb.set_env("KUBECONFIG", &kubeconfig)
        .set_env("HTTPS_PROXY", "http://ann:hunter2@proxy.invalid:3128");
    sb.set_env("http_proxy", "ann:hunter2@proxy.invalid:3128")
        .set_env("UNRELATED", "nobody-asked");
    run_enable(&sb);
    let intents = sb.read_entries_by_type("intent");
    let processes: Vec<&Value> = intents
        .iter()
        .filter(|intent| intent["argv"].is_array())
        .collect();
    assert!(processes.len() >= 5);
    for intent in processes {
        let env = &intent["env"];
        assert_eq!(env["KUBECONFIG"], json!(kubeconfig));
        assert_eq!(
            env["HTTPS_PROXY"],
            "http://[credentials]@proxy.invalid:3128"
        );
        assert_eq!(env["http_proxy"], "[credentials]@proxy.invalid:3128");
        assert_eq!(
            (&env["KUBERC"], &env["LC_ALL"]),
            (&json!("off"), &json!("C"))
        );
    }
    let log = String::from_utf8(sb.read_log()).expect("ASCII");
    assert!(!log.contains("hunter2") && !log.contains("nobody-asked"));
    assert!(
        sb.read("state/seen-process.txt").contains("hunter2"),
        "the tools need it"
    );
}

fn find_step_entries<'a>(entries: &'a [Value], step: &str) -> (&'a Value, &'a Value) {
    let is_of_step = |entry: &&Value| entry["step"] == step;
    let intent = entries
        .iter()
        .find(is_of_step)
        .unwrap_or_else(|| panic!("an intent of step {step}"));
    let result = entries
        .iter()
        .find(|entry| entry["intent"] == intent["seq"])
        .expect("its result");
    (intent, result)
}

#[test]
fn output_containing_token_is_withheld() {
    let sb = Sandbox::new();
    run_enable(&sb);
    let entries = sb.read_entries();
    let (_, token) = find_step_entries(&entries, "get-token");
    assert_eq!(
        (token["stdout"].to_string(), &token["stderr"]["bytes"]),
        (WITHHELD_SECRET.to_owned(), &json!(0))
    );
    let (_, probe) = find_step_entries(&entries, "probe-token");
    assert_eq!(
        [probe["stdout"].to_string(), probe["stderr"].to_string()],
        [WITHHELD_SECRET, WITHHELD_SECRET]
    );
    let (intent, context) = find_step_entries(&entries, "context");
    let argv: Vec<&str> = intent["argv"]
        .as_array()
        .expect("words")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    let printed = sb.run_tool("kubectl", &argv[1..], None).stdout;
    assert_eq!(
        context["stdout"],
        json!({"bytes": printed.len(), "sha256": sha256_hex(printed.as_bytes())})
    );
    sb.assert_no_secret_leaked(&[Path::new("home/.config/influxctl/admin-token-default.json")]);
}

#[test]
fn file_changes_are_logged_with_before_and_after() {
    let sb = Sandbox::new();
    let describe = |bytes: &[u8]| json!({"bytes": bytes.len(), "sha256": sha256_hex(bytes)});
    let old = std::fs::read(sb.config_path()).expect("config");
    run_enable(&sb);
    let new = std::fs::read(sb.config_path()).expect("config");
    let entries = sb.read_entries();
    let (intent, result) = find_step_entries(&entries, "edit-profile");
    let config = sb.config_path().canonicalize().expect("config");
    let change = json!({
        "op": "write",
        "path": config,
        "before": describe(&old),
        "after": describe(&new),
        "token_file": {
            "profile": "default",
            "before": null,
            "after": format!("{:?}", config.with_file_name("admin-token-default.json")),
        },
    });
    assert_eq!(
        (&intent["file"], &intent["effect"]),
        (&change, &json!("changes"))
    );
    assert_eq!(result["files"], json!([change]));
    let (intent, result) = find_step_entries(&entries, "write-token");
    let token = config.with_file_name("admin-token-default.json");
    let withheld = json!({"withheld": "secret"});
    let change = json!({"op": "write", "path": token, "before": null, "after": withheld});
    assert_eq!(
        (&intent["file"], &result["files"]),
        (&change, &json!([change]))
    );
    assert_eq!(sb.run(&["disable"]).code, 0);
    let entries = sb.read_entries();
    let (intent, result) = find_step_entries(&entries, "delete-token");
    assert_eq!(
        (&intent["file"]["op"], &intent["file"]["path"]),
        (&json!("delete"), &json!(token))
    );
    assert_eq!(result["files"], json!([intent["file"]]));
}

#[test]
fn printed_head_matches_last_line_hash() {
    let sb = Sandbox::new();
    for _ in 0..2 {
        let run = run_enable(&sb);
        let log = sb.read_log();
        let all = split_lines(&log);
        let last = all.last().expect("a line");
        assert_eq!(
            run.audit_head(),
            format!("{}:{}", all.len(), sha256_hex(last))
        );
        assert!(run.stderr.contains(&format!(
            "audit head {} ",
            sb.read_entries()[0]["log"].as_str().expect("a name")
        )));
    }
    let run = sb.run(&["disable", "-o", "json"]);
    let report: Value = serde_json::from_str(&run.stdout).expect("JSON");
    let log = sb.read_log();
    assert_eq!(
        report["audit"]["hash"],
        sha256_hex(split_lines(&log).last().expect("a line"))
    );
    assert_eq!(report["audit"]["seq"], split_lines(&log).len());
}

#[test]
fn hash_chain_verifies_without_bypassctl() {
    let sb = Sandbox::new();
    run_enable(&sb);
    let log = sb.read_log();
    let mut previous = "0".repeat(64);
    for (index, line) in split_lines(&log).into_iter().enumerate() {
        let entry: Value = serde_json::from_slice(line).expect("JSON");
        assert_eq!(
            (&entry["prev"], &entry["seq"]),
            (&json!(previous), &json!(index + 1))
        );
        previous = sha256_hex(line);
    }
    assert_shell_verifies_chain(&sb);
}

/// Runs the documented commands if bash, jq and sha256sum are installed.
fn assert_shell_verifies_chain(sb: &Sandbox) {
    let has_programs = ["/bin/bash", "/usr/bin/jq", "/usr/bin/sha256sum"]
        .iter()
        .all(|tool| Path::new(tool).exists());
    if !has_programs {
        report_skipped("the shell check needs bash, jq and sha256sum");
        return;
    }
    let script = "cd .local/state/bypassctl && export PATH=/usr/bin:/bin && set -o pipefail\n\
                  split -l1 --filter=sha256sum audit.jsonl | cut -c1-64 >../h &&\n\
                  jq -r .prev audit.jsonl | tail -n +2 | diff - <(head -n -1 ../h)";
    let check = || {
        sb.spawn_with_wrapper(&["/bin/bash", "-c", script], &[])
            .wait()
    };
    let run = check();
    assert_eq!((run.code, run.stdout.as_str()), (0, ""), "{}", run.stderr);
    let text = String::from_utf8(sb.read_log()).expect("ASCII");
    sb.write(
        sb.log_path(),
        text.replacen("kube-system", "kube-public", 1),
    );
    assert_eq!(check().code, 1, "an edited entry");
}

fn read_modes(path: &Path) -> [u32; 2] {
    [path, path.parent().expect("a directory")].map(|path| {
        path.metadata()
            .expect("the file exists")
            .permissions()
            .mode()
            & 0o7777
    })
}

#[test]
fn log_is_readable_only_by_owner() {
    let sb = Sandbox::new();
    run_enable(&sb);
    assert_eq!(read_modes(&sb.log_path()), [0o600, 0o700]);
    let other = sb.path("home/ticket/12/log.jsonl");
    assert_eq!(
        sb.run(&["disable", "--audit-log", other.to_str().expect("text")])
            .code,
        0
    );
    assert_eq!(read_modes(&other), [0o600, 0o700]);
}

#[test]
fn concurrent_runs_share_one_chain() {
    for (runs, command) in [(2, "enable"), (50, "disable")] {
        let sb = Sandbox::new();
        let text = sb.read("home/.config/influxctl/config.toml");
        let configs: Vec<String> = (0..runs)
            .map(|n| format!("home/c{n}/config.toml"))
            .collect();
        for config in &configs {
            sb.write(config, &text);
            sb.write(
                Path::new(config).with_file_name("admin-token-default.json"),
                "left by an interrupted run",
            );
        }
        let paths: Vec<_> = configs.iter().map(|config| sb.path(config)).collect();
        let start = |path: &std::path::PathBuf| {
            sb.spawn(&[
                command,
                "-n",
                "influxdb",
                "--config",
                path.to_str().expect("text"),
            ])
        };
        let running: Vec<_> = paths.iter().map(start).collect();
        let heads: Vec<String> = running
            .into_iter()
            .map(|running| {
                let run = running.wait();
                assert_eq!(run.code, 0, "{}", run.stderr);
                run.audit_head().to_owned()
            })
            .collect();
        assert_eq!(sb.read_entries_by_type("log.open").len(), 1);
        assert_eq!(
            (
                sb.read_entries_by_type("run.begin").len(),
                sb.read_entries_by_type("run.end").len()
            ),
            (runs, runs)
        );
        assert_eq!(
            (
                sb.list_unfinished_steps(),
                sb.read_entries_by_type("log.recover").len()
            ),
            (Vec::new(), 0)
        );
        sb.assert_log_intact();
        for head in heads {
            assert_eq!(
                sb.run(&["audit", "verify", "--expect", &head]).code,
                0,
                "{head}"
            );
        }
    }
}

#[test]
fn log_that_others_could_control_is_refused() {
    let whole = |name: &str, make: &dyn Fn(&Sandbox, &Path)| {
        let sb = Sandbox::new();
        let before = sb.read("home/.config/influxctl/config.toml");
        std::fs::create_dir_all(sb.log_path().parent().expect("a directory")).expect("sandbox");
        make(&sb, &sb.log_path());
        let run = sb.run(ENABLE_ARGS);
        assert_eq!(run.code, 9, "{name}: {}", run.stderr);
        assert!(
            run.stderr.contains(name) && run.stderr.contains("audit.jsonl"),
            "{}",
            run.stderr
        );
        assert_eq!(sb.calls().len(), 0, "{name}");
        assert_eq!(sb.read("home/.config/influxctl/config.toml"), before);
    };
    whole("symlink", &|sb, log| {
        std::os::unix::fs::symlink(sb.write("home/real.jsonl", ""), log).expect("sandbox")
    });
    whole("symlink", &|sb, log| {
        std::os::unix::fs::symlink(sb.path("home/nothing"), log).expect("sandbox")
    });
    whole("directory", &|_, log| {
        std::fs::create_dir(log).expect("sandbox")
    });
    whole("hard link", &|sb, log| {
        std::fs::hard_link(sb.write("home/real.jsonl", ""), log).expect("sandbox")
    });
    if rustix::process::geteuid().is_root() {
        whole("another user", &|sb, log| {
            sb.write(log, "");
            std::os::unix::fs::chown(log, Some(12345), None).expect("root may");
        });
    } else {
        report_skipped("only root can give a log to another user");
    }
}

#[test]
fn non_utf8_argument_is_logged_as_base64() {
    let sb = Sandbox::new();
    let odd = std::ffi::OsStr::from_bytes(b"/nowhere/\xff.toml");
    let run = sb.run(&["disable".as_ref(), "--config".as_ref(), odd]);
    assert_eq!(
        (
            run.code,
            &sb.read_entries_by_type("run.end")[0]["exit_code"]
        ),
        (1, &json!(1)),
        "{}",
        run.stderr
    );
    let argv = &sb.read_entries_by_type("run.begin")[0]["argv"];
    assert_eq!(
        argv,
        &json!(["bypassctl", "disable", "--config", {"b64": "L25vd2hlcmUv/y50b21s"}])
    );
    sb.assert_log_intact();
}

#[test]
fn token_printed_by_tool_is_not_leaked() {
    for (tool, nth) in [
        ("kubectl", 1),
        ("kubectl", 2),
        ("kubectl", 3),
        ("kubectl", 4),
        ("influxctl", 1),
        ("influxctl", 2),
    ] {
        let sb = Sandbox::new();
        sb.inject_fault(json!({"tool": tool, "nth": nth, "do": "print_secret"}));
        let run = sb.run(&[ENABLE_ARGS, &["-v"]].concat());
        assert_ne!(run.code, 0, "{tool} {nth}: {}", run.stdout);
        let mut spared = Vec::new();
        // The token file exists only if the probe was inconclusive.
        if sb
            .path("home/.config/influxctl/admin-token-default.json")
            .exists()
        {
            spared.push(Path::new("home/.config/influxctl/admin-token-default.json"));
        }
        // Exports must not contain a secret either.
        std::fs::create_dir(sb.path("statements")).expect("sandbox");
        let directory = sb.path("statements").display().to_string();
        for more in [
            &["show", ""][..],
            &["export"],
            &["export", "--format=html"],
            &["export", "--format=in-toto", "--directory", &directory],
        ] {
            assert_eq!(sb.run(&[&["audit"], more].concat()).code, 0, "{more:?}");
        }
        let found = sb.find_leaked_secrets(&spared);
        assert!(found.is_empty(), "{tool} {nth}: {found:?} {}", run.stderr);
        sb.assert_log_intact();
    }
}

#[test]
fn account_that_the_cluster_sees_is_logged() {
    let target = |sb: &Sandbox| {
        let end = sb.read_entries_by_type("run.end").pop().expect("an end");
        (
            end["target"]["user"].clone(),
            end["target"]["account"].clone(),
        )
    };
    let asks = |sb: &Sandbox| sb.call_lines().contains("auth whoami");
    let sb = crate::revoke::create_fast_sandbox();
    run_enable(&sb);
    assert_eq!(target(&sb), (json!("admin"), Value::Null));
    assert!(!asks(&sb), "`enable` changes nothing in the cluster");
    assert_eq!(sb.run(crate::revoke::REVOKE_ARGS).code, 0);
    assert_eq!(target(&sb), (json!("admin"), json!("admin")));
    let changes = sb.read_entries_by_type("intent");
    let changes = changes
        .iter()
        .filter(|intent| intent["effect"] == "changes" && intent["argv"][0] == "kubectl");
    let accounts: Vec<_> = changes
        .map(|intent| intent["target"]["account"].clone())
        .collect();
    assert!(
        accounts.len() > 3 && accounts.iter().all(|account| account == "admin"),
        "{accounts:?}"
    );

    let run = sb.run(&["doctor", "-n", "influxdb", "--as", "viewer"]);
    assert!(
        run.stdout
            .contains("account: the cluster sees `viewer`, user `admin` of the kubeconfig"),
        "{}",
        run.stdout
    );
    // kubectl 1.24 has no such command.
    sb.clear_calls();
    sb.set_kubectl_version("v1.24.0");
    let run = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        run.code == 0 && !run.stdout.contains("account: ") && !asks(&sb),
        "{}",
        run.stdout
    );
    assert_eq!(target(&sb), (json!("admin"), Value::Null));
}

#[test]
fn account_of_an_old_server_is_unknown() {
    let sb = Sandbox::new();
    sb.inject_fault(json!({
        "tool": "kubectl",
        "contains": ["whoami"],
        "do": {"exit": {
            "code": 1,
            "stderr": "error: the selfsubjectreviews API is not enabled in the cluster\n"
        }}
    }));
    let run = sb.run(&["doctor", "-n", "influxdb"]);
    assert!(
        run.code == 0 && !run.stdout.contains("account: "),
        "{}",
        run.stdout
    );
}
