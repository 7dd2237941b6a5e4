//! `status`

use super::carry_out::{MAX_TOKEN_FILE, is_private, read_token, try_token};
use super::config::{self, Config};
use super::session::Session;
use super::{Outcome, enable, probe};
use crate::error::{Error, Kind};
use crate::exec::read;
use crate::profile::{self, Profile};
use crate::secret::Secret;
use crate::tool::Tool;
use crate::tool::influxctl::{self, Verdict};
use crate::tool::quirk;
use crate::ui::Check;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

const ENABLE: &str = "bypassctl enable sets it";

pub(super) fn run(session: &Session) -> Outcome {
    let namespace = session.namespace()?;
    // What the cluster holds and what lies on this machine are looked at side by side.
    let (cluster, influxctl) = std::thread::scope(|scope| {
        let influxctl = scope.spawn(|| probe::influxctl_tool(session));
        let kubectl = probe::kubectl_tool(session);
        let token = kubectl
            .as_ref()
            .ok()
            .map(|tool| cluster_token(session, tool.clone(), namespace));
        ((kubectl, token), probe::joined(influxctl))
    });
    let mut board = Board {
        session,
        drift: false,
        inconclusive: false,
        error: None,
    };
    board.tool("kubectl", cluster.0);
    let influxctl = board.tool("influxctl", influxctl);
    let token = cluster.1.and_then(|token| board.cluster(token));
    let profile = board.profile(influxctl.as_ref());
    let file = profile
        .as_ref()
        .and_then(|profile| board.token_file(profile));
    board.agreement(token.as_ref(), file.as_ref());
    if let (Some(profile), Some(file), Some(influxctl)) = (&profile, &file, &influxctl) {
        let tried = board.trial(influxctl, profile, file);
        if let Err(error) = session.heeded(tried)? {
            board.fail("trial", error);
        }
    }
    match board {
        Board {
            error: Some(error), ..
        } => Err(error),
        Board { drift: true, .. } => {
            session
                .ui
                .say("the admin token is not in use as `enable` would set it");
            Ok(Some(Kind::Drift))
        }
        Board {
            inconclusive: true, ..
        } => {
            session
                .ui
                .say("the admin token is in place; whether it is accepted was not shown");
            Ok(Some(Kind::Inconclusive))
        }
        _ => {
            session.ui.say("the admin token is in use");
            Ok(None)
        }
    }
}

fn cluster_token(session: &Session, tool: Tool, namespace: &str) -> Result<Secret, Error> {
    let kubectl = probe::with_context(session, tool)?;
    let (uid, token) = std::thread::scope(|scope| {
        let uid = scope.spawn(|| probe::cluster(session, &kubectl, namespace));
        let token = read_token(session, "get-token", &kubectl.admin_token(namespace));
        (probe::joined(uid), token)
    });
    let token = token?;
    uid.map(|_| ())?;
    Ok(token)
}

struct Board<'a> {
    session: &'a Session<'a>,
    drift: bool,
    /// Whether the token could not be tried.
    inconclusive: bool,
    /// What kept a question from being answered.
    error: Option<Error>,
}

