//! The form of a record: which fields each type has, of which kind, as data; and the check of a line against it, which
//! keeps nothing of what the line says but what a verification follows.

mod check;
#[cfg(test)]
mod tests;

use super::record::{Previous, Torn};
use check::Whole;
pub use check::strict;
use serde::Deserialize;
use serde::de::DeserializeSeed as _;
use std::borrow::Cow;
use uuid::Uuid;

/// What a value is.
enum Is {
    /// A whole number, not negative.
    Count,
    /// `true` or `false`.
    Flag,
    /// Text.
    Word,
    /// Text from the system: a string, or `{"b64": "…"}`.
    Text,
    /// SHA-256, in 64 lower-case hexadecimal digits.
    Hash,
    /// A UUID.
    Uuid,
    /// RFC 3339.
    Time,
    /// A record of a log: `SEQ:HASH`.
    Head,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// A list of these.
    Each(&'static Is),
    /// An object whose values are texts.
    Env,
    /// An object.
    Fields(&'static [Has]),
    /// What may be said of bytes: how many and their digest, or that it is withheld.
    Stream,
    /// An exit code or a signal, the other null.
    Exit,
}

impl Is {
    fn name(&self) -> &'static str {
        match self {
            Self::Count => "a whole number that is not negative",
            Self::Flag => "true or false",
            Self::Word => "text",
            Self::Text => "text, or {\"b64\": …}",
            Self::Hash => "a SHA-256 in 64 lower-case hexadecimal digits",
            Self::Uuid => "a UUID",
            Self::Time => "a time as RFC 3339 has it",
            Self::Head => "SEQ:HASH",
            Self::OneOf(_) => "a word that is known",
            Self::Each(_) => "a list",
            Self::Stream => "`bytes` and `sha256`, or `withheld`",
            Self::Exit => "`code` or `signal`, the other null",
            Self::Env | Self::Fields(_) => "an object",
        }
    }

    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Word | Self::Text => true,
            Self::Hash => digest(text).is_some(),
            Self::Uuid => Uuid::try_parse(text).is_ok(),
            Self::Time => text.parse::<jiff::Timestamp>().is_ok(),
            Self::Head => text
                .split_once(':')
                .is_some_and(|(seq, hash)| seq.parse::<u64>().is_ok() && digest(hash).is_some()),
            Self::OneOf(words) => words.contains(&text),
            _ => false,
        }
    }
}

/// A field.
struct Has {
    name: &'static str,
    is: Is,
    needs: Needs,
}

/// Whether a field must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// With a value.
    Value,
    /// With a value or null.
    OrNull,
    /// It may be missing.
    Nothing,
}

const fn has(name: &'static str, is: Is) -> Has {
    Has {
        name,
        is,
        needs: Needs::Value,
    }
}

const fn null(name: &'static str, is: Is) -> Has {
    Has {
        name,
        is,
        needs: Needs::OrNull,
    }
}

const fn may(name: &'static str, is: Is) -> Has {
    Has {
        name,
        is,
        needs: Needs::Nothing,
    }
}

const EXE: Is = Is::Fields(&[
    has("path", Is::Text),
    null("sha256", Is::Hash),
    null("version", Is::Word),
]);
const WHO: Is = Is::Fields(&[
    has("uid", Is::Count),
    null("user", Is::Word),
    null("login_uid", Is::Count),
    null("sudo_user", Is::Word),
    has("host", Is::Word),
    null("tty", Is::Word),
    null("ci", Is::Word),
]);
const TARGET: Is = Is::Fields(&[
    null("context", Is::Word),
    null("server", Is::Word),
    null("cluster_uid", Is::Word),
    null("namespace", Is::Word),
]);
const BASE64: &[Has] = &[has("b64", Is::Word)];
const OBJECT: Is = Is::Fields(&[has("name", Is::Word), has("uid", Is::Word)]);
const UNFINISHED: Is = Is::Each(&Is::Fields(&[
    has("run", Is::Uuid),
    has("intent", Is::Count),
    has("step", Is::Word),
]));
const FILE: Is = Is::Fields(&[
    has("op", Is::OneOf(&["write", "delete", "scratch"])),
    has("path", Is::Text),
    null("before", Is::Stream),
    null("after", Is::Stream),
]);
const TORN: Is = Is::Fields(&[has("bytes", Is::Count), has("sha256", Is::Hash)]);
const PREVIOUS: Is = Is::Fields(&[has("log", Is::Uuid), has("head", Is::Head)]);

/// What every record has.
const EVERY: &[Has] = &[
    has("v", Is::Count),
    has("seq", Is::Count),
    has("prev", Is::Hash),
    has("type", Is::Word),
    has("log", Is::Uuid),
    has("ts", Is::Time),
];

/// What an intent has where it is about a process, and lacks where it is about a file.
const PROCESS: &[&str] = &["argv", "exe", "cwd", "env", "stdin"];

