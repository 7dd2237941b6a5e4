//! Whether the process of a recorded run still exists.

use super::body::RunBegin;
use crate::host;
use rustix::process::Pid;

/// Returns whether the process of a run still exists. A process on another host counts as gone.
pub(super) fn is_running(begin: &RunBegin) -> bool {
    is_local(begin) && is_process_running(begin.pid, begin.process_start.as_deref())
}

/// Returns whether the process with this ID and start still exists on this host.
pub(super) fn is_process_running(id: u32, start: Option<&str>) -> bool {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else {
        return false;
    };
    match (start, host::read_process_start(id)) {
        (Some(then), Some(now)) => *then == *now,
        (Some(_), None) => false,
        (None, _) => rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH),
    }
}

/// Returns whether a run began on this host.
pub(super) fn is_local(begin: &RunBegin) -> bool {
    begin.actor.host == host::get_host_name()
}
