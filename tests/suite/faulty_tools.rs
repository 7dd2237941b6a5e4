//! Missing, broken and slow tools.

use crate::enable::{TOKEN_FILE, expect_refusal, run_enable};
use crate::revoke::list_cluster_changes;
use crate::sandbox::{RunningCommand, Sandbox, check_in_parallel, extract_error, wait_until};
use regex::Regex;
use rustix::process::{Pid, test_kill_process_group};
use serde_json::{Value, json};
use std::path::Path;

const TOOLS: [&str; 2] = ["kubectl", "influxctl"];

/// Waits until the process groups of all calls are empty. Each call leads a group.
fn wait_for_process_groups(sb: &Sandbox) {
    for call in sb.calls() {
        let group = Pid::from_raw(call.pid).expect("a process");
        wait_until("a process group is gone", || {
            test_kill_process_group(group).is_err()
        });
    }
}

/// Creates a sandbox with a fault for these calls.
fn create_faulty_sandbox(tool: &str, words: &[&str], what: &Value) -> Sandbox {
    let sb = Sandbox::new();
    sb.inject_fault(json!({"tool": tool, "contains": words, "do": what}));
    sb
}

#[test]
fn missing_tool_is_reported() {
    for tool in TOOLS {
        let sb = Sandbox::new();
        std::fs::remove_file(sb.path("bin").join(tool)).expect("sandbox");
        let text = extract_error(&expect_refusal(&sb, 1, &[]));
        let expected = format!(
            "error: `{tool}` is not in PATH\nhint: install it, or give its path: --{tool} PATH\n"
        );
        assert!(text.starts_with(&expected), "{text}");
    }
}

#[test]
fn unusable_named_tool_is_refused() {
    for tool in TOOLS {
        let sb = Sandbox::new();
        let plain = sb.write("home/plain", "#!/bin/sh\n").display().to_string();
        let broken = sb
            .write("home/broken", "#!/no/such/interpreter\n")
            .display()
            .to_string();
        sb.chmod("home/broken", 0o755);
        let home = sb.home_path("").display().to_string();
        for (named, expected) in [
            ("/no/where", "cannot find `/no/where`: "),
            (plain.as_str(), "is not executable"),
            (home.as_str(), "is not a file"),
            (broken.as_str(), "cannot start `"),
        ] {
            let run = expect_refusal(&sb, 1, &[&format!("--{tool}"), named]);
            assert!(run.stderr.contains(expected), "{}", run.stderr);
        }
    }
}

#[test]
fn path_lookup_skips_non_executable_files() {
    let mut sb = Sandbox::new();
    sb.write("other/kubectl", "#!/bin/sh\n");
    sb.set_env(
        "PATH",
        format!(
            "{}:{}",
            sb.path("other").display(),
            sb.path("bin").display()
        ),
    );
    assert_eq!(run_enable(&sb, &[]).code, 0);
}

