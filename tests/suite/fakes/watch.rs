//! Watches by selector: events, missing objects, and a lost connection.

use super::{
    build_job, create_object_ok, get_object, run_kubectl, run_kubectl_ok, split_words,
    wait_for_polls,
};
use crate::sandbox::{RunningCommand, Sandbox, wait_until};
use serde_json::{Value, json};

const GET_LATE_JOB: &str =
    "get jobs --field-selector metadata.name=late --namespace influxdb --output json";
const GET_LATE_PODS: &str = "get pods --selector job-name=late --namespace influxdb --output json";
const WATCH_EVENTS_FLAGS: &str = "--watch --output-watch-events";

fn spawn_kubectl(sb: &Sandbox, line: &str) -> RunningCommand {
    sb.spawn_tool("kubectl", &split_words(line))
}

/// Returns the events that a watch has printed so far, one per line.
fn parse_events(running: &RunningCommand) -> Vec<Value> {
    let text = running.read_output("stdout");
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).expect("a line is an event"))
        .collect()
}

fn list_event_types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect()
}

fn create_late_job(sb: &Sandbox) {
    create_object_ok(sb, &build_job("late", &json!({})));
}

/// Waits for the end of the job.
fn wait_for_late_job(sb: &Sandbox) {
    run_kubectl_ok(
        sb,
        "wait --for=condition=complete job/late --namespace influxdb --timeout=60s",
    );
}

#[test]
fn watch_reports_events_of_later_created_job() {
    let sb = Sandbox::new();
    let [job, pods] = [GET_LATE_JOB, GET_LATE_PODS]
        .map(|line| spawn_kubectl(&sb, &format!("{line} {WATCH_EVENTS_FLAGS}")));
    wait_for_polls(&sb);
    wait_for_polls(&sb);
    assert_eq!(job.read_output("stdout") + &pods.read_output("stdout"), "");
    create_late_job(&sb);
    wait_for_late_job(&sb);
    let shown = get_object(&sb, "job/late");
    let is_complete = |event: &Value| event["object"]["status"]["succeeded"] == 1;
    wait_until("the job's end is printed", || {
        parse_events(&job).last().is_some_and(is_complete)
    });
    run_kubectl_ok(&sb, "delete job/late --namespace influxdb");
    let gone = |running: &RunningCommand| {
        parse_events(running)
            .last()
            .is_some_and(|event| event["type"] == "DELETED")
    };
    wait_until("job and pods are deleted", || gone(&job) && gone(&pods));
    create_late_job(&sb);
    wait_until("another job exists", || {
        parse_events(&job).len() > 2 && !gone(&job)
    });
    for (running, kind) in [(&job, "Job"), (&pods, "Pod")] {
        let events = parse_events(running);
        let end = events
            .iter()
            .position(|event| event["type"] == "DELETED")
            .expect("a removed file");
        assert_eq!(list_event_types(&events)[0], "ADDED");
        assert!(
            list_event_types(&events)[1..end]
                .iter()
                .all(|kind| *kind == "MODIFIED"),
            "{:?}",
            list_event_types(&events)
        );
        assert!(end > 1 && events.iter().all(|event| event["object"]["kind"] == kind));
        assert_eq!(
            events[end]["object"],
            events[end - 1]["object"],
            "the last state"
        );
    }
    let all = parse_events(&job);
    let second = all
        .iter()
        .rposition(|event| event["type"] == "ADDED")
        .expect("an event");
    let uid = |event: &Value| event["object"]["metadata"]["uid"].clone();
    assert_eq!(uid(&all[0]), shown["metadata"]["uid"]);
    assert!(second > 0 && uid(&all[second]) != uid(&all[0]));
}

#[test]
fn watch_prints_existing_object_first() {
    let sb = Sandbox::new();
    let line = GET_LATE_JOB.replace("late", "key-gen-7c9d2b41");
    let running = spawn_kubectl(&sb, &format!("{line} {WATCH_EVENTS_FLAGS}"));
    wait_until("the event is printed", || {
        running.read_output("stdout").ends_with('\n')
    });
    let text = running.read_output("stdout");
    let start = "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\
                 \"metadata\":{\"annotations\":{";
    assert!(
        text.starts_with(start) && text.matches('\n').count() == 1,
        "{text}"
    );
    // Unlike documents, events contain fields that kubectl otherwise omits.
    let mut event = parse_events(&running).remove(0);
    let metadata = event["object"]["metadata"]
        .as_object_mut()
        .expect("metadata");
    assert!(
        metadata
            .remove("managedFields")
            .is_some_and(|fields| fields.is_array())
    );
    assert_eq!(event["object"], get_object(&sb, "job/key-gen-7c9d2b41"));
    let plain = spawn_kubectl(&sb, &format!("{line} --watch"));
    wait_until("the event is printed", || {
        plain.read_output("stdout").ends_with("\n}\n")
    });
    assert_eq!(
        serde_json::from_str::<Value>(&plain.read_output("stdout")).expect("JSON"),
        event["object"]
    );
}

