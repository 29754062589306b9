//! Escapes taken off, whatever kind of document they are in: those of JSON, YAML, TOML and shells, and those of URLs.
//!
//! Only for looking: what a document says to its own readers is for the module that reads it.

use super::wiped::Wiped;

/// A text without its escapes.
pub(super) struct Unescaped {
    /// What is left.
    pub(super) plain: Wiped,
    /// Whether letters may have been written as numbers: an id can be hidden in such a text.
    pub(super) spells_letters: bool,
}

/// Stands for what is not ASCII and so in no id.
const OTHER: u8 = 0xff;

/// The text without backslashes; none where it has no escape.
pub(super) fn without_backslashes(text: &[u8]) -> Option<Unescaped> {
    memchr::memchr(b'\\', text)?;
    let mut plain = Wiped::with_capacity(text.len());
    let mut spells_letters = false;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        let (said, length) = escape(&rest[at + 1..]);
        match said {
            Said::Number(code) => {
                spells_letters = true;
                plain.push(u8::try_from(code).unwrap_or(OTHER));
            }
            Said::Letter(letter) => plain.push(letter),
            Said::Nothing => {}
        }
        rest = &rest[at + 1 + length..];
    }
    plain.extend_from_slice(rest);
    (plain.len() < text.len()).then_some(Unescaped { plain, spells_letters })
}

enum Said {
    /// A character by its number.
    Number(u32),
    Letter(u8),
    Nothing,
}

/// What the bytes behind a backslash say, and how many of them are the escape.
fn escape(after: &[u8]) -> (Said, usize) {
    let of_digits = |skip: usize, count: usize| {
        let code = hexadecimal(after.get(skip..skip + count))?;
        Some((Said::Number(code), skip + count))
    };
    let unchanged = (Said::Letter(b'\\'), 0);
    let Some(first) = after.first() else { return unchanged };
    match first {
        b'u' => of_digits(1, 4).or_else(|| in_braces(after)).unwrap_or(unchanged),
        b'U' => of_digits(1, 8).unwrap_or(unchanged),
        b'x' => of_digits(1, 2).unwrap_or(unchanged),
        b'0'..=b'7' => {
            let digits = after.iter().take(3).take_while(|digit| matches!(digit, b'0'..=b'7')).count();
            let code = after[..digits].iter().fold(0, |code, digit| code * 8 + u32::from(digit - b'0'));
            (Said::Number(code), digits)
        }
        b'n' | b'r' | b't' | b'f' | b'b' | b'v' | b'a' | b'e' | b'N' | b'L' | b'P' => (Said::Letter(b'\n'), 1),
        b'\\' | b'"' | b'\'' | b'/' | b' ' | b'_' => (Said::Letter(*first), 1),
        // A backslash at the end of a line joins the next line to this one, without the break and the blanks before
        // its text.
        b'\n' | b'\r' => {
            let blanks = after.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            (Said::Nothing, blanks)
        }
        _ => unchanged,
    }
}

/// `u{41}`
fn in_braces(after: &[u8]) -> Option<(Said, usize)> {
    let digits = after.strip_prefix(b"u{")?;
    let count = digits.iter().take(7).position(|byte| *byte == b'}').filter(|count| *count > 0)?;
    Some((Said::Number(hexadecimal(digits.get(..count))?), count + 3))
}

/// The text with `%XX` taken off; `None` where the text has no such escape.
pub(super) fn without_percents(text: &[u8]) -> Option<Unescaped> {
    memchr::memchr(b'%', text)?;
    let mut plain = Wiped::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        plain.extend_from_slice(&rest[..at]);
        let code = hexadecimal(rest.get(at + 1..at + 3)).and_then(|code| u8::try_from(code).ok());
        plain.push(code.unwrap_or(b'%'));
        rest = &rest[at + if code.is_some() { 3 } else { 1 }..];
    }
    plain.extend_from_slice(rest);
    (plain.len() < text.len()).then_some(Unescaped { plain, spells_letters: true })
}

fn hexadecimal(digits: Option<&[u8]>) -> Option<u32> {
    digits?
        .iter()
        .try_fold(0_u32, |number, digit| number.checked_mul(16)?.checked_add(char::from(*digit).to_digit(16)?))
}
