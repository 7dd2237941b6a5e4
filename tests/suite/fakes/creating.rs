//! Creation of several jobs, and what refuses it.

use super::{create, created, done, job, list};
use crate::sandbox::Sandbox;
use serde_json::{Value, json};

const DRY: &[&str] = &["--dry-run=server", "--output", "name"];
const SERVER: &str = "Error from server";

/// A job that the server finds fault with, once or twice.
fn invalid(name: &str, twice: bool) -> Value {
    let mut job = job(name, &json!({"selector": {"matchLabels": {"a": "b"}}}));
    if twice {
        job["spec"]["template"]["metadata"] = json!({"labels": {"job-name": "other"}});
    }
    job
}

fn plain(name: &str) -> Value {
    job(name, &json!({}))
}

#[test]
fn one_refused_keeps_no_other() {
    let sb = Sandbox::new();
    created(&sb, &plain("there"));
    let run = create(&sb, &list(&[plain("a"), plain("there"), plain("z")]), DRY);
    let exists = "error when creating \"STDIN\": jobs.batch \"there\" already exists";
    let text = format!("{SERVER} (AlreadyExists): {exists}\n");
    assert_eq!(
        (run.code, run.stdout.as_str(), run.stderr),
        (1, "job.batch/a\njob.batch/z\n", text)
    );
    let run = create(
        &sb,
        &list(&[plain("there"), plain("z")]),
        &["--dry-run=server", "--output", "json"],
    );
    let printed: Value = serde_json::from_str(&run.stdout).expect("one document");
    assert_eq!((run.code, &printed["metadata"]["name"]), (1, &json!("z")));
    assert!(
        !sb.now()["jobs"]
            .as_object()
            .expect("jobs")
            .contains_key("influxdb/z"),
        "it was a dry run"
    );
    let run = create(
        &sb,
        &list(&[plain("there"), plain("z")]),
        &["--output", "name"],
    );
    assert_eq!((run.code, run.stdout.as_str()), (1, "job.batch/z\n"));
    assert!(sb.now()["jobs"]["influxdb/z"].is_object());
}

#[test]
fn a_refusal_alone_is_told_otherwise() {
    let sb = Sandbox::new();
    let err = |items: &[Value]| create(&sb, &list(items), DRY).stderr;
    let elsewhere = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "e", "namespace": "default"}});
    let of_two = "the namespace from the provided object \"default\" does not match the namespace \"influxdb\". You must \
                  pass '--namespace=default' to perform this operation.\n";
    let cause = "spec.selector: Invalid value: {\"matchLabels\":{\"a\":\"b\"}}: `selector` not auto-generated";
    let label = "spec.template.metadata.labels[job-name]: Invalid value: {\"job-name\":\"other\"}: must be 'y'";
    assert_eq!(
        err(&[plain("a"), elsewhere.clone()]),
        format!("error: {of_two}")
    );
    assert_eq!(
        err(&[plain("a"), invalid("x", false)]),
        format!("The Job \"x\" is invalid: {cause}\n")
    );
    assert_eq!(
        err(&[invalid("y", true)]),
        format!("The Job \"y\" is invalid: \n* {label}\n* {cause}\n")
    );
    let several = |context: &str| {
        format!(
            "{of_two}{SERVER} (Invalid): {context}Job.batch \"x\" is invalid: {cause}\n\
             {SERVER} (Invalid): {context}Job.batch \"y\" is invalid: [{label}, {cause}]\n"
        )
    };
    let all = [elsewhere, invalid("x", false), invalid("y", true)];
    assert_eq!(err(&all), several("error when creating \"STDIN\": "));
    sb.kubectl_version("v1.20.2");
    assert_eq!(err(&all), several(""));
}

#[test]
fn yes_to_the_dry_run_and_no_to_the_deed() {
    let sb = Sandbox::new();
    sb.cluster(|cluster| {
        cluster["create_refusal"] = json!("jobs.batch \"x\" is forbidden: exceeded quota: q")
    });
    let dry = create(&sb, &plain("x"), DRY);
    assert_eq!(
        (dry.code, dry.stdout.as_str(), dry.stderr.as_str()),
        (0, "job.batch/x\n", "")
    );
    let real = create(&sb, &plain("x"), &["--output", "json"]);
    let text = "Error from server (Forbidden): error when creating \"STDIN\": jobs.batch \"x\" is forbidden: exceeded \
                quota: q\n";
    assert_eq!(
        (real.code, real.stdout.as_str(), real.stderr.as_str()),
        (1, "", text)
    );
    assert!(sb.now()["jobs"]["influxdb/x"].is_null());
    created(
        &sb,
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}),
    );
    done(&sb, "get configmap c --namespace influxdb --output name");
}
