//! Plain technical English: some words hide the subject or the meaning, and stay out of comments, messages and
//! documents. Reads the files as text, without code in backticks.

use std::fs;
use std::path::{Path, PathBuf};

use super::promises::documents;

/// Words that are not used, each with what to write instead. A phrase is also found across line breaks.
const WORDS: [(&str, &str); 21] = [
    ("is none", "is not a valid …"),
    ("are none", "there are no …"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("a person", "an operator, or you"),
    ("a person's", "an operator's, or your"),
    ("people", "operators, or you"),
    ("people's", "operators', or your"),
    ("somebody", "another writer, another user, …"),
    ("somebody's", "that of another writer"),
    ("nobody", "no …"),
    ("nobody's", "of no …"),
    ("whoever", "the caller, the user, …"),
    ("may land", "may still take effect"),
    ("told", "reported"),
    ("so often", "the number of times"),
    ("so many", "the number"),
    ("of aws's", "AWS"),
    ("of iam's", "of IAM"),
    ("in earnest", "in production"),
];

/// Written by `scripts/torture --full`, in the words of the tests.
const GENERATED: &str = "docs/testing/results.md";

/// One comment, string literal or document: its words in order, each with its line. An empty word is punctuation.
#[derive(Default)]
struct Piece(Vec<(usize, String)>);

impl Piece {
    /// Adds a line, without the code in backticks.
    fn add(&mut self, line: usize, text: &str) {
        let (mut word, mut at) = (String::new(), 0);
        let text: Vec<char> = text.chars().collect();
        while at <= text.len() {
            let letter = text.get(at).copied().unwrap_or(' ');
            at += 1;
            if letter.is_alphanumeric() || "'_-’".contains(letter) {
                word.extend(if letter == '’' { '\''.to_lowercase() } else { letter.to_lowercase() });
                continue;
            }
            if !word.is_empty() {
                self.0.push((line, std::mem::take(&mut word)));
            }
            if !letter.is_whitespace() && letter != '*' {
                self.0.push((line, String::new()));
            }
            if letter == '`' {
                at += text[at..].iter().position(|letter| *letter == '`').map_or(0, |length| length + 1);
            }
        }
    }

    /// Each word that is not used: the line on which it begins, the word, and what to write instead.
    fn wrong(&self) -> Vec<(usize, &'static str, &'static str)> {
        let begins = |at: usize, word: &str| {
            word.split(' ')
                .enumerate()
                .all(|(offset, part)| self.0.get(at + offset).is_some_and(|(_, found)| found == part))
        };
        let all = (0..self.0.len()).flat_map(|at| WORDS.map(|(word, instead)| (at, word, instead)));
        all.filter(|(at, word, _)| begins(*at, word)).map(|(at, word, instead)| (self.0[at].0, word, instead)).collect()
    }
}

/// The comments of Rust source and, apart from them, its string literals.
fn pieces_of_rust(text: &str) -> (Vec<Piece>, Vec<Piece>) {
    let (mut comments, mut strings) = (Vec::new(), Vec::new());
    // The literal that a line has left open, and the text that closes it.
    let mut open: Option<(Piece, String)> = None;
    let mut previous_comment = None;
    for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line)) {
        let mut rest = line;
        loop {
            if let Some((mut piece, close)) = open.take() {
                let end = closing(rest, &close);
                let text = end.map_or_else(|| rest.trim_end_matches('\\'), |end| &rest[..end]);
                piece.add(number, &text.replace("\\n", " "));
                let Some(end) = end else {
                    open = Some((piece, close));
                    break;
                };
                strings.push(piece);
                rest = &rest[end + close.len()..];
            }
            let Some((at, token)) = next_token(rest) else { break };
            if token == "//" {
                let is_continued = at == rest.len() - rest.trim_start().len() && previous_comment == Some(number - 1);
                if !is_continued {
                    comments.push(Piece::default());
                }
                previous_comment = Some(number);
                let comment = comments.last_mut().expect("one was pushed");
                comment.add(number, rest[at..].trim_start_matches(['/', '!']));
                break;
            }
            open = Some((Piece::default(), token.trim_start_matches(['r', 'b']).chars().rev().collect()));
            rest = &rest[at + token.len()..];
        }
    }
    (comments, strings)
}

