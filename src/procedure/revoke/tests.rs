//! Plans for any state that can be observed.

use super::*;
use crate::plan::{Action, Way};
use crate::tool::kubectl::{Kubectl, Pins};
use crate::tool::{Tool, ToolName};
use proptest::prelude::*;
use serde_json::json;

fn at() -> Place {
    let tool = Tool {
        name: ToolName::Kubectl,
        path: "/bin/kubectl".into(),
        found: "/bin/kubectl".into(),
        sha256: None,
        version: None,
    };
    Place {
        kubectl: Kubectl {
            tool,
            pins: Pins::default(),
        },
        namespace: "influxdb".to_owned(),
    }
}

/// A time, in seconds of one minute.
fn time(second: u32) -> String {
    format!("2024-01-01T00:00:{second:02}Z")
}

fn secret(name: &str, uid: &str, second: u32) -> SecretUid {
    SecretUid {
        name: name.to_owned(),
        uid: uid.to_owned(),
        created: time(second),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Complete,
    Failed,
    Active,
    Suspended,
}

fn job(name: &str, second: u32, health: Health, image: &str) -> Job {
    let condition = match health {
        Health::Complete => {
            json!([{"type": "SuccessCriteriaMet", "status": "True"}, {"type": "Complete", "status": "True"}])
        }
        Health::Failed => {
            json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])
        }
        Health::Active | Health::Suspended => json!([]),
    };
    let completed = (health == Health::Complete).then(|| time(second));
    let document = json!({
        "metadata": {"name": name, "uid": format!("job-{name}"), "creationTimestamp": time(second)},
        "spec": {"suspend": health == Health::Suspended, "template": {"spec": {"image": image}}},
        "status": {"conditions": condition, "completionTime": completed},
    });
    serde_json::from_value(document).unwrap()
}

fn pod(uid: &str, second: u32, ready: bool, going: bool) -> Pod {
    let document = json!({
        "metadata": {"name": uid, "uid": uid, "creationTimestamp": time(second), "deletionTimestamp": going.then(|| time(59))},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]},
    });
    serde_json::from_value(document).unwrap()
}

fn facts() -> Facts {
    Facts {
        at: at(),
        cluster: ClusterId::Cluster("c".to_owned()),
        about: "here".to_owned(),
        command: "revoke",
        secrets: vec![secret("rsa-keys", "k", 1), secret("admin-token", "t", 2)],
        jobs: vec![
            job("key-gen-7c9d2b41", 1, Health::Complete, "i"),
            job("create-admin-token-7c9d2b41", 2, Health::Complete, "j"),
        ],
        pods: vec![pod("p1", 3, true, false), pod("p2", 3, true, false)],
        pods_matched: true,
        operator: Operator::Absent,
        begun: Vec::new(),
        options: Options {
            rerun: Rerun::Auto,
            selector: DOCUMENTED_SELECTOR.to_owned(),
            key_gen_job: None,
            create_admin_token_job: None,
            again: false,
            new_token: true,
            waived: None,
            wait: Duration::from_secs(300),
        },
        trial: None,
        grace: Duration::from_secs(30),
    }
}

/// The steps, but for the look at the cluster that comes before all that change it.
fn ids(revocation: &Revocation) -> Vec<&'static str> {
    revocation
        .plan
        .steps
        .iter()
        .map(|step| step.id)
        .filter(|id| *id != "check-cluster")
        .collect()
}

fn ways(plan: &Plan) -> Vec<(&'static str, &Way)> {
    let runs = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some((run.secret, &run.way)),
        _ => None,
    });
    runs.collect()
}

const ALL: [&str; 9] = [
    "delete-rsa-keys",
    "delete-admin-token",
    "rerun-key-gen",
    "see-rsa-keys",
    "restart-pods",
    "rerun-create-admin-token",
    "see-admin-token",
    "get-token",
    "prove-revocation",
];

