//! FLOOR 3: the real world behind the ports. An adapter knows neither the drive nor another adapter; what several
//! need (private files, opening an SQLite file with care, asking a program) stands beside them.

pub mod allowed;
pub mod aws;
mod bounds;
mod child;
mod environment;
mod foreign;
pub mod ownership;
mod private_file;
mod program;
mod shown_url;
pub mod sinks;
mod sqlite;
pub mod sqlite_journal;
pub mod stores;
pub mod system_clock;

pub use child::kill_every_program;
pub use private_file::FileError;
pub use program::ExecProgram;
pub use shown_url::shown_url;
pub use sqlite::DatabaseError;