#[test]
fn watch_events_escape_html_characters() {
    let sb = Sandbox::new();
    let mut manifest = build_job("late", &json!({}));
    manifest["metadata"]["annotations"] = json!({"q": "<>&é"});
    create_object_ok(&sb, &manifest);
    let running = spawn_kubectl(&sb, &format!("{GET_LATE_JOB} {WATCH_EVENTS_FLAGS}"));
    wait_until("the event is printed", || {
        running
            .read_output("stdout")
            .contains(r#"{"q":"\u003c\u003e\u0026é"}"#)
    });
}

#[test]
fn field_selector_filters_jobs_by_exact_name() {
    let sb = Sandbox::new();
    let names = |name: &str| -> Vec<Value> {
        let list = get_object(&sb, &format!("jobs --field-selector metadata.name={name}"));
        list["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|job| job["metadata"]["name"].clone())
            .collect()
    };
    assert_eq!(names("key-gen-7c9d2b41"), ["key-gen-7c9d2b41"]);
    assert_eq!(names("key-gen"), [""; 0]);
    for line in [
        "get jobs --field-selector status.successful=1",
        "get jobs --field-selector metadata.name=x --output name",
    ] {
        assert_eq!(
            run_kubectl(&sb, &format!("{line} --namespace influxdb")).code,
            99,
            "{line}"
        );
    }
}

#[test]
fn watch_requires_list_and_watch_permissions() {
    let forbidden = |verb: &str, version: &str, line: &str| {
        let sb = Sandbox::new();
        sb.set_kubectl_version(version);
        sb.deny_access(json!({"verb": verb, "resource": "*"}));
        let run = run_kubectl(&sb, line);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
        run.stderr
    };
    let text = |what: &str, verb: &str, resource: &str, group: &str| {
        format!(
            "Error from server (Forbidden): {what} is forbidden: User \"admin\" cannot {verb} \
             resource \"{resource}\" in API group \"{group}\" in the namespace \"influxdb\"\n"
        )
    };
    for verb in ["list", "watch"] {
        let job = forbidden(
            verb,
            "v1.32.3",
            &format!("{GET_LATE_JOB} {WATCH_EVENTS_FLAGS}"),
        );
        assert_eq!(job, text("jobs.batch \"late\"", verb, "jobs", "batch"));
        assert_eq!(
            forbidden(
                verb,
                "v1.32.3",
                &format!("{GET_LATE_PODS} {WATCH_EVENTS_FLAGS}")
            ),
            text("pods", verb, "pods", "")
        );
    }
    for line in [
        format!("{GET_LATE_JOB} {WATCH_EVENTS_FLAGS}"),
        format!("{GET_LATE_JOB} --watch"),
    ] {
        let old = forbidden("watch", "v1.30.0", &line);
        assert_eq!(
            old,
            "Error from server (Forbidden): unknown (get jobs.batch)\n"
        );
    }
    // A forbidden watch prints an empty list, with a name as well.
    let sb = Sandbox::new();
    sb.deny_access(json!({"verb": "list", "resource": "jobs", "name": "late"}));
    let run = run_kubectl(&sb, GET_LATE_JOB);
    assert_eq!(
        (run.code, run.stderr),
        (1, text("jobs.batch \"late\"", "list", "jobs", "batch"))
    );
    assert_eq!(
        serde_json::from_str::<Value>(&run.stdout).expect("JSON")["items"],
        json!([])
    );
}

#[test]
fn watch_ends_when_server_becomes_unreachable() {
    let gone = |what_happens: &dyn Fn(&Sandbox)| {
        let sb = Sandbox::new();
        create_late_job(&sb);
        wait_for_late_job(&sb);
        let lines = [
            format!("{GET_LATE_JOB} {WATCH_EVENTS_FLAGS}"),
            format!("{GET_LATE_PODS} --watch"),
            GET_LATE_JOB.replace("jobs --field-selector metadata.name=", "job/") + " --watch",
        ];
        let running = lines.map(|line| spawn_kubectl(&sb, &line));
        wait_until("all events are printed", || {
            running
                .iter()
                .all(|r| r.read_output("stdout").ends_with("}\n"))
        });
        wait_for_polls(&sb);
        wait_for_polls(&sb);
        let before = running.each_ref().map(|r| r.read_output("stdout"));
        what_happens(&sb);
        for (running, before) in running.into_iter().zip(before) {
            let run = running.wait();
            assert_eq!(
                (run.code, run.stdout, run.stderr.as_str()),
                (0, before, ""),
                "quietly"
            );
        }
    };
    gone(&|sb| sb.edit_cluster(|cluster| cluster["unreachable"] = json!(true)));
    // Even a short outage closes the connection.
    gone(&|sb| {
        sb.inject_fault(
            json!({"tool": "kubectl", "contains": ["get"], "do": {"unreachable": {"ms": 1}}}),
        );
        run_kubectl_ok(sb, "get namespace influxdb --output name");
    });
}
