//! Facts about this machine and its processes.

use crate::text::escape_controls;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Returns the machine's name as the kernel knows it.
pub(crate) fn get_host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}

/// Returns when a process started: the boot's ID and the clock ticks since then. `None` where the
/// system does not say (other than Linux), and where no such process runs.
pub(crate) fn read_process_start(pid: u32) -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Fields 3 and 22 (proc(5)). The name in field 2 may contain spaces and ends with the last
    // parenthesis.
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    // A zombie keeps its entry until its parent waits for it.
    fields.next().filter(|state| !["Z", "X"].contains(state))?;
    let ticks = fields.nth(18)?;
    Some(format!("{}:{ticks}", boot.trim()))
}

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LockHolder {
    pub(crate) pid: u32,
    /// Name of the program, as the kernel knows it.
    name: String,
    /// The session of the process. A daemon starts its own.
    session: Option<i32>,
    /// The command line.
    words: Vec<String>,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} (`{}`)", self.pid, self.name)
    }
}

impl LockHolder {
    /// Returns whether the process left the session of the run, and is none of these tools. The
    /// tool of a script is the second word of the command line.
    pub(crate) fn is_daemon(&self, run_session: i32, tools: &[&str]) -> bool {
        let is_tool = |word: &String| {
            let name = Path::new(word).file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| tools.contains(&name))
        };
        self.session.is_some_and(|session| session != run_session)
            && !self.words.iter().take(2).any(is_tool)
    }
}

/// Returns the session of a process (Linux): 0 where it is one outside of the PID namespace, as in
/// a container that another process entered. `None` where no such process runs.
pub(crate) fn read_session(pid: u32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Field 6 (proc(5)), the fourth behind the name.
    stat.rsplit(')')
        .next()?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()
}

/// Returns the PID namespace of this process (Linux). Process IDs mean nothing in another one.
pub(crate) fn get_pid_namespace() -> Option<String> {
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(namespace.to_string_lossy().into_owned())
}

/// Finds the processes that hold a lock on a file (Linux): every process that inherited the locked
/// descriptor. Processes of other users are not visible.
pub(crate) fn find_lock_holders(file: &File) -> Vec<LockHolder> {
    let Ok(meta) = file.metadata() else {
        return Vec::new();
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| has_lock(*pid, (meta.dev(), meta.ino())))
        .map(read_lock_holder)
        .collect()
}

/// Returns whether a process has a locked descriptor of this file.
fn has_lock(pid: u32, file: (u64, u64)) -> bool {
    let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd"));
    descriptors.into_iter().flatten().flatten().any(|entry| {
        let info = format!("/proc/{pid}/fdinfo/{}", entry.file_name().display());
        let is_locked = std::fs::read_to_string(info).is_ok_and(|info| info.contains("FLOCK"));
        is_locked
            && std::fs::metadata(entry.path()).is_ok_and(|meta| (meta.dev(), meta.ino()) == file)
    })
}

fn read_lock_holder(pid: u32) -> LockHolder {
    let read = |name: &str| {
        let text = std::fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    };
    LockHolder {
        pid,
        name: escape_controls(read("comm").trim_end()),
        session: read_session(pid),
        words: read("cmdline").split('\0').map(str::to_owned).collect(),
    }
}
