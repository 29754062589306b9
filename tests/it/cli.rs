//! The real binary against the sandbox: what it prints, what it ends with, what it refuses.

mod accounts;
mod bench;
mod campaigns;
mod codes;
mod consent;
mod credentials;
mod environment;
mod evidence;
mod facts;
mod input;
mod interrupted;
mod journal;
mod late_copies;
mod left_as_is;
mod patterns;
mod proofs;
mod refusals;
mod renames;
mod rotating;
mod second_key;
mod sinks;
mod stores;
mod trust;
mod untouched;
mod words;
mod writable;
