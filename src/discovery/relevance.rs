//! Tells that a value cannot say anything about a key, without taking it apart. Most values of a store are of that kind,
//! and taking a document apart is twenty times slower than this check.
//!
//! A value with an id in any encoding is never asked about. A mistake would cost a finding, so every doubt counts as
//! relevant. The unit tests take each irrelevant value apart nevertheless, and fail if that finds anything.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::label::Label;
use crate::types::name::EntryName;
use crate::types::secret::SecretValue;

/// Each name with a [`Label`] contains one of the first four words. Each id that discovery finds by its form begins with
/// one of the next two. A backslash may be a part of an escape, which stands for any letter.
const SIGNS: [&str; 7] = ["access", "key", "secret", "token", "AKIA", "ASIA", "\\"];

/// Of a text with fewer visible bytes the whole may be one secret, perhaps in quotes.
const FEW_BYTES: usize = 64;

static RELEVANT: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let automaton = AhoCorasick::builder().ascii_case_insensitive(true).kind(Some(AhoCorasickKind::DFA)).build(SIGNS);
    automaton.ok()
});

/// Returns whether the entry may hold a pair, half a pair, or something to report.
pub(super) fn may_be_relevant(name: &EntryName, value: &SecretValue) -> bool {
    let text = value.expose();
    // Letters beyond ASCII may become ASCII in small letters, and there are blanks among them.
    if !text.is_ascii() || Label::of_entry(name.secret_name()).is_some() {
        return true;
    }
    let visible = text.iter().filter(|byte| !byte.is_ascii_whitespace()).take(FEW_BYTES + 1).count();
    visible <= FEW_BYTES || RELEVANT.as_ref().is_none_or(|signs| signs.is_match(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_relevant(name: &str, text: &str) -> bool {
        may_be_relevant(&EntryName::new(name).expect("valid"), &SecretValue::new(text.as_bytes().to_vec()))
    }

    #[test]
    fn only_a_text_without_any_sign_of_a_key_is_irrelevant() {
        let plain = "a setting of the service, line by line; ".repeat(4);
        assert!(!is_relevant("a/b/notes", &plain));
        for sign in ["Access", "KEY", "secret", "Token", "AKIA", "ASIA", "\\u0041", "é", "\u{212a}ey"] {
            assert!(is_relevant("a/b/notes", &format!("{plain}{sign}")), "{sign}");
        }
        assert!(is_relevant("a/b/AWS_SECRET_ACCESS_KEY", &plain));
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz";
        assert!(is_relevant("a/b/notes", &format!("\" {}{secret}\"", " ".repeat(500))));
    }
}
