//! An operator's word on one rotation: `abort`, `reactivate`, `resolve`. It is journaled as a fact; what follows from it
//! is for the machine to say.

use std::sync::Arc;

use super::run::{End, block_on, drive_on};
use crate::adapters::system_clock::SystemClock;
use crate::cli::Context;
use crate::cli::args::Resolution;
use crate::cli::config::Config;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::backup_hints;
use crate::cli::output::summary::CommandKind;
use crate::cli::wiring::{self, storage_failed};
use crate::drive::report::with_causes;
use crate::journal::clock::Clock;
use crate::rotation::denied::Operation;
use crate::rotation::event::{Asked, Event};
use crate::rotation::name::{AccessKeyId, RotationId, SinkName};
use crate::rotation::reason::Reason;
use crate::rotation::standing::{Phase, Rotation, Standing};

/// `rotator abort`.
///
/// # Errors
/// Exit code 2 if there is no such open rotation, or if its new pair is stored: going back needs the old secret, which
/// rotator does not have. Else as `resume`.
pub fn abort(context: &Context, id: RotationId) -> Result<Exit, CliError> {
    say(
        context,
        id,
        |config, rotation| {
            if may_abort(rotation) { Ok(Asked::Abort) } else { Err(too_late(config, rotation)) }
        },
    )
}

/// Before `stored-new`; and later only where rotator has seen that it cannot go forward by itself, and says that the old
/// pair may be put back.
fn may_abort(rotation: &Rotation) -> bool {
    let offered = match &rotation.standing {
        Standing::Blocked { reason, .. } => reason.offers_abort(),
        Standing::Settled { .. } | Standing::InDoubt { .. } | Standing::Closed { .. } => false,
    };
    match rotation.standing.phase() {
        Some(Phase::Opened | Phase::CreatedNew { .. }) | None => true,
        Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }) => offered || rotation.abort_asked,
    }
}

fn too_late(config: &Config, rotation: &Rotation) -> CliError {
    let (id, old, user) = (rotation.id, &rotation.opened.old_key, &rotation.opened.user);
    let new = rotation.new_key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    let copies = backup_hints::of_the_old_pair(config, rotation);
    CliError::usage(
        format!(
            "rotation {id} is {}: every place holds the new pair{new} of {user}, and rotator keeps no copy of the old \
             secret, so it cannot go back; nothing was changed, and the old key {old} is still in IAM. A copy of the old \
             secret may be here: {copies}",
            rotation.standing.name()
        ),
        format!(
            "`rotator resume {id}` goes on, `rotator resolve {id} --finish` deletes the old key now; to go back, put the \
             old pair into every place yourself, then run `rotator resume {id}` and what it prints"
        ),
    )
}

/// `rotator reactivate`.
///
/// # Errors
/// Exit code 2 unless rotator has deactivated the old key of this rotation; else as `resume`.
pub fn reactivate(context: &Context, id: RotationId) -> Result<Exit, CliError> {
    say(context, id, |_, rotation| match rotation.standing.phase() {
        Some(Phase::DeactivatedOld { .. }) => {
            context.terminal.say(&format!(
                "the old key {} of {} is made active again; rotator will not deactivate it a second time, and deletes it \
                 only when it is told: rotator resolve {id} --delete-key {}",
                rotation.opened.old_key, rotation.opened.user, rotation.opened.old_key
            ));
            Ok(Asked::ReactivateOld)
        }
        Some(Phase::Opened | Phase::CreatedNew { .. } | Phase::StoredNew { .. }) | None => Err(CliError::usage(
            format!(
                "rotator has not deactivated the old key {} of rotation {id}, which is {}",
                rotation.opened.old_key,
                rotation.standing.name()
            ),
            "there is nothing to reactivate; before stored-new, `rotator abort` gives a rotation up",
        )),
    })
}

/// `rotator resolve`.
///
/// # Errors
/// Exit code 2 unless the rotation asks about that key, or its new pair is stored; else as `resume`.
pub fn resolve(context: &Context, id: RotationId, resolution: &Resolution) -> Result<Exit, CliError> {
    say(context, id, |_, rotation| match (&resolution.delete_key, &resolution.keep_key, &resolution.leave_sink) {
        (None, None, None) if resolution.finish => finish(rotation),
        (Some(key), None, None) => {
            check_key(rotation, key)?;
            Ok(Asked::DeleteKey { key: key.clone() })
        }
        (None, Some(key), None) => {
            check_key(rotation, key)?;
            if *key == rotation.opened.old_key {
                return Err(CliError::usage(
                    format!("{key} is the key that rotation {id} replaces: keeping it means giving the rotation up"),
                    format!("put the old pair back into every place, then `rotator abort {id}`"),
                ));
            }
            Ok(Asked::KeepKey { key: key.clone() })
        }
        (None, None, Some(sink)) => {
            check_sink(rotation, sink)?;
            Ok(Asked::LeaveSink { sink: sink.clone() })
        }
        _ => Err(CliError::usage(
            "one of --delete-key, --keep-key, --leave-sink and --finish is needed",
            "see `rotator resolve --help`",
        )),
    })
}

