//! A plan as a POSIX shell script with kubectl, influxctl and base64.
//!
//! The script contains no secret. It refuses a configuration that has changed since its creation.

mod command;
mod revocation;

use super::checksum::compute_cksum;
use super::shell::shell_quote;
use super::step::{Action, Plan, Step};
use super::target::ClusterTarget;
use crate::profile::{self, ConfigEdit, Profile};
use crate::tool::invocation::Invocation;
use command::{quote_path, render_command, render_probe};
use std::path::Path;

const SCRIPT_HEADER: &str = r#"# shellcheck disable=SC2016,SC2089,SC2090 # quoted text is literal
set -eu
umask 077
# A kuberc can change the defaults of kubectl's commands.
export KUBERC=@KUBERC@ LC_ALL=C
fail() { printf '%s\n' "$*" >&2; exit 1; }
decode() { if printf 'eA==' | base64 -d >/dev/null 2>&1; then base64 -d; else base64 -D; fi; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"#;

pub fn render_script(plan: &Plan) -> String {
    let description = crate::text::blank_controls(&plan.description);
    let kuberc = find_kuberc(plan).map_or_else(|| "off".to_owned(), quote_path);
    let header = SCRIPT_HEADER.replace("@KUBERC@", &kuberc);
    let mut script = format!(
        "#!/bin/sh\n# {} {description}\n# Created by bypassctl {}. Read this script before you run it.\n\
         # It runs only once: create another one after an interruption.\n{header}",
        plan.command,
        env!("CARGO_PKG_VERSION")
    );
    let token_file = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteToken { path } => Some(path.as_path()),
        _ => None,
    });
    if let Some(path) = token_file {
        let new = shell_quote(&temp_path(path));
        script.push_str(&format!(
            "new_token={new}\ntrap 'rm -rf \"$work\" \"$new_token\"' EXIT\n"
        ));
    }
    script.push_str(&revocation::render_prologue(plan));
    script.extend(plan.steps.iter().filter_map(render_unchanged_check));
    let is_verified = revocation::is_verified_by_script(plan);
    for step in &plan.steps {
        if !is_verified && matches!(step.action, Action::DeleteClone(_)) {
            continue;
        }
        let commands = render_step(step, token_file);
        if !commands.is_empty() {
            let reason = step.reason.replace('\n', " ");
            script.push_str(&format!("\n# {}: {reason}\n{commands}", step.id));
        }
    }
    script
}

/// Returns the kuberc of kubectl's commands. Every plan with a kubectl has one of these steps.
fn find_kuberc(plan: &Plan) -> Option<&Path> {
    plan.steps.iter().find_map(|step| match &step.action {
        Action::ReadToken(command) => command.tool().kuberc.as_deref(),
        Action::SameCluster(cluster) => cluster.command.tool().kuberc.as_deref(),
        Action::DeleteSecret(deletion) => deletion.target.kubectl.tool.kuberc.as_deref(),
        Action::RunJob(run) => run.target.kubectl.tool.kuberc.as_deref(),
        Action::RestartPods(restart) => restart.target.kubectl.tool.kuberc.as_deref(),
        Action::DeleteClone(deletion) => deletion.target.kubectl.tool.kuberc.as_deref(),
        _ => None,
    })
}

/// Renders the check that the configuration is the one that the edit starts from.
fn render_unchanged_check(step: &Step) -> Option<String> {
    let Action::EditConfig {
        path,
        old_text: old,
        ..
    } = &step.action
    else {
        return None;
    };
    let directory = quote_path(path.parent().unwrap_or(Path::new("/")));
    let path = quote_path(path);
    Some(match old {
        Some(old) => format!(
            "[ \"$(cksum <{path})\" = '{}' ] || \
             fail {path} 'has changed since this script was created'\n",
            compute_cksum(old.as_bytes())
        ),
        None => {
            format!("mkdir -p {directory}\n[ ! -e {path} ] || fail {path} 'exists already'\n")
        }
    })
}

fn render_step(step: &Step, token_file: Option<&Path>) -> String {
    let new = token_file.map(temp_path).unwrap_or_default();
    match &step.action {
        Action::ReadToken(command) => render_read_token(command),
        Action::RecordCluster(target) => render_record_cluster(target),
        Action::CheckCluster(_) => "[ \"$(cluster)\" = \"$cluster\" ] || \
             fail 'the context points to another cluster now'\n"
            .to_owned(),
        Action::ProbeToken {
            command,
            profile,
            required,
        } => render_probe_token(command, profile, &new, *required),
        Action::WriteToken { path } => render_write_token(path, token_file),
        Action::EditConfig {
            path,
            old_text: old,
            edit,
        } => render_edit_config(path, old.as_deref(), edit),
        Action::DeleteToken { path } => format!("rm -f {}\n", quote_path(path)),
        Action::SameCluster(cluster) => revocation::render_cluster_check(cluster),
        Action::DeleteSecret(deletion) => revocation::render_delete_secret(deletion),
        Action::RunJob(run) => revocation::render_run_job(run),
        Action::VerifySecret(secret) => revocation::render_verify_secret(secret),
        Action::RestartPods(restart) => revocation::render_restart_pods(restart),
        Action::VerifyRejection(check) => revocation::render_verify_rejection(check),
        Action::VerifyRevocation(verification) => {
            revocation::render_verify_revocation(verification)
        }
        Action::VerifyProfile(check) => revocation::render_verify_profile(check),
        Action::DeliverToken(command) => render_delivery(command, token_file),
        // A script has no parser for the lists.
        Action::CountTokens(_) => String::new(),
        Action::DeleteClone(deletion) => revocation::render_delete_clone(deletion),
    }
}

