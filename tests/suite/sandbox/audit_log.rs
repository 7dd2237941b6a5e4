//! The sandbox's audit log.

use super::{CommandOutput, Sandbox};
use serde_json::Value;
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
