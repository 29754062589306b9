//! The real binary against the sandbox: what it prints, what it ends with, what it refuses.

mod accounts;
mod bench;
mod campaigns;
mod input;
mod interrupted;
mod proofs;
mod rotating;
mod sinks;
mod stores;
mod words;
mod writable;
