//! Every link of the documents leads to a file and a heading that exist, and every external one is well formed. Nothing
//! is fetched. The drawing of `docs/concepts.md` names every state.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

use super::promises::documents;

/// A document without its fenced blocks and comments, and each code span replaced by its text without brackets.
fn prose_of(text: &str) -> String {
    let mut prose = String::new();
    let mut fence: Option<String> = None;
    for line in text.lines() {
        let mark: String = line.trim_start().chars().take_while(|letter| "`~".contains(*letter)).collect();
        match &fence {
            Some(open) if mark.starts_with(open.as_str()) => fence = None,
            Some(_) => {}
            None if mark.len() >= 3 => fence = Some(mark),
            None => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    while let Some((before, rest)) = prose.split_once("<!--") {
        prose = format!("{before}{}", rest.split_once("-->").map_or("", |(_, after)| after));
    }
    prose
}

/// The text without its code spans, which may contain anything that looks like a link.
fn without_code(prose: &str) -> String {
    let mut kept = String::new();
    for (number, paragraph) in prose.split("\n\n").enumerate() {
        if number > 0 {
            kept.push_str("\n\n");
        }
        // A span that is not closed in its paragraph is no code.
        let parts: Vec<&str> = paragraph.split('`').collect();
        let is_closed = parts.len() % 2 == 1;
        for (at, part) in parts.iter().enumerate() {
            kept.push_str(if at % 2 == 1 && is_closed { "code" } else { part });
        }
    }
    kept
}

/// The targets of inline links and images, of reference definitions, and of autolinks.
fn targets(text: &str) -> Vec<String> {
    let text = without_code(&prose_of(text));
    let inline = text.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target));
    let defined = text.lines().filter_map(|line| line.strip_prefix('[')?.split_once("]: ").map(|(_, target)| target));
    let automatic = text.split('<').skip(1).filter_map(|rest| rest.split_once('>').map(|(target, _)| target));
    let automatic = automatic.filter(|target| target.contains("://"));
    inline.chain(defined).chain(automatic).map(|target| target.trim().to_owned()).collect()
}

/// The anchor that GitHub makes of a heading: lower case, only letters, digits, `-`, `_` and blanks, which become `-`.
pub(crate) fn anchor(heading: &str) -> String {
    let mut shown = String::new();
    let mut rest = heading;
    // Of a link only the text is shown.
    while let Some((before, (text, after))) = rest.split_once('[').and_then(|(before, link)| {
        let (text, target) = link.split_once("](")?;
        Some((before, (text, target.split_once(')')?.1)))
    }) {
        shown.push_str(before);
        shown.push_str(text);
        rest = after;
    }
    shown.push_str(rest);
    let is_kept = |letter: &char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' ');
    shown.trim().to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-")
}

/// The anchors of a document. A heading that is there again gets a number.
pub(crate) fn anchors(text: &str) -> Vec<String> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let prose = prose_of(text);
    let headings = prose.lines().filter_map(|line| {
        let rest = line.trim_start_matches('#');
        let depth = line.len() - rest.len();
        (1..=6).contains(&depth).then(|| rest.strip_prefix(' ')).flatten()
    });
    headings
        .map(|heading| {
            let plain = anchor(heading);
            let times = seen.entry(plain.clone()).and_modify(|times| *times += 1).or_insert(0);
            if *times == 0 { plain } else { format!("{plain}-{times}") }
        })
        .collect()
}

/// What is wrong with the form of an external link.
fn malformed(link: &str) -> Option<&'static str> {
    let Some(rest) = link.strip_prefix("https://") else { return Some("is not https") };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let is_label = |label: &str| {
        let is_kept = |letter: u8| letter.is_ascii_alphanumeric() || letter == b'-';
        !label.is_empty() && label.bytes().all(is_kept) && !label.starts_with('-') && !label.ends_with('-')
    };
    if host.split('.').count() < 2 || !host.split('.').all(is_label) {
        return Some("has no valid host");
    }
    let is_allowed = |letter: char| letter.is_ascii_graphic() && !"<>\"\\^`{|}".contains(letter);
    (!link.chars().all(is_allowed)).then_some("has a letter that an address cannot have")
}

/// The path without `.` and `..`, or nothing if it leaves the root.
fn inside(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for part in path.strip_prefix(root).ok()?.components() {
        match part {
            Component::ParentDir => plain.pop().then_some(())?,
            Component::CurDir => {}
            part @ (Component::Normal(_) | Component::RootDir | Component::Prefix(_)) => plain.push(part),
        }
    }
    Some(root.join(plain))
}

