//! What AWS says only in the text of a refusal. The text is compared with what AWS is known to write, and never shown.

/// What `NoSuchEntity` refers to, according to the message of AWS. No decision relies on the message alone: if it is
/// unclear, the effect stays in doubt and the next list decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    User,
    Key,
    Unclear,
}

impl Missing {
    /// Parses the message: "The user with name … cannot be found." or "The Access Key with id … cannot be found." A
    /// user name may contain the other sentence, so the beginning decides.
    pub(super) fn of(message: Option<&str>) -> Self {
        let message = message.unwrap_or_default().to_ascii_lowercase();
        let begins = |words: &str| message.trim_start().starts_with(words);
        if begins("the user with name ") {
            Self::User
        } else if begins("the access key with id ") {
            Self::Key
        } else {
            Self::Unclear
        }
    }
}

/// Why a role that asks for MFA was not assumed, according to the message of AWS. It only chooses the words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MfaRefusal {
    /// The code is wrong, too old, or has been used.
    Code,
    /// The user that signs has no such device.
    Device,
    /// The session is to last longer than the role allows.
    TooLong,
    Other,
}

impl MfaRefusal {
    pub(super) fn of(message: Option<&str>) -> Self {
        let message = message.unwrap_or_default().to_ascii_lowercase();
        if message.contains("invalid mfa one time pass code") {
            Self::Code
        } else if message.contains("unable to validate mfa code") || message.contains("mfa serial number") {
            Self::Device
        } else if message.contains("durationseconds") {
            Self::TooLong
        } else {
            Self::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_a_code_is_told_from_one_of_its_device() {
        for (message, refusal) in [
            ("MultiFactorAuthentication failed with invalid MFA one time pass code. ", MfaRefusal::Code),
            (
                "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your MFA serial number is \
              valid and associated with this user.",
                MfaRefusal::Device,
            ),
            (
                "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code.",
                MfaRefusal::Device,
            ),
            ("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.", MfaRefusal::TooLong),
            (
                "User: arn:aws:iam::1:user/me is not authorized to perform: sts:AssumeRole on resource: x",
                MfaRefusal::Other,
            ),
        ] {
            assert_eq!(MfaRefusal::of(Some(message)), refusal, "{message}");
        }
        assert_eq!(MfaRefusal::of(None), MfaRefusal::Other);
    }
}
