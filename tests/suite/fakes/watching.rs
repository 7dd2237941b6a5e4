//! Watches by selector: events, what is not there yet, and a server that goes away.

use super::{created, done, job, kubectl, object, wait_for_looks, words};
use crate::sandbox::{Running, Sandbox, wait_until};
use serde_json::{Value, json};

const JOB: &str = "get jobs --field-selector metadata.name=late --namespace influxdb --output json";
const PODS: &str = "get pods --selector job-name=late --namespace influxdb --output json";
const EVENTS: &str = "--watch --output-watch-events";

fn spawn(sb: &Sandbox, line: &str) -> Running {
    sb.spawn_tool("kubectl", &words(line))
}

/// The lines that a watch has printed so far, each an event.
fn events(running: &Running) -> Vec<Value> {
    let text = running.so_far("stdout");
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).expect("a line is an event"))
        .collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().expect("a type"))
        .collect()
}

fn late(sb: &Sandbox) {
    created(sb, &job("late", &json!({})));
}

/// Waits for the job's end.
fn complete(sb: &Sandbox) {
    done(
        sb,
        "wait --for=condition=complete job/late --namespace influxdb --timeout=60s",
    );
}

#[test]
fn a_job_that_is_not_there_yet_is_waited_for() {
    let sb = Sandbox::new();
    let [job, pods] = [JOB, PODS].map(|line| spawn(&sb, &format!("{line} {EVENTS}")));
    wait_for_looks(&sb);
    wait_for_looks(&sb);
    assert_eq!(job.so_far("stdout") + &pods.so_far("stdout"), "");
    late(&sb);
    complete(&sb);
    let shown = object(&sb, "job/late");
    let is_complete = |event: &Value| event["object"]["status"]["succeeded"] == 1;
    wait_until("its end is printed", || {
        events(&job).last().is_some_and(is_complete)
    });
    done(&sb, "delete job/late --namespace influxdb");
    let gone = |running: &Running| {
        events(running)
            .last()
            .is_some_and(|event| event["type"] == "DELETED")
    };
    wait_until("both are gone", || gone(&job) && gone(&pods));
    late(&sb);
    wait_until("another is there", || events(&job).len() > 2 && !gone(&job));
    for (running, kind) in [(&job, "Job"), (&pods, "Pod")] {
        let events = events(running);
        let end = events
            .iter()
            .position(|event| event["type"] == "DELETED")
            .expect("it went");
        assert_eq!(types(&events)[0], "ADDED");
        assert!(
            types(&events)[1..end]
                .iter()
                .all(|kind| *kind == "MODIFIED"),
            "{:?}",
            types(&events)
        );
        assert!(end > 1 && events.iter().all(|event| event["object"]["kind"] == kind));
        assert_eq!(
            events[end]["object"],
            events[end - 1]["object"],
            "as it last was"
        );
    }
    let all = events(&job);
    let second = all
        .iter()
        .rposition(|event| event["type"] == "ADDED")
        .expect("an event");
    let of = |event: &Value| event["object"]["metadata"]["uid"].clone();
    assert_eq!(of(&all[0]), shown["metadata"]["uid"]);
    assert!(second > 0 && of(&all[second]) != of(&all[0]));
}

#[test]
fn what_is_there_comes_first_and_whole() {
    let sb = Sandbox::new();
    let line = JOB.replace("late", "key-gen-7c9d2b41");
    let running = spawn(&sb, &format!("{line} {EVENTS}"));
    wait_until("it is printed", || running.so_far("stdout").ends_with('\n'));
    let text = running.so_far("stdout");
    let start = "{\"type\":\"ADDED\",\"object\":{\"apiVersion\":\"batch/v1\",\"kind\":\"Job\",\"metadata\":{\"annotations\":{";
    assert!(
        text.starts_with(start) && text.matches('\n').count() == 1,
        "{text}"
    );
    // Unlike documents, events hold what kubectl otherwise leaves out.
    let mut event = events(&running).remove(0);
    let metadata = event["object"]["metadata"]
        .as_object_mut()
        .expect("metadata");
    assert!(
        metadata
            .remove("managedFields")
            .is_some_and(|fields| fields.is_array())
    );
    assert_eq!(event["object"], object(&sb, "job/key-gen-7c9d2b41"));
    let plain = spawn(&sb, &format!("{line} --watch"));
    wait_until("it is printed", || {
        plain.so_far("stdout").ends_with("\n}\n")
    });
    assert_eq!(
        serde_json::from_str::<Value>(&plain.so_far("stdout")).expect("JSON"),
        event["object"]
    );
}

