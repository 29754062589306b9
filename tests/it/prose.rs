//! The words of the documents: plain technical English. Reads them as text, without code in them.

use std::fs;
use std::path::Path;

use super::promises::documents;

/// Words that are not used, each with what to write instead.
const WORDS: [(&str, &str); 17] = [
    ("is none", "is not a valid …"),
    ("are none", "there are no …"),
    ("mend", "fix"),
    ("mends", "fixes"),
    ("mended", "fixed"),
    ("a person", "an operator, or you"),
    ("somebody", "another writer, another user, …"),
    ("somebody's", "that of another writer"),
    ("nobody", "no …"),
    ("whoever", "the caller, the user, …"),
    ("may land", "may still take effect"),
    ("told", "reported"),
    ("so often", "the number"),
    ("so many", "the number"),
    ("of aws's", "AWS"),
    ("of iam's", "of IAM"),
    ("in earnest", "in production"),
];

/// Written by `scripts/torture --full`, in the words of the tests.
const GENERATED: &str = "docs/testing/results.md";

/// The words of a text in small letters, with `code` for each piece of code in a line. Blocks of code are left out.
fn words(markdown: &str) -> Vec<String> {
    let blocks = markdown.split("```").step_by(2);
    let lines = blocks.flat_map(|block| block.split('`').step_by(2)).collect::<Vec<_>>().join(" code ");
    let is_end = |letter: char| !letter.is_alphanumeric() && letter != '\'';
    lines.to_lowercase().split(is_end).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What is wrong with a text: the words around each that is not used.
fn wrong(text: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for (word, instead) in WORDS {
        let wanted: Vec<&str> = word.split(' ').collect();
        for at in (0..text.len()).filter(|at| text[*at..].iter().take(wanted.len()).eq(wanted.iter())) {
            let around = &text[at.saturating_sub(4)..(at + wanted.len() + 4).min(text.len())];
            found.push(format!("`{word}` in \"{}\": write {instead}", around.join(" ")));
        }
    }
    found
}

#[test]
fn the_documents_use_plain_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let at_the_root = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root.join(name));
    let (mut broken, mut read) = (Vec::new(), 0);
    for path in documents(&root.join("docs")).into_iter().chain(at_the_root) {
        if path == root.join(GENERATED) {
            continue;
        }
        let text = words(&fs::read_to_string(&path).expect("UTF-8"));
        read += text.len();
        broken.extend(wrong(&text).into_iter().map(|what| format!("{}: {what}", path.display())));
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(read > 10_000, "only {read} words are read: this test reads the documents wrongly");
}

#[test]
fn a_word_is_found_across_lines_and_not_in_code() {
    let text = "It says so to a\nperson. `nobody` and\n```sh\ntold\n```\nare code.";
    assert_eq!(wrong(&words(text)).len(), 1, "{:?}", wrong(&words(text)));
}
