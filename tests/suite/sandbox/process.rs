//! Running things in the sandbox.

use super::{Sandbox, XDG, catalogue, json};
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Run {
    /// The exit code; 128 and the signal if a signal ended it.
    pub code: i32,
    /// Standard output; what is no UTF-8 is replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
    /// Path of the sandbox, to take it out of the output.
    pub(super) root: PathBuf,
}

/// A program that has not ended yet. It is killed when this is dropped.
pub struct Running {
    child: Child,
    root: PathBuf,
    out: PathBuf,
    /// Whether it was asked for JSON.
    json: bool,
    /// Whether it is the program itself, and no script and no tool.
    own: bool,
}

impl Sandbox {
    /// Runs bypassctl to its end, with nothing on standard input.
    pub fn run<A: AsRef<OsStr>>(&self, args: &[A]) -> Run {
        self.spawn(args).wait()
    }

    /// The same with a file of this text on standard input.
    pub fn run_with_stdin<A: AsRef<OsStr>>(&self, args: &[A], stdin: &str) -> Run {
        let file = File::open(self.write("tmp/stdin", stdin)).expect("sandbox");
        self.start(self.bypassctl(args).stdin(file)).wait()
    }

    /// Starts bypassctl, to send it signals or to hold it at a known point.
    pub fn spawn<A: AsRef<OsStr>>(&self, args: &[A]) -> Running {
        self.start(&mut self.bypassctl(args))
    }

    /// Starts bypassctl by way of another program, which is outside the sandbox: `strace`, `prlimit`.
    pub fn spawn_under(&self, wrapper: &[&str], args: &[&str]) -> Running {
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
        self.start(&mut self.command(Path::new(program), name, &all))
    }

    /// Runs bypassctl to its end on a system whose configuration is in `etc` of the sandbox.
    pub fn run_on_system<A: AsRef<OsStr>>(&self, args: &[A]) -> Run {
        let mut command = self.command(&super::custom_system_dir(), "bypassctl", args);
        self.start(command.env("BYPASSCTL_TEST_SYSTEM_DIR", self.path("etc")))
            .wait()
    }

    /// Writes the manual pages into a directory.
    pub fn write_manual(&self, directory: &str) -> Run {
        self.start(&mut self.command(&super::manual(), "manual", &[self.path(directory)]))
            .wait()
    }

    /// Runs bypassctl to its end in another directory than the home.
    pub fn run_in<A: AsRef<OsStr>>(&self, directory: &str, args: &[A]) -> Run {
        self.start(self.bypassctl(args).current_dir(self.path(directory)))
            .wait()
    }

    /// Runs bypassctl with `stdout` or `stderr` going to a device, and returns the exit code.
    pub fn run_into<A: AsRef<OsStr>>(&self, device: &str, stream: &str, args: &[A]) -> i32 {
        let file = || File::options().write(true).open(device).expect("a device");
        let mut command = self.bypassctl(args);
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

    /// Runs a script as CI does, with bypassctl, the fakes and the system's own programs in PATH.
    pub fn script(
        &self,
        directory: &str,
        shell: &[&str],
        script: &str,
        env: &[(String, String)],
    ) -> Run {
        let mut command = self.shell(shell);
        command
            .arg(script)
            .envs(env.iter().map(|(name, value)| (name, value)));
        self.start(command.current_dir(self.path(directory))).wait()
    }

    pub(super) fn shell(&self, shell: &[&str]) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_bypassctl"))
            .parent()
            .expect("a directory")
            .display();
        let (shell, args) = shell.split_first().expect("a shell");
        let mut command = self.command(Path::new(shell), shell, args);
        command.env(
            "PATH",
            format!("{}:{program}:/usr/bin:/bin", self.path("bin").display()),
        );
        command
    }

    pub(super) fn bypassctl<A: AsRef<OsStr>>(&self, args: &[A]) -> Command {
        self.command(
            Path::new(env!("CARGO_BIN_EXE_bypassctl")),
            "bypassctl",
            args,
        )
    }

    /// Runs one of the fakes as bypassctl would.
    pub fn tool<A: AsRef<OsStr>>(&self, tool: &str, args: &[A], stdin: Option<&str>) -> Run {
        let mut command = self.command(&self.path("bin").join(tool), tool, args);
        if let Some(text) = stdin {
            command.stdin(File::open(self.write("tmp/stdin", text)).expect("sandbox"));
        }
        self.start(&mut command).wait()
    }

    /// Starts one of the fakes.
    pub fn spawn_tool<A: AsRef<OsStr>>(&self, tool: &str, args: &[A]) -> Running {
        self.start(&mut self.command(&self.path("bin").join(tool), tool, args))
    }

    /// Gives the fake itself an order, such as `["operator", "influxdb"]`.
    pub fn fake(&self, order: &[&str]) {
        let run = self
            .start(&mut self.command(&super::fake(), "fake", order))
            .wait();
        assert_eq!(run.code, 0, "fake {order:?}: {}", run.stderr);
    }

    fn command<A: AsRef<OsStr>>(&self, program: &Path, name: &str, args: &[A]) -> Command {
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
        command.envs(XDG.map(|(name, place)| (name, self.path(place))));
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Output goes to files: nobody has to read while it runs, and a grandchild that keeps it open holds nobody up.
    fn start(&self, command: &mut Command) -> Running {
        let out = self.path("out").join(uuid::Uuid::new_v4().to_string());
        let file = |end: &str| File::create(out.with_extension(end)).expect("sandbox");
        let json = json::is_asked_for(command);
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or_default();
        let own = ["bypassctl", "custom_system_dir"]
            .iter()
            .any(|own| name == *own);
        let child = command
            .stdout(file("stdout"))
            .stderr(file("stderr"))
            .spawn()
            .expect("a program that runs");
        Running {
            child,
            root: self.root().to_owned(),
            out,
            json,
            own,
        }
    }

    /// Waits until a fault `wait_for_file` with this path is reached.
    pub fn wait_reached(&self, path: &str) {
        let file = self.path("state").join(format!("reached-{path}"));
        wait_until(&format!("a call reaches {path}"), || file.exists());
    }

    /// Lets the call go on that waits there.
    pub fn release(&self, path: &str) {
        self.write(Path::new("state").join(path), "");
    }
}

/// Builds an example where cargo has not; `profile` is `target/debug` or the like.
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
        "it does not compile: cargo build --example {name}"
    );
}

/// Says that a part of a test could not be done here, where `cargo test` does not hide it.
pub fn skipped(why: &str) {
    // A test goes on without a reader.
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// Looks again and again, and fails the test if it takes too long.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited too long until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl Running {
    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child that is there");
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Run {
        let mut status = None;
        wait_until("a program ends", || {
            status = self.child.try_wait().expect("a child of ours");
            status.is_some()
        });
        let status = status.expect("it ended");
        let code = status
            .code()
            .or_else(|| status.signal().map(|signal| 128 + signal))
            .expect("an end");
        if self.json && status.code().is_some() {
            let report = json::report(&self.so_far("stdout"));
            assert_eq!(report["exit_code"], code, "{report:#}");
        }
        let run = Run {
            code,
            stdout: self.so_far("stdout"),
            stderr: self.so_far("stderr"),
            root: self.root.clone(),
        };
        if self.own {
            catalogue::assert_known(code, &run.stderr);
        }
        run
    }

    /// What it has printed so far on `stdout` or `stderr`.
    pub fn so_far(&self, stream: &str) -> String {
        let bytes = std::fs::read(self.out.with_extension(stream)).expect("sandbox");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail where it has ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
