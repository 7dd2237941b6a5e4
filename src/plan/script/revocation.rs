//! The steps of a revocation in a script, with their preflight checks and waits.

use super::command::{quote_path, render_command, render_probe};
use crate::plan::revocation::{
    CloneDeletion, ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, PodRestart,
    RejectionCheck, SecretDeletion, VerificationStep,
};
use crate::plan::secret_name::SecretName;
use crate::plan::shell::shell_quote;
use crate::plan::step::{Action, Plan};
use crate::plan::target::ClusterTarget;
use crate::profile;
use crate::tool::invocation::{Invocation, ObjectRef};
use crate::tool::kubectl::DeletionMethod;
use std::time::Duration;

/// Stands for the path of the token in the throwaway configuration.
const TOKEN_FILE_PLACEHOLDER: &str = "TOKEN_FILE";

/// Waits by conditions, so that a failed job ends the wait at once.
const WAIT_FUNCTIONS: &str = concat!(
    r#"wait_for_job() { # wait_for_job JOB OLD-UID SECONDS
  left=$3
  while :; do
    uid=$(k get "job/$1" --ignore-not-found --output 'jsonpath={.metadata.uid}') || uid=
    state=$(k get "job/$1" --ignore-not-found --output "#,
    r#"'jsonpath={.status.conditions[?(@.status=="True")].type}') || state=
    if [ -n "$uid" ] && [ "$uid" != "$2" ]; then
      case " $state " in
      *' Failed '*) fail "job $1 failed" ;;
      *' Complete '*) return ;;
      esac
    fi
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "timed out after $3 s waiting for job $1"
    sleep 1
  done
}
check_new_secret() { # check_new_secret SECRET OLD-UID
  uid=$(k get "secrets/$1" --ignore-not-found --output 'jsonpath={.metadata.uid}')
  case $uid in '' | "$2") fail "no new secret $1 exists" ;; esac
}
wait_for_pods() { # wait_for_pods SELECTOR READY SECONDS
  left=$3
  while :; do
    old=0 ready=0
    pods=$(k get pods --selector "$1" --output "#,
    r#"'jsonpath={range .items[*]}{.metadata.uid}{","}{.metadata.deletionTimestamp}{","}"#,
    r#"{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') || old=1
    for pod in $pods; do
      case " $old_pods " in
      *" ${pod%%,*} "*) old=$((old + 1)) ;;
      *) case $pod in *,,True) ready=$((ready + 1)) ;; esac ;;
      esac
    done
    if [ "$old" = 0 ] && [ "$ready" -ge "$2" ]; then return; fi
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "timed out after $3 s: $old old pods left, $ready new pods ready"
    sleep 1
  done
}
"#
);

/// Renders everything before the first step of a revocation. Other plans need no prologue.
pub(super) fn render_prologue(plan: &Plan) -> String {
    let Some(target) = find_target(plan) else {
        return String::new();
    };
    let writes_token = plan
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::WriteToken { .. }));
    let new_token = if writes_token {
        ""
    } else {
        "new_token=$work/new-token\n"
    };
    let mut text = format!(
        "[ \"${{1:-}}\" = {0} ] || \
         fail 'this cannot be undone: to confirm, give this script the argument' {0}\n\
         {new_token}old_token=$work/old-token\n{1}{WAIT_FUNCTIONS}",
        shell_quote(&target.confirmation_phrase()),
        render_kubectl_function(target),
    );
    text.extend(plan.steps.iter().filter_map(|step| match &step.action {
        Action::SameCluster(cluster) => Some(render_cluster_check(cluster)),
        _ => None,
    }));
    text.push_str(
        "\n# Checks before the first deletion: the jobs are the same, and the server accepts \
         their clones.\n",
    );
    text.extend(plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some(render_job_preflight(run)),
        Action::RestartPods(restart) if restart.terminating.is_none() => {
            Some(render_pods_check(&restart.selector))
        }
        Action::VerifyRevocation(verification) => Some(render_old_token_probe(plan, verification)),
        _ => None,
    }));
    text
}

