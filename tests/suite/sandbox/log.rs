//! The record that bypassctl keeps in the sandbox.

use super::{Run, Sandbox};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// SHA-256 as lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The lines of a log, each with its LF.
pub fn lines(log: &[u8]) -> Vec<&[u8]> {
    log.split_inclusive(|byte| *byte == b'\n').collect()
}

impl Sandbox {
    /// Where the record is by default.
    pub fn log(&self) -> PathBuf {
        self.home(".local/state/bypassctl/audit.jsonl")
    }

    /// Its bytes.
    pub fn log_bytes(&self) -> Vec<u8> {
        std::fs::read(self.log()).unwrap_or_default()
    }

    /// Its records; torn lines are passed over.
    pub fn records(&self) -> Vec<Value> {
        lines(&self.log_bytes())
            .into_iter()
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect()
    }

    /// Those of one type.
    pub fn records_of(&self, kind: &str) -> Vec<Value> {
        self.records()
            .into_iter()
            .filter(|record| record["type"] == kind)
            .collect()
    }

    /// The intents that have no result, by step.
    pub fn open_steps(&self) -> Vec<String> {
        let ended: Vec<Value> = self
            .records_of("result")
            .into_iter()
            .map(|result| result["intent"].clone())
            .collect();
        let intents = self
            .records_of("intent")
            .into_iter()
            .filter(|intent| !ended.contains(&intent["seq"]));
        intents
            .map(|intent| intent["step"].as_str().expect("a step").to_owned())
            .collect()
    }

    /// Runs `audit verify` and fails the test if the record does not hold.
    pub fn assert_verified(&self) -> Run {
        let run = self.run(&["audit", "verify"]);
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        run
    }
}

impl Run {
    /// `SEQ:HASH` of the head that the run printed.
    pub fn head(&self) -> &str {
        let line = self
            .stderr
            .lines()
            .find(|line| line.starts_with("audit head "))
            .expect("an audit head");
        line.rsplit(' ').next().expect("SEQ:HASH")
    }
}
