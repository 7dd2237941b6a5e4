//! Enables, disables and revokes the admin token of InfluxDB Clustered with the real kubectl and
//! influxctl. An audit log records every command.
//!
//! Imports run downward only: `main -> app -> cli, exec, ui -> policy, audit -> procedure, plan ->
//! tool, profile -> secret`. The public items serve the program and its tests. They are no stable
//! interface.

pub mod app;
pub mod audit;
pub mod cli;
mod commands;
mod digest;
pub mod error;
pub mod exec;
mod host;
mod plan;
mod plan_file;
pub mod policy;
mod procedure;
mod profile;
mod redact;
mod secret;
mod session;
mod splice;
mod steps;
mod text;
mod tool;
mod ui;

#[cfg(test)]
mod schema {
    mod tests;
}
