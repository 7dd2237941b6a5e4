//! Plans the steps that a revocation still needs.

use super::clones::find_earlier_clones;
use super::facts::{RevocationFacts, RevocationPlan};
use super::finalizers::ensure_no_finalizers;
use super::jobs::JobKind;
use super::key_users::find_key_users;
use super::operator::SigningKey;
use super::options::{DOCUMENTED_SELECTOR, PreflightCheck, Rerun};
use super::stage::{Observation, PodState, SecretState, Stage};
use super::strategy::StrategyChooser;
use crate::error::{Error, Result};
use crate::plan::{
    Action, CloneDeletion, ExpectedCluster, ExpectedSecret, JobRun, Plan, PodRestart,
    RejectionCheck, SecretDeletion, SecretName, Step, TokenInventory, VerificationStep,
};
use crate::tool::influxctl;
use crate::tool::invocation::ObjectRef;
use crate::tool::kubectl::Pod;

/// Rejections of the old token in a row that verification requires at least.
pub const MIN_REJECTIONS: usize = 8;

/// Rejections in a row for each ready pod: a load balancer chooses at random.
const REJECTIONS_PER_POD: usize = 5;

const LOAD_BALANCER_REASON: &str = "behind a load balancer a backend can still have the old keys";

/// Plans a revocation. `local_steps` write the new token on this machine, for `rotate`.
///
/// # Errors
/// [`crate::error::ErrorKind::Refused`] if the revocation could not finish.
pub fn plan_revocation(facts: &RevocationFacts, local_steps: Vec<Step>) -> Result<RevocationPlan> {
    let observation = Observation {
        secrets: &facts.secrets,
        jobs: &facts.jobs,
        pods: &facts.pods,
        has_unfinished_changes: facts.has_unfinished_changes,
        started_deletions: &facts.started_deletions,
        created_secrets: &facts.created_secrets,
    };
    ensure_clustered_namespace(facts)?;
    ensure_signing_key_is_generated(facts)?;
    ensure_not_paused(facts)?;
    let stage = observation.determine_stage(facts.options.start_over);
    ensure_keys_origin_is_known(&stage)?;
    ensure_no_finalizers(facts, &stage)?;
    // With new keys, the pods can be missing for a moment during their restart.
    if stage.keys != SecretState::New {
        ensure_pods_match(facts)?;
    }
    Planner::new(facts, stage).build_plan(local_steps)
}

fn ensure_clustered_namespace(facts: &RevocationFacts) -> Result<()> {
    let has_job = |kind: &JobKind| kind.filter_jobs(&facts.jobs).next().is_some();
    if !facts.secrets.is_empty() || JobKind::ALL.iter().any(has_job) {
        return Ok(());
    }
    let namespace = &facts.target.namespace;
    Err(Error::refusal(format!(
        "namespace `{namespace}` has neither the secrets nor the jobs of InfluxDB Clustered"
    ))
    .hint(format!(
        "check the namespace: `kubectl get secrets,jobs --namespace {namespace}`"
    )))
}

/// Refuses if the site sets the signing key itself: then new `rsa-keys` revoke nothing.
fn ensure_signing_key_is_generated(facts: &RevocationFacts) -> Result<()> {
    if facts.app_instances.signing_key() != SigningKey::SetBySite
        || facts
            .options
            .skip_checks
            .contains(&PreflightCheck::SigningKey)
    {
        return Ok(());
    }
    Err(Error::refusal(
        "the AppInstance sets its own signing key (`spec.package.spec.admin.internalSigningKey`): \
         new `rsa-keys` would revoke no token",
    )
    .hint(
        "replace the key in the AppInstance. If `rsa-keys` signs the tokens all the same, pass \
         `--skip-check signing-key`",
    ))
}

/// Refuses to take keys for new that no job created: they can be the old ones, from a backup.
fn ensure_keys_origin_is_known(stage: &Stage) -> Result<()> {
    if !stage.are_keys_of_unknown_origin {
        return Ok(());
    }
    Err(Error::refusal(
        "a revocation is unfinished, but no key-gen job ran when secret `rsa-keys` was created: \
         it can contain the old keys",
    )
    .hint("pass `--start-over` to delete the keys and the token, and create both again"))
}

