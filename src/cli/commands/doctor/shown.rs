//! The results of the checks, and how they are shown.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::error::{CliError, DOCTOR_FOR_THE_REST, OR_DOCTOR};
use crate::cli::output::columns::Style;
use crate::cli::output::look::Look;
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::printable::printable;

/// The result of one check.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Check {
    /// A stable name.
    pub(super) name: &'static str,
    /// Whether the check succeeded.
    pub(super) ok: bool,
    /// Whether an operator should look at it, although it is no failure.
    pub(super) warning: bool,
    /// A text for operators.
    pub(super) message: String,
}

impl Check {
    pub(super) fn of(name: &'static str, result: Result<String, CliError>) -> Self {
        match result {
            Ok(message) => Self { name, ok: true, warning: false, message },
            Err(mut error) => {
                for end in [OR_DOCTOR, DOCTOR_FOR_THE_REST] {
                    error.hint = error.hint.replace(end, "");
                }
                Self { name, ok: false, warning: false, message: error.to_string() }
            }
        }
    }

    pub(super) const fn warning(name: &'static str, message: String) -> Self {
        Self { name, ok: true, warning: true, message }
    }
}

/// What `doctor` prints.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "rotator: doctor")]
pub(in crate::cli::commands) struct Document {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The checks, in the order in which they were made.
    checks: Vec<Check>,
}

impl Document {
    pub(super) const fn new(checks: Vec<Check>) -> Self {
        Self { version: 1, checks }
    }
}

/// The columns before a message.
const COLUMN: usize = 19;

/// On a narrower terminal a message begins in a line of its own, with this indent.
const NARROW: usize = 60;
const INDENT: usize = 6;

/// The checks, each with its result, and what to do next.
pub(super) fn as_text(checks: &[Check], look: &Look) -> String {
    let mut text = String::new();
    for check in checks {
        let (word, style) = match (check.ok, check.warning) {
            (false, _) => ("FAIL", Style::Bad),
            (true, true) => ("warn", Style::Waiting),
            (true, false) => ("ok  ", Style::Good),
        };
        let is_narrow = look.width.is_some_and(|width| width < NARROW);
        let column = if is_narrow { INDENT } else { COLUMN };
        let width = look.width.map(|width| width.saturating_sub(column));
        let message = paragraph(&printable(&check.message), 0, width);
        let line = format!("\n{}", " ".repeat(column));
        let message = message.trim_end().replace('\n', &line);
        let word = look.paint.with(style, word);
        text.push_str(&if is_narrow {
            format!("{word}  {}{line}{message}\n", check.name)
        } else {
            format!("{word}  {:<12} {message}\n", check.name)
        });
    }
    let warnings = checks.iter().filter(|check| check.warning).count();
    let last = match (checks.iter().all(|check| check.ok), warnings) {
        (false, _) => "fix what FAILs, then run it again",
        (true, 0) => "`rotator plan` shows what would be rotated",
        (true, _) => "look at each `warn`; `rotator plan` shows what would be rotated",
    };
    text.push_str(&format!("\n{}", paragraph(last, 2, look.width)));
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::cli::output::columns::Paint;
    use crate::cli::output::times::Times;
    use crate::types::time::Timestamp;

    #[test]
    fn each_check_is_a_paragraph_that_fits() {
        let checks = [
            Check::of("config", Ok("/a/rotator.toml".to_owned())),
            Check::warning("entries", "files: it has no entries".to_owned()),
            Check::of("journal", Err(CliError::failed("the journal cannot be written", "name another"))),
        ];
        let times = Times::at(Timestamp::from_unix_seconds(0), TimeZone::UTC);
        let look = |width, color| Look { paint: Paint(color), width, wide: false, times: times.clone(), at_work: None };
        let expected = "\
ok    config       /a/rotator.toml
warn  entries      files: it has no entries
FAIL  journal      the journal cannot be written
                     name another

fix what FAILs, then run it again
";
        assert_eq!(as_text(&checks, &look(Some(60), false)), expected);
        let expected = "\
ok    config
      /a/rotator.toml
warn  entries
      files: it has no entries
FAIL  journal
      the journal cannot be written
        name another

fix what FAILs, then run it again
";
        assert_eq!(as_text(&checks, &look(Some(40), false)), expected);
        let coloured = as_text(&checks, &look(None, true));
        assert!(
            coloured.contains("\u{1b}[32mok  \u{1b}[0m") && coloured.contains("\u{1b}[31mFAIL\u{1b}[0m"),
            "{coloured}"
        );
        assert!(
            as_text(&checks[..2], &look(None, false))
                .ends_with("look at each `warn`; `rotator plan` shows what would be rotated\n")
        );
    }
}
