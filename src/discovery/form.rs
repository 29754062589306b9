//! The form of ids and secrets, told by the text alone.

use crate::rotation::name::AccessKeyId;

/// The letters after `AKIA`: base 32 (RFC 4648).
const fn is_base32(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'2'..=b'7')
}

/// Whether the text is the id of a long-term or temporary key: `AKIA` or `ASIA` and 16 characters of base 32
/// (prefixes: <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html>; the alphabet has been
/// observed, AWS does not promise it), or an example from the documentation, which does not keep to that alphabet.
pub(super) fn has_id_form(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("AKIA").or_else(|| text.strip_prefix("ASIA")) else {
        return false;
    };
    rest.len() == 16 && (rest.bytes().all(is_base32) || is_example(text))
}

/// Whether the text could be an id under a name that is not wholly certain: capitals and digits only.
pub(super) fn may_be_id(text: &str) -> bool {
    AccessKeyId::new(text).is_ok() && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether the text has the form of a secret access key: 40 characters of base 64, not all of them hexadecimal (that
/// would be a git hash or another digest).
pub(super) fn has_secret_form(text: &str) -> bool {
    text.len() == 40
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
        && !text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether this is a key from AWS's documentation: `AKIAIOSFODNN7EXAMPLE`, `AKIAI44QH8DHBEXAMPLE` and all others that
/// it shows begin with a real prefix and end in `EXAMPLE`. (An id with another prefix is somebody's own.)
pub(super) fn is_example(id: &str) -> bool {
    id.len() == 20
        && (id.starts_with("AKIA") || id.starts_with("ASIA"))
        && id.ends_with("EXAMPLE")
        && id.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

/// Whether the id is that of a temporary key, which STS made.
pub(super) fn is_temporary(id: &str) -> bool {
    id.len() == 20 && id.starts_with("ASIA")
}

/// Every id of a long-term or temporary key that occurs in `bytes`, each where it is not part of a longer word of
/// capitals and digits. (A small letter before it may be the `n` of a JSON `\n`.)
pub(super) fn ids_within(bytes: &[u8]) -> impl Iterator<Item = AccessKeyId> + '_ {
    const LENGTH: usize = 20;
    let is_capital = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    memchr::memchr_iter(b'A', bytes).filter_map(move |at| {
        let text = std::str::from_utf8(bytes.get(at..at + LENGTH)?).ok()?;
        let apart = !is_capital(at.checked_sub(1).and_then(|before| bytes.get(before)));
        if !apart || is_capital(bytes.get(at + LENGTH)) || !has_id_form(text) {
            return None;
        }
        AccessKeyId::new(text).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        for id in ["AKIAABCDEFGHIJ234567", "ASIAABCDEFGHIJ234567", "AKIAIOSFODNN7EXAMPLE", "AKIAI44QH8DHBEXAMPLE"] {
            assert!(has_id_form(id), "{id}");
        }
        for other in ["", "AKIA", "AKIAABCDEFGHIJ23456", "AKIAABCDEFGHIJ2345677", "AKIAABCDEFGHIJ123456", "AKIAé"] {
            assert!(!has_id_form(other), "{other}");
        }
        assert!(!has_id_form("PROD111111111EXAMPLE") && may_be_id("PROD111111111EXAMPLE"));
        assert!(!may_be_id("prod111111111example"));
    }

    #[test]
    fn examples_keep_the_real_prefix() {
        assert!(is_example("AKIAIOSFODNN7EXAMPLE") && is_example("AKIAI44QH8DHBEXAMPLE"));
        assert!(is_example("ASIAIOSFODNN7EXAMPLE"));
        assert!(!is_example("PROD111111111EXAMPLE") && !is_example("AKIAABCDEFGHIJ234567"));
    }

    #[test]
    fn a_git_hash_is_no_secret() {
        assert!(has_secret_form("wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE"));
        assert!(!has_secret_form("da39a3ee5e6b4b0d3255bfef95601890afd80709"));
        assert!(!has_secret_form("wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEK"));
        assert!(!has_secret_form("wJalrXUtnFEMI/K7MDENG-bPxRfiCYzEXAMPLEKE"));
    }

    #[test]
    fn ids_in_prose_are_seen() {
        let text =
            b"x\\nAKIAABCDEFGHIJ234567, (ASIAABCDEFGHIJ234567) XAKIAABCDEFGHIJ234567 AKIAABCDEFGHIJ234567Q \xff AKIA";
        let found: Vec<_> = ids_within(text).map(|id| id.to_string()).collect();
        assert_eq!(found, ["AKIAABCDEFGHIJ234567", "ASIAABCDEFGHIJ234567"]);
    }
}
