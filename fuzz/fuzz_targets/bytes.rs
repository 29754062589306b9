//! libFuzzer's own bytes as the value of one entry; the first says which name it has.

#![no_main]

#[path = "../../tests/it/documents/check.rs"]
mod check;

use rotator::discovery::StoredEntry;
use rotator::types::name::{EntryName, StoreName};
use rotator::types::secret::SecretValue;

const NAMES: [&str; 4] = ["a/b/document", "a/b/AWS_SECRET_ACCESS_KEY", "a/b/AWS_ACCESS_KEY_ID", "a/b/s3_secret_key_2"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, value)) = bytes.split_first() else { return };
    let name = EntryName::new(NAMES[usize::from(*first) % NAMES.len()]).expect("valid");
    let store = StoreName::new("sqlite:x").expect("valid");
    check::check(&[StoredEntry { store, name, value: SecretValue::new(value.to_vec()) }]);
});
