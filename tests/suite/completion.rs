//! Completion in real shells, and `version`.

use crate::enable::run_enable;
use crate::sandbox::{Sandbox, check_in_parallel, report_skipped};
use serde_json::Value;
use std::path::Path;

const BASH_PATH: &str = "/bin/bash";

fn create_enabled_sandbox() -> Sandbox {
    let sb = Sandbox::new();
    sb.write(
        "home/.kube/config",
        "contexts:\n- context:\n    cluster: c\n  name: sim-dev\n- context: {}\n  name: other\n",
    );
    assert_eq!(run_enable(&sb, &["--reason", "CHG-1"]).code, 0);
    sb.clear_calls();
    sb
}

/// Returns bash's completions of the last of these words.
fn complete_in_bash(sb: &Sandbox, words: &[&str]) -> Vec<String> {
    let script = r#"source <(bypassctl completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_TYPE=9 COMPREPLY=()
_clap_complete_bypassctl bypassctl "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}""#;
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let run = sb.run_shell_script(
        "home",
        &[BASH_PATH, "-c"],
        &format!("set -- {}\n{script}", quoted.join(" ")),
        &[],
    );
    assert_eq!(run.code, 0, "{}", run.stderr);
    run.stdout
        .lines()
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}

#[test]
fn bash_completes_values_from_local_files() {
    let sb = create_enabled_sandbox();
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "disable", "--context", ""]),
        ["sim-dev", "other"]
    );
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "--context", "o"]),
        ["other"]
    );
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "status", "--profile", "d"]),
        ["default"]
    );
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "revoke", "--rerun", ""]),
        ["auto", "from-job", "clone", "operator"]
    );
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "plan", "re"]),
        ["revoke"]
    );
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "apply", "some"]),
        [""; 0]
    );
    let run = sb.read_entries_by_type("run.begin")[0]["run"]
        .as_str()
        .expect("a name")
        .to_owned();
    for words in [
        &["bypassctl", "audit", "show", ""][..],
        &["bypassctl", "audit", "export", "--run", &run[..3]],
    ] {
        assert_eq!(
            complete_in_bash(&sb, words).first(),
            Some(&run),
            "{words:?}"
        );
    }
    sb.write("home/some.plan", "");
    assert_eq!(
        complete_in_bash(&sb, &["bypassctl", "apply", "some"]),
        ["some.plan"]
    );
    assert_eq!(sb.call_lines(), "", "completion contacts no cluster");
}

