//! What the program was started with, and what of it the children get and the record shows.

use crate::audit::{Actor, Text};
use crate::tool::invocation::EnvPolicy;
use rustix::process::geteuid;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Command line, environment and working directory, taken once.
#[derive(Clone)]
pub struct Environment {
    /// The command line, program first.
    pub argv: Vec<OsString>,
    /// The environment.
    pub env: BTreeMap<OsString, OsString>,
    /// The working directory.
    pub cwd: PathBuf,
    /// The system's directory for this program's configuration. No variable names it, so that a policy in it holds.
    pub system_config_dir: PathBuf,
}

/// The variables that steer kubectl, its credential plugins and influxctl. No other is recorded.
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

impl Environment {
    /// A variable that is set and not empty.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&OsStr> {
        self.env
            .get(OsStr::new(name))
            .map(OsString::as_os_str)
            .filter(|value| !value.is_empty())
    }

    /// HOME, where it is an absolute path.
    #[must_use]
    pub fn home(&self) -> Option<&Path> {
        self.var("HOME")
            .map(Path::new)
            .filter(|home| home.is_absolute())
    }

    /// The home directory of the account that runs this, wherever HOME leads.
    #[must_use]
    pub fn account_home(&self) -> Option<PathBuf> {
        let user = nix::unistd::User::from_uid(geteuid().as_raw().into())
            .ok()
            .flatten()?;
        Some(user.dir).filter(|home| home.is_absolute())
    }

    /// The same as text; what is not UTF-8 counts as not set.
    #[must_use]
    pub fn utf8_var(&self, name: &str) -> Option<&str> {
        self.var(name).and_then(OsStr::to_str)
    }

    /// What a child gets. A kuberc would give kubectl's commands other defaults, so it is off; messages are read, so
    /// they are in English.
    #[must_use]
    pub fn build_child_env(
        &self,
        world: &EnvPolicy,
        throwaway: &[(OsString, OsString)],
    ) -> BTreeMap<OsString, OsString> {
        let mut env = self.env.clone();
        env.insert("KUBERC".into(), "off".into());
        env.insert("LC_ALL".into(), "C".into());
        // Both tools are Go programs that live for a moment: their garbage collector need not run meanwhile.
        env.entry("GOGC".into()).or_insert_with(|| "400".into());
        if *world == EnvPolicy::Isolated {
            env.retain(|name, _| !name.as_encoded_bytes().starts_with(b"INFLUXCTL_"));
            env.extend(throwaway.iter().cloned());
        }
        env
    }

    /// Who runs this, as far as the system and the environment tell.
    #[must_use]
    pub fn detect_actor(&self) -> Actor {
        let uid = geteuid().as_raw();
        let user = nix::unistd::User::from_uid(uid.into())
            .ok()
            .flatten()
            .map(|user| user.name);
        // 4294967295 stands for no login.
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
            sudo_user: self.utf8_var("SUDO_USER").map(str::to_owned),
            host: crate::host::get_host_name(),
            tty,
            ci: self.detect_ci(),
        }
    }

    /// Whether nobody is there to be asked.
    #[must_use]
    pub fn is_ci(&self) -> bool {
        self.detect_ci().is_some()
    }

    /// Whether GitHub's runner reads what is printed.
    #[must_use]
    pub fn is_github_actions(&self) -> bool {
        self.utf8_var("GITHUB_ACTIONS") == Some("true")
    }

    /// The file that GitHub's runner shows on the page of the job.
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

/// What the record shows of a child's environment.
#[must_use]
pub(super) fn select_recorded_env(env: &BTreeMap<OsString, OsString>) -> BTreeMap<String, Text> {
    let of = |name: &&str| {
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
    RECORDED_VARIABLES.iter().filter_map(of).collect()
}

/// A URL, or a proxy given without a scheme, without `user:password@`. A password may hold any character, so all up to
/// the last `@` goes; a path of the file system is left as it is.
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
    fn isolated_child_env_hides_influxctl_settings() {
        let env = [
            ("INFLUXCTL_TOKEN", "x"),
            ("HOME", "/home/ann"),
            ("KUBERC", "on"),
            ("OTHER", "kept"),
        ];
        let environment = Environment {
            argv: Vec::new(),
            env: env.map(|(name, value)| (name.into(), value.into())).into(),
            cwd: "/".into(),
            system_config_dir: "/etc/bypassctl".into(),
        };
        let env = environment.build_child_env(
            &EnvPolicy::Isolated,
            &[("HOME".into(), "/run/empty".into())],
        );
        let shown: Vec<_> = env
            .iter()
            .map(|(name, value)| format!("{}={}", name.display(), value.display()))
            .collect();
        assert_eq!(
            shown,
            [
                "GOGC=400",
                "HOME=/run/empty",
                "KUBERC=off",
                "LC_ALL=C",
                "OTHER=kept"
            ]
        );
        assert!(
            select_recorded_env(&env)
                .keys()
                .eq(["GOGC", "HOME", "KUBERC", "LC_ALL"])
        );
    }
}
