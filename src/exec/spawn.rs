//! Starts processes and waits for them. No other file does, and each start takes a receipt.

use super::event::{OutputLimit, ProcessEvent};
use super::interrupt::Interrupts;
use super::program::Program;
use super::sync::lock_mutex;
use crate::audit::Receipt;
use crate::tool::invocation::ProcessExit;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The limit of standard error.
const MAX_STDERR_BYTES: usize = 256 << 10;

/// The time between SIGTERM and SIGKILL.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(1);

/// The time that a process with changes may keep running after a first Ctrl-C.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// The time that the streams of an exited process may stay open: a grandchild may have them.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// The settings of a process.
pub(super) struct ProcessSpec<'a> {
    pub(super) program: &'a Program,
    pub(super) argv: &'a [String],
    pub(super) env: &'a BTreeMap<OsString, OsString>,
    pub(super) stdin: Option<&'a [u8]>,
    pub(super) max_stdout: usize,
    pub(super) timeout: Duration,
    /// Allows it to finish after a first signal: a finished change is better than an unknown one.
    pub(super) can_finish: bool,
}

/// Returns `true` once the output so far suffices.
pub(super) type StopCondition<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Why a process did not exit by itself.
#[derive(Debug)]
pub(super) enum Termination {
    NotStarted(io::Error),
    /// Its file changed right before the start.
    ExecutableChanged,
    /// `stopped`: the kernel stopped it when it used the terminal.
    TimedOut {
        stopped: bool,
    },
    TooMuchOutput(OutputLimit),
    Interrupted,
    /// Its output met the condition.
    ConditionMet,
}

/// The exit of a process, and its output.
pub(super) struct ProcessResult {
    pub(super) exit: Option<ProcessExit>,
    pub(super) termination: Option<Termination>,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Zeroizing<Vec<u8>>,
    /// A descendant outside the process group kept a stream open. Its later output is lost.
    pub(super) has_open_streams: bool,
}

/// The output of a stream so far.
type SharedBuffer = Arc<Mutex<Zeroizing<Vec<u8>>>>;

impl ProcessResult {
    pub(super) fn from_start_error(error: io::Error) -> Self {
        Self {
            exit: None,
            termination: Some(Termination::NotStarted(error)),
            stdout: Zeroizing::default(),
            stderr: Zeroizing::default(),
            has_open_streams: false,
        }
    }
}

/// Runs a process until it exits, exceeds a limit or is interrupted. Its process group is killed
/// with it, and also where it keeps a stream open.
pub(super) fn run_process(
    _receipt: &Receipt,
    spec: &ProcessSpec,
    interrupts: &Interrupts,
    stop: Option<StopCondition>,
) -> ProcessResult {
    let (events, inbox) = channel();
    let streams = [SharedBuffer::default(), SharedBuffer::default()];
    let (exit, termination, has_open_streams) = match start_process(spec, &events, &streams) {
        Ok(pid) => {
            interrupts.subscribe(events);
            // While it runs most kernels refuse writes to its file (ETXTBSY). This finds earlier
            // ones.
            let termination = (!spec.program.is_unchanged_after_start())
                .then_some(Termination::ExecutableChanged);
            let mut watcher = ProcessWatcher {
                events: inbox,
                group: Pid::from_raw(pid),
                exit: None,
                termination,
                open_streams: 2,
            };
            let mut never = |_: &[u8]| false;
            watcher.watch_process(spec, &streams[0], stop.unwrap_or(&mut never));
            (watcher.exit, watcher.termination, watcher.open_streams > 0)
        }
        Err(error) => (None, Some(Termination::NotStarted(error)), false),
    };
    let [stdout, stderr] = streams.map(|stream| std::mem::take(&mut *lock_mutex(&stream)));
    ProcessResult {
        exit,
        termination,
        stdout,
        stderr,
        has_open_streams,
    }
}

