//! The texts of other programs in errors. A server or a program may quote its input, so its text is shown only after
//! it was compared with every secret of the call: the values that were sent or received, and the tokens and login
//! secrets in use. No adapter shows, cuts or filters such a text itself.
//!
//! A text is indexed by windows of eight bytes, with its escapes kept and undone, and each secret is searched once in
//! that index, in plain form and in base 64. So a part of a secret is found like the whole one, and the cost grows
//! with the size of the secrets only.

mod index;
mod scalars;
#[cfg(test)]
mod tests;
pub(in crate::adapters) mod url;

use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::Reading;
use index::Index;

/// The maximum length of a text that is examined; the rest is not shown.
const LOOKED_AT: usize = 64 * 1024;

/// The maximum number of characters that are shown.
const MOST_SHOWN: usize = 300;

/// The replacement of a text that quotes a secret.
pub(in crate::adapters) const WITHHELD: &str = "the server quoted a secret; see its log";

/// The text of another program, uncut. It has neither `Debug` nor `Display`, and only this module reads it: it
/// reaches a message through [`Words`] only.
#[derive(Clone, Default)]
pub(in crate::adapters) struct Said(Zeroizing<Vec<u8>>);

impl Said {
    pub(in crate::adapters) fn of(words: &str) -> Self {
        Self(Zeroizing::new(words.as_bytes().to_vec()))
    }

    /// Several texts, one after the other.
    pub(in crate::adapters) fn all<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().collect();
        Self(Zeroizing::new(texts.join("; ").into_bytes()))
    }

    /// Whether the text contains this known phrase.
    pub(in crate::adapters) fn has(&self, words: &str) -> bool {
        memchr::memmem::find(&self.0, words.as_bytes()).is_some()
    }
}

impl<'de> Deserialize<'de> for Said {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text.into_bytes())))
    }
}

/// Every secret of a call.
#[derive(Default)]
pub(in crate::adapters) struct Secrets<'s> {
    values: Vec<&'s [u8]>,
    tokens: Vec<Zeroizing<String>>,
}

impl<'s> Secrets<'s> {
    /// Adds stored values: in a document its scalars, not the names.
    pub(in crate::adapters) fn values(mut self, values: impl IntoIterator<Item = &'s [u8]>) -> Self {
        self.values.extend(values);
        self
    }

    /// Adds the values of these entries.
    pub(in crate::adapters) fn readings(self, readings: impl IntoIterator<Item = &'s Reading>) -> Self {
        self.values(readings.into_iter().filter_map(|reading| match reading {
            Reading::Value { value, .. } | Reading::Managed { value, .. } => Some(value.expose()),
            Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => None,
        }))
    }

    /// Adds tokens, passwords and login secrets as a whole.
    pub(in crate::adapters) fn tokens(mut self, tokens: impl IntoIterator<Item = Zeroizing<String>>) -> Self {
        self.tokens.extend(tokens);
        self
    }

    /// Whether the text contains a part of any secret.
    pub(in crate::adapters) fn are_quoted_in(&self, text: &[u8]) -> bool {
        let index = Index::of(&text[..text.len().min(LOOKED_AT)]);
        index.quotes_a_token()
            || (!index.is_empty()
                && (self.tokens.iter().any(|token| index.finds(token.trim().as_bytes()))
                    || self.values.iter().any(|value| scalars::any(value, &|scalar| index.finds(scalar)))))
    }
}

/// A message of rotator's own text and texts of another program, which are not yet compared with any secret.
#[derive(Clone, Default)]
pub(in crate::adapters) struct Words(Vec<Part>);

#[derive(Clone)]
enum Part {
    Ours(String),
    Theirs(Zeroizing<Vec<u8>>),
}

impl Words {
    /// Starts with rotator's own text.
    pub(in crate::adapters) fn ours(words: impl Into<String>) -> Self {
        Self(vec![Part::Ours(words.into())])
    }

    /// Appends rotator's own text.
    pub(in crate::adapters) fn and(mut self, words: impl Into<String>) -> Self {
        self.0.push(Part::Ours(words.into()));
        self
    }

