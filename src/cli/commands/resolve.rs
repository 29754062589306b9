//! `resolve`: decides what happens to a key that rotator must not touch on its own.

use super::named_rotation::called;
use super::operator_request::submit;
use crate::cli::args::Resolution;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::rotation::block_reason::BlockReason;
use crate::rotation::denied::Operation;
use crate::rotation::event::OperatorRequest;
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, Provenance, State};
use crate::types::name::{AccessKeyId, SinkName};
use crate::types::shell::quoted;

/// Runs `rotator resolve`.
///
/// # Errors
/// Exit code 2 unless the rotation waits for a decision about that key, or its new pair is stored; otherwise as
/// `resume`.
pub fn resolve(context: &Context, name: &str, resolution: &Resolution) -> Result<Exit, CliError> {
    submit(context, name, |_, rotation| match (&resolution.delete_key, &resolution.keep_key, &resolution.leave_sink) {
        (None, None, None) if resolution.finish => finish(rotation),
        (Some(key), None, None) => {
            check_key(rotation, key)?;
            Ok(OperatorRequest::DeleteKey { key: key.clone() })
        }
        (None, Some(key), None) => {
            check_key(rotation, key)?;
            if *key == rotation.opened.old_key {
                let whole = called(rotation);
                return Err(CliError::usage(
                    format!("{key} is the old key of {whole}: keeping it means giving the rotation up"),
                    format!("put the old pair back into every place, then `rotator abort {}`", user_of(rotation)),
                ));
            }
            Ok(OperatorRequest::KeepKey { key: key.clone() })
        }
        (None, None, Some(sink)) => {
            check_sink(rotation, sink)?;
            Ok(OperatorRequest::LeaveSink { sink: sink.clone() })
        }
        _ => Err(CliError::usage(
            "one of --delete-key, --keep-key, --leave-sink and --finish is needed",
            "see `rotator resolve --help`",
        )),
    })
}

/// Translates `--finish` to the deletion of the old key. The checks before a deletion stay the same.
fn finish(rotation: &Rotation) -> Result<OperatorRequest, CliError> {
    let (user, old) = (user_of(rotation), &rotation.opened.old_key);
    match rotation.state.phase() {
        Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }) => {
            Ok(OperatorRequest::DeleteKey { key: old.clone() })
        }
        Some(Phase::Opened | Phase::CreatedNew { .. }) | None => Err(CliError::usage(
            format!("{} is {}: no new pair is stored that could replace it", called(rotation), rotation.state.name()),
            format!("`rotator resume {user}` continues, `rotator abort {user}` gives it up"),
        )),
    }
}

/// Accepts only a sink that the rotation writes.
fn check_sink(rotation: &Rotation, sink: &SinkName) -> Result<(), CliError> {
    let sinks: Vec<&str> = rotation.opened.sinks.iter().map(|follower| follower.sink.as_str()).collect();
    if sinks.contains(&sink.as_str()) {
        return Ok(());
    }
    let hint = match sinks.as_slice() {
        [] => "no sink follows its places".to_owned(),
        sinks => format!("name one of these: {}", sinks.join(", ")),
    };
    Err(CliError::usage(format!("{} writes no sink {sink}", called(rotation)), hint))
}

/// Accepts only a key that the rotation asks about, so that a typing error cannot delete another key.
fn check_key(rotation: &Rotation, key: &AccessKeyId) -> Result<(), CliError> {
    let (whole, user) = (called(rotation), user_of(rotation));
    let in_question = in_question(rotation);
    // This is checked first: a key with inferred provenance may be the one that the rotation asks about.
    if in_question.contains(key) {
        return Ok(());
    }
    if rotation.new_key.as_ref() == Some(key) {
        return Err(CliError::usage(
            format!("{key} is the new key that {whole} itself made"),
            format!("`rotator abort {user}` discards it, once no place holds it"),
        ));
    }
    if in_question.is_empty() {
        return Err(CliError::usage(
            format!("{whole} asks about no key"),
            format!("`rotator status {user}` shows what it waits for"),
        ));
    }
    let keys = in_question.iter().map(AccessKeyId::as_str).collect::<Vec<_>>().join(", ");
    Err(CliError::usage(format!("{whole} does not ask about {key}, but about {keys}"), "name one of these"))
}

/// The user as a command names it. A user has one rotation in flight.
fn user_of(rotation: &Rotation) -> String {
    quoted(rotation.opened.user.as_str())
}

fn in_question(rotation: &Rotation) -> Vec<AccessKeyId> {
    // An operator may change an earlier decision about a key.
    let mut keys: Vec<AccessKeyId> = rotation.late_keys.union(&rotation.named).cloned().collect();
    if rotation.is_never_deactivated_again() {
        keys.push(rotation.opened.old_key.clone());
    }
    // Only evidence says that rotator made it.
    keys.extend(rotation.made().filter(|made| made.provenance == Provenance::Inferred).map(|made| made.key.clone()));
    let State::Blocked { reason, .. } = &rotation.state else { return keys };
    match reason {
        BlockReason::SpareKey { key, .. } | BlockReason::OldKeyReactivated { key } => keys.push(key.clone()),
        BlockReason::UnclaimedKeys { keys: unclaimed, .. } => keys.extend(unclaimed.iter().cloned()),
        // The last of several contradicting requests counts, so this takes back an abort.
        BlockReason::CannotAbort { .. } | BlockReason::OldKeyNotActive { .. } => {
            keys.push(rotation.opened.old_key.clone())
        }
        BlockReason::StillInUse { key, .. } => keys.push(key.clone()),
        // An operator can look up the last use of a key that rotator may not ask for.
        BlockReason::AccessDenied { denied, .. } => {
            if denied.operation == Operation::GetAccessKeyLastUsed {
                keys.extend(denied.key.clone());
            }
        }
        BlockReason::ChangedElsewhere { .. }
        | BlockReason::Reverted { .. }
        | BlockReason::OldKeyGone { .. }
        | BlockReason::StillReferenced { .. }
        | BlockReason::Unreadable { .. }
        | BlockReason::NewKeyNotActive { .. }
        | BlockReason::NewKeyGone { .. }
        | BlockReason::NewKeyDiscarded { .. }
        | BlockReason::StoredPairFails { .. }
        | BlockReason::WrongIdentity { .. }
        | BlockReason::UserNotFound { .. }
        | BlockReason::TooManyCreates => {}
    }
    keys
}
