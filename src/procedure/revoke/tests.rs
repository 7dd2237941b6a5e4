//! Plans for any state that can be observed.

use super::*;
use crate::error::Error;
use crate::plan::{Action, ClusterTarget, JobStrategy, Plan, SecretName, Step};
use crate::tool::invocation::{ObjectKind, ObjectRef};
use crate::tool::kubectl::{ClusterId, GlobalFlags, Job, Kubectl, Pod, SecretUid};
use crate::tool::permission::Permission;
use crate::tool::{Tool, ToolName};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

fn make_target() -> ClusterTarget {
    let tool = Tool {
        name: ToolName::Kubectl,
        path: "/bin/kubectl".into(),
        found_at: "/bin/kubectl".into(),
        sha256: None,
        version: None,
    };
    ClusterTarget {
        kubectl: Kubectl {
            tool,
            global_flags: GlobalFlags::default(),
        },
        namespace: "influxdb".to_owned(),
    }
}

/// A time, in seconds of one minute.
fn format_time(second: u32) -> String {
    format!("2024-01-01T00:00:{second:02}Z")
}

fn make_secret(name: &str, uid: &str, second: u32) -> SecretUid {
    SecretUid {
        name: name.to_owned(),
        uid: uid.to_owned(),
        created_at: format_time(second),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum JobHealth {
    Complete,
    Failed,
    Active,
    Suspended,
}

fn make_job(name: &str, second: u32, health: JobHealth, image: &str) -> Job {
    let condition = match health {
        JobHealth::Complete => {
            json!([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}])
        }
        JobHealth::Failed => {
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])
        }
        JobHealth::Active | JobHealth::Suspended => json!([]),
    };
    let completed = (health == JobHealth::Complete).then(|| format_time(second));
    let document = json!({
        "metadata": {"name": name, "uid": format!("job-{name}"), "creationTimestamp": format_time(second)},
        "spec": {"suspend": health == JobHealth::Suspended, "template": {"spec": {"image": image}}},
        "status": {"conditions": condition, "completionTime": completed},
    });
    serde_json::from_value(document).unwrap()
}

fn make_pod(uid: &str, second: u32, ready: bool, going: bool) -> Pod {
    let document = json!({
        "metadata": {"name": uid, "uid": uid, "creationTimestamp": format_time(second), "deletionTimestamp": going.then(|| format_time(59))},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    serde_json::from_value(document).unwrap()
}

fn make_facts() -> RevocationFacts {
    RevocationFacts {
        target: make_target(),
        cluster: ClusterId::KubeSystem("c".to_owned()),
        about: "here".to_owned(),
        command: "revoke",
        secrets: vec![
            make_secret("rsa-keys", "k", 1),
            make_secret("admin-token", "t", 2),
        ],
        jobs: vec![
            make_job("key-gen-7c9d2b41", 1, JobHealth::Complete, "i"),
            make_job("create-admin-token-7c9d2b41", 2, JobHealth::Complete, "j"),
        ],
        pods: vec![
            make_pod("p1", 3, true, false),
            make_pod("p2", 3, true, false),
        ],
        pods_matched: true,
        operator: Operator::Absent,
        begun_deletions: Vec::new(),
        options: RevocationOptions {
            rerun: Rerun::Auto,
            selector: DOCUMENTED_SELECTOR.to_owned(),
            key_gen_job: None,
            create_admin_token_job: None,
            start_over: false,
            new_token: true,
            skip_check: None,
            timeout: Duration::from_secs(300),
        },
        token_probe: None,
        grace_period: Duration::from_secs(30),
    }
}

/// The steps, but for the look at the cluster that comes before all that change it.
fn list_step_ids(revocation: &RevocationPlan) -> Vec<&'static str> {
    revocation
        .plan
        .steps
        .iter()
        .map(|step| step.id)
        .filter(|id| *id != "check-cluster")
        .collect()
}

fn list_strategies(plan: &Plan) -> Vec<(SecretName, &JobStrategy)> {
    let runs = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some((run.secret, &run.strategy)),
        _ => None,
    });
    runs.collect()
}

const ALL_STEPS: [&str; 9] = [
    "delete-rsa-keys",
    "delete-admin-token",
    "rerun-key-gen",
    "verify-rsa-keys",
    "restart-pods",
    "rerun-create-admin-token",
    "verify-admin-token",
    "get-token",
    "verify-revocation",
];

