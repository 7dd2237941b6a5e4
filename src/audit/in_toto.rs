//! Results as in-toto statements, and their DSSE envelopes.
//!
//! Sources: `spec/v1/statement.md` and `spec/predicates/link.md` (v0.3) in
//! github.com/in-toto/attestation, and `protocol.md` (v1) in github.com/secure-systems-lab/dsse.
//! The program has no key. The site signs by its own means.

use super::body::{ActionResult, Body, Intent, Operation, Text};
use super::history::RunEntry;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// A statement about the line of one result.
pub struct Statement {
    /// Sequence number of the result.
    pub seq: u64,
    pub bytes: Vec<u8>,
}

impl Statement {
    /// Returns the bytes to sign: the pre-authentication encoding of DSSE.
    #[must_use]
    pub fn to_signing_input(&self) -> Vec<u8> {
        let head = format!(
            "DSSEv1 {} {PAYLOAD_TYPE} {} ",
            PAYLOAD_TYPE.len(),
            self.bytes.len()
        );
        [head.as_bytes(), &self.bytes].concat()
    }

    /// Returns the DSSE envelope with a signature.
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

/// Builds a statement for each result of a run. The entries are in the order of the log.
#[must_use]
pub fn build_statements(run: &str, entries: &[RunEntry]) -> Vec<Statement> {
    let result = |entry: &RunEntry| {
        let Body::Result(result) = &entry.body else {
            return None;
        };
        let intent_entry = &entries[entries
            .binary_search_by_key(&result.intent, |entry| entry.seq)
            .ok()?];
        let Body::Intent(intent) = &intent_entry.body else {
            return None;
        };
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [build_entry_descriptor(entry)],
            "predicateType": "https://in-toto.io/attestation/link/v0.3",
            "predicate": {
                "name": intent.step,
                "command": build_command(&intent.operation),
                "materials": build_materials(intent_entry, intent),
                "byproducts": build_byproducts(result),
                "environment": build_environment(run, intent_entry, entry, intent),
            },
        });
        Some(Statement {
            seq: entry.seq,
            bytes: statement.to_string().into_bytes(),
        })
    };
    entries.iter().filter_map(result).collect()
}

/// Names the raw line of an entry by its digest. A rotation does not change the name.
fn build_entry_descriptor(entry: &RunEntry) -> Value {
    json!({ "name": format!("audit.jsonl#{}", entry.seq), "digest": { "sha256": entry.sha256 } })
}

/// Formats text as a string. Text that is not UTF-8 becomes `base64:…`.
fn format_text(text: &Text) -> String {
    match text {
        Text::Utf8(text) => text.clone(),
        Text::Bytes { b64 } => format!("base64:{b64}"),
    }
}

fn build_command(operation: &Operation) -> Vec<String> {
    match operation {
        Operation::Process { argv, .. } => argv.iter().map(format_text).collect(),
        Operation::File { .. } => Vec::new(),
    }
}

/// Lists the materials: the intent, the executable and the plan.
fn build_materials(intent_entry: &RunEntry, intent: &Intent) -> Vec<Value> {
    let mut materials = vec![build_entry_descriptor(intent_entry)];
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

fn build_byproducts(result: &ActionResult) -> Value {
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

fn build_environment(
    run: &str,
    intent_entry: &RunEntry,
    result_entry: &RunEntry,
    intent: &Intent,
) -> Value {
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
        "log": intent_entry.log,
        "run": run,
        "started_at": intent_entry.ts,
        "ended_at": result_entry.ts,
    })
}
