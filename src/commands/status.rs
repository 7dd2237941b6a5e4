//! `status`: compares the actual state with the state that `enable` sets up.

use super::token_age::{compute_age, format_age, read_creation_time};
use super::unfinished::UnfinishedNotice;
use crate::audit::LastWrite;
use crate::cli::{RequiredState, StatusArgs};
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
use crate::text::sanitize;
use crate::tool::Tool;
use crate::tool::influxctl::{self, TokenVerdict};
use crate::tool::quirk;
use crate::ui::{BypassState, Check, TokenFileWrite};
use jiff::{SignedDuration, Timestamp};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const FETCH_HINT: &str = "run `bypassctl enable` to fetch the token of the cluster";

const UNKNOWN_STATE: &str = "the state is not known completely: see each `failed` line";

const ENABLE_HINT: &str = "run `bypassctl enable` to set it";

pub(crate) fn run(session: &Session, args: &StatusArgs) -> CommandResult {
    match args.require {
        RequiredState::On => check_enabled(session, args.max_age),
        RequiredState::Off if args.max_age.is_some() => {
            Err(Error::usage("--max-age needs --require on")
                .hint("omit --max-age: without the bypass, no token has an age"))
        }
        RequiredState::Off => check_disabled(session),
    }
}

/// Checks that the profile uses the token of the cluster, and that the token works. Reports each
/// check as soon as its result is known.
fn check_enabled(session: &Session, max_age: Option<SignedDuration>) -> CommandResult {
    let namespace = session.require_namespace()?;
    let mut report = StatusReport::new(session, RequiredState::On);
    std::thread::scope(|scope| {
        let influxctl = spawn_task(scope, || resolve_influxctl(session));
        let kubectl = resolve_kubectl(session);
        let tool = kubectl.as_ref().ok().cloned();
        let cluster =
            tool.map(|tool| spawn_task(scope, || read_cluster_token(session, tool, namespace)));
        session.ui.print_heading("this machine");
        report.check_tool("kubectl", kubectl);
        let influxctl = report.check_tool("influxctl", join_thread(influxctl));
        if cluster.is_some() {
            session.ui.print_heading("cluster");
        }
        let cluster = cluster.map(join_thread);
        report.find_unfinished_revocation()?;
        let token = cluster.and_then(|cluster| report.check_cluster(cluster, max_age));
        session.ui.print_heading("profile");
        let profile = report.check_profile(influxctl.as_ref());
        let file = profile
            .as_ref()
            .and_then(|profile| report.check_token_file(profile));
        if let Some(profile) = &profile {
            report.check_bypass(profile)?;
        }
        report.compare_tokens(token.as_ref(), file.as_ref());
        if let (Some(profile), Some(file), Some(influxctl)) = (&profile, &file, &influxctl) {
            let result = report.probe_file_token(influxctl, profile, file);
            if let Err(error) = session.propagate_fatal(result)? {
                report.report_error("token probe", error);
            }
        }
        Ok(())
    })?;
    let ui = session.ui;
    match report {
        StatusReport {
            error: Some(error), ..
        } => {
            ui.print_lines(UNKNOWN_STATE);
            Err(error)
        }
        StatusReport { drift: true, .. } => {
            ui.print_lines("the state differs from the required one: see each `failed` line");
            Ok(Some(ErrorKind::Drift))
        }
        StatusReport {
            inconclusive: true, ..
        } => {
            ui.print_lines("the admin token is in use, but the token probe was inconclusive");
            Ok(Some(ErrorKind::Inconclusive))
        }
        _ => {
            ui.print_lines("the admin token is in use");
            Ok(None)
        }
    }
}

/// Checks that the profile uses no token file. Needs no cluster, because the token can be gone.
fn check_disabled(session: &Session) -> CommandResult {
    let mut report = StatusReport::new(session, RequiredState::Off);
    session.ui.print_heading("this machine");
    let influxctl = report.check_tool("influxctl", resolve_influxctl(session));
    report.find_unfinished_revocation()?;
    session.ui.print_heading("profile");
    let version = influxctl.as_ref().and_then(|tool| tool.version.as_ref());
    let config = locate_config(session, version)
        .and_then(|path| InfluxctlConfig::read(session, &path))
        .and_then(|config| {
            let Some(text) = config.text() else {
                return Ok((config, None));
            };
            let profile = profile::find_profile(text, session.profile);
            let profile = profile.map_err(|error| config.to_error(&error))?;
            Ok((config, Some(profile)))
        });
    match config {
        Ok((_, Some(profile))) if profile.token_file.is_some() => {
            report.drift = true;
            report.check_bypass(&profile)?;
        }
        Ok((config, _)) => {
            let detail = format!(
                "off: no `auth.token.token_file` for profile `{}` in {}",
                session.profile,
                config.path.display()
            );
            report.report_check(Check::ok("bypass", detail));
            report.update_bypass(|bypass| bypass.is_on = false);
        }
        Err(error) => report.report_error("profile", error),
    }
    match report {
        StatusReport {
            error: Some(error), ..
        } => {
            session.ui.print_lines(UNKNOWN_STATE);
            Err(error)
        }
        StatusReport { drift: true, .. } => Ok(Some(ErrorKind::Drift)),
        _ => {
            session.ui.print_lines("the profile uses no admin token");
            Ok(None)
        }
    }
}

/// The token of the cluster, and the creation time of its secret.
struct ClusterToken {
    token: Result<Secret, Error>,
    created_at: Result<Timestamp, Error>,
}

