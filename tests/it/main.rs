//! All integration tests in one binary: each binary would link the whole SDK.

mod against_moto;
mod cli;
mod convergence;
mod documents;
mod embedded_store;
mod foreign_files;
mod hardening;
mod journal_contract;
mod journal_form;
mod leaks;
mod moto_limits;
mod promises;
mod prose;
mod protocol_model;
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
mod write_ahead;
