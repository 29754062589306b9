//! The promises that the documents make about the project: the tests that they name exist, installed packages are
//! pinned with their hashes, and a release checks its dependencies against known vulnerabilities.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every test that is named as in "it `module::name`" or "lib `module::name`", with the folder of its source.
fn named_tests(document: &str) -> Vec<(&'static str, String)> {
    let mut named = Vec::new();
    for (mark, folder) in [(" it `", "tests/it"), ("(it `", "tests/it"), (" lib `", "src")] {
        let names = document.split(mark).skip(1).filter_map(|rest| rest.split('`').next());
        named.extend(names.filter(|name| name.contains("::")).map(|name| (folder, name.to_owned())));
    }
    named
}

/// The files that a module may be in, the nearest first: a file of its own, or one of a module around it.
fn files_of(folder: &Path, modules: &[&str]) -> Vec<PathBuf> {
    let of_the_first = |length: usize| {
        let path = modules[..length].iter().fold(folder.to_owned(), |path, module| path.join(module));
        [path.with_extension("rs"), path.join("mod.rs")]
    };
    (1..=modules.len()).rev().flat_map(of_the_first).filter(|path| path.is_file()).collect()
}

/// Whether the source has a test of this name.
fn has_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else { return false };
    let attributes =
        source[..at].trim_end().lines().rev().take_while(|line| !line.trim().is_empty() && line.trim() != "}");
    attributes.into_iter().any(|line| line.trim() == "#[test]" || line.trim().starts_with("#[tokio::test"))
}

/// Every Markdown file below this folder.
pub(crate) fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path()) {
        if path.is_dir() {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

#[test]
fn each_test_that_the_documents_name_exists() {
    let (mut missing, mut seen) = (Vec::new(), 0);
    for document in documents(&root().join("docs")) {
        for (folder, name) in named_tests(&fs::read_to_string(&document).expect("UTF-8")) {
            let parts: Vec<&str> = name.split("::").collect();
            let (test, modules) = parts.split_last().expect("two parts");
            let file = files_of(&root().join(folder), modules).into_iter().next();
            if !file.is_some_and(|file| has_test(&fs::read_to_string(file).expect("UTF-8"), test)) {
                missing.push(format!("{}: {name} in {folder}", document.display()));
            }
            seen += 1;
        }
    }
    assert!(missing.is_empty(), "these tests are named and do not exist:\n{}", missing.join("\n"));
    assert!(seen > 30, "only {seen} tests are named: this test reads the documents wrongly");
}

#[test]
fn installed_packages_are_pinned_with_hashes() {
    let requirements = text("scripts/requirements.txt");
    let packages: Vec<String> = requirements.replace("\\\n", " ").lines().map(str::to_owned).collect();
    let packages: Vec<&String> = packages.iter().filter(|line| line.contains("==")).collect();
    assert!(packages.len() > 40, "moto alone needs more than {} packages", packages.len());
    for package in &packages {
        assert!(package.contains("--hash=sha256:"), "{package} has no hash");
    }
    let wanted = text("scripts/requirements.in");
    for line in wanted.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let pinned = format!("{} ", line.to_lowercase().replace("[server]", ""));
        assert!(
            packages.iter().any(|package| package.starts_with(&pinned)),
            "{line} is not in scripts/requirements.txt"
        );
    }
    let mut installs = 0;
    for script in ["scripts/test", ".ci/run", ".github/workflows/release.yml"] {
        for line in text(script).lines().filter(|line| line.contains("pip\" install") || line.contains("pip install")) {
            assert!(line.contains("--require-hashes"), "{script} installs what is not pinned: {line}");
            installs += 1;
        }
    }
    assert!(installs >= 2, "only {installs} lines install packages: this test looks for the wrong words");
}

#[test]
fn a_release_looks_up_advisories() {
    let workflow = text(".github/workflows/release.yml");
    assert!(workflow.contains("check advisories"));
    assert!(workflow.contains("needs: [advisories, tests]"), "nothing is published before both");
    for action in workflow.lines().filter_map(|line| line.trim().strip_prefix("- uses: ")) {
        let commit = action.split('@').nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action} is not pinned");
    }
    assert!(text("scripts/test").contains("check bans licenses sources"), "and the rest on each change");
}
