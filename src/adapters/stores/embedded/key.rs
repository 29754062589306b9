//! The key that seals a store: 32 random bytes in a file of mode 0600 beside the store, or in the environment.

use std::fmt;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::error::{EmbeddedStoreError, KeyOrigin, LENGTH, MalformedKey};
use crate::adapters::private_file::{self, Draft, FileError, Others};

/// The maximum length of a key file, which has 44 characters and a line break.
const MOST: u64 = 1024;

pub struct StoreKey(Zeroizing<[u8; LENGTH]>);

impl StoreKey {
    /// Parses 32 bytes in base64; surrounding white space is ignored.
    ///
    /// # Errors
    /// [`MalformedKey`] if the text is anything else.
    pub fn from_base64(text: &str) -> Result<Self, MalformedKey> {
        let decoded = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| MalformedKey)?);
        let mut bytes = Zeroizing::new([0; LENGTH]);
        if decoded.len() != LENGTH {
            return Err(MalformedKey);
        }
        bytes.copy_from_slice(&decoded);
        Ok(Self(bytes))
    }

    pub(super) fn bytes(&self) -> &[u8; LENGTH] {
        &self.0
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreKey(…)")
    }
}

/// The key file of the store.
pub(super) fn file_of(store: &Path) -> PathBuf {
    private_file::with_suffix(store, ".key")
}

/// The key file of a rekey that has not ended, before it replaces [`file_of`].
fn next_of(store: &Path) -> PathBuf {
    private_file::with_suffix(store, ".key.next")
}

/// The key that an interrupted rekey left behind, if it exists.
pub(super) fn load_next(store: &Path) -> Result<Option<StoreKey>, EmbeddedStoreError> {
    load(&next_of(store))
}

/// Creates a new key beside the present one. An existing one was never used, since the present one opens the store.
pub(super) fn make_next(store: &Path) -> Result<StoreKey, EmbeddedStoreError> {
    let next = next_of(store);
    remove_file(&next)?;
    create(&next)?;
    load(&next)?.ok_or_else(|| FileError::io(&next, "open")(std::io::ErrorKind::NotFound.into()).into())
}

/// Renames the new key file to the key file.
pub(super) fn take_next(store: &Path) -> Result<(), EmbeddedStoreError> {
    let (next, file) = (next_of(store), file_of(store));
    match std::fs::rename(&next, &file) {
        Ok(()) => private_file::sync_folder(&file)?,
        // Another process has opened the store in the meantime and renamed the file.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(FileError::io(&file, "replace")(error).into()),
    }
    Ok(())
}

/// Removes the key file, if it exists.
pub(super) fn remove(store: &Path) -> Result<(), EmbeddedStoreError> {
    remove_file(&file_of(store))
}

fn remove_file(path: &Path) -> Result<(), EmbeddedStoreError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(private_file::sync_folder(path)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(FileError::io(path, "remove")(error).into()),
    }
}

/// Reads a key file; `None` if it does not exist.
pub(super) fn load(path: &Path) -> Result<Option<StoreKey>, EmbeddedStoreError> {
    let Some(file) = private_file::open(path, Others::MayDoNothing)? else { return Ok(None) };
    // The capacity is fixed, since growing would leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MOST as usize));
    let malformed =
        || EmbeddedStoreError::MalformedKey { origin: KeyOrigin::File(path.to_owned()), source: MalformedKey };
    match file.take(MOST).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Err(malformed()),
        Err(error) => return Err(FileError::io(path, "read")(error).into()),
    }
    StoreKey::from_base64(&text).map(Some).map_err(|_| malformed())
}

/// Creates a key file, unless another process has created it.
pub(super) fn create(path: &Path) -> Result<(), EmbeddedStoreError> {
    let mut bytes = Zeroizing::new([0; LENGTH]);
    getrandom::fill(&mut *bytes).map_err(|_| EmbeddedStoreError::NoRandomness)?;
    let mut text = Zeroizing::new(STANDARD.encode(*bytes));
    text.push('\n');
    let (draft, mut file) = Draft::beside(path)?;
    file.write_all(text.as_bytes()).map_err(FileError::io(path, "write"))?;
    draft.publish(path)?;
    Ok(())
}
