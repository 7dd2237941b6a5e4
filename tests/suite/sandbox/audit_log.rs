//! The sandbox's audit log.

use super::{CommandOutput, Sandbox};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// Returns the SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Splits a log into lines, each with its LF.
pub fn split_lines(log: &[u8]) -> Vec<&[u8]> {
    log.split_inclusive(|byte| *byte == b'\n').collect()
}

impl Sandbox {
    /// Returns the default path of the log.
    pub fn log_path(&self) -> PathBuf {
        self.home_path(".local/state/bypassctl/audit.jsonl")
    }

    /// Reads the log.
    pub fn read_log(&self) -> Vec<u8> {
        std::fs::read(self.log_path()).unwrap_or_default()
    }

    /// Reads the entries, without torn lines.
    pub fn read_entries(&self) -> Vec<Value> {
        split_lines(&self.read_log())
            .into_iter()
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Reads the entries of one type.
    pub fn read_entries_by_type(&self, kind: &str) -> Vec<Value> {
        self.read_entries()
            .into_iter()
            .filter(|entry| entry["type"] == kind)
            .collect()
    }

    /// Returns the steps of intents without a result.
    pub fn list_unfinished_steps(&self) -> Vec<String> {
        let ended: Vec<Value> = self
            .read_entries_by_type("result")
            .into_iter()
            .map(|result| result["intent"].clone())
            .collect();
        let intents = self
            .read_entries_by_type("intent")
            .into_iter()
            .filter(|intent| !ended.contains(&intent["seq"]));
        intents
            .map(|intent| intent["step"].as_str().expect("a step").to_owned())
            .collect()
    }

    /// Appends a run of this many bytes, as other runs do.
    pub fn append_long_run(&self, bytes: usize) {
        const PART: usize = 60 << 10;
        let log = self.read_log();
        let last = *split_lines(&log).last().expect("an entry");
        let mut prev = super::sha256_hex(last);
        let last: Value = serde_json::from_slice(last).expect("an entry");
        let mut seq = last["seq"].as_u64().expect("a number");
        let find = |kind: &str| {
            let mut entry = self.read_entries_by_type(kind).remove(0);
            entry["run"] = json!("00000000-0000-4000-8000-000000000001");
            (entry["log"], entry["ts"]) = (last["log"].clone(), last["ts"].clone());
            if kind != "tool" {
                // The end of an `enable` would end an unfinished revocation.
                entry["command"] = json!("status");
            }
            entry
        };
        let mut tool = find("tool");
        tool["found_at"] = json!("x".repeat(PART));
        let tools = std::iter::repeat_n(tool, bytes / PART + 1);
        let entries = std::iter::once(find("run.begin")).chain(tools);
        let mut added = String::new();
        for mut entry in entries.chain([find("run.end")]) {
            seq += 1;
            (entry["seq"], entry["prev"]) = (json!(seq), json!(prev));
            // The type precedes the other keys, as in every line that the program writes.
            let line = serde_json::to_string(&entry).expect("JSON") + "\n";
            prev = super::sha256_hex(line.as_bytes());
            added += &line;
        }
        let file = std::fs::OpenOptions::new()
            .append(true)
            .open(self.log_path());
        std::io::Write::write_all(&mut file.expect("a log"), added.as_bytes()).expect("sandbox");
    }

    /// Runs `audit verify` and asserts that the log is intact.
    pub fn assert_log_intact(&self) -> CommandOutput {
        let run = self.run(&["audit", "verify"]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        run
    }
}

impl CommandOutput {
    /// Returns the head that the run printed, `SEQ:HASH`.
    pub fn audit_head(&self) -> &str {
        let line = self
            .stderr
            .lines()
            .find(|line| line.starts_with("audit head "))
            .expect("an audit head");
        line.rsplit(' ').next().expect("SEQ:HASH")
    }
}