#[test]
fn plan_starts_fresh_when_namespace_is_in_order() {
    let revocation = plan_revocation(&make_facts(), Vec::new()).unwrap();
    assert_eq!(list_step_ids(&revocation), ALL_STEPS);
    assert_eq!(revocation.resuming, None);
    let equal = RevocationFacts {
        secrets: vec![
            make_secret("rsa-keys", "k", 1),
            make_secret("admin-token", "t", 1),
        ],
        ..make_facts()
    };
    assert_eq!(
        list_step_ids(&plan_revocation(&equal, Vec::new()).unwrap()),
        ALL_STEPS,
        "the same second says nothing of an order"
    );
    let mut no_token = make_facts();
    no_token.options.new_token = false;
    assert_eq!(
        list_step_ids(&plan_revocation(&no_token, Vec::new()).unwrap()),
        [&ALL_STEPS[..5], &ALL_STEPS[8..]].concat()
    );
}

#[test]
fn plan_resumes_from_cluster_state() {
    let left = |secrets: &[SecretUid], pods: &[Pod]| {
        let facts = RevocationFacts {
            secrets: secrets.to_vec(),
            pods: pods.to_vec(),
            ..make_facts()
        };
        let revocation = plan_revocation(&facts, Vec::new()).unwrap();
        assert!(revocation.resuming.is_some());
        list_step_ids(&revocation)
    };
    let (keys, token) = (
        |second| make_secret("rsa-keys", "k2", second),
        make_secret("admin-token", "t", 2),
    );
    let (old, new) = (
        [make_pod("p1", 9, true, false)],
        [make_pod("p1", 11, true, false)],
    );
    let equal = [
        make_pod("p1", 10, true, false),
        make_pod("p2", 11, true, false),
    ];
    let going = [
        make_pod("p1", 9, true, true),
        make_pod("p2", 11, false, false),
    ];
    assert_eq!(
        left(std::slice::from_ref(&token), &old),
        ALL_STEPS[1..],
        "the keys are deleted"
    );
    assert_eq!(left(&[], &old), ALL_STEPS[2..], "both are");
    assert_eq!(
        left(&[keys(10), token.clone()], &old),
        [&ALL_STEPS[1..2], &ALL_STEPS[4..]].concat(),
        "an older token has to go"
    );
    assert_eq!(left(&[keys(10)], &old), ALL_STEPS[4..], "the keys are new");
    assert_eq!(
        left(&[keys(10)], &equal),
        ALL_STEPS[4..],
        "equal is not younger"
    );
    assert_eq!(
        left(&[keys(10)], &going),
        ALL_STEPS[4..],
        "their restart has begun"
    );
    assert_eq!(left(&[keys(10)], &new), ALL_STEPS[5..], "and is over");
}

#[test]
fn keys_are_old_when_only_token_was_deleted() {
    // Its job was done at second 2, with the keys of second 1: whoever took the token away has made no new keys.
    let facts = RevocationFacts {
        secrets: vec![make_secret("rsa-keys", "k", 1)],
        ..make_facts()
    };
    let revocation = plan_revocation(&facts, Vec::new()).unwrap();
    assert_eq!(
        list_step_ids(&revocation),
        [&ALL_STEPS[..1], &ALL_STEPS[2..]].concat()
    );
    assert_eq!(revocation.resuming, None);
}

