//! A home, a `PATH` and a cluster of one's own, for one test.
//!
//! `PATH` holds nothing but the fakes: what bypassctl runs besides them fails.

mod audit_log;
pub mod error_docs;
mod fake_calls;
mod fake_state;
mod fs_snapshot;
mod normalize;
mod process;
pub mod report_schema;
mod secret_scan;
mod terminal;

pub use audit_log::{sha256_hex, split_lines};
pub use fake_calls::Call;
pub use normalize::normalize;
pub use process::{CommandOutput, RunningCommand, report_skipped, wait_until};

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// influxctl's configuration as `up.sh` of the stand-in control plane writes it.
const CONFIG_TOML: &str = r#"# stand-in cluster
[[profile]]
    name = "default"
    product = "clustered"
    host = "127.0.0.1"   # loopback
    port = "26444"

    [profile.tls]
        disable = true

    [profile.auth.oauth2]
        client_id = "example"
        device_url = "https://idp.invalid/device"
        token_url = "https://idp.invalid/token"
"#;

/// One test's world. It is gone when this is dropped.
pub struct Sandbox {
    directory: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
    /// Secrets of the test's own making.
    extra_secrets: Vec<Vec<u8>>,
}

impl Sandbox {
    /// A cluster that has been up for an hour, and a home with influxctl's configuration.
    pub fn new() -> Self {
        Self::with_workload(&["init"])
    }

    /// The same with the workload that the recordings were made with.
    pub fn with_recorded_workload() -> Self {
        Self::with_workload(&["init", "recorded"])
    }

    fn with_workload(order: &[&str]) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bypassctl-")
            .tempdir()
            .expect("a temporary directory");
        let sandbox = Self {
            directory,
            env: Vec::new(),
            extra_secrets: Vec::new(),
        };
        for name in [
            "bin",
            "home",
            "state",
            "out",
            "tmp",
            "home/.config/influxctl",
        ] {
            std::fs::create_dir_all(sandbox.path(name)).expect("sandbox");
        }
        for (_, name) in XDG_DIRECTORIES {
            create_private_dir(&sandbox.path(name));
        }
        for tool in ["kubectl", "influxctl"] {
            std::os::unix::fs::symlink(build_fake(), sandbox.path("bin").join(tool))
                .expect("sandbox");
        }
        std::fs::write(sandbox.config_path(), CONFIG_TOML).expect("sandbox");
        sandbox.run_fake(order);
        sandbox
    }

    /// The directory that holds everything.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// A path in the sandbox.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    /// A path in the home directory.
    pub fn home_path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("home").join(name)
    }

    /// influxctl's `config.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.home_path(".config/influxctl/config.toml")
    }

    /// Reads a file of the sandbox as text.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Writes a file of the sandbox, with the directories above it.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the sandbox")).expect("sandbox");
        std::fs::write(&path, text).expect("sandbox");
        path
    }

    /// Adds to the environment of all that runs from now on.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Takes away again what `env` added.
    pub fn remove_env(&mut self, name: impl AsRef<OsStr>) {
        self.env.retain(|(n, _)| n != name.as_ref());
    }
}

/// What points where.
const XDG_DIRECTORIES: [(&str, &str); 5] = [
    ("XDG_CONFIG_HOME", "home/.config"),
    ("XDG_CACHE_HOME", "home/.cache"),
    ("XDG_DATA_HOME", "home/.local/share"),
    ("XDG_STATE_HOME", "home/.local/state"),
    ("XDG_RUNTIME_DIR", "run"),
];

fn create_private_dir(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path).expect("sandbox");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("sandbox");
}

/// The fakes' program, up to date.
fn build_fake() -> PathBuf {
    static FAKE: OnceLock<PathBuf> = OnceLock::new();
    FAKE.get_or_init(|| build_example("fake", &["fixtures/fake"]))
        .clone()
}

/// The program itself with another system's directory, up to date.
fn build_custom_system_dir() -> PathBuf {
    static CUSTOM_SYSTEM_DIR: OnceLock<PathBuf> = OnceLock::new();
    CUSTOM_SYSTEM_DIR
        .get_or_init(|| build_example("custom_system_dir", &["src", "fixtures/custom_system_dir"]))
        .clone()
}

/// What writes the manual pages, up to date.
fn build_manual() -> PathBuf {
    static MANUAL: OnceLock<PathBuf> = OnceLock::new();
    MANUAL
        .get_or_init(|| build_example("manual", &["src", "scripts"]))
        .clone()
}

/// `cargo test` builds the examples with the tests, but `cargo test NAME` and `--test suite` do not: then they are built
/// here, for one that is older than its sources would mislead.
fn build_example(name: &str, sources: &[&str]) -> PathBuf {
    let tests = std::env::current_exe().expect("own path");
    let profile = tests
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE/deps");
    let example = profile.join("examples").join(name);
    let built = modified_time(&example).unwrap_or(SystemTime::UNIX_EPOCH);
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    if sources
        .iter()
        .filter_map(|place| find_newest_modified_time(&project.join(place)))
        .max()
        .is_none_or(|newest| newest > built)
    {
        process::cargo_build_example(name, project, profile);
    }
    example
}

fn modified_time(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path)
        .and_then(|meta| meta.modified())
        .ok()
}

fn find_newest_modified_time(directory: &Path) -> Option<SystemTime> {
    let entries = std::fs::read_dir(directory)
        .expect("sources")
        .flatten()
        .map(|entry| entry.path());
    entries
        .filter_map(|path| {
            if path.is_dir() {
                find_newest_modified_time(&path)
            } else {
                modified_time(&path)
            }
        })
        .max()
}