/// The program of a shell, its arguments, and the line that loads the completion.
type InteractiveShell = (&'static str, &'static [&'static str], &'static str);

const INTERACTIVE_BASH: InteractiveShell = (
    BASH_PATH,
    &["--norc", "--noprofile", "-i"],
    "source <(bypassctl completion bash)",
);

const INTERACTIVE_ZSH: InteractiveShell = (
    "/usr/bin/zsh",
    &["-f", "-i"],
    "autoload -U compinit; compinit -u -D; source <(bypassctl completion zsh)",
);

/// The shell runs the completed command line, which would otherwise be a usage error.
#[test]
fn interactive_shells_complete_typed_words() {
    for (path, args, setup) in [INTERACTIVE_BASH, INTERACTIVE_ZSH] {
        if !Path::new(path).exists() {
            report_skipped(&format!(
                "{path} is missing, so its completion was not tested"
            ));
            continue;
        }
        let sb = create_enabled_sandbox();
        let shell: Vec<&str> = [path].iter().chain(args).copied().collect();
        let typed = "bypassctl status --context=sim\t--profile=def\t-n influxdb\n\
                     bypassctl disa\t--prof\tdef\t\nexit\n";
        let run = sb.run_shell_in_terminal(&shell, &format!("{setup}\n{typed}"));
        assert!(
            run.stdout.contains("the admin token is in use"),
            "{path}: {}",
            run.stdout
        );
        assert!(
            run.stdout
                .contains("done: profile `default` no longer has an admin token"),
            "{path}: {}",
            run.stdout
        );
    }
}

#[test]
fn fish_completes_context_names() {
    let fish = "/usr/bin/fish";
    if !Path::new(fish).exists() {
        return report_skipped(&format!(
            "{fish} is missing, so its completion was not tested"
        ));
    }
    let sb = create_enabled_sandbox();
    let script = "bypassctl completion fish | source; complete -C 'bypassctl --context '";
    let run = sb.run_shell_script("home", &[fish, "--no-config", "-c"], script, &[]);
    assert_eq!(
        (run.code, run.stdout.as_str()),
        (0, "sim-dev\nother\n"),
        "{}",
        run.stderr
    );
}

/// Names of contexts that create a file where a shell evaluates them.
const HOSTILE_NAMES: &[&str] = &[
    "$(touch${IFS}$HOME/pwned)",
    "`touch $HOME/pwned`",
    "x;touch $HOME/pwned;",
    "\"$(touch $HOME/pwned)\"",
    "'$(touch $HOME/pwned)'",
    "x\\'$(touch $HOME/pwned)",
    "(touch $HOME/pwned)",
    "x>$HOME/pwned",
];

fn write_kubeconfig(sb: &Sandbox, names: &[&str]) {
    let contexts: String = names
        .iter()
        .map(|name| format!("- context: {{}}\n  name: '{}'\n", name.replace('\'', "''")))
        .collect();
    sb.write("home/.kube/config", format!("contexts:\n{contexts}"));
}

/// The shell completes the name of a context in a foreign kubeconfig, and runs the line.
#[test]
fn completed_names_are_quoted_in_interactive_shells() {
    for (path, args, setup) in [
        INTERACTIVE_BASH,
        INTERACTIVE_ZSH,
        // fish refuses a terminal that does not control it.
        (
            "/usr/bin/setsid",
            &["--ctty", "--wait", "/usr/bin/fish", "--no-config", "-i"],
            "bypassctl completion fish | source",
        ),
    ] {
        let shell: Vec<&str> = [path].iter().chain(args).copied().collect();
        let mut programs = shell.iter().filter(|word| word.starts_with('/'));
        if let Some(missing) = programs.find(|program| !Path::new(program).exists()) {
            report_skipped(&format!(
                "{missing} is missing, so its completion was not tested"
            ));
            continue;
        }
        check_in_parallel(HOSTILE_NAMES.iter(), |name| {
            let mut sb = Sandbox::new();
            sb.set_env("TERM", "dumb");
            write_kubeconfig(&sb, &[name]);
            let typed = "bypassctl doctor -n influxdb --context \t\nexit\n";
            let run = sb.run_shell_in_terminal(&shell, &format!("{setup}\n{typed}"));
            let shown: Vec<&str> = run.stdout.split_whitespace().collect();
            let words = format!("context `{name}` not found in the kubeconfig");
            let words: Vec<&str> = words.split_whitespace().collect();
            assert!(
                shown.windows(words.len()).any(|part| part == words),
                "{path}: {}",
                run.stdout
            );
            assert!(!sb.home_path("pwned").exists(), "{path} ran `{name}`");
        });
    }
}

#[test]
fn bash_quotes_names_and_drops_unprintable_ones() {
    let sb = create_enabled_sandbox();
    write_kubeconfig(&sb, &["it's", "a b", "*", "$(x)", "~root"]);
    let config = sb.read("home/.kube/config");
    sb.write(
        "home/.kube/config",
        format!(
            "{config}- context: {{}}\n  name: \"x\\x1b[2J\"\n- context: {{}}\n  name: \"\\x79 z\"\n"
        ),
    );
    sb.write("home/file", "");
    let complete = |word: &str| {
        let script = format!(
            "source <(bypassctl completion bash)
COMP_WORDS=(bypassctl --context {word}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)) COMP_TYPE=9
_bypassctl_joined bypassctl \"${{COMP_WORDS[COMP_CWORD]}}\" --context
printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        let run = sb.run_shell_script("home", &[BASH_PATH, "-c"], &script, &[]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""));
        run.stdout
    };
    let expected = ["it\\'s", "a\\ b", "\\*", "\\$\\(x\\)", "y\\ z"];
    let offered = complete("''");
    let offered: Vec<&str> = offered.lines().map(str::trim_end).collect();
    assert_eq!(offered, expected);
    let offered = complete("= it");
    assert_eq!(offered.trim_end(), "it\\'s", "behind --context=");
}