fn what_is_wrong(root: &Path, document: &Path, target: &str) -> Option<&'static str> {
    if target.contains("://") || target.starts_with("mailto:") {
        return malformed(target);
    }
    let (path, heading) = target.split_once('#').unwrap_or((target, ""));
    if path.starts_with('/') {
        return Some("is an absolute path");
    }
    let named = if path.is_empty() { document.to_owned() } else { document.parent()?.join(path) };
    let Some(file) = inside(root, &named) else { return Some("leads out of the repository") };
    if !file.exists() {
        return Some("leads to no file");
    }
    if heading.is_empty() {
        return if target.contains('#') { Some("has an empty anchor") } else { None };
    }
    let text = fs::read_to_string(&file).unwrap_or_default();
    (!anchors(&text).iter().any(|anchor| anchor == heading)).then_some("leads to no heading")
}

/// Each link that is wrong, and the number of all links.
fn broken(root: &Path, documents: &[PathBuf]) -> (Vec<String>, usize) {
    let (mut broken, mut seen) = (Vec::new(), 0);
    for document in documents {
        for target in targets(&fs::read_to_string(document).expect("UTF-8")) {
            let name = document.strip_prefix(root).unwrap_or(document).display();
            broken.extend(what_is_wrong(root, document, &target).map(|why| format!("{name}: {target} {why}")));
            seen += 1;
        }
    }
    (broken, seen)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    let mut all =
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name)).to_vec();
    all.extend(documents(&root().join("docs")));
    let (broken, seen) = broken(root(), &all);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(seen > 120, "only {seen} links are found: this test reads the documents wrongly");
}

#[test]
fn a_broken_link_is_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        fs::create_dir_all(folder.path().join("docs")).expect("a folder");
        fs::write(folder.path().join(name), text).expect("written");
    };
    write("docs/b.md", "# One `two`: [three](x.md)\n## Again\n## Again\n```\n# code\n```\n");
    let good = "[a](docs/b.md) [b](docs/b.md#one-two-three) [c](docs/b.md#again-1) [d](#here)\n\n# Here\n\n![e][f]\n\n\
                [f]: https://example.com/a?b#c\n\n<https://example.org> `[not](a-link.md)`\n```\n[nor](this.md)\n```\n\
                [over\nlines](docs/b.md#again)\n";
    write("a.md", good);
    let documents = [folder.path().join("a.md")];
    let found = || broken(folder.path(), &documents).0;
    assert_eq!(found(), Vec::<String>::new());
    assert_eq!(broken(folder.path(), &documents).1, 7);
    for (link, why) in [
        ("[x](docs/c.md)", "leads to no file"),
        ("[x](docs/b.md#code)", "leads to no heading"),
        ("[x](docs/b.md#again-2)", "leads to no heading"),
        ("[x](docs/b.md#)", "has an empty anchor"),
        ("[x](#nowhere)", "leads to no heading"),
        ("[x](docs/../../b.md)", "leads out of the repository"),
        ("[x](/docs/b.md)", "is an absolute path"),
        ("[x](http://example.com)", "is not https"),
        ("[x](https://example)", "has no valid host"),
        ("[x](https://example.com/a b)", "has a letter that an address cannot have"),
        ("[x]: docs/c.md", "leads to no file"),
    ] {
        write("a.md", &format!("{good}\n{link}\n"));
        let target = link.trim_start_matches("[x]").trim_start_matches(": ").trim_matches(['(', ')']);
        assert_eq!(found(), [format!("a.md: {target} {why}")]);
    }
}

#[test]
fn the_drawing_of_the_states_names_each_of_them() {
    let drawing = fs::read_to_string(root().join("docs/concepts-states.svg")).expect("a drawing");
    let source = fs::read_to_string(root().join("src/rotation/state.rs")).expect("the source")
        + &fs::read_to_string(root().join("src/rotation/event.rs")).expect("the source");
    let shown: Vec<&str> =
        drawing.split("class=\"name middle\"").skip(1).filter_map(|text| text.split(['>', '<']).nth(1)).collect();
    assert_eq!(shown.len(), 7, "four phases and three endings: {shown:?}");
    for state in &shown {
        assert!(source.contains(&format!("\"{state}\"")), "the drawing has a state {state} that no source names");
    }
    let width = drawing.split("width=\"").nth(1).and_then(|rest| rest.split('"').next());
    assert!(width.and_then(|width| width.parse::<u32>().ok()).is_some_and(|width| width <= 800), "{width:?}");
}
