//! The steps of a revocation as shell: what is shown before anything is deleted, and what each step waits for.

use super::{render_command, shell_quote};
use crate::plan::{
    Action, ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, Plan, PodRestart, SecretDeletion,
    SecretName, VerificationStep,
};
use crate::profile;
use crate::tool::invocation::{Arg, ObjectRef};

/// What stands in for the token's path in the throwaway configuration.
const TOKEN_FILE_PLACEHOLDER: &str = "TOKEN_FILE";

/// Waits for a job by its conditions, and sees its failure as soon as its end.
const WAIT_FUNCTIONS: &str = r#"finished() { # finished JOB OLD-UID SECONDS
  left=$3
  while :; do
    uid=$(k get "job/$1" --ignore-not-found --output 'jsonpath={.metadata.uid}') || uid=
    state=$(k get "job/$1" --ignore-not-found --output 'jsonpath={.status.conditions[?(@.status=="True")].type}') || state=
    if [ -n "$uid" ] && [ "$uid" != "$2" ]; then
      case " $state " in
      *' Failed '*) fail "job $1 failed" ;;
      *' Complete '*) return ;;
      esac
    fi
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "job $1 is not complete after $3 s"
    sleep 1
  done
}
made() { # made SECRET OLD-UID
  uid=$(k get "secrets/$1" --ignore-not-found --output 'jsonpath={.metadata.uid}')
  case $uid in '' | "$2") fail "there is no new secret $1" ;; esac
}
restarted() { # restarted SELECTOR READY SECONDS
  left=$3
  while :; do
    going=0 ready=0
    pods=$(k get pods --selector "$1" --output 'jsonpath={range .items[*]}{.metadata.uid}{","}{.metadata.deletionTimestamp}{","}{.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}') || going=1
    for pod in $pods; do
      case " $old_pods " in
      *" ${pod%%,*} "*) going=$((going + 1)) ;;
      *) case $pod in *,,True) ready=$((ready + 1)) ;; esac ;;
      esac
    done
    if [ "$going" = 0 ] && [ "$ready" -ge "$2" ]; then return; fi
    left=$((left - 1))
    [ "$left" -gt 0 ] || fail "$going old pods are left and $ready new ones ready after $3 s"
    sleep 1
  done
}
"#;

/// What comes before the first step of a revocation; nothing for other plans.
pub(super) fn render_prologue(plan: &Plan) -> String {
    let Some(at) = plan.steps.iter().find_map(|step| match &step.action {
        Action::RunJob(run) => Some(&run.target),
        Action::DeleteSecret(deletion) => Some(&deletion.target),
        Action::RestartPods(restart) => Some(&restart.target),
        _ => None,
    }) else {
        return String::new();
    };
    let kubectl = shell_quote(&at.kubectl.tool.found_at.display().to_string());
    let pins: Vec<String> = at
        .kubectl
        .global_flags
        .to_args()
        .iter()
        .map(|flag| shell_quote(flag))
        .collect();
    let pins = if pins.is_empty() {
        String::new()
    } else {
        format!(" {}", pins.join(" "))
    };
    let phrase = at.confirmation_phrase();
    let confirmed = format!(
        "[ \"${{1:-}}\" = {0} ] || fail 'what this deletes cannot be had back; to confirm it, give this script the argument' {0}\n",
        shell_quote(&phrase)
    );
    let writes = plan
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::WriteToken { .. }));
    let new_token = if writes {
        ""
    } else {
        "new_token=$work/new-token\n"
    };
    let mut text = format!(
        "{confirmed}{new_token}old_token=$work/old-token\nk() {{ {kubectl} \"$@\" --namespace {}{pins}; }}\n{WAIT_FUNCTIONS}",
        shell_quote(&at.namespace)
    );
    text.extend(plan.steps.iter().filter_map(|step| match &step.action {
        Action::SameCluster(same) => Some(render_cluster_check(same)),
        _ => None,
    }));
    text.push_str(
        "\n# Before anything is deleted: the jobs are those that were seen, and the server would make their clones.\n",
    );
    text.extend(plan.steps.iter().filter_map(|step| match &step.action {
        Action::RunJob(run) => Some(render_job_preflight(run)),
        Action::RestartPods(restart) if restart.terminating.is_none() => {
            Some(render_pods_check(&restart.selector))
        }
        Action::VerifyRevocation(prove) => Some(render_old_token_probe(plan, prove)),
        _ => None,
    }));
    text
}

