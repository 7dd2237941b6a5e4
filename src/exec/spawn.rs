//! The only place that starts a process. It takes the receipt of a durable record.

use super::event::ProcessEvent;
use super::interrupt::Interrupts;
use super::program::Program;
use super::sync::lock_mutex;
use crate::audit::Receipt;
use crate::tool::invocation::ProcessExit;
use rustix::process::{Pid, Signal, kill_process_group};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// What standard error may hold, in bytes.
const MAX_STDERR_BYTES: usize = 256 << 10;

/// How long a process may take to end after it was asked to.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a process that changes something may go on after a first Ctrl-C.
const FINISH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the streams of a process that ended may stay open: a grandchild may hold them.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(200);

/// One process, as it will run.
pub(super) struct ProcessSpec<'a> {
    pub(super) program: &'a Program,
    pub(super) argv: &'a [String],
    pub(super) env: &'a BTreeMap<OsString, OsString>,
    pub(super) stdin: Option<&'a str>,
    pub(super) max_stdout: usize,
    pub(super) timeout: Duration,
    /// Whether a first signal leaves it some time to end by itself: what it changes is better done than unknown.
    pub(super) can_finish: bool,
}

/// Looks at what a process has printed so far; `true` once that is enough.
pub(super) type StopPredicate<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Why a process did not come to its own end.
#[derive(Debug)]
pub(super) enum Termination {
    NotStarted(io::Error),
    /// Its file was written to right before it was started.
    ExecutableChanged,
    /// `stopped`: it was stopped because it wanted the terminal.
    TimedOut {
        stopped: bool,
    },
    TooMuchOutput(&'static str),
    Interrupted,
    /// It had printed what was waited for.
    ConditionMet,
}

/// What is left of a process.
pub(super) struct ProcessResult {
    pub(super) exit: Option<ProcessExit>,
    pub(super) termination: Option<Termination>,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Zeroizing<Vec<u8>>,
    /// A descendant that left the process group held a stream open: what it printed later is not known.
    pub(super) has_open_streams: bool,
}

/// What a stream has brought so far.
type SharedBuffer = Arc<Mutex<Zeroizing<Vec<u8>>>>;

impl ProcessResult {
    /// Something went wrong before it could be started.
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

/// Runs a process to its end, its time limit, its output limit or a signal. Its process group ends with it where it was
/// cut off, or holds a stream open.
pub(super) fn run_process(
    _recorded: &Receipt,
    spec: &ProcessSpec,
    interrupts: &Interrupts,
    enough: Option<StopPredicate>,
) -> ProcessResult {
    let (events, inbox) = channel();
    let streams = [SharedBuffer::default(), SharedBuffer::default()];
    let (exit, cut, held_open) = match start_process(spec, &events, &streams) {
        Ok(pid) => {
            interrupts.subscribe(events);
            // From here on most kernels let nobody write to the file (ETXTBSY); what was written before is found out here.
            let cut = (!spec.program.is_unchanged_after_start())
                .then_some(Termination::ExecutableChanged);
            let mut watch = ProcessWatcher {
                events: inbox,
                group: Pid::from_raw(pid),
                exit: None,
                termination: cut,
                open_streams: 2,
            };
            let mut never = |_: &[u8]| false;
            watch.watch_process(spec, &streams[0], enough.unwrap_or(&mut never));
            (watch.exit, watch.termination, watch.open_streams > 0)
        }
        Err(error) => (None, Some(Termination::NotStarted(error)), false),
    };
    let [stdout, stderr] = streams.map(|stream| std::mem::take(&mut *lock_mutex(&stream)));
    ProcessResult {
        exit,
        termination: cut,
        stdout,
        stderr,
        has_open_streams: held_open,
    }
}

/// Starts it with a thread for each stream and one for its end. duct's errors and its `Debug` would print argv,
/// environment and standard input, so its status is never checked and no expression is ever formatted.
fn start_process(
    spec: &ProcessSpec,
    events: &Sender<ProcessEvent>,
    streams: &[SharedBuffer; 2],
) -> io::Result<i32> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let name = spec.argv[0].clone();
    let expression = duct::cmd(spec.program.exec_path(), &spec.argv[1..])
        .full_env(spec.env)
        .stdout_file(stdout_writer)
        .stderr_file(stderr_writer)
        .unchecked()
        .before_spawn(move |command| {
            // A group of its own, so that grandchildren (credential plugins) end with it, and Ctrl-C comes to us alone.
            command.process_group(0).arg0(&name);
            Ok(())
        });
    let expression = match spec.stdin {
        Some(text) => expression.stdin_bytes(text),
        None => expression.stdin_null(),
    };
    let handle = Arc::new(expression.start()?);
    drop(expression);
    let pid = handle
        .pids()
        .first()
        .and_then(|pid| i32::try_from(*pid).ok())
        .ok_or_else(|| io::Error::other("no process id"))?;
    spawn_reader(
        stdout,
        "standard output",
        spec.max_stdout,
        events,
        &streams[0],
    );
    spawn_reader(
        stderr,
        "standard error",
        MAX_STDERR_BYTES,
        events,
        &streams[1],
    );
    let to_exit = events.clone();
    std::thread::spawn(move || {
        drop(to_exit.send(ProcessEvent::Exited(
            handle.wait().map(|output| output.status),
        )))
    });
    Ok(pid)
}

fn spawn_reader(
    stream: io::PipeReader,
    name: &'static str,
    max: usize,
    events: &Sender<ProcessEvent>,
    into: &SharedBuffer,
) {
    let (events, into) = (events.clone(), Arc::clone(into));
    std::thread::spawn(move || {
        let whole = read_limited(stream, max, &into, || {
            drop(events.send(ProcessEvent::Output))
        });
        drop(events.send(ProcessEvent::StreamEnd(name, whole)));
    });
}

/// Reads to the end, or until there is more than the limit: then `false`.
fn read_limited(mut stream: impl Read, max: usize, into: &SharedBuffer, more: impl Fn()) -> bool {
    let mut chunk = Zeroizing::new([0; 16 << 10]);
    loop {
        let length = match stream.read(&mut *chunk) {
            Ok(0) => return true,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return true,
        };
        let mut bytes = lock_mutex(into);
        if bytes.len() + length > max {
            return false;
        }
        append_zeroizing(&mut bytes, &chunk[..length]);
        drop(bytes);
        more();
    }
}

/// Grows by hand: a vector that grows by itself leaves its outgrown memory as it is, and that may be half a token.
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
    /// Streams that have not ended.
    open_streams: u8,
}