fn find_target(plan: &Plan) -> Option<&ClusterTarget> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::RunJob(run) => Some(&run.target),
        Action::DeleteSecret(deletion) => Some(&deletion.target),
        Action::RestartPods(restart) => Some(&restart.target),
        Action::DeleteClone(deletion) => Some(&deletion.target),
        _ => None,
    })
}

/// Renders `k`, which is kubectl with the flags that select the namespace.
fn render_kubectl_function(target: &ClusterTarget) -> String {
    let flags = target.kubectl.global_flags.to_args();
    let flags: String = flags
        .iter()
        .map(|flag| format!(" {}", shell_quote(flag)))
        .collect();
    format!(
        "k() {{ {} \"$@\" --namespace {}{flags}; }}\n",
        quote_path(&target.kubectl.tool.found_at),
        shell_quote(&target.namespace),
    )
}

fn render_pods_check(selector: &str) -> String {
    format!(
        "[ -n \"$(k get pods --selector {} --output 'jsonpath={{.items[*].metadata.uid}}')\" ] || \
         fail 'no pod to restart'\n",
        shell_quote(selector)
    )
}

fn render_job_preflight(run: &JobRun) -> String {
    match &run.strategy {
        JobStrategy::Clone { manifest, patch } => {
            let file = format!("\"$work\"/{}.json", shell_quote(&manifest.name));
            format!(
                "{}k get {} --output json | \
                 k patch --local --filename - --type=json --output json --patch {} >{file}\n\
                 k create --filename - --dry-run=server --output name <{file}\n",
                render_uid_check(&manifest.source),
                shell_quote(&manifest.source.to_string()),
                shell_quote(patch),
            )
        }
        JobStrategy::Operator { job, .. } => render_uid_check(job),
        JobStrategy::FromJob { .. }
        | JobStrategy::AwaitExisting { .. }
        | JobStrategy::Running { .. } => String::new(),
    }
}

fn render_uid_check(object: &ObjectRef) -> String {
    let message = shell_quote(&format!(
        "{object} has changed since this script was created"
    ));
    format!(
        "[ \"$(k get {} --output 'jsonpath={{.metadata.uid}}')\" = {} ] || fail {message}\n",
        shell_quote(&object.to_string()),
        object.uid
    )
}

/// Renders a copy of the old token and the functions that probe it.
fn render_old_token_probe(plan: &Plan, verification: &VerificationStep) -> String {
    let Some(probe) = &verification.token_probe else {
        return String::new();
    };
    let deletes_token = plan.steps.iter().any(|step| {
        matches!(&step.action, Action::DeleteSecret(deletion)
            if deletion.name == SecretName::AdminToken)
    });
    let copy = match &probe.profile.token_file {
        _ if deletes_token => {
            "k get secrets/admin-token '--template={{.data.token}}' | decode >\"$old_token\"\n"
                .to_owned()
        }
        Some(file) => format!("cp {} \"$old_token\" || :\n", shell_quote(file)),
        None => String::new(),
    };
    format!(
        "{copy}cat >\"$work/config.in\" <<'END_OF_CONFIG'\n{}END_OF_CONFIG\n\
         case $work in *[\\|\\&\\\\]*) fail 'unsupported name of the temporary directory' ;; esac\n\
         sed \"s|{TOKEN_FILE_PLACEHOLDER}|$work/token|\" \"$work/config.in\" \
         >\"$work/config.toml\"\n\
         mkdir \"$work/home\"\n\
         probe() (\n\
         \x20 cat \"$1\" >\"$work/token\"\n\
         {} 2>\"$work/stderr\"\n\
         )\n\
         rejected() {{ ! probe \"$1\" && \
         grep -Eiq 'unauthenticated|permissiondenied|unauthorized' \"$work/stderr\"; }}\n\
         # A later rejection counts only if the old token is accepted now.\n\
         accepted=no\n\
         if [ -s \"$old_token\" ] && probe \"$old_token\"; then accepted=yes; fi\n",
        profile::render_probe_config(&probe.profile, TOKEN_FILE_PLACEHOLDER),
        render_probe(&probe.command),
    )
}