#[test]
fn audit_log_distinguishes_new_secrets_from_old() {
    let begun = |uid: &str, name: &str| ObjectRef {
        kind: ObjectKind::Secret,
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    let left = |begun: Vec<ObjectRef>, again: bool| {
        let mut facts = RevocationFacts {
            begun_deletions: begun,
            pods: vec![make_pod("p", 1, true, false)],
            ..make_facts()
        };
        facts.options.start_over = again;
        list_step_ids(&plan_revocation(&facts, Vec::new()).unwrap())
    };
    assert_eq!(
        left(vec![begun("k", "rsa-keys")], false),
        ALL_STEPS,
        "that deletion had no effect"
    );
    assert_eq!(
        left(vec![begun("k0", "rsa-keys")], false),
        [&ALL_STEPS[4..5], &ALL_STEPS[7..]].concat(),
        "these keys came after it"
    );
    let both = vec![begun("k0", "rsa-keys"), begun("t", "admin-token")];
    assert_eq!(
        left(both.clone(), false),
        [&ALL_STEPS[1..2], &ALL_STEPS[4..]].concat(),
        "the token's had none"
    );
    assert_eq!(left(both, true), ALL_STEPS, "to start over is explicit");
}

#[test]
fn job_strategy_follows_rerun_option_and_operator() {
    let way = |facts: &RevocationFacts| {
        let revocation = plan_revocation(facts, Vec::new())?;
        let names = list_strategies(&revocation.plan)
            .into_iter()
            .map(|(_, way)| way.as_str());
        Ok::<_, Error>(names.collect::<Vec<_>>())
    };
    let asked = |rerun: Rerun, operator: Operator| {
        let mut facts = RevocationFacts {
            operator,
            ..make_facts()
        };
        facts.options.rerun = rerun;
        facts
    };
    assert_eq!(
        way(&asked(Rerun::Auto, Operator::Running)).unwrap(),
        ["operator"; 2]
    );
    for other in [
        Operator::Absent,
        Operator::Paused,
        Operator::Idle,
        Operator::NoAppInstance,
        Operator::Unknown("x"),
    ] {
        assert_eq!(
            way(&asked(Rerun::Auto, other.clone())).unwrap(),
            ["clone"; 2],
            "{other:?}"
        );
        assert!(
            way(&asked(Rerun::Operator, other))
                .unwrap_err()
                .hint
                .contains("--rerun clone")
        );
    }
    assert_eq!(
        way(&asked(Rerun::Clone, Operator::Running)).unwrap(),
        ["clone"; 2]
    );
    assert_eq!(
        way(&asked(Rerun::FromJob, Operator::Absent)).unwrap(),
        ["from-job"; 2]
    );
}

#[test]
fn plan_awaits_job_when_operator_has_not_recreated_it() {
    let mut facts = RevocationFacts {
        operator: Operator::Running,
        secrets: Vec::new(),
        ..make_facts()
    };
    facts.jobs.remove(0);
    let names = |facts: &RevocationFacts| {
        list_strategies(&plan_revocation(facts, Vec::new()).unwrap().plan)
            .iter()
            .map(|(_, w)| w.as_str())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&facts), ["await-existing", "operator"]);
    facts
        .jobs
        .push(make_job("key-gen-7c9d2b41", 9, JobHealth::Active, "i"));
    assert_eq!(names(&facts), ["running", "operator"]);
    facts.secrets = vec![
        make_secret("rsa-keys", "k", 1),
        make_secret("admin-token", "t", 2),
    ];
    assert!(
        plan_revocation(&facts, Vec::new())
            .err()
            .unwrap()
            .message
            .contains("is running")
    );
}

#[test]
fn plan_is_refused_when_it_cannot_finish() {
    let refused = |change: fn(&mut RevocationFacts)| {
        let mut facts = make_facts();
        change(&mut facts);
        let error = plan_revocation(&facts, Vec::new()).err().expect("refused");
        assert_eq!(error.kind, crate::error::ErrorKind::Refused);
        format!("{error}; {}", error.hint)
    };
    let nothing = refused(|facts| (facts.secrets, facts.jobs) = (Vec::new(), Vec::new()));
    assert!(
        nothing.contains("neither the secrets nor the jobs"),
        "{nothing}"
    );
    assert!(refused(|facts| drop(facts.jobs.remove(0))).contains("job `key-gen` not found"));
    assert!(refused(|facts| facts.jobs.truncate(1)).contains("job `create-admin-token` not found"));
    let failed =
        refused(|facts| facts.jobs[0] = make_job("key-gen-7c9d2b41", 1, JobHealth::Failed, "i"));
    assert!(
        failed.contains("failed (BackoffLimitExceeded)")
            && failed.contains("--skip-check failed-job"),
        "{failed}"
    );
    let pods = refused(|facts| facts.pods_matched = false);
    assert!(
        pods.contains("no pod matches `app=token-management`"),
        "{pods}"
    );
    let suspended = refused(|facts| {
        facts.jobs[0] = make_job("key-gen-7c9d2b41", 1, JobHealth::Suspended, "i");
        facts.operator = Operator::Running;
    });
    assert!(suspended.contains("is suspended"), "{suspended}");
    // A token made now would be of the keys that are about to go.
    let early = refused(|facts| {
        facts.secrets.truncate(1);
        facts.pods = vec![make_pod("p1", 0, true, false)];
        facts.jobs[1] = make_job("create-admin-token-7c9d2b41", 1, JobHealth::Active, "i");
    });
    assert!(
        early.contains("job `create-admin-token-7c9d2b41` is running"),
        "{early}"
    );
    let other =
        refused(|facts| facts.options.key_gen_job = Some("create-admin-token-7c9d2b41".to_owned()));
    assert!(
        other.contains("no job `create-admin-token-7c9d2b41` creates secret `rsa-keys`"),
        "{other}"
    );
}

