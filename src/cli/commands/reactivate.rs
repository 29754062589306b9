//! `reactivate`: makes the old key of a rotation active again.

use super::named_rotation::called;
use super::operator_request::submit;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::rotation::event::OperatorRequest;
use crate::rotation::state::Phase;
use crate::types::shell::quoted;

/// Runs `rotator reactivate`.
///
/// # Errors
/// Exit code 2 unless rotator has deactivated the old key of this rotation; otherwise as `resume`.
pub fn reactivate(context: &Context, name: &str) -> Result<Exit, CliError> {
    submit(context, name, |_, rotation| match rotation.state.phase() {
        Some(Phase::DeactivatedOld { .. }) => {
            let (user, old) = (quoted(rotation.opened.user.as_str()), &rotation.opened.old_key);
            context.terminal.say(&format!(
                "the old key {old} of {} is made active again; rotator will not deactivate it a second time, and deletes it \
                 only after one of these commands, which do the same:\n  rotator resolve {user} --delete-key {old}\n  rotator \
                 resolve {user} --finish",
                rotation.opened.user
            ));
            Ok(OperatorRequest::ReactivateOld)
        }
        Some(Phase::Opened | Phase::CreatedNew { .. } | Phase::StoredNew { .. }) | None => Err(CliError::usage(
            format!("{} is {}: rotator has not deactivated its old key", called(rotation), rotation.state.name()),
            "there is nothing to reactivate; before stored-new, `rotator abort` gives a rotation up",
        )),
    })
}
