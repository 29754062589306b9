//! What was seen and is not offered for rotation, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::limits::{LARGEST_DOCUMENT, MOST_PAIRS};
use super::skip_reason::SkipReason;
use crate::types::name::{AccessKeyId, StoreName};
use crate::types::place::FieldRef;

/// Something that looks like a key, or half of one, and is left as it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LeftAlone {
    /// The id, where there is one; none where the text under an id's name is no id (it may be anybody's secret).
    pub key_id: Option<AccessKeyId>,
    /// Where it was seen.
    pub places: Vec<(StoreName, FieldRef)>,
    /// Why it is skipped.
    #[serde(flatten)]
    pub why: WhyLeftAlone,
}

/// Why something that looks like a key is not offered for rotation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "kebab-case")]
pub enum WhyLeftAlone {
    /// A temporary key: `ASIA`, or an id with a session token beside it. It expires and is never rotated.
    TemporaryKey,
    /// No secret was found that belongs to the id.
    IdWithoutSecret,
    /// No id was found that belongs to the secret.
    SecretWithoutId,
    /// The same id has two different secrets beside it: one of the copies is broken.
    TwoSecrets,
    /// Which id belongs to which secret is unclear.
    Ambiguous {
        /// In which way.
        ambiguity: Ambiguity,
    },
    /// An id from AWS's documentation.
    DocumentationExample,
    /// A name says that its value is an access key id, and the value has another form.
    NotAKeyId,
    /// A name says that its value is a secret access key, and the value is something else.
    NotASecret {
        /// What it is instead.
        instead: Instead,
    },
    /// The value is not UTF-8.
    NotUtf8,
    /// A text contains the id in a form that rotator cannot splice: prose, a comment, a wrapped copy.
    UnsupportedForm {
        /// The line of the id, from 1, if the text has several lines and contains the id unencoded.
        line: Option<usize>,
        /// In the text at this place of a document, which holds more than the id.
        within: Option<String>,
    },
    /// The value has more pairs than the limit ([`super::MOST_PAIRS`]), or more halves of pairs. It is searched, and
    /// holds back the keys that it names.
    TooManyPairs,
    /// The value is larger than what is taken apart ([`super::LARGEST_DOCUMENT`]). It is searched.
    TooLarge,
    /// The entry's name contains the id.
    InName,
    /// The splice was tried and failed.
    CannotBeSpliced {
        /// What failed, for the operator; no stored text.
        why: String,
    },
}

/// The kind of text that was found instead of a secret access key. Never the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Instead {
    /// An empty text.
    Nothing,
    /// A reference to a secret that is kept elsewhere, or a secret that something else has encrypted.
    Reference,
    /// A placeholder, or an example from documentation.
    Placeholder,
    /// A password for SES, which is derived from a secret access key.
    Derived,
    /// A text of another form.
    OtherForm,
}

/// Why it is unclear which id belongs to which secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ambiguity {
    /// A group has several ids or several secrets, and nothing shows which belong together.
    Several {
        /// How many ids.
        ids: usize,
        /// How many possible secrets.
        secrets: usize,
    },
    /// The same variable or JSON key is there twice: which of the two a reader takes depends on the reader.
    DefinedTwice,
    /// One id and one secret, whose names say that they do not belong together.
    NamesDisagree,
    /// Two entries that could be a pair, but neither name says so.
    UnrelatedNames,
}

impl LeftAlone {
    /// Whether this may be a whole key that rotator cannot rotate only because of its form: an operator has to rotate
    /// it once IAM confirms that it is due. Half a pair, an example and a temporary key are not.
    #[must_use]
    pub const fn may_be_a_key_in_use(&self) -> bool {
        let stands_whole = match &self.why {
            WhyLeftAlone::TwoSecrets
            | WhyLeftAlone::Ambiguous { .. }
            | WhyLeftAlone::NotUtf8
            | WhyLeftAlone::TooManyPairs
            | WhyLeftAlone::TooLarge
            | WhyLeftAlone::UnsupportedForm { .. }
            | WhyLeftAlone::CannotBeSpliced { .. } => true,
            WhyLeftAlone::TemporaryKey
            | WhyLeftAlone::IdWithoutSecret
            | WhyLeftAlone::SecretWithoutId
            | WhyLeftAlone::DocumentationExample
            | WhyLeftAlone::NotAKeyId
            | WhyLeftAlone::InName
            | WhyLeftAlone::NotASecret { .. } => false,
        };
        stands_whole && self.key_id.is_some()
    }
}

impl WhyLeftAlone {
    /// Returns the reason without its details.
    #[must_use]
    pub const fn reason(&self) -> SkipReason {
        match self {
            Self::TemporaryKey => SkipReason::TemporaryKey,
            Self::IdWithoutSecret => SkipReason::IdWithoutSecret,
            Self::SecretWithoutId => SkipReason::SecretWithoutId,
            Self::TwoSecrets => SkipReason::TwoSecrets,
            Self::Ambiguous { .. } => SkipReason::Ambiguous,
            Self::DocumentationExample => SkipReason::DocumentationExample,
            Self::NotAKeyId => SkipReason::NotAKeyId,
            Self::NotASecret { .. } => SkipReason::NotASecret,
            Self::NotUtf8 => SkipReason::NotUtf8,
            Self::UnsupportedForm { .. } => SkipReason::UnsupportedForm,
            Self::TooManyPairs => SkipReason::TooManyPairs,
            Self::TooLarge => SkipReason::TooLarge,
            Self::InName => SkipReason::InName,
            Self::CannotBeSpliced { .. } => SkipReason::CannotBeSpliced,
        }
    }
}

