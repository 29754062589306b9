//! Why a key or an entry is skipped: every reason of discovery and of the survey, in one list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason for which a key or an entry is skipped. `docs/operations.md` says for each what to do.
///
/// The journal keeps the names that serde gives. [`name`](Self::name) is the public one, in the JSON document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    TemporaryKey,
    IdWithoutSecret,
    SecretWithoutId,
    TwoSecrets,
    Ambiguous,
    DocumentationExample,
    NotAKeyId,
    NotASecret,
    NotUtf8,
    UnsupportedForm,
    TooManyPairs,
    TooLarge,
    InName,
    CannotBeSpliced,
    Excluded,
    OwnKey,
    NotListedYet,
    NotConfirmed,
    UnknownToIam,
    OwnerUnknown,
    IamFailed,
    AccountUnknown,
    AccountFailed,
    OtherAccount,
    NotCovered,
    Inactive,
    NotDue,
    #[serde(rename = "made-lately")]
    RecentlyRotated,
    UserInFlight,
    TwoKeys,
    SecondActiveKey,
    #[serde(rename = "named-elsewhere")]
    ReferencedElsewhere,
    UnreadableElsewhere,
    Unreadable,
    ReadOnly,
    NotWritable,
    AccessDenied,
    SinkUnavailable,
    #[serde(rename = "sink-forsaken")]
    SinkRemoved,
    PairNotProven,
    PairOfAnother,
    StsDenied,
    StsFailed,
    KeepsFailing,
}

impl SkipReason {
    /// Every reason.
    pub const ALL: [Self; 44] = [
        Self::TemporaryKey,
        Self::IdWithoutSecret,
        Self::SecretWithoutId,
        Self::TwoSecrets,
        Self::Ambiguous,
        Self::DocumentationExample,
        Self::NotAKeyId,
        Self::NotASecret,
        Self::NotUtf8,
        Self::UnsupportedForm,
        Self::TooManyPairs,
        Self::TooLarge,
        Self::InName,
        Self::CannotBeSpliced,
        Self::Excluded,
        Self::OwnKey,
        Self::NotListedYet,
        Self::NotConfirmed,
        Self::UnknownToIam,
        Self::OwnerUnknown,
        Self::IamFailed,
        Self::AccountUnknown,
        Self::AccountFailed,
        Self::OtherAccount,
        Self::NotCovered,
        Self::Inactive,
        Self::NotDue,
        Self::RecentlyRotated,
        Self::UserInFlight,
        Self::TwoKeys,
        Self::SecondActiveKey,
        Self::ReferencedElsewhere,
        Self::UnreadableElsewhere,
        Self::Unreadable,
        Self::ReadOnly,
        Self::NotWritable,
        Self::AccessDenied,
        Self::SinkUnavailable,
        Self::SinkRemoved,
        Self::PairNotProven,
        Self::PairOfAnother,
        Self::StsDenied,
        Self::StsFailed,
        Self::KeepsFailing,
    ];

    /// Returns the public name, which never changes once released.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::TemporaryKey => "temporary-key",
            Self::IdWithoutSecret => "id-without-secret",
            Self::SecretWithoutId => "secret-without-id",
            Self::TwoSecrets => "two-secrets",
            Self::Ambiguous => "ambiguous",
            Self::DocumentationExample => "documentation-example",
            Self::NotAKeyId => "not-a-key-id",
            Self::NotASecret => "not-a-secret",
            Self::NotUtf8 => "not-utf8",
            Self::UnsupportedForm => "unsupported-form",
            Self::TooManyPairs => "too-many-pairs",
            Self::TooLarge => "too-large",
            Self::InName => "in-name",
            Self::CannotBeSpliced => "cannot-be-spliced",
            Self::Excluded => "excluded",
            Self::OwnKey => "own-key",
            Self::NotListedYet => "not-listed-yet",
            Self::NotConfirmed => "not-confirmed",
            Self::UnknownToIam => "unknown-to-iam",
            Self::OwnerUnknown => "owner-unknown",
            Self::IamFailed => "iam-failed",
            Self::AccountUnknown => "account-unknown",
            Self::AccountFailed => "account-failed",
            Self::OtherAccount => "other-account",
            Self::NotCovered => "not-covered",
            Self::Inactive => "inactive",
            Self::NotDue => "not-due",
            Self::RecentlyRotated => "recently-rotated",
            Self::UserInFlight => "user-in-flight",
            Self::TwoKeys => "two-keys",
            Self::SecondActiveKey => "second-active-key",
            Self::ReferencedElsewhere => "referenced-elsewhere",
            Self::UnreadableElsewhere => "unreadable-elsewhere",
            Self::Unreadable => "unreadable",
            Self::ReadOnly => "read-only",
            Self::NotWritable => "not-writable",
            Self::AccessDenied => "access-denied",
            Self::SinkUnavailable => "sink-unavailable",
            Self::SinkRemoved => "sink-removed",
            Self::PairNotProven => "pair-not-proven",
            Self::PairOfAnother => "pair-of-another",
            Self::StsDenied => "sts-denied",
            Self::StsFailed => "sts-failed",
            Self::KeepsFailing => "keeps-failing",
        }
    }

    /// Whether AWS gave no answer about the key, so that the reason says nothing of the key itself.
    #[must_use]
    pub const fn is_unheard(self) -> bool {
        matches!(self, Self::IamFailed | Self::AccountFailed | Self::AccountUnknown)
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_keeps_the_names_of_reasons_that_were_renamed_in_the_output() {
        let in_journal = |reason: SkipReason| serde_json::to_value(reason).expect("text");
        for reason in SkipReason::ALL {
            let expected = match reason.name() {
                "recently-rotated" => "made-lately",
                "referenced-elsewhere" => "named-elsewhere",
                "sink-removed" => "sink-forsaken",
                same => same,
            };
            assert_eq!(in_journal(reason), expected);
        }
    }
}
