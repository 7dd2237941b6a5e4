//! Limits of this process.

use rustix::process::{Resource, Rlimit, setrlimit};

/// Disables core dumps of this program and of the tools that it starts: their memory contains the
/// token.
///
/// `PR_SET_DUMPABLE` would also hide `/proc/PID/fd`, through which influxctl reads the token of a
/// token probe.
pub fn disable_core_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // A lower limit is always allowed.
    let _ = setrlimit(Resource::Core, none);
}
