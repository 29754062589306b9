//! Why a key or an entry is skipped: every reason of discovery and of the survey, in one list.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Defines the enum, the list of its variants and their public names from one list.
macro_rules! skip_reasons {
    ($($(#[$attribute:meta])* $variant:ident => $name:literal,)*) => {
        /// The reason for which a key or an entry is skipped. `docs/operations.md` says for each what to do.
        ///
        /// The journal keeps the names that serde gives. [`name`](Self::name) is the public one, in the JSON document.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum SkipReason {
            $($(#[$attribute])* $variant,)*
        }

        impl SkipReason {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the public name, which never changes once released.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

skip_reasons! {
    TemporaryKey => "temporary-key",
    IdWithoutSecret => "id-without-secret",
    SecretWithoutId => "secret-without-id",
    TwoSecrets => "two-secrets",
    Ambiguous => "ambiguous",
    DocumentationExample => "documentation-example",
    NotAKeyId => "not-a-key-id",
    NotASecret => "not-a-secret",
    NotUtf8 => "not-utf8",
    UnsupportedForm => "unsupported-form",
    TooManyPairs => "too-many-pairs",
    TooLarge => "too-large",
    InName => "in-name",
    CannotBeSpliced => "cannot-be-spliced",
    Excluded => "excluded",
    OwnKey => "own-key",
    NotListedYet => "not-listed-yet",
    NotConfirmed => "not-confirmed",
    UnknownToIam => "unknown-to-iam",
    OwnerUnknown => "owner-unknown",
    IamFailed => "iam-failed",
    AccountUnknown => "account-unknown",
    AccountFailed => "account-failed",
    OtherAccount => "other-account",
    NotCovered => "not-covered",
    Inactive => "inactive",
    NotDue => "not-due",
    #[serde(rename = "made-lately")]
    RecentlyRotated => "recently-rotated",
    UserInFlight => "user-in-flight",
    Unused => "unused",
    TwoKeys => "two-keys",
    SecondActiveKey => "second-active-key",
    #[serde(rename = "named-elsewhere")]
    ReferencedElsewhere => "referenced-elsewhere",
    UnreadableElsewhere => "unreadable-elsewhere",
    Unreadable => "unreadable",
    ReadOnly => "read-only",
    NotWritable => "not-writable",
    AccessDenied => "access-denied",
    SinkUnavailable => "sink-unavailable",
    #[serde(rename = "sink-forsaken")]
    SinkRemoved => "sink-removed",
    PairNotProven => "pair-not-proven",
    PairOfAnother => "pair-of-another",
    StsDenied => "sts-denied",
    StsFailed => "sts-failed",
    KeepsFailing => "keeps-failing",
}

impl SkipReason {
    /// The section of the manual about it, below the root of the repository.
    #[must_use]
    pub fn docs_section(self) -> String {
        format!("docs/operations.md#skipped-{}", self.name())
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
        for &reason in SkipReason::ALL {
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