#[test]
fn plan_waits_when_token_job_is_running() {
    let mut facts = make_facts();
    facts.secrets.truncate(1);
    // Of the same second as the keys: they restart once more, and the job goes on.
    facts.pods = vec![make_pod("p1", 1, true, false)];
    facts.jobs[1] = make_job("create-admin-token-7c9d2b41", 1, JobHealth::Active, "i");
    let revocation = plan_revocation(&facts, Vec::new()).unwrap();
    assert!(
        matches!(
            list_strategies(&revocation.plan)[..],
            [(SecretName::AdminToken, JobStrategy::Running { .. })]
        ),
        "{:?}",
        list_step_ids(&revocation)
    );
    assert_eq!(list_step_ids(&revocation), ALL_STEPS[4..]);
}

#[test]
fn restart_expects_as_many_pods_as_are_terminating() {
    let ready_after = |pods: Vec<Pod>| {
        let mut facts = make_facts();
        facts.begun_deletions = vec![ObjectRef {
            kind: ObjectKind::Secret,
            name: "rsa-keys".to_owned(),
            uid: "gone".to_owned(),
        }];
        facts.pods_matched = !pods.is_empty();
        facts.pods = pods;
        let revocation = plan_revocation(&facts, Vec::new()).unwrap();
        let restart = revocation
            .plan
            .steps
            .into_iter()
            .find_map(|step| match step.action {
                Action::RestartPods(restart) => Some(restart),
                _ => None,
            });
        restart.map(|restart| (restart.ready_pods, restart.terminating))
    };
    let going = |uid| make_pod(uid, 1, false, true);
    let wanted = Some((2, Some(vec!["a".to_owned(), "b".to_owned()])));
    assert_eq!(
        ready_after(vec![going("a"), going("b")]),
        wanted,
        "none of the successors is there yet"
    );
    assert_eq!(
        ready_after(Vec::new()),
        Some((1, Some(Vec::new()))),
        "neither these nor those"
    );
}

#[test]
fn failed_job_is_refused_unless_equal_job_completed() {
    let mut facts = make_facts();
    facts.jobs[0] = make_job("key-gen-7c9d2b41", 1, JobHealth::Failed, "i");
    facts
        .jobs
        .push(make_job("key-gen-001", 2, JobHealth::Complete, "i"));
    assert_eq!(
        list_step_ids(&plan_revocation(&facts, Vec::new()).unwrap()),
        ALL_STEPS
    );
    facts.jobs[2] = make_job("key-gen-001", 2, JobHealth::Complete, "another image");
    assert!(plan_revocation(&facts, Vec::new()).is_err());
    facts.options.skip_check = Some(PreflightCheck::FailedJob);
    assert!(plan_revocation(&facts, Vec::new()).is_ok());
}

#[test]
fn missing_permissions_follow_plan_steps() {
    let lacks = |facts: &RevocationFacts, verb: &str, resource: &str| {
        let asked = list_permissions("influxdb");
        let denied = Permission::new(verb, resource, "influxdb");
        let allowed: Vec<bool> = asked
            .iter()
            .map(|permission| *permission != denied)
            .collect();
        assert!(allowed.contains(&false), "{verb} {resource} is asked for");
        !find_missing_permissions(
            &plan_revocation(facts, Vec::new()).unwrap().plan,
            "influxdb",
            &allowed,
        )
        .is_empty()
    };
    let clone = make_facts();
    for (verb, resource) in [
        ("get", "secrets/admin-token"),
        ("delete", "secrets/rsa-keys"),
        ("delete", "secrets/admin-token"),
        ("list", "jobs.batch"),
        ("watch", "jobs.batch"),
        ("create", "jobs.batch"),
        ("list", "pods"),
        ("watch", "pods"),
        ("delete", "pods"),
    ] {
        assert!(lacks(&clone, verb, resource), "{verb} {resource}");
    }
    assert!(!lacks(&clone, "delete", "jobs.batch"));
    let operator = RevocationFacts {
        operator: Operator::Running,
        ..make_facts()
    };
    assert!(lacks(&operator, "delete", "jobs.batch") && !lacks(&operator, "create", "jobs.batch"));
    let token_left = RevocationFacts {
        secrets: vec![make_secret("rsa-keys", "k", 5)],
        ..make_facts()
    };
    assert!(!lacks(&token_left, "delete", "secrets/rsa-keys"));
}

