//! Fills in the values that the command line leaves to the policy.

use crate::cli::{Cli, Command, EnableArgs, PlanArgs, PlanSubcommand, RevocationArgs};
use crate::policy::{ActivePolicy, NamespaceDefaults};
use crate::procedure::revoke::{DOCUMENTED_SELECTOR, Rerun};

/// Fills in what the command line leaves to the policy.
pub(crate) fn apply_defaults(cli: &mut Cli, policy: Option<&ActivePolicy>) {
    let file = policy.and_then(|policy| policy.policy.audit.file.clone());
    cli.common.audit_log = cli.common.audit_log.take().or(file);
    // What was planned is applied as it was asked for then.
    if matches!(cli.command, Command::Apply(_)) {
        return;
    }
    let none = NamespaceDefaults::default();
    let namespaces = policy.map(|policy| &policy.policy.namespaces);
    let defaults = namespaces
        .zip(cli.common.namespace.as_ref())
        .and_then(|(of, name)| of.get(name))
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
    if let Some(enable) = enable_args_mut(&mut cli.command) {
        enable.token_file = enable
            .token_file
            .take()
            .or_else(|| defaults.token_file.clone());
    }
    if let Some(how) = revocation_args_mut(&mut cli.command) {
        // What holds without either is said as well, for who reads a plan.
        let selector = how
            .restart_selector
            .take()
            .or_else(|| defaults.restart_selector.clone());
        how.restart_selector = selector.or_else(|| Some(DOCUMENTED_SELECTOR.to_owned()));
        how.key_gen_job = how
            .key_gen_job
            .take()
            .or_else(|| defaults.key_gen_job.clone());
        let token_job = how.create_admin_token_job.take();
        how.create_admin_token_job = token_job.or_else(|| defaults.create_admin_token_job.clone());
        how.rerun = how.rerun.or(defaults.rerun).or(Some(Rerun::Auto));
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
