//! The output for operators and for programs: tables, JSON documents, and writing them without a panic.

pub mod backup_hints;
pub mod document;
pub mod entry_counts;
pub mod progress;
pub mod summary;
pub mod table;
pub mod terminal;