/// kubectl starts a plugin, and the plugin's completion, by the names of these links.
#[test]
fn kubectl_plugin_prints_its_own_command_name() {
    let sb = create_enabled_sandbox();
    for name in [
        "kubectl-influxdb_bypass",
        "kubectl_complete-influxdb_bypass",
    ] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_bypassctl"), sb.path("bin").join(name))
            .expect("sandbox");
    }
    let called =
        |line: &str| sb.run_shell_script("home", &["/bin/sh", "-c"], &format!("exec {line}"), &[]);
    let refused = called("kubectl-influxdb_bypass disable --profile nope");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert_eq!(called("kubectl-influxdb_bypass disable").code, 0);
    let done = called("kubectl-influxdb_bypass enable -n influxdb");
    assert!(
        done.stdout
            .ends_with("to undo this, run `kubectl influxdb-bypass disable`\n"),
        "{}",
        done.stdout
    );
    assert!(
        done.stderr.contains("run `kubectl influxdb-bypass revoke`"),
        "{}",
        done.stderr
    );
    let help = called("kubectl-influxdb_bypass --help");
    assert!(
        help.stdout
            .contains("Usage: kubectl influxdb-bypass [OPTIONS] <COMMAND>"),
        "{}",
        help.stdout
    );
    for line in [
        "kubectl-influxdb_bypass enable --help",
        "kubectl-influxdb_bypass plan --help",
        "kubectl-influxdb_bypass nope",
    ] {
        let output = called(line);
        let output = output.stdout + &output.stderr;
        assert!(
            output.contains("kubectl influxdb-bypass") && !output.contains("bypassctl enable"),
            "{line}: {output}"
        );
    }
    let offered = called("kubectl_complete-influxdb_bypass status --context ''");
    assert_eq!(offered.stdout, "sim-dev\nother\n:4\n");
    // The scripts of kubectl expand the candidates.
    write_kubeconfig(&sb, &["$(x)", "a b", "user@host", "`x`"]);
    let offered = called("kubectl_complete-influxdb_bypass status --context ''");
    assert_eq!(offered.stdout, "user@host\n:4\n");
    let offered = called("kubectl_complete-influxdb_bypass tools v");
    assert_eq!(
        offered.stdout,
        "verify\tVerify the installed tools against the policy\n:4\n"
    );
}

#[test]
fn bare_command_prints_quick_start() {
    let sb = Sandbox::new();
    let output = sb.run::<&str>(&[]);
    insta::assert_snapshot!(output.normalized_output());
    for command in ["enable", "revoke", "audit", "tools", "plan"] {
        assert!(
            sb.run(&[command, "--help"])
                .stdout
                .contains("--assume-influxctl-version"),
            "{command}"
        );
    }
}

#[test]
fn version_prints_program_and_format_versions() {
    let sb = Sandbox::new();
    let output = sb.run(&["version"]);
    let [first, ..] = output.stdout.lines().collect::<Vec<_>>()[..] else {
        panic!("{}", output.stdout)
    };
    assert_eq!(
        (output.code, first),
        (0, concat!("bypassctl ", env!("CARGO_PKG_VERSION")))
    );
    let json: Value =
        serde_json::from_str(&sb.run(&["version", "-o", "json"]).stdout).expect("JSON");
    let versions = &json["versions"];
    assert_eq!(
        (
            &versions["report"],
            &versions["plan"],
            &versions["audit_log"]
        ),
        (&"bypassctl/2".into(), &"bypassctl.plan/2".into(), &3.into())
    );
    assert!(!sb.log_path().exists(), "completion creates no log");
}
