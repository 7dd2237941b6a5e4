//! Runs the examples for CI in `docs/examples`, as far as possible without the CI services.

use crate::enable::run_enable;
use crate::policy::install_own_tools;
use crate::revoke::{create_fast_sandbox, is_token_accepted};
use crate::sandbox::{CommandOutput, Sandbox, report_skipped};
use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::json;
use std::collections::BTreeMap;

const REPOSITORY_DIR: &str = "home/repository";

fn load_example(name: &str) -> Vec<Yaml<'static>> {
    let path = format!("{}/docs/examples/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).expect(&path).leak();
    Yaml::load_from_str(text).expect(name)
}

fn get_string(yaml: &Yaml, key: &str) -> Option<String> {
    yaml.as_mapping_get(key)
        .and_then(Yaml::as_str)
        .map(str::to_owned)
}

fn to_string_list(yaml: Option<&Yaml>) -> Vec<String> {
    let items = yaml
        .and_then(Yaml::as_vec)
        .map(Vec::as_slice)
        .unwrap_or_default();
    items
        .iter()
        .filter_map(Yaml::as_str)
        .map(str::to_owned)
        .collect()
}

fn to_string_pairs(yaml: Option<&Yaml>) -> Vec<(String, String)> {
    let pair = |(name, value): (&Yaml, &Yaml)| {
        Some((name.as_str()?.to_owned(), value.as_str()?.to_owned()))
    };
    yaml.and_then(Yaml::as_mapping)
        .map(|map| map.iter().filter_map(pair).collect())
        .unwrap_or_default()
}

/// Creates a cluster with an enabled token, and a repository with the examples' policy and pinned
/// tools.
fn create_repository_sandbox() -> Sandbox {
    let sb = create_fast_sandbox();
    install_own_tools(&sb);
    assert_eq!(run_enable(&sb, &[]).code, 0);
    sb.write("home/repository/.git/HEAD", "");
    sb.write(
        "home/repository/influxctl.toml",
        sb.read("home/.config/influxctl/config.toml"),
    );
    let policy = std::fs::read(format!(
        "{}/docs/examples/bypassctl.toml",
        env!("CARGO_MANIFEST_DIR")
    ))
    .expect("the example policy");
    sb.write("home/repository/bypassctl.toml", policy);
    let pin = ["tools", "pin", "--write", "--policy", "bypassctl.toml"];
    let pinned = sb.run_in_directory(REPOSITORY_DIR, &pin);
    assert_eq!(pinned.code, 0, "{}", pinned.stderr);
    sb
}

fn assert_succeeded(run: &CommandOutput, what: &str) {
    assert_eq!(run.code, 0, "{what}\n{}{}", run.stdout, run.stderr);
}

/// Values of workflow expressions.
type WorkflowValues = BTreeMap<String, String>;

fn expand_expressions(value: &str, known: &WorkflowValues) -> String {
    let expression = regex::Regex::new(r"\$\{\{ *([^ }]+) *\}\}").expect("a pattern");
    let lookup = |found: &regex::Captures| {
        known
            .get(&found[1])
            .unwrap_or_else(|| panic!("`{}`", &found[1]))
            .clone()
    };
    expression.replace_all(value, lookup).into_owned()
}

/// Runs the scripts of a job. The actions in `uses` only check out, or transfer artifacts.
fn run_github_job(sb: &Sandbox, workflow: &Yaml, name: &str, known: &mut WorkflowValues) {
    let job = &workflow["jobs"][name];
    for step in job["steps"].as_vec().expect("steps") {
        let Some(script) = get_string(step, "run") else {
            let uses = get_string(step, "uses").expect("a step runs or uses something");
            let kept = ["checkout", "upload-artifact", "download-artifact"];
            assert!(
                kept.iter()
                    .any(|known| uses.starts_with(&format!("actions/{known}@v"))),
                "{uses}"
            );
            continue;
        };
        let output = sb.write("home/output", "");
        let env: Vec<(String, String)> = [workflow, job, step]
            .iter()
            .flat_map(|of| to_string_pairs(of.as_mapping_get("env")))
            .map(|(name, value)| (name, expand_expressions(&value, known)))
            .chain([("GITHUB_OUTPUT".to_owned(), output.display().to_string())])
            .chain(["CI", "GITHUB_ACTIONS"].map(|name| (name.to_owned(), "true".to_owned())))
            .collect();
        // The runner starts a step like this.
        let shell = [
            "/bin/bash",
            "--noprofile",
            "--norc",
            "-e",
            "-o",
            "pipefail",
            "-c",
        ];
        let run = sb.run_shell_script(REPOSITORY_DIR, &shell, &script, &env);
        assert_succeeded(&run, &script);
        if let Some(id) = get_string(step, "id") {
            let outputs = sb.read("home/output");
            known.extend(
                outputs
                    .lines()
                    .filter_map(|line| line.split_once('='))
                    .map(|(key, value)| (format!("steps.{id}.outputs.{key}"), value.to_owned())),
            );
        }
    }
    for (key, value) in to_string_pairs(job.as_mapping_get("outputs")) {
        let value = expand_expressions(&value, known);
        known.insert(format!("needs.{name}.outputs.{key}"), value);
    }
}

