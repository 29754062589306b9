//! The output for operators and for programs: tables, JSON documents, and writing them without a panic.

pub mod awaited;
pub mod backup_hints;
pub mod columns;
pub mod counted;
pub mod document;
pub mod entry_counts;
pub mod error_document;
pub mod given;
pub mod last_used;
pub mod look;
pub mod paragraph;
pub mod places;
pub mod plan_table;
pub mod printable;
pub mod progress;
pub mod requests;
pub mod rotation_table;
pub mod rule_shown;
pub mod schema;
pub mod second_keys;
pub mod story;
pub mod summary;
pub mod table;
pub mod terminal;
pub mod times;
pub mod unused_keys;