/// Starts a thread for each stream and one for the exit, then the process. The errors and the
/// `Debug` of duct print argv, environment and standard input. So duct never checks the status, and
/// nothing formats an expression.
fn start_process(
    spec: &ProcessSpec,
    events: &Sender<ProcessEvent>,
    streams: &[SharedBuffer; 2],
) -> io::Result<i32> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    // Every thread starts before the process: without one, nothing has changed yet.
    spawn_reader(
        stdout,
        OutputLimit {
            stream: "standard output",
            max: spec.max_stdout,
        },
        events,
        &streams[0],
    )?;
    spawn_reader(
        stderr,
        OutputLimit {
            stream: "standard error",
            max: MAX_STDERR_BYTES,
        },
        events,
        &streams[1],
    )?;
    let waiter = spawn_waiter(events)?;
    let name = spec.argv[0].clone();
    let expression = duct::cmd(spec.program.exec_path(), &spec.argv[1..])
        .full_env(spec.env)
        .stdout_file(stdout_writer)
        .stderr_file(stderr_writer)
        .unchecked()
        .before_spawn(move |command| {
            // In its own group, grandchildren (credential plugins) can be killed with it, and the
            // terminal sends Ctrl-C to this program alone.
            command.process_group(0).arg0(&name);
            Ok(())
        });
    let expression = match spec.stdin {
        Some(input) => expression.stdin_file(spawn_writer(input)?),
        None => expression.stdin_null(),
    };
    let handle = expression.start()?;
    drop(expression);
    let pid = handle
        .pids()
        .first()
        .and_then(|pid| i32::try_from(*pid).ok())
        .ok_or_else(|| io::Error::other("no process id"))?;
    let wait_for_exit = Box::new(move || handle.wait().map(|output| output.status));
    waiter
        .send(wait_for_exit)
        .map_err(|_| io::Error::other("the thread that waits has ended"))?;
    Ok(pid)
}

/// Waits for the exit of a process.
type WaitForExit = Box<dyn FnOnce() -> io::Result<ExitStatus> + Send>;

/// Starts the thread that waits for the exit of the process that it is sent.
fn spawn_waiter(events: &Sender<ProcessEvent>) -> io::Result<Sender<WaitForExit>> {
    let (sender, processes) = channel::<WaitForExit>();
    let events = events.clone();
    std::thread::Builder::new().spawn(move || {
        if let Ok(wait_for_exit) = processes.recv() {
            drop(events.send(ProcessEvent::Exited(wait_for_exit())));
        }
    })?;
    Ok(sender)
}

/// Starts the thread that writes standard input, and returns the end to read from.
fn spawn_writer(input: &[u8]) -> io::Result<io::PipeReader> {
    let (reader, mut writer) = io::pipe()?;
    // Wiped when dropped, because it can be a token.
    let input = Zeroizing::new(input.to_vec());
    std::thread::Builder::new().spawn(move || {
        // A process may exit before it has read everything.
        drop(writer.write_all(&input));
    })?;
    Ok(reader)
}

fn spawn_reader(
    stream: io::PipeReader,
    limit: OutputLimit,
    events: &Sender<ProcessEvent>,
    buffer: &SharedBuffer,
) -> io::Result<()> {
    let (events, buffer) = (events.clone(), Arc::clone(buffer));
    std::thread::Builder::new().spawn(move || {
        let is_complete = read_limited(stream, limit.max, &buffer, || {
            drop(events.send(ProcessEvent::Output))
        });
        drop(events.send(ProcessEvent::StreamEnd(limit, is_complete)));
    })?;
    Ok(())
}

/// Reads to the end. Stops and returns `false` at the first byte beyond `max`.
fn read_limited(
    mut stream: impl Read,
    max: usize,
    buffer: &SharedBuffer,
    notify: impl Fn(),
) -> bool {
    let mut chunk = Zeroizing::new([0; 16 << 10]);
    loop {
        let length = match stream.read(&mut *chunk) {
            Ok(0) => return true,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return true,
        };
        let mut bytes = lock_mutex(buffer);
        if bytes.len() + length > max {
            return false;
        }
        append_zeroizing(&mut bytes, &chunk[..length]);
        drop(bytes);
        notify();
    }
}

/// Appends and wipes the old memory where the vector grows: it may contain half a token.
fn append_zeroizing(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(
            (2 * bytes.capacity()).max(bytes.len() + more.len()),
        ));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

struct ProcessWatcher {
    events: Receiver<ProcessEvent>,
    group: Option<Pid>,
    exit: Option<ProcessExit>,
    termination: Option<Termination>,
    /// The number of streams that have not ended.
    open_streams: u8,
}