pub(super) fn render_cluster_check(cluster: &ExpectedCluster) -> String {
    format!(
        "[ \"$({})\" = {} ] || \
         fail 'the context points to another cluster than at the creation of this script'\n",
        render_command(&cluster.command),
        shell_quote(&cluster.expected)
    )
}

pub(super) fn render_delete_secret(deletion: &SecretDeletion) -> String {
    let object = shell_quote(&format!("secrets/{}", deletion.name));
    let message = shell_quote(&format!(
        "secret {} was recreated by somebody else",
        deletion.name
    ));
    format!(
        "uid=$(k get {object} --ignore-not-found --output 'jsonpath={{.metadata.uid}}')\n\
         case $uid in\n'') ;;\n{}) {} ;;\n*) fail {message} ;;\nesac\n{}",
        shell_quote(&deletion.uid),
        render_deletion(&deletion.command()),
        match deletion.method {
            DeletionMethod::Documented => String::new(),
            DeletionMethod::ByUid => render_deletion_check(&object, &deletion.uid),
        },
    )
}

/// Returns whether the script verifies the whole revocation, and ends if it is not verified.
pub(super) fn is_verified_by_script(plan: &Plan) -> bool {
    let mut actions = plan.steps.iter().map(|step| &step.action);
    let has_probe = |action: &Action| matches!(action, Action::VerifyRevocation(step) if step.token_probe.is_some());
    actions.clone().any(has_probe)
        && !actions.any(|action| matches!(action, Action::VerifyProfile(_)))
}

/// Renders the deletion of a clone.
pub(super) fn render_delete_clone(deletion: &CloneDeletion) -> String {
    let object = shell_quote(&deletion.clone.to_string());
    let get_uid =
        format!("uid=$(k get {object} --ignore-not-found --output 'jsonpath={{.metadata.uid}}')\n");
    format!(
        "{get_uid}if [ \"$uid\" = {0} ]; then\n  {1}\n  {get_uid}  \
         [ \"$uid\" != {0} ] || fail {object} 'still exists after its deletion'\nfi\n",
        shell_quote(&deletion.clone.uid),
        render_deletion(&deletion.command()),
    )
}

/// Renders a deletion. With an input, the server can answer with the whole object.
fn render_deletion(command: &Invocation) -> String {
    match command.stdin() {
        Some(input) => format!(
            "printf '%s' {} | {} >/dev/null",
            shell_quote(input),
            render_command(command)
        ),
        None => render_command(command),
    }
}

/// Renders the check after a deletion that does not wait for its end.
fn render_deletion_check(object: &str, uid: &str) -> String {
    format!(
        "uid=$(k get {object} --ignore-not-found --output 'jsonpath={{.metadata.uid}}')\n\
         [ \"$uid\" != {} ] || fail {object} 'still exists after its deletion'\n",
        shell_quote(uid)
    )
}

pub(super) fn render_run_job(run: &JobRun) -> String {
    let start = match (&run.strategy, run.command()) {
        (JobStrategy::Clone { manifest, .. }, _) => format!(
            "k create --filename - --output name <\"$work\"/{}.json\n",
            shell_quote(&manifest.name)
        ),
        (JobStrategy::Operator { job, .. }, Some(command)) => {
            render_uid_check(job) + &render_deletion(&command) + "\n"
        }
        (_, Some(command)) => render_command(&command) + "\n",
        (_, None) => String::new(),
    };
    let old_uid = match &run.strategy {
        JobStrategy::Operator { job, .. } => job.uid.as_str(),
        _ => "",
    };
    let seconds = run.timeout.as_secs();
    let wait = match run.job_name() {
        Some(name) => format!("wait_for_job {} '{old_uid}' {seconds}\n", shell_quote(name)),
        None => format!(
            "left={seconds}\n\
             until uid=$(k get secrets/{0} --ignore-not-found --output name) && \
             [ -n \"$uid\" ]; do\n  \
             left=$((left - 1))\n  \
             [ \"$left\" -gt 0 ] || fail 'timed out after {seconds} s waiting for secret {0}'\n  \
             sleep 1\ndone\n",
            run.secret
        ),
    };
    start + &wait
}

