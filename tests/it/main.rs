//! One binary for all integration tests: each would link the whole SDK.

mod support;

mod embedded_store;
mod journal_contract;
mod sqlite_journal;