/// To name the old key is to say that it may go now; what is looked at before it goes stays the same.
fn finish(rotation: &Rotation) -> Result<Asked, CliError> {
    let (id, old) = (rotation.id, &rotation.opened.old_key);
    match rotation.standing.phase() {
        Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }) => Ok(Asked::DeleteKey { key: old.clone() }),
        Some(Phase::Opened | Phase::CreatedNew { .. }) | None => Err(CliError::usage(
            format!("rotation {id} is {}: no new pair is stored that could replace {old}", rotation.standing.name()),
            format!("`rotator resume {id}` goes on, `rotator abort {id}` gives it up"),
        )),
    }
}

/// Only a sink that the rotation writes.
fn check_sink(rotation: &Rotation, sink: &SinkName) -> Result<(), CliError> {
    let sinks: Vec<&str> = rotation.opened.sinks.iter().map(|follower| follower.sink.as_str()).collect();
    if sinks.contains(&sink.as_str()) {
        return Ok(());
    }
    let hint = match sinks.as_slice() {
        [] => "no sink follows its places".to_owned(),
        sinks => format!("name one of these: {}", sinks.join(", ")),
    };
    Err(CliError::usage(format!("rotation {} writes no sink {sink}", rotation.id), hint))
}

/// Only a key that the rotation asks about: a slip of the pen must not delete another.
fn check_key(rotation: &Rotation, key: &AccessKeyId) -> Result<(), CliError> {
    let id = rotation.id;
    let in_question = in_question(rotation);
    // First: a key that was held on evidence may be the very one it asks about.
    if in_question.contains(key) {
        return Ok(());
    }
    if rotation.new_key.as_ref() == Some(key) {
        return Err(CliError::usage(
            format!("{key} is the new key that rotation {id} itself made"),
            format!("`rotator abort {id}` discards it, once no place holds it"),
        ));
    }
    if in_question.is_empty() {
        return Err(CliError::usage(
            format!("rotation {id} asks about no key"),
            format!("`rotator status {id}` shows what it waits for"),
        ));
    }
    let keys = in_question.iter().map(AccessKeyId::as_str).collect::<Vec<_>>().join(", ");
    Err(CliError::usage(format!("rotation {id} does not ask about {key}, but about {keys}"), "name one of these"))
}

fn in_question(rotation: &Rotation) -> Vec<AccessKeyId> {
    // What an operator said of a key can be taken back.
    let mut keys: Vec<AccessKeyId> = rotation.late_keys.union(&rotation.named).cloned().collect();
    if rotation.is_never_deactivated_again() {
        keys.push(rotation.opened.old_key.clone());
    }
    let Standing::Blocked { reason, .. } = &rotation.standing else { return keys };
    match reason {
        Reason::SpareKey { key, .. } | Reason::OldKeyReactivated { key } => keys.push(key.clone()),
        Reason::UnclaimedKeys { keys: unclaimed, .. } => keys.extend(unclaimed.iter().cloned()),
        // Of words that contradict each other the last counts: so an abort is taken back.
        Reason::CannotAbort { .. } | Reason::OldKeyNotActive { .. } => keys.push(rotation.opened.old_key.clone()),
        Reason::StillInUse { key, .. } => keys.push(key.clone()),
        // A key whose last use may not be asked for: an operator can look it up.
        Reason::AccessDenied { denied, .. } => {
            if denied.operation == Operation::GetAccessKeyLastUsed {
                keys.extend(denied.key.clone());
            }
        }
        Reason::SomebodyWrote { .. }
        | Reason::Reverted { .. }
        | Reason::OldKeyGone { .. }
        | Reason::StillNamed { .. }
        | Reason::Unreadable { .. }
        | Reason::NewKeyNotActive { .. }
        | Reason::NewKeyGone { .. }
        | Reason::NewKeyDiscarded { .. }
        | Reason::StoredPairFails { .. }
        | Reason::WrongIdentity { .. }
        | Reason::UserNotFound { .. }
        | Reason::TooManyCreates => {}
    }
    keys
}

/// Journals what `word` makes of the rotation, and drives it.
fn say(
    context: &Context,
    id: RotationId,
    resolution: impl FnOnce(&Config, &Rotation) -> Result<Asked, CliError>,
) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    let unknown =
        || CliError::usage(format!("the journal knows no rotation {id}"), "`rotator status` lists those in flight");
    if wiring::read_journal(&config.journal)?.is_none() {
        return Err(unknown());
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let held = wiring::hold_journal(&config.journal, &clock)?;
    block_on(Box::pin(async {
        let found = held.journal.store().summary(id).await.map_err(|error| storage_failed(&error))?;
        let rotation = found.ok_or_else(unknown)?.rotation;
        if rotation.is_closed() {
            return Err(CliError::usage(
                format!("rotation {id} is closed ({}): nothing can be asked of it", rotation.standing.name()),
                "`rotator status` lists those in flight",
            ));
        }
        let asked = resolution(&config, &rotation)?;
        let failed = |error| {
            CliError::failed(
                format!("the journal failed: {}", with_causes(&error)),
                format!("look at `rotator status {id}`, then say it again"),
            )
        };
        let journal = held.journal.replay(id).await.map_err(failed)?;
        let _ = journal.note(Event::Asked(asked)).await.map_err(failed)?;
        Ok(())
    }))?;
    drive_on(context, &config, &clock, &held, &[id], false, End { ended: CommandKind::Resume, waiting_ok: false })
}