impl Board<'_> {
    fn show(&self, check: Check) {
        self.session.ui.check(check);
    }

    fn differs(&mut self, name: &str, detail: impl Into<String>, hint: &str) {
        self.drift = true;
        self.show(Check::failed(name, detail, hint));
    }

    fn fail(&mut self, name: &str, error: Error) {
        let error = Error {
            message: self.session.exec.redact(&error.message),
            ..error
        };
        self.show(Check::from_error(name, &error));
        self.error.get_or_insert(error);
    }

    fn cluster(&mut self, token: Result<Secret, Error>) -> Option<Secret> {
        let target = self.session.exec.target();
        if let Some(server) = target.server {
            let context = target.context.map_or_else(
                || "in the cluster".to_owned(),
                |context| format!("context `{context}`"),
            );
            let namespace = target.namespace.unwrap_or_default();
            self.show(Check::ok(
                "cluster",
                format!("{context} ({server}), namespace `{namespace}`"),
            ));
        }
        match token {
            Ok(token) => {
                self.show(Check::ok(
                    "admin token",
                    format!(
                        "in secret `admin-token`, fingerprint {}",
                        token.fingerprint()
                    ),
                ));
                Some(token)
            }
            Err(error) => {
                self.fail("admin token", error);
                None
            }
        }
    }

    fn tool(&mut self, name: &str, tool: Result<Tool, Error>) -> Option<Tool> {
        match tool {
            Ok(tool) => {
                let version = tool
                    .version
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                self.show(Check::ok(
                    name,
                    format!("{version} at {}", tool.path.display()),
                ));
                Some(tool)
            }
            Err(error) => {
                self.fail(name, error);
                None
            }
        }
    }

    fn profile(&mut self, influxctl: Option<&Tool>) -> Option<Profile> {
        let config = match config::locate(
            self.session,
            influxctl.and_then(|tool| tool.version.as_ref()),
        )
        .and_then(|named| Config::read(&named))
        {
            Ok(config) => config,
            Err(error) => {
                self.fail("profile", error);
                return None;
            }
        };
        let name = self.session.profile;
        let found = config
            .required()
            .and_then(|text| profile::find(text, name).map_err(|error| config.told(&error)));
        match found {
            Ok(profile) => {
                let at = format!(
                    "`{name}` in {}, for {}",
                    config.path.display(),
                    profile.address()
                );
                self.show(Check::ok("profile", at));
                influxctl
                    .iter()
                    .for_each(|tool| self.quirks(tool, &profile));
                Some(profile)
            }
            Err(error) => {
                self.differs("profile", error.message, &error.hint);
                None
            }
        }
    }

    fn quirks(&self, influxctl: &Tool, profile: &Profile) {
        for quirk in quirk::bearing(&enable::circumstances(influxctl, profile)) {
            self.show(Check::warning("influxctl", quirk.what, quirk.remedy));
        }
    }

    fn token_file(&mut self, profile: &Profile) -> Option<Secret> {
        let Some(path) = profile.token_file.as_ref().map(Path::new) else {
            self.differs(
                "token file",
                format!("profile `{}` has no `auth.token.token_file`", profile.name),
                ENABLE,
            );
            return None;
        };
        if !path.is_absolute() {
            let detail = format!(
                "`{}` is relative: which file it is depends on where influxctl runs",
                path.display()
            );
            self.differs("token file", detail, ENABLE);
            return None;
        }
        let snapshot = match read(path, MAX_TOKEN_FILE) {
            Ok(Some(snapshot)) => snapshot,
            Ok(None) => {
                self.differs(
                    "token file",
                    format!("{} is not there", path.display()),
                    ENABLE,
                );
                return None;
            }
            Err(error) => {
                self.differs("token file", format!("{}: {error}", path.display()), ENABLE);
                return None;
            }
        };
        let mode = snapshot.meta.mode() & 0o7777;
        if is_private(&snapshot.meta) {
            self.show(Check::ok(
                "token file",
                format!("{}, mode {mode:04o}", path.display()),
            ));
        } else {
            self.differs(
                "token file",
                format!("{} has mode {mode:04o}, not 0600", path.display()),
                ENABLE,
            );
        }
        let secret = Secret::new(snapshot.bytes);
        self.session.exec.learn_secret(&secret);
        Some(secret)
    }

    fn agreement(&mut self, token: Option<&Secret>, file: Option<&Secret>) {
        match (token, file) {
            (Some(token), Some(file)) if token == file => {
                self.show(Check::ok(
                    "agreement",
                    format!(
                        "the file holds the cluster's token, fingerprint {}",
                        file.fingerprint()
                    ),
                ));
            }
            (Some(token), Some(file)) => {
                let detail = format!(
                    "the file's token ({}) is not the cluster's ({})",
                    file.fingerprint(),
                    token.fingerprint()
                );
                self.differs(
                    "agreement",
                    detail,
                    "bypassctl enable fetches the cluster's",
                );
            }
            _ => {}
        }
    }

    fn trial(&mut self, influxctl: &Tool, profile: &Profile, token: &Secret) -> Result<(), Error> {
        let at = profile.address();
        match try_token(
            self.session,
            "try-token",
            &influxctl::try_token(influxctl),
            profile,
            token,
        )? {
            Verdict::Accepted => self.show(Check::ok(
                "trial",
                format!("the file's token is accepted by {at}"),
            )),
            Verdict::Refused(said) => self.differs(
                "trial",
                format!("the file's token is refused by {at}: {said}"),
                "bypassctl enable fetches the cluster's token",
            ),
            Verdict::Inconclusive(said) => {
                self.inconclusive = true;
                let hint = "look at host, port and TLS settings of the profile";
                self.show(Check::warning(
                    "trial",
                    format!("whether {at} accepts it was not shown: {said}"),
                    hint,
                ));
            }
        }
        Ok(())
    }
}
