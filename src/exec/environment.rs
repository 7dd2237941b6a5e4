//! The environment of this program, of its children and in the audit log.

use crate::audit::{Actor, Text};
use crate::tool::invocation::EnvPolicy;
use rustix::process::geteuid;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Command line, environment variables and working directory, read once.
#[derive(Clone)]
pub struct Environment {
    /// The command line with `argv[0]`.
    pub argv: Vec<OsString>,
    pub env: BTreeMap<OsString, OsString>,
    pub cwd: PathBuf,
    /// The system's directory for this program's configuration. No variable changes it, so that
    /// users cannot evade a policy in it.
    pub system_config_dir: PathBuf,
}

/// The variables that configure kubectl, its credential plugins and influxctl. The audit log
/// records no others.
const RECORDED_VARIABLES: &[&str] = &[
    "ALL_PROXY",
    "AWS_CONFIG_FILE",
    "AWS_PROFILE",
    "AWS_REGION",
    "AZURE_CONFIG_DIR",
    "CLOUDSDK_CONFIG",
    "GOGC",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "INFLUXCTL_PROFILE",
    "KUBECACHEDIR",
    "KUBECONFIG",
    "KUBERC",
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "LC_ALL",
    "NO_PROXY",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The prefixes of variables that steer the loader, Go's runtime or kubectl. The audit log records
/// their names.
const STEERING_PREFIXES: &[&str] = &["GODEBUG", "KUBECTL_", "LD_"];

/// The variables with a steering prefix whose values contain no secret.
const HARMLESS_VARIABLES: &[&str] = &[
    "GODEBUG",
    "KUBECTL_COMMAND_HEADERS",
    "KUBECTL_EXTERNAL_DIFF",
    "KUBECTL_KUBERC",
    "KUBECTL_PATH",
    "KUBECTL_PORT_FORWARD_WEBSOCKETS",
    "KUBECTL_REMOTE_COMMAND_WEBSOCKETS",
    "LD_AUDIT",
    "LD_BIND_NOW",
    "LD_DEBUG",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
];

/// Stands for the value of a variable that can contain a secret.
const WITHHELD_VALUE: &str = "[withheld]";

impl Environment {
    /// Returns a variable unless it is empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.env
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// Returns HOME if it is an absolute path.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.var("HOME")
            .map(Path::new)
            .filter(|home| home.is_absolute())
    }

    /// Returns the account's home directory, whatever HOME says.
    #[must_use]
    pub fn account_home(&self) -> Option<PathBuf> {
        let user = nix::unistd::User::from_uid(geteuid().as_raw().into())
            .ok()
            .flatten()?;
        Some(user.dir).filter(|home| home.is_absolute())
    }

    /// Returns a variable as text. One that is not UTF-8 counts as unset.
    #[must_use]
    pub fn utf8_var(&self, name: &str) -> Option<&str> {
        self.var(name).and_then(OsStr::to_str)
    }

    /// Returns the number in COLUMNS.
    #[must_use]
    pub fn columns(&self) -> Option<usize> {
        self.utf8_var("COLUMNS")?.parse().ok()
    }

    /// Builds a child's environment. The user's kuberc could change the defaults of kubectl's
    /// commands, so `kuberc` replaces it, or it is off. The locale is C, since this program parses
    /// messages.
    #[must_use]
    pub fn build_child_env(
        &self,
        policy: &EnvPolicy,
        kuberc: Option<&Path>,
        isolated: &[(OsString, OsString)],
    ) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        if *policy == EnvPolicy::Unchanged {
            return env;
        }
        if *policy != EnvPolicy::UserKuberc {
            let kuberc = kuberc.map_or_else(|| "off".into(), OsString::from);
            env.insert("KUBERC".into(), kuberc);
        }
        env.insert("LC_ALL".into(), "C".into());
        // Both tools are short-lived Go programs: garbage collection only slows them down.
        env.entry("GOGC".into()).or_insert_with(|| "400".into());
        if *policy == EnvPolicy::Isolated {
            env.retain(|name, _| !name.as_encoded_bytes().starts_with(b"INFLUXCTL_"));
            env.extend(isolated.iter().cloned());
        }
        env
    }

    /// Detects who runs this program, from the system and the environment.
    #[must_use]
    pub fn detect_actor(&self) -> Actor {
        let uid = geteuid().as_raw();
        let user = nix::unistd::User::from_uid(uid.into())
            .ok()
            .flatten()
            .map(|user| user.name);
        // 4294967295 means no login.
        let login_uid = std::fs::read_to_string("/proc/self/loginuid")
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|uid| *uid != u32::MAX);
        let tty = rustix::termios::ttyname(std::io::stdin(), Vec::new())
            .ok()
            .map(|name| name.to_string_lossy().into_owned());
        Actor {
            uid,
            user,
            login_uid,
            sudo_user: self.sudo_user(uid),
            host: crate::host::get_host_name(),
            tty,
            ci: self.detect_ci(),
        }
    }

    /// Returns the user who ran sudo. Only sudo gives user ID 0 and sets the variable, but every user
    /// can set it.
    fn sudo_user(&self, uid: u32) -> Option<String> {
        let user = self.utf8_var("SUDO_USER").filter(|_| uid == 0)?;
        Some(user.to_owned())
    }

    /// Returns whether a CI system runs this program, so that nobody can answer a question.
    #[must_use]
    pub fn is_ci(&self) -> bool {
        self.detect_ci().is_some()
    }

    /// Returns whether GitHub's runner reads the output.
    #[must_use]
    pub fn is_github_actions(&self) -> bool {
        self.utf8_var("GITHUB_ACTIONS") == Some("true")
    }

    /// Returns the file that GitHub's runner shows as the job's summary.
    #[must_use]
    pub fn step_summary_path(&self) -> Option<PathBuf> {
        self.var("GITHUB_STEP_SUMMARY")
            .filter(|_| self.is_github_actions())
            .map(|file| self.cwd.join(file))
    }

    fn detect_ci(&self) -> Option<String> {
        let known = [
            ("GITHUB_ACTIONS", "github-actions"),
            ("GITLAB_CI", "gitlab-ci"),
            ("JENKINS_URL", "jenkins"),
            ("BUILDKITE", "buildkite"),
            ("CI", "ci"),
        ];
        known
            .iter()
            .find(|(variable, _)| self.var(variable).is_some())
            .map(|(_, name)| (*name).to_owned())
    }
}