/// Describes a write of the token file, exactly and for a terminal.
fn describe_write(session: &Session, write: &LastWrite) -> (String, String) {
    let LastWrite {
        run,
        written_at,
        user,
        host,
        reason,
        ..
    } = write;
    let reason = reason
        .as_ref()
        .map_or_else(String::new, |reason| format!(", {}", sanitize(reason)));
    let describe = |when: &str, run: &str| {
        format!("on: {user} on {host} wrote the token file {when} (run {run}{reason})")
    };
    let time = written_at.parse().map_or_else(
        |_| written_at.clone(),
        |time| session.ui.format_relative_time(time),
    );
    let short_run: String = run.chars().take(8).collect();
    (
        describe(&format!("at {written_at}"), run),
        describe(&time, &short_run),
    )
}

fn read_cluster_token(
    session: &Session,
    tool: Tool,
    namespace: &str,
) -> Result<ClusterToken, Error> {
    let kubectl = resolve_context(session, tool)?;
    let runner = session.runner();
    let (uid, created_at, token) = std::thread::scope(|scope| {
        let uid = spawn_task(scope, || identify_cluster(&runner, &kubectl, namespace));
        let created_at = spawn_task(scope, || read_creation_time(&runner, &kubectl, namespace));
        let token = read_token(&runner, "get-token", &kubectl.get_admin_token(namespace));
        (join_thread(uid), join_thread(created_at), token)
    });
    let token = token.and_then(|token| uid.map(|_| token));
    Ok(ClusterToken { token, created_at })
}

struct StatusReport<'a> {
    session: &'a Session<'a>,
    required: RequiredState,
    /// The state differs from the required one.
    drift: bool,
    /// The token probe showed neither acceptance nor rejection.
    inconclusive: bool,
    /// The first error of a check.
    error: Option<Error>,
    /// A revocation that has not finished. It determines the token, so `enable` does not help.
    unfinished: Option<UnfinishedNotice>,
}

impl<'a> StatusReport<'a> {
    fn new(session: &'a Session<'a>, required: RequiredState) -> Self {
        Self {
            session,
            required,
            drift: false,
            inconclusive: false,
            error: None,
            unfinished: None,
        }
    }

    /// Finds a revocation that has not finished, once the cluster is known.
    fn find_unfinished_revocation(&mut self) -> Result<(), Error> {
        self.unfinished = UnfinishedNotice::find(self.session)?;
        if let Some(notice) = &self.unfinished {
            self.report_check(notice.to_check());
        }
        Ok(())
    }

    fn update_bypass(&self, update: impl FnOnce(&mut BypassState)) {
        self.session
            .ui
            .update_fields(|fields| update(fields.bypass.get_or_insert_default()));
    }

    fn report_check(&self, check: Check) {
        let hint = check.hint.map(|hint| self.session.insert_target(hint));
        self.session.ui.report_check(Check { hint, ..check });
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
            ..error
        };
        self.report_check(Check::from_error(name, &error));
        self.error.get_or_insert(error);
    }

    fn check_cluster(
        &mut self,
        cluster: Result<ClusterToken, Error>,
        max_age: Option<SignedDuration>,
    ) -> Option<Secret> {
        let target = self.session.executor.target();
        if let Some(server) = target.server {
            let context = target.context.map_or_else(
                || "none (in-cluster)".to_owned(),
                |context| format!("`{context}`"),
            );
            let namespace = target.namespace.unwrap_or_default();
            self.report_check(Check::ok(
                "context",
                format!("{context}, server {server}, namespace `{namespace}`"),
            ));
        }
        let (token, created_at) = match cluster {
            Ok(cluster) => (cluster.token, Some(cluster.created_at)),
            Err(error) => (Err(error), None),
        };
        match token {
            Ok(token) => {
                self.report_check(Check::ok(
                    "admin token",
                    format!(
                        "in secret `admin-token`, fingerprint {}",
                        token.fingerprint()
                    ),
                ));
                if let Some(created_at) = created_at {
                    self.check_age(created_at, max_age);
                }
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

    fn check_age(&mut self, created_at: Result<Timestamp, Error>, max_age: Option<SignedDuration>) {
        let age = created_at.and_then(|created_at| {
            self.update_bypass(|bypass| bypass.token_created_at = Some(created_at.to_string()));
            Ok((created_at, compute_age(created_at, Timestamp::now())?))
        });
        let (created_at, age) = match age {
            Ok(age) => age,
            Err(error) if max_age.is_some() => return self.report_error("token age", error),
            Err(error) => {
                return self.report_check(Check::warning("token age", error.message, error.hint));
            }
        };
        match max_age {
            Some(limit) if age > limit => self.report_token_drift(
                "token age",
                format!(
                    "{} old, more than {}: created at {created_at}",
                    format_age(age),
                    format_age(limit)
                ),
                "run `bypassctl rotate` to issue a new token",
            ),
            _ => self.report_check(Check::ok(
                "token age",
                format!("{} old, created at {created_at}", format_age(age)),
            )),
        }
    }

    /// Reports since when the profile uses its token file, and who enabled it.
    fn check_bypass(&self, profile: &Profile) -> Result<(), Error> {
        let Some(path) = &profile.token_file else {
            return Ok(());
        };
        let session = self.session;
        let write = session.executor.find_last_write(Path::new(path))?;
        let (detail, short) = match &write {
            Some(write) => describe_write(session, write),
            None => {
                let detail = "on: the audit log does not show who wrote the token file";
                (detail.to_owned(), detail.to_owned())
            }
        };
        let check = if self.required == RequiredState::Off {
            Check::failure("bypass", detail, "run `bypassctl disable`")
        } else {
            Check::ok("bypass", detail)
        };
        self.report_check(check.with_short_detail(short));
        self.update_bypass(|bypass| {
            bypass.is_on = true;
            bypass.token_file = Some(path.clone());
            bypass.written = write.map(TokenFileWrite::from);
        });
        Ok(())
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
