//! The plan as a POSIX shell script that does the same job with kubectl, influxctl and base64, where `bypassctl` is
//! not wanted. It holds no secret, and refuses a configuration other than the one it was made for.

mod revocation;

use super::checksum::cksum;
use super::{Action, Plan, Step};
use crate::profile::{self, Edit, Profile};
use crate::tool::invocation::{Arg, Invocation};
use std::path::Path;

/// One argument, quoted where a shell needs it.
#[must_use]
pub fn quoted(arg: &str) -> String {
    // Only a NUL cannot be quoted, and no argument of ours can hold one.
    shlex::try_quote(arg).map_or_else(|_| "''".to_owned(), std::borrow::Cow::into_owned)
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

const HEAD: &str = r#"# shellcheck disable=SC2016,SC2089,SC2090 # what is quoted is meant as it stands
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
pub fn render(plan: &Plan) -> String {
    let about = plan.about.replace(|c: char| c.is_control(), " ");
    let mut script = format!(
        "#!/bin/sh\n# {} {about}\n# made by bypassctl {}; read it before you run it: it is for once, and where\n# it was cut short, or has run, have another made\n{HEAD}",
        plan.command,
        env!("CARGO_PKG_VERSION")
    );
    let token_file = plan.steps.iter().find_map(|step| match &step.action {
        Action::WriteToken { path } => Some(path.as_path()),
        _ => None,
    });
    if let Some(path) = token_file {
        let new = quoted(&beside(path));
        script.push_str(&format!(
            "new_token={new}\ntrap 'rm -rf \"$work\" \"$new_token\"' EXIT\n"
        ));
    }
    script.push_str(&revocation::prologue(plan));
    script.extend(plan.steps.iter().filter_map(unchanged_check));
    for step in &plan.steps {
        script.push_str(&format!(
            "\n# {}: {}\n",
            step.id,
            step.why.replace('\n', " ")
        ));
        script.push_str(&lines(step, token_file));
    }
    script
}

/// Before anything else: the configuration is the one that the edit is of.
fn unchanged_check(step: &Step) -> Option<String> {
    let Action::EditConfig { path, old, .. } = &step.action else {
        return None;
    };
    let directory = quoted_path(path.parent().unwrap_or(Path::new("/")));
    let path = quoted_path(path);
    Some(match old {
        Some(old) => format!(
            "[ \"$(cksum <{path})\" = '{}' ] || fail {path} 'is not the file that this script was made for'\n",
            cksum(old.as_bytes())
        ),
        None => {
            format!(
                "mkdir -p {directory}\n[ ! -e {path} ] || fail {path} 'is there, and this script would make it'\n"
            )
        }
    })
}

fn lines(step: &Step, token_file: Option<&Path>) -> String {
    let new = token_file.map(beside).unwrap_or_default();
    match &step.action {
        Action::ReadToken(command) => read_token(command),
        Action::NoteCluster(look) => {
            let [first, second, third] = look.commands().map(|command| command_line(&command));
            // A pod has no context, and may be allowed none of these.
            let known = if look.kubectl.pins.context.is_some() {
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
        Action::TryToken {
            command,
            profile,
            required,
        } => try_token(command, profile, &new, *required),
        Action::WriteToken { path } => write_token(path, token_file),
        Action::EditConfig { path, old, edit } => edit_config(path, old.as_deref(), edit),
        Action::DeleteToken { path } => format!("rm -f {}\n", quoted_path(path)),
        Action::SameCluster(same) => revocation::same_cluster(same),
        Action::DeleteSecret(deletion) => revocation::delete_secret(deletion),
        Action::RunJob(run) => revocation::run_job(run),
        Action::SeeSecret(secret) => revocation::see_secret(secret),
        Action::Restart(restart) => revocation::restart(restart),
        Action::Prove(prove) => revocation::prove(prove),
    }
}

/// The first token file takes the new one's place; further ones are copies of it.
fn write_token(path: &Path, first: Option<&Path>) -> String {
    match first.filter(|first| *first != path) {
        Some(first) => {
            let new = quoted(&beside(path));
            format!(
                "cp -p {} {new}\nmv -f {new} {}\n",
                quoted_path(first),
                quoted_path(path)
            )
        }
        None => format!("mv -f \"$new_token\" {}\n", quoted_path(path)),
    }
}

/// With the file that was found, not with whatever PATH may lead to by then.
fn command_line(command: &Invocation) -> String {
    let argv = command.argv(None);
    let program = command.tool().found.display().to_string();
    std::iter::once(&program)
        .chain(&argv[1..])
        .map(|arg| quoted(arg))
        .collect::<Vec<_>>()
        .join(" ")
}

/// The name that the program itself uses for a file that is being written, so that it takes the place of the old one
/// as a whole.
fn beside(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().display();
    path.with_file_name(format!(".{name}.bypassctl-new"))
        .display()
        .to_string()
}

fn read_token(command: &Invocation) -> String {
    format!(
        "encoded=$({})\n\
         case $encoded in '' | '<no value>') fail 'the secret admin-token has no key token' ;; esac\n\
         rm -f \"$new_token\"\n\
         printf '%s' \"$encoded\" | decode >\"$new_token\"\n\
         [ -s \"$new_token\" ] || fail 'the token is empty'\n",
        command_line(command)
    )
}

fn try_token(command: &Invocation, profile: &Profile, new: &str, required: bool) -> String {
    let config = profile::trial(profile, new);
    let word = |arg: &Arg| match arg {
        Arg::Text(text) => quoted(text),
        Arg::TrialConfig => "\"$work/config.toml\"".to_owned(),
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
        quoted_path(&command.tool().found),
        argv.join(" "),
    )
}

/// Byte ranges of the old file with the new text between them, checked as a whole before it takes the old one's place.
fn edit_config(path: &Path, old: Option<&str>, edit: &Edit) -> String {
    let (file, new) = (quoted_path(path), quoted(&beside(path)));
    let mut parts = String::new();
    let mut copied = 0;
    for splice in &edit.splices {
        parts.push_str(&copy(&file, copied, splice.range.start));
        if !splice.text.is_empty() {
            parts.push_str(&format!("  printf '%s' {}\n", quoted(&splice.text)));
        }
        copied = splice.range.end;
    }
    parts.push_str(&copy(&file, copied, old.unwrap_or_default().len()));
    let keep_mode = if old.is_some() {
        format!("cp -p {file} {new}\n")
    } else {
        String::new()
    };
    let check = format!(
        "[ \"$(cksum <{new})\" = '{}' ] || {{ rm -f {new}; fail {file} 'could not be edited'; }}\n",
        cksum(edit.text.as_bytes())
    );
    format!("{keep_mode}{{\n{parts}}} >{new}\n{check}mv -f {new} {file}\n")
}

fn copy(file: &str, from: usize, to: usize) -> String {
    if from == to {
        String::new()
    } else {
        format!(
            "  dd if={file} bs=1 skip={from} count={} 2>/dev/null\n",
            to - from
        )
    }
}
