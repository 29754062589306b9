//! Rules of form that neither the compiler nor clippy checks: floors, file heads, lengths, and which file may use which
//! library. Reads the source as text, in the form that `cargo fmt` leaves.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const MOST_LINES: usize = 450;
const MOST_FUNCTION_LINES: usize = 80;

/// Longer, and better so: (file, function). One table of what each intent may do, an arm for each.
const LONG_FUNCTIONS: [(&str, &str); 1] = [("rotation/tests/preconditions.rs", "fn allows(")];

/// Each floor's modules; a module imports from lower floors or from itself only.
const FLOORS: [(&str, u8); 9] = [
    ("types", 0),
    ("rotation", 1),
    ("discovery", 1),
    ("journal", 2),
    ("ports", 3),
    ("engine", 4),
    ("adapters", 4),
    ("sandbox", 4),
    ("cli", 5),
];

struct Source {
    /// Below `src`, with `/`.
    name: String,
    text: String,
}

impl Source {
    /// Without tests, which may reach across.
    fn product(&self) -> &str {
        let is_test = self.name.ends_with("tests.rs") || self.name.contains("/tests/");
        if is_test {
            return "";
        }
        self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
    }

    fn code(&self) -> impl Iterator<Item = &str> {
        self.product().lines().filter(|line| !line.trim_start().starts_with("//"))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).expect("src can be read") {
            let path: PathBuf = item.expect("src can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below src").to_string_lossy().replace('\\', "/");
                found.push(Source { name, text: fs::read_to_string(&path).expect("UTF-8") });
            }
        }
    }
    assert!(found.len() > 80, "only {} files found: this test looks in the wrong place", found.len());
    found
}

fn floor(module: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

fn first_word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').next().unwrap_or_default()
}

fn report(broken: &[String]) {
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn imports_go_down_only() {
    let mut broken = Vec::new();
    let mut seen = 0;
    for source in sources() {
        let module = first_word(&source.name);
        let Some(own) = floor(module) else { continue };
        for line in source.code() {
            for (_, rest) in line.match_indices("crate::").map(|(at, found)| (at, &line[at + found.len()..])) {
                let other = first_word(rest);
                let Some(below) = floor(other) else {
                    broken.push(format!("src/{}: `crate::{other}` is on no floor", source.name));
                    continue;
                };
                seen += 1;
                if other != module && below >= own {
                    broken.push(format!("src/{} (floor {own}) imports crate::{other} (floor {below})", source.name));
                }
            }
        }
    }
    report(&broken);
    assert!(seen > 200, "only {seen} imports found: this test reads them wrongly");
}

#[test]
fn a_file_opens_with_what_lives_there_and_is_short() {
    let mut broken = Vec::new();
    for source in sources() {
        if !source.text.starts_with("//! ") {
            broken.push(format!("src/{} does not open with `//!`", source.name));
        }
        let lines = source.text.lines().count();
        if lines > MOST_LINES {
            broken.push(format!("src/{} has {lines} lines, more than {MOST_LINES}", source.name));
        }
    }
    report(&broken);
}

/// The lines from a function's head to the brace that closes it at the same depth.
fn long_functions(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let is_head = |line: &str| {
        let line = line.trim_start();
        !line.starts_with("//") && (line.starts_with("fn ") || (line.contains(" fn ") && line.contains('(')))
    };
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_head(line)) {
        let depth = line.len() - line.trim_start().len();
        let end = format!("{}}}", " ".repeat(depth));
        if line.ends_with(';') || line.ends_with('}') {
            continue;
        }
        let length = lines[at..].iter().position(|line| *line == end).map_or(0, |more| more + 1);
        let excepted = LONG_FUNCTIONS.iter().any(|(file, head)| source.name == *file && line.contains(head));
        if length > MOST_FUNCTION_LINES && !excepted {
            long.push(format!("src/{}:{}: {length} lines: {}", source.name, at + 1, line.trim()));
        }
    }
    long
}

#[test]
fn functions_are_short() {
    report(&sources().iter().flat_map(long_functions).collect::<Vec<_>>());
}

#[test]
fn each_library_has_its_place() {
    let rules: [(&str, &[&str]); 5] = [
        ("aws_sdk_", &["adapters/aws/"]),
        ("aws_config", &["adapters/aws/"]),
        ("kube::", &["adapters/stores/kubernetes/"]),
        ("k8s_openapi", &["adapters/stores/kubernetes/"]),
        ("rusqlite", &["adapters/sqlite/", "adapters/sqlite_journal/", "adapters/stores/"]),
    ];
    let mut broken = Vec::new();
    for source in sources() {
        for (library, places) in rules {
            let at_home = places.iter().any(|place| source.name.starts_with(place));
            if !at_home && source.code().any(|line| line.contains(library)) {
                broken.push(format!("src/{} names {library}, which belongs in {}", source.name, places.join(", ")));
            }
        }
    }
    report(&broken);
}

