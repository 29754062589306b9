//! What people and programs read: the JSON document, tables, and writing them without ever panicking.

pub mod document;
pub mod table;
pub mod terminal;
