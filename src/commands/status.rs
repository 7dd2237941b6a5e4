//! `status`: compares the actual state with the state that `enable` sets up.

use super::unfinished::UnfinishedNotice;
use crate::error::{CommandResult, Error, ErrorKind};
use crate::exec::read_file;
use crate::profile::{self, Profile};
use crate::secret::Secret;
use crate::session::Session;
use crate::session::cluster::{identify_cluster, resolve_context};
use crate::session::influxctl_config::{InfluxctlConfig, build_quirk_context, locate_config};
use crate::session::ownership;
use crate::session::runner::{join_thread, spawn_task};
use crate::session::token_file::{MAX_TOKEN_FILE, file_mode_hint, is_owner_only};
use crate::session::tools::{resolve_influxctl, resolve_kubectl};
use crate::steps::token::{probe_token, read_token};
use crate::tool::Tool;
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::quirk;
use crate::ui::Check;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const FETCH_HINT: &str = "run `bypassctl enable` to fetch the token of the cluster";

const ENABLE_HINT: &str = "run `bypassctl enable` to set it";

pub(crate) fn run(session: &Session) -> CommandResult {
    let namespace = session.require_namespace()?;
    let (cluster, influxctl) = std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        let kubectl = resolve_kubectl(session);
        let token = kubectl
            .as_ref()
            .ok()
            .map(|tool| read_cluster_token(session, tool.clone(), namespace));
        ((kubectl, token), join_thread(influxctl))
    });
    let mut report = StatusReport {
        session,
        drift: false,
        inconclusive: false,
        error: None,
        unfinished: UnfinishedNotice::find(session)?,
    };
    if let Some(notice) = &report.unfinished {
        report.report_check(notice.to_check());
    }
    report.check_tool("kubectl", cluster.0);
    let influxctl = report.check_tool("influxctl", influxctl);
    let token = cluster.1.and_then(|token| report.check_cluster(token));
    let profile = report.check_profile(influxctl.as_ref());
    let file = profile
        .as_ref()
        .and_then(|profile| report.check_token_file(profile));
    report.compare_tokens(token.as_ref(), file.as_ref());
    if let (Some(profile), Some(file), Some(influxctl)) = (&profile, &file, &influxctl) {
        let result = report.probe_file_token(influxctl, profile, file);
        if let Err(error) = session.propagate_fatal(result)? {
            report.report_error("token probe", error);
        }
    }
    match report {
        StatusReport {
            error: Some(error), ..
        } => Err(error),
        StatusReport { drift: true, .. } => {
            session
                .ui
                .print_lines("the state differs from the one that `enable` sets up");
            Ok(Some(ErrorKind::Drift))
        }
        StatusReport {
            inconclusive: true, ..
        } => {
            session
                .ui
                .print_lines("the admin token is in use, but the token probe was inconclusive");
            Ok(Some(ErrorKind::Inconclusive))
        }
        _ => {
            session.ui.print_lines("the admin token is in use");
            Ok(None)
        }
    }
}

fn read_cluster_token(session: &Session, tool: Tool, namespace: &str) -> Result<Secret, Error> {
    let kubectl = resolve_context(session, tool)?;
    let (uid, token) = std::thread::scope(|scope| {
        let uid = spawn_task(scope, || {
            identify_cluster(&session.runner(), &kubectl, namespace)
        });
        let token = read_token(
            &session.runner(),
            "get-token",
            &kubectl.get_admin_token(namespace),
        );
        (join_thread(uid), token)
    });
    let token = token?;
    uid.map(|_| ())?;
    Ok(token)
}

struct StatusReport<'a> {
    session: &'a Session<'a>,
    drift: bool,
    /// The token probe showed neither acceptance nor rejection.
    inconclusive: bool,
    /// The first error of a check.
    error: Option<Error>,
    /// A revocation that has not finished. It determines the token, so `enable` does not help.
    unfinished: Option<UnfinishedNotice>,
}

