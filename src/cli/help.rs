//! The command line with its help: what clap derives from `args`, and examples for each command. The help of a command
//! names the global options in a few lines; `rotator --help` explains them.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args::Cli;
use super::examples;

const GLOBAL_OPTIONS: [&str; 3] = [
    "--config FILE, --journal FILE, --store URI, --output table|wide|json,",
    "--mfa-code CODE, --log-format text|json, -v, -q, --color WHEN:",
    "see `rotator --help`",
];

/// A space at which clap folds no line. The examples have it, since a command is to be pasted.
const NO_BREAK: &str = "\u{a0}";

/// The definition of the command line, with examples.
pub(in crate::cli) fn definition() -> Command {
    let root = Cli::command();
    let global: Vec<Arg> = root.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let after = format!("{}\n\n{}", block(&root, ""), root.get_after_help().cloned().unwrap_or_default().ansi());
    with_help(root, "", &global).after_help(after)
}

/// Parses a command line, the name of the program first.
///
/// # Errors
/// What clap says about it; `--help` and `--version` are errors, too.
pub(in crate::cli) fn parse(line: &[OsString]) -> Result<Cli, clap::Error> {
    let matches = definition().try_get_matches_from(line)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut definition()))
}

/// A help or an error of clap, in lines that fit. clap itself folds no usage line and no error.
pub(in crate::cli) fn shown(told: &clap::Error, color: bool, width: Option<usize>) -> String {
    let told = told.render();
    let told = if color { told.ansi().to_string() } else { told.to_string() };
    let lines: String = told.lines().map(|line| folded(&with_whole_commands(line), width) + "\n").collect();
    lines.replace(NO_BREAK, " ")
}

/// The line with its commands between backticks as words that are not folded.
fn with_whole_commands(line: &str) -> String {
    let parts = line.split('`').enumerate();
    let parts = parts.map(|(number, part)| if number % 2 == 1 { part.replace(' ', NO_BREAK) } else { part.to_owned() });
    parts.collect::<Vec<_>>().join("`")
}

/// The line with breaks between words. The codes of colours have no width.
pub(super) fn folded(line: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|width| columns_of(line) > *width) else { return line.to_owned() };
    let own = line.len() - line.trim_start_matches(' ').len();
    let indent = own + if line.contains("Usage:") { "Usage: ".len() } else { 2 };
    let (mut text, mut column) = (String::new(), 0);
    for (number, word) in line.split(' ').enumerate() {
        if column > own && column + 1 + columns_of(word) > width {
            text.push('\n');
            text.extend(std::iter::repeat_n(' ', indent));
            column = indent;
        } else if number > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += columns_of(word);
    }
    text
}

/// The number of characters without the codes of colours.
fn columns_of(text: &str) -> usize {
    let mut is_code = false;
    let shown = text.chars().filter(|letter| {
        is_code |= *letter == '\u{1b}';
        let is_shown = !is_code;
        is_code &= *letter != 'm';
        is_shown
    });
    shown.count()
}

fn with_help(mut command: Command, words: &str, global: &[Arg]) -> Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        let words = format!("{words} {name}").trim_start().to_owned();
        command = command.mut_subcommand(name, |command| {
            // clap would add its own copies, which are shown.
            let command = command.args(global.iter().map(|arg| arg.clone().hide(true)));
            let heading = command.get_styles().get_header();
            let after = format!(
                "{}\n\n{heading}Global options:{heading:#}\n  {}",
                block(&command, &words),
                GLOBAL_OPTIONS.join("\n  ")
            );
            with_help(command, &words, global).after_help(after)
        });
    }
    command
}

