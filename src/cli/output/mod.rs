//! What people and programs read: the JSON document, tables, and writing them without ever panicking.

pub mod backup_hints;
pub mod document;
pub mod entry_counts;
pub mod progress;
pub mod summary;
pub mod table;
pub mod terminal;
