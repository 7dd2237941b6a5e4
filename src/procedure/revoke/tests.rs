//! Plans for every observable state.

mod clones;
mod properties;

use super::stage::PodState;
use super::*;
use crate::error::Error;
use crate::plan::{Action, ClusterTarget, JobStrategy, Plan, SecretName, Step, TokenProbe};
use crate::tool::invocation::{ObjectKind, ObjectRef};
use crate::tool::kubectl::{
    ClusterId, DeletionMethod, GlobalFlags, Job, Kubectl, PinnedServer, Pod, SecretUid,
};
use crate::tool::permission::Permission;
use crate::tool::{Tool, ToolName};
use serde_json::json;
use std::time::Duration;

fn make_target() -> ClusterTarget {
    let tool = Tool {
        name: ToolName::Kubectl,
        path: "/bin/kubectl".into(),
        found_at: "/bin/kubectl".into(),
        sha256: None,
        version: None,
        kuberc: None,
    };
    ClusterTarget {
        kubectl: Kubectl {
            tool,
            global_flags: GlobalFlags {
                server: Some(make_server(true)),
                ..GlobalFlags::default()
            },
        },
        namespace: "influxdb".to_owned(),
    }
}

/// Formats a time by the second in a fixed minute.
fn format_time(second: u32) -> String {
    format!("2024-01-01T00:00:{second:02}Z")
}

fn make_secret(name: &str, uid: &str, second: u32) -> SecretUid {
    SecretUid {
        name: name.to_owned(),
        uid: uid.to_owned(),
        resource_version: "337".to_owned(),
        created_at: format_time(second),
        deleted_at: None,
        finalizers: Vec::new(),
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
            json!([
                {"type": "SuccessCriteriaMet", "status": "True"},
                {"type": "Complete", "status": "True"},
            ])
        }
        JobHealth::Failed => {
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])
        }
        JobHealth::Active | JobHealth::Suspended => json!([]),
    };
    let completed = (health == JobHealth::Complete).then(|| format_time(second));
    let document = json!({
        "metadata": {
            "name": name,
            "uid": format!("job-{name}"),
            "creationTimestamp": format_time(second),
        },
        "spec": {"suspend": health == JobHealth::Suspended, "template": {"spec": {"image": image}}},
        "status": {"conditions": condition, "completionTime": completed},
    });
    serde_json::from_value(document).unwrap()
}

fn make_pod(uid: &str, second: u32, is_ready: bool, is_terminating: bool) -> Pod {
    let ready = if is_ready { "True" } else { "False" };
    let document = json!({
        "metadata": {
            "name": uid,
            "uid": uid,
            "creationTimestamp": format_time(second),
            "deletionTimestamp": is_terminating.then(|| format_time(59)),
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
    });
    serde_json::from_value(document).unwrap()
}

/// Returns a server, behind a proxy if `has_proxy`.
fn make_server(has_proxy: bool) -> PinnedServer {
    PinnedServer {
        url: "https://10.0.0.1".to_owned(),
        tls_server_name: None,
        has_proxy,
        skips_verification: false,
    }
}

fn make_facts() -> RevocationFacts {
    RevocationFacts {
        target: make_target(),
        cluster: ClusterId::KubeSystem("c".to_owned()),
        description: "here".to_owned(),
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
        pods_match_selector: true,
        other_key_users: Vec::new(),
        operator: Operator::Absent,
        app_instances: AppInstances::Known(Vec::new()),
        has_unfinished_changes: false,
        started_deletions: Vec::new(),
        created_secrets: Vec::new(),
        are_secrets_verified: false,
        options: RevocationOptions {
            rerun: Rerun::Auto,
            is_rerun_from_policy: false,
            selector: DOCUMENTED_SELECTOR.to_owned(),
            key_gen_job: None,
            create_admin_token_job: None,
            start_over: false,
            deletion_method: DeletionMethod::Documented,
            prune_clones: false,
            creates_new_token: true,
            skip_checks: Vec::new(),
            timeout: Duration::from_secs(300),
        },
        token_probe: None,
        grace_period: Duration::from_secs(30),
    }
}

#[test]
fn cluster_is_checked_again_only_behind_proxy() {
    let first_step = |server: Option<PinnedServer>| {
        let mut facts = make_facts();
        facts.target.kubectl.global_flags.server = server;
        let revocation = plan_revocation(&facts, Vec::new()).unwrap();
        revocation.plan.steps[0].id
    };
    assert_eq!(first_step(Some(make_server(true))), "check-cluster");
    assert_eq!(first_step(Some(make_server(false))), "delete-rsa-keys");
    assert_eq!(first_step(None), "delete-rsa-keys", "in a pod");
}

/// Lists the steps without the cluster check, which precedes all changes.
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
fn plan_has_every_step_when_namespace_is_complete() {
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
        "secrets of the same second have no order"
    );
    let mut no_token = make_facts();
    no_token.options.creates_new_token = false;
    assert_eq!(
        list_step_ids(&plan_revocation(&no_token, Vec::new()).unwrap()),
        [&ALL_STEPS[..5], &ALL_STEPS[8..]].concat()
    );
}

