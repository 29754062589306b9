//! Peers that quote their requests and responses, in every encoding and every call: adapters show none of the quoted
//! text. Each test checks that its peer did quote the secrets.

mod aws;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod programs;
mod vault;

use std::sync::Arc;

use rotator::journal::write_ahead::Attempt;
use rotator::ports::call::CallError;
use rotator::ports::secret_store::{Reading, SecretStore, Version, Write};
use rotator::types::name::EntryName;
use rotator::types::secret::SecretValue;

use super::forms::Secrets;
use crate::support::orders;

/// The secret that rotator writes.
const NEW: &str = "nvVYkMZ+c0Zr5cI/3pQWmYq8tLzXgE7hA1sDfJ2B";
/// The secret in another entry of the same store.
const NEIGHBOUR: &str = "q7f9/dN+Zt3XcVb1Lm0PoIu8YtRe5WqAs2DfGh4J";
/// The token of rotator.
const TOKEN: &str = "hvs.Zk3vQ8mT1xLr7PwYcU0eNbJ5sHgD2aFi9oKE4R";
/// The placeholder for a peer that quotes.
const WITHHELD: &str = "the server quoted a secret; see its log";

/// The messages of an adapter about a peer that quotes.
#[derive(Default)]
struct Reported(Vec<String>);

impl Reported {
    fn keep<T>(&mut self, result: Result<T, CallError>) {
        self.0.extend(result.err().map(|error| error.message));
    }

    fn keep_readings<N>(&mut self, result: Result<Vec<(N, Reading)>, CallError>) {
        match result {
            Ok(read) => self.0.extend(read.into_iter().filter_map(|(_, reading)| match reading {
                Reading::Unreadable(why) => Some(why),
                Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_) | Reading::Missing => None,
            })),
            Err(error) => self.0.push(error.message),
        }
    }

    async fn keep_reads(&mut self, store: &Arc<dyn SecretStore>, entries: &[&str]) {
        let entries: Vec<EntryName> = entries.iter().map(|entry| EntryName::new(*entry).expect("valid")).collect();
        let read = store.read(&entries).await;
        self.keep_readings(read.map(|read| read.into_iter().map(|reading| ((), reading)).collect()));
    }

    async fn keep_write(&mut self, store: &Arc<dyn SecretStore>, entry: &str, version: &str, value: &str) {
        let write = Write {
            entry: EntryName::new(entry).expect("valid"),
            replaces: Version(version.to_owned()),
            value: SecretValue::new(value.as_bytes().to_vec()),
        };
        match orders::store_new(store.as_ref(), store.name(), vec![write]).await {
            Attempt::Refused(refusal) => self.0.push(refusal.message),
            Attempt::Unknown(why) => self.0.push(why),
            Attempt::Done(_) => panic!("the peer refuses"),
        }
    }

    /// The peer has `said` secrets; of what the adapter tells, at least `least` messages withhold them, and no message
    /// quotes one.
    fn conclude(self, secrets: &[&str], said: &[String], what: &str, least: usize) {
        let sought = Secrets::new(secrets.iter().map(|secret| (format!("{what}: {secret}"), *secret)));
        let quoted = said.iter().any(|said| !sought.found_in(said.as_bytes()).is_empty());
        assert!(quoted, "{what}: the peer quotes nothing: {said:?}");
        for message in &self.0 {
            assert_eq!(sought.found_in(message.as_bytes()), Vec::new(), "{what}: {message}");
        }
        let withheld = self.0.iter().filter(|message| message.contains(WITHHELD)).count();
        assert!(withheld >= least, "{what}: only {withheld} of {least} messages withhold anything: {:#?}", self.0);
    }
}

/// A document with a pair in it, beside another secret.
fn document(secret: &str) -> String {
    serde_json::json!({
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": secret, "password": NEIGHBOUR,
    })
    .to_string()
}

/// A secret that is planted in words is found in every encoding that the peers use.
#[test]
fn a_planted_echo_is_found() {
    let sought = Secrets::new([("it".to_owned(), NEW)]);
    for encoding in crate::support::echo::ENCODINGS {
        let words = format!("Vault did not write it: {}", encoding.of(&document(NEW)));
        assert!(!sought.found_in(words.as_bytes()).is_empty(), "{encoding:?}");
    }
}