/// Refuses while kubit is paused: the documented reason for that is a backup or a restore.
fn ensure_not_paused(facts: &RevocationFacts) -> Result<()> {
    let options = &facts.options;
    let is_acknowledged = options.rerun == Rerun::Clone && !options.is_rerun_from_policy;
    if !facts.app_instances.is_paused() || is_acknowledged {
        return Ok(());
    }
    let namespace = &facts.target.namespace;
    Err(Error::refusal(format!(
        "kubit is paused for namespace `{namespace}`: a backup or a restore can be in progress"
    ))
    .hint(
        "wait until kubit runs again. If you know why it is paused, pass `--rerun clone` on the \
         command line",
    ))
}

fn ensure_pods_match(facts: &RevocationFacts) -> Result<()> {
    if facts.pods_match_selector {
        return Ok(());
    }
    let workloads = find_key_users(&facts.pods, &[], &[]);
    let hint = if workloads.is_empty() {
        format!(
            "no pod of namespace `{0}` mounts or reads secret `rsa-keys`: find the pods that use \
             it (`kubectl get pods --namespace {0} --output yaml`), then select them with \
             --restart-selector",
            facts.target.namespace
        )
    } else {
        format!(
            "these pods mount or read secret `rsa-keys`: {}. Select those that serve tokens with \
             --restart-selector, ingesters do not need a restart",
            workloads.join(", ")
        )
    };
    Err(Error::refusal(format!(
        "no pod matches `{}`: no pod would restart, and the old keys would stay in use",
        facts.options.selector
    ))
    .hint(hint))
}

/// Collects the steps of a plan.
struct Planner<'a> {
    facts: &'a RevocationFacts,
    stage: Stage,
    steps: Vec<Step>,
    satisfied: Vec<(&'static str, String)>,
    warnings: Vec<(String, String)>,
}

impl<'a> Planner<'a> {
    fn new(facts: &'a RevocationFacts, stage: Stage) -> Self {
        Self {
            facts,
            stage,
            steps: Vec::new(),
            satisfied: Vec::new(),
            warnings: Vec::new(),
        }
    }

    fn build_plan(mut self, mut local_steps: Vec<Step>) -> Result<RevocationPlan> {
        self.ensure_new_token_is_wanted()?;
        self.warn_about_other_key_users();
        self.push_cluster_check();
        self.push_secret_deletions();
        self.push_job_rerun(JobKind::KeyGen)?;
        self.push_pod_restart();
        if self.facts.options.creates_new_token {
            self.push_job_rerun(JobKind::CreateAdminToken)?;
            self.push_rejection_check();
            self.push_token_read();
        } else {
            self.push_rejection_check();
        }
        self.push_verification();
        let min_rejections = self.min_rejections();
        for step in &mut local_steps {
            if let Action::VerifyProfile(check) = &mut step.action {
                check.min_rejections = min_rejections;
            }
        }
        // A rejected token must not replace one that can still work.
        self.steps.extend(local_steps);
        self.push_token_count();
        let mut earlier_clones = find_earlier_clones(&self.facts.jobs, &self.steps);
        // The next revocation needs a job that the options name.
        let options = &self.facts.options;
        let named = [&options.key_gen_job, &options.create_admin_token_job];
        earlier_clones.retain(|clone| !named.contains(&&Some(clone.name.clone())));
        self.push_clone_deletions(&earlier_clones);
        // A plan that only reads the cluster does not need the cluster check.
        if !self.steps.iter().any(needs_cluster_check) {
            self.steps
                .retain(|step| !matches!(step.action, Action::SameCluster(_)));
        }
        let plan = Plan {
            command: self.facts.command,
            description: self.facts.description.clone(),
            steps: self.steps,
        };
        Ok(RevocationPlan {
            plan,
            resuming: self.stage.resuming,
            satisfied: self.satisfied,
            warnings: self.warnings,
            earlier_clones,
        })
    }

