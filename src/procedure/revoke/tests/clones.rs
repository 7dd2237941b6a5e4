//! The clones of earlier revocations.

use super::*;
use serde_json::Value;

fn make_clone(name: &str, source: &str, second: u32, health: JobHealth) -> Job {
    let uid = format!("job-{name}");
    let labels = json!({"bypassctl/clone": "true"});
    let annotations = json!({"bypassctl/clone-of": source});
    make_labelled_job(&uid, name, second, health, &labels, &annotations)
}

fn make_labelled_job(
    uid: &str,
    name: &str,
    second: u32,
    health: JobHealth,
    labels: &Value,
    annotations: &Value,
) -> Job {
    let condition = match health {
        JobHealth::Complete => json!([{"type": "Complete", "status": "True"}]),
        JobHealth::Failed => json!([{"type": "Failed", "status": "True"}]),
        JobHealth::Active | JobHealth::Suspended => json!([]),
    };
    let document = json!({
        "metadata": {
            "name": name,
            "uid": uid,
            "creationTimestamp": format_time(second),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {"template": {"spec": {"image": "i"}}},
        "status": {"conditions": condition},
    });
    serde_json::from_value(document).unwrap()
}

/// Plans a revocation with `--prune-clones`. Returns the names of the jobs that it deletes last.
fn plan_pruning(jobs: Vec<Job>, edit: impl FnOnce(&mut RevocationFacts)) -> Vec<String> {
    let mut facts = make_facts();
    facts.jobs.extend(jobs);
    facts.options.prune_clones = true;
    edit(&mut facts);
    let revocation = plan_revocation(&facts, Vec::new()).expect("a plan");
    let steps = &revocation.plan.steps;
    let first = steps
        .iter()
        .position(|step| matches!(step.action, Action::DeleteClone(_)))
        .unwrap_or(steps.len());
    let names = |step: &Step| match &step.action {
        Action::DeleteClone(deletion) => deletion.clone.name.clone(),
        _ => panic!(
            "step `{}` comes after the first deletion of a clone",
            step.id
        ),
    };
    let deleted: Vec<String> = steps[first..].iter().map(names).collect();
    let earlier = revocation.earlier_clones.iter();
    assert_eq!(
        deleted,
        earlier.map(|job| job.name.clone()).collect::<Vec<_>>()
    );
    deleted
}

const KEY_GEN: &str = "key-gen-7c9d2b41";
const CREATE_TOKEN: &str = "create-admin-token-7c9d2b41";

fn rerun_by_kubit(facts: &mut RevocationFacts) {
    facts.operator = Operator::Running;
}

#[test]
fn new_clones_replace_all_finished_ones() {
    let jobs = vec![
        make_clone("key-gen-002", KEY_GEN, 12, JobHealth::Failed),
        make_clone("key-gen-001", KEY_GEN, 10, JobHealth::Complete),
        make_clone(
            "create-admin-token-001",
            CREATE_TOKEN,
            11,
            JobHealth::Complete,
        ),
    ];
    assert_eq!(
        plan_pruning(jobs, |_| ()),
        ["create-admin-token-001", "key-gen-001", "key-gen-002"]
    );
}

#[test]
fn newest_completed_clone_of_each_original_stays_when_kubit_reruns_jobs() {
    let jobs = vec![
        make_clone("key-gen-001", KEY_GEN, 10, JobHealth::Complete),
        make_clone("key-gen-002", KEY_GEN, 12, JobHealth::Complete),
        make_clone("key-gen-003", KEY_GEN, 14, JobHealth::Failed),
        make_clone("key-gen-004", "key-gen-1a2b3c4d", 8, JobHealth::Complete),
        make_clone(
            "create-admin-token-001",
            CREATE_TOKEN,
            11,
            JobHealth::Failed,
        ),
    ];
    assert_eq!(plan_pruning(jobs, rerun_by_kubit), ["key-gen-001"]);
}

#[test]
fn job_that_an_option_names_stays() {
    let jobs = vec![make_clone("key-gen-001", KEY_GEN, 1, JobHealth::Complete)];
    let deleted = plan_pruning(jobs, |facts| {
        facts.options.key_gen_job = Some("key-gen-001".to_owned());
    });
    assert_eq!(deleted, [""; 0]);
}

#[test]
fn clones_of_same_second_stay() {
    let jobs = vec![
        make_clone("key-gen-001", KEY_GEN, 10, JobHealth::Complete),
        make_clone("key-gen-002", KEY_GEN, 10, JobHealth::Complete),
    ];
    assert_eq!(plan_pruning(jobs, rerun_by_kubit), [""; 0]);
}

#[test]
fn clone_of_clone_has_same_original() {
    let jobs = vec![
        make_clone("key-gen-001", "key-gen-gone", 10, JobHealth::Complete),
        make_clone("key-gen-002", "key-gen-001", 11, JobHealth::Complete),
        make_clone("key-gen-003", "key-gen-002", 12, JobHealth::Complete),
        // A circle ends the search.
        make_clone("token-gen-001", "token-gen-001", 12, JobHealth::Complete),
    ];
    assert_eq!(
        plan_pruning(jobs, rerun_by_kubit),
        ["key-gen-001", "key-gen-002"]
    );
}

#[test]
fn jobs_without_label_or_annotation_and_unfinished_jobs_stay() {
    let (label, annotation) = (
        json!({"bypassctl/clone": "true"}),
        json!({"bypassctl/clone-of": KEY_GEN}),
    );
    let make = |name: &str, labels: &Value, annotations: &Value| {
        make_labelled_job(name, name, 5, JobHealth::Complete, labels, annotations)
    };
    let jobs = vec![
        make("key-gen-001", &label, &json!({})),
        make("key-gen-002", &json!(null), &annotation),
        make(
            "key-gen-003",
            &json!({"bypassctl/clone": "false"}),
            &annotation,
        ),
        make("key-gen-004", &label, &json!({"bypassctl/clone-of": ""})),
        make_clone("other-001", "other", 6, JobHealth::Active),
        make_clone("other-002", "other", 7, JobHealth::Suspended),
        make_clone("other-003", "other", 8, JobHealth::Complete),
    ];
    assert_eq!(plan_pruning(jobs, |_| ()), [""; 0]);
}

/// A resumed run awaits the clone of the interrupted one, and deletes the same jobs.
#[test]
fn awaited_clone_is_the_newest() {
    let jobs = vec![
        make_clone("key-gen-001", KEY_GEN, 10, JobHealth::Complete),
        make_clone("key-gen-002", KEY_GEN, 20, JobHealth::Active),
    ];
    let pruned = plan_pruning(jobs, |facts| facts.secrets.clear());
    assert_eq!(pruned, ["key-gen-001"]);
}

#[test]
fn pruning_needs_permission_to_delete_jobs() {
    let mut facts = make_facts();
    let clone = make_clone("key-gen-001", KEY_GEN, 10, JobHealth::Complete);
    facts.jobs.push(clone);
    for (prune_clones, missing) in [(false, vec![]), (true, vec!["delete jobs.batch"])] {
        facts.options.prune_clones = prune_clones;
        let plan = plan_revocation(&facts, Vec::new()).expect("a plan").plan;
        let permissions = list_permissions("influxdb");
        let allowed: Vec<bool> = permissions
            .iter()
            .map(|permission| {
                permission.resource != "jobs" || !["get", "delete"].contains(&&*permission.verb)
            })
            .collect();
        let found: Vec<String> = find_missing_permissions(&plan, "influxdb", &allowed)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found, missing);
    }
}
