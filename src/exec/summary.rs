//! What a CI system shows of a run is added to a file that it keeps for that. It holds no more than what is printed, and
//! so needs no receipt.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

/// Adds to a regular file, which is made where it is not there.
///
/// # Errors
/// Those of writing, and for what is no regular file.
pub fn append_summary(path: &Path, text: &str) -> io::Result<()> {
    // A FIFO that nobody reads would keep who opens it waiting.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    let mut file = File::options()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    file.write_all(text.as_bytes())
}
