//! The flags of this command line that say which rotations are meant. Each suggested command repeats them, so that it can
//! be pasted.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::OnceLock;

use crate::cli::args::{ChoiceArgs, Command, Global, StoreCommand};
use crate::types::shell::quoted;

/// The flags, with a space before each. A process has one command line.
static FLAGS: OnceLock<String> = OnceLock::new();

/// The commands that read the configuration or the journal.
const COMMANDS: [&str; 11] =
    ["abort", "doctor", "plan", "policy", "reactivate", "resolve", "resume", "rotate", "run", "status", "store"];

/// The flags of this `run` that choose its keys.
static CHOICE: OnceLock<String> = OnceLock::new();

/// The words of this command line after the name of the program, with a space before each.
static WORDS: OnceLock<String> = OnceLock::new();

/// Remembers the command line of this process, which is `args`.
pub(in crate::cli) fn set(args: &[OsString], global: &Global, command: &Command) {
    let _ = WORDS.set(words(args, command));
    let _ = FLAGS.set(flags(global.config.as_deref(), global.journal.as_deref(), &global.store));
    if let Command::Run(args) = command {
        let _ = CHOICE.set(choice_flags(&still_valid(&args.choice)));
    }
}

/// What chooses the same keys after the run. A rotated key has another id, and `plan` refuses a pattern of `--only` that
/// matches no key.
fn still_valid(args: &ChoiceArgs) -> ChoiceArgs {
    let names_a_key = args.only.iter().any(|pattern| pattern.starts_with("AKIA"));
    ChoiceArgs { only: if names_a_key { Vec::new() } else { args.only.clone() }, ..args.clone() }
}

/// This command line with a flag that names the configuration file.
#[must_use]
pub(in crate::cli) fn with_config(path: &Path) -> String {
    format!("rotator --config {}{}", quoted(path), WORDS.get().map_or("", String::as_str))
}

/// What follows the name of the program, without what must not be repeated: a one-time code, and a value that `store set`
/// refuses to take from a command line.
fn words(args: &[OsString], command: &Command) -> String {
    const CODE: &str = "--mfa-code";
    let refused = if let Command::Store(StoreCommand::Set { value, .. }) = command { value.len() } else { 0 };
    let mut args = args.iter().take(args.len() - refused.min(args.len())).skip(1);
    let mut words = String::new();
    while let Some(word) = args.next() {
        if word == CODE {
            args.next();
        } else if !word.as_bytes().starts_with(CODE.as_bytes()) {
            words.push(' ');
            words.push_str(&as_given(word));
        }
    }
    words
}

/// A word for a shell. An option has no quotes around its dashes.
fn as_given(word: &OsStr) -> String {
    match word.to_str().map(|text| (text, text.trim_start_matches('-'))) {
        Some((text, "")) if !text.is_empty() => text.to_owned(),
        Some((text, name)) => format!("{}{}", "-".repeat(text.len() - name.len()), quoted(name)),
        None => quoted(word),
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

/// Whether a text is a command to be pasted. A sentence may begin with the name of the program, too.
#[must_use]
pub fn is_command(text: &str) -> bool {
    let word =
        |rest: &str| rest.split(|c: char| !c.is_ascii_lowercase() && c != '-').next().unwrap_or_default().to_owned();
    match (text.strip_prefix("aws "), text.strip_prefix("rotator ")) {
        (Some(_), _) => true,
        (None, Some(rest)) => rest.starts_with("--") || COMMANDS.contains(&word(rest).as_str()),
        (None, None) => false,
    }
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
    fn a_command_line_is_repeated_without_what_is_secret() {
        use clap::Parser as _;
        let words = |args: &[&str]| {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            let cli = crate::cli::args::Cli::try_parse_from(&args).expect("valid");
            words(&args, &cli.command)
        };
        assert_eq!(words(&["rotator", "run", "--only", "a b", "--wait"]), " run --only 'a b' --wait");
        assert_eq!(words(&["rotator", "run", "--only=a b", "-v"]), " run --'only=a b' -v");
        for code in [&["--mfa-code", "123456"][..], &["--mfa-code=123456"]] {
            let args = [&["rotator"][..], code, &["rotate", "alice", "--now"]].concat();
            assert_eq!(words(&args), " rotate alice --now", "{code:?}");
        }
        assert_eq!(words(&["rotator", "store", "set", "a/b/c", "hunter2", "--more"]), " store set a/b/c");
        assert_eq!(words(&["rotator", "store", "get", "a/b/c"]), " store get a/b/c");
    }

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
            ("`rotator store list`", "`rotator --journal j.db store list`"),
            ("rotator  both keys work", "rotator  both keys work"),
        ] {
            assert_eq!(insert(text, flags), expected);
        }
        assert_eq!(with_flags("`rotator run`"), "`rotator run`", "no flag is given to a test");
    }
}