/// Only `adapters/redact` shows the text of a server or a program. These words would read or show it elsewhere.
#[test]
fn foreign_text_is_shown_by_one_function_only() {
    // The word, and the files that may contain it.
    let rules: [(&str, &[&str]); 12] = [
        ("from_utf8_lossy", &[]),
        ("serde_json::Error", &[]),
        ("error: Option<String>", &[]),
        ("errors: Vec<String>", &[]),
        ("message: Option<String>", &[]),
        ("reason: Option<String>", &[]),
        ("DisplayErrorContext", &[]),
        ("error_for_status", &[]),
        (".into_service_error()", &[]),
        // Read for a decision, not shown.
        ("ProvideErrorMetadata::message", &["adapters/aws/error.rs"]),
        // Made a `Said` there, or only counted.
        ("status.message", &["adapters/stores/kubernetes/api.rs"]),
        ("get(\"errors\")", &["adapters/stores/vault/api.rs", "adapters/stores/vault/mod.rs"]),
    ];
    let mut broken = Vec::new();
    let mut read = 0;
    for source in sources()
        .iter()
        .filter(|source| source.name.starts_with("adapters/") && !source.name.starts_with("adapters/redact"))
    {
        for line in source.code() {
            for (word, places) in rules.iter().filter(|(word, _)| line.contains(word)) {
                if !places.contains(&source.name.as_str()) {
                    broken.push(format!("src/{} has `{word}`: {}", source.name, line.trim()));
                }
            }
            // The parser's words quote what it read.
            if line.contains("serde_json::from_") && line.contains("|error|") {
                broken.push(format!("src/{} shows what a parser says: {}", source.name, line.trim()));
            }
        }
        read += 1;
    }
    report(&broken);
    assert!(read > 50, "only {read} files read: this test looks in the wrong place");
    let redact =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/adapters/redact.rs")).expect("read");
    assert!(
        redact.contains("#[derive(Clone, Default)]\npub(in crate::adapters) struct Said("),
        "and nothing that shows it"
    );
    assert!(!redact.contains("Display for Said") && !redact.contains("Debug for Said"));
}

#[test]
fn no_lint_is_silenced_and_nothing_is_printed_past_the_terminal() {
    let mut broken = Vec::new();
    for source in sources() {
        for word in ["#[allow(", "#![allow(", "println!", "eprintln!"] {
            if source.code().any(|line| line.contains(word)) {
                broken.push(format!("src/{} has {word}", source.name));
            }
        }
    }
    report(&broken);
}

/// The files that may contain `unsafe`, and how often. Each use has a comment that explains it.
const UNSAFE: [(&str, usize); 3] = [("main.rs", 3), ("zeroizing_alloc.rs", 8), ("adapters/subprocess/child.rs", 2)];

#[test]
fn unsafe_stands_only_where_it_is_named_and_explained() {
    let mut broken = Vec::new();
    for source in sources() {
        let is_unsafe = |line: &str| {
            line.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == "unsafe")
        };
        let uses =
            source.text.lines().filter(|line| !line.trim_start().starts_with("//")).filter(|line| is_unsafe(line));
        // The attribute that expects it, and its reason, are no use of it.
        let uses = uses.filter(|line| !line.contains("#[expect") && !line.contains("#![expect")).count();
        let allowed = UNSAFE.iter().find(|(name, _)| *name == source.name).map_or(0, |(_, uses)| *uses);
        if uses != allowed {
            broken.push(format!("src/{} has {uses} `unsafe`, not {allowed}", source.name));
        }
        let blocks = source.text.matches("unsafe {").count() + source.text.matches("unsafe impl").count();
        let explained = source.text.matches("// SAFETY: ").count();
        if blocks > explained {
            broken.push(format!("src/{}: {blocks} `unsafe` blocks, {explained} explained", source.name));
        }
    }
    report(&broken);
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).expect("read");
    assert!(manifest.contains("unsafe_code = \"deny\""), "and nowhere else does it compile");
}

/// The circles of imports that stay: the folder that they lie in, and of how many files they are. The sandbox has one,
/// because an administrator's request changes the very server that takes it.
const CIRCLES: [(&str, usize); 1] = [("sandbox", 2)];

/// The modules from the crate's root to this file.
fn module(file: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(parts.last(), Some(&("mod" | "lib" | "main"))) {
        parts.pop();
    }
    parts
}

