//! Connection strings: URLs with a pair in their user information or their query, and lists like `Key=Value;Key=Value`.
//!
//! Only what surely is a pair is offered: one id and one secret, both by their form, both in the same kind of part. A
//! password for Amazon SES is derived from a secret key and is not one itself, so no `smtp:` is ever touched.

use std::collections::BTreeMap;
use std::ops::Range;

use zeroize::Zeroizing;

use super::field::{Encoding, Field, Unclear, Writing};
use super::key_format;
use super::label::{Half, Label, are_a_login, is_about_another_secret};
use super::references::without_percents;
use crate::types::place::{Location, Part};

/// Of more parts no connection string is that anything reads.
const MOST_PIECES: usize = 100_000;

/// What RFC 3986 never encodes.
const UNRESERVED: &[u8] = b"-._~";
/// What base 64 uses besides letters and digits, as far as a reader accepts it in that part of a URL.
const RAW_IN_USER: &[u8] = b"-._~+=";
const RAW_IN_QUERY: &[u8] = b"-._~+=/";
const RAW_IN_LIST: &[u8] = b"-._+=/";

/// One part of a connection string.
struct Piece {
    part: Part,
    /// Its bytes in the string.
    span: Range<usize>,
    text: Zeroizing<String>,
    plain: &'static [u8],
    percent: Percent,
}

/// Whether a part may have percent signs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Percent {
    /// It has some already.
    Has,
    /// It may get some.
    May,
    /// They would mean themselves.
    Never,
}

impl Piece {
    /// A part of a URL. A plus stays a plus: no secret has a blank.
    fn of_url(part: Part, string: &str, span: Range<usize>) -> Option<Self> {
        let written = &string[span.clone()];
        let text = match without_percents(written.as_bytes()) {
            Some(bytes) => Zeroizing::new(std::str::from_utf8(&bytes).ok()?.to_owned()),
            None => Zeroizing::new(written.to_owned()),
        };
        // A reader that takes `+` or `/` as it is today may not take off an encoding; all others do, as the standard asks.
        let percent = if written.contains('%') { Percent::Has } else { Percent::May };
        let is_raw = percent == Percent::May && written.contains(['+', '/', '=']);
        let plain = match (&part, is_raw) {
            (_, false) => UNRESERVED,
            (Part::Parameter { .. }, true) => RAW_IN_QUERY,
            (Part::User | Part::Password | Part::Item { .. }, true) => RAW_IN_USER,
        };
        Some(Self { part, span, text, plain, percent })
    }

    fn name(&self) -> &str {
        match &self.part {
            Part::User | Part::Password => "",
            Part::Parameter { name } | Part::Item { name } => name,
        }
    }

    /// Which half of a pair its name says that it is.
    fn half(&self) -> Option<Half> {
        Label::of(self.name()).map(|label| label.half)
    }
}

/// Whether the names of two parts say nothing against a pair.
fn may_be_a_pair(id: &Piece, secret: &Piece) -> bool {
    let says = |piece: &Piece, half: Half| piece.half() == Some(half);
    let is_of_another = |piece: &Piece| piece.half().is_none() && is_about_another_secret(piece.name());
    !says(id, Half::Secret)
        && !says(secret, Half::Id)
        && (are_a_login(id.name(), secret.name()) || !(is_of_another(id) || is_of_another(secret)))
}

/// The positions and the texts of the id and the secret in a connection string that has exactly one of each.
pub(super) fn pair(string: &str) -> Option<(PartText, PartText)> {
    // Most texts are not connection strings: seen without taking them apart.
    let may_be = string.contains("AKIA") || string.contains("ASIA");
    if !may_be || !(string.contains("://") || string.contains(';')) {
        return None;
    }
    let pieces = pieces(string)?;
    let mut ids = pieces.iter().filter(|piece| key_format::has_id_form(&piece.text));
    let mut secrets = pieces.iter().filter(|piece| key_format::has_secret_form(&piece.text));
    let (id, secret) = (ids.next()?, secrets.next()?);
    if ids.next().is_some() || secrets.next().is_some() {
        return None;
    }
    let fits = match (&id.part, &secret.part) {
        (Part::User, Part::Password)
        | (Part::Parameter { .. }, Part::Parameter { .. })
        | (Part::Item { .. }, Part::Item { .. }) => true,
        (Part::User | Part::Password | Part::Parameter { .. } | Part::Item { .. }, _) => false,
    };
    if !fits || !may_be_a_pair(id, secret) {
        return None;
    }
    let half = |piece: &Piece| (piece.part.clone(), piece.text.clone());
    Some((half(id), half(secret)))
}