#[test]
fn github_actions_example_revokes_on_apply() {
    let sb = create_repository_sandbox();
    let old = sb.admin_token();
    let workflow = &load_example("github-actions.yml")[0];
    assert_eq!(
        get_string(&workflow["jobs"]["apply"], "needs").as_deref(),
        Some("plan")
    );
    assert!(
        get_string(&workflow["jobs"]["apply"], "environment").is_some(),
        "the environment requires approval"
    );
    let mut known: WorkflowValues = [
        ("vars.INFLUXDB_CONTEXT", "sim-dev"),
        ("inputs.reason", "CHG-31"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    run_github_job(&sb, workflow, "plan", &mut known);
    assert!(is_token_accepted(&sb, &old), "plan changed the token");
    assert_eq!(known["needs.plan.outputs.sha256"].len(), 64);
    run_github_job(&sb, workflow, "apply", &mut known);
    assert!(!is_token_accepted(&sb, &old), "revoked");
    assert!(sb.read("home/repository/audit.html").contains("CHG-31"));
    // `accepted` probes the last token.
    let spared = [
        "home/.config/influxctl/admin-token-default.json",
        "tmp/token.json",
    ]
    .map(std::path::Path::new);
    sb.assert_no_secret_leaked(&spared);
}

#[test]
fn gitlab_example_revokes_on_apply() {
    let mut sb = create_repository_sandbox();
    let old = sb.admin_token();
    let pipeline = &load_example("gitlab-ci.yml")[0];
    let variables = to_string_pairs(pipeline.as_mapping_get("variables"));
    sb.set_env("GITLAB_CI", "true")
        .set_env("CI", "true")
        .set_env("CONFIRM", "sim-dev/influxdb")
        .set_env("REASON", "CHG-32");
    let mut env = variables;
    for stage in to_string_list(pipeline.as_mapping_get("stages")) {
        let job = &pipeline[stage.as_str()];
        for key in ["script", "after_script"] {
            for line in to_string_list(job.as_mapping_get(key)) {
                let run = sb.run_shell_script(
                    REPOSITORY_DIR,
                    &["/bin/bash", "-e", "-o", "pipefail", "-c"],
                    &line,
                    &env,
                );
                assert_succeeded(&run, &line);
            }
        }
        assert_eq!(
            get_string(&job["artifacts"], "when").as_deref(),
            Some("always"),
            "the artifact is kept after a failure"
        );
        for artifact in to_string_list(job["artifacts"].as_mapping_get("paths")) {
            assert!(
                sb.path(REPOSITORY_DIR).join(&artifact).is_file(),
                "{stage} keeps `{artifact}`"
            );
        }
        if stage == "plan" {
            assert!(is_token_accepted(&sb, &old), "plan changed the token");
            let dotenv = sb.read("home/repository/plan.env");
            let (name, value) = dotenv.trim().split_once('=').expect("a variable");
            env.push((name.to_owned(), value.to_owned()));
        }
    }
    assert!(!is_token_accepted(&sb, &old), "revoked");
}

/// A pull request brings its own policy.
#[test]
fn policy_comes_from_protected_branch() {
    let path = std::env::var("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join("git").exists()) {
        return report_skipped("git is missing, so its commands in docs/CI.md were not tested");
    }
    let sb = create_fast_sandbox();
    sb.write(
        "home/origin/influxctl.toml",
        sb.read("home/.config/influxctl/config.toml"),
    );
    sb.write(
        "home/origin/bypassctl.toml",
        "[guard]\nrequire_reason = \"CHG-[0-9]+\"\n[namespaces.influxdb]\nconfig = \"influxctl.toml\"\n",
    );
    let document = format!("{}/docs/CI.md", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(document).expect("the document");
    let block = document
        .split("```sh\n")
        .find(|block| block.starts_with("policy=$(mktemp -d)"))
        .and_then(|block| block.split("```").next())
        .expect("the block");
    let script = format!(
        "PATH=$PATH:{path}
git() {{ command git -c user.name=x -c user.email=x@example.com \"$@\"; }}
git init -q -b main origin && git -C origin add . && git -C origin commit -qm policy
git clone -q origin repository && cd repository && git checkout -qb pull-request
echo '[tools.kubectl]\npath = \"evil\"' >bypassctl.toml && git commit -qam evil
{block}
code=0
bypassctl enable -n influxdb || code=$?
[ $code = 4 ]
exec bypassctl enable -n influxdb --reason CHG-1"
    );
    let run = sb.run_shell_script("home", &["/bin/sh", "-e", "-c"], &script, &[]);
    assert_succeeded(&run, block);
    assert!(
        run.stderr
            .contains("requires a reason that matches `CHG-[0-9]+`")
            && run
                .stderr
                .contains("it sets namespaces.influxdb.config = \"influxctl.toml\""),
        "{}",
        run.stderr
    );
}

#[test]
fn cron_job_example_fails_on_drift() {
    let mut sb = create_fast_sandbox();
    let documents = load_example("cronjob.yaml");
    let kinds: Vec<_> = documents
        .iter()
        .filter_map(|document| get_string(document, "kind"))
        .collect();
    assert_eq!(kinds, ["ServiceAccount", "Role", "RoleBinding", "CronJob"]);
    let pod = &documents[3]["spec"]["jobTemplate"]["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    // The mounts: the configuration with a token file, and the token.
    let token = sb.home_path("pod/.config/influxctl/admin-token-default.json");
    let section = format!(
        "\n    [profile.auth.token]\n        token_file = \"{}\"\n",
        token.display()
    );
    sb.write(
        "home/admin/config.toml",
        sb.read("home/.config/influxctl/config.toml") + &section,
    );
    sb.write("home/admin/admin-token-default.json", sb.admin_token());
    sb.edit_state(|world| {
        world["current_context"] = json!("");
        world["in_cluster"] =
            json!({"server": "https://10.0.0.1:443", "cluster": "sim", "user": "ci"});
    });
    // The example's account may read one secret and nothing else.
    sb.deny_access(json!({"verb": "get", "resource": "namespaces"}));
    sb.set_env("KUBERNETES_SERVICE_HOST", "10.0.0.1")
        .set_env("KUBERNETES_SERVICE_PORT", "443");
    let mut env: Vec<(String, String)> = Vec::new();
    for entry in container["env"].as_vec().expect("variables") {
        let value = get_string(entry, "value").expect("a value");
        let value = value.replace("/home/nonroot", sb.home_path("pod").to_str().expect("text"));
        let value = value.replace(
            "/etc/influxctl-admin",
            sb.home_path("admin").to_str().expect("text"),
        );
        env.push((get_string(entry, "name").expect("a name"), value));
    }
    env.push(("XDG_CONFIG_HOME".to_owned(), String::new()));
    let shell = to_string_list(container.as_mapping_get("command"));
    let shell: Vec<&str> = shell.iter().map(String::as_str).collect();
    let script = to_string_list(container.as_mapping_get("args")).concat();
    let run_check = |sb: &Sandbox| sb.run_shell_script("home", &shell, &script, &env);
    let matching = run_check(&sb);
    assert_succeeded(&matching, "matching token");
    sb.set_admin_token(br#"{"access_token":"another one, created since"}"#);
    let drifted = run_check(&sb);
    assert_eq!(drifted.code, 3, "{}{}", drifted.stdout, drifted.stderr);
    let calls = sb.call_lines();
    assert!(
        !calls.contains("--context") && !calls.contains("delete"),
        "{calls}"
    );
}
