//! An entry as a line: JSON in ASCII with an LF.

use super::body::Body;
use serde::Serialize;
use serde_json::ser::Formatter;
use std::fmt;
use std::io;

/// The `prev` of the first entry of a log.
pub const ZERO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Version of the log format.
pub const LOG_FORMAT_VERSION: u32 = 3;

/// Error for a log of another format version.
#[derive(Debug, PartialEq, Eq)]
pub struct UnsupportedFormat(pub(super) u64);

impl fmt::Display for UnsupportedFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "audit log format {} is not supported, this program reads format {LOG_FORMAT_VERSION}",
            self.0
        )
    }
}

impl std::error::Error for UnsupportedFormat {}

impl UnsupportedFormat {
    /// Returns whether `error` reports an unsupported format.
    #[must_use]
    pub fn is_cause_of(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<Self>())
    }
}

/// Checks the format version of a log.
pub(super) fn ensure_supported_format(version: u64) -> io::Result<()> {
    if version == u64::from(LOG_FORMAT_VERSION) {
        Ok(())
    } else {
        Err(io::Error::other(UnsupportedFormat(version)))
    }
}

/// The keys of an entry, in the order of the line.
#[derive(Serialize)]
pub(super) struct EntryLine<'a> {
    pub(super) v: u32,
    pub(super) seq: u64,
    pub(super) prev: &'a str,
    #[serde(flatten)]
    pub(super) body: &'a Body,
    pub(super) log: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) run: Option<&'a str>,
    pub(super) ts: String,
}

/// Writes JSON in ASCII. Tools of auditors then need not agree on an encoding.
struct AsciiFormatter;

impl Formatter for AsciiFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        for c in fragment.chars() {
            if c.is_ascii() && c != '\u{7f}' {
                writer.write_all(&[c as u8])?;
            } else {
                let mut units = [0; 2];
                c.encode_utf16(&mut units)
                    .iter()
                    .try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

/// Encodes an entry as one line, LF included.
pub(super) fn encode_line(line: &EntryLine<'_>) -> serde_json::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    line.serialize(&mut serde_json::Serializer::with_formatter(
        &mut out,
        AsciiFormatter,
    ))?;
    out.push(b'\n');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encode_line_writes_ascii_and_preserves_text() {
        let body = Body::LogOpen {
            bypassctl: "0.1 — \u{1f511}\u{7f}\n\"".to_owned(),
            preallocates: true,
            previous: None,
        };
        let line = encode_line(&EntryLine {
            v: LOG_FORMAT_VERSION,
            seq: 1,
            prev: ZERO_HASH,
            body: &body,
            log: "l",
            run: None,
            ts: "t".to_owned(),
        })
        .unwrap();
        assert!(
            line.is_ascii() && line.ends_with(b"}\n") && !line[..line.len() - 1].contains(&b'\n')
        );
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(value["bypassctl"], "0.1 — \u{1f511}\u{7f}\n\"");
        assert_eq!(value["type"], "log.open");
    }
}