/// A part and what it says.
type PartText = (Part, Zeroizing<String>);

/// The parts of the connection string that `string` is, a field of `document`.
pub(super) fn fields(document: &str, string: &Field) -> Option<Vec<Field>> {
    let said = string.text.as_ref().ok()?;
    let pieces = pieces(said)?;
    let mut times: BTreeMap<&Part, usize> = BTreeMap::new();
    for piece in &pieces {
        *times.entry(&piece.part).or_default() += 1;
    }
    let interpolates = matches!(&string.location, Location::Variable { section: Some(_), .. });
    let offsets = offsets(document, string, said);
    let fields = pieces.iter().map(|piece| {
        let written = offsets.as_ref().and_then(|offsets| offsets.of(&piece.span));
        Field {
            location: Location::Connection { within: Box::new(string.location.clone()), part: piece.part.clone() },
            name: None,
            group: string.group.clone(),
            text: if written.is_some() { Ok(piece.text.clone()) } else { Err(Unclear::Escaped) },
            span: written.unwrap_or(string.span.clone()),
            writing: Writing::Part(Encoding {
                plain: piece.plain,
                percent: piece.percent == Percent::Has || (piece.percent == Percent::May && !interpolates),
            }),
            twice: times.get(&piece.part).is_some_and(|times| *times > 1),
            alias_group: string.alias_group,
        }
    });
    Some(fields.collect())
}

fn pieces(string: &str) -> Option<Vec<Piece>> {
    if string.contains(|letter: char| letter.is_control()) {
        return None;
    }
    let url = if string.contains(char::is_whitespace) { None } else { url(string) };
    match url {
        Some(pieces) if !pieces.is_empty() => Some(pieces),
        _ => list(string),
    }
}

/// `scheme://user:password@host/path?name=value&name=value#fragment`. None: no URL, or one that is not touched.
fn url(string: &str) -> Option<Vec<Piece>> {
    let (scheme, rest) = string.split_once("://")?;
    // `s3::https` is how some write a getter before the scheme.
    let in_scheme = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b':');
    if !scheme.starts_with(|first: char| first.is_ascii_alphabetic()) || !scheme.bytes().all(in_scheme) {
        return None;
    }
    if scheme.to_ascii_lowercase().contains("smtp") {
        return None;
    }
    let start = string.len() - rest.len();
    let rest = rest.split('#').next()?;
    let (before, query) = rest.split_once('?').map_or((rest, None), |(before, query)| (before, Some(query)));
    let authority = before.split('/').next()?;
    let mut pieces = Vec::new();
    if let Some((user_info, host)) = authority.split_once('@')
        && !host.contains('@')
        && let Some((user, _)) = user_info.split_once(':')
    {
        let colon = start + user.len();
        pieces.push(Piece::of_url(Part::User, string, start..colon)?);
        pieces.push(Piece::of_url(Part::Password, string, colon + 1..start + user_info.len())?);
    }
    if let Some(query) = query {
        let mut at = start + before.len() + 1;
        for parameter in query.split('&') {
            if pieces.len() > MOST_PIECES {
                return None;
            }
            if let Some((name, value)) = parameter.split_once('=') {
                let part = Part::Parameter { name: name.to_owned() };
                let begin = at + name.len() + 1;
                pieces.push(Piece::of_url(part, string, begin..begin + value.len())?);
            }
            at += parameter.len() + 1;
        }
    }
    Some(pieces)
}

/// `Key=Value;Key=Value`, nothing else among them.
fn list(string: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    for item in string.split(';') {
        if pieces.len() > MOST_PIECES {
            return None;
        }
        if !item.trim().is_empty() {
            let (name, value) = item.split_once('=')?;
            let part = Part::Item { name: name.trim().to_owned() };
            let begin = at + name.len() + 1 + (value.len() - value.trim_start().len());
            let text = Zeroizing::new(value.trim().to_owned());
            let span = begin..begin + text.len();
            pieces.push(Piece { part, span, text, plain: RAW_IN_LIST, percent: Percent::Never });
        }
        at += item.len() + 1;
    }
    (pieces.len() > 1).then_some(pieces)
}