/// What each type has besides.
const TYPES: &[(Kind, &[Has])] = &[
    (
        Kind::LogOpen,
        &[
            has("bypassctl", Is::Word),
            has("reserves", Is::Flag),
            null("previous", PREVIOUS),
        ],
    ),
    (
        Kind::RunBegin,
        &[
            has("run", Is::Uuid),
            has("argv", Is::Each(&Is::Text)),
            has("exe", EXE),
            has("cwd", Is::Text),
            has("who", WHO),
            has("pid", Is::Count),
            null("started", Is::Word),
            null("reason", Is::Word),
            has("command", Is::Word),
            has("dry_run", Is::Flag),
            null("policy", Is::Hash),
            has("unfinished", UNFINISHED),
        ],
    ),
    (
        Kind::Tool,
        &[
            has("run", Is::Uuid),
            has("name", Is::Word),
            has("path", Is::Text),
            null("sha256", Is::Hash),
            null("version", Is::Word),
            has("found", Is::Word),
        ],
    ),
    (
        Kind::Intent,
        &[
            has("run", Is::Uuid),
            has("step", Is::Word),
            has("effect", Is::OneOf(&["reads", "changes"])),
            has("who", WHO),
            has("target", TARGET),
            null("plan", Is::Hash),
            null("reason", Is::Word),
            may("argv", Is::Each(&Is::Text)),
            may("exe", EXE),
            may("cwd", Is::Text),
            may("env", Is::Env),
            may("stdin", Is::Stream),
            may("object", OBJECT),
            may("file", FILE),
        ],
    ),
    (
        Kind::Result,
        &[
            has("run", Is::Uuid),
            has("intent", Is::Count),
            null("exit", Is::Exit),
            has("ms", Is::Count),
            null("stdout", Is::Stream),
            null("stderr", Is::Stream),
            has("files", Is::Each(&FILE)),
            may("error", Is::Word),
        ],
    ),
    (
        Kind::RunEnd,
        &[
            has("run", Is::Uuid),
            has("command", Is::Word),
            has("dry_run", Is::Flag),
            has("code", Is::Count),
            has("outcome", Is::Word),
            has("changed", Is::Flag),
            has("target", TARGET),
        ],
    ),
    (Kind::LogRecover, &[has("torn", TORN)]),
    (
        Kind::LogRotate,
        &[
            has("who", WHO),
            null("reason", Is::Word),
            has("unfinished", UNFINISHED),
        ],
    ),
];

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    LogOpen,
    RunBegin,
    Tool,
    Intent,
    Result,
    RunEnd,
    LogRecover,
    LogRotate,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "log.open" => Self::LogOpen,
            "run.begin" => Self::RunBegin,
            "tool" => Self::Tool,
            "intent" => Self::Intent,
            "result" => Self::Result,
            "run.end" => Self::RunEnd,
            "log.recover" => Self::LogRecover,
            "log.rotate" => Self::LogRotate,
            _ => return None,
        })
    }

    fn fields(self) -> &'static [Has] {
        TYPES
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(&[], |(_, fields)| fields)
    }
}

/// SHA-256 from its 64 lower-case hexadecimal digits.
pub(super) fn digest(text: &str) -> Option<[u8; 32]> {
    let half = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    let digits: &[u8; 64] = text.as_bytes().try_into().ok()?;
    for (byte, digits) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = half(digits[0])? << 4 | half(digits[1])?;
    }
    Some(bytes)
}

/// What a verification follows from record to record.
#[derive(Default)]
pub(super) struct Shape {
    pub(super) version: u64,
    pub(super) seq: u64,
    pub(super) prev: Option<[u8; 32]>,
    pub(super) log: Option<Uuid>,
    /// `None` where the type is not known.
    pub(super) kind: Option<Kind>,
    pub(super) run: Option<Uuid>,
    pub(super) step: Option<String>,
    pub(super) intent: Option<u64>,
    pub(super) torn: Option<Torn>,
    pub(super) previous: Option<Previous>,
    /// What of its form is wrong.
    pub(super) wrong: Option<String>,
}

/// What makes a line a record.
#[derive(Deserialize)]
struct Base<'a> {
    v: u64,
    seq: u64,
    #[serde(borrow)]
    prev: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    log: Cow<'a, str>,
}

/// Whether all is printable ASCII, as far as JSON does not see to it: it takes DEL in text, and tabs and CR around it.
fn is_printable(line: &[u8]) -> bool {
    line.is_ascii() && memchr::memchr3(b'\t', b'\r', 0x7f, line).is_none()
}

/// Reads a line; `None` when it is no record: then nothing that it says can be trusted.
pub(super) fn shape(raw: &[u8]) -> Option<Shape> {
    let line = raw.strip_suffix(b"\n").filter(|line| is_printable(line))?;
    let line = std::str::from_utf8(line).ok()?;
    let read = |kind| {
        let mut input = serde_json::Deserializer::from_str(line);
        let shape = Whole(kind).deserialize(&mut input)?;
        input.end().map(|()| shape)
    };
    // Written by this program, a record tells its type before what depends on it.
    if let Ok(shape) = read(None) {
        return Some(shape);
    }
    let base: Base = serde_json::from_str(line).ok()?;
    let kind = Kind::named(&base.kind);
    let mut shape = Shape {
        version: base.v,
        seq: base.seq,
        prev: digest(&base.prev),
        log: Uuid::try_parse(&base.log).ok(),
        kind,
        ..Shape::default()
    };
    shape.wrong = Some(match kind {
        None => "its type is not known".to_owned(),
        Some(kind) => match read(Some(kind)) {
            Ok(shape) => return Some(shape),
            // Where it is in the line says little, and which line it is the caller knows.
            Err(error) => error
                .to_string()
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned(),
        },
    });
    Some(shape)
}
