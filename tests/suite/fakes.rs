//! The fakes and the sandbox do what the other tests count on.

mod boxed;
mod faults;
mod reach;
mod revocation;
mod token;

use crate::sandbox::{Run, Sandbox};

/// The documented way to fetch the admin token.
const TOKEN: &[&str] = &["get", "secrets/admin-token", "--template={{.data.token}}", "--namespace", "influxdb"];

/// Words of a command line without spaces in them.
fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn kubectl(sb: &Sandbox, line: &str) -> Run {
    sb.tool("kubectl", &words(line), None)
}

/// The same where it must succeed.
fn done(sb: &Sandbox, line: &str) -> String {
    let run = kubectl(sb, line);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{line}");
    run.stdout
}
