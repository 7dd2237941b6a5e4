//! Runs commands and changes files. Only the [`Executor`] does either, and only after the audit log
//! holds a durable intent.

mod environment;
mod event;
mod executor;
mod export;
mod files;
mod find_tool;
mod interrupt;
mod lock;
mod pinning;
mod program;
mod run;
mod scratch;
mod spawn;
mod summary;
mod sync;
mod write_file;
mod writers;

pub use environment::{Environment, strip_credentials};
pub use executor::{Executor, RunSetup};
pub use export::ExportDirectory;
pub use files::{Snapshot, UnsafeDirectory, check_directory, find_stale_temp_file, read_file};
pub use find_tool::ResolvedTool;
pub use interrupt::Interrupts;
pub use lock::TargetLock;
pub use run::WatchResult;
pub use summary::append_summary;
pub use write_file::{FileAccess, FileWrite};
pub use writers::{Writer, find_writers};
