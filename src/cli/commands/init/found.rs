//! What `init` has found, as a line for the operator and as lines of the setting `store`.

use crate::cli::output::printable::printable;

/// The width of a line.
pub(super) const WIDTH: usize = 80;

/// The longest name in the first column.
const LONGEST_NAME: usize = 40;

/// The text before the name.
const FOUND: &str = "found   ";

/// The text before the name of a file in which there is nothing to rotate.
const READ: &str = "read    ";

/// What is said of such a file.
pub(super) const NO_KEY: &str = "has no AWS key";

/// One thing that was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The name in the line: a path as an operator writes it, or a variable.
    pub(super) name: String,
    /// What is there.
    pub(super) says: String,
    /// The URIs of stores to search.
    pub(super) stores: Vec<String>,
    /// The URI of a store to consider, and what it needs.
    pub(super) comment: Option<(String, &'static str)>,
}

impl Found {
    /// Something that is only said.
    pub(super) fn said(name: impl Into<String>, says: impl Into<String>) -> Self {
        Self { name: name.into(), says: says.into(), ..Self::default() }
    }
}

/// A line for each, in columns.
pub(super) fn lines(found: &[Found]) -> Vec<String> {
    let names: Vec<String> = found.iter().map(|one| cut(&printable(&one.name), LONGEST_NAME)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |(one, name): (&Found, &String)| {
        let verb = if one.says == NO_KEY { READ } else { FOUND };
        cut(&format!("{verb}{name:width$}   {}", printable(&one.says)), WIDTH).trim_end().to_owned()
    };
    found.iter().zip(&names).map(line).collect()
}

/// At most so long; a longer text ends with `…`.
pub(super) fn cut(text: &str, longest: usize) -> String {
    let text = text.replace('\n', " ");
    if text.chars().count() <= longest {
        return text;
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// A number and its noun.
pub(super) fn counted(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_never_wider_than_the_terminal() {
        let long = "ä".repeat(200);
        let found = [Found::said(".env", "1 key"), Found::said(long.clone(), long), Found::said("a\u{1b}[2J\nb", "x")];
        let lines = lines(&found);
        assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[0].starts_with("found   .env   ") && lines[0].ends_with("   1 key"), "{lines:?}");
        assert!(lines[1].ends_with('…') && lines[2].contains("a\\u{1b}[2J b"), "{lines:?}");
        assert_eq!([counted(1, "key"), counted(2, "key")], ["1 key", "2 keys"]);
    }
}
