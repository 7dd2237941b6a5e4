//! Runs commands and changes files. Only the [`Executor`] does either, and only after a durable
//! intent in the audit log.

mod applied_plan;
mod environment;
mod event;
mod executor;
mod export;
mod files;
mod find_tool;
mod interrupt;
mod limits;
mod lock;
mod pinning;
mod program;
mod run;
mod scratch;
mod spawn;
mod state_file;
mod summary;
mod sync;
mod write_file;
mod writers;

pub use environment::Environment;
pub(crate) use environment::strip_credentials;
pub(crate) use executor::{Executor, RunSetup};
pub(crate) use export::ExportDirectory;
pub(crate) use files::{Snapshot, check_directory, find_stale_temp_file, read_file};
pub(crate) use find_tool::ResolvedTool;
pub(crate) use interrupt::Interrupts;
pub use limits::disable_core_dumps;
pub(crate) use lock::TargetLock;
pub(crate) use run::WatchResult;
pub(crate) use summary::append_summary;
pub(crate) use sync::lock_mutex;
pub(crate) use write_file::{FileAccess, FileWrite};
pub(crate) use writers::{Writer, find_writers};