#[test]
fn restart_ignores_unready_pods_unless_resuming() {
    let ready = |facts: &RevocationFacts| {
        let revocation = plan_revocation(facts, Vec::new()).unwrap();
        let restart = revocation
            .plan
            .steps
            .iter()
            .find_map(|step| match &step.action {
                Action::RestartPods(restart) => Some(restart.ready_pods),
                _ => None,
            });
        (restart.unwrap(), revocation.warnings.len())
    };
    let pods = vec![
        make_pod("p1", 3, true, false),
        make_pod("p2", 3, false, false),
    ];
    let fresh = RevocationFacts {
        pods: pods.clone(),
        ..make_facts()
    };
    assert_eq!(ready(&fresh), (1, 1));
    let half_done = RevocationFacts {
        pods,
        secrets: Vec::new(),
        ..make_facts()
    };
    assert_eq!(ready(&half_done), (2, 0));
}

fn any_health() -> impl Strategy<Value = JobHealth> {
    prop::sample::select(vec![
        JobHealth::Complete,
        JobHealth::Complete,
        JobHealth::Failed,
        JobHealth::Active,
        JobHealth::Suspended,
    ])
}

fn any_jobs(kind: &'static str) -> impl Strategy<Value = Vec<Job>> {
    let one = (
        0usize..4,
        0u32..8,
        any_health(),
        prop::sample::select(vec!["i", "i", "i", "j"]),
    );
    prop::collection::vec(one, 0..4).prop_map(move |rows| {
        let suffixes = ["7c9d2b41", "12345678", "001", "002"];
        let mut jobs: Vec<Job> = rows
            .into_iter()
            .map(|(suffix, second, health, image)| {
                make_job(
                    &format!("{kind}-{}", suffixes[suffix]),
                    second,
                    health,
                    image,
                )
            })
            .collect();
        jobs.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        jobs.dedup_by(|a, b| a.metadata.name == b.metadata.name);
        jobs
    })
}

fn any_facts() -> impl Strategy<Value = RevocationFacts> {
    let secrets = (prop::option::of(0u32..8), prop::option::of(0u32..8));
    let pods = prop::collection::vec((0u32..8, any::<bool>(), any::<bool>()), 1..4);
    let operator = prop::sample::select(vec![
        Operator::Running,
        Operator::Paused,
        Operator::Absent,
        Operator::Unknown("x"),
    ]);
    let rerun = prop::sample::select(vec![
        Rerun::Auto,
        Rerun::Clone,
        Rerun::Operator,
        Rerun::FromJob,
    ]);
    let flags = (
        any::<bool>(),
        any::<bool>(),
        prop::sample::subsequence(vec!["k", "t", "k0", "t0"], 0..4),
    );
    (
        secrets,
        any_jobs("key-gen"),
        any_jobs("create-admin-token"),
        pods,
        operator,
        rerun,
        flags,
    )
        .prop_map(
            |((keys, token), mut jobs, more, pods, operator, rerun, (again, new_token, begun))| {
                jobs.extend(more);
                let secrets = keys.map(|second| make_secret("rsa-keys", "k", second));
                let secrets = secrets
                    .into_iter()
                    .chain(token.map(|second| make_secret("admin-token", "t", second)))
                    .collect();
                let pods = pods.into_iter().enumerate();
                let pods = pods
                    .map(|(i, (second, ready, going))| {
                        make_pod(&format!("p{i}"), second, ready, going)
                    })
                    .collect();
                let name = |uid: &str| {
                    if uid.starts_with('k') {
                        "rsa-keys"
                    } else {
                        "admin-token"
                    }
                };
                let begun = begun
                    .into_iter()
                    .map(|uid| ObjectRef {
                        kind: ObjectKind::Secret,
                        name: name(uid).to_owned(),
                        uid: uid.to_owned(),
                    })
                    .collect();
                let mut facts = RevocationFacts {
                    secrets,
                    jobs,
                    pods,
                    operator,
                    begun_deletions: begun,
                    ..make_facts()
                };
                (
                    facts.options.rerun,
                    facts.options.start_over,
                    facts.options.new_token,
                ) = (rerun, again, new_token);
                facts
            },
        )
}