#[test]
fn plan_resumes_from_cluster_state() {
    let list_remaining = |secrets: &[SecretUid], pods: &[Pod]| {
        let mut facts = RevocationFacts {
            secrets: secrets.to_vec(),
            pods: pods.to_vec(),
            ..make_facts()
        };
        let new_job = make_job("key-gen-001", 10, JobHealth::Complete, "i");
        facts.jobs.push(new_job);
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
    let terminating = [
        make_pod("p1", 9, true, true),
        make_pod("p2", 11, false, false),
    ];
    assert_eq!(
        list_remaining(std::slice::from_ref(&token), &old),
        ALL_STEPS[1..],
        "the keys are deleted"
    );
    assert_eq!(
        list_remaining(&[], &old),
        ALL_STEPS[2..],
        "both secrets are deleted"
    );
    assert_eq!(
        list_remaining(&[keys(10), token.clone()], &old),
        [&ALL_STEPS[1..2], &ALL_STEPS[4..]].concat(),
        "the older token must be deleted"
    );
    assert_eq!(
        list_remaining(&[keys(10)], &old),
        ALL_STEPS[4..],
        "the keys are new"
    );
    assert_eq!(
        list_remaining(&[keys(10)], &equal),
        ALL_STEPS[4..],
        "a pod of the same second is not younger"
    );
    assert_eq!(
        list_remaining(&[keys(10)], &terminating),
        ALL_STEPS[4..],
        "the restart has started"
    );
    assert_eq!(
        list_remaining(&[keys(10)], &new),
        ALL_STEPS[5..],
        "the restart is complete"
    );
}

#[test]
fn keys_are_old_when_only_token_was_deleted() {
    // The token's job completed at second 2, after the keys of second 1. So the deletion of the
    // token was no part of a revocation.
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
    let deletion = |uid: &str, name: &str| ObjectRef {
        kind: ObjectKind::Secret,
        name: name.to_owned(),
        uid: uid.to_owned(),
    };
    let list_remaining = |started_deletions: Vec<ObjectRef>, start_over: bool| {
        let mut facts = RevocationFacts {
            has_unfinished_changes: !started_deletions.is_empty(),
            started_deletions,
            pods: vec![make_pod("p", 1, true, false)],
            ..make_facts()
        };
        facts.options.start_over = start_over;
        list_step_ids(&plan_revocation(&facts, Vec::new()).unwrap())
    };
    assert_eq!(
        list_remaining(vec![deletion("k", "rsa-keys")], false),
        ALL_STEPS,
        "the deletion had no effect"
    );
    assert_eq!(
        list_remaining(vec![deletion("k0", "rsa-keys")], false),
        [&ALL_STEPS[4..5], &ALL_STEPS[7..]].concat(),
        "the keys were created after the deletion"
    );
    let both = vec![deletion("k0", "rsa-keys"), deletion("t", "admin-token")];
    assert_eq!(
        list_remaining(both.clone(), false),
        [&ALL_STEPS[1..2], &ALL_STEPS[4..]].concat(),
        "the deletion of the token had no effect"
    );
    assert_eq!(list_remaining(both, true), ALL_STEPS, "--start-over");
}

#[test]
fn job_strategy_follows_rerun_option_and_operator() {
    let plan_strategies = |facts: &RevocationFacts| {
        let revocation = plan_revocation(facts, Vec::new())?;
        let names = list_strategies(&revocation.plan)
            .into_iter()
            .map(|(_, strategy)| strategy.as_str());
        Ok::<_, Error>(names.collect::<Vec<_>>())
    };
    let make_facts_with = |rerun: Rerun, operator: Operator| {
        let mut facts = RevocationFacts {
            operator,
            ..make_facts()
        };
        facts.options.rerun = rerun;
        facts
    };
    assert_eq!(
        plan_strategies(&make_facts_with(Rerun::Auto, Operator::Running)).unwrap(),
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
            plan_strategies(&make_facts_with(Rerun::Auto, other.clone())).unwrap(),
            ["clone"; 2],
            "{other:?}"
        );
        assert!(
            plan_strategies(&make_facts_with(Rerun::Operator, other))
                .unwrap_err()
                .hint
                .contains("--rerun clone")
        );
    }
    assert_eq!(
        plan_strategies(&make_facts_with(Rerun::Clone, Operator::Running)).unwrap(),
        ["clone"; 2]
    );
    assert_eq!(
        plan_strategies(&make_facts_with(Rerun::FromJob, Operator::Absent)).unwrap(),
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
            .map(|(_, strategy)| strategy.as_str())
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
    let expect_refusal = |change: fn(&mut RevocationFacts)| {
        let mut facts = make_facts();
        change(&mut facts);
        let error = plan_revocation(&facts, Vec::new()).err().expect("refused");
        assert_eq!(error.kind, crate::error::ErrorKind::Refused);
        format!("{error}. {}", error.hint)
    };
    let nothing = expect_refusal(|facts| (facts.secrets, facts.jobs) = (Vec::new(), Vec::new()));
    assert!(
        nothing.contains("neither the secrets nor the jobs"),
        "{nothing}"
    );
    assert!(expect_refusal(|facts| drop(facts.jobs.remove(0))).contains("job `key-gen` not found"));
    assert!(
        expect_refusal(|facts| facts.jobs.truncate(1))
            .contains("job `create-admin-token` not found")
    );
    let failed = expect_refusal(|facts| {
        facts.jobs[0] = make_job("key-gen-7c9d2b41", 1, JobHealth::Failed, "i")
    });
    assert!(
        failed.contains("failed (BackoffLimitExceeded)")
            && failed.contains("--skip-check failed-job"),
        "{failed}"
    );
    let pods = expect_refusal(|facts| facts.pods_match_selector = false);
    assert!(
        pods.contains("no pod matches `app=token-management`"),
        "{pods}"
    );
    let suspended = expect_refusal(|facts| {
        facts.jobs[0] = make_job("key-gen-7c9d2b41", 1, JobHealth::Suspended, "i");
        facts.operator = Operator::Running;
    });
    assert!(suspended.contains("is suspended"), "{suspended}");
    // A token that is created now belongs to the keys that the plan deletes.
    let early = expect_refusal(|facts| {
        facts.secrets.truncate(1);
        facts.pods = vec![make_pod("p1", 0, true, false)];
        facts.jobs[1] = make_job("create-admin-token-7c9d2b41", 1, JobHealth::Active, "i");
    });
    assert!(
        early.contains("job `create-admin-token-7c9d2b41` is running"),
        "{early}"
    );
    let other = expect_refusal(|facts| {
        facts.options.key_gen_job = Some("create-admin-token-7c9d2b41".to_owned())
    });
    assert!(
        other.contains("no job `create-admin-token-7c9d2b41` creates secret `rsa-keys`"),
        "{other}"
    );
}

#[test]
fn plan_waits_when_token_job_is_running() {
    let mut facts = make_facts();
    facts.secrets.truncate(1);
    // A pod of the same second as the keys may have the old ones, so the pods restart again.
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
        facts.has_unfinished_changes = true;
        facts.started_deletions = vec![ObjectRef {
            kind: ObjectKind::Secret,
            name: "rsa-keys".to_owned(),
            uid: "gone".to_owned(),
        }];
        facts.pods_match_selector = !pods.is_empty();
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
    let terminating = |uid| make_pod(uid, 1, false, true);
    let expected = Some((2, Some(vec!["a".to_owned(), "b".to_owned()])));
    assert_eq!(
        ready_after(vec![terminating("a"), terminating("b")]),
        expected,
        "no new pod exists yet"
    );
    assert_eq!(
        ready_after(Vec::new()),
        Some((1, Some(Vec::new()))),
        "no pod exists"
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
    facts.options.skip_checks = vec![PreflightCheck::FailedJob];
    assert!(plan_revocation(&facts, Vec::new()).is_ok());
}

#[test]
fn finalizers_are_refused_only_on_secrets_to_delete() {
    let refusal = |facts: &RevocationFacts| {
        let error = plan_revocation(facts, Vec::new()).err();
        error.map_or_else(String::new, |error| error.message)
    };
    for (index, name) in ["rsa-keys", "admin-token"].into_iter().enumerate() {
        let mut facts = make_facts();
        facts.secrets[index].finalizers = vec!["example.com/f".to_owned()];
        assert_eq!(
            refusal(&facts),
            format!("secret `{name}` has finalizer `example.com/f`: its deletion would not finish")
        );
        // The secrets are the new ones of an unfinished revocation, so they stay.
        facts.has_unfinished_changes = true;
        facts.started_deletions = vec![ObjectRef {
            kind: ObjectKind::Secret,
            name: "rsa-keys".to_owned(),
            uid: "gone".to_owned(),
        }];
        assert_eq!(refusal(&facts), "");
        facts.secrets[index].deleted_at = Some(format_time(9));
        assert_eq!(
            refusal(&facts),
            format!(
                "secret `{name}`, marked for deletion at 2024-01-01T00:00:09Z, has finalizer \
                 `example.com/f`: its deletion would not finish"
            ),
            "somebody else deletes the new secret"
        );
        facts.options.skip_checks = vec![PreflightCheck::Finalizers];
        assert_eq!(refusal(&facts), "");
    }
}

#[test]
fn missing_permissions_follow_plan_steps() {
    let lacks = |facts: &RevocationFacts, verb: &str, resource: &str| {
        let permissions = list_permissions("influxdb");
        let denied = Permission::new(verb, resource, "influxdb");
        let allowed: Vec<bool> = permissions
            .iter()
            .map(|permission| *permission != denied)
            .collect();
        assert!(allowed.contains(&false), "{verb} {resource} is listed");
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
    let with_new_keys = RevocationFacts {
        secrets: vec![make_secret("rsa-keys", "k", 5)],
        ..make_facts()
    };
    assert!(!lacks(&with_new_keys, "delete", "secrets/rsa-keys"));
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
    let resumed = RevocationFacts {
        pods,
        secrets: Vec::new(),
        ..make_facts()
    };
    assert_eq!(ready(&resumed), (2, 0));
}

#[test]
fn keys_are_new_only_when_a_key_gen_job_ran_at_their_creation() {
    let plan_with = |jobs: Vec<Job>| {
        let facts = RevocationFacts {
            secrets: vec![make_secret("rsa-keys", "restored", 30)],
            jobs,
            has_unfinished_changes: true,
            started_deletions: vec![ObjectRef {
                kind: ObjectKind::Secret,
                name: "rsa-keys".to_owned(),
                uid: "k".to_owned(),
            }],
            ..make_facts()
        };
        plan_revocation(&facts, Vec::new()).map(|revocation| list_step_ids(&revocation))
    };
    let token_job = || make_job("create-admin-token-7c9d2b41", 2, JobHealth::Complete, "j");
    let key_job = |second, health| make_job("key-gen-001", second, health, "i");
    for (second, health) in [
        (30, JobHealth::Complete),
        (26, JobHealth::Complete),
        (33, JobHealth::Complete),
        (20, JobHealth::Active),
    ] {
        let steps = plan_with(vec![key_job(second, health), token_job()]).unwrap();
        assert!(!steps.contains(&"delete-rsa-keys"), "{second} {health:?}");
    }
    for (second, health) in [
        (2, JobHealth::Complete),
        (24, JobHealth::Complete),
        (36, JobHealth::Complete),
        (30, JobHealth::Failed),
        (40, JobHealth::Active),
    ] {
        let error = plan_with(vec![key_job(second, health), token_job()])
            .err()
            .unwrap_or_else(|| panic!("{second} {health:?} is planned"));
        assert_eq!(error.kind, crate::error::ErrorKind::Refused);
        assert!(error.hint.contains("--start-over"), "{error}");
    }
    assert!(plan_with(vec![token_job()]).is_err(), "no key-gen job");
}

#[test]
fn resumed_run_requires_rejections_for_all_awaited_pods() {
    let profile = "[[profile]]\nname = \"default\"\nproduct = \"clustered\"\nhost = \"h\"\n";
    let facts = RevocationFacts {
        secrets: vec![make_secret("rsa-keys", "k2", 10)],
        jobs: vec![
            make_job("key-gen-001", 10, JobHealth::Complete, "i"),
            make_job("create-admin-token-7c9d2b41", 2, JobHealth::Complete, "j"),
        ],
        pods: (0..4)
            .map(|i| make_pod(&format!("p{i}"), 3, true, true))
            .collect(),
        token_probe: Some(TokenProbe {
            command: crate::tool::influxctl::probe_token(&make_target().kubectl.tool),
            profile: crate::profile::list_profiles(profile).unwrap().remove(0),
        }),
        ..make_facts()
    };
    let rejections = |facts: &RevocationFacts| {
        let plan = plan_revocation(facts, Vec::new()).unwrap().plan;
        plan.steps.iter().find_map(|step| match &step.action {
            Action::VerifyRevocation(check) => Some(check.min_rejections),
            _ => None,
        })
    };
    assert_eq!(rejections(&facts), Some(20), "4 pods terminate");
    let none_ready = RevocationFacts {
        pods: (0..4)
            .map(|i| make_pod(&format!("p{i}"), 11, false, false))
            .collect(),
        ..facts
    };
    assert_eq!(rejections(&none_ready), Some(20), "4 pods start");
}
