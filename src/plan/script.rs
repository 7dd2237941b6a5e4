//! The plan as a POSIX shell script that does the same job with kubectl, influxctl and base64, where `bypassctl` is
//! not wanted. It holds no secret, and refuses a configuration other than the one it was made for.

mod revocation;

use super::checksum::compute_cksum;
use super::{Action, Plan, Step};
use crate::profile::{self, ConfigEdit, Profile};
use crate::tool::invocation::{Arg, Invocation};
use std::path::Path;

/// One argument, quoted where a shell needs it.
#[must_use]
pub fn shell_quote(arg: &str) -> String {
    // Only a NUL cannot be quoted, and no argument of ours can hold one.
    shlex::try_quote(arg).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

fn shell_quote_path(path: &Path) -> String {
    shell_quote(&path.display().to_string())
}

const SCRIPT_HEADER: &str = r#"# shellcheck disable=SC2016,SC2089,SC2090 # what is quoted is meant as it stands
set -eu
umask 077
# A kuberc could give kubectl's commands other defaults.
export KUBERC=off LC_ALL=C
fail() { printf '%s\n' "$*" >&2; exit 1; }
decode() { if printf 'eA==' | base64 -d >/dev/null 2>&1; then base64 -d; else base64 -D; fi; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"#;

/// The whole script.
#[must_use]
pub fn render_script(plan: &Plan) -> String {
    let about = crate::text::blank_controls(&plan.about);
    let mut script = format!(
        "#!/bin/sh\n# {} {about}\n# made by bypassctl {}; read it before you run it: it is for once, and where\n# it was cut short, or has run, have another made\n{SCRIPT_HEADER}",
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
    for step in &plan.steps {
        script.push_str(&format!(
            "\n# {}: {}\n",
            step.id,
            step.reason.replace('\n', " ")
        ));
        script.push_str(&render_step(step, token_file));
    }
    script
}

/// Before anything else: the configuration is the one that the edit is of.
fn render_unchanged_check(step: &Step) -> Option<String> {
    let Action::EditConfig {
        path,
        old_text: old,
        ..
    } = &step.action
    else {
        return None;
    };
    let directory = shell_quote_path(path.parent().unwrap_or(Path::new("/")));
    let path = shell_quote_path(path);
    Some(match old {
        Some(old) => format!(
            "[ \"$(cksum <{path})\" = '{}' ] || fail {path} 'is not the file that this script was made for'\n",
            compute_cksum(old.as_bytes())
        ),
        None => {
            format!(
                "mkdir -p {directory}\n[ ! -e {path} ] || fail {path} 'is there, and this script would make it'\n"
            )
        }
    })
}

fn render_step(step: &Step, token_file: Option<&Path>) -> String {
    let new = token_file.map(temp_path).unwrap_or_default();
    match &step.action {
        Action::ReadToken(command) => render_read_token(command),
        Action::RecordCluster(look) => {
            let [first, second, third] = look
                .identity_commands()
                .map(|command| render_command(&command));
            // A pod has no context, and may be allowed none of these.
            let known = if look.kubectl.global_flags.context.is_some() {
                "[ -n \"$cluster\" ] || fail 'the cluster cannot be told from another'\n"
            } else {
                ""
            };
            format!(
                "cluster() {{ {first} 2>/dev/null || {second} 2>/dev/null || {third} || :; }}\ncluster=$(cluster)\n{known}"
            )
        }
        Action::CheckCluster(_) => {
            "[ \"$(cluster)\" = \"$cluster\" ] || fail 'the context leads to another cluster now'\n"
                .to_owned()
        }
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
        Action::DeleteToken { path } => format!("rm -f {}\n", shell_quote_path(path)),
        Action::SameCluster(same) => revocation::render_cluster_check(same),
        Action::DeleteSecret(deletion) => revocation::render_delete_secret(deletion),
        Action::RunJob(run) => revocation::render_run_job(run),
        Action::VerifySecret(secret) => revocation::render_verify_secret(secret),
        Action::RestartPods(restart) => revocation::render_restart_pods(restart),
        Action::VerifyRevocation(prove) => revocation::render_verify_revocation(prove),
    }
}

/// The first token file takes the new one's place; further ones are copies of it.
fn render_write_token(path: &Path, first: Option<&Path>) -> String {
    match first.filter(|first| *first != path) {
        Some(first) => {
            let new = shell_quote(&temp_path(path));
            format!(
                "cp -p {} {new}\nmv -f {new} {}\n",
                shell_quote_path(first),
                shell_quote_path(path)
            )
        }
        None => format!("mv -f \"$new_token\" {}\n", shell_quote_path(path)),
    }
}

/// With the file that was found, not with whatever PATH may lead to by then.
fn render_command(command: &Invocation) -> String {
    let argv = command.argv(None);
    let program = command.tool().found_at.display().to_string();
    std::iter::once(&program)
        .chain(&argv[1..])
        .map(|arg| shell_quote(arg))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The name that the program itself uses for a file that is being written, so that it takes the place of the old one
/// as a whole.
fn temp_path(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().display();
    path.with_file_name(format!(".{name}.bypassctl-new"))
        .display()
        .to_string()
}

fn render_read_token(command: &Invocation) -> String {
    format!(
        "encoded=$({})\n\
         case $encoded in '' | '<no value>') fail 'the secret admin-token has no key token' ;; esac\n\
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
    let word = |arg: &Arg| match arg {
        Arg::Text(text) => shell_quote(text),
        Arg::ProbeConfig => "\"$work/config.toml\"".to_owned(),
    };
    let argv: Vec<String> = command.args().iter().map(word).collect();
    let otherwise = if required {
        "  fail 'the token was not accepted'\n"
    } else {
        "  ! grep -Eiq 'unauthenticated|permissiondenied|unauthorized' \"$work/said\" || fail 'the token was refused'\n  \
         echo 'the token could not be tried; going on without that proof' >&2\n"
    };
    format!(
        "mkdir \"$work/home\"\n\
         cat >\"$work/config.toml\" <<'END_OF_CONFIG'\n{config}END_OF_CONFIG\n\
         if ! (\n\
         \x20 for name in $(env | sed -n 's/^\\(INFLUXCTL_[A-Za-z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done\n\
         \x20 unset XDG_CONFIG_HOME XDG_CACHE_HOME XDG_DATA_HOME XDG_STATE_HOME\n\
         \x20 export HOME=\"$work/home\"\n\
         \x20 {} {} </dev/null >/dev/null\n\
         ) 2>\"$work/said\"; then\n  cat \"$work/said\" >&2\n{otherwise}fi\n",
        shell_quote_path(&command.tool().found_at),
        argv.join(" "),
    )
}

/// Byte ranges of the old file with the new text between them, checked as a whole before it takes the old one's place.
fn render_edit_config(path: &Path, old: Option<&str>, edit: &ConfigEdit) -> String {
    let (file, new) = (shell_quote_path(path), shell_quote(&temp_path(path)));
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
        "[ \"$(cksum <{new})\" = '{}' ] || {{ rm -f {new}; fail {file} 'could not be edited'; }}\n",
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
