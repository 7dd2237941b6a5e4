//! Checks on this host for `enable`.

use crate::error::Result;
use crate::exec::check_directory;
use crate::profile;
use crate::session::Session;
use crate::session::influxctl_config::{
    InfluxctlConfig, NEWER_SYNTAX_HINT, build_quirk_context, locate_config,
};
use crate::session::ownership;
use crate::session::token_file::{file_mode_hint, is_owner_only};
use crate::tool::Tool;
use crate::tool::quirk::{self, QuirkContext};
use crate::ui::Check;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

pub(crate) fn run_checks(session: &Session, influxctl: Option<&Tool>) -> Result<Vec<Check>> {
    let config = session.propagate_fatal(
        locate_config(session, influxctl.and_then(|tool| tool.version.as_ref()))
            .and_then(|path| InfluxctlConfig::read(session, &path)),
    )?;
    let mut checks = match config {
        Ok(config) => check_config(session, influxctl, &config),
        Err(error) => vec![Check::from_error("configuration", &error)],
    };
    checks.push(check_audit_log(session));
    if let Err(error) = ownership::check_state_dir(session) {
        checks.push(Check::from_error("state directory", &error));
    }
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
    let mut checks = vec![match ownership::check_config(session, config)
        .and_then(|()| config.ensure_writable())
    {
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
            "pass a profile of InfluxDB Clustered: `--profile NAME`",
        ));
    }
    if config
        .text()
        .is_some_and(|text| text.starts_with('\u{feff}'))
    {
        checks.push(Check::warning(
            "configuration",
            "it starts with a byte order mark",
            "remove the byte order mark: the TOML library of influxctl rejects it",
        ));
    }
    if let Some(syntax) = config.text().and_then(profile::find_newer_syntax) {
        checks.push(Check::warning(
            "configuration",
            syntax.to_string(),
            NEWER_SYNTAX_HINT,
        ));
    }
    if let Some(risk) = profile.find_tls_risk() {
        checks.push(Check::warning("profile", risk.message, risk.remedy));
    }
    if let Some(influxctl) = influxctl {
        let at = build_quirk_context(influxctl, &profile);
        let quirks = quirk::find_applicable_quirks(&at);
        checks.extend(quirks.iter().map(|quirk| check_quirk(quirk, &at)));
    }
    checks.push(check_token_file(
        config,
        profile.token_file.as_deref(),
        name,
    ));
    checks
}

fn check_quirk(quirk: &quirk::Quirk, at: &QuirkContext) -> Check {
    let remedy = quirk.format_remedy(at);
    if quirk.is_fatal {
        Check::failure("influxctl", quirk.message, remedy)
    } else {
        Check::warning("influxctl", quirk.message, remedy)
    }
}

fn check_token_file(config: &InfluxctlConfig, configured: Option<&str>, profile: &str) -> Check {
    let default = || config.default_token_file(profile);
    let Some(file) = configured.map(PathBuf::from).or_else(default) else {
        return Check::warning(
            "token file",
            format!("profile `{profile}` has no default token file"),
            "run `bypassctl enable --token-file FILE`",
        );
    };
    match check_directory(file.parent().unwrap_or(Path::new("/"))) {
        Some(unsafe_directory) => Check::failure(
            "token file",
            unsafe_directory.problem,
            format!(
                "{}, or run `bypassctl enable --token-file FILE`",
                unsafe_directory.remedy
            ),
        ),
        None => match file.metadata() {
            Ok(meta) if !is_owner_only(&meta) => Check::failure(
                "token file",
                format!(
                    "{} has mode {:04o}, not 0600",
                    file.display(),
                    meta.mode() & 0o7777
                ),
                file_mode_hint(&file, &meta),
            ),
            _ => match ownership::check_token_file(&file, false) {
                Ok(()) => Check::ok(
                    "token file",
                    format!("{} can be written safely", file.display()),
                ),
                Err(error) => Check::from_error("token file", &error),
            },
        },
    }
}

/// Checks whether the log can reserve space. It is writable, because this run is already in it.
fn check_audit_log(session: &Session) -> Check {
    if let Err(error) = ownership::check_audit_log(session) {
        return Check::from_error("audit log", &error);
    }
    if session.executor.can_preallocate_log() {
        return Check::ok("audit log", "writable, with space reserved for results");
    }
    Check::warning(
        "audit log",
        "its file system cannot reserve space, so a full disk shows only after a command",
        "pass a path on another file system: `--audit-log FILE`",
    )
}