pub(super) fn render_verify_secret(secret: &ExpectedSecret) -> String {
    format!(
        "check_new_secret {} '{}'\n",
        secret.name,
        secret.previous_uid.as_deref().unwrap_or_default()
    )
}

pub(super) fn render_restart_pods(restart: &PodRestart) -> String {
    let selector = shell_quote(&restart.selector);
    let start = match (restart.command(), &restart.terminating) {
        (Some(command), _) => format!(
            "old_pods=$(k get pods --selector {selector} \
             --output 'jsonpath={{.items[*].metadata.uid}}')\n\
             [ -n \"$old_pods\" ] || fail 'no pod to restart'\n{}\n",
            render_command(&command)
        ),
        (None, terminating) => {
            let uids = terminating.as_deref().unwrap_or_default();
            format!("old_pods='{}'\n", uids.join(" "))
        }
    };
    format!(
        "{start}wait_for_pods {selector} {} {}\n",
        restart.ready_pods,
        restart.timeout.as_secs()
    )
}

/// Renders the streak of rejections. Its probes are at least 2 s apart from first to last.
pub(super) fn render_verify_rejection(check: &RejectionCheck) -> String {
    let streak = render_streak(check.min_rejections, check.grace_period);
    format!(
        "[ -s \"$old_token\" ] || fail 'revoked, but not verified: no copy of the old token'\n\
         {streak}"
    )
}

/// Renders the wait until the old token is rejected several times in a row.
fn render_streak(min_rejections: usize, grace_period: Duration) -> String {
    format!(
        "left={} streak=0\n\
         until [ \"$streak\" -ge {min_rejections} ]; do\n  \
         if rejected \"$old_token\"; then streak=$((streak + 1)); else streak=0; fi\n  \
         left=$((left - 1))\n  \
         [ \"$left\" -gt 0 ] || [ \"$streak\" -gt 0 ] || \
         fail 'revoked, but not verified: the old token is still accepted'\n  \
         sleep 1\ndone\n",
        grace_period.as_secs()
    )
}

pub(super) fn render_verify_revocation(verification: &VerificationStep) -> String {
    if verification.token_probe.is_none() {
        return "echo 'revoked, but not verified: no influxctl, or no profile' >&2\n".to_owned();
    }
    let new = if verification.creates_new_token {
        format!(
            "left={}\nuntil probe \"$new_token\"; do\n  left=$((left - 1))\n  \
             [ \"$left\" -gt 0 ] || \
             fail 'revoked, but not verified: the new token is not accepted'\n  sleep 1\ndone\n\
             {}",
            verification.grace_period.as_secs(),
            render_streak(verification.min_rejections, verification.grace_period)
        )
    } else {
        String::new()
    };
    format!(
        "{new}[ \"$accepted\" = yes ] || \
         fail 'revoked, but not verified: the old token was not accepted before either'\n\
         echo 'revoked and verified'\n"
    )
}

/// Renders a reminder. The script probes one address only.
pub(super) fn render_verify_profile(check: &RejectionCheck) -> String {
    let profile = &check.token_probe.profile;
    let text = format!(
        "not verified: profile {} with address {}",
        profile.name,
        profile.address()
    );
    format!("echo {} >&2\n", shell_quote(&text))
}