impl ProcessWatcher {
    fn watch_process(&mut self, spec: &ProcessSpec, stdout: &SharedBuffer, enough: StopPredicate) {
        let mut deadline = Instant::now() + spec.timeout;
        let mut asked = !spec.can_finish;
        while self.exit.is_none() && self.termination.is_none() {
            match self.next_event(deadline) {
                Some(ProcessEvent::Signal) if asked => {
                    self.termination = Some(Termination::Interrupted)
                }
                Some(ProcessEvent::Signal) => {
                    asked = true;
                    deadline = deadline.min(Instant::now() + FINISH_TIMEOUT);
                }
                Some(ProcessEvent::Output) if enough(&lock_mutex(stdout)) => {
                    self.termination = Some(Termination::ConditionMet)
                }
                Some(event) => self.handle_event(event),
                None if asked && spec.can_finish => {
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

    /// Asks the whole group to end, and ends it when it does not.
    fn terminate_group(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            // A stopped process sees a signal only once it goes on.
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

    /// What is left in the pipes. A grandchild that still holds one is ended with its group; one that left the group
    /// is left alone, and its stream taken as it is.
    fn drain_streams(&mut self) {
        for last in [false, true] {
            let deadline = Instant::now() + DRAIN_TIMEOUT;
            while self.open_streams > 0 {
                match self.next_event(deadline) {
                    Some(event) => self.handle_event(event),
                    None => break,
                }
            }
            if self.open_streams == 0 || last {
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
            ProcessEvent::StreamEnd(stream, whole) => {
                self.open_streams -= 1;
                if !whole {
                    self.termination
                        .get_or_insert(Termination::TooMuchOutput(stream));
                }
            }
            ProcessEvent::Exited(status) => self.exit = status.ok().and_then(exit_from_status),
            ProcessEvent::Signal | ProcessEvent::Output => {}
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may be gone already: that is what is wanted.
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

/// Whether the kernel stopped it: a process of a background group that reads the terminal is. Only Linux tells.
fn is_stopped(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}