    fn push_step(
        &mut self,
        id: &'static str,
        reason: impl Into<String>,
        action: Action,
        postcondition: impl Into<String>,
    ) {
        self.steps.push(Step {
            id,
            reason: reason.into(),
            action,
            postcondition: postcondition.into(),
            parallel: false,
        });
    }

    /// Refuses to leave a new token behind that no later step would delete.
    fn ensure_new_token_is_wanted(&self) -> Result<()> {
        if self.facts.options.creates_new_token || self.stage.token != SecretState::New {
            return Ok(());
        }
        Err(Error::refusal(
            "an unfinished revocation has created a new admin token, which would stay valid",
        )
        .hint(
            "remove --no-new-token to finish with the new token, \
             or add --start-over to finish without any token",
        ))
    }

    /// Checks the UID of the cluster again, unless every command reaches the pinned server.
    fn push_cluster_check(&mut self) {
        let target = &self.facts.target;
        let recheck = self
            .facts
            .cluster
            .recheck(&target.kubectl, &target.namespace);
        if let Some((command, expected)) = recheck {
            let action = Action::SameCluster(ExpectedCluster {
                command,
                expected: expected.to_owned(),
            });
            self.push_step(
                "check-cluster",
                "check that the context still points to the same cluster",
                action,
                "the cluster is the one of the preflight checks",
            );
        }
    }

    fn push_secret_deletions(&mut self) {
        for name in SecretName::ALL {
            let (id, reason) = match name {
                SecretName::RsaKeys => (
                    "delete-rsa-keys",
                    "this cannot be undone: all admin tokens issued so far stop working",
                ),
                SecretName::AdminToken => (
                    "delete-admin-token",
                    "its job creates a token only if the secret is missing",
                ),
            };
            match self.stage.secret(name).clone() {
                SecretState::Old(uid) => {
                    let target = self.facts.target.clone();
                    let action = Action::DeleteSecret(SecretDeletion {
                        target,
                        name,
                        uid,
                        method: self.facts.options.deletion_method,
                    });
                    let postcondition = format!("secret `{name}` with that UID is gone");
                    self.push_step(id, reason, action, postcondition);
                }
                SecretState::Missing => self
                    .satisfied
                    .push((id, format!("secret `{name}` is missing"))),
                SecretState::New => self
                    .satisfied
                    .push((id, format!("the old secret `{name}` is deleted"))),
            }
        }
    }

    /// Reruns the job of a secret, unless the secret is new.
    fn push_job_rerun(&mut self, kind: JobKind) -> Result<()> {
        let name = kind.secret();
        let (rerun_id, verify_id) = match kind {
            JobKind::KeyGen => ("rerun-key-gen", "verify-rsa-keys"),
            JobKind::CreateAdminToken => ("rerun-create-admin-token", "verify-admin-token"),
        };
        let previous_uid = match self.stage.secret(name) {
            SecretState::Old(uid) => Some(uid.clone()),
            SecretState::Missing => None,
            SecretState::New => {
                self.satisfied
                    .push((rerun_id, format!("secret `{name}` is new")));
                return Ok(());
            }
        };
        let chooser = StrategyChooser {
            facts: self.facts,
            stage: &self.stage,
        };
        let strategy = chooser.choose(kind)?;
        self.warnings.extend(chooser.suspension_warning(&strategy));
        let run = JobRun {
            target: self.facts.target.clone(),
            strategy,
            secret: name,
            timeout: self.facts.options.timeout,
        };
        let secret = ExpectedSecret {
            target: self.facts.target.clone(),
            name,
            previous_uid,
            job: run.job_name().map(str::to_owned),
        };
        self.push_step(
            rerun_id,
            format!("this job creates secret `{name}`"),
            Action::RunJob(Box::new(run)),
            "the job is complete",
        );
        self.push_step(
            verify_id,
            "a job can complete without creating the secret",
            Action::VerifySecret(secret),
            format!("secret `{name}` exists with a new UID"),
        );
        Ok(())
    }