impl fmt::Display for WhyLeftAlone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TemporaryKey => f.write_str("a temporary key: it expires by itself"),
            Self::IdWithoutSecret => f.write_str("an id without a secret: none with a matching name is beside it"),
            Self::SecretWithoutId => f.write_str("a secret without an id: none with a matching name is beside it"),
            Self::TwoSecrets => {
                f.write_str("different secrets belong to this id: find out which is right, and fix the other copy")
            }
            Self::Ambiguous { ambiguity } => ambiguity.fmt(f),
            Self::DocumentationExample => f.write_str("an example from AWS's documentation"),
            Self::NotAKeyId => {
                f.write_str("the name is that of an access key id, but the value is not an access key id")
            }
            Self::NotASecret { instead } => {
                write!(f, "the name is that of a secret access key, but the value is not one: {instead}")
            }
            Self::NotUtf8 => f.write_str("the value is not UTF-8 text, so nothing can be replaced in it"),
            Self::UnsupportedForm { line, within } => {
                f.write_str("the id is ")?;
                if let Some(line) = line {
                    write!(f, "on line {line}, ")?;
                }
                if let Some(within) = within {
                    write!(f, "inside the text at {within}, ")?;
                }
                f.write_str("in a form that rotator cannot edit: use an entry of its own, JSON, YAML, or dotenv")
            }
            Self::TooManyPairs => write!(
                f,
                "it holds more than {MOST_PAIRS} pairs or halves of pairs, and no pair in it is rotated; rotator searches it \
                 all the same and removes no key that it names: make several entries of it"
            ),
            Self::TooLarge => write!(
                f,
                "the id is in a value of more than {} MiB, which rotator searches and does not edit: give the pair \
                 an entry of its own",
                LARGEST_DOCUMENT / (1024 * 1024)
            ),
            Self::InName => {
                f.write_str("the id is in the entry's name, which rotator does not change: rename the entry")
            }
            Self::CannotBeSpliced { why } => write!(f, "a new pair could not be written here: {why}"),
        }
    }
}

impl fmt::Display for Instead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "it is empty",
            Self::Reference => {
                "it refers to a secret that is kept elsewhere, or is encrypted; rotate the key where its \
                                secret is kept"
            }
            Self::Placeholder => "it is a placeholder or an example",
            Self::Derived => "it has the form of a password for Amazon SES, which is derived from a secret access key",
            Self::OtherForm => "a secret access key has exactly 40 characters of base 64",
        })
    }
}

impl fmt::Display for Ambiguity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Several { ids, secrets } => write!(
                f,
                "{ids} {} and {secrets} {} are in one place, and their names do not say which belong together",
                if *ids == 1 { "id" } else { "ids" },
                if *secrets == 1 { "possible secret" } else { "possible secrets" },
            ),
            Self::DefinedTwice => f.write_str("the same name is defined twice in this document: remove one of the two"),
            Self::NamesDisagree => {
                f.write_str("the names of the id and of the only secret beside it say that they do not belong together")
            }
            Self::UnrelatedNames => f.write_str(
                "a value that could be its secret is beside it, but the names do not say so: \
                 name them AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::name::EntryName;
    use crate::types::place::Location;

    #[test]
    fn the_reason_is_the_serialised_tag() {
        let all = [
            WhyLeftAlone::TemporaryKey,
            WhyLeftAlone::IdWithoutSecret,
            WhyLeftAlone::SecretWithoutId,
            WhyLeftAlone::TwoSecrets,
            WhyLeftAlone::Ambiguous { ambiguity: Ambiguity::Several { ids: 1, secrets: 2 } },
            WhyLeftAlone::Ambiguous { ambiguity: Ambiguity::DefinedTwice },
            WhyLeftAlone::DocumentationExample,
            WhyLeftAlone::NotAKeyId,
            WhyLeftAlone::NotASecret { instead: Instead::Nothing },
            WhyLeftAlone::NotASecret { instead: Instead::Reference },
            WhyLeftAlone::NotASecret { instead: Instead::Placeholder },
            WhyLeftAlone::NotASecret { instead: Instead::Derived },
            WhyLeftAlone::NotASecret { instead: Instead::OtherForm },
            WhyLeftAlone::NotUtf8,
            WhyLeftAlone::UnsupportedForm { line: None, within: None },
            WhyLeftAlone::UnsupportedForm { line: Some(3), within: Some("/a".to_owned()) },
            WhyLeftAlone::TooManyPairs,
            WhyLeftAlone::TooLarge,
            WhyLeftAlone::InName,
            WhyLeftAlone::CannotBeSpliced { why: "w".to_owned() },
        ];
        for why in all {
            let json = serde_json::to_value(&why).expect("serialises");
            assert_eq!(json["reason"], why.reason().name());
            assert_eq!(serde_json::from_value::<WhyLeftAlone>(json).expect("reads back"), why);
            assert!(!why.to_string().is_empty());

            let spot = FieldRef { entry: EntryName::new("a/b/c").expect("valid"), location: Location::WholeValue };
            let left = LeftAlone { key_id: None, places: vec![(StoreName::new("s").expect("valid"), spot)], why };
            let json = serde_json::to_value(&left).expect("serialises");
            assert_eq!(json["reason"], left.why.reason().name());
            assert_eq!(serde_json::from_value::<LeftAlone>(json).expect("reads back"), left);
        }
    }
}
