//! `abort`: gives up one rotation, if that is still possible.

use super::named_rotation::called;
use super::operator_request::submit;
use crate::cli::args::AbortArgs;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::backup_hints;
use crate::rotation::event::OperatorRequest;
use crate::rotation::record::Rotation;
use crate::rotation::state::{Phase, State};
use crate::types::shell::quoted;

/// Runs `rotator abort`.
///
/// # Errors
/// Exit code 2 if there is no such open rotation, or if its new pair is stored: an abort would need the old secret,
/// which rotator does not keep; or with `--undo`, if there is no abort that can be taken back. Otherwise as `resume`.
pub fn abort(context: &Context, args: &AbortArgs) -> Result<Exit, CliError> {
    submit(context, &args.one.rotation, |config, rotation| match (args.undo, may_abort(rotation)) {
        (true, _) => take_back(rotation),
        (false, true) => Ok(OperatorRequest::Abort),
        (false, false) => Err(too_late(config, rotation)),
    })
}

/// An abort can be taken back until the new key is being discarded.
fn take_back(rotation: &Rotation) -> Result<OperatorRequest, CliError> {
    let (whole, user) = (called(rotation), quoted(rotation.opened.user.as_str()));
    if !rotation.abort_asked {
        return Err(CliError::usage(
            format!("no abort of {whole} was asked for, so there is nothing to take back"),
            format!("`rotator status {user}` shows what comes next"),
        ));
    }
    if let Some(key) = rotation.discards() {
        return Err(CliError::usage(
            format!("the new key {key} of {whole} is being deleted: the abort cannot be taken back any more"),
            format!("`rotator resume {user}` ends it; then `rotator rotate {user}` begins another rotation"),
        ));
    }
    Ok(OperatorRequest::TakeAbortBack)
}

/// Whether the rotation may still be aborted. It may before `stored-new`, and later only if it is blocked for a
/// reason that says that the old pair may be put back.
fn may_abort(rotation: &Rotation) -> bool {
    let offered = match &rotation.state {
        State::Blocked { reason, .. } => reason.offers_abort(),
        State::Settled { .. } | State::InDoubt { .. } | State::Closed { .. } => false,
    };
    match rotation.state.phase() {
        Some(Phase::Opened | Phase::CreatedNew { .. }) | None => true,
        Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }) => offered || rotation.abort_asked,
    }
}

fn too_late(config: &Config, rotation: &Rotation) -> CliError {
    let (old, user) = (&rotation.opened.old_key, &rotation.opened.user);
    let new = rotation.new_key.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
    // A user has one rotation in flight.
    let name = quoted(user.as_str());
    let copies = backup_hints::of_the_old_pair(config, rotation);
    CliError::usage(
        format!(
            "{} is {}: every place holds the new pair{new}, and rotator keeps no copy of the old \
             secret, so it cannot restore the old pair; nothing was changed, and the old key {old} is still in IAM. A copy of the old \
             secret may be here: {copies}",
            called(rotation),
            rotation.state.name()
        ),
        match rotation.state.phase() {
            Some(Phase::DeactivatedOld { .. }) => format!(
                "`rotator reactivate {name}` makes the old key work again; `rotator resume {name}` continues, `rotator resolve \
                 {name} --finish` deletes the old key now"
            ),
            Some(_) | None => format!(
                "`rotator resume {name}` continues, `rotator resolve {name} --finish` deletes the old key now; to go back, put \
                 the old pair into every place yourself, then run `rotator resume {name}` and what it prints"
            ),
        },
    )
}