#[test]
fn a_namespace_in_order_is_a_fresh_start() {
    let revocation = plan(&facts(), Vec::new()).unwrap();
    assert_eq!(ids(&revocation), ALL);
    assert_eq!(revocation.half_done, None);
    let equal = Facts {
        secrets: vec![secret("rsa-keys", "k", 1), secret("admin-token", "t", 1)],
        ..facts()
    };
    assert_eq!(
        ids(&plan(&equal, Vec::new()).unwrap()),
        ALL,
        "the same second says nothing of an order"
    );
    let mut no_token = facts();
    no_token.options.new_token = false;
    assert_eq!(
        ids(&plan(&no_token, Vec::new()).unwrap()),
        [&ALL[..5], &ALL[8..]].concat()
    );
}

#[test]
fn half_done_is_carried_on_from_what_the_cluster_holds() {
    let left = |secrets: &[SecretUid], pods: &[Pod]| {
        let facts = Facts {
            secrets: secrets.to_vec(),
            pods: pods.to_vec(),
            ..facts()
        };
        let revocation = plan(&facts, Vec::new()).unwrap();
        assert!(revocation.half_done.is_some());
        ids(&revocation)
    };
    let (keys, token) = (
        |second| secret("rsa-keys", "k2", second),
        secret("admin-token", "t", 2),
    );
    let (old, new) = ([pod("p1", 9, true, false)], [pod("p1", 11, true, false)]);
    let equal = [pod("p1", 10, true, false), pod("p2", 11, true, false)];
    let going = [pod("p1", 9, true, true), pod("p2", 11, false, false)];
    assert_eq!(
        left(std::slice::from_ref(&token), &old),
        ALL[1..],
        "the keys are deleted"
    );
    assert_eq!(left(&[], &old), ALL[2..], "both are");
    assert_eq!(
        left(&[keys(10), token.clone()], &old),
        [&ALL[1..2], &ALL[4..]].concat(),
        "an older token has to go"
    );
    assert_eq!(left(&[keys(10)], &old), ALL[4..], "the keys are new");
    assert_eq!(left(&[keys(10)], &equal), ALL[4..], "equal is not younger");
    assert_eq!(
        left(&[keys(10)], &going),
        ALL[4..],
        "their restart has begun"
    );
    assert_eq!(left(&[keys(10)], &new), ALL[5..], "and is over");
}

#[test]
fn a_token_that_was_taken_away_alone_leaves_the_keys_old() {
    // Its job was done at second 2, with the keys of second 1: whoever took the token away has made no new keys.
    let facts = Facts {
        secrets: vec![secret("rsa-keys", "k", 1)],
        ..facts()
    };
    let revocation = plan(&facts, Vec::new()).unwrap();
    assert_eq!(ids(&revocation), [&ALL[..1], &ALL[2..]].concat());
    assert_eq!(revocation.half_done, None);
}

#[test]
fn the_record_tells_new_from_old() {
    let begun = |uid: &str, name: &str| Object {
        name: format!("secrets/{name}"),
        uid: uid.to_owned(),
    };
    let left = |begun: Vec<Object>, again: bool| {
        let mut facts = Facts {
            begun,
            pods: vec![pod("p", 1, true, false)],
            ..facts()
        };
        facts.options.again = again;
        ids(&plan(&facts, Vec::new()).unwrap())
    };
    assert_eq!(
        left(vec![begun("k", "rsa-keys")], false),
        ALL,
        "that deletion had no effect"
    );
    assert_eq!(
        left(vec![begun("k0", "rsa-keys")], false),
        [&ALL[4..5], &ALL[7..]].concat(),
        "these keys came after it"
    );
    let both = vec![begun("k0", "rsa-keys"), begun("t", "admin-token")];
    assert_eq!(
        left(both.clone(), false),
        [&ALL[1..2], &ALL[4..]].concat(),
        "the token's had none"
    );
    assert_eq!(left(both, true), ALL, "to start over is explicit");
}