impl StatusReport<'_> {
    fn report_check(&self, check: Check) {
        self.session.ui.report_check(check);
    }

    fn report_drift(&mut self, name: &str, detail: impl Into<String>, hint: &str) {
        self.drift = true;
        self.report_check(Check::failure(name, detail, hint));
    }

    /// Reports a drift that `enable` corrects, unless a revocation has to finish first.
    fn report_token_drift(&mut self, name: &str, detail: impl Into<String>, hint: &str) {
        let hint = match &self.unfinished {
            Some(notice) => notice.hint.clone(),
            None => hint.to_owned(),
        };
        self.report_drift(name, detail, &hint);
    }

    fn report_error(&mut self, name: &str, error: Error) {
        let error = Error {
            message: self.session.executor.redact(&error.message),
            hint: self.session.insert_target(error.hint),
            ..error
        };
        self.report_check(Check::from_error(name, &error));
        self.error.get_or_insert(error);
    }

    fn check_cluster(&mut self, token: Result<Secret, Error>) -> Option<Secret> {
        let target = self.session.executor.target();
        if let Some(server) = target.server {
            let context = target.context.map_or_else(
                || "in-cluster".to_owned(),
                |context| format!("context `{context}`"),
            );
            let namespace = target.namespace.unwrap_or_default();
            self.report_check(Check::ok(
                "cluster",
                format!("{context} ({server}), namespace `{namespace}`"),
            ));
        }
        match token {
            Ok(token) => {
                self.report_check(Check::ok(
                    "admin token",
                    format!(
                        "in secret `admin-token`, fingerprint {}",
                        token.fingerprint()
                    ),
                ));
                Some(token)
            }
            Err(error) => {
                let error = match &self.unfinished {
                    Some(notice) => notice.replace_hint(error),
                    None => error,
                };
                self.report_error("admin token", error);
                None
            }
        }
    }

    fn check_tool(&mut self, name: &str, tool: Result<Tool, Error>) -> Option<Tool> {
        match tool {
            Ok(tool) => {
                let version = tool
                    .version
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                self.report_check(Check::ok(
                    name,
                    format!("{version} at {}", tool.path.display()),
                ));
                Some(tool)
            }
            Err(error) => {
                self.report_error(name, error);
                None
            }
        }
    }

    fn check_profile(&mut self, influxctl: Option<&Tool>) -> Option<Profile> {
        let config = match locate_config(
            self.session,
            influxctl.and_then(|tool| tool.version.as_ref()),
        )
        .and_then(|path| InfluxctlConfig::read(self.session, &path))
        .and_then(|config| ownership::check_config(self.session, &config).map(|()| config))
        {
            Ok(config) => config,
            Err(error) => {
                self.report_error("profile", error);
                return None;
            }
        };
        let name = self.session.profile;
        let found = config.require_text().and_then(|text| {
            profile::find_profile(text, name).map_err(|error| config.to_error(&error))
        });
        match found {
            Ok(profile) => {
                let detail = format!(
                    "`{name}` in {}, for {}",
                    config.path.display(),
                    profile.address()
                );
                self.report_check(Check::ok("profile", detail));
                if let Some(risk) = profile.find_tls_risk() {
                    self.report_check(Check::warning("profile", risk.message, risk.remedy));
                }
                influxctl
                    .iter()
                    .for_each(|tool| self.report_quirks(tool, &profile));
                Some(profile)
            }
            Err(error) => {
                self.report_drift("profile", error.message, &error.hint);
                None
            }
        }
    }

    fn report_quirks(&self, influxctl: &Tool, profile: &Profile) {
        let at = build_quirk_context(influxctl, profile);
        for quirk in quirk::find_applicable_quirks(&at) {
            let remedy = quirk.format_remedy(&at);
            self.report_check(Check::warning("influxctl", quirk.message, remedy));
        }
    }

    fn check_token_file(&mut self, profile: &Profile) -> Option<Secret> {
        let Some(path) = profile.token_file.as_ref().map(Path::new) else {
            self.report_token_drift(
                "token file",
                format!("profile `{}` has no `auth.token.token_file`", profile.name),
                ENABLE_HINT,
            );
            return None;
        };
        if !path.is_absolute() {
            let detail = format!(
                "`{}` is relative, so it depends on the working directory of influxctl",
                path.display()
            );
            self.report_token_drift("token file", detail, ENABLE_HINT);
            return None;
        }
        let snapshot = match read_file(path, MAX_TOKEN_FILE) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => {
                self.report_token_drift(
                    "token file",
                    format!("`{}` not found", path.display()),
                    ENABLE_HINT,
                );
                return None;
            }
            Err(error) => {
                self.report_token_drift(
                    "token file",
                    format!("cannot read `{}`: {error}", path.display()),
                    ENABLE_HINT,
                );
                return None;
            }
        };
        let mode = snapshot.meta.mode() & 0o7777;
        if is_owner_only(&snapshot.meta) {
            self.report_check(Check::ok(
                "token file",
                format!("{}, mode {mode:04o}", path.display()),
            ));
        } else {
            self.report_token_drift(
                "token file",
                format!("{} has mode {mode:04o}, not 0600", path.display()),
                &file_mode_hint(path, &snapshot.meta),
            );
        }
        let secret = Secret::new(snapshot.bytes);
        self.session.executor.register_secret(&secret);
        Some(secret)
    }

    fn compare_tokens(&mut self, token: Option<&Secret>, file: Option<&Secret>) {
        match (token, file) {
            (Some(token), Some(file)) if token == file => {
                self.report_check(Check::ok(
                    "token match",
                    format!(
                        "the token file contains the token of the cluster, fingerprint {}",
                        file.fingerprint()
                    ),
                ));
            }
            (Some(token), Some(file)) => {
                let detail = format!(
                    "the token file ({}) differs from the cluster ({})",
                    file.fingerprint(),
                    token.fingerprint()
                );
                self.report_token_drift("token match", detail, FETCH_HINT);
            }
            _ => {}
        }
    }

    fn probe_file_token(
        &mut self,
        influxctl: &Tool,
        profile: &Profile,
        token: &Secret,
    ) -> Result<(), Error> {
        let address = profile.address();
        match probe_token(
            &self.session.runner(),
            "probe-token",
            &influxctl::probe_token(influxctl),
            profile,
            token,
        )? {
            TokenVerdict::Accepted => self.report_check(Check::ok(
                "token probe",
                format!("{address} accepts the token of the file"),
            )),
            TokenVerdict::Rejected(reason) => self.report_token_drift(
                "token probe",
                format!("{address} rejects the token of the file: {reason}"),
                FETCH_HINT,
            ),
            TokenVerdict::Inconclusive(reason) => {
                self.inconclusive = true;
                self.report_check(Check::warning(
                    "token probe",
                    format!("inconclusive at {address}: {reason}"),
                    "check host, port and TLS settings of the profile",
                ));
            }
        }
        Ok(())
    }
}
