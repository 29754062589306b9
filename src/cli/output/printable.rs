//! Text that a terminal only displays. Control characters are always escaped.

use std::borrow::Cow;

/// `text` with escaped control characters; line breaks are kept. The name of an entry must not be able to move the
/// cursor.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    written_out(text, |c| c.escape_unicode().collect())
}

/// JSON text with escaped control characters, in JSON's own form, so that its meaning stays the same. JSON requires
/// this only for the first 32 characters, and terminals interpret others as well.
#[must_use]
pub fn printable_json(json: &str) -> Cow<'_, str> {
    written_out(json, |c| format!("\\u{:04x}", u32::from(c)))
}

fn written_out(text: &str, write: impl Fn(char) -> String) -> Cow<'_, str> {
    // This is the usual case, and fast.
    if text.bytes().all(|byte| (b' '..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    // Bidirectional control characters change the order of the text after them.
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|c| if harmful(c) { write(c) } else { c.to_string() }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_written_out() {
        assert_eq!(printable("plain ünïcode\nline"), "plain ünïcode\nline");
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("a\rb\u{202e}c"), "a\\u{d}b\\u{202e}c");
        assert_eq!(printable("\u{9b}2J\u{7f}\u{61c}"), "\\u{9b}2J\\u{7f}\\u{61c}");
    }

    #[test]
    fn json_stays_the_same_document() {
        let text = "a\u{9b}2J\u{202e}\u{7f}\u{1b}\n\"ü";
        let json = serde_json::to_string(&[text]).expect("JSON");
        let printable = printable_json(&json);
        assert!(!printable.contains(['\u{9b}', '\u{202e}', '\u{7f}']), "{printable}");
        assert_eq!(serde_json::from_str::<[String; 1]>(&printable).expect("JSON"), [text]);
    }
}