/// Selects the part of a child's environment that the audit log records.
#[must_use]
pub(super) fn select_recorded_env(env: &BTreeMap<OsString, OsString>) -> BTreeMap<String, Text> {
    let select = |name: &&str| {
        env.get(OsStr::new(name)).map(|value| {
            (
                (*name).to_owned(),
                value.to_str().map_or_else(
                    || Text::from(value),
                    |text| Text::Utf8(strip_credentials(text)),
                ),
            )
        })
    };
    let mut recorded: BTreeMap<String, Text> =
        RECORDED_VARIABLES.iter().filter_map(select).collect();
    for (name, value) in env {
        let name = name.to_string_lossy();
        if !STEERING_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            continue;
        }
        let is_harmless = HARMLESS_VARIABLES.contains(&&*name);
        let value = if is_harmless {
            Text::from(value)
        } else {
            Text::Utf8(WITHHELD_VALUE.to_owned())
        };
        recorded.insert(name.into_owned(), value);
    }
    recorded
}

/// Removes `user:password@` from a URL or a proxy without a scheme. A password may contain any
/// character, so everything before the last `@` is removed. File paths stay as they are.
#[must_use]
pub fn strip_credentials(text: &str) -> String {
    let (scheme, rest) = text
        .split_once("://")
        .map_or(("", text), |(scheme, rest)| (scheme, rest));
    match rest.rfind('@') {
        Some(at) if !text.starts_with(['/', '.', '~']) => {
            let scheme = if scheme.is_empty() {
                String::new()
            } else {
                format!("{scheme}://")
            };
            format!("{scheme}[credentials]{}", &rest[at..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strip_credentials_removes_userinfo_from_urls() {
        for (text, shown) in [
            (
                "http://ann:pw@proxy:3128/",
                "http://[credentials]@proxy:3128/",
            ),
            ("ann:p@w@proxy:3128", "[credentials]@proxy:3128"),
            (
                "http://ann:pw/x@proxy:3128",
                "http://[credentials]@proxy:3128",
            ),
            ("https://proxy/path", "https://proxy/path"),
            ("/home/ann@site/.kube/config", "/home/ann@site/.kube/config"),
            ("/home/ann/.kube/config", "/home/ann/.kube/config"),
            ("", ""),
        ] {
            assert_eq!(strip_credentials(text), shown);
        }
    }

    #[test]
    fn sudo_user_counts_for_root_only() {
        let environment = Environment {
            argv: Vec::new(),
            env: [("SUDO_USER".into(), "ann".into())].into(),
            cwd: "/".into(),
            system_config_dir: "/etc/bypassctl".into(),
        };
        assert_eq!(environment.sudo_user(0).as_deref(), Some("ann"));
        assert_eq!(environment.sudo_user(1000), None);
    }

    #[test]
    fn isolated_child_env_hides_influxctl_settings() {
        let env = [
            ("INFLUXCTL_TOKEN", "x"),
            ("HOME", "/home/ann"),
            ("KUBERC", "on"),
            ("OTHER", "kept"),
            ("GODEBUG", "http2debug=2"),
            ("KUBECTL_SITE_TOKEN", "secret"),
        ];
        let environment = Environment {
            argv: Vec::new(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            cwd: "/".into(),
            system_config_dir: "/etc/bypassctl".into(),
        };
        let env = environment.build_child_env(
            &EnvPolicy::Isolated,
            None,
            &[("HOME".into(), "/run/empty".into())],
        );
        let shown: Vec<_> = env
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            shown,
            [
                "GODEBUG=http2debug=2",
                "GOGC=400",
                "HOME=/run/empty",
                "KUBECTL_SITE_TOKEN=secret",
                "KUBERC=off",
                "LC_ALL=C",
                "OTHER=kept"
            ]
        );
        let recorded = select_recorded_env(&env);
        assert!(recorded.keys().eq([
            "GODEBUG",
            "GOGC",
            "HOME",
            "KUBECTL_SITE_TOKEN",
            "KUBERC",
            "LC_ALL"
        ]));
        assert_eq!(recorded["GODEBUG"], Text::Utf8("http2debug=2".to_owned()));
        assert_eq!(
            recorded["KUBECTL_SITE_TOKEN"],
            Text::Utf8("[withheld]".to_owned())
        );
    }
}
