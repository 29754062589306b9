//! The form of ids and secrets, as the text alone shows it.

use super::left_alone::Instead;
use crate::types::name::AccessKeyId;

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
    is_40_of_base64(text) && !text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a key id is one that AWS made: the secret of such a one has 40 characters of base 64.
pub(super) fn is_of_aws(id: &str) -> bool {
    id.len() == 20 && (id.starts_with("AKIA") || id.starts_with("ASIA"))
}

/// What the text is, if it is no secret access key of `id`. An id that AWS did not make may have a secret of any form,
/// but no reference and no placeholder.
pub(super) fn instead_of_secret(id: &str, text: &str) -> Option<Instead> {
    if text.is_empty() {
        Some(Instead::Nothing)
    } else if is_reference(text) {
        Some(Instead::Reference)
    } else if is_placeholder(text) {
        Some(Instead::Placeholder)
    } else if is_derived(text) {
        Some(Instead::Derived)
    } else if text.contains(|letter: char| letter.is_whitespace() || letter.is_control())
        || (is_of_aws(id) && !is_40_of_base64(text))
    {
        Some(Instead::OtherForm)
    } else {
        None
    }
}

fn is_40_of_base64(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Whether the text says where a secret is kept, or is the secret encrypted: `${VAR}`, `op://…`, `{cipher}…`, `ENC(…)`,
/// `%(x)s`, an ARN. None of these has the form of a secret access key, and none of them begins or is wrapped by chance.
pub(super) fn is_reference(text: &str) -> bool {
    const BEGIN: [&str; 15] = [
        "${", "$(", "$[", "{{", "@{", "#{", "<%", "{cipher}", "{vault}", "arn:", "vault:", "secret:", "ssm:", "env:",
        "file:",
    ];
    const WITHIN: [&str; 5] = ["${", "{{", "%(", "@{", "<%="];
    let text = text.trim();
    let lower = text.to_ascii_lowercase();
    BEGIN.iter().any(|begin| lower.starts_with(begin))
        || WITHIN.iter().any(|within| text.contains(within))
        || is_wrapped(&lower, "enc(", ")")
        || is_wrapped(&lower, "enc[", "]")
        || is_wrapped(text, "%", "%")
        || is_variable(text)
        || has_scheme(&lower)
        || is_path(text)
}

fn is_wrapped(text: &str, begin: &str, end: &str) -> bool {
    text.len() > begin.len() + end.len() && text.starts_with(begin) && text.ends_with(end)
}

/// `$NAME`
fn is_variable(text: &str) -> bool {
    let name = text.strip_prefix('$').unwrap_or_default();
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

/// `op://…`, `ref+vault://…`
fn has_scheme(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':'))
    })
}

/// `/run/secrets/aws`, `secret/data/shop`: of 40 random characters one in a billion has no capital.
fn is_path(text: &str) -> bool {
    (text.starts_with('/') || text.matches('/').count() > 1)
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'-' | b'_' | b'.'))
}

/// Whether the text holds the place of a secret.
fn is_placeholder(text: &str) -> bool {
    const WORDS: [&str; 13] = [
        "changeme",
        "changeit",
        "dummy",
        "example",
        "fixme",
        "insert",
        "none",
        "null",
        "placeholder",
        "redacted",
        "replace",
        "tbd",
        "todo",
    ];
    let letters: String = text.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let mut different: Vec<char> = text.chars().collect();
    different.sort_unstable();
    different.dedup();
    let begins = |word: &str| letters.starts_with(word) && !is_40_of_base64(text);
    WORDS.iter().any(|word| begins(word))
        || (letters.starts_with("your") && letters.ends_with("key"))
        || is_wrapped(text, "<", ">")
        || is_wrapped(text, "__", "__")
        || is_wrapped(text, "[", "]")
        // `xxxxxxxx`, `****`
        || (text.len() >= 4 && different.len() <= 2)
        || (text.len() == 40 && text.ends_with("EXAMPLEKEY"))
}

