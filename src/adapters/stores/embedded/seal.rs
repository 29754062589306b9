//! Sealing with XChaCha20-Poly1305 under the key of the store. Each value has a random nonce of 192 bits and is bound
//! to the store, the entry and the version, so a sealed value that is moved does not open.

use chacha20poly1305::aead::{Aead, AeadInOut, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

use super::key::StoreKey;
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// The length of a nonce in bytes.
const NONCE: usize = 24;
/// The content of the key check of a store that records the last versions.
const HAS_VERSIONS: &[u8] = b"versions";

/// Why a value was not sealed or does not open; the exact reason cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SealError;

/// Seals and opens the values of one store.
pub(super) struct Sealer {
    cipher: XChaCha20Poly1305,
    identity: StoreIdentity,
}

impl Sealer {
    pub(super) fn new(key: &StoreKey, identity: StoreIdentity) -> Self {
        Self { cipher: XChaCha20Poly1305::new(key.bytes().into()), identity }
    }

    pub(super) const fn identity(&self) -> &StoreIdentity {
        &self.identity
    }

    /// The associated data of a value. The name is the last part, so that nothing after it can be taken for a part of
    /// it.
    fn bound_to(&self, name: &str, version: i64) -> Vec<u8> {
        let mut bound = b"rotator store v1\0".to_vec();
        bound.extend_from_slice(self.identity.as_str().as_bytes());
        bound.push(0);
        bound.extend_from_slice(&version.to_be_bytes());
        bound.extend_from_slice(name.as_bytes());
        bound
    }

    /// The nonce, the ciphertext and the tag.
    pub(super) fn seal(&self, name: &str, version: i64, value: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce).map_err(|_| SealError)?;
        let payload = Payload { msg: value, aad: &self.bound_to(name, version) };
        let ciphertext = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SealError)?;
        Ok([nonce.as_slice(), &ciphertext].concat())
    }

    pub(super) fn open(&self, name: &str, version: i64, sealed: &[u8]) -> Result<SecretValue, SealError> {
        self.open_in_place(name, version, sealed.to_vec())
    }

    /// Opens a sealed value in its own memory: a scan opens a whole store, which would need the memory twice.
    pub(super) fn open_in_place(
        &self,
        name: &str,
        version: i64,
        mut sealed: Vec<u8>,
    ) -> Result<SecretValue, SealError> {
        let nonce = XNonce::from(*sealed.first_chunk::<NONCE>().ok_or(SealError)?);
        sealed.drain(..NONCE);
        let opened = self.cipher.decrypt_in_place(&nonce, &self.bound_to(name, version), &mut sealed);
        opened.map(|()| SecretValue::new(sealed)).map_err(|_| SealError)
    }

    /// A sealed value that only the right key opens, with a name that no entry can have. It records whether the store
    /// has the last versions, so that their loss is noticed.
    pub(super) fn key_check(&self, has_versions: bool) -> Result<Vec<u8>, SealError> {
        self.seal("", 0, if has_versions { HAS_VERSIONS } else { b"" })
    }

    /// The content of the key check, if this is its key.
    pub(super) fn checked(&self, key_check: &[u8]) -> Option<bool> {
        self.open("", 0, key_check).ok().map(|check| check.expose() == HAS_VERSIONS)
    }
}