impl ProcessWatcher {
    fn watch_process(&mut self, spec: &ProcessSpec, stdout: &SharedBuffer, stop: StopCondition) {
        let mut deadline = Instant::now() + spec.timeout;
        let mut must_stop = !spec.can_finish;
        while self.exit.is_none() && self.termination.is_none() {
            match self.next_event(deadline) {
                Some(ProcessEvent::Signal) if must_stop => {
                    self.termination = Some(Termination::Interrupted)
                }
                Some(ProcessEvent::Signal) => {
                    must_stop = true;
                    deadline = deadline.min(Instant::now() + FINISH_TIMEOUT);
                }
                Some(ProcessEvent::Output) if stop(&lock_mutex(stdout)) => {
                    self.termination = Some(Termination::ConditionMet)
                }
                Some(event) => self.handle_event(event),
                None if must_stop && spec.can_finish => {
                    self.termination = Some(Termination::Interrupted)
                }
                None => {
                    self.termination = Some(Termination::TimedOut {
                        stopped: self.group.is_some_and(is_stopped),
                    })
                }
            }
        }
        if self.exit.is_none() {
            self.terminate_group();
        }
        self.drain_streams();
    }

    /// Sends SIGTERM to the group, and SIGKILL where the process does not exit.
    fn terminate_group(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            // A stopped process handles a signal only after it continues.
            self.signal_group(signal);
            self.signal_group(Signal::CONT);
            let deadline = Instant::now() + TERMINATE_TIMEOUT;
            while self.exit.is_none() {
                match self.next_event(deadline) {
                    Some(ProcessEvent::Signal) => break,
                    Some(event) => self.handle_event(event),
                    None => break,
                }
            }
        }
    }

    /// Reads the rest of the pipes. Kills a grandchild that still has one open. One outside the
    /// group survives, and its stream stays incomplete.
    fn drain_streams(&mut self) {
        for is_last in [false, true] {
            let deadline = Instant::now() + DRAIN_TIMEOUT;
            while self.open_streams > 0 {
                match self.next_event(deadline) {
                    Some(event) => self.handle_event(event),
                    None => break,
                }
            }
            if self.open_streams == 0 || is_last {
                return;
            }
            self.signal_group(Signal::KILL);
        }
    }

    fn next_event(&self, deadline: Instant) -> Option<ProcessEvent> {
        self.events
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .ok()
    }

    fn handle_event(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::StreamEnd(limit, is_complete) => {
                self.open_streams -= 1;
                if !is_complete {
                    self.termination
                        .get_or_insert(Termination::TooMuchOutput(limit));
                }
            }
            ProcessEvent::Exited(status) => self.exit = status.ok().and_then(exit_from_status),
            ProcessEvent::Signal | ProcessEvent::Output => {}
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails where the group has exited already.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn exit_from_status(status: ExitStatus) -> Option<ProcessExit> {
    status
        .code()
        .map(ProcessExit::Code)
        .or_else(|| status.signal().map(ProcessExit::Signal))
}

/// Returns whether the kernel stopped the process, as it does when a background process reads the
/// terminal. Known on Linux only.
fn is_stopped(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads chunks of one process with a limit of 8 bytes.
    fn read_chunks(chunks: &[&str]) -> (bool, String) {
        let (reader, mut writer) = io::pipe().unwrap();
        let buffer = SharedBuffer::default();
        let is_complete = std::thread::scope(|scope| {
            scope.spawn(move || {
                for chunk in chunks {
                    // The reader hangs up after the limit.
                    drop(writer.write_all(chunk.as_bytes()));
                }
            });
            read_limited(reader, 8, &buffer, || {})
        });
        let text = String::from_utf8(lock_mutex(&buffer).to_vec()).unwrap();
        (is_complete, text)
    }

    #[test]
    fn output_is_complete_up_to_the_limit() {
        let complete = (true, "12345678".to_owned());
        assert_eq!(read_chunks(&["12345678"]), complete);
        assert_eq!(read_chunks(&["1234", "5678"]), complete);
        for chunks in [&["123456789"][..], &["12345678", "9"], &["{\"items\":[]}"]] {
            let (is_complete, text) = read_chunks(chunks);
            assert!(!is_complete && text.len() <= 8, "{chunks:?}: {text}");
        }
    }
}
