//! Paragraphs that fit the width of a terminal, folded between words and never within a command.

use super::given::with_flags;

/// The number of characters.
pub(super) fn width_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// The lines of a paragraph. A word that is wider than a line stays whole, and so does a command between backticks or in
/// brackets, so that it can be pasted.
#[must_use]
pub fn wrap(paragraph: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.filter(|width| width_of(paragraph) > *width) else { return vec![paragraph.to_owned()] };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(paragraph) {
        let space = usize::from(!line.is_empty());
        if !line.is_empty() && width_of(&line) + space + width_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A paragraph as lines that fit, the second and later ones indented. A line break in it stays one.
#[must_use]
pub fn paragraph(text: &str, indent: usize, width: Option<usize>) -> String {
    // The flags make a command longer, and it has to fit with them.
    let text = with_flags(text);
    let mut paragraph = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        if ["aws ", "rotator "].iter().any(|program| line.trim_start_matches(' ').starts_with(program)) {
            // A command is to be pasted.
            paragraph.push_str(line);
            paragraph.push('\n');
            continue;
        }
        let own = line.len() - line.trim_start_matches(' ').len();
        let lines = wrap(line.trim_start_matches(' '), width.map(|width| width.saturating_sub(own + indent)));
        for (number, line) in lines.iter().enumerate() {
            let indent = if number == 0 { own } else { own + indent };
            paragraph.extend(std::iter::repeat_n(' ', indent));
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    paragraph
}

/// The words, where a command counts as one.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let end = end_of_word(rest);
        let (word, others) = rest.split_at(end);
        rest = others;
        Some(word)
    })
}

fn end_of_word(text: &str) -> usize {
    let mut closing: Option<char> = None;
    for (at, c) in text.char_indices() {
        match closing {
            Some(end) if c == end => closing = None,
            Some(_) => {}
            None if c == ' ' => return at,
            None if c == '`' => closing = text.get(at + 1..).filter(|rest| rest.contains('`')).map(|_| '`'),
            None if c == '(' => {
                let inside = text.get(at + 1..).filter(|rest| rest.starts_with("aws ") || rest.starts_with("rotator "));
                // A command, or how long something took.
                let inside =
                    inside.or_else(|| text.get(at + 1..).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())));
                closing = inside.filter(|rest| rest.contains(')')).map(|_| ')');
            }
            None => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paragraph_is_folded_between_words_and_never_within_a_command() {
        let text =
            "user a has a key: delete it (aws iam delete-access-key --user-name a) or run `rotator resume a` now";
        let lines = wrap(text, Some(24));
        let expected = [
            "user a has a key: delete",
            "it",
            "(aws iam delete-access-key --user-name a)",
            "or run",
            "`rotator resume a` now",
        ];
        assert_eq!(lines, expected);
        assert_eq!(paragraph("one two three", 2, Some(9)), "one two\n  three\n");
        assert_eq!(paragraph("one\n  two three", 2, Some(9)), "one\n  two\n    three\n");
        assert_eq!(paragraph("x\n  rotator resume a b c", 2, Some(9)), "x\n  rotator resume a b c\n");
        assert_eq!(wrap("it took long (4.2 s)", Some(17)), ["it took long", "(4.2 s)"]);
        assert_eq!(wrap("a ` b", Some(3)), ["a `", "b"], "one backtick begins nothing");
        assert_eq!(wrap("", Some(3)), [""]);
    }
}
