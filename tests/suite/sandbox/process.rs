//! Processes in the sandbox.

use super::{Sandbox, XDG_DIRECTORIES, error_docs, report_schema};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Time limit of every wait in a test.
const TEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest pause between two looks at a condition. Many tests wait at the same time.
const MAX_PAUSE: Duration = Duration::from_millis(16);

/// The result of a process.
#[derive(Debug, Clone)]
pub struct CommandOutput {
    /// The exit code, or 128 plus the signal that killed the process.
    pub code: i32,
    /// Standard output. Invalid UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Path of the sandbox, to normalize the output.
    pub(super) root: PathBuf,
}

/// A running process, killed on drop.
pub struct RunningCommand {
    child: Child,
    root: PathBuf,
    output_path: PathBuf,
    /// The command line asks for JSON.
    expects_json: bool,
    /// The process is bypassctl, not a script or a tool.
    is_bypassctl: bool,
}

impl Sandbox {
    /// Runs bypassctl with empty standard input.
    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> CommandOutput {
        self.spawn(args).wait()
    }

    /// Runs bypassctl with a file of this text as standard input.
    pub fn run_with_stdin<A: AsRef<OsStr>>(&self, args: &[A], stdin: &str) -> CommandOutput {
        let file = File::open(self.write("tmp/stdin", stdin)).expect("sandbox");
        self.spawn_command(self.bypassctl_command(args).stdin(file))
            .wait()
    }

    /// Starts bypassctl, for signals or to pause it at a fault.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: &[A]) -> RunningCommand {
        self.spawn_command(&mut self.bypassctl_command(args))
    }

    /// Starts bypassctl under a program from outside the sandbox: `strace`, `prlimit`.
    pub fn spawn_with_wrapper(&self, wrapper: &[&str], args: &[&str]) -> RunningCommand {
        let (program, before) = wrapper.split_first().expect("a program");
        let name = Path::new(program)
            .file_name()
            .and_then(OsStr::to_str)
            .expect("its name");
        let all: Vec<&str> = before
            .iter()
            .copied()
            .chain([env!("CARGO_BIN_EXE_bypassctl")])
            .chain(args.iter().copied())
            .collect();
        self.spawn_command(&mut self.build_command(Path::new(program), name, &all))
    }

    /// Runs bypassctl with `etc` of the sandbox as the system's configuration.
    pub fn run_with_system_dir<A: AsRef<OsStr>>(&self, args: &[A]) -> CommandOutput {
        let mut command = self.build_command(&super::build_custom_system_dir(), "bypassctl", args);
        self.spawn_command(command.env("BYPASSCTL_TEST_SYSTEM_DIR", self.path("etc")))
            .wait()
    }

    /// Writes the manual pages into a directory.
    pub fn write_manual_pages(&self, directory: &str) -> CommandOutput {
        self.spawn_command(&mut self.build_command(
            &super::build_manual(),
            "manual",
            &[self.path(directory)],
        ))
        .wait()
    }

    /// Runs bypassctl in a directory other than the home.
    pub fn run_in_directory<A: AsRef<OsStr>>(&self, directory: &str, args: &[A]) -> CommandOutput {
        self.spawn_command(
            self.bypassctl_command(args)
                .current_dir(self.path(directory)),
        )
        .wait()
    }

    /// Runs bypassctl with `stdout` or `stderr` on a device. Returns the exit code.
    pub fn run_with_output_device<A: AsRef<OsStr>>(
        &self,
        device: &str,
        stream: &str,
        args: &[A],
    ) -> i32 {
        let file = || File::options().write(true).open(device).expect("a device");
        let mut command = self.bypassctl_command(args);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        match stream {
            "stdout" => command.stdout(file()),
            _ => command.stderr(file()),
        };
        let mut child = command.spawn().expect("a program that runs");
        let mut status = None;
        wait_until("a program ends", || {
            status = child.try_wait().expect("a child of ours");
            status.is_some()
        });
        status
            .and_then(|status| status.code())
            .expect("an exit code")
    }

    /// Runs a script as CI does, with bypassctl, the fakes and the system's programs in PATH.
    pub fn run_shell_script(
        &self,
        directory: &str,
        shell: &[&str],
        script: &str,
        env: &[(String, String)],
    ) -> CommandOutput {
        let mut command = self.shell_command(shell);
        command
            .arg(script)
            .envs(env.iter().map(|(name, value)| (name, value)));
        self.spawn_command(command.current_dir(self.path(directory)))
            .wait()
    }

    pub(super) fn shell_command(&self, shell: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_bypassctl"))
            .parent()
            .expect("a directory")
            .display();
        let (shell, args) = shell.split_first().expect("a shell");
        let mut command = self.build_command(Path::new(shell), shell, args);
        command.env(
            "PATH",
            format!("{}:{program}:/usr/bin:/bin", self.path("bin").display()),
        );
        command
    }

    pub fn bypassctl_command<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        self.build_command(
            Path::new(env!("CARGO_BIN_EXE_bypassctl")),
            "bypassctl",
            args,
        )
    }

    /// Runs one of the fakes as bypassctl would.
    pub fn run_tool<A: AsRef<OsStr>>(
        &self,
        tool: &str,
        args: &[A],
        stdin: Option<&str>,
    ) -> CommandOutput {
        let mut command = self.build_command(&self.path("bin").join(tool), tool, args);
        if let Some(text) = stdin {
            command.stdin(File::open(self.write("tmp/stdin", text)).expect("sandbox"));
        }
        self.spawn_command(&mut command).wait()
    }

    /// Starts one of the fakes.
    pub fn spawn_tool<A: AsRef<OsStr>>(&self, tool: &str, args: &[A]) -> RunningCommand {
        self.spawn_command(&mut self.build_command(&self.path("bin").join(tool), tool, args))
    }

    /// Calls the fake itself to change its world: `["operator", "influxdb"]`.
    pub fn run_fake(&self, order: &[&str]) {
        let run = self
            .spawn_command(&mut self.build_command(&super::build_fake(), "fake", order))
            .wait();
        assert_eq!(run.code, 0, "fake {order:?}: {}", run.stderr);
    }

    fn build_command<A: AsRef<OsStr>>(&self, program: &Path, name: &str, args: &[A]) -> Command {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests run the program from outside"
        )]
        let mut command = Command::new(program);
        command
            .arg0(name)
            .args(args)
            .current_dir(self.path("home"))
            .stdin(Stdio::null())
            .env_clear();
        command
            .env("PATH", self.path("bin"))
            .env("HOME", self.path("home"))
            .env("TZ", "UTC");
        command
            .env("FAKE_STATE", self.path("state"))
            .env("TMPDIR", self.path("tmp"));
        command.envs(XDG_DIRECTORIES.map(|(name, place)| (name, self.path(place))));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts a process with output to files. Nobody needs to read the output of a running
    /// process, and a grandchild that keeps the files open blocks nobody.
    fn spawn_command(&self, command: &mut Command) -> RunningCommand {
        let out = self.path("out").join(uuid::Uuid::new_v4().to_string());
        let file = |end: &str| File::create(out.with_extension(end)).expect("sandbox");
        let json = report_schema::is_json_requested(command);
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default();
        let is_bypassctl = ["bypassctl", "custom_system_dir"]
            .iter()
            .any(|known| name == *known);
        let child = command
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("a program that runs");
        RunningCommand {
            child,
            root: self.root().to_owned(),
            output_path: out,
            expects_json: json,
            is_bypassctl,
        }
    }

    /// Waits until a fault `wait_for_file` with this path is reached.
    pub fn wait_for_gate(&self, path: &str) {
        let file = self.path("state").join(format!("reached-{path}"));
        wait_until(&format!("a call reaches {path}"), || file.exists());
    }

    /// Releases the call that waits for this path.
    pub fn release_gate(&self, path: &str) {
        self.write(Path::new("state").join(path), "");
    }
}

