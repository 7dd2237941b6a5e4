//! `revoke`: invalidates all admin tokens issued so far.

use super::revocation::request::RevocationRequest;
use super::revocation::{gather_context, observe, run_revocation};
use super::token_setup::warn_about_tls;
use crate::cli::RevokeArgs;
use crate::error::{CommandResult, Result};
use crate::session::Session;
use crate::session::cluster::resolve_context;
use crate::session::runner::{join_thread, spawn_task};
use crate::session::tools::{resolve_influxctl, resolve_kubectl};
use crate::tool::Tool;
use crate::tool::kubectl::Kubectl;

pub(crate) fn run(session: &Session, args: &RevokeArgs) -> CommandResult {
    let (kubectl, influxctl) = resolve_revocation_tools(session)?;
    let token_probe = observe::prepare_token_probe(session, influxctl)?;
    if let Some(probe) = &token_probe {
        warn_about_tls(session, &probe.profile);
    }
    let context = gather_context(session, kubectl, &args.revocation, token_probe)?;
    let request = RevocationRequest {
        command: "revoke",
        args: &args.revocation,
        creates_new_token: !args.no_new_token,
        profiles: Vec::new(),
    };
    run_revocation(session, context, &request, Vec::new())
}

/// Resolves both tools in parallel. A revocation can do without influxctl.
fn resolve_revocation_tools(session: &Session) -> Result<(Kubectl, Result<Tool>)> {
    std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        let kubectl = resolve_kubectl(session).and_then(|tool| resolve_context(session, tool));
        let influxctl = join_thread(influxctl);
        Ok((kubectl?, influxctl))
    })
}
