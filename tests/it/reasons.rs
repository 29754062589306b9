//! `docs/operations.md` has a section for each block reason and each skip reason, and for no other name. Each section
//! says what happened and what to run, and its anchor is the one that the program prints.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rotator::discovery::SkipReason;
use rotator::rotation::block_reason::BlockReason;

use super::links::{anchor, anchors};

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The names of the block reasons, which have data and therefore no list: the literals in the body of `name`.
fn block_reasons() -> BTreeSet<String> {
    let source = read("src/rotation/block_reason.rs");
    let from_head = source.split_once("pub const fn name(").expect("a function `name`").1;
    let body = from_head.split("\n    }\n").next().expect("the body");
    let code = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split('"').skip(1).step_by(2));
    names.map(str::to_owned).collect()
}

/// The sections whose headings begin with this word: the name behind it, and the text.
fn sections(word: &str) -> Vec<(String, String)> {
    let page = read("docs/operations.md");
    let sections = page.split("\n#").filter_map(|section| {
        let (heading, text) = section.trim_start_matches('#').split_once('\n')?;
        let name = heading.trim().strip_prefix(word)?.strip_prefix(": ")?;
        Some((name.to_owned(), text.to_owned()))
    });
    sections.collect()
}

/// Checks that these names have one section each, each with these items, and that no other section is there.
fn assert_sections(word: &str, names: &BTreeSet<String>, items: &[&str]) {
    let sections = sections(word);
    let found: BTreeSet<String> = sections.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(*names, found);
    assert_eq!(sections.len(), found.len(), "a section is there twice");
    for (name, text) in sections {
        for item in items {
            assert!(text.contains(&format!("\n- **{item}:** ")), "{word}: {name} does not say: {item}");
        }
    }
}

#[test]
fn each_block_reason_has_its_section() {
    let names = block_reasons();
    assert_sections("Blocked", &names, &["What happened", "Still in IAM", "What to run"]);
    assert!(names.len() >= 20, "only {} names are read: this test reads the source wrongly", names.len());
}

#[test]
fn each_skip_reason_has_its_section() {
    let names: BTreeSet<String> = SkipReason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    assert_sections("Skipped", &names, &["What happened", "Needs you", "What to run"]);
}

#[test]
fn the_section_that_a_reason_names_is_there() {
    let anchors = anchors(&read("docs/operations.md"));
    let mut sections: Vec<String> = SkipReason::ALL.iter().map(|reason| reason.docs_section()).collect();
    sections.push(BlockReason::TooManyCreates.docs_section());
    for section in sections {
        let (file, heading) = section.split_once('#').expect("a file and a heading");
        assert_eq!(file, "docs/operations.md");
        assert!(anchors.iter().any(|anchor| anchor == heading), "{section} leads nowhere");
    }
    for name in block_reasons() {
        assert_eq!(anchor(&format!("Blocked: {name}")), format!("blocked-{name}"), "as `docs_section` makes it");
    }
}