fn render_pods_check(selector: &str) -> String {
    format!(
        "[ -n \"$(k get pods --selector {} --output 'jsonpath={{.items[*].metadata.uid}}')\" ] || fail 'there is no pod to restart'\n",
        shell_quote(selector)
    )
}

fn render_job_preflight(run: &JobRun) -> String {
    match &run.strategy {
        JobStrategy::Clone { manifest, patch } => {
            let (from, file) = (
                &manifest.source,
                format!("\"$work\"/{}.json", shell_quote(&manifest.name)),
            );
            format!(
                "{}k get {} --output json | k patch --local --filename - --type=json --output json --patch {} >{file}\n\
                 k create --filename - --dry-run=server --output name <{file}\n",
                render_uid_check(from),
                shell_quote(&from.to_string()),
                shell_quote(patch),
            )
        }
        JobStrategy::Operator { job } => render_uid_check(job),
        JobStrategy::FromJob { .. }
        | JobStrategy::AwaitExisting { .. }
        | JobStrategy::Running { .. } => String::new(),
    }
}

/// The object is the one that was seen.
fn render_uid_check(object: &ObjectRef) -> String {
    let message = shell_quote(&format!(
        "{object} is not the one that this script was made for"
    ));
    format!(
        "[ \"$(k get {} --output 'jsonpath={{.metadata.uid}}')\" = {} ] || fail {message}\n",
        shell_quote(&object.to_string()),
        object.uid
    )
}

/// A copy of the old token, and the means to try it.
fn render_old_token_probe(plan: &Plan, prove: &VerificationStep) -> String {
    let Some(trial) = &prove.token_probe else {
        return String::new();
    };
    let in_cluster = plan.steps.iter().any(
        |step| matches!(&step.action, Action::DeleteSecret(gone) if gone.name == SecretName::AdminToken),
    );
    let copy = match &trial.profile.token_file {
        _ if in_cluster => {
            "k get secrets/admin-token '--template={{.data.token}}' | decode >\"$old_token\"\n"
                .to_owned()
        }
        Some(file) => format!("cp {} \"$old_token\" || :\n", shell_quote(file)),
        None => String::new(),
    };
    let word = |arg: &Arg| match arg {
        Arg::Text(text) => shell_quote(text),
        Arg::ProbeConfig => "\"$work/config.toml\"".to_owned(),
    };
    let argv: Vec<String> = trial.command.args().iter().map(word).collect();
    format!(
        "{copy}cat >\"$work/config.in\" <<'END_OF_CONFIG'\n{}END_OF_CONFIG\n\
         case $work in *[\\|\\&\\\\]*) fail 'the temporary directory has a name that sed would not take' ;; esac\n\
         sed \"s|{TOKEN_FILE_PLACEHOLDER}|$work/token|\" \"$work/config.in\" >\"$work/config.toml\"\n\
         mkdir \"$work/home\"\n\
         try() (\n\
         \x20 cat \"$1\" >\"$work/token\"\n\
         \x20 for name in $(env | sed -n 's/^\\(INFLUXCTL_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done\n\
         \x20 unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME\n\
         \x20 export HOME=\"$work/home\"\n\
         \x20 {} {} </dev/null >/dev/null 2>\"$work/said\"\n\
         )\n\
         refused() {{ ! try \"$1\" && grep -Eiq 'unauthenticated|permissiondenied|unauthorized' \"$work/said\"; }}\n\
         # That it is refused afterwards says something only if it is accepted now.\n\
         accepted=no\n\
         if [ -s \"$old_token\" ] && try \"$old_token\"; then accepted=yes; fi\n",
        profile::render_probe_config(&trial.profile, TOKEN_FILE_PLACEHOLDER),
        shell_quote(&trial.command.tool().found_at.display().to_string()),
        argv.join(" "),
    )
}

