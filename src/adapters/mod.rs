//! FLOOR 3: the real world behind the ports. An adapter knows neither the drive nor another adapter; what several
//! need (private files, opening an SQLite file with care, asking a program) stands beside them.

pub mod allowed;
pub mod aws;
mod child;
mod environment;
pub mod ownership;
mod private_file;
mod program;
pub mod sinks;
mod sqlite;
mod shown_url;
pub mod sqlite_journal;
pub mod stores;
pub mod system_clock;

pub use private_file::FileError;
pub use program::ExecProgram;
pub use sqlite::DatabaseError;
pub use shown_url::shown_url;