/// Where the literal ends in this line: before the text that closes it, if no backslash escapes that.
fn closing(text: &str, close: &str) -> Option<usize> {
    if close.len() > 1 {
        return text.find(close);
    }
    let mut is_escaped = false;
    text.char_indices().find_map(|(at, letter)| {
        let ends = letter == '"' && !is_escaped;
        is_escaped = letter == '\\' && !is_escaped;
        ends.then_some(at)
    })
}

/// The next comment or literal of a line of code, and the token that opens it.
fn next_token(code: &str) -> Option<(usize, &str)> {
    let mut at = 0;
    while let Some(letter) = code[at..].chars().next() {
        let rest = &code[at..];
        if rest.starts_with("//") {
            return Some((at, "//"));
        }
        if letter == '"' {
            return Some((at, "\""));
        }
        if let Some(raw) =
            rest.strip_prefix("r#").map(|more| more.trim_start_matches('#')).filter(|more| more.starts_with('"'))
        {
            return Some((at, &rest[..=rest.len() - raw.len()]));
        }
        // A quote or a slash as a character literal opens nothing.
        at += ["'\"'", "'\\\"'", "'/'"]
            .iter()
            .find(|literal| rest.starts_with(**literal))
            .map_or(letter.len_utf8(), |literal| literal.len());
    }
    None
}

/// Every Rust and SQL file below this folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
            found.push(path);
        }
    }
    found
}

/// The comments of a Rust source and, of the product, its string literals; of any other file the text outside of blocks
/// of code.
fn pieces(name: &str, text: &str) -> Vec<Piece> {
    if !name.ends_with(".rs") {
        let (mut document, mut is_code) = (Piece::default(), false);
        for (at, line) in text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            if !is_code {
                document.add(at + 1, line);
            }
        }
        return vec![document];
    }
    let (mut all, _) = pieces_of_rust(text);
    if name.starts_with("src/") && !name.ends_with("tests.rs") && !name.contains("/tests/") {
        let product = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        all.extend(pieces_of_rust(product).1);
    }
    all
}

#[test]
fn comments_messages_and_documents_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root.join(name)).to_vec();
    files.extend(documents(&root.join("docs")));
    files.extend(
        ["src", "tests", "fuzz/fuzz_targets", "migrations"].iter().flat_map(|folder| sources(&root.join(folder))),
    );
    let (mut broken, mut read) = (Vec::new(), 0);
    for path in files {
        let name = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        let all = pieces(&name, &fs::read_to_string(&path).expect("UTF-8"));
        read += all.iter().map(|piece| piece.0.len()).sum::<usize>();
        if name == GENERATED {
            continue;
        }
        let wrong = all.iter().flat_map(Piece::wrong);
        broken.extend(wrong.map(|(line, word, instead)| format!("{name}:{line}: {word}: write {instead}")));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(read > 100_000, "only {read} words are read: this test reads the files wrongly");
}

fn wrong(pieces: &[Piece]) -> Vec<(usize, &'static str)> {
    pieces.iter().flat_map(Piece::wrong).map(|(line, word, _)| (line, word)).collect()
}

#[test]
fn a_word_is_found_across_lines_and_not_in_code() {
    let text = "It says so to a\nperson. `nobody` and\n```sh\ntold\n```\nare code.";
    assert_eq!(wrong(&pieces("docs/a.md", text)), [(1, "a person")]);
}

#[test]
fn a_word_is_found_in_comments_and_in_literals_of_the_product() {
    let source = concat!(
        "/// This is so\n/// many, and `nobody` is quoted.\nlet told = \"a_person\"; // Nobody.\n",
        "say(\"\\\"a\\\n  person\\\" \", '\"', r#\"\"told\"\"#, \"x\"); // It is, none.\n",
    );
    let (comments, literals) = pieces_of_rust(source);
    assert_eq!(wrong(&comments), [(1, "so many"), (3, "nobody")]);
    assert_eq!(wrong(&literals), [(4, "a person"), (5, "told")]);
    assert_eq!(literals.len(), 4, "the quote in a character literal opens no literal");
    assert_eq!(wrong(&pieces("src/a.rs", source)).len(), 4);
    assert_eq!(wrong(&pieces("tests/a.rs", source)).len(), 2);
}
