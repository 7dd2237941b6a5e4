//! Properties of the plans for generated facts.

use super::*;
use proptest::prelude::*;

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
            |(
                (keys, token),
                mut jobs,
                more,
                pods,
                operator,
                rerun,
                (start_over, creates_new_token, has_started),
            )| {
                jobs.extend(more);
                let secrets = keys.map(|second| make_secret("rsa-keys", "k", second));
                let secrets = secrets
                    .into_iter()
                    .chain(token.map(|second| make_secret("admin-token", "t", second)))
                    .collect();
                let pods = pods.into_iter().enumerate();
                let pods = pods
                    .map(|(i, (second, is_ready, is_terminating))| {
                        make_pod(&format!("p{i}"), second, is_ready, is_terminating)
                    })
                    .collect();
                let name = |uid: &str| {
                    if uid.starts_with('k') {
                        "rsa-keys"
                    } else {
                        "admin-token"
                    }
                };
                let started_deletions: Vec<ObjectRef> = has_started
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
                    has_unfinished_changes: !started_deletions.is_empty(),
                    started_deletions,
                    ..make_facts()
                };
                (
                    facts.options.rerun,
                    facts.options.start_over,
                    facts.options.creates_new_token,
                ) = (rerun, start_over, creates_new_token);
                facts
            },
        )
}

/// The effect of a plan on keys, token and pods.
#[derive(Debug, Default)]
struct SimulatedState {
    keys: Option<&'static str>,
    token: Option<&'static str>,
    has_restarted: bool,
}

fn simulate_plan(facts: &RevocationFacts, plan: &Plan) -> SimulatedState {
    let find_uid = |name: &str, uid| {
        facts
            .secrets
            .iter()
            .any(|secret| secret.name == name)
            .then_some(uid)
    };
    let mut state = SimulatedState {
        keys: find_uid("rsa-keys", "k"),
        token: find_uid("admin-token", "t"),
        has_restarted: false,
    };
    for step in &plan.steps {
        match &step.action {
            Action::DeleteSecret(deletion) if deletion.name == SecretName::RsaKeys => {
                state.keys = state.keys.filter(|uid| *uid != deletion.uid)
            }
            Action::DeleteSecret(deletion) => {
                state.token = state.token.filter(|uid| *uid != deletion.uid)
            }
            // The images create a secret only if it is missing.
            Action::RunJob(run) if run.secret == SecretName::RsaKeys => {
                state.keys.get_or_insert("new");
            }
            Action::RunJob(_) => {
                assert!(state.keys.is_some(), "a token needs keys");
                state.token.get_or_insert("new");
            }
            Action::RestartPods(_) => {
                assert!(state.keys.is_some(), "pods load keys when they start");
                state.has_restarted = true;
            }
            _ => {}
        }
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn plan_renews_everything_or_is_refused(facts in any_facts()) {
        let Ok(revocation) = plan_revocation(&facts, Vec::new()) else { return Ok(()) };
        let observation = Observation {
            secrets: &facts.secrets,
            jobs: &facts.jobs,
            pods: &facts.pods,
            has_unfinished_changes: facts.has_unfinished_changes,
            started_deletions: &facts.started_deletions,
            created_secrets: &facts.created_secrets,
        };
        let stage = observation.determine_stage(facts.options.start_over);
        let state = simulate_plan(&facts, &revocation.plan);
        let are_keys_new = stage.keys == SecretState::New;
        prop_assert!(state.keys == Some("new") || are_keys_new, "{state:?}");
        let are_pods_new = are_keys_new && stage.pods == PodState::New;
        prop_assert!(state.has_restarted || are_pods_new, "{state:?}");
        let is_token_new = state.token == Some("new") || stage.token == SecretState::New;
        let is_token_expected =
            if facts.options.creates_new_token { is_token_new } else { state.token.is_none() };
        prop_assert!(is_token_expected, "{state:?}");
        prop_assert!(list_step_ids(&revocation).ends_with(&["verify-revocation"]));
    }

    #[test]
    fn plan_deletes_only_recreatable_secrets(facts in any_facts()) {
        let Ok(revocation) = plan_revocation(&facts, Vec::new()) else { return Ok(()) };
        let steps = &revocation.plan.steps;
        let deleted = steps.iter().filter_map(|step| match &step.action {
            Action::DeleteSecret(deletion) => Some(deletion.name),
            _ => None,
        });
        for name in deleted.filter(|name| *name == SecretName::RsaKeys || facts.options.creates_new_token) {
            let strategies = list_strategies(&revocation.plan);
            let strategy = strategies.into_iter().find(|(secret, _)| *secret == name);
            let (_, strategy) = strategy.expect("a step that recreates the secret");
            let is_possible = match strategy {
                JobStrategy::Clone { .. } | JobStrategy::FromJob { .. } => true,
                JobStrategy::Operator { .. } => facts.operator == Operator::Running,
                JobStrategy::AwaitExisting { .. } | JobStrategy::Running { .. } => false,
            };
            prop_assert!(is_possible, "{name} by {}", strategy.as_str());
        }
        let is_change = |step: &Step| {
            matches!(
                step.action,
                Action::DeleteSecret(_) | Action::RunJob(_) | Action::RestartPods(_)
            )
        };
        let is_check = |step: &Step| matches!(step.action, Action::SameCluster(_));
        let has_check = steps.first().is_some_and(is_check);
        prop_assert!(has_check == steps.iter().any(is_change), "a check precedes changes");
        let steps = &steps[usize::from(has_check)..];
        let order = |id: &str| ALL_STEPS.iter().position(|known| *known == id);
        let is_ordered = steps
            .windows(2)
            .all(|pair| order(pair[0].id) < order(pair[1].id));
        prop_assert!(is_ordered, "{:?}", list_step_ids(&revocation));
    }
}
