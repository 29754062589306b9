//! The strings of a JSON document (RFC 8259), each with its bytes and its pointer (RFC 6901).
//!
//! `serde_json` checks the text; the scanner only has to know where strings begin and end.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::de::IgnoredAny;
use zeroize::Zeroizing;

use super::field::{Field, Group, Room, Writing, lies_beneath, segment};
use crate::types::place::Location;

/// Deeper documents are not read: the scanner calls itself for each level.
const DEEPEST: usize = 128;

/// The strings of the document; none where the text is no JSON, or deeper than any document in use.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    let start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    if !text[start..].trim_start().starts_with(['{', '[', '"', '/']) {
        return None;
    }
    if serde_json::from_str::<IgnoredAny>(&text[start..]).is_err() {
        let plain = Zeroizing::new(without_comments(&text[start..])?);
        serde_json::from_str::<IgnoredAny>(&plain).ok()?;
        let mut fields = self::fields(&plain)?;
        fields.iter_mut().for_each(|field| field.span = field.span.start + start..field.span.end + start);
        return Some(fields);
    }
    let mut scanner = Scanner { text, at: start, fields: Vec::new(), twice: BTreeSet::new(), room: Room::new() };
    scanner.value(&Around { pointer: String::new(), group: String::new(), name: None }, 0)?;
    let Scanner { mut fields, twice, .. } = scanner;
    if !twice.is_empty() {
        for field in &mut fields {
            let Location::Json { pointer } = &field.location else { continue };
            field.twice = lies_beneath(&twice, pointer);
        }
    }
    Some(fields)
}

/// JSON as editors' and .NET's settings have it: comments, and commas before what closes, each byte of them a blank; none
/// where the text has no such part.
fn without_comments(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let (mut comma, mut before) = (None, '{');
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => 2 + string_length(&rest[1..]),
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/")? + 2,
            _ => first.len_utf8(),
        };
        let (item, after) = rest.split_at_checked(length)?;
        match first {
            '/' => plain.extend(item.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' })),
            '}' | ']' => {
                if let Some(at) = comma.take() {
                    plain.replace_range(at..=at, " ");
                }
                plain.push(first);
            }
            _ => plain.push_str(item),
        }
        if first != '/' && !first.is_whitespace() {
            // `{,}` stays what it is: no JSON.
            comma = (first == ',' && !matches!(before, '{' | '[' | ',')).then(|| plain.len() - 1);
            before = first;
        }
        rest = after;
    }
    (plain != text).then_some(plain)
}

/// How long a string is, its quotes not counted.
fn string_length(inner: &str) -> usize {
    let mut escaped = false;
    let end = inner.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap_or(inner.len())
}

struct Scanner<'a> {
    text: &'a str,
    at: usize,
    fields: Vec<Field>,
    /// Pointers that more than one member has.
    twice: BTreeSet<String>,
    room: Room,
}

/// The position of a value in the document.
struct Around {
    pointer: String,
    /// The pointer of the object or array around it.
    group: String,
    name: Option<String>,
}

