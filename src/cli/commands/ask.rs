//! The question before keys are rotated, with the plan above it.

use std::io::BufRead;

use super::lost_key::what_becomes_of_it;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::document::{DueShown, PlanDocument};
use crate::cli::output::paragraph::paragraph;
use crate::cli::output::printable::printable;
use crate::cli::output::{plan_table, progress};
use crate::cli::passes::campaign_failed;
use crate::engine::campaign::Engine;
use crate::engine::shutdown::Stop;
use crate::engine::survey::choice::Choice;
use crate::rotation::record::Rotation;
use crate::types::name::AccessKeyId;

/// What was answered.
pub(super) enum Answer {
    Yes,
    /// Why not.
    No(&'static str),
    /// No key is due, and no wait is to be ended.
    NothingToAsk,
}

/// What is said of the new key of a rotation in flight: either key may be the one that has leaked.
fn of_the_new_key(rotation: &Rotation) -> String {
    // To end its wait takes an abort back.
    if let Some(becomes) = what_becomes_of_it(rotation, false) {
        return format!("; {becomes}");
    }
    rotation.new_key.as_ref().map(the_other).unwrap_or_default()
}

fn the_other(new: &AccessKeyId) -> String {
    format!("; its new key {new} stays: if that one has leaked, answer no, and run `rotator rotate {new} --now`")
}

/// Shows what would be done and asks. `choice`: which rotations would be opened. `to_end`: the rotations in flight whose
/// wait would be ended. `warning`: what is said of the keys that are due. Finishing rotations that are in flight needs no
/// confirmation otherwise.
pub(super) async fn ask(
    context: &Context,
    engine: &Engine,
    choice: Option<&Choice>,
    limit: Option<usize>,
    to_end: &[Rotation],
    stop: &Stop,
    warning: impl Fn(&[DueShown]) -> Option<String>,
) -> Result<Answer, CliError> {
    let (terminal, look) = (context.terminal, context.terminal.look_on_stderr());
    let mut plan = None;
    if let Some(choice) = choice {
        let mut survey = engine.survey_now(choice).await.map_err(|error| campaign_failed(&error))?;
        engine.hold_back(&mut survey, limit).await.map_err(|error| campaign_failed(&error))?;
        plan = Some(PlanDocument::new(&survey, look.times.now()));
        // The survey holds secrets, and the answer may take long.
    }
    let due = plan.as_ref().map_or(&[][..], |plan| &plan.due);
    if due.is_empty() && to_end.is_empty() {
        return Ok(Answer::NothingToAsk);
    }
    progress::pause();
    if !due.is_empty() {
        terminal.raw(&plan_table::due(due, &look));
        terminal.raw("\n");
    }
    for line in plan_table::steps(due, &look.times) {
        terminal.raw(&paragraph(&line, 2, look.width));
    }
    for rotation in to_end {
        let line = format!(
            "{}: in flight; it waits no longer, and the old key {} is deleted after the last checks{}",
            rotation.opened.user,
            rotation.opened.old_key,
            of_the_new_key(rotation)
        );
        terminal.warn(&line);
    }
    if let Some(warning) = warning(due) {
        terminal.warn(&warning);
    }
    terminal.raw(&printable(&question(due.len(), to_end.len())));
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = tokio::select! {
        answer = answer => match answer {
            Ok(Ok(line)) if ["y", "yes"].contains(&line.trim().to_lowercase().as_str()) => Answer::Yes,
            Ok(_) | Err(_) => Answer::No("the answer was no"),
        },
        () = stop.wait() => Answer::No("it was interrupted"),
    };
    progress::go_on();
    Ok(answer)
}

/// The question, for keys that are to be rotated, and for rotations in flight that are to wait no longer.
fn question(rotate: usize, end: usize) -> String {
    let these = |number: usize, keys: &str| match number {
        1 => format!("this {keys}"),
        number => format!("these {number} {keys}s"),
    };
    match (rotate, end) {
        (rotate, 0) => format!("Rotate {}? [y/N] ", these(rotate, "key")),
        (0, end) => format!("Delete {} without a wait? [y/N] ", these(end, "old key")),
        (rotate, end) => {
            format!("Rotate {}, and delete {} without a wait? [y/N] ", these(rotate, "key"), these(end, "old key"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::question;

    #[test]
    fn the_question_says_what_an_answer_does() {
        assert_eq!(question(1, 0), "Rotate this key? [y/N] ");
        assert_eq!(question(3, 0), "Rotate these 3 keys? [y/N] ");
        assert_eq!(question(0, 1), "Delete this old key without a wait? [y/N] ");
        assert_eq!(question(1, 2), "Rotate this key, and delete these 2 old keys without a wait? [y/N] ");
    }
}
