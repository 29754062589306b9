//! The names everything else speaks in, each checked when it is made.
//!
//! No clock, no IO. What a name *means* (who owns an entry, which entry holds a key) is decided above.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use smol_str::SmolStr;
use uuid::Uuid;

/// Why a text is not the name it was meant to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {wanted}: {why}")]
pub struct InvalidName {
    text: String,
    wanted: &'static str,
    why: &'static str,
}

impl InvalidName {
    fn new(text: &str, wanted: &'static str, why: &'static str) -> Self {
        // A mistyped name may be a pasted secret: the error shows no more than a name's length of it, and nothing in the form
        // of a secret access key, which is 40 characters of base 64.
        let is_of_base64 = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/');
        let mut words = text.split(|letter| !is_of_base64(letter));
        let text = if text.chars().count() > 200 || words.any(|word| word.len() == 40) { "…" } else { text }.to_owned();
        Self { text, wanted, why }
    }
}

/// What other systems made up: anything that can be shown on a line.
fn is_some_text(text: &str, wanted: &'static str) -> Result<(), InvalidName> {
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(InvalidName::new(text, wanted, "it is empty or has a control character"));
    }
    Ok(())
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        #[serde(try_from = "SmolStr")]
        pub struct $name(SmolStr);

        impl $name {
            /// Checks `text` and makes the name.
            ///
            /// # Errors
            /// [`InvalidName`] says which rule the text breaks.
            pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidName> {
                SmolStr::new(text).try_into()
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<SmolStr> for $name {
            type Error = InvalidName;
            fn try_from(text: SmolStr) -> Result<Self, InvalidName> {
                let check: fn(&str) -> Result<(), InvalidName> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidName;
            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }
    };
}

checked_text!(
    /// An IAM user's unique id, as `GetCallerIdentity` tells it (`AIDA…`): it stays when the user is renamed, and a user that
    /// is deleted and made again under the same name has another one
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids>).
    UserId,
    |text| {
        const WHAT: &str = "a user's unique id";
        if text.is_empty() || text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(InvalidName::new(text, WHAT, "it is not 1 to 128 letters and digits"));
        }
        Ok(())
    }
);

checked_text!(
    /// An IAM user's name, without its path.
    ///
    /// IAM itself allows letters, digits and `_+=,.@-`, at most 64 characters
    /// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html>); look-alikes allow more, so
    /// only what no IAM could take is refused here, and IAM's answer decides the rest.
    UserName,
    |text| {
        const WHAT: &str = "a user name";
        if text.is_empty() {
            return Err(InvalidName::new(text, WHAT, "it is empty"));
        }
        if text.chars().any(char::is_control) {
            return Err(InvalidName::new(text, WHAT, "it has a control character"));
        }
        if text.len() > 512 {
            return Err(InvalidName::new(text, WHAT, "it is longer than 512 bytes"));
        }
        Ok(())
    }
);

