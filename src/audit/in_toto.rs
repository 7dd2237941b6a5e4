//! Results as in-toto statements, and DSSE around them.
//!
//! Source: github.com/in-toto/attestation, `spec/v1/statement.md` and `spec/predicates/link.md` (v0.3);
//! github.com/secure-systems-lab/dsse, `protocol.md` (v1). No key is held here: signatures are made elsewhere.

use super::history::Record;
use super::record::{Body, Intent, Operation, ResultRecord, Text};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// One result, as a statement about its line in the log.
pub struct Statement {
    /// The result's sequence number.
    pub seq: u64,
    /// The statement's bytes.
    pub bytes: Vec<u8>,
}

impl Statement {
    /// What a signature is made of: DSSE's pre-authentication encoding.
    #[must_use]
    pub fn to_signing_input(&self) -> Vec<u8> {
        let head = format!(
            "DSSEv1 {} {PAYLOAD_TYPE} {} ",
            PAYLOAD_TYPE.len(),
            self.bytes.len()
        );
        [head.as_bytes(), &self.bytes].concat()
    }

    /// The envelope, with a signature that was made elsewhere.
    #[must_use]
    pub fn to_envelope(&self, keyid: &str, signature: &[u8]) -> Vec<u8> {
        let envelope = json!({
            "payloadType": PAYLOAD_TYPE,
            "payload": STANDARD.encode(&self.bytes),
            "signatures": [{ "keyid": keyid, "sig": STANDARD.encode(signature) }],
        });
        envelope.to_string().into_bytes()
    }
}

/// A statement for each result of a run, whose records are in their order. A command without a result has none: whether it happened is not known.
#[must_use]
pub fn build_statements(run: &str, records: &[Record]) -> Vec<Statement> {
    let result = |record: &Record| {
        let Body::Result(result) = &record.body else {
            return None;
        };
        let begun = &records[records
            .binary_search_by_key(&result.intent, |record| record.seq)
            .ok()?];
        let Body::Intent(intent) = &begun.body else {
            return None;
        };
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [build_record_descriptor(record)],
            "predicateType": "https://in-toto.io/attestation/link/v0.3",
            "predicate": {
                "name": intent.step,
                "command": build_command(&intent.operation),
                "materials": build_materials(begun, intent),
                "byproducts": build_byproducts(result),
                "environment": build_environment(run, begun, record, intent),
            },
        });
        Some(Statement {
            seq: record.seq,
            bytes: statement.to_string().into_bytes(),
        })
    };
    records.iter().filter_map(result).collect()
}

/// A record's raw line, by its digest. The name is the same whatever the file is called by then.
fn build_record_descriptor(record: &Record) -> Value {
    json!({ "name": format!("audit.jsonl#{}", record.seq), "digest": { "sha256": record.sha256 } })
}

/// Strings only: bytes that are no text are given as base64, and said to be.
fn format_text(text: &Text) -> String {
    match text {
        Text::Utf8(text) => text.clone(),
        Text::Bytes { b64 } => format!("base64:{b64}"),
    }
}

fn build_command(act: &Operation) -> Vec<String> {
    match act {
        Operation::Process { argv, .. } => argv.iter().map(format_text).collect(),
        Operation::File { .. } => Vec::new(),
    }
}

/// What it was made from: the intent on record, the executable, the plan.
fn build_materials(begun: &Record, intent: &Intent) -> Vec<Value> {
    let mut materials = vec![build_record_descriptor(begun)];
    if let Operation::Process { exe, .. } = &intent.operation
        && let Some(sha256) = &exe.sha256
    {
        materials.push(json!({ "name": format_text(&exe.path), "digest": { "sha256": sha256 } }));
    }
    if let Some(sha256) = &intent.plan {
        materials.push(json!({ "name": "plan", "digest": { "sha256": sha256 } }));
    }
    materials
}

fn build_byproducts(result: &ResultRecord) -> Value {
    let exit = result.exit.as_ref();
    json!({
        "return-value": exit.and_then(|exit| exit.code),
        "signal": exit.and_then(|exit| exit.signal),
        "stdout": result.stdout,
        "stderr": result.stderr,
        "files": result.files,
        "error": result.error,
        "duration_ms": result.duration_ms,
    })
}

fn build_environment(run: &str, begun: &Record, ended: &Record, intent: &Intent) -> Value {
    let (env, cwd) = match &intent.operation {
        Operation::Process { env, cwd, .. } => (Some(env), Some(cwd)),
        Operation::File { .. } => (None, None),
    };
    json!({
        "variables": env,
        "cwd": cwd,
        "actor": intent.actor,
        "target": intent.target,
        "reason": intent.reason,
        "log": begun.log,
        "run": run,
        "started_at": begun.ts,
        "ended_at": ended.ts,
    })
}
