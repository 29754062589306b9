//! FLOOR 4: implementations of the ports. An adapter knows neither the engine nor another adapter; what several
//! adapters need (private files, SQLite, subprocesses, redaction) is beside them.

pub mod allowed;
pub mod aws;
mod bounds;
pub mod ownership;
mod private_file;
mod redact;
pub mod sinks;
mod sqlite;
pub mod sqlite_journal;
pub mod stores;
mod subprocess;
pub mod system_clock;

pub use private_file::FileError;
pub use redact::url::shown_url;
pub use sqlite::DatabaseError;
pub use subprocess::child::kill_every_program;
pub use subprocess::program::ExecProgram;
