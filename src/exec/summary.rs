//! Appends to the summary file of a CI system. It repeats the printed output, so it needs no
//! receipt.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Appends to a regular file. Creates it if necessary.
pub fn append_summary(path: &Path, text: &str) -> io::Result<()> {
    // Opening a FIFO without a reader would block.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    file.write_all(text.as_bytes())
}
