//! Paragraphs that fit the width of a terminal, folded between words. A command that is wider has lines of its own, which can
//! be pasted.

use super::given::{is_command, with_flags};

/// What a command in a paragraph is indented by, and its later lines once more.
const COMMAND_INDENT: usize = 2;

/// The number of characters.
pub(super) fn width_of(cell: &str) -> usize {
    if cell.is_ascii() { cell.len() } else { cell.chars().count() }
}

/// The lines of a paragraph. A word that is wider than a line stays whole, and so does a command between backticks or in
/// brackets. A command that is wider than a line has lines of its own, without these marks.
#[must_use]
pub fn wrap(paragraph: &str, width: Option<usize>) -> Vec<String> {
    let Some(width) = width.filter(|width| width_of(paragraph) > *width) else { return vec![paragraph.to_owned()] };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in words(paragraph) {
        if let Some((command, after)) = command_in(word).filter(|_| width_of(word) > width) {
            if line.ends_with(|last: char| last.is_alphanumeric()) {
                line.push(':');
            }
            lines.extend(Some(std::mem::take(&mut line)).filter(|line| !line.is_empty()));
            lines.extend(command_lines(command, COMMAND_INDENT, Some(width)));
            line.push_str(after);
            continue;
        }
        let space = usize::from(!line.is_empty());
        if !line.is_empty() && width_of(&line) + space + width_of(word) > width {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

/// The command in a word of [`words`], and what follows it but punctuation.
fn command_in(word: &str) -> Option<(&str, &str)> {
    let (opening, closing) = [('`', '`'), ('(', ')')].into_iter().find(|(opening, _)| word.starts_with(*opening))?;
    let (command, after) = word.strip_prefix(opening)?.rsplit_once(closing)?;
    is_command(command).then(|| (command, after.trim_start_matches([',', ';', '.', ':'])))
}

/// The lines of a command. One that does not fit is continued by a backslash, with each option beside its value if that fits.
#[must_use]
pub fn command_lines(command: &str, indent: usize, width: Option<usize>) -> Vec<String> {
    let whole = format!("{}{command}", " ".repeat(indent));
    // A word with a command in it has quotes within quotes.
    let is_wide = |width: &usize| width_of(&whole) > *width && !command.contains("$(");
    let Some(width) = width.filter(is_wide) else { return vec![whole] };
    // Beside the indent and the backslash.
    let most = width.saturating_sub(indent + COMMAND_INDENT + " \\".len());
    let mut groups: Vec<String> = Vec::new();
    for word in shell_words(command) {
        let takes_it = |group: &&mut String| {
            let is_option = group.starts_with('-') && !group.contains(' ');
            is_option && !word.starts_with('-') && width_of(group) + 1 + width_of(word) <= most
        };
        match groups.last_mut().filter(takes_it) {
            Some(option) => option.push_str(&format!(" {word}")),
            None => groups.push(word.to_owned()),
        }
    }
    let mut lines = vec![" ".repeat(indent)];
    let last = groups.len().saturating_sub(1);
    for (number, group) in groups.iter().enumerate() {
        let backslash = if number == last { 0 } else { " \\".len() };
        let Some(line) = lines.last_mut() else { break };
        let is_begun = !line.trim_start_matches(' ').is_empty();
        if is_begun && width_of(line) + 1 + width_of(group) + backslash > width {
            line.push_str(" \\");
            lines.push(format!("{}{group}", " ".repeat(indent + COMMAND_INDENT)));
            continue;
        }
        if is_begun {
            line.push(' ');
        }
        line.push_str(group);
    }
    lines
}

/// The words of a command as a shell takes them, with their quotes.
fn shell_words(command: &str) -> Vec<&str> {
    let (mut words, mut begin, mut quote, mut is_escaped) = (Vec::new(), 0, None, false);
    for (at, c) in command.char_indices() {
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (None | Some('"'), '\\') => is_escaped = true,
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), close) if open == close => quote = None,
            (None, ' ') => {
                words.push(&command[begin..at]);
                begin = at + 1;
            }
            (Some(_) | None, _) => {}
        }
    }
    words.push(&command[begin..]);
    words.retain(|word| !word.is_empty());
    words
}

/// A paragraph as lines that fit, the second and later ones indented. A line break in it stays one.
#[must_use]
pub fn paragraph(text: &str, indent: usize, width: Option<usize>) -> String {
    // The flags make a command longer, and it has to fit with them.
    let text = with_flags(text);
    let mut paragraph = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        let own = line.len() - line.trim_start_matches(' ').len();
        if is_command(line.trim_start_matches(' ')) {
            for line in command_lines(line.trim_start_matches(' '), own, width) {
                paragraph.push_str(&line);
                paragraph.push('\n');
            }
            continue;
        }
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
    use crate::types::shell::quoted;
    use crate::types::shell::real::{HOSTILE, words};

    #[test]
    fn a_paragraph_is_folded_between_words_and_never_within_a_command() {
        let text =
            "user a has a key: delete it (aws iam delete-access-key --user-name a) or run `rotator resume a` now";
        let lines = wrap(text, Some(24));
        let expected = [
            "user a has a key: delete",
            "it:",
            "  aws iam \\",
            "    delete-access-key \\",
            "    --user-name a",
            "or run",
            "`rotator resume a` now",
        ];
        assert_eq!(lines, expected);
        assert_eq!(paragraph("one two three", 2, Some(9)), "one two\n  three\n");
        assert_eq!(paragraph("one\n  two three", 2, Some(9)), "one\n  two\n    three\n");
        assert_eq!(paragraph("x\n  rotator resume a b c", 2, Some(9)), "x\n  rotator \\\n    resume \\\n    a b c\n");
        assert_eq!(paragraph("x\n  rotator tries it", 2, Some(14)), "x\n  rotator\n    tries it\n", "no command");
        assert_eq!(wrap("it took long (4.2 s)", Some(17)), ["it took long", "(4.2 s)"]);
        assert_eq!(wrap("a ` b", Some(3)), ["a `", "b"], "one backtick begins nothing");
        assert_eq!(wrap("", Some(3)), [""]);
    }

    #[test]
    fn a_command_that_is_wider_than_a_line_has_lines_of_its_own_that_a_shell_reads_as_one() {
        let key = "AKIAABCDEFGHIJKLMNOP";
        for user in HOSTILE.into_iter().filter(|user| !quoted(user).contains("$(")) {
            let command = format!(
                "aws iam update-access-key --user-name {} --access-key-id {key} --status Inactive",
                quoted(user)
            );
            let texts =
                [format!("turn it off ({command}), and later delete it"), format!("off:\n  {command}\nthen go on")];
            for (text, width) in texts.iter().flat_map(|text| [(text, 60), (text, 40)]) {
                let shown = paragraph(text, 2, Some(width));
                let lines: Vec<&str> = shown.lines().collect();
                let first = lines.iter().position(|line| line.trim_start().starts_with("aws iam")).expect("its line");
                let last = (first..).find(|at| !lines[*at].ends_with(" \\")).expect("an end");
                assert!(last > first && last + 1 < lines.len(), "{shown}");
                assert!(lines.iter().all(|line| line.chars().count() <= width), "{shown}");
                assert_eq!(words(&lines[first..=last].join("\n")), words(&command), "{shown}");
            }
        }
        let short = format!("run `aws iam delete-access-key --access-key-id {key}` now");
        assert!(paragraph(&short, 2, Some(80)).starts_with("run `aws iam"), "what fits stays in its sentence");
    }
}