/// Renders the identification of the cluster, unless the pinned server makes it unnecessary.
fn render_record_cluster(target: &ClusterTarget) -> String {
    if !target.kubectl.can_change_cluster() {
        return String::new();
    }
    let [first, second] = target
        .identity_commands()
        .map(|command| render_command(&command));
    // The account can be allowed neither of the commands.
    format!(
        "cluster() {{ {first} 2>/dev/null || {second} 2>/dev/null || :; }}\ncluster=$(cluster)\n"
    )
}

/// Moves the temporary file to the first token file. Other token files are copies of the first one.
fn render_write_token(path: &Path, first: Option<&Path>) -> String {
    match first.filter(|first| *first != path) {
        Some(first) => {
            let new = shell_quote(&temp_path(path));
            format!(
                "cp -p {} {new}\nmv -f {new} {}\n",
                quote_path(first),
                quote_path(path)
            )
        }
        None => format!("mv -f \"$new_token\" {}\n", quote_path(path)),
    }
}

/// Returns the temporary path that the program itself writes to before it replaces a file.
fn temp_path(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().display();
    path.with_file_name(format!(".{name}.bypassctl-new"))
        .display()
        .to_string()
}

fn render_read_token(command: &Invocation) -> String {
    format!(
        "encoded=$({})\n\
         case $encoded in '' | '<no value>') \
         fail 'the secret admin-token has no key token' ;; esac\n\
         rm -f \"$new_token\"\n\
         printf '%s' \"$encoded\" | decode >\"$new_token\"\n\
         [ -s \"$new_token\" ] || fail 'the token is empty'\n",
        render_command(command)
    )
}

fn render_probe_token(
    command: &Invocation,
    profile: &Profile,
    new: &str,
    required: bool,
) -> String {
    let config = profile::render_probe_config(profile, new);
    let otherwise = if required {
        "  fail 'the token was not accepted'\n"
    } else {
        "  ! grep -Eiq 'unauthenticated|permissiondenied|unauthorized' \"$work/stderr\" || \
         fail 'the token was rejected'\n  echo 'the token probe was inconclusive' >&2\n"
    };
    format!(
        "mkdir \"$work/home\"\n\
         cat >\"$work/config.toml\" <<'END_OF_CONFIG'\n{config}END_OF_CONFIG\n\
         if ! (\n{}\n) 2>\"$work/stderr\"; then\n  cat \"$work/stderr\" >&2\n{otherwise}fi\n",
        render_probe(command),
    )
}

/// Renders a delivery of the new token from the first token file, which an earlier step has written.
fn render_delivery(command: &Invocation, token_file: Option<&Path>) -> String {
    match token_file.map(quote_path) {
        Some(file) => format!("{} <{file}\n", render_command(command)),
        None => "fail 'the new token is in no file'\n".to_owned(),
    }
}

/// Renders a copy of the old file with the splices in it, which replaces the old file only if its
/// checksum is right.
fn render_edit_config(path: &Path, old: Option<&str>, edit: &ConfigEdit) -> String {
    let (file, new) = (quote_path(path), shell_quote(&temp_path(path)));
    let mut parts = String::new();
    let mut copied = 0;
    for splice in &edit.splices {
        parts.push_str(&render_copy(&file, copied, splice.range.start));
        if !splice.text.is_empty() {
            parts.push_str(&format!("  printf '%s' {}\n", shell_quote(&splice.text)));
        }
        copied = splice.range.end;
    }
    parts.push_str(&render_copy(&file, copied, old.unwrap_or_default().len()));
    let keep_mode = if old.is_some() {
        format!("cp -p {file} {new}\n")
    } else {
        String::new()
    };
    let check = format!(
        "[ \"$(cksum <{new})\" = '{}' ] || {{ rm -f {new}; fail {file} 'cannot be edited'; }}\n",
        compute_cksum(edit.text.as_bytes())
    );
    format!("{keep_mode}{{\n{parts}}} >{new}\n{check}mv -f {new} {file}\n")
}

fn render_copy(file: &str, from: usize, to: usize) -> String {
    if from == to {
        String::new()
    } else {
        format!(
            "  dd if={file} bs=1 skip={from} count={} 2>/dev/null\n",
            to - from
        )
    }
}