/// What a plan does to keys, token and pods.
#[derive(Debug, Default)]
struct SimulatedState {
    keys: Option<&'static str>,
    token: Option<&'static str>,
    has_restarted: bool,
}

fn simulate_plan(facts: &RevocationFacts, plan: &Plan) -> SimulatedState {
    let there = |name: &str, uid| {
        facts
            .secrets
            .iter()
            .any(|secret| secret.name == name)
            .then_some(uid)
    };
    let mut played = SimulatedState {
        keys: there("rsa-keys", "k"),
        token: there("admin-token", "t"),
        has_restarted: false,
    };
    for step in &plan.steps {
        match &step.action {
            Action::DeleteSecret(gone) if gone.name == SecretName::RsaKeys => {
                played.keys = played.keys.filter(|uid| *uid != gone.uid)
            }
            Action::DeleteSecret(gone) => {
                played.token = played.token.filter(|uid| *uid != gone.uid)
            }
            // The images make a secret only where there is none.
            Action::RunJob(run) if run.secret == SecretName::RsaKeys => {
                played.keys.get_or_insert("new");
            }
            Action::RunJob(_) => {
                assert!(played.keys.is_some(), "a token needs keys");
                played.token.get_or_insert("new");
            }
            Action::RestartPods(_) => {
                assert!(played.keys.is_some(), "pods load keys when they start");
                played.has_restarted = true;
            }
            _ => {}
        }
    }
    played
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn plan_renews_everything_or_is_refused(facts in any_facts()) {
        let Ok(revocation) = plan_revocation(&facts, Vec::new()) else { return Ok(()) };
        let seen = Observation { secrets: &facts.secrets, jobs: &facts.jobs, pods: &facts.pods, begun_deletions: &facts.begun_deletions };
        let stage = seen.determine_stage(facts.options.start_over);
        let played = simulate_plan(&facts, &revocation.plan);
        prop_assert!(played.keys == Some("new") || stage.keys == SecretState::New, "{played:?}");
        prop_assert!(played.has_restarted || (stage.keys == SecretState::New && stage.pods == PodState::New), "{played:?}");
        let token_new = played.token == Some("new") || stage.token == SecretState::New;
        prop_assert!(if facts.options.new_token { token_new } else { played.token.is_none() }, "{played:?}");
        prop_assert!(list_step_ids(&revocation).ends_with(&["verify-revocation"]));
    }

    #[test]
    fn plan_deletes_only_recreatable_secrets(facts in any_facts()) {
        let Ok(revocation) = plan_revocation(&facts, Vec::new()) else { return Ok(()) };
        let steps = &revocation.plan.steps;
        let deleted = steps.iter().filter_map(|step| match &step.action {
            Action::DeleteSecret(gone) => Some(gone.name),
            _ => None,
        });
        for name in deleted.filter(|name| *name == SecretName::RsaKeys || facts.options.new_token) {
            let (_, way) = list_strategies(&revocation.plan).into_iter().find(|(secret, _)| *secret == name).expect("it is made again");
            let possible = match way {
                JobStrategy::Clone { .. } | JobStrategy::FromJob { .. } => true,
                JobStrategy::Operator { .. } => facts.operator == Operator::Running,
                JobStrategy::AwaitExisting { .. } | JobStrategy::Running { .. } => false,
            };
            prop_assert!(possible, "{name} by {}", way.as_str());
        }
        let changes = |step: &Step| matches!(step.action, Action::DeleteSecret(_) | Action::RunJob(_) | Action::RestartPods(_));
        let looked = steps.first().is_some_and(|step| matches!(step.action, Action::SameCluster(_)));
        prop_assert!(looked == steps.iter().any(changes), "the cluster is looked at before anything in it is changed");
        let steps = &steps[usize::from(looked)..];
        let order = |id: &str| ALL_STEPS.iter().position(|known| *known == id);
        prop_assert!(steps.windows(2).all(|pair| order(pair[0].id) < order(pair[1].id)), "{:?}", list_step_ids(&revocation));
    }
}
