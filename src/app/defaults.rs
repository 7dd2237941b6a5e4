//! Defaults from the policy.

use crate::cli::{Cli, Command, EnableArgs, PlanArgs, PlanSubcommand, RevocationArgs};
use crate::policy::{ActivePolicy, NamespaceDefaults};
use crate::procedure::revoke::{DOCUMENTED_SELECTOR, Rerun};

/// Fills in the options that the command line omits.
pub(crate) fn apply_defaults(cli: &mut Cli, policy: Option<&ActivePolicy>) {
    let file = policy.and_then(|policy| policy.rules.audit.file.clone());
    cli.common.audit_log = cli.common.audit_log.take().or(file);
    // A plan file contains the options of its own run.
    if matches!(cli.command, Command::Apply(_)) {
        return;
    }
    let none = NamespaceDefaults::default();
    let namespaces = policy.map(|policy| &policy.rules.namespaces);
    let defaults = namespaces
        .zip(cli.common.namespace.as_ref())
        .and_then(|(namespaces, name)| namespaces.get(name))
        .unwrap_or(&none);
    let common = &mut cli.common;
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