    fn push_pod_restart(&mut self) {
        let terminating = match &self.stage.pods {
            PodState::New => {
                let reason = "all pods have loaded the new keys".to_owned();
                self.satisfied.push(("restart-pods", reason));
                return;
            }
            // Pods and keys of the same second show no order, but the verification does.
            PodState::Old if self.facts.are_secrets_verified && !self.stage.serves_old_keys => {
                let reason = "an earlier run restarted the pods and verified it".to_owned();
                self.satisfied.push(("restart-pods", reason));
                return;
            }
            PodState::Terminating(uids) => Some(uids.clone()),
            PodState::Old => None,
        };
        let is_live = |pod: &&Pod| !pod.is_finished() && pod.metadata.deletion_timestamp.is_none();
        let live: Vec<&Pod> = self.facts.pods.iter().filter(is_live).collect();
        let ready = live.iter().filter(|pod| pod.is_ready()).count();
        let required = match &terminating {
            // The new pods can wait for the keys, or not exist yet.
            Some(uids) => live.len().max(uids.len()).max(1),
            None if self.stage.resuming.is_some() => live.len(),
            None => ready,
        };
        self.warn_about_selector();
        if required < live.len() {
            self.warn_about_unready_pods(ready, live.len());
        }
        let reason = if terminating.is_some() {
            "their restart has started"
        } else {
            "they load the keys only when they start"
        };
        let restart = PodRestart {
            target: self.facts.target.clone(),
            selector: self.facts.options.selector.clone(),
            ready_pods: required,
            other_key_users: self.facts.other_key_users.clone(),
            terminating,
            timeout: self.facts.options.timeout,
        };
        self.push_step(
            "restart-pods",
            reason,
            Action::RestartPods(restart),
            format!("the pods with the old UIDs are gone, and {required} others are ready"),
        );
    }

    fn warn_about_other_key_users(&mut self) {
        let users = &self.facts.other_key_users;
        if users.is_empty() {
            return;
        }
        self.warnings.push((
            format!(
                "other pods mount or read secret `rsa-keys` and do not restart: {}",
                users.join(", ")
            ),
            "select those that check tokens with `--restart-selector`. List the others as \
             `ignored_key_users` in the policy"
                .to_owned(),
        ));
    }

    fn warn_about_selector(&mut self) {
        let selector = &self.facts.options.selector;
        let mut pods = self.facts.pods.iter();
        if selector == DOCUMENTED_SELECTOR
            || pods.any(|pod| pod.uses_secret(SecretName::RsaKeys.as_str()))
        {
            return;
        }
        self.warnings.push((
            format!(
                "no pod with label {selector} mounts or reads secret `rsa-keys`: \
                 their restart may have no effect"
            ),
            "look for the pods that do (`kubectl get pods --output yaml`): \
             a pod with the old keys accepts the old token"
                .to_owned(),
        ));
    }

    fn warn_about_unready_pods(&mut self, ready: usize, all: usize) {
        let selector = &self.facts.options.selector;
        self.warnings.push((
            format!(
                "only {ready} of {all} pods with label {selector} are ready: \
                 the restart waits for no more than that"
            ),
            format!(
                "check them with `kubectl describe pods --selector {selector} --namespace {}`",
                self.facts.target.namespace
            ),
        ));
    }

    /// Returns how many rejections in a row are required. A resumed run can find the pods during
    /// their restart.
    fn min_rejections(&self) -> usize {
        let is_ready = |pod: &&Pod| !pod.is_finished() && pod.is_ready();
        let ready = self.facts.pods.iter().filter(is_ready).count();
        let awaited = self.steps.iter().find_map(|step| match &step.action {
            Action::RestartPods(restart) => Some(restart.ready_pods),
            _ => None,
        });
        MIN_REJECTIONS.max(REJECTIONS_PER_POD * ready.max(awaited.unwrap_or(0)))
    }