#[test]
fn path_lookup_skips_relative_entries() {
    for path in ["../bin", "", "."] {
        let mut sb = Sandbox::new();
        sb.set_env("PATH", path);
        let text = extract_error(&expect_refusal(&sb, 1, &[]));
        let expected = "error: `kubectl` is not in PATH (empty and relative entries are ignored)
";
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn relative_tool_path_resolves_from_working_directory() {
    let sb = Sandbox::new();
    assert_eq!(run_enable(&sb, &["--kubectl", "../bin/kubectl"]).code, 0);
}

#[test]
fn writable_tool_directory_causes_warning() {
    let sb = Sandbox::new();
    sb.chmod("bin", 0o777);
    let run = run_enable(&sb, &[]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    for tool in TOOLS {
        let bin = sb.path("bin").display().to_string();
        let expected = format!(
            "warning: {tool}: others can replace the program `{bin}/{tool}`: everyone\n   hint: "
        );
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
    }
    sb.chmod("bin", 0o1777);
    assert!(
        !run_enable(&sb, &[]).stderr.contains("others can replace"),
        "a sticky directory protects its files"
    );
}

/// The calls of `enable`: tool, a word of the call, exit code after a nonsensical answer.
const ENABLE_CALLS: [(&str, &str, i32); 6] = [
    ("kubectl", "version", 1),
    ("influxctl", "version", 4),
    ("kubectl", "config", 1),
    ("kubectl", "kube-system", 1),
    ("kubectl", "secrets/admin-token", 1),
    ("influxctl", "list", 1),
];

#[test]
fn empty_or_garbage_tool_output_is_refused() {
    for what in [json!("silent"), json!("garbage")] {
        for (tool, word, code) in ENABLE_CALLS {
            let sb = create_faulty_sandbox(tool, &[word], &what);
            let run = expect_refusal(&sb, code, &["--verify", "require"]);
            let clean = |text: &str| text.chars().all(|c| c == '\n' || !c.is_control());
            assert!(
                clean(&run.stdout) && clean(&run.stderr),
                "{what} {word}: {:?}",
                run.stderr
            );
        }
    }
}

#[test]
fn tool_with_unlimited_output_is_killed() {
    for stream in ["flood", "flood_stderr"] {
        for (tool, word, _) in ENABLE_CALLS {
            let sb = create_faulty_sandbox(
                tool,
                &[word],
                &json!({stream: {"bytes": 1_000_000_000_000_u64}}),
            );
            let run = expect_refusal(&sb, 1, &["--verify", "require"]);
            let pattern = format!("`{tool}[a-z -/]*` printed more than [0-9]+ [KM]iB on standard ");
            assert!(
                Regex::new(&pattern)
                    .expect("a pattern")
                    .is_match(&run.stderr),
                "{stream} {word}: {}",
                run.stderr
            );
            wait_for_process_groups(&sb);
        }
    }
}

#[test]
fn hanging_tool_times_out_and_is_killed() {
    for (tool, word, _) in ENABLE_CALLS {
        let sb = create_faulty_sandbox(tool, &[word], &json!("hang"));
        let run = expect_refusal(
            &sb,
            if word == "list" { 1 } else { 6 },
            &["--timeout", "1s", "--verify", "require"],
        );
        let expected = format!("{tool} timed out after 1 s and was killed");
        assert!(run.stderr.contains(&expected), "{word}: {}", run.stderr);
        wait_for_process_groups(&sb);
    }
}

#[test]
fn hanging_tool_is_killed_with_its_children() {
    let sb = Sandbox::new();
    for what in [
        json!({"grandchild_holds_pipe": {"seconds": 600}}),
        json!("hang_ignoring_term"),
    ] {
        sb.inject_fault(
            json!({"tool": "kubectl", "contains": ["secrets/admin-token"], "do": what}),
        );
    }
    expect_refusal(&sb, 6, &["--timeout", "1s"]);
    wait_for_process_groups(&sb);
}

#[test]
fn hanging_token_probe_is_inconclusive() {
    let sb = create_faulty_sandbox("influxctl", &["list"], &json!("hang"));
    let run = run_enable(&sb, &["--timeout", "1s"]);
    assert_eq!(run.code, 10, "{}", run.stderr);
    wait_for_process_groups(&sb);
}

#[test]
fn enable_succeeds_when_grandchild_holds_pipe() {
    let sb = Sandbox::new();
    for tool in TOOLS {
        sb.inject_fault(json!({"tool": tool, "do": {"grandchild_holds_pipe": {"seconds": 600}}}));
    }
    let running: RunningCommand = sb.spawn(&["enable", "-n", "influxdb"]);
    let run = running.wait();
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(sb.read(TOKEN_FILE).into_bytes(), sb.admin_token());
    wait_for_process_groups(&sb);
    sb.assert_no_secret_leaked(&[Path::new(TOKEN_FILE)]);
}

#[test]
fn piped_stdin_is_not_passed_to_tools() {
    let sb = Sandbox::new();
    let run = sb.run_with_stdin(&["doctor", "-n", "influxdb"], "not for them\n");
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    for call in sb.calls() {
        let is_review = call.argv.contains(&"create".to_owned());
        assert_eq!(
            call.stdin
                .is_some_and(|text| text.contains("SelfSubjectAccessReview")),
            is_review
        );
        assert_eq!(call.stdin_null, !is_review);
    }
}

#[test]
fn detached_daemon_keeps_neither_output_nor_lock() {
    let sb = Sandbox::new();
    let real = sb.path("bin/kubectl-itself");
    std::fs::rename(sb.path("bin/kubectl"), &real).expect("sandbox");
    // Like a credential agent: it stays, in its own session, with the inherited streams.
    let script = format!(
        "#!/bin/sh\n/usr/bin/setsid /bin/sh -c 'echo $$ >>{0}/agents; exec /bin/sleep 60' &\n\
         exec -a kubectl {1} \"$@\"\n",
        sb.root().display(),
        real.display()
    );
    let wrapper = sb.write("bin/kubectl", script.replace("#!/bin/sh", "#!/bin/bash"));
    std::fs::set_permissions(wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("sandbox");
    let run = run_enable(&sb, &[]);
    let after = sb.run(&["disable"]);
    for agent in sb.read("agents").lines() {
        let pid =
            rustix::process::Pid::from_raw(agent.parse().expect("a number")).expect("a process");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("a running agent");
    }
    assert_eq!(
        (run.code, after.code),
        (0, 0),
        "{}{}",
        run.stderr,
        after.stderr
    );
    let is_held_open = |result: &serde_json::Value| result["error"] == "streams-held-open";
    let results = sb.read_entries_by_type("result");
    let open: Vec<_> = results
        .iter()
        .filter(|result| is_held_open(result))
        .collect();
    assert!(
        !open.is_empty() && open.iter().all(|result| result["exit"]["code"] == 0),
        "{results:?}"
    );
}

/// The server accepts connections and never answers.
#[test]
fn hung_server_ends_every_command_at_its_time_limit() {
    let confirmation = ["--confirm", "sim-dev/influxdb"];
    let commands: [(&[&str], i32); 6] = [
        (&["enable"], 6),
        (&["status"], 6),
        (&["doctor"], 1),
        (&["revoke", confirmation[0], confirmation[1]], 6),
        (&["rotate", confirmation[0], confirmation[1]], 6),
        (&["plan", "rotate", "--out", "the.plan"], 6),
    ];
    check_in_parallel(commands.into_iter(), |(args, code)| {
        let sb = create_faulty_sandbox("kubectl", &["--server"], &json!("hang"));
        let run = sb.run(&[args, &["-n", "influxdb", "--timeout", "1s"]].concat());
        assert_eq!(run.code, code, "{args:?}: {run:?}");
        let output = format!("{}{}", run.stdout, run.stderr);
        assert!(output.contains("kubectl timed out after 1 s"), "{output}");
        assert_eq!(list_cluster_changes(&sb), "", "{args:?}");
    });
}