/// Each path of a `use`, without its braces.
fn expand(prefix: &str, text: &str, paths: &mut Vec<String>) {
    let Some((before, inner)) = text.split_once('{') else {
        paths.push(format!("{prefix}{}", text.trim()));
        return;
    };
    let (prefix, inner) = (format!("{prefix}{}", before.trim()), inner.trim_end().trim_end_matches('}'));
    let (mut depth, mut start) = (0, 0);
    for (at, letter) in inner.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                expand(&prefix, &inner[start..at], paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        expand(&prefix, &inner[start..], paths);
    }
}

/// The paths that a file names: those of its `use`s, and those that begin with `crate`, `super` or `self`.
fn paths(source: &Source) -> Vec<String> {
    let mut paths = Vec::new();
    let mut statement = String::new();
    for line in source.code() {
        let is_use = line.trim_start().starts_with("use ")
            || line.trim_start().strip_prefix("pub").is_some_and(|rest| rest.contains(" use ") && rest.len() < 120);
        if is_use || !statement.is_empty() {
            statement.push_str(line.trim());
            if let Some(whole) = statement.strip_suffix(';') {
                expand("", whole.split_once("use ").map_or(whole, |(_, path)| path), &mut paths);
                statement.clear();
            }
            continue;
        }
        for start in ["crate::", "super::", "self::"] {
            for (at, _) in line.match_indices(start) {
                let is_path = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == ':';
                // `pub(in …)` is not an import.
                let is_whole = !line[..at].ends_with(is_path) && !line[..at].ends_with("pub(in ");
                let end = line[at..].find(|letter| !is_path(letter)).map_or(line.len(), |length| at + length);
                paths.extend(is_whole.then(|| line[at..end].to_owned()));
            }
        }
    }
    paths
}

/// The file that a path leads to: the module as far as there is one.
fn resolve<'a>(own: &[&str], path: &str, files: &BTreeMap<Vec<&str>, &'a str>) -> Option<&'a str> {
    let mut at: Vec<&str> = own.to_vec();
    let mut parts = path.split("::").map(|part| part.split(' ').next().unwrap_or_default()).peekable();
    match parts.peek().copied() {
        Some("crate") => at.clear(),
        Some("self") => {}
        Some("super") => {
            while parts.next_if_eq(&"super").is_some() {
                at.pop();
            }
        }
        Some(child) if files.contains_key(&[own, &[child]].concat()) => {}
        _ => return None,
    }
    for part in parts.skip_while(|part| ["crate", "self"].contains(part)) {
        let below = [&at[..], &[part]].concat();
        if !files.contains_key(&below) {
            break;
        }
        at = below;
    }
    files.get(&at).copied()
}

/// All files that can be reached from `file`.
fn reached<'a>(file: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut found, mut ahead) = (BTreeSet::new(), vec![file]);
    while let Some(file) = ahead.pop() {
        for next in imports.get(file).into_iter().flatten() {
            if found.insert(*next) {
                ahead.push(next);
            }
        }
    }
    found
}

fn common_folder(files: &BTreeSet<&str>) -> String {
    let mut folders = files.iter().map(|file| file.split('/').collect::<Vec<_>>());
    let mut common = folders.next().unwrap_or_default();
    common.pop();
    for folder in folders {
        let same = common.iter().zip(&folder).take_while(|(one, other)| one == other).count();
        common.truncate(same);
    }
    common.join("/")
}

#[test]
fn files_do_not_import_one_another_in_a_circle() {
    let sources = sources();
    let files: BTreeMap<Vec<&str>, &str> = sources
        .iter()
        .filter(|source| source.name != "main.rs")
        .map(|source| (module(&source.name), source.name.as_str()))
        .collect();
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in &sources {
        let own = module(&source.name);
        let named = paths(source).into_iter().filter_map(|path| resolve(&own, &path, &files));
        imports.insert(&source.name, named.filter(|file| *file != source.name).collect());
    }
    assert!(imports.values().map(BTreeSet::len).sum::<usize>() > 1000, "this test reads the imports wrongly");
    let reaches: BTreeMap<&str, BTreeSet<&str>> = imports.keys().map(|file| (*file, reached(file, &imports))).collect();
    let circle = |file: &&str| -> BTreeSet<&str> {
        reaches[file].iter().copied().filter(|other| reaches[other].contains(file)).collect()
    };
    let circles: BTreeSet<BTreeSet<&str>> = imports.keys().map(circle).filter(|circle| circle.len() > 1).collect();
    let mut left: Vec<(&str, usize)> = CIRCLES.to_vec();
    let mut broken = Vec::new();
    for circle in circles {
        let folder = common_folder(&circle);
        match left.iter().position(|(known, most)| *known == folder && circle.len() <= *most) {
            Some(at) => _ = left.remove(at),
            None => broken.push(format!("a circle of {} files in src/{folder}: {circle:?}", circle.len())),
        }
    }
    report(&broken);
}