    /// Probes the old token from the restart on, in parallel with the job of the new token.
    fn push_rejection_check(&mut self) {
        let Some(token_probe) = self.facts.token_probe.clone() else {
            return;
        };
        let job = self.steps.iter().rposition(|step| {
            matches!(&step.action, Action::RunJob(run) if run.secret == SecretName::AdminToken)
        });
        // With a new token the streak follows later, once the server accepts that one.
        let (min_rejections, reason, postcondition) = if self.facts.options.creates_new_token {
            let reason = "the pods have loaded the new keys";
            (1, reason, "the old token is rejected".to_owned())
        } else {
            let count = self.min_rejections();
            (
                count,
                LOAD_BALANCER_REASON,
                format!("the old token is rejected {count} times in a row"),
            )
        };
        let step = Step {
            id: "verify-rejection",
            reason: reason.to_owned(),
            action: Action::VerifyRejection(RejectionCheck {
                token_probe,
                min_rejections,
                grace_period: self.facts.grace_period,
            }),
            postcondition,
            parallel: job.is_some(),
        };
        self.steps
            .insert(job.map_or(self.steps.len(), |job| job + 1), step);
    }

    /// Reads the new token in parallel with the check of its UID, if the plan has one.
    fn push_token_read(&mut self) {
        let target = &self.facts.target;
        let parallel = self
            .steps
            .last()
            .is_some_and(|step| matches!(step.action, Action::VerifySecret(_)));
        self.steps.push(Step {
            id: "get-token",
            reason: "read the new token for the verification".to_owned(),
            action: Action::ReadToken(target.kubectl.get_admin_token(&target.namespace)),
            postcondition: "the new token is in memory only".to_owned(),
            parallel,
        });
    }

    fn push_verification(&mut self) {
        let creates_new_token = self.facts.options.creates_new_token;
        let min_rejections = self.min_rejections();
        let (reason, postcondition) = if creates_new_token {
            let text = format!(
                "the new token is accepted, and the old one rejected {min_rejections} times in a row"
            );
            (LOAD_BALANCER_REASON, text)
        } else {
            let text = "the old token, accepted before, is rejected".to_owned();
            ("verify the result", text)
        };
        let verification = VerificationStep {
            token_probe: self.facts.token_probe.clone(),
            creates_new_token,
            min_rejections,
            grace_period: self.facts.grace_period,
        };
        self.push_step(
            "verify-revocation",
            reason,
            Action::VerifyRevocation(verification),
            postcondition,
        );
    }

    /// Counts the tokens that the revocation does not revoke, where the new token is at hand.
    fn push_token_count(&mut self) {
        let probe = self.facts.token_probe.as_ref();
        let Some(probe) = probe.filter(|_| self.facts.options.creates_new_token) else {
            return;
        };
        let inventory = TokenInventory {
            database: influxctl::list_database_tokens(probe.command.tool()),
            management: influxctl::list_management_tokens(probe.command.tool()),
            profile: probe.profile.clone(),
        };
        self.push_step(
            "count-tokens",
            "count the tokens that this revocation does not revoke",
            Action::CountTokens(Box::new(inventory)),
            "their numbers are known, or a note gives the reason",
        );
    }

    /// Deletes the clones of earlier revocations, if the user asks for it. They show which jobs
    /// ran, so they stay until this revocation is verified.
    fn push_clone_deletions(&mut self, clones: &[ObjectRef]) {
        if !self.facts.options.prune_clones {
            return;
        }
        for clone in clones {
            let deletion = CloneDeletion {
                target: self.facts.target.clone(),
                clone: clone.clone(),
            };
            self.push_step(
                "delete-clone",
                "an earlier revocation created this job, and a newer clone replaces it",
                Action::DeleteClone(deletion),
                format!("job `{}` with that UID is gone", clone.name),
            );
        }
    }
}

fn needs_cluster_check(step: &Step) -> bool {
    matches!(
        step.action,
        Action::DeleteSecret(_)
            | Action::RunJob(_)
            | Action::RestartPods(_)
            | Action::WriteToken { .. }
            | Action::DeleteClone(_)
    )
}
