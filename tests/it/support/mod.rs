//! Helpers of several integration tests. This file has no tests.

pub(crate) mod allocations;
pub(crate) mod attacker;
pub(crate) mod aws;
pub(crate) mod bao;
pub(crate) mod echo;
pub(crate) mod faketime;
pub(crate) mod http;
#[cfg(feature = "kubernetes")]
pub(crate) mod kubernetes;
pub(crate) mod measured;
pub(crate) mod memory_journal;
pub(crate) mod moto;
pub(crate) mod orders;
pub(crate) mod other_process;
pub(crate) mod printed;
pub(crate) mod program;
pub(crate) mod proof;
pub(crate) mod root;
pub(crate) mod rotations;
pub(crate) mod sops;
