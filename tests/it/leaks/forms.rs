//! The encoded forms of a secret, and the search for any of them in bytes.

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

/// Shorter pieces occur by chance.
const SHORTEST_PIECE: usize = 12;

/// The encodings of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    Plain,
    /// Base64 at this offset within a group of three bytes.
    Base64(usize),
    Base64Url(usize),
    Hex,
    HexCapitals,
    Percent,
    PercentSmall,
    /// `\/`
    JsonSlash,
    /// ` + `
    JsonUnicode,
    /// `65, 66, `, as `{:?}` prints bytes.
    Decimals,
    /// `65,66,`, as JSON has them.
    DecimalsPacked,
    /// `4a, 4b, `, as `{:02x?}` prints bytes.
    HexList,
    /// `4A, 4B, `
    HexListCapitals,
}

pub(super) const FORMS: [Form; 17] = [
    Form::Plain,
    Form::Base64(0),
    Form::Base64(1),
    Form::Base64(2),
    Form::Base64Url(0),
    Form::Base64Url(1),
    Form::Base64Url(2),
    Form::Hex,
    Form::HexCapitals,
    Form::Percent,
    Form::PercentSmall,
    Form::JsonSlash,
    Form::JsonUnicode,
    Form::Decimals,
    Form::DecimalsPacked,
    Form::HexList,
    Form::HexListCapitals,
];

impl Form {
    /// Returns `bytes` in this form, without the parts that depend on the neighbouring bytes.
    pub(super) fn of(self, bytes: &[u8]) -> String {
        let each = |write: &dyn Fn(u8) -> String| bytes.iter().map(|byte| write(*byte)).collect::<String>();
        let but_words = |write: &dyn Fn(u8) -> String| {
            each(&|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { write(byte) })
        };
        match self {
            Self::Plain => String::from_utf8_lossy(bytes).into_owned(),
            Self::Base64(before) => wrapped(&STANDARD, before, bytes),
            Self::Base64Url(before) => wrapped(&URL_SAFE, before, bytes),
            Self::Hex => each(&|byte| format!("{byte:02x}")),
            Self::HexCapitals => each(&|byte| format!("{byte:02X}")),
            Self::Percent => but_words(&|byte| format!("%{byte:02X}")),
            Self::PercentSmall => but_words(&|byte| format!("%{byte:02x}")),
            Self::JsonSlash => String::from_utf8_lossy(bytes).replace('/', "\\/"),
            Self::JsonUnicode => but_words(&|byte| format!("\\u{byte:04x}")),
            Self::Decimals => each(&|byte| format!("{byte}, ")),
            Self::DecimalsPacked => each(&|byte| format!("{byte},")),
            Self::HexList => each(&|byte| format!("{byte:02x}, ")),
            Self::HexListCapitals => each(&|byte| format!("{byte:02X}, ")),
        }
    }
}

/// Base 64 of `bytes` after `before` others: only the characters that `bytes` alone decide.
fn wrapped(alphabet: &base64::alphabet::Alphabet, before: usize, bytes: &[u8]) -> String {
    let engine = GeneralPurpose::new(alphabet, GeneralPurposeConfig::new().with_encode_padding(false));
    let padded = [&vec![0; before], bytes].concat();
    let text = engine.encode(&padded);
    let first = (before * 8).div_ceil(6);
    text[first..padded.len() * 8 / 6].to_owned()
}

/// Secrets, to be found in any form; half of one is enough.
pub(super) struct Secrets {
    automaton: AhoCorasick,
    /// For each pattern: which secret, in which form.
    meaning: Vec<(usize, Form)>,
    names: Vec<String>,
}

/// The findings, by the name of the secret and without its value.
pub(super) type Found = Vec<(String, Form)>;

impl Secrets {
    /// Named secrets. Each is sought in two halves: a copy that is cut in two is one nevertheless.
    pub(super) fn new<'s>(secrets: impl IntoIterator<Item = (String, &'s str)>) -> Self {
        let (mut patterns, mut meaning, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for (name, secret) in secrets {
            assert!(secret.len() >= 2 * SHORTEST_PIECE, "{name} is too short to be distinguished from chance");
            let (one, other) = secret.as_bytes().split_at(secret.len() / 2);
            for form in FORMS {
                for half in [one, other] {
                    patterns.push(form.of(half));
                    meaning.push((names.len(), form));
                }
            }
            names.push(name);
        }
        let automaton = AhoCorasick::new(patterns).expect("few enough patterns");
        Self { automaton, meaning, names }
    }

    /// Returns the secrets and forms that `bytes` contains.
    pub(super) fn found_in(&self, bytes: &[u8]) -> Found {
        let mut found: Found = self
            .automaton
            .find_overlapping_iter(bytes)
            .map(|hit| self.meaning[hit.pattern().as_usize()])
            .map(|(secret, form)| (self.names[secret].clone(), form))
            .collect();
        found.sort();
        found.dedup();
        found
    }
}

#[test]
fn every_form_is_found_wherever_it_is_planted() {
    let secret = "wJal/XUtnFEMI+K7MDENG/bPxRfiCYzEXAMP+/EK";
    let secrets = Secrets::new([("it".to_owned(), secret)]);
    assert!(secrets.found_in(b"nothing of it, whatever else: 1, 2, 3, %2F \\/").is_empty());
    for form in FORMS {
        for cut in [0, 20] {
            let text = format!("…{}\n", form.of(&secret.as_bytes()[cut..cut + 20]));
            assert!(secrets.found_in(text.as_bytes()).contains(&("it".to_owned(), form)), "{form:?}");
        }
    }
    let standard = base64::engine::general_purpose::STANDARD;
    for before in ["", "x", "xy", "xyz"] {
        let wrapped = standard.encode(format!("{before}{secret} and more"));
        assert!(!secrets.found_in(wrapped.as_bytes()).is_empty(), "after {before:?}");
    }
    assert!(!secrets.found_in(format!("{:?}", secret.as_bytes()).as_bytes()).is_empty());
    assert!(!secrets.found_in(format!("{:02X?}", secret.as_bytes()).as_bytes()).is_empty(), "a dump in hexadecimal");
}
