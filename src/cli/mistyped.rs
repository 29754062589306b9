//! Hints for commands and flags that other tools have. The most similar word of rotator's own would lead elsewhere:
//! `reactivate` for `rotate`, `--store` for `--force`.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue};

use super::error::CliError;

/// A word of another tool, and what rotator has instead.
const HINTS: [(&str, &str); 6] = [
    (
        "list",
        "`rotator plan` lists the keys, `rotator status` what is in flight, `rotator store list` the embedded store",
    ),
    (
        "ls",
        "`rotator plan` lists the keys, `rotator status` what is in flight, `rotator store list` the embedded store",
    ),
    ("check", "`rotator doctor` checks the configuration, `rotator plan` shows what `run` would do"),
    ("rollback", "`rotator reactivate USER` makes an old key active again, `rotator abort USER` gives a rotation up"),
    ("vault", "a store is named with `--store`: `rotator plan --store vault:MOUNT`"),
    (
        "--force",
        "nothing skips a check; `rotator status USER` shows what blocks a rotation, and the command that decides it",
    ),
];

/// Adds the hint for a word of another tool, instead of the most similar word.
pub(in crate::cli) fn with_hint(mut error: clap::Error) -> clap::Error {
    let word = [ContextKind::InvalidSubcommand, ContextKind::InvalidArg].into_iter().find_map(|kind| error.get(kind));
    let hint = match word {
        Some(ContextValue::String(word)) => HINTS.iter().find(|(known, _)| known == word).map(|(_, hint)| *hint),
        Some(_) | None => None,
    };
    if let Some(hint) = hint {
        for kind in [ContextKind::SuggestedSubcommand, ContextKind::SuggestedArg] {
            error.remove(kind);
        }
        let hint = ContextValue::StyledStrs(vec![StyledStr::from(hint)]);
        error.insert(ContextKind::Suggested, hint);
    }
    error
}

/// The error of the command line for a JSON document: its first line, and the tips.
pub(in crate::cli) fn as_error(error: &clap::Error) -> CliError {
    let told = error.render().to_string();
    let message = told.lines().next().unwrap_or_default();
    let tips: Vec<&str> = told.lines().filter_map(|line| line.trim().strip_prefix("tip: ")).collect();
    let hint = if tips.is_empty() { "see `rotator --help`".to_owned() } else { tips.join("; ") };
    CliError::usage(message.strip_prefix("error: ").unwrap_or(message), hint)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::args::Cli;

    #[test]
    fn a_word_of_another_tool_leads_to_the_right_command() {
        for (word, hint) in HINTS {
            let arguments = if word.starts_with('-') { vec!["rotator", "run", word] } else { vec!["rotator", word] };
            let error = with_hint(Cli::try_parse_from(arguments).expect_err("refused"));
            let told = error.render().to_string();
            assert!(told.contains(hint), "{word}: {told}");
            assert!(!told.contains("similar"), "{word}: {told}");
            assert_eq!(error.exit_code(), 2, "{word}");
        }
        let error = with_hint(Cli::try_parse_from(["rotator", "resmue"]).expect_err("refused"));
        let shown = as_error(&error);
        assert_eq!(shown.message, "unrecognized subcommand 'resmue'");
        assert!(shown.hint.contains("'resume'"), "{}", shown.hint);
        assert!(error.render().to_string().contains("'resume'"), "another word keeps the most similar one");
    }
}