/// Whether the text is a password for the SMTP interface of Amazon SES: 33 bytes of base 64, the first of them 4. It is
/// derived from a secret access key, and is not one.
/// (<https://docs.aws.amazon.com/ses/latest/dg/smtp-credentials.html>)
fn is_derived(text: &str) -> bool {
    text.len() == 44
        && text.starts_with('B')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Whether this is a key from AWS's documentation: `AKIAIOSFODNN7EXAMPLE`, `AKIAI44QH8DHBEXAMPLE` and all others that
/// it shows begin with a real prefix and end in `EXAMPLE`. (An id with another prefix may be in use.)
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
    // Both prefixes end in these letters, which hardly any text has.
    memchr::memmem::find_iter(bytes, b"IA").filter_map(move |end| {
        let at = end.checked_sub(2)?;
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
    fn a_placeholder_is_no_secret() {
        use Instead::{Derived, Nothing, OtherForm, Placeholder, Reference};
        const ID: &str = "AKIAABCDEFGHIJ234567";
        for (text, instead) in [
            ("", Nothing),
            ("${AWS_SECRET_ACCESS_KEY}", Reference),
            ("${env:AWS_SECRET_ACCESS_KEY:-x}", Reference),
            ("$AWS_SECRET_ACCESS_KEY", Reference),
            ("$(pass aws/secret)", Reference),
            ("%AWS_SECRET%", Reference),
            ("%(secret)s", Reference),
            ("op://ops/aws/secret", Reference),
            ("ref+vault://secret/aws#/secret", Reference),
            ("vault:secret/data/aws#secret", Reference),
            ("{cipher}AQICAHgIQjiUCcEmiMlQkpKpQm9t6LVN", Reference),
            ("@{vault:aws-secret}", Reference),
            ("ENC(Jasypt+abc/def=)", Reference),
            ("ENC[AES256_GCM,data:x]", Reference),
            ("{{resolve:secretsmanager:aws:SecretString:secret}}", Reference),
            ("{{ .Values.aws.secret }}", Reference),
            ("<%= ENV['AWS_SECRET'] %>", Reference),
            ("#{AwsSecret}", Reference),
            ("arn:aws:secretsmanager:eu-west-1:123456789012:secret:x", Reference),
            ("/run/secrets/aws", Reference),
            ("secret/data/shop/prod/aws/secretaccesskey", Reference),
            ("CHANGEME", Placeholder),
            ("change-me", Placeholder),
            ("<secret>", Placeholder),
            ("YOUR_SECRET_KEY", Placeholder),
            ("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", Placeholder),
            ("****************", Placeholder),
            ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Placeholder),
            ("BMmUqA0kZ8tYQvX1nJd5hL7sWc3RfGpTe6bNyKxVo9Ia", Derived),
        ] {
            for id in [ID, "PROD111111111EXAMPLE"] {
                assert_eq!(instead_of_secret(id, text), Some(instead), "{id} {text}");
            }
        }
        for text in [
            "django-insecure-k9s8d7f6",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEK",
            "wJalrXUtnFEMI/K7MDENG-bPxRfiCYzEXAMPLEKE",
        ] {
            assert_eq!(instead_of_secret(ID, text), Some(OtherForm), "{text}");
            assert_eq!(instead_of_secret("PROD111111111EXAMPLE", text), None, "{text}");
        }
        assert_eq!(instead_of_secret("PROD111111111EXAMPLE", "two words"), Some(OtherForm));
        assert_eq!(instead_of_secret(ID, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE"), None);
    }

    #[test]
    fn ids_in_prose_are_seen() {
        let text =
            b"x\\nAKIAABCDEFGHIJ234567, (ASIAABCDEFGHIJ234567) XAKIAABCDEFGHIJ234567 AKIAABCDEFGHIJ234567Q \xff AKIA";
        let found: Vec<_> = ids_within(text).map(|id| id.to_string()).collect();
        assert_eq!(found, ["AKIAABCDEFGHIJ234567", "ASIAABCDEFGHIJ234567"]);
    }
}