/// Which bytes of a document say which bytes of a text in it.
pub(super) struct Offsets {
    start: usize,
    /// Where each byte of the text is written, from `start`; none where it is written as it is.
    escaped: Option<Vec<usize>>,
}

impl Offsets {
    pub(super) fn of(&self, said: &Range<usize>) -> Option<Range<usize>> {
        let at = |byte: usize| match &self.escaped {
            None => Some(self.start + byte),
            Some(escaped) => Some(self.start + escaped.get(byte)?),
        };
        Some(at(said.start)?..at(said.end)?)
    }
}

/// `None` where that is unclear.
pub(super) fn offsets(document: &str, field: &Field, said: &str) -> Option<Offsets> {
    if field.writing == Writing::Fixed {
        return in_lines(document, field, said);
    }
    let quote = usize::from(field.writing == Writing::JsonString);
    let start = field.span.start + quote;
    let written = document.get(start..field.span.end.checked_sub(quote)?)?;
    let may_escape = matches!(field.writing, Writing::JsonString | Writing::DoubleQuoted);
    let escaped = if written == said { None } else { Some(escaped(written, said).filter(|_| may_escape)?) };
    Some(Offsets { start, escaped })
}

/// Over several lines: as they are, or as a block of YAML's, each behind the same blanks.
fn in_lines(document: &str, field: &Field, said: &str) -> Option<Offsets> {
    let written = document.get(field.span.clone())?;
    if let Some(start) = written.strip_suffix(said).map(str::len) {
        return Some(Offsets { start: field.span.start + start, escaped: None });
    }
    // What a block begins with, `|`, may be part of it or not.
    let offsets = written.split_once('\n').and_then(|(head, _)| block(written, head.len() + 1, said));
    let escaped = offsets.or_else(|| block(written, 0, said))?;
    Some(Offsets { start: field.span.start, escaped: Some(escaped) })
}

/// The offset in `written` of each byte of `said`. The lines of `written` begin at `at`.
fn block(written: &str, mut at: usize, said: &str) -> Option<Vec<usize>> {
    let (first, mut blanks) = (at, None);
    let mut offsets = Vec::with_capacity(said.len() + 1);
    for line in said.split('\n') {
        let rest = written.get(at..)?;
        let full = rest.split('\n').next()?;
        let bare = full.strip_suffix('\r').filter(|_| !line.ends_with('\r')).unwrap_or(full);
        let before = bare.strip_suffix(line)?;
        let is_first_of_all = at == 0 && first == 0;
        let is_alike = line.is_empty() || is_first_of_all || *blanks.get_or_insert(before) == before;
        if before.bytes().any(|byte| byte != b' ') || !is_alike {
            return None;
        }
        offsets.extend((0..=line.len()).map(|byte| at + before.len() + byte));
        at += full.len() + 1;
    }
    Some(offsets)
}

/// The offset in `written` of each byte of `said`. `written` has the escapes that JSON, YAML and TOML share.
fn escaped(written: &str, said: &str) -> Option<Vec<usize>> {
    let mut offsets = Vec::with_capacity(said.len() + 1);
    let mut at = 0;
    while let Some(first) = written[at..].chars().next() {
        let rest = &written[at..];
        let (letter, length) = match (first, rest.as_bytes().get(1)) {
            ('\\', Some(b'u')) => (char::from_u32(u32::from_str_radix(rest.get(2..6)?, 16).ok()?)?, 6),
            ('\\', Some(b'n')) => ('\n', 2),
            ('\\', Some(b'r')) => ('\r', 2),
            ('\\', Some(b't')) => ('\t', 2),
            ('\\', Some(b'b')) => ('\u{8}', 2),
            ('\\', Some(b'f')) => ('\u{c}', 2),
            ('\\', Some(byte @ (b'\\' | b'"' | b'/'))) => (char::from(*byte), 2),
            ('\\', _) => return None,
            _ => (first, first.len_utf8()),
        };
        if !said.get(offsets.len()..)?.starts_with(letter) {
            return None;
        }
        offsets.resize(offsets.len() + letter.len_utf8(), at);
        at += length;
    }
    if offsets.len() != said.len() {
        return None;
    }
    offsets.push(at);
    Some(offsets)
}

#[cfg(test)]
mod tests;
