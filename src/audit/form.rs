//! The form of a record: which fields each type has, of which kind, as data; and the check of a line against it, which
//! keeps nothing of what the line says but what a verification follows.

mod check;
#[cfg(test)]
mod tests;

use super::record::{PreviousLog, TornBytes};
use crate::digest::Digest;
use check::RecordSeed;
pub use check::check_strict_json;
use serde::Deserialize;
use serde::de::DeserializeSeed as _;
use std::borrow::Cow;
use uuid::Uuid;

/// What a value is.
enum FieldType {
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
    ListOf(&'static FieldType),
    /// An object whose values are texts.
    Env,
    /// An object.
    Fields(&'static [Field]),
    /// What may be said of bytes: how many and their digest, or that it is withheld.
    Stream,
    /// An exit code or a signal, the other null.
    Exit,
}

impl FieldType {
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
            Self::ListOf(_) => "a list",
            Self::Stream => "`bytes` and `sha256`, or `withheld`",
            Self::Exit => "`code` or `signal`, the other null",
            Self::Env | Self::Fields(_) => "an object",
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Word | Self::Text => true,
            Self::Hash => Digest::from_hex(text).is_some(),
            Self::Uuid => Uuid::try_parse(text).is_ok(),
            Self::Time => text.parse::<jiff::Timestamp>().is_ok(),
            Self::Head => text.split_once(':').is_some_and(|(seq, hash)| {
                seq.parse::<u64>().is_ok() && Digest::from_hex(hash).is_some()
            }),
            Self::OneOf(words) => words.contains(&text),
            _ => false,
        }
    }
}

/// A field.
struct Field {
    name: &'static str,
    field_type: FieldType,
    presence: Presence,
}

/// Whether a field must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    /// With a value.
    Required,
    /// With a value or null.
    Nullable,
    /// It may be missing.
    Optional,
}

const fn required(name: &'static str, is: FieldType) -> Field {
    Field {
        name,
        field_type: is,
        presence: Presence::Required,
    }
}

const fn nullable(name: &'static str, is: FieldType) -> Field {
    Field {
        name,
        field_type: is,
        presence: Presence::Nullable,
    }
}

const fn optional(name: &'static str, is: FieldType) -> Field {
    Field {
        name,
        field_type: is,
        presence: Presence::Optional,
    }
}

const EXE: FieldType = FieldType::Fields(&[
    required("path", FieldType::Text),
    nullable("sha256", FieldType::Hash),
    nullable("version", FieldType::Word),
]);
const ACTOR: FieldType = FieldType::Fields(&[
    required("uid", FieldType::Count),
    nullable("user", FieldType::Word),
    nullable("login_uid", FieldType::Count),
    nullable("sudo_user", FieldType::Word),
    required("host", FieldType::Word),
    nullable("tty", FieldType::Word),
    nullable("ci", FieldType::Word),
]);
const TARGET: FieldType = FieldType::Fields(&[
    nullable("context", FieldType::Word),
    nullable("server", FieldType::Word),
    nullable("cluster_uid", FieldType::Word),
    nullable("namespace", FieldType::Word),
]);
const BASE64: &[Field] = &[required("b64", FieldType::Word)];
const OBJECT: FieldType = FieldType::Fields(&[
    required("kind", FieldType::OneOf(&["Secret", "Job"])),
    required("name", FieldType::Word),
    required("uid", FieldType::Word),
]);
const UNFINISHED: FieldType = FieldType::ListOf(&FieldType::Fields(&[
    required("run", FieldType::Uuid),
    required("intent", FieldType::Count),
    required("step", FieldType::Word),
]));
const FILE: FieldType = FieldType::Fields(&[
    required("op", FieldType::OneOf(&["write", "delete", "temp-dir"])),
    required("path", FieldType::Text),
    nullable("before", FieldType::Stream),
    nullable("after", FieldType::Stream),
]);
const TORN: FieldType = FieldType::Fields(&[
    required("bytes", FieldType::Count),
    required("sha256", FieldType::Hash),
]);
const PREVIOUS: FieldType = FieldType::Fields(&[
    required("log", FieldType::Uuid),
    required("head", FieldType::Head),
]);

/// What every record has.
const COMMON_FIELDS: &[Field] = &[
    required("v", FieldType::Count),
    required("seq", FieldType::Count),
    required("prev", FieldType::Hash),
    required("type", FieldType::Word),
    required("log", FieldType::Uuid),
    required("ts", FieldType::Time),
];

/// What an intent has where it is about a process, and lacks where it is about a file.
const PROCESS_FIELDS: &[&str] = &["argv", "exe", "cwd", "env", "stdin"];

