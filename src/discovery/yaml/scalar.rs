//! One YAML scalar: which of its bytes say what it says, and how they are written.

use std::ops::Range;

use saphyr_parser::ScalarStyle;
use zeroize::Zeroizing;

use crate::discovery::field::{FieldText, Unclear, Writing};

/// A scalar as it was read.
pub(super) struct Scalar {
    /// Within what the parser said is the scalar.
    pub(super) span: Range<usize>,
    pub(super) text: FieldText,
    pub(super) writing: Writing,
}

/// Reads `written`, the parser's span, which says `said`. The span begins with any anchor and tag, and may end in blanks.
pub(super) fn read(written: &str, said: &str, style: ScalarStyle) -> Scalar {
    let found = match style {
        ScalarStyle::Plain => plain(written, said),
        ScalarStyle::SingleQuoted => quoted(written, said, '\''),
        ScalarStyle::DoubleQuoted => quoted(written, said, '"'),
        ScalarStyle::Literal => return literal(written, said),
        ScalarStyle::Folded => None,
    };
    match found {
        Some((span, writing)) => Scalar { span, text: Ok(Zeroizing::new(said.to_owned())), writing },
        None => Scalar { span: 0..written.len(), text: Err(Unclear::Folded), writing: Writing::Fixed },
    }
}

/// Whether a scalar without quotes is no string: nothing, or a truth value.
pub(super) fn is_no_string(said: &str) -> bool {
    matches!(said, "" | "~" | "null" | "Null" | "NULL" | "true" | "True" | "TRUE" | "false" | "False" | "FALSE")
}

fn plain(written: &str, said: &str) -> Option<(Range<usize>, Writing)> {
    let start = after_properties(written);
    let body = written[start..].trim_end();
    (body == said).then_some((start..start + body.len(), Writing::YamlPlain))
}

/// On one line, between its quotes.
fn quoted(written: &str, said: &str, quote: char) -> Option<(Range<usize>, Writing)> {
    let start = after_properties(written) + 1;
    let body = written[start - 1..].strip_prefix(quote)?;
    let inner = &body[..closing(body.as_bytes(), quote)?];
    let (says_it, writing) = if quote == '"' {
        (inner == said || inner.contains('\\'), Writing::DoubleQuoted)
    } else {
        (inner == said || inner.replace("''", "'") == said, Writing::SingleQuoted)
    };
    (says_it && !inner.contains(['\n', '\r'])).then_some((start..start + inner.len(), writing))
}

/// Where the quote closes.
fn closing(body: &[u8], quote: char) -> Option<usize> {
    let mut at = 0;
    loop {
        at += match (body.get(at)?, quote) {
            (b'\\', '"') => 2,
            (b'\'', '\'') if body.get(at + 1) == Some(&b'\'') => 2,
            (b'\'', '\'') | (b'"', '"') => return Some(at),
            _ => 1,
        };
    }
}

/// After `|`: the only line, without the blanks before it. That it ends a line is how it is written, not what it says.
fn literal(written: &str, said: &str) -> Scalar {
    let content = said.trim_end_matches('\n');
    let text = Ok(Zeroizing::new(content.to_owned()));
    if content.contains('\n') || content.is_empty() {
        return Scalar { span: 0..written.len(), text, writing: Writing::Fixed };
    }
    let mut at = 0;
    let mut found = Vec::new();
    for line in written.split_inclusive(['\n', '\r']) {
        let bare = line.trim_end_matches(['\n', '\r']);
        if bare.strip_suffix(content).is_some_and(|before| before.bytes().all(|byte| byte == b' ')) {
            found.push(at + bare.len() - content.len()..at + bare.len());
        }
        at += line.len();
    }
    match found.as_slice() {
        [span] => Scalar { span: span.clone(), text, writing: Writing::YamlLiteral },
        _ => Scalar { span: 0..written.len(), text: Err(Unclear::Folded), writing: Writing::Fixed },
    }
}

/// Where the scalar itself begins, after `&anchor` and `!tag`.
fn after_properties(written: &str) -> usize {
    let mut rest = written;
    while rest.starts_with(['&', '!']) {
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        rest = rest[end..].trim_start();
    }
    written.len() - rest.len()
}