#[test]
fn ways_of_rerunning() {
    let way = |facts: &Facts| {
        let revocation = plan(facts, Vec::new())?;
        let names = ways(&revocation.plan)
            .into_iter()
            .map(|(_, way)| way.name());
        Ok::<_, Error>(names.collect::<Vec<_>>())
    };
    let asked = |rerun: Rerun, operator: Operator| {
        let mut facts = Facts {
            operator,
            ..facts()
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
        Operator::Elsewhere,
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
fn what_kubit_has_not_made_again_yet_is_awaited() {
    let mut facts = Facts {
        operator: Operator::Running,
        secrets: Vec::new(),
        ..facts()
    };
    facts.jobs.remove(0);
    let names = |facts: &Facts| {
        ways(&plan(facts, Vec::new()).unwrap().plan)
            .iter()
            .map(|(_, w)| w.name())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&facts), ["awaited", "operator"]);
    facts
        .jobs
        .push(job("key-gen-7c9d2b41", 9, Health::Active, "i"));
    assert_eq!(names(&facts), ["running", "operator"]);
    facts.secrets = vec![secret("rsa-keys", "k", 1), secret("admin-token", "t", 2)];
    assert!(
        plan(&facts, Vec::new())
            .err()
            .unwrap()
            .message
            .contains("is at work")
    );
}

#[test]
fn what_cannot_come_to_its_end_is_refused() {
    let refused = |change: fn(&mut Facts)| {
        let mut facts = facts();
        change(&mut facts);
        let error = plan(&facts, Vec::new()).err().expect("refused");
        assert_eq!(error.kind, crate::error::Kind::Refused);
        format!("{error}; {}", error.hint)
    };
    let nothing = refused(|facts| (facts.secrets, facts.jobs) = (Vec::new(), Vec::new()));
    assert!(
        nothing.contains("neither the secrets nor the jobs"),
        "{nothing}"
    );
    assert!(refused(|facts| drop(facts.jobs.remove(0))).contains("there is no job `key-gen`"));
    assert!(
        refused(|facts| facts.jobs.truncate(1)).contains("there is no job `create-admin-token`")
    );
    let failed = refused(|facts| facts.jobs[0] = job("key-gen-7c9d2b41", 1, Health::Failed, "i"));
    assert!(
        failed.contains("has failed (BackoffLimitExceeded)")
            && failed.contains("--waive failed-job"),
        "{failed}"
    );
    let pods = refused(|facts| facts.pods_matched = false);
    assert!(
        pods.contains("no pod matches `app=token-management`"),
        "{pods}"
    );
    let suspended = refused(|facts| {
        facts.jobs[0] = job("key-gen-7c9d2b41", 1, Health::Suspended, "i");
        facts.operator = Operator::Running;
    });
    assert!(suspended.contains("is suspended"), "{suspended}");
    // A token made now would be of the keys that are about to go.
    let early = refused(|facts| {
        facts.secrets.truncate(1);
        facts.pods = vec![pod("p1", 0, true, false)];
        facts.jobs[1] = job("create-admin-token-7c9d2b41", 1, Health::Active, "i");
    });
    assert!(
        early.contains("job `create-admin-token-7c9d2b41` is at work"),
        "{early}"
    );
    let other =
        refused(|facts| facts.options.key_gen_job = Some("create-admin-token-7c9d2b41".to_owned()));
    assert!(
        other.contains("that could make secret `rsa-keys`"),
        "{other}"
    );
}

#[test]
fn a_token_that_is_being_made_is_waited_for() {
    let mut facts = facts();
    facts.secrets.truncate(1);
    // Of the same second as the keys: they restart once more, and the job goes on.
    facts.pods = vec![pod("p1", 1, true, false)];
    facts.jobs[1] = job("create-admin-token-7c9d2b41", 1, Health::Active, "i");
    let revocation = plan(&facts, Vec::new()).unwrap();
    assert!(
        matches!(
            ways(&revocation.plan)[..],
            [("admin-token", Way::Running { .. })]
        ),
        "{:?}",
        ids(&revocation)
    );
    assert_eq!(ids(&revocation), ALL[4..]);
}

#[test]
fn a_restart_that_has_begun_waits_for_as_many_as_went() {
    let ready_after = |pods: Vec<Pod>| {
        let mut facts = facts();
        facts.begun = vec![Object {
            name: "secrets/rsa-keys".to_owned(),
            uid: "gone".to_owned(),
        }];
        facts.pods_matched = !pods.is_empty();
        facts.pods = pods;
        let revocation = plan(&facts, Vec::new()).unwrap();
        let restart = revocation
            .plan
            .steps
            .into_iter()
            .find_map(|step| match step.action {
                Action::Restart(restart) => Some(restart),
                _ => None,
            });
        restart.map(|restart| (restart.ready, restart.going))
    };
    let going = |uid| pod(uid, 1, false, true);
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
fn a_failure_counts_only_where_nothing_has_done_the_same_work() {
    let mut facts = facts();
    facts.jobs[0] = job("key-gen-7c9d2b41", 1, Health::Failed, "i");
    facts
        .jobs
        .push(job("key-gen-001", 2, Health::Complete, "i"));
    assert_eq!(ids(&plan(&facts, Vec::new()).unwrap()), ALL);
    facts.jobs[2] = job("key-gen-001", 2, Health::Complete, "another image");
    assert!(plan(&facts, Vec::new()).is_err());
    facts.options.waived = Some(Proof::FailedJob);
    assert!(plan(&facts, Vec::new()).is_ok());
}

#[test]
fn rights_are_those_of_the_plan() {
    let lacks = |facts: &Facts, verb: &str, resource: &str| {
        let asked = permissions("influxdb");
        let denied = Permission::new(verb, resource, "influxdb");
        let allowed: Vec<bool> = asked
            .iter()
            .map(|permission| *permission != denied)
            .collect();
        assert!(allowed.contains(&false), "{verb} {resource} is asked for");
        !missing(&plan(facts, Vec::new()).unwrap().plan, "influxdb", &allowed).is_empty()
    };
    use crate::tool::permission::Permission;
    let clone = facts();
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
    let operator = Facts {
        operator: Operator::Running,
        ..facts()
    };
    assert!(lacks(&operator, "delete", "jobs.batch") && !lacks(&operator, "create", "jobs.batch"));
    let token_left = Facts {
        secrets: vec![secret("rsa-keys", "k", 5)],
        ..facts()
    };
    assert!(!lacks(&token_left, "delete", "secrets/rsa-keys"));
}

#[test]
fn pods_that_are_not_ready_are_not_waited_for_unless_they_wait_for_keys() {
    let ready = |facts: &Facts| {
        let revocation = plan(facts, Vec::new()).unwrap();
        let restart = revocation
            .plan
            .steps
            .iter()
            .find_map(|step| match &step.action {
                Action::Restart(restart) => Some(restart.ready),
                _ => None,
            });
        (restart.unwrap(), revocation.warnings.len())
    };
    let pods = vec![pod("p1", 3, true, false), pod("p2", 3, false, false)];
    let fresh = Facts {
        pods: pods.clone(),
        ..facts()
    };
    assert_eq!(ready(&fresh), (1, 1));
    let half_done = Facts {
        pods,
        secrets: Vec::new(),
        ..facts()
    };
    assert_eq!(ready(&half_done), (2, 0));
}

fn health() -> impl Strategy<Value = Health> {
    prop::sample::select(vec![
        Health::Complete,
        Health::Complete,
        Health::Failed,
        Health::Active,
        Health::Suspended,
    ])
}

fn jobs_of(kind: &'static str) -> impl Strategy<Value = Vec<Job>> {
    let one = (
        0usize..4,
        0u32..8,
        health(),
        prop::sample::select(vec!["i", "i", "i", "j"]),
    );
    prop::collection::vec(one, 0..4).prop_map(move |rows| {
        let suffixes = ["7c9d2b41", "12345678", "001", "002"];
        let mut jobs: Vec<Job> = rows
            .into_iter()
            .map(|(suffix, second, health, image)| {
                job(
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

fn any_facts() -> impl Strategy<Value = Facts> {
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
        jobs_of("key-gen"),
        jobs_of("create-admin-token"),
        pods,
        operator,
        rerun,
        flags,
    )
        .prop_map(
            |((keys, token), mut jobs, more, pods, operator, rerun, (again, new_token, begun))| {
                jobs.extend(more);
                let secrets = keys.map(|second| secret("rsa-keys", "k", second));
                let secrets = secrets
                    .into_iter()
                    .chain(token.map(|second| secret("admin-token", "t", second)))
                    .collect();
                let pods = pods.into_iter().enumerate();
                let pods = pods
                    .map(|(i, (second, ready, going))| pod(&format!("p{i}"), second, ready, going))
                    .collect();
                let name = |uid: &str| {
                    if uid.starts_with('k') {
                        "secrets/rsa-keys"
                    } else {
                        "secrets/admin-token"
                    }
                };
                let begun = begun
                    .into_iter()
                    .map(|uid| Object {
                        name: name(uid).to_owned(),
                        uid: uid.to_owned(),
                    })
                    .collect();
                let mut facts = Facts {
                    secrets,
                    jobs,
                    pods,
                    operator,
                    begun,
                    ..facts()
                };
                (
                    facts.options.rerun,
                    facts.options.again,
                    facts.options.new_token,
                ) = (rerun, again, new_token);
                facts
            },
        )
}

/// What a plan does to keys, token and pods.
#[derive(Debug, Default)]
struct Played {
    keys: Option<&'static str>,
    token: Option<&'static str>,
    restarted: bool,
}

fn play(facts: &Facts, plan: &Plan) -> Played {
    let there = |name: &str, uid| {
        facts
            .secrets
            .iter()
            .any(|secret| secret.name == name)
            .then_some(uid)
    };
    let mut played = Played {
        keys: there("rsa-keys", "k"),
        token: there("admin-token", "t"),
        restarted: false,
    };
    for step in &plan.steps {
        match &step.action {
            Action::DeleteSecret(gone) if gone.name == "rsa-keys" => {
                played.keys = played.keys.filter(|uid| *uid != gone.uid)
            }
            Action::DeleteSecret(gone) => {
                played.token = played.token.filter(|uid| *uid != gone.uid)
            }
            // The images make a secret only where there is none.
            Action::RunJob(run) if run.secret == "rsa-keys" => {
                drop(played.keys.get_or_insert("new"))
            }
            Action::RunJob(_) => {
                assert!(played.keys.is_some(), "a token needs keys");
                played.token.get_or_insert("new");
            }
            Action::Restart(_) => {
                assert!(played.keys.is_some(), "pods load keys when they start");
                played.restarted = true;
            }
            _ => {}
        }
    }
    played
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_plan_ends_with_all_new_or_is_refused(facts in any_facts()) {
        let Ok(revocation) = plan(&facts, Vec::new()) else { return Ok(()) };
        let seen = Seen { secrets: &facts.secrets, jobs: &facts.jobs, pods: &facts.pods, begun: &facts.begun };
        let stage = seen.stage(facts.options.again);
        let played = play(&facts, &revocation.plan);
        prop_assert!(played.keys == Some("new") || stage.keys == Secret::New, "{played:?}");
        prop_assert!(played.restarted || (stage.keys == Secret::New && stage.pods == Pods::New), "{played:?}");
        let token_new = played.token == Some("new") || stage.token == Secret::New;
        prop_assert!(if facts.options.new_token { token_new } else { played.token.is_none() }, "{played:?}");
        prop_assert!(ids(&revocation).ends_with(&["prove-revocation"]));
    }

    #[test]
    fn nothing_is_deleted_that_could_not_be_made_again(facts in any_facts()) {
        let Ok(revocation) = plan(&facts, Vec::new()) else { return Ok(()) };
        let steps = &revocation.plan.steps;
        let deleted = steps.iter().filter_map(|step| match &step.action {
            Action::DeleteSecret(gone) => Some(gone.name),
            _ => None,
        });
        for name in deleted.filter(|name| *name == "rsa-keys" || facts.options.new_token) {
            let (_, way) = ways(&revocation.plan).into_iter().find(|(secret, _)| *secret == name).expect("it is made again");
            let possible = match way {
                Way::Clone { .. } | Way::FromJob { .. } => true,
                Way::Operator { .. } => facts.operator == Operator::Running,
                Way::Awaited { .. } | Way::Running { .. } => false,
            };
            prop_assert!(possible, "{name} by {}", way.name());
        }
        let changes = |step: &Step| matches!(step.action, Action::DeleteSecret(_) | Action::RunJob(_) | Action::Restart(_));
        let looked = steps.first().is_some_and(|step| matches!(step.action, Action::SameCluster(_)));
        prop_assert!(looked == steps.iter().any(changes), "the cluster is looked at before anything in it is changed");
        let steps = &steps[usize::from(looked)..];
        let order = |id: &str| ALL.iter().position(|known| *known == id);
        prop_assert!(steps.windows(2).all(|pair| order(pair[0].id) < order(pair[1].id)), "{:?}", ids(&revocation));
    }
}
