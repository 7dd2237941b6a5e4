//! A home directory, a `PATH` and a cluster for one test.
//!
//! `PATH` contains only the fakes, so any other program that bypassctl runs fails.

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
pub use normalize::{drop_audit_head, extract_error, normalize, wrap_lines};
pub use process::{CommandOutput, RunningCommand, check_in_parallel, report_skipped, wait_until};

use rustix::fs::{Access, StatVfsMountFlags};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// influxctl's configuration, equal to the one that the control plane's `up.sh` writes.
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

/// The world of one test, removed on drop.
pub struct Sandbox {
    directory: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
    /// Secrets that the test itself created.
    extra_secrets: Vec<Vec<u8>>,
}

impl Sandbox {
    /// Creates a cluster that has been up for an hour, and a home with influxctl's configuration.
    pub fn new() -> Self {
        Self::with_workload(&["init"], find_memory_directory())
    }

    /// Creates the same on a disk, for tests that depend on the file system.
    pub fn on_disk() -> Self {
        Self::with_workload(&["init"], env!("CARGO_TARGET_TMPDIR"))
    }

    /// Creates a sandbox whose context `acme-prod` leads to a complete cluster.
    pub fn with_production_workload() -> Self {
        Self::with_workload(&["init", "production"], find_memory_directory())
    }

    /// Creates a sandbox with the recordings' workload.
    pub fn with_recorded_workload() -> Self {
        Self::with_workload(&["init", "recorded"], find_memory_directory())
    }

    fn with_workload(order: &[&str], parent: &str) -> Self {
        let directory = tempfile::Builder::new()
            .prefix("bypassctl-")
            .tempdir_in(parent)
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

    /// Returns the sandbox's directory.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// Returns a path in the sandbox.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    /// Returns a path in the home directory.
    pub fn home_path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path("home").join(name)
    }

    /// Returns the path of influxctl's `config.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.home_path(".config/influxctl/config.toml")
    }

    /// Reads a file of the sandbox as text.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    }

    /// Writes a file of the sandbox, and creates its parent directories.
    pub fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("below the sandbox")).expect("sandbox");
        std::fs::write(&path, text).expect("sandbox");
        path
    }

    /// Sets an environment variable for all later processes.
    pub fn set_env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> &mut Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Removes a variable that `env` set.
    pub fn remove_env(&mut self, name: impl AsRef<OsStr>) {
        self.env.retain(|(n, _)| n != name.as_ref());
    }
}

/// The XDG directories, relative to the sandbox.
const XDG_DIRECTORIES: [(&str, &str); 5] = [
    ("XDG_CONFIG_HOME", "home/.config"),
    ("XDG_CACHE_HOME", "home/.cache"),
    ("XDG_DATA_HOME", "home/.local/share"),
    ("XDG_STATE_HOME", "home/.local/state"),
    ("XDG_RUNTIME_DIR", "run"),
];

/// Returns a directory in memory, or else on a disk. The tests sync thousands of files, and on a
/// disk that takes a third of their time.
fn find_memory_directory() -> &'static str {
    const PATH: &str = "/dev/shm";
    const MIN_FREE_BYTES: u64 = 1 << 30;
    let is_suitable = rustix::fs::statvfs(PATH).is_ok_and(|found| {
        let is_executable = !found.f_flag.contains(StatVfsMountFlags::NOEXEC);
        is_executable && found.f_bavail * found.f_frsize >= MIN_FREE_BYTES
    });
    if is_suitable && rustix::fs::access(PATH, Access::WRITE_OK).is_ok() {
        PATH
    } else {
        env!("CARGO_TARGET_TMPDIR")
    }
}

fn create_private_dir(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(path).expect("sandbox");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).expect("sandbox");
}

/// Returns the fakes' program, built if outdated.
fn build_fake() -> PathBuf {
    static FAKE: OnceLock<PathBuf> = OnceLock::new();
    FAKE.get_or_init(|| build_example("fake", &["fixtures/fake"]))
        .clone()
}

/// Returns bypassctl with a configurable system directory, built if outdated.
fn build_custom_system_dir() -> PathBuf {
    static CUSTOM_SYSTEM_DIR: OnceLock<PathBuf> = OnceLock::new();
    CUSTOM_SYSTEM_DIR
        .get_or_init(|| build_example("custom_system_dir", &["src", "fixtures/custom_system_dir"]))
        .clone()
}

/// Returns the program that writes the manual pages, built if outdated.
fn build_manual() -> PathBuf {
    static MANUAL: OnceLock<PathBuf> = OnceLock::new();
    MANUAL
        .get_or_init(|| build_example("manual", &["src", "scripts"]))
        .clone()
}

/// Builds an example that is older than its sources. `cargo test` builds all examples, but `cargo
/// test NAME` and `--test suite` do not.
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
