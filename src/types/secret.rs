//! What must never be seen: secret access keys and the stored values that hold them.
//!
//! Nothing here implements `Serialize` or `Clone`, `Debug` tells nothing, and all of it is overwritten when dropped.
//! A [`Fingerprint`] is what the journal may keep of a secret.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::name::{AccessKeyId, RotationId};

/// A secret access key.
pub struct SecretKey(Zeroizing<String>);

impl SecretKey {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself, for the store and for a signature, nothing else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A secret's fingerprint within one rotation; `None` where it has not the form that AWS gives a secret.
    ///
    /// The id is hashed in, so that equal fingerprints cannot be sought across rotations. A secret made by AWS is 40
    /// characters of base-64, 240 random bits: its hash gives nothing away. A secret that an operator may have typed is never
    /// hashed.
    #[must_use]
    pub fn fingerprint(&self, rotation: RotationId) -> Option<Fingerprint> {
        self.is_like_aws().then(|| {
            // On the heap and never moved: a hasher keeps what it has not yet worked in, and each move of it would leave
            // a copy of that on the stack.
            let mut hash = Box::new(Sha256::new());
            hash.update(b"rotator secret v1\0");
            hash.update(rotation.as_uuid().as_bytes());
            hash.update(self.expose().as_bytes());
            Fingerprint(base16ct::lower::encode_string(&hash.finalize_reset()))
        })
    }

    /// Whether it has the form that AWS gives a secret access key: 40 characters of base-64.
    #[must_use]
    pub fn is_like_aws(&self) -> bool {
        let text = self.expose();
        text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/')
    }

    /// Whether both are the same secret. Not in constant time: no other process chooses either side.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

/// SHA-256 over a rotation's id and its new secret, in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

/// A key that IAM has just made. IAM returns its secret only now.
#[derive(Debug)]
pub struct NewKey {
    /// Its id.
    pub id: AccessKeyId,
    /// Its secret.
    pub secret: SecretKey,
}

/// The bytes of a stored entry.
#[derive(PartialEq, Eq)]
pub struct SecretValue(Zeroizing<Vec<u8>>);

impl SecretValue {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes as text, where they are UTF-8.
    #[must_use]
    pub fn expose_text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// A second copy, made on purpose (there is no `Clone`).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self(Zeroizing::new(self.0.to_vec()))
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretValue(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(number: u128) -> RotationId {
        RotationId::from_uuid(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn debug_tells_nothing() {
        let key = NewKey {
            id: AccessKeyId::new("AKIAAAAAAAAAAAAAAAAA").expect("valid"),
            secret: SecretKey::new("hunter2hunter2".to_owned()),
        };
        assert!(!format!("{key:?}").contains("hunter2"));
        assert!(!format!("{:?}", SecretValue::new(b"hunter2".to_vec())).contains("hunter2"));
    }

    #[test]
    fn a_fingerprint_belongs_to_one_secret_in_one_rotation() {
        let secret = |letter: &str| SecretKey::new(letter.repeat(40));
        let (one, two) = (secret("1"), secret("2"));
        assert!(one.fingerprint(rotation(1)).is_some());
        assert_eq!(one.fingerprint(rotation(1)), secret("1").fingerprint(rotation(1)));
        assert_ne!(one.fingerprint(rotation(1)), two.fingerprint(rotation(1)));
        assert_ne!(one.fingerprint(rotation(1)), one.fingerprint(rotation(2)));
        assert_eq!(SecretKey::new("hunter2".to_owned()).fingerprint(rotation(1)), None);
    }

    #[test]
    fn a_secret_is_itself_and_has_the_form_of_awss_or_not() {
        let secret = |text: &str| SecretKey::new(text.to_owned());
        assert!(secret("a").is_same_as(&secret("a")) && !secret("a").is_same_as(&secret("b")));
        let base = "x".repeat(38);
        for (end, is_like) in [("+/", true), ("A9", true), ("=1", false), ("1", false), ("123", false)] {
            assert_eq!(secret(&format!("{base}{end}")).is_like_aws(), is_like, "{end}");
        }
        assert!(format!("{:?}", secret("a")).starts_with("SecretKey"));
    }

    #[test]
    fn a_value_is_its_bytes_and_text_where_it_is_text() {
        let value = SecretValue::new(b"text".to_vec());
        assert_eq!((value.expose(), value.expose_text()), (&b"text"[..], Some("text")));
        assert_eq!(SecretValue::new(vec![0xff]).expose_text(), None);
        assert!(format!("{value:?}").starts_with("SecretValue"));
    }
}
