//! The flags of this command line that say which rotations are meant. Each suggested command repeats them, so that it can
//! be pasted.

use std::borrow::Cow;
use std::path::Path;
use std::sync::OnceLock;

use crate::cli::args::{ChoiceArgs, Command, Global};
use crate::types::shell::quoted;

/// The flags, with a space before each. A process has one command line.
static FLAGS: OnceLock<String> = OnceLock::new();

/// The commands that read the configuration or the journal.
const COMMANDS: [&str; 10] =
    ["abort", "doctor", "plan", "policy", "reactivate", "resolve", "resume", "rotate", "run", "status"];

/// The flags of this `run` that choose its keys.
static CHOICE: OnceLock<String> = OnceLock::new();

/// Remembers the flags of this process.
pub(in crate::cli) fn set(global: &Global, command: &Command) {
    let _ = FLAGS.set(flags(global.config.as_deref(), global.journal.as_deref(), &global.store));
    if let Command::Run(args) = command {
        let _ = CHOICE.set(choice_flags(&args.choice));
    }
}

/// The flags of this command line with which `plan` shows the keys that it chose and skipped.
#[must_use]
pub fn for_plan() -> &'static str {
    CHOICE.get().map_or("", String::as_str)
}

/// The flags that choose keys, with a space before each, for the `plan` or the `run` of the same keys.
pub(in crate::cli) fn choice_flags(args: &ChoiceArgs) -> String {
    let many =
        |name: &str, values: &[String]| values.iter().map(|value| format!(" {name} {}", quoted(value))).collect();
    let lists: [String; 2] = [many("--only", &args.only), many("--exclude", &args.exclude)];
    let single = [
        ("--limit", &args.limit),
        ("--older-than", &args.older_than),
        ("--unused-for", &args.unused_for),
        ("--owner-template", &args.owner_template),
        ("--overlap", &args.overlap),
        ("--quarantine", &args.quarantine),
    ];
    let single = single.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", quoted(value.as_ref()?))));
    lists.into_iter().chain(single).collect()
}

fn flags(config: Option<&Path>, journal: Option<&str>, stores: &[String]) -> String {
    let config = config.map(|path| format!(" --config {}", quoted(path)));
    let journal = journal.map(|path| format!(" --journal {}", quoted(path)));
    let stores = stores.iter().map(|store| format!(" --store {}", quoted(store)));
    config.into_iter().chain(journal).chain(stores).collect()
}

/// The text with the flags in each command of rotator that it suggests: one between backticks, or one that begins a
/// line.
#[must_use]
pub fn with_flags(text: &str) -> Cow<'_, str> {
    match FLAGS.get() {
        Some(flags) if !flags.is_empty() => Cow::Owned(insert(text, flags)),
        Some(_) | None => Cow::Borrowed(text),
    }
}

fn insert(text: &str, flags: &str) -> String {
    const PROGRAM: &str = "rotator ";
    let mut out = String::with_capacity(text.len() + flags.len());
    let mut rest = text;
    while let Some(at) = rest.find(PROGRAM) {
        let (before, found) = rest.split_at(at);
        let after = &found[PROGRAM.len()..];
        out.push_str(before);
        out.push_str("rotator");
        let line = out.rsplit('\n').next().unwrap_or_default();
        let begins = line.trim_start() == "rotator" || line.ends_with("`rotator");
        let word = after.split(|c: char| !c.is_ascii_lowercase()).next().unwrap_or_default();
        if begins && COMMANDS.contains(&word) {
            out.push_str(flags);
        }
        out.push(' ');
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_repeated_in_every_suggested_command() {
        let flags = flags(Some(Path::new("my file.toml")), Some("j.db"), &["file:.env".to_owned()]);
        assert_eq!(flags, " --config 'my file.toml' --journal j.db --store file:.env");
        let flags = " --journal j.db";
        for (text, expected) in [
            ("`rotator resume` continues", "`rotator --journal j.db resume` continues"),
            ("x\n  rotator resolve a --finish\n", "x\n  rotator --journal j.db resolve a --finish\n"),
            ("a rotator run was here", "a rotator run was here"),
            ("`rotator demo` and `rotator run`", "`rotator demo` and `rotator --journal j.db run`"),
            ("rotator  both keys work", "rotator  both keys work"),
        ] {
            assert_eq!(insert(text, flags), expected);
        }
        assert_eq!(with_flags("`rotator run`"), "`rotator run`", "no flag is given to a test");
    }
}
