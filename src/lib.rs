//! `bypassctl`: InfluxDB Clustered's admin token in use and out of use, by the real kubectl and influxctl, every
//! command on record.
//!
//! Imports run downward only: `main -> app -> cli, exec, ui -> policy, audit -> procedure, plan -> tool,
//! profile -> secret`. What is named here is for the program and its tests; it is no stable interface.

pub mod app;
pub mod audit;
pub mod cli;
mod commands;
mod digest;
pub mod error;
pub mod exec;
mod host;
pub mod plan;
mod plan_file;
pub mod policy;
pub mod procedure;
pub mod profile;
mod redact;
pub mod secret;
mod session;
mod splice;
mod steps;
mod text;
pub mod tool;
pub mod ui;

#[cfg(test)]
mod schema {
    mod tests;
}