pub(super) fn render_cluster_check(same: &ExpectedCluster) -> String {
    format!(
        "[ \"$({})\" = {} ] || fail 'the context leads to another cluster than the one that this script was made for'\n",
        render_command(&same.command),
        shell_quote(&same.expected)
    )
}

pub(super) fn render_delete_secret(deletion: &SecretDeletion) -> String {
    let object = shell_quote(&format!("secrets/{}", deletion.name));
    let message = shell_quote(&format!(
        "secret {} was made anew by someone else meanwhile",
        deletion.name
    ));
    format!(
        "uid=$(k get {object} --ignore-not-found --output 'jsonpath={{.metadata.uid}}')\ncase $uid in\n\
         '') ;;\n{}) {} ;;\n*) fail {message} ;;\nesac\n",
        shell_quote(&deletion.uid),
        render_command(&deletion.command()),
    )
}

pub(super) fn render_run_job(run: &JobRun) -> String {
    let seconds = run.timeout.as_secs();
    let begin = match (&run.strategy, run.command()) {
        (JobStrategy::Clone { manifest, .. }, _) => {
            format!(
                "k create --filename - --output name <\"$work\"/{}.json\n",
                shell_quote(&manifest.name)
            )
        }
        (JobStrategy::Operator { job }, Some(command)) => {
            render_uid_check(job) + &render_command(&command) + "\n"
        }
        (_, Some(command)) => render_command(&command) + "\n",
        (_, None) => String::new(),
    };
    let old_job = match &run.strategy {
        JobStrategy::Operator { job } => job.uid.as_str(),
        _ => "",
    };
    let wait = match run.job_name() {
        Some(name) => format!("finished {} '{old_job}' {seconds}\n", shell_quote(name)),
        None => format!(
            "left={seconds}\nuntil uid=$(k get secrets/{0} --ignore-not-found --output name) && [ -n \"$uid\" ]; do\n  left=$((left - 1))\n  \
             [ \"$left\" -gt 0 ] || fail 'kubit has not had secret {0} made after {seconds} s'\n  sleep 1\ndone\n",
            run.secret
        ),
    };
    begin + &wait
}

pub(super) fn render_verify_secret(secret: &ExpectedSecret) -> String {
    format!(
        "made {} '{}'\n",
        secret.name,
        secret.previous_uid.as_deref().unwrap_or_default()
    )
}

pub(super) fn render_restart_pods(restart: &PodRestart) -> String {
    let selector = shell_quote(&restart.selector);
    let begin = match (restart.command(), &restart.terminating) {
        (Some(command), _) => format!(
            "old_pods=$(k get pods --selector {selector} --output 'jsonpath={{.items[*].metadata.uid}}')\n\
             [ -n \"$old_pods\" ] || fail 'there is no pod to restart'\n{}\n",
            render_command(&command)
        ),
        (None, going) => format!(
            "old_pods='{}'\n",
            going
                .as_ref()
                .map(|going| going.join(" "))
                .unwrap_or_default()
        ),
    };
    format!(
        "{begin}restarted {selector} {} {}\n",
        restart.ready_pods,
        restart.timeout.as_secs()
    )
}

pub(super) fn render_verify_revocation(prove: &VerificationStep) -> String {
    if prove.token_probe.is_none() {
        return "echo 'that the old token is refused was not tried: no influxctl, or no profile' >&2\n".to_owned();
    }
    let new = if prove.new_token {
        "try \"$new_token\" && "
    } else {
        ""
    };
    format!(
        "[ -s \"$old_token\" ] || fail 'revoked, but there is no copy of the old token to show it with'\n\
         left={}\nuntil {new}refused \"$old_token\"; do\n  left=$((left - 1))\n  \
         [ \"$left\" -gt 0 ] || fail 'revoked, but that the old token is refused was not shown'\n  sleep 1\ndone\n\
         [ \"$accepted\" = yes ] || fail 'revoked, but the old token was not accepted before either: that proves nothing'\n\
         echo 'revoked, proven'\n",
        prove.grace_period.as_secs()
    )
}
