//! A store under test, and the acts of other writers on it.

use std::sync::Arc;

use rotator::ports::secret_store::SecretStore;

/// A store under test. Entries by their names as rotator has them.
pub(super) trait Subject {
    /// An empty store of this kind, opened as rotator opens it; all below is about the last one.
    fn fresh(&self) -> Arc<dyn SecretStore>;

    /// As some other program writes an entry.
    fn put(&self, entry: &str, value: &[u8]);

    /// As a reader of the store's own kind gets it.
    fn get(&self, entry: &str) -> Option<Vec<u8>>;

    /// Returns the value that rotator reads from an entry with this text: the text, or a document that contains it.
    fn stored(&self, text: &str) -> Vec<u8> {
        text.as_bytes().to_vec()
    }

    /// As some other program removes an entry; whether that is a thing there.
    fn remove(&self, entry: &str) -> bool;

    /// Whether the entries of one `<app>/<environment>` are one thing: they have one version, and what is written to
    /// several of them is written together or not at all.
    fn shares_versions(&self) -> bool {
        false
    }

    /// Whether a batch is written as a whole or not at all.
    fn is_atomic(&self) -> bool {
        false
    }

    /// Returns a number of entries that needs several pages.
    fn many(&self) -> usize {
        250
    }

    /// The largest value that it takes, up to 64 KiB.
    fn largest(&self) -> usize {
        64 * 1024
    }

    /// Names that it can have and that are a trial.
    fn odd_names(&self) -> Vec<String> {
        ["caf\u{e9}/\u{1f511} live/MY KEY", "a.b/c-d/e_f", "a/b/c=d&e?f#g:h", "100%/'q'/\"x\""]
            .map(str::to_owned)
            .into()
    }

    /// Takes from rotator the right to read this entry; whether that can be done here.
    fn forbid_reading(&self, _entry: &str) -> bool {
        false
    }

    /// Takes from rotator the right to write this entry; whether that can be done here.
    fn forbid_writing(&self, _entry: &str) -> bool {
        false
    }

    /// Whether it can be asked beforehand which entries may be written.
    fn says_what_may_be_written(&self) -> bool {
        false
    }

    /// Gives all rights back.
    fn forbid_nothing(&self) {}

    /// Takes the whole store away.
    fn go(&self);
}
