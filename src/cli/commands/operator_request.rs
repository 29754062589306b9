//! What `abort`, `reactivate` and `resolve` share: the request of an operator is journaled as a fact, and the
//! rotation continues with it.

use std::sync::Arc;

use super::named_rotation::{self, Beginning};
use super::resume::resume_rotations;
use crate::adapters::system_clock::SystemClock;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::requests::{once_checked, without_a_wait};
use crate::cli::output::summary::CommandKind;
use crate::cli::passes::End;
use crate::cli::runtime::block_on;
use crate::cli::wiring::journal::{self, storage_failed};
use crate::journal::clock::Clock;
use crate::journal::line::Line;
use crate::rotation::event::{Event, OperatorRequest};
use crate::rotation::record::Rotation;
use crate::types::error_text::with_causes;
use crate::types::name::AccessKeyId;
use crate::types::shell::quoted;

/// Journals the event that `request` returns for the rotation, then resumes the rotation.
pub(super) fn submit(
    context: &Context,
    name: &str,
    request: impl FnOnce(&Config, &Rotation) -> Result<OperatorRequest, CliError>,
) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    let unknown =
        || CliError::usage(format!("the journal knows no rotation {name}"), "`rotator status` lists those in flight");
    let Some(reader) = journal::read(&config.journal)? else { return Err(journal::none_yet(&config.journal, name)) };
    let id = named_rotation::in_flight(&reader, name, Beginning::OfId)?;
    drop(reader);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = journal::hold(&config.journal, &clock)?;
    let asked = block_on(Box::pin(async {
        let found = held.journal.store().summary(id).await.map_err(|error| storage_failed(&error))?;
        let rotation = found.ok_or_else(unknown)?.rotation;
        if rotation.is_closed() {
            return Err(named_rotation::closed(&rotation));
        }
        let asked = request(&config, &rotation)?;
        let user = quoted(rotation.opened.user.as_str());
        let failed = |error| {
            CliError::failed(
                with_causes(&error),
                format!("look at `rotator status {user}`, then run the command again"),
            )
        };
        let journal = held.journal.replay(id).await.map_err(failed)?;
        let _ = journal.note(Event::Asked(asked.clone())).await.map_err(failed)?;
        Ok(asked)
    }))?;
    let exit = resume_rotations(
        context,
        &config,
        &clock,
        &held,
        &[id],
        false,
        End { command: CommandKind::Decide, waiting_ok: false },
    )
    .map_err(after_the_request)?;
    // The work is done and shown: a journal that cannot be read now does not change its result.
    let after = block_on(Box::pin(async {
        let store = held.journal.store();
        Ok((store.summary(id).await.ok().flatten(), store.lines(id).await.unwrap_or_default()))
    }));
    if let Ok((Some(found), lines)) = after
        && !found.rotation.is_closed()
        && let Some(words) = still_asked(&asked, &found.rotation, &lines, context.terminal.is_json())
    {
        context.terminal.say(&format!("{}: {words}", found.rotation.opened.user));
    }
    Ok(exit)
}

/// A failure after the request was journaled: the next `resume` carries the request out.
fn after_the_request(error: CliError) -> CliError {
    let recorded =
        |text: &str| text.replacen("nothing was changed", "the request is on record, and nothing else was changed", 1);
    CliError { message: recorded(&error.message), hint: recorded(&error.hint), ..error }
}

/// What is said of a request when the rotation is still open after it. The table, which a document lacks, says what is on
/// record.
fn still_asked(asked: &OperatorRequest, rotation: &Rotation, lines: &[Line], is_json: bool) -> Option<String> {
    let old = &rotation.opened.old_key;
    match asked {
        OperatorRequest::DeleteKey { key } if !rotation.named.contains(key) || !is_json => None,
        OperatorRequest::DeleteKey { key } if key == old => Some(on_record(key)),
        OperatorRequest::DeleteKey { key } => {
            Some(format!("it is on record that {}: `rotator resume` does it", once_checked(key)))
        }
        OperatorRequest::TakeAbortBack => {
            let of_old =
                |line: &Line| matches!(&line.event, Event::Asked(OperatorRequest::DeleteKey { key }) if key == old);
            let policy = &rotation.opened.policy;
            // Without both waits, as `rotate --now` opens it, the rotation needs no such request.
            let waits = !policy.overlap.is_zero() || !policy.quarantine.is_zero();
            let again = match waits && lines.iter().any(of_old) {
                true => format!(
                    "; the abort ended the request to delete {old} without a wait, and `rotator rotate {} --now` makes it again",
                    quoted(rotation.opened.user.as_str())
                ),
                false => String::new(),
            };
            Some(format!("the abort is taken back{again}"))
        }
        OperatorRequest::Abort
        | OperatorRequest::ReactivateOld
        | OperatorRequest::KeepKey { .. }
        | OperatorRequest::LeaveSink { .. } => None,
    }
}

/// What an operator has asked for and a later `resume` does.
pub(super) fn on_record(old: &AccessKeyId) -> String {
    format!("it is on record that {}", without_a_wait(old))
}
