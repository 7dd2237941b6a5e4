//! Defaults from the environment and the policy.

use crate::cli::{Cli, Command, EnableArgs, PlanArgs, PlanSubcommand, RevocationArgs};
use crate::error::{Error, Result};
use crate::exec::Environment;
use crate::policy::{ActivePolicy, FILE_NAME, NamedTarget, NamespaceDefaults};
use crate::procedure::revoke::{DOCUMENTED_SELECTOR, Rerun};
use crate::text::sanitize_truncated;
use crate::tool::kubectl::name;

const NAMESPACE_VARIABLE: &str = "BYPASSCTL_NAMESPACE";

/// Takes the namespace from the environment, unless the command line names one or a target.
pub(crate) fn apply_namespace_variable(cli: &mut Cli, environment: &Environment) -> Result<()> {
    let common = &mut cli.common;
    if common.namespace.is_some() || common.target.is_some() {
        return Ok(());
    }
    if let Some(value) = environment.var(NAMESPACE_VARIABLE) {
        let value = value.to_string_lossy();
        let namespace = name::parse_namespace(&value).map_err(|reason| {
            let shown = sanitize_truncated(&value, 80);
            Error::usage(format!("invalid value `{shown}` of {NAMESPACE_VARIABLE}")).hint(reason)
        })?;
        common.namespace = Some(namespace);
        common.is_namespace_from_variable = true;
    }
    Ok(())
}

/// Finds the target that the command line names.
fn find_target<'a>(cli: &Cli, policy: Option<&'a ActivePolicy>) -> Result<Option<&'a NamedTarget>> {
    let Some(name) = &cli.common.target else {
        return Ok(None);
    };
    let targets = policy.map(|policy| &policy.rules.targets);
    if let Some(target) = targets.and_then(|targets| targets.get(name)) {
        return Ok(Some(target));
    }
    let shown = sanitize_truncated(name, 80);
    let Some(policy) = policy else {
        return Err(
            Error::usage(format!("no policy, so no target `{shown}`")).hint(format!(
                "add a table [targets.NAME] to {FILE_NAME}, or name a policy with --policy FILE"
            )),
        );
    };
    let names: Vec<&str> = policy.rules.targets.keys().map(String::as_str).collect();
    let hint = match names[..] {
        [] => "add a table [targets.NAME] to it".to_owned(),
        _ => format!("choose one of {}", names.join(", ")),
    };
    let file = policy.file.display();
    Err(Error::usage(format!("the policy `{file}` has no target `{shown}`")).hint(hint))
}

/// Fills in the options that the command line omits.
///
/// # Errors
/// The policy has no target of the name on the command line.
pub(crate) fn apply_defaults(cli: &mut Cli, policy: Option<&ActivePolicy>) -> Result<()> {
    if let Some(target) = find_target(cli, policy)? {
        cli.common.namespace = Some(target.namespace.clone());
        cli.common.context = Some(target.context.clone());
    }
    let file = policy.and_then(|policy| policy.rules.audit.file.clone());
    cli.common.audit_log = cli.common.audit_log.take().or(file);
    // A plan file contains the options of its own run.
    if matches!(cli.command, Command::Apply(_)) {
        return Ok(());
    }
    let none = NamespaceDefaults::default();
    let common = &mut cli.common;
    let defaults = policy
        .and_then(|policy| {
            policy.find_defaults(common.namespace.as_deref(), common.target.as_deref())
        })
        .unwrap_or(&none);
    if common.profiles.is_empty() {
        common.profiles = vec![
            defaults
                .profile
                .clone()
                .unwrap_or_else(|| "default".to_owned()),
        ];
    }
    common.config = common.config.take().or_else(|| defaults.config.clone());
    if let Some(args) = enable_args_mut(&mut cli.command) {
        args.token_file = args
            .token_file
            .take()
            .or_else(|| defaults.token_file.clone());
    }
    if let Some(args) = revocation_args_mut(&mut cli.command) {
        // A plan file shows the built-in defaults too, for its reviewer.
        let selector = args
            .restart_selector
            .take()
            .or_else(|| defaults.restart_selector.clone());
        args.restart_selector = selector.or_else(|| Some(DOCUMENTED_SELECTOR.to_owned()));
        args.key_gen_job = args
            .key_gen_job
            .take()
            .or_else(|| defaults.key_gen_job.clone());
        let token_job = args.create_admin_token_job.take();
        args.create_admin_token_job = token_job.or_else(|| defaults.create_admin_token_job.clone());
        args.delete_by_uid |= policy.is_some_and(|policy| policy.rules.guard.delete_by_uid);
        args.prune_clones |= policy.is_some_and(|policy| policy.rules.guard.prune_clones);
        args.is_rerun_from_policy = args.rerun.is_none() && defaults.rerun.is_some();
        args.rerun = args.rerun.or(defaults.rerun).or(Some(Rerun::Auto));
    }
    Ok(())
}

fn enable_args_mut(command: &mut Command) -> Option<&mut EnableArgs> {
    match command {
        Command::Enable(args)
        | Command::Plan(PlanArgs {
            subcommand: PlanSubcommand::Enable(args),
            ..
        }) => Some(args),
        _ => None,
    }
}

fn revocation_args_mut(command: &mut Command) -> Option<&mut RevocationArgs> {
    match command {
        Command::Revoke(args) => Some(&mut args.revocation),
        Command::Rotate(args) => Some(&mut args.revocation),
        Command::Plan(args) => args.subcommand.revocation_mut(),
        _ => None,
    }
}
