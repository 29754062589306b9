//! The expectations of a case, and the checks of them.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use serde::Deserialize;

use super::rig::{Rig, in_url};
use crate::support::aws::Pair;

type Contents = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Check {
    /// Nothing that is stored has changed, and every key is as it was.
    Same,
    /// No entry refers, in any encoding, to a key that IAM does not accept any more.
    Alive,
    /// The files have the same attributes as before.
    Attributes,
    /// The user with this suffix has another key, which works. It replaced the old one everywhere, and nothing else
    /// changed.
    Rotated(String),
    /// The user with this suffix has the same key as before, and no other.
    Kept(String),
    /// The last command ended with this code.
    Exit(i32),
    /// The command ended with another exit code.
    ExitNot(i32),
    /// At most this number of keys was requested.
    Creates(u64),
    /// One of these words was said.
    Says(Vec<String>),
    /// One of these checks holds.
    Any(Vec<Check>),
}

impl Check {
    /// Why it does not hold, if it does not.
    pub(super) async fn fails(&self, rig: &Rig<'_>, before: &Contents, after: &Contents) -> Option<String> {
        let last = rig.codes.last().copied().flatten();
        let unless = |holds: bool, why: String| (!holds).then_some(why);
        match self {
            Self::Same => {
                let changed = before.iter().find(|(name, value)| after.get(*name) != Some(value));
                match changed {
                    Some((name, _)) => Some(format!("{name} has changed")),
                    None => {
                        first_that(rig, |has, id| !has.get(id).copied().unwrap_or(false), "does not have its key").await
                    }
                }
            }
            Self::Alive => alive(rig, after).await,
            Self::Attributes => unless(rig.attributes[0] == rig.attributes[1], "attributes are lost".to_owned()),
            Self::Rotated(suffix) => rotated(rig, suffix, before, after).await,
            Self::Kept(suffix) => {
                let (user, pair) = &rig.pairs[suffix.as_str()];
                let keys = rig.keys_of(user).await;
                let is_kept = keys.len() == 1 && keys.get(&pair.id) == Some(&true);
                unless(is_kept, format!("{user} has {} keys, and its own is {:?}", keys.len(), keys.get(&pair.id)))
            }
            Self::Exit(code) => unless(last == Some(*code), format!("exit code {last:?}")),
            Self::ExitNot(code) => unless(last != Some(*code), format!("exit code {last:?}")),
            Self::Creates(most) => unless(rig.made <= *most, format!("{} keys were asked for", rig.made)),
            Self::Says(words) => {
                let said = rig.said.to_lowercase();
                let is_said = words.iter().any(|word| has_word(&said, &rig.filled(word).to_lowercase()));
                unless(is_said, format!("nothing says {words:?}"))
            }
            Self::Any(checks) => {
                let mut all = Vec::new();
                for check in checks {
                    all.push(Box::pin(check.fails(rig, before, after)).await?);
                }
                Some(all.join(" and "))
            }
        }
    }
}

/// Whether the text has the word, and not as a part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let letter = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let goes_on_before = letter(word.chars().next()) && letter(before.chars().next_back());
        let goes_on_after = letter(word.chars().next_back()) && letter(after.chars().next());
        !goes_on_before && !goes_on_after
    })
}

/// The first user of whom `is_wrong` holds: of its keys, whether each is active, and the id of its first key.
async fn first_that(
    rig: &Rig<'_>,
    is_wrong: impl Fn(&BTreeMap<String, bool>, &str) -> bool,
    why: &str,
) -> Option<String> {
    for (user, pair) in rig.pairs.values() {
        if is_wrong(&rig.keys_of(user).await, &pair.id) {
            return Some(format!("{user} {why} {}", pair.id));
        }
    }
    None
}

/// The id as a reader may get it out of what is stored.
fn forms(id: &str) -> Vec<Vec<u8>> {
    let wide = |order: fn(u16) -> [u8; 2]| id.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let plain = vec![id.as_bytes().to_vec(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)];
    let once = plain.iter().map(|plain| STANDARD_NO_PAD.encode(plain));
    let cut = once.clone().map(|text| text.as_bytes()[..text.len() / 4 * 4].to_vec());
    let twice = once.map(|text| STANDARD.encode(text).into_bytes());
    plain.clone().into_iter().chain(cut).chain(twice).collect()
}

async fn alive(rig: &Rig<'_>, after: &Contents) -> Option<String> {
    for (user, pair) in rig.pairs.values() {
        let forms = forms(&pair.id);
        let names = |value: &Vec<u8>| forms.iter().any(|form| memchr::memmem::find(value, form).is_some());
        let named = after.iter().find(|(_, value)| names(value));
        if let Some((name, _)) = named
            && rig.keys_of(user).await.get(&pair.id) != Some(&true)
        {
            return Some(format!("{name} names {}, which IAM does not accept any more", pair.id));
        }
    }
    None
}

async fn rotated(rig: &Rig<'_>, suffix: &str, before: &Contents, after: &Contents) -> Option<String> {
    let (user, old) = &rig.pairs[suffix];
    let keys = rig.keys_of(user).await;
    let new = match keys.iter().next() {
        Some((new, true)) if keys.len() == 1 && *new != old.id => new,
        _ => return Some(format!("{user} is not rotated: {keys:?}")),
    };
    let Some(secret) = secret_after(old, before, after) else { return Some(format!("{user}: no secret is found")) };
    if !rig.accepts(&Pair::new(new, &secret)).await {
        return Some(format!("what is stored for {user} is not accepted"));
    }
    let mut expected = before.clone();
    for (user, old) in rig.pairs.values() {
        let keys = rig.keys_of(user).await;
        let replaced = keys.keys().find(|id| **id != old.id).filter(|_| !keys.contains_key(&old.id));
        let (Some(new), Some(secret)) = (replaced, secret_after(old, before, after)) else { continue };
        for value in expected.values_mut() {
            let Ok(text) = std::str::from_utf8(value) else { continue };
            let text = text.replace(&old.id, new).replace(&old.secret, &secret);
            *value = text.replace(&in_url(&old.secret), &in_url(&secret)).into_bytes();
        }
    }
    let differs = expected.iter().find(|(name, value)| after.get(*name) != Some(value));
    differs.map(|(name, _)| format!("something else than the pair has changed in {name}"))
}

/// Returns the text at the position of the old secret, unencoded: both have forty characters.
fn secret_after(old: &Pair, before: &Contents, after: &Contents) -> Option<String> {
    before.iter().find_map(|(name, value)| {
        let at = memchr::memmem::find(value, old.secret.as_bytes())?;
        let is_first = memchr::memmem::find(value, in_url(&old.secret).as_bytes()).is_none_or(|url| url > at);
        // A secret in a URL before it may have become longer or shorter.
        let at = if is_first { at } else { value.len() - at };
        let now = after.get(name)?;
        let at = if is_first { at } else { now.len().checked_sub(at)? };
        String::from_utf8(now.get(at..at + old.secret.len())?.to_vec()).ok()
    })
}