/// Builds an example into `profile`, such as `target/debug`.
pub fn cargo_build_example(name: &str, project: &Path, profile: &Path) {
    #[expect(clippy::disallowed_methods, reason = "tests build what they need")]
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--quiet", "--example", name, "--target-dir"])
        .arg(profile.parent().expect("target"));
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(project).status().expect("cargo runs");
    assert!(
        status.success(),
        "does not compile: cargo build --example {name}"
    );
}

/// Reports a skipped part of a test, on a stream that `cargo test` does not capture.
pub fn report_skipped(why: &str) {
    // A test continues without a reader.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Runs a check for each case, three at a time: most of them wait for a program.
pub fn check_in_parallel<T: Send>(cases: impl Iterator<Item = T> + Send, check: impl Fn(T) + Sync) {
    let cases = std::sync::Mutex::new(cases);
    let next_case = || cases.lock().expect("no check holds the lock").next();
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(case) = next_case() {
                    check(case);
                }
            });
        }
    });
}

/// Polls a condition, and fails the test after the time limit.
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + TEST_TIMEOUT;
    let mut pause = Duration::from_millis(1);
    while !condition() {
        assert!(Instant::now() < end, "timed out waiting until {what}");
        std::thread::sleep(pause);
        pause = (pause * 2).min(MAX_PAUSE);
    }
}

impl RunningCommand {
    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn send_signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a running child");
    }

    /// Waits for the exit.
    pub fn wait(mut self) -> CommandOutput {
        let mut status = None;
        wait_until("a program ends", || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        let status = status.expect("an ended process");
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .expect("an end");
        if self.expects_json && status.code().is_some() {
            let report = report_schema::parse_report(&self.read_output("stdout"));
            assert_eq!(report["exit_code"], code, "{report:#}");
        }
        let run = CommandOutput {
            code,
            stdout: self.read_output("stdout"),
            stderr: self.read_output("stderr"),
            root: self.root.clone(),
        };
        if self.is_bypassctl {
            error_docs::assert_documented(code, &run.stderr);
        }
        run
    }

    /// Returns the output so far on `stdout` or `stderr`.
    pub fn read_output(&self, stream: &str) -> String {
        let bytes = std::fs::read(self.output_path.with_extension(stream)).expect("sandbox");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for RunningCommand {
    fn drop(&mut self) {
        // Both fail for an exited process, which needs no kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
