//! The only place that starts a process. It takes the receipt of a durable record.

use super::held;
use super::interrupt::Interrupts;
use super::program::Program;
use crate::audit::Begun;
use crate::tool::invocation::Exit;
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
const MAX_STDERR: usize = 256 << 10;

/// How long a process may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(1);

/// How long a process that changes something may go on after a first Ctrl-C.
const FINISH: Duration = Duration::from_secs(10);

/// How long the streams of a process that ended may stay open: a grandchild may hold them.
const DRAIN: Duration = Duration::from_millis(200);

/// One process, as it will run.
pub(super) struct Spec<'a> {
    pub(super) program: &'a Program,
    pub(super) argv: &'a [String],
    pub(super) env: &'a BTreeMap<OsString, OsString>,
    pub(super) stdin: Option<&'a str>,
    pub(super) max_stdout: usize,
    pub(super) timeout: Duration,
    /// Whether a first signal leaves it some time to end by itself: what it changes is better done than unknown.
    pub(super) may_finish: bool,
}

/// Looks at what a process has printed so far; `true` once that is enough.
pub(super) type Enough<'a> = &'a mut dyn FnMut(&[u8]) -> bool;

/// Why a process did not come to its own end.
#[derive(Debug)]
pub(super) enum Cut {
    NotStarted(io::Error),
    /// Its file was written to right before it was started.
    Overwritten,
    /// `stopped`: it was stopped because it wanted the terminal.
    TimedOut {
        stopped: bool,
    },
    TooMuch(&'static str),
    Interrupted,
    /// It had printed what was waited for.
    Enough,
}

/// What is left of a process.
pub(super) struct Ran {
    pub(super) exit: Option<Exit>,
    pub(super) cut: Option<Cut>,
    pub(super) stdout: Zeroizing<Vec<u8>>,
    pub(super) stderr: Zeroizing<Vec<u8>>,
    /// A descendant that left the process group held a stream open: what it printed later is not known.
    pub(super) held_open: bool,
}

/// What a stream has brought so far.
type Shared = Arc<Mutex<Zeroizing<Vec<u8>>>>;

/// What a wait can see.
pub(super) enum Event {
    /// Standard output has brought more.
    More,
    /// One of the streams has ended; `false` where it was cut off at its limit.
    Ended(&'static str, bool),
    Exited(io::Result<ExitStatus>),
    Signal,
}

impl Ran {
    /// Something went wrong before it could be started.
    pub(super) fn not_started(error: io::Error) -> Self {
        Self {
            exit: None,
            cut: Some(Cut::NotStarted(error)),
            stdout: Zeroizing::default(),
            stderr: Zeroizing::default(),
            held_open: false,
        }
    }
}

/// Runs a process to its end, its time limit, its output limit or a signal. Its process group ends with it where it was
/// cut off, or holds a stream open.
pub(super) fn run(
    _recorded: &Begun,
    spec: &Spec,
    interrupts: &Interrupts,
    enough: Option<Enough>,
) -> Ran {
    let (events, inbox) = channel();
    let streams = [Shared::default(), Shared::default()];
    let (exit, cut, held_open) = match start(spec, &events, &streams) {
        Ok(pid) => {
            interrupts.tell(events);
            // From here on most kernels let nobody write to the file (ETXTBSY); what was written before is found out here.
            let cut = (!spec.program.is_what_was_started()).then_some(Cut::Overwritten);
            let mut watch = Watch {
                inbox,
                group: Pid::from_raw(pid),
                exit: None,
                cut,
                open: 2,
            };
            let mut never = |_: &[u8]| false;
            watch.watch(spec, &streams[0], enough.unwrap_or(&mut never));
            (watch.exit, watch.cut, watch.open > 0)
        }
        Err(error) => (None, Some(Cut::NotStarted(error)), false),
    };
    let [stdout, stderr] = streams.map(|stream| std::mem::take(&mut *held(&stream)));
    Ran {
        exit,
        cut,
        stdout,
        stderr,
        held_open,
    }
}

/// Starts it with a thread for each stream and one for its end. duct's errors and its `Debug` would print argv,
/// environment and standard input, so its status is never checked and no expression is ever formatted.
fn start(spec: &Spec, events: &Sender<Event>, streams: &[Shared; 2]) -> io::Result<i32> {
    let (stdout, stdout_writer) = io::pipe()?;
    let (stderr, stderr_writer) = io::pipe()?;
    let name = spec.argv[0].clone();
    let expression = duct::cmd(spec.program.executed(), &spec.argv[1..])
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
    read_beside(
        stdout,
        "standard output",
        spec.max_stdout,
        events,
        &streams[0],
    );
    read_beside(stderr, "standard error", MAX_STDERR, events, &streams[1]);
    let to_exit = events.clone();
    std::thread::spawn(move || {
        drop(to_exit.send(Event::Exited(handle.wait().map(|output| output.status))))
    });
    Ok(pid)
}

fn read_beside(
    stream: io::PipeReader,
    name: &'static str,
    max: usize,
    events: &Sender<Event>,
    into: &Shared,
) {
    let (events, into) = (events.clone(), Arc::clone(into));
    std::thread::spawn(move || {
        let whole = read_at_most(stream, max, &into, || drop(events.send(Event::More)));
        drop(events.send(Event::Ended(name, whole)));
    });
}

/// Reads to the end, or until there is more than the limit: then `false`.
fn read_at_most(mut stream: impl Read, max: usize, into: &Shared, more: impl Fn()) -> bool {
    let mut chunk = Zeroizing::new([0; 16 << 10]);
    loop {
        let length = match stream.read(&mut *chunk) {
            Ok(0) => return true,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return true,
        };
        let mut bytes = held(into);
        if bytes.len() + length > max {
            return false;
        }
        append(&mut bytes, &chunk[..length]);
        drop(bytes);
        more();
    }
}

/// Grows by hand: a vector that grows by itself leaves its outgrown memory as it is, and that may be half a token.
fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    if bytes.capacity() - bytes.len() < more.len() {
        let mut larger = Zeroizing::new(Vec::with_capacity(
            (2 * bytes.capacity()).max(bytes.len() + more.len()),
        ));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

struct Watch {
    inbox: Receiver<Event>,
    group: Option<Pid>,
    exit: Option<Exit>,
    cut: Option<Cut>,
    /// Streams that have not ended.
    open: u8,
}

impl Watch {
    fn watch(&mut self, spec: &Spec, stdout: &Shared, enough: Enough) {
        let mut deadline = Instant::now() + spec.timeout;
        let mut asked = !spec.may_finish;
        while self.exit.is_none() && self.cut.is_none() {
            match self.next(deadline) {
                Some(Event::Signal) if asked => self.cut = Some(Cut::Interrupted),
                Some(Event::Signal) => {
                    asked = true;
                    deadline = deadline.min(Instant::now() + FINISH);
                }
                Some(Event::More) if enough(&held(stdout)) => self.cut = Some(Cut::Enough),
                Some(event) => self.take(event),
                None if asked && spec.may_finish => self.cut = Some(Cut::Interrupted),
                None => {
                    self.cut = Some(Cut::TimedOut {
                        stopped: self.group.is_some_and(is_stopped),
                    })
                }
            }
        }
        if self.exit.is_none() {
            self.end();
        }
        self.drain();
    }

    /// Asks the whole group to end, and ends it when it does not.
    fn end(&mut self) {
        for signal in [Signal::TERM, Signal::KILL] {
            // A stopped process sees a signal only once it goes on.
            self.signal(signal);
            self.signal(Signal::CONT);
            let deadline = Instant::now() + GRACE;
            while self.exit.is_none() {
                match self.next(deadline) {
                    Some(Event::Signal) => break,
                    Some(event) => self.take(event),
                    None => break,
                }
            }
        }
    }

    /// What is left in the pipes. A grandchild that still holds one is ended with its group; one that left the group
    /// is left alone, and its stream taken as it is.
    fn drain(&mut self) {
        for last in [false, true] {
            let deadline = Instant::now() + DRAIN;
            while self.open > 0 {
                match self.next(deadline) {
                    Some(event) => self.take(event),
                    None => break,
                }
            }
            if self.open == 0 || last {
                return;
            }
            self.signal(Signal::KILL);
        }
    }

    fn next(&self, deadline: Instant) -> Option<Event> {
        self.inbox
            .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            .ok()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Ended(stream, whole) => {
                self.open -= 1;
                if !whole {
                    self.cut.get_or_insert(Cut::TooMuch(stream));
                }
            }
            Event::Exited(status) => self.exit = status.ok().and_then(how),
            Event::Signal | Event::More => {}
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // The group may be gone already: that is what is wanted.
            let _ = kill_process_group(group, signal);
        }
    }
}

fn how(status: ExitStatus) -> Option<Exit> {
    status
        .code()
        .map(Exit::Code)
        .or_else(|| status.signal().map(Exit::Signal))
}

/// Whether the kernel stopped it: a process of a background group that reads the terminal is. Only Linux tells.
fn is_stopped(pid: Pid) -> bool {
    let stat =
        std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('T'))
}
