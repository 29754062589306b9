//! An index of the windows of a text, with its escapes kept and undone, which finds a secret that shares a window
//! with the text.

use std::collections::HashSet;

/// The length of a window: fewer bytes may occur by chance.
const WINDOW: usize = 8;

/// The bits of the filter for each window, which saves most lookups.
const BITS: usize = 16;

/// The maximum depth of nested escapes, as in a body that is quoted in a text of a body.
const DEEPEST: usize = 3;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// The windows of one text.
pub(super) struct Index {
    plain: Windows,
    /// The windows with the base-64 alphabet for URLs mapped to the ordinary one.
    base64: Windows,
    quotes_a_token: bool,
}

impl Index {
    /// Indexes a text as it is, and with the escapes of JSON and of URLs undone.
    pub(super) fn of(text: &[u8]) -> Self {
        let mut texts = vec![text.to_vec()];
        let mut from = 0;
        for _ in 0..DEEPEST {
            let to = texts.len();
            for at in from..to {
                for undone in [without_backslashes(&texts[at]), without_percents(&texts[at])] {
                    if !texts.contains(&undone) {
                        texts.push(undone);
                    }
                }
            }
            from = to;
        }
        let ordinary = |byte: &u8| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => *other,
        };
        let of_urls: Vec<Vec<u8>> = texts.iter().map(|text| text.iter().map(ordinary).collect()).collect();
        let quotes_a_token = texts.iter().any(|text| has_bearer(text));
        Self { plain: Windows::of(&texts), base64: Windows::of(&of_urls), quotes_a_token }
    }

    /// Whether the text quotes an authorization header. The token of a credential plugin is not known here, so the
    /// text before it identifies it.
    pub(super) fn quotes_a_token(&self) -> bool {
        self.quotes_a_token
    }

    pub(super) fn is_empty(&self) -> bool {
        self.plain.set.is_empty()
    }

    /// Whether the text contains a part of the secret, in plain form or in base 64 with any preceding bytes.
    pub(super) fn finds(&self, secret: &[u8]) -> bool {
        self.plain.share_one_with(secret.iter().copied())
            || (0..3.min(secret.len())).any(|skipped| self.base64.share_one_with(base64(&secret[skipped..])))
    }
}

/// Whether the text has `Bearer ` and the form of a token, which is longer than a word and has a digit.
fn has_bearer(text: &[u8]) -> bool {
    let lower = text.to_ascii_lowercase();
    memchr::memmem::find_iter(&lower, b"bearer ").any(|at| {
        let after = lower[at + b"bearer ".len()..].iter();
        let is_of_a_token = |byte: &&u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(byte);
        let token: Vec<u8> = after.take_while(is_of_a_token).copied().collect();
        token.len() >= 2 * WINDOW && token.iter().any(u8::is_ascii_digit)
    })
}

struct Windows {
    /// One bit for each hash value.
    filter: Vec<u64>,
    shift: u32,
    set: HashSet<u64>,
}

impl Windows {
    fn of(texts: &[Vec<u8>]) -> Self {
        let windows = || texts.iter().flat_map(|text| text.windows(WINDOW)).filter(|window| !is_a_run(window));
        let set: HashSet<u64> =
            windows().map(|window| window.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte))).collect();
        let bits = (set.len() * BITS).next_power_of_two().max(64);
        let shift = 64 - bits.trailing_zeros();
        let mut filter = vec![0; bits / 64];
        for window in &set {
            let bit = hash(*window, shift);
            filter[bit / 64] |= 1 << (bit % 64);
        }
        Self { filter, shift, set }
    }

    fn share_one_with(&self, bytes: impl Iterator<Item = u8>) -> bool {
        let mut window = 0_u64;
        bytes.enumerate().any(|(at, byte)| {
            window = (window << 8) | u64::from(byte);
            let bit = hash(window, self.shift);
            at + 1 >= WINDOW && self.filter[bit / 64] & (1 << (bit % 64)) != 0 && self.set.contains(&window)
        })
    }
}

/// Multiplicative hashing with 2^64 divided by the golden ratio: the upper bits depend on the whole window.
fn hash(window: u64, shift: u32) -> usize {
    usize::try_from(window.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> shift).unwrap_or_default()
}

/// Whether the window is a run of one character, such as indentation, which is not a part of a secret.
fn is_a_run(window: &[u8]) -> bool {
    window.iter().all(|byte| *byte == window[0])
}

/// The base-64 letters that depend on `bytes` only.
fn base64(bytes: &[u8]) -> impl Iterator<Item = u8> + '_ {
    bytes.chunks(3).flat_map(|group| {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        let letters = [18, 12, 6, 0].map(|shift| ALPHABET[((bits >> shift) & 63) as usize]);
        letters.into_iter().take(group.len() * 8 / 6)
    })
}

fn without_percents(text: &[u8]) -> Vec<u8> {
    undone(text, b'%', |rest| Some((hexadecimal(rest.get(..2)?)?, 2)))
}

fn without_backslashes(text: &[u8]) -> Vec<u8> {
    undone(text, b'\\', |rest| {
        let letter = match rest.first()? {
            b'n' => '\n',
            b't' => '\t',
            b'r' => '\r',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'x' => return Some((hexadecimal(rest.get(1..3)?)?, 3)),
            b'u' => return unicode(rest),
            other if other.is_ascii_punctuation() => char::from(*other),
            _ => return None,
        };
        Some((u32::from(letter), 1))
    })
}

/// Parses `u0041`, or a surrogate pair.
fn unicode(rest: &[u8]) -> Option<(u32, usize)> {
    let unit = hexadecimal(rest.get(1..5)?)?;
    if !(0xd800..0xdc00).contains(&unit) {
        return Some((unit, 5));
    }
    let low = hexadecimal(rest.get(5..)?.strip_prefix(b"\\u")?.get(..4)?)?;
    (0xdc00..0xe000).contains(&low).then_some((0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 11))
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| Some(value * 16 + char::from(*digit).to_digit(16)?))
}

/// Replaces each escape after a `mark` by what `read` decodes: a letter, or a byte after a `%`.
fn undone(text: &[u8], mark: u8, read: impl Fn(&[u8]) -> Option<(u32, usize)>) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (*byte == mark).then(|| read(after)).flatten() {
            Some((value, length)) => {
                match u8::try_from(value) {
                    Ok(byte) if mark == b'%' || byte.is_ascii() => plain.push(byte),
                    Ok(_) | Err(_) => {
                        let letter = char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER);
                        plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                    }
                }
                rest = &after[length..];
            }
            None => plain.push(*byte),
        }
    }
    plain
}