/// The examples of a command, as they stand below its options.
fn block(command: &Command, words: &str) -> String {
    let heading = command.get_styles().get_header();
    let mut block = format!("{heading}Examples:{heading:#}");
    for example in examples::of(words) {
        let line = example.line.replace(' ', NO_BREAK);
        let _ = write!(block, "\n  {line}\n      {}", example.does);
    }
    block
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The words of the part of a pipeline that is rotator, as a shell would split them.
    fn words(line: &str) -> Vec<String> {
        let part = line.split(" | ").find(|part| part.starts_with("rotator")).expect("one part is rotator");
        let part = part.split(" > ").next().unwrap_or_default();
        part.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
    }

    /// The words of each command behind `rotator`.
    fn commands(command: &Command, prefix: &str, found: &mut BTreeSet<String>) {
        found.insert(prefix.to_owned());
        for command in command.get_subcommands() {
            commands(command, format!("{prefix} {}", command.get_name()).trim_start(), found);
        }
    }

    #[test]
    fn each_example_is_a_command_line_of_its_command() {
        // Another program is called to change what rotator meets.
        for (command, example) in examples::all().filter(|(_, example)| !example.line.starts_with("curl ")) {
            let parsed = definition().try_get_matches_from(words(example.line));
            assert!(parsed.is_ok(), "{}: {}", example.line, parsed.expect_err("not parsed"));
            assert!(
                words(example.line).join(" ").starts_with(format!("rotator {command}").trim_end()),
                "{}",
                example.line
            );
        }
    }

    #[test]
    fn each_command_has_examples_and_its_help_fits() {
        let mut all = BTreeSet::new();
        commands(&definition(), "", &mut all);
        assert!(all.contains("store get") && all.len() > 20, "{all:?}");
        for command in all {
            assert!(!examples::of(&command).is_empty(), "`rotator {command}` has no example");
            let line: Vec<&str> = ["rotator"].into_iter().chain(command.split_whitespace()).chain(["--help"]).collect();
            let help = definition().try_get_matches_from(line).expect_err("help");
            let help = shown(&help, false, None);
            assert!(help.contains("\nExamples:\n  "), "{command}: {help}");
            let examples = help.split("\nExamples:\n").nth(1).unwrap_or_default();
            let examples = examples.split("\n\n").next().unwrap_or_default();
            for line in examples.lines() {
                assert!(line.chars().count() <= 79, "{line}");
            }
            let explains = help.contains("Keep the journal here");
            assert_eq!(explains, command.is_empty(), "the global options are explained once: {help}");
            assert!(help.contains("--journal"), "and named everywhere: {help}");
        }
    }

    #[test]
    fn a_usage_line_is_folded_and_an_example_is_not() {
        let line = ["rotator", "resolve", "shop"];
        let error = definition().try_get_matches_from(line).expect_err("refused");
        let (plain, coloured) = (shown(&error, false, Some(40)), shown(&error, true, Some(40)));
        for text in [&plain, &coloured] {
            assert!(text.lines().all(|line| columns_of(line) <= 40 || !line.trim().contains(' ')), "{text}");
        }
        assert!(coloured.contains('\u{1b}') && coloured.lines().count() == plain.lines().count(), "{coloured}");
        assert_eq!(folded(&with_whole_commands("a `b c` d"), Some(6)).replace(NO_BREAK, " "), "a\n  `b c`\n  d");
        assert_eq!(folded("Usage: a bb ccc", Some(10)), "Usage: a\n       bb\n       ccc");
        assert_eq!(folded("  tip: \u{1b}[1maa\u{1b}[0m bb", Some(9)), "  tip: \u{1b}[1maa\u{1b}[0m\n    bb");
        let error = definition().try_get_matches_from(["rotator", "status", "--help"]).expect_err("help");
        assert!(shown(&error, false, Some(20)).contains("\n  rotator status --exit-code --waiting-ok\n"));
    }

    /// Hidden in the help, a global option still works behind the command and before it.
    #[test]
    fn a_global_option_may_stand_anywhere() {
        for line in
            [["rotator", "--journal", "j.db", "store", "list"], ["rotator", "store", "list", "--journal", "j.db"]]
        {
            let matches = definition().try_get_matches_from(line).expect("valid");
            assert_eq!(Cli::from_arg_matches(&matches).expect("valid").global.journal.as_deref(), Some("j.db"));
        }
        let line = ["rotator", "store", "list", "--stor", "x"];
        let error = definition().try_get_matches_from(line).expect_err("refused").render().to_string();
        assert!(error.contains("--store"), "{error}");
    }
}
