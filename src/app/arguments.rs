//! Checks of the command line before the audit log records it.

use crate::cli::{Cli, Command, CommonArgs, PlanArgs, PlanSubcommand};
use crate::error::{Error, Result};
use crate::exec::{Environment, read_file};
use crate::profile;
use crate::redact::Redactor;
use crate::secret::Secret;
use crate::session::influxctl_config::MAX_CONFIG;
use crate::session::paths::{self, NamedFiles};
use crate::session::token_file::MAX_TOKEN_FILE;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// Refuses `--target` beside the options that it stands for, and for commands without a namespace.
///
/// clap would check conflicts only among the options before the command, or after it.
pub(crate) fn check_target_option(cli: &Cli) -> Result<()> {
    let common = &cli.common;
    if common.target.is_none() {
        return Ok(());
    }
    if !cli.command.has_target() {
        let command = cli.command.full_name();
        return Err(
            Error::usage(format!("`{command}` does not use a target")).hint("omit --target")
        );
    }
    if common.namespace.is_some() || common.context.is_some() {
        return Err(
            Error::usage("--target cannot be used with --namespace or --context")
                .hint("omit them: the policy names both for the target"),
        );
    }
    Ok(())
}

/// Refuses a command line that names too few files, or that contains a token.
pub(crate) fn check_arguments(cli: &Cli, environment: &Environment) -> Result<()> {
    refuse_foreign_defaults(cli, environment)?;
    refuse_token_in_arguments(cli, environment)
}

/// Refuses default files in a directory of another user, if root runs this program.
fn refuse_foreign_defaults(cli: &Cli, environment: &Environment) -> Result<()> {
    let token_file = match &cli.command {
        Command::Enable(args)
        | Command::Plan(PlanArgs {
            subcommand: PlanSubcommand::Enable(args),
            ..
        }) => Some(&args.token_file),
        _ => None,
    };
    // These commands use only the audit log, or only the policy.
    if matches!(cli.command, Command::Audit(_) | Command::Targets(_)) {
        return Ok(());
    }
    let uses_config = !matches!(
        cli.command,
        Command::Tools(_) | Command::Policy(_) | Command::Apply(_)
    );
    let is_config_named =
        cli.common.config.is_some() || environment.var("INFLUXCTL_PROFILE").is_some();
    paths::refuse_foreign_defaults(
        environment,
        &NamedFiles {
            lacks_config: uses_config && !is_config_named,
            lacks_token_file: token_file.is_some_and(Option::is_none),
            lacks_audit_log: cli.common.audit_log.is_none(),
        },
    )
}

/// Refuses a command line that contains the content of a token file, such as `--reason "$(cat …)"`.
fn refuse_token_in_arguments(cli: &Cli, environment: &Environment) -> Result<()> {
    for path in list_token_files(cli, environment) {
        // A file that cannot be read now cannot have been read into the command line either.
        let Ok(Some(file)) = read_file(&path, MAX_TOKEN_FILE) else {
            continue;
        };
        let mut redactor = Redactor::default();
        redactor.add_secret(&Secret::new(file.bytes));
        let mut words = environment.argv.iter().skip(1);
        if words.any(|word| redactor.is_match(word.as_bytes())) {
            return Err(Error::refusal(format!(
                "the command line contains the content of token file `{}`",
                path.display()
            ))
            .hint(
                "remove it from the command line. Other users of this host could read the token: run \
                 `bypassctl rotate`, unless nobody did",
            ));
        }
    }
    Ok(())
}

/// Lists the token files that the command line, the configuration and the defaults name.
fn list_token_files(cli: &Cli, environment: &Environment) -> BTreeSet<PathBuf> {
    let (token_file, old_token_file) = match &cli.command {
        Command::Enable(args) => (args.token_file.as_ref(), None),
        Command::Revoke(args) => (None, args.revocation.old_token_file.as_ref()),
        Command::Rotate(args) => (None, args.revocation.old_token_file.as_ref()),
        Command::Plan(PlanArgs { subcommand, .. }) => match subcommand {
            PlanSubcommand::Enable(args) => (args.token_file.as_ref(), None),
            PlanSubcommand::Revoke(args) => (None, args.revocation.old_token_file.as_ref()),
            PlanSubcommand::Rotate(args) => (None, args.revocation.old_token_file.as_ref()),
            _ => (None, None),
        },
        _ => (None, None),
    };
    let named = token_file.into_iter().chain(old_token_file);
    let mut files: BTreeSet<PathBuf> = named.map(|file| environment.cwd.join(file)).collect();
    for config in list_configs(&cli.common, environment) {
        let text = read_file(&config, MAX_CONFIG).ok().flatten();
        let text = text.and_then(|file| std::str::from_utf8(&file.bytes).ok().map(str::to_owned));
        let profiles = text.and_then(|text| profile::list_profiles(&text).ok());
        for profile in profiles.into_iter().flatten() {
            // The default name, for a token file that the profile does not name yet.
            files.insert(config.with_file_name(format!("admin-token-{}.json", profile.name)));
            files.extend(profile.token_file.map(PathBuf::from));
        }
    }
    files
}

fn list_configs(common: &CommonArgs, environment: &Environment) -> Vec<PathBuf> {
    let named = common
        .config
        .as_ref()
        .map(|file| environment.cwd.join(file));
    let variable = environment.var("INFLUXCTL_PROFILE");
    named
        .into_iter()
        .chain(variable.map(|file| environment.cwd.join(file)))
        .chain(paths::influxctl_config_path(environment).ok())
        .collect()
}
