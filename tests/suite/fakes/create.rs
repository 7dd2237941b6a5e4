//! Creation of several jobs, and its rejections.

use super::{build_job, build_list, create_object, create_object_ok, run_kubectl_ok};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

const DRY_RUN_ARGS: &[&str] = &["--dry-run=server", "--output", "name"];
const SERVER_ERROR_PREFIX: &str = "Error from server";

/// Returns a job with one or two validation errors.
fn build_invalid_job(name: &str, twice: bool) -> Value {
    let mut job = build_job(name, &json!({"selector": {"matchLabels": {"a": "b"}}}));
    if twice {
        job["spec"]["template"]["metadata"] = json!({"labels": {"job-name": "other"}});
    }
    job
}

fn build_plain_job(name: &str) -> Value {
    build_job(name, &json!({}))
}

#[test]
fn create_continues_when_one_job_already_exists() {
    let sb = Sandbox::new();
    create_object_ok(&sb, &build_plain_job("there"));
    let run = create_object(
        &sb,
        &build_list(&[
            build_plain_job("a"),
            build_plain_job("there"),
            build_plain_job("z"),
        ]),
        DRY_RUN_ARGS,
    );
    let exists = "error when creating \"STDIN\": jobs.batch \"there\" already exists";
    let text = format!("{SERVER_ERROR_PREFIX} (AlreadyExists): {exists}\n");
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr),
        (1, "job.batch/a\njob.batch/z\n", text)
    );
    let run = create_object(
        &sb,
        &build_list(&[build_plain_job("there"), build_plain_job("z")]),
        &["--dry-run=server", "--output", "json"],
    );
    let printed: Value = serde_json::from_str(&run.stdout).expect("one document");
    assert_eq!((run.code, &printed["metadata"]["name"]), (1, &json!("z")));
    assert!(
        !sb.refresh_cluster()["jobs"]
            .as_object()
            .expect("jobs")
            .contains_key("influxdb/z"),
        "a dry run creates nothing"
    );
    let run = create_object(
        &sb,
        &build_list(&[build_plain_job("there"), build_plain_job("z")]),
        &["--output", "name"],
    );
    assert_eq!((run.code, run.stdout.as_str()), (1, "job.batch/z\n"));
    assert!(sb.refresh_cluster()["jobs"]["influxdb/z"].is_object());
}

#[test]
fn create_errors_differ_for_one_and_several_failures() {
    let sb = Sandbox::new();
    let err = |items: &[Value]| create_object(&sb, &build_list(items), DRY_RUN_ARGS).stderr;
    let elsewhere = json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "e", "namespace": "default"}
    });
    let mismatch = "the namespace from the provided object \"default\" does not match the \
                    namespace \"influxdb\". You must pass '--namespace=default' to perform this \
                    operation.\n";
    let cause = "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` not \
                 auto-generated";
    let label = "spec.template.metadata.labels[job-name]: Invalid value: {\"job-name\":\"other\"}: \
                 must be 'y'";
    assert_eq!(
        err(&[build_plain_job("a"), elsewhere.clone()]),
        format!("error: {mismatch}")
    );
    assert_eq!(
        err(&[build_plain_job("a"), build_invalid_job("x", false)]),
        format!("The Job \"x\" is invalid: {cause}\n")
    );
    assert_eq!(
        err(&[build_invalid_job("y", true)]),
        format!("The Job \"y\" is invalid: \n* {label}\n* {cause}\n")
    );
    let several = |context: &str| {
        format!(
            "{mismatch}{SERVER_ERROR_PREFIX} (Invalid): {context}Job.batch \"x\" is invalid: \
             {cause}\n{SERVER_ERROR_PREFIX} (Invalid): {context}Job.batch \"y\" is invalid: \
             [{label}, {cause}]\n"
        )
    };
    let all = [
        elsewhere,
        build_invalid_job("x", false),
        build_invalid_job("y", true),
    ];
    assert_eq!(err(&all), several("error when creating \"STDIN\": "));
    sb.set_kubectl_version("v1.20.2");
    assert_eq!(err(&all), several(""));
}

#[test]
fn create_fails_after_successful_dry_run() {
    let sb = Sandbox::new();
    sb.edit_cluster(|cluster| {
        cluster["create_refusal"] = json!("jobs.batch \"x\" is forbidden: exceeded quota: q")
    });
    let dry = create_object(&sb, &build_plain_job("x"), DRY_RUN_ARGS);
    assert_eq!(
        (dry.code, dry.stdout.as_str(), dry.stderr.as_str()),
        (0, "job.batch/x\n", "")
    );
    let real = create_object(&sb, &build_plain_job("x"), &["--output", "json"]);
    let text = "Error from server (Forbidden): error when creating \"STDIN\": jobs.batch \"x\" is \
                forbidden: exceeded quota: q\n";
    assert_eq!(
        (real.code, real.stdout.as_str(), real.stderr.as_str()),
        (1, "", text)
    );
    assert!(sb.refresh_cluster()["jobs"]["influxdb/x"].is_null());
    create_object_ok(
        &sb,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}),
    );
    run_kubectl_ok(&sb, "get configmap c --namespace influxdb --output name");
}
