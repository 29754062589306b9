//! All integration tests in one binary: each binary would link the whole SDK.

mod against_moto;
mod budgets;
mod cli;
mod commands_in_documents;
mod convergence;
mod documents;
mod embedded_store;
mod foreign_files;
mod gathered_removals;
mod hardening;
mod journal_contract;
mod journal_form;
mod leaks;
mod links;
mod moto_limits;
mod promises;
mod prose;
mod protocol_model;
mod reasons;
mod removals;
mod reports;
mod sandbox_conformance;
mod sandbox_faults;
mod sim;
mod sqlite_journal;
mod storage_faults;
mod stores;
mod support;
mod tidy;
mod torture;
mod tutorial;
mod write_ahead;

/// Only the program has the allocator, and no test of its own: the unit tests of that file run here.
#[path = "../../src/zeroizing_alloc.rs"]
mod zeroizing_alloc;
