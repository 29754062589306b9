//! Several realistic entries, drawn from libFuzzer's bytes by the generator that the tests use.

#![no_main]

#[path = "../../tests/it/documents/check.rs"]
mod check;
#[path = "../../tests/it/documents/tape.rs"]
mod tape;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::check(&tape::Tape::new(bytes).entries());
});