impl Scanner<'_> {
    /// Steps over one value. None: not JSON after all.
    fn value(&mut self, around: &Around, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        self.room.take(around.pointer.len())?;
        match self.peek()? {
            b'{' => self.object(&around.pointer, depth),
            b'[' => self.array(around, depth),
            b'"' => {
                let (span, text) = self.string()?;
                self.room.take_field(around.group.len() + around.name.as_ref().map_or(0, String::len))?;
                self.fields.push(Field {
                    location: Location::Json { pointer: around.pointer.clone() },
                    name: around.name.clone(),
                    group: Group::at(around.group.clone()),
                    span,
                    text: Ok(text),
                    writing: Writing::JsonString,
                    twice: false,
                    alias_group: 0,
                });
                Some(())
            }
            _ => {
                // A number, `true`, `false` or `null`.
                let rest = &self.text[self.at..];
                self.at += rest
                    .find(|letter: char| !matches!(letter, 'a'..='z' | 'E' | '0'..='9' | '+' | '-' | '.'))
                    .unwrap_or(rest.len());
                Some(())
            }
        }
    }

    fn object(&mut self, pointer: &str, depth: usize) -> Option<()> {
        let mut seen = BTreeSet::new();
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.peek()?;
            let (_, name) = self.string()?;
            let member = format!("{pointer}/{}", segment(&name));
            if !seen.insert(member.clone()) {
                self.twice.insert(member.clone());
            }
            self.expect(b':')?;
            let around = Around { pointer: member, group: pointer.to_owned(), name: Some(name.to_string()) };
            self.value(&around, depth + 1)?;
            if self.ends(b'}')? {
                return Some(());
            }
        }
    }

    fn array(&mut self, around: &Around, depth: usize) -> Option<()> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        for index in 0_usize.. {
            let pointer = format!("{}/{index}", around.pointer);
            self.value(&Around { pointer, group: around.pointer.clone(), name: None }, depth + 1)?;
            if self.ends(b']')? {
                break;
            }
        }
        Some(())
    }

    /// Steps over the blanks; the byte that follows.
    fn peek(&mut self) -> Option<u8> {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// Steps over `,` (false) or the end of an object or array (true).
    fn ends(&mut self, end: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        match byte {
            b',' => Some(false),
            byte if byte == end => Some(true),
            _ => None,
        }
    }

    /// Steps over a string: its bytes with the quotes, and what they say.
    fn string(&mut self) -> Option<(Range<usize>, Zeroizing<String>)> {
        let bytes = self.text.as_bytes();
        let start = self.at;
        if bytes.get(start) != Some(&b'"') {
            return None;
        }
        let mut end = start + 1;
        loop {
            match bytes.get(end)? {
                b'"' => break,
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        self.at = end + 1;
        let said = serde_json::from_str::<String>(self.text.get(start..self.at)?).ok()?;
        Some((start..self.at, Zeroizing::new(said)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pointer, group, name, text and whether it is there twice.
    type Parsed = (String, Group, Option<String>, String, bool);

    fn parsed(text: &str) -> Option<Vec<Parsed>> {
        let fields = fields(text)?;
        Some(
            fields
                .into_iter()
                .map(|field| {
                    let Location::Json { pointer } = field.location else { unreachable!("JSON only") };
                    let said = field.text.expect("JSON strings have a text").to_string();
                    assert_eq!(serde_json::from_str::<String>(&text[field.span]).expect("a string"), said);
                    (pointer, field.group, field.name, said, field.twice)
                })
                .collect(),
        )
    }

    #[test]
    fn every_string_has_its_pointer() {
        let group = |pointer: &str| Group::at(pointer.to_owned());
        let text =
            "\u{feff} { \"a/b\" : \"1\", \"n\": -1.5e+3, \"t\":[true,null,\"2\",{\"~\":\"\\u0041\\n\"}], \"é\":{} }\n";
        assert_eq!(
            parsed(text).expect("JSON"),
            [
                ("/a~1b".to_owned(), group(""), Some("a/b".to_owned()), "1".to_owned(), false),
                ("/t/2".to_owned(), group("/t"), None, "2".to_owned(), false),
                ("/t/3/~0".to_owned(), group("/t/3"), Some("~".to_owned()), "A\n".to_owned(), false),
            ]
        );
        assert_eq!(parsed("\"x\"").expect("JSON")[0].0, "");
        assert_eq!(parsed("[]").expect("JSON"), []);
    }

    #[test]
    fn a_name_that_is_there_twice_is_marked_with_all_beneath_it() {
        let twice =
            |text: &str| -> Vec<bool> { parsed(text).expect("JSON").into_iter().map(|field| field.4).collect() };
        assert_eq!(twice(r#"{"a":"1","a":"2","b":"3"}"#), [true, true, false]);
        assert_eq!(twice(r#"{"a":{"x":"1"},"\u0061":{"y":"2"},"ab":"3"}"#), [true, true, false]);
        assert_eq!(twice(r#"[{"a":"1"},{"a":"2"}]"#), [false, false]);
    }

    #[test]
    fn comments_and_last_commas_are_stepped_over() {
        let text = "\u{feff}// a \"b\"\n{ /* \"c\": \"d\", */ \"e//\": \"/*f\\\"*/\", // \u{e9}\n \"g\": [\"h\" , ], }";
        let parsed: Vec<_> = parsed(text).expect("JSON").into_iter().map(|field| (field.0, field.3)).collect();
        assert_eq!(parsed, [("/e~1~1".to_owned(), "/*f\"*/".to_owned()), ("/g/0".to_owned(), "h".to_owned())]);
        for text in ["{,}", "[1,,]", "{\"a\":1 /* }", "/", "// only"] {
            assert!(fields(text).is_none(), "{text}");
        }
    }

    #[test]
    fn other_text_is_no_json() {
        for text in
            ["", "a", "1", "{", "{\"a\":}", "{\"a\":\"b\"} x", "{\"a\":\"b\"}{\"a\":\"b\"}", "\"\\ud800\"", "[,]"]
        {
            assert!(fields(text).is_none(), "{text}");
        }
        assert!(fields(&"[".repeat(100_000)).is_none());
        assert!(fields(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_none());
    }
}