checked_text!(
    /// The id of an access key: 16 to 128 letters, digits or underscores
    /// (<https://docs.aws.amazon.com/IAM/latest/APIReference/API_AccessKeyMetadata.html>). It need not begin with
    /// `AKIA`.
    AccessKeyId,
    |text| {
        const WHAT: &str = "an access key id";
        if !(16..=128).contains(&text.len()) {
            return Err(InvalidName::new(text, WHAT, "it is not 16 to 128 characters long"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(InvalidName::new(text, WHAT, "it has a character that is no letter, digit or underscore"));
        }
        Ok(())
    }
);

checked_text!(
    /// The twelve digits of an AWS account.
    AccountId,
    |text| {
        if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(());
        }
        Err(InvalidName::new(text, "an AWS account id", "it is not twelve digits"))
    }
);

checked_text!(
    /// The name of an entry in a store: `<app>/<environment>/<secret-name>`, three segments, none empty.
    EntryName,
    |text| {
        const WHAT: &str = "an entry name of the form <app>/<environment>/<secret-name>";
        if text.chars().any(char::is_control) {
            return Err(InvalidName::new(text, WHAT, "it has a control character"));
        }
        if text.len() > 1024 {
            return Err(InvalidName::new(text, WHAT, "it is longer than 1024 bytes"));
        }
        let segments: Vec<&str> = text.split('/').collect();
        if segments.len() != 3 {
            return Err(InvalidName::new(text, WHAT, "it does not have three segments"));
        }
        if segments.iter().any(|segment| segment.trim().is_empty()) {
            return Err(InvalidName::new(text, WHAT, "a segment is empty"));
        }
        Ok(())
    }
);

impl EntryName {
    /// `<app>`.
    #[must_use]
    pub fn app(&self) -> &str {
        self.segment(0)
    }

    /// `<environment>`.
    #[must_use]
    pub fn environment(&self) -> &str {
        self.segment(1)
    }

    /// `<secret-name>`.
    #[must_use]
    pub fn secret_name(&self) -> &str {
        self.segment(2)
    }

    /// `<app>/<environment>`.
    #[must_use]
    pub fn scope(&self) -> &str {
        &self.0[..self.0.len() - self.secret_name().len() - 1]
    }

    fn segment(&self, index: usize) -> &str {
        self.0.split('/').nth(index).unwrap_or_default()
    }
}

checked_text!(
    /// The store of an entry, for the operator and for the journal: the URI it was configured by.
    StoreName,
    |text| is_some_text(text, "a store's name")
);

checked_text!(
    /// Which sink is written, for the operator and for the journal: the name it was configured by.
    SinkName,
    |text| is_some_text(text, "a sink's name")
);

checked_text!(
    /// What a store says of itself that no other store says: two stores with the same name but another identity
    /// are different stores (another file put in the place of the first).
    StoreIdentity,
    |text| is_some_text(text, "a store's identity")
);

macro_rules! uuid_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// From a UUID that was made elsewhere (making one needs a clock and randomness).
            #[must_use]
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The UUID.
            #[must_use]
            pub const fn as_uuid(&self) -> &Uuid {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_name!(
    /// One rotation; a UUIDv7, so that ids sort by the time they were opened.
    RotationId
);
uuid_name!(
    /// One campaign; a UUIDv7.
    CampaignId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_has_three_segments() {
        let name = EntryName::new("app1/production/AWS_ACCESS_KEY_ID").expect("three segments");
        assert_eq!(
            (name.app(), name.environment(), name.secret_name(), name.scope()),
            ("app1", "production", "AWS_ACCESS_KEY_ID", "app1/production")
        );
        for bad in ["", "a", "a/b", "a/b/c/d", "a//c", "/b/c", "a/b/", "a/ /c", "a/b/c\n"] {
            assert!(EntryName::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_text_that_may_be_a_pasted_secret_is_not_echoed() {
        let secret = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE";
        for pasted in [secret.to_owned(), format!("id: {secret}"), "é".repeat(201)] {
            let said = EntryName::new(pasted.clone()).expect_err("no name").to_string();
            assert!(said.starts_with("\"…\" is not"), "{said}");
        }
        assert!(EntryName::new("app1/MY_SECRET").expect_err("no name").to_string().contains("app1/MY_SECRET"));
    }

    #[test]
    fn a_key_id_need_not_begin_with_akia() {
        assert!(AccessKeyId::new("PROD111111111EXAMPLE").is_ok());
        for bad in ["", "AKIA", "AKIA 00000000000000", "AKIA/0000000000000000"] {
            assert!(AccessKeyId::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_account_is_twelve_digits() {
        assert!(AccountId::new("123456789012").is_ok());
        assert!(AccountId::new("12345678901").is_err());
        assert!(AccountId::new("12345678901x").is_err());
    }

    #[test]
    fn a_long_text_is_not_echoed() {
        let error = AccessKeyId::new("x/".repeat(200)).expect_err("too long");
        assert!(!error.to_string().contains("x/x/"));
    }
}