#[test]
fn signs_are_escaped_in_events() {
    let sb = Sandbox::new();
    let mut manifest = job("late", &json!({}));
    manifest["metadata"]["annotations"] = json!({"q": "<>&é"});
    created(&sb, &manifest);
    let running = spawn(&sb, &format!("{JOB} {EVENTS}"));
    wait_until("it is printed", || {
        running
            .so_far("stdout")
            .contains(r#"{"q":"\u003c\u003e\u0026é"}"#)
    });
}

#[test]
fn a_name_selects_in_a_list() {
    let sb = Sandbox::new();
    let names = |name: &str| -> Vec<Value> {
        let list = object(&sb, &format!("jobs --field-selector metadata.name={name}"));
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
            kubectl(&sb, &format!("{line} --namespace influxdb")).code,
            99,
            "{line}"
        );
    }
}

#[test]
fn list_and_watch_are_needed() {
    let forbidden = |verb: &str, version: &str, line: &str| {
        let sb = Sandbox::new();
        sb.kubectl_version(version);
        sb.deny(json!({"verb": verb, "resource": "*"}));
        let run = kubectl(&sb, line);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{line}");
        run.stderr
    };
    let text = |what: &str, verb: &str, resource: &str, group: &str| {
        format!(
            "Error from server (Forbidden): {what} is forbidden: User \"admin\" cannot {verb} resource \"{resource}\" in \
             API group \"{group}\" in the namespace \"influxdb\"\n"
        )
    };
    for verb in ["list", "watch"] {
        let job = forbidden(verb, "v1.32.3", &format!("{JOB} {EVENTS}"));
        assert_eq!(job, text("jobs.batch \"late\"", verb, "jobs", "batch"));
        assert_eq!(
            forbidden(verb, "v1.32.3", &format!("{PODS} {EVENTS}")),
            text("pods", verb, "pods", "")
        );
    }
    for line in [format!("{JOB} {EVENTS}"), format!("{JOB} --watch")] {
        let old = forbidden("watch", "v1.30.0", &line);
        assert_eq!(
            old,
            "Error from server (Forbidden): unknown (get jobs.batch)\n"
        );
    }
    // The empty list of a forbidden one, as without a name.
    let sb = Sandbox::new();
    sb.deny(json!({"verb": "list", "resource": "jobs", "name": "late"}));
    let run = kubectl(&sb, JOB);
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
fn a_watch_ends_with_its_server() {
    let gone = |what_happens: &dyn Fn(&Sandbox)| {
        let sb = Sandbox::new();
        late(&sb);
        complete(&sb);
        let lines = [
            format!("{JOB} {EVENTS}"),
            format!("{PODS} --watch"),
            JOB.replace("jobs --field-selector metadata.name=", "job/") + " --watch",
        ];
        let running = lines.map(|line| spawn(&sb, &line));
        wait_until("all is printed", || {
            running.iter().all(|r| r.so_far("stdout").ends_with("}\n"))
        });
        wait_for_looks(&sb);
        wait_for_looks(&sb);
        let before = running.each_ref().map(|r| r.so_far("stdout"));
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
    gone(&|sb| sb.cluster(|cluster| cluster["unreachable"] = json!(true)));
    // However short it was: the connection is lost.
    gone(&|sb| {
        sb.fault(json!({"tool": "kubectl", "contains": ["get"], "do": {"unreachable": {"ms": 1}}}));
        done(sb, "get namespace influxdb --output name");
    });
}
