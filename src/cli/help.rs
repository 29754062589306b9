//! The command line with its help: what clap derives from `args`, and examples for each command. The help of a command
//! names the global options in a few lines; `rotator --help` explains them.

use std::ffi::OsString;
use std::fmt::Write as _;

use clap::{Arg, Command, CommandFactory, FromArgMatches};

use super::args::Cli;
use super::examples;

const GLOBAL_OPTIONS: [&str; 2] = [
    "--config FILE, --journal FILE, --store URI, --output table|wide|json,",
    "--log-format text|json, -v, -q, --color WHEN: see `rotator --help`",
];

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
        let _ = write!(block, "\n  {}\n      {}", example.line, example.does);
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
        for (command, example) in examples::all() {
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
            let help = definition().try_get_matches_from(line).expect_err("help").render().to_string();
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