    /// Appends the text of the other program, uncut.
    pub(in crate::adapters) fn theirs(mut self, said: &Said) -> Self {
        self.0.push(Part::Theirs(Zeroizing::new(said.0[..said.0.len().min(LOOKED_AT)].to_vec())));
        self
    }

    /// Appends `: ` and the text of the other program, unless it is empty.
    pub(in crate::adapters) fn because(self, said: &Said) -> Self {
        if said.0.trim_ascii().is_empty() { self } else { self.and(": ").theirs(said) }
    }

    /// Withholds every text that quotes one of the `secrets`.
    pub(in crate::adapters) fn against(self, secrets: &Secrets<'_>) -> Self {
        let checked = |part| match part {
            Part::Theirs(said) if secrets.are_quoted_in(&said) => Part::Ours(WITHHELD.to_owned()),
            part @ (Part::Ours(_) | Part::Theirs(_)) => part,
        };
        Self(self.0.into_iter().map(checked).collect())
    }

    /// The message without any text that quotes one of the `secrets`.
    pub(in crate::adapters) fn shown(&self, secrets: &Secrets<'_>) -> String {
        let shown = |part: &Part| match part {
            Part::Ours(words) => words.clone(),
            Part::Theirs(said) if secrets.are_quoted_in(said) => WITHHELD.to_owned(),
            Part::Theirs(said) => plain(&String::from_utf8_lossy(said)),
        };
        self.0.iter().map(shown).collect()
    }
}

/// Makes a text printable, on one line and of limited length.
fn plain(words: &str) -> String {
    let printable = words.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    printable.take(MOST_SHOWN).collect::<String>().trim_end().to_owned()
}

/// A failed call, with a message that is not yet compared with any secret.
#[derive(Clone)]
pub(in crate::adapters) struct Failed {
    pub(in crate::adapters) kind: CallErrorKind,
    words: Words,
}

impl Failed {
    pub(in crate::adapters) fn new(kind: CallErrorKind, words: Words) -> Self {
        Self { kind, words }
    }

    /// Appends rotator's own text.
    #[cfg_attr(not(feature = "kubernetes"), expect(dead_code, reason = "only the Kubernetes store adds words"))]
    pub(in crate::adapters) fn and(self, words: &str) -> Self {
        Self { words: self.words.and(words), ..self }
    }

    pub(in crate::adapters) fn words(self) -> Words {
        self.words
    }

    /// The error of the port, compared with these secrets.
    pub(in crate::adapters) fn told(self, secrets: &Secrets<'_>) -> CallError {
        CallError::new(self.kind, self.words.shown(secrets))
    }
}

impl From<CallError> for Failed {
    fn from(error: CallError) -> Self {
        Self::new(error.kind, Words::ours(error.message))
    }
}

/// The content of one entry, or why it cannot be read; that message is not yet compared with any secret.
pub(in crate::adapters) enum Heard {
    Reading(Reading),
    Unreadable(Words),
}

impl From<Reading> for Heard {
    fn from(reading: Reading) -> Self {
        Self::Reading(reading)
    }
}

/// The result of reading several entries in one call: each message is compared with the values of all entries.
pub(in crate::adapters) fn settled<N>(
    heard: Vec<(N, Result<Heard, Failed>)>,
    tokens: Vec<Zeroizing<String>>,
) -> Result<Vec<(N, Reading)>, CallError> {
    let secrets = Secrets::default().tokens(tokens).readings(heard.iter().filter_map(|(_, heard)| match heard {
        Ok(Heard::Reading(reading)) => Some(reading),
        Ok(Heard::Unreadable(_)) | Err(_) => None,
    }));
    let told: Vec<Result<Option<String>, CallError>> = heard
        .iter()
        .map(|(_, heard)| match heard {
            Ok(Heard::Reading(_)) => Ok(None),
            Ok(Heard::Unreadable(words)) => Ok(Some(words.shown(&secrets))),
            Err(failed) => Err(failed.clone().told(&secrets)),
        })
        .collect();
    let each = heard.into_iter().zip(told).map(|((name, heard), told)| match (heard, told?) {
        (Ok(Heard::Reading(reading)), None) => Ok((name, reading)),
        (_, why) => Ok((name, Reading::Unreadable(why.unwrap_or_default()))),
    });
    each.collect()
}
