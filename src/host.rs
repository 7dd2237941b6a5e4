//! Facts about this machine and its processes.

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
