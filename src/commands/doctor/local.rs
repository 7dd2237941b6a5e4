//! Checks on this machine: what `enable` needs here.

use crate::error::Result;
use crate::exec::check_directory;
use crate::profile;
use crate::session::Session;
use crate::session::influxctl_config::{InfluxctlConfig, build_quirk_context, locate_config};
use crate::session::token_file::is_owner_only;
use crate::tool::Tool;
use crate::tool::quirk;
use crate::ui::Check;
use std::path::{Path, PathBuf};

pub(crate) fn run_checks(session: &Session, influxctl: Option<&Tool>) -> Result<Vec<Check>> {
    let config = session.propagate_fatal(
        locate_config(session, influxctl.and_then(|tool| tool.version.as_ref()))
            .and_then(|named| InfluxctlConfig::read(&named)),
    )?;
    let mut checks = match config {
        Ok(config) => check_config(session, influxctl, &config),
        Err(error) => vec![Check::from_error("configuration", &error)],
    };
    checks.push(check_audit_log(session));
    Ok(checks)
}

fn check_config(
    session: &Session,
    influxctl: Option<&Tool>,
    config: &InfluxctlConfig,
) -> Vec<Check> {
    let name = session.profile;
    let found = config.require_text().and_then(|text| {
        profile::find_profile(text, name).map_err(|error| config.to_error(&error))
    });
    let profile = match found {
        Ok(profile) => profile,
        Err(error) => return vec![Check::from_error("configuration", &error)],
    };
    let mut checks = vec![match config.ensure_writable() {
        Ok(()) => Check::ok(
            "configuration",
            format!("{} has profile `{name}`", config.path.display()),
        ),
        Err(error) => Check::from_error("configuration", &error),
    }];
    if let Some(product) = profile
        .product
        .as_ref()
        .filter(|product| !product.eq_ignore_ascii_case("clustered"))
    {
        checks.push(Check::failure(
            "profile",
            format!("`{name}` is for product `{product}`"),
            "admin tokens are InfluxDB Clustered's: name a profile of that product",
        ));
    }
    if config
        .text()
        .is_some_and(|text| text.starts_with('\u{feff}'))
    {
        let hint =
            "take the byte order mark away: the TOML library that influxctl uses refuses one";
        checks.push(Check::warning(
            "configuration",
            "it begins with a byte order mark",
            hint,
        ));
    }
    if let Some(influxctl) = influxctl {
        checks.extend(
            quirk::find_applicable_quirks(&build_quirk_context(influxctl, &profile))
                .into_iter()
                .map(check_quirk),
        );
    }
    checks.push(check_token_file(
        config,
        profile.token_file.as_deref(),
        name,
    ));
    checks
}

fn check_quirk(quirk: quirk::Quirk) -> Check {
    if quirk.is_fatal {
        Check::failure("influxctl", quirk.message, quirk.remedy)
    } else {
        Check::warning("influxctl", quirk.message, quirk.remedy)
    }
}

fn check_token_file(config: &InfluxctlConfig, named: Option<&str>, profile: &str) -> Check {
    let own = || config.default_token_file(profile);
    let Some(file) = named.map(PathBuf::from).or_else(own) else {
        return Check::warning(
            "token file",
            format!("a profile of the name `{profile}` has no default one"),
            "name one: enable --token-file FILE",
        );
    };
    match check_directory(file.parent().unwrap_or(Path::new("/"))) {
        Some(unfit) => Check::failure(
            "token file",
            unfit.problem,
            format!("{}, or enable --token-file FILE", unfit.remedy),
        ),
        None if file.metadata().is_ok_and(|meta| !is_owner_only(&meta)) => {
            let hint = format!(
                "chmod 600 '{}', or run `bypassctl enable` again",
                file.display()
            );
            Check::failure(
                "token file",
                format!("others than its owner may use {}", file.display()),
                hint,
            )
        }
        None => Check::ok(
            "token file",
            format!("{} can be written safely", file.display()),
        ),
    }
}

/// The log is open and this run is in it, so that it can be written is shown already.
fn check_audit_log(session: &Session) -> Check {
    if session.executor.can_preallocate_log() {
        return Check::ok(
            "audit log",
            "it can be written, with room reserved for the result of each command before it runs",
        );
    }
    Check::warning(
        "audit log",
        "its filesystem cannot reserve room",
        "a disk that fills up is then seen after a command, not before: another place is --audit-log FILE",
    )
}