/// What each type has besides.
const RECORD_FIELDS: &[(RecordType, &[Field])] = &[
    (
        RecordType::LogOpen,
        &[
            required("bypassctl", FieldType::Word),
            required("preallocates", FieldType::Flag),
            nullable("previous", PREVIOUS),
        ],
    ),
    (
        RecordType::RunBegin,
        &[
            required("run", FieldType::Uuid),
            required("argv", FieldType::ListOf(&FieldType::Text)),
            required("exe", EXE),
            required("cwd", FieldType::Text),
            required("actor", ACTOR),
            required("pid", FieldType::Count),
            nullable("process_start", FieldType::Word),
            nullable("reason", FieldType::Word),
            required("command", FieldType::Word),
            required("dry_run", FieldType::Flag),
            nullable("policy", FieldType::Hash),
            required("unfinished", UNFINISHED),
        ],
    ),
    (
        RecordType::Tool,
        &[
            required("run", FieldType::Uuid),
            required("name", FieldType::Word),
            required("path", FieldType::Text),
            nullable("sha256", FieldType::Hash),
            nullable("version", FieldType::Word),
            required("found_at", FieldType::Word),
        ],
    ),
    (
        RecordType::Intent,
        &[
            required("run", FieldType::Uuid),
            required("step", FieldType::Word),
            required("effect", FieldType::OneOf(&["reads", "changes"])),
            required("actor", ACTOR),
            required("target", TARGET),
            nullable("plan", FieldType::Hash),
            nullable("reason", FieldType::Word),
            optional("argv", FieldType::ListOf(&FieldType::Text)),
            optional("exe", EXE),
            optional("cwd", FieldType::Text),
            optional("env", FieldType::Env),
            optional("stdin", FieldType::Stream),
            optional("object", OBJECT),
            optional("file", FILE),
        ],
    ),
    (
        RecordType::Result,
        &[
            required("run", FieldType::Uuid),
            required("intent", FieldType::Count),
            nullable("exit", FieldType::Exit),
            required("duration_ms", FieldType::Count),
            nullable("stdout", FieldType::Stream),
            nullable("stderr", FieldType::Stream),
            required("files", FieldType::ListOf(&FILE)),
            optional("error", FieldType::Word),
        ],
    ),
    (
        RecordType::RunEnd,
        &[
            required("run", FieldType::Uuid),
            required("command", FieldType::Word),
            required("dry_run", FieldType::Flag),
            required("exit_code", FieldType::Count),
            required("outcome", FieldType::Word),
            required("changed", FieldType::Flag),
            required("target", TARGET),
        ],
    ),
    (RecordType::LogRecover, &[required("torn", TORN)]),
    (
        RecordType::LogRotate,
        &[
            required("actor", ACTOR),
            nullable("reason", FieldType::Word),
            required("unfinished", UNFINISHED),
        ],
    ),
];

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordType {
    LogOpen,
    RunBegin,
    Tool,
    Intent,
    Result,
    RunEnd,
    LogRecover,
    LogRotate,
}

impl RecordType {
    fn from_name(name: &str) -> Option<Self> {
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

    fn fields(self) -> &'static [Field] {
        RECORD_FIELDS
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or(&[], |(_, fields)| fields)
    }
}

/// What a verification follows from record to record.
#[derive(Default)]
pub(super) struct ParsedLine {
    pub(super) version: u64,
    pub(super) seq: u64,
    pub(super) prev: Option<Digest>,
    pub(super) log: Option<Uuid>,
    /// `None` where the type is not known.
    pub(super) kind: Option<RecordType>,
    pub(super) run: Option<Uuid>,
    pub(super) step: Option<String>,
    pub(super) intent: Option<u64>,
    pub(super) torn: Option<TornBytes>,
    pub(super) previous: Option<PreviousLog>,
    /// What of its form is wrong.
    pub(super) format_error: Option<String>,
}

/// What makes a line a record.
#[derive(Deserialize)]
struct BaseFields<'a> {
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
pub(super) fn parse_line(raw: &[u8]) -> Option<ParsedLine> {
    let line = raw.strip_suffix(b"\n").filter(|line| is_printable(line))?;
    let line = std::str::from_utf8(line).ok()?;
    let read = |kind| {
        let mut input = serde_json::Deserializer::from_str(line);
        let shape = RecordSeed(kind).deserialize(&mut input)?;
        input.end().map(|()| shape)
    };
    // Written by this program, a record tells its type before what depends on it.
    if let Ok(shape) = read(None) {
        return Some(shape);
    }
    let base: BaseFields = serde_json::from_str(line).ok()?;
    let kind = RecordType::from_name(&base.kind);
    let mut shape = ParsedLine {
        version: base.v,
        seq: base.seq,
        prev: Digest::from_hex(&base.prev),
        log: Uuid::try_parse(&base.log).ok(),
        kind,
        ..ParsedLine::default()
    };
    shape.format_error = Some(match kind {
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
