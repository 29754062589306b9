//! `docs/operations.md` has a row for each block reason and each skip reason, and for no other name.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rotator::discovery::SkipReason;

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

/// The names in the first cells of the tables of this section.
fn rows(section: &str) -> BTreeSet<String> {
    let page = read("docs/operations.md");
    let found = page.split("\n## ").find(|text| text.starts_with(section));
    let text = found.unwrap_or_else(|| panic!("docs/operations.md has no section {section}"));
    let cells = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once("` |"));
    let is_reason = |name: &&str| name.chars().all(|letter| letter.is_ascii_lowercase() || "-8".contains(letter));
    cells.map(|(name, _)| name).filter(is_reason).map(str::to_owned).collect()
}

#[test]
fn each_block_reason_is_in_the_manual() {
    let names = block_reasons();
    assert_eq!(names, rows("Block reasons"));
    assert!(names.len() >= 20, "only {} names are read: this test reads the source wrongly", names.len());
}

#[test]
fn each_skip_reason_is_in_the_manual() {
    let names: BTreeSet<String> = SkipReason::ALL.iter().map(|reason| reason.name().to_owned()).collect();
    assert_eq!(names, rows("Skip reasons"));
}
