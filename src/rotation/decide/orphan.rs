//! `created-new` on mere evidence: the key bears the marks of a lost reply. Deactivate it, wait `unclaimed_after`
//! (or `settle`, after an operator named it), fence, look once more, discard it. Whatever speaks against it being ours gives it back.

use super::preconditions::{
    require_fence_passed, require_keys, require_last_used, require_readable_places, require_scan, require_unreferenced,
};
use super::step::{Decision, Requires, Step, block};
use crate::rotation::block_reason::BlockReason;
use crate::rotation::event::Event;
use crate::rotation::intent::{AfterDiscard, Intent};
use crate::rotation::observed::{KeyStatus, Observed};
use crate::rotation::record::Rotation;
use crate::rotation::state::NewKeyState;
use crate::types::shell::quoted;

pub(super) fn next(decision: Decision<'_>, made: &NewKeyState) -> Requires<Step> {
    let Decision { rotation, observed, now, .. } = decision;
    let key = &made.key;
    let keys = require_keys(rotation, observed)?;
    let Some(seen) = keys.find(key) else { return Ok(disown(made)) };
    if rotation.kept.contains(key) {
        return Ok(give_back(made));
    }
    let Some(deactivated) = made.deactivated else {
        nobody_has_it(rotation, made, observed)?;
        return Ok(Step::Execute(Intent::DeactivateNew { key: key.clone() }));
    };
    let policy = &rotation.opened.policy;
    // Last use is reported late. Who names the key knows without it that nothing uses it.
    let is_named = rotation.named.contains(key);
    let due = if is_named { policy.settled_after(deactivated) } else { policy.unclaimed_since(deactivated) };
    if keys.at < due {
        // A use that shows up meanwhile is reported at once: the program that needs the key fails until then.
        if !is_named && require_last_used(observed, key)?.is_some() {
            return Ok(give_back(made));
        }
        let user = quoted(rotation.opened.user.as_str());
        let shorter =
            format!("; if no other program made it, `rotator resolve {user} --delete-key {key}` shortens the wait");
        let shorter = if is_named { "" } else { &shorter };
        let why = format!("{key} is inactive and is looked at once more before it is deleted{shorter}");
        return Ok(Step::Wait { until: due, why });
    }
    require_readable_places(observed)?;
    require_fence_passed(made, now)?;
    nobody_has_it(rotation, made, observed)?;
    if seen.status == KeyStatus::Active && !is_named {
        let why = "it bore the marks of ours and was deactivated, and was made active again".to_owned();
        return Ok(block(BlockReason::UnclaimedKeys { keys: vec![key.clone()], why }));
    }
    let then = if rotation.abort_asked { AfterDiscard::Abort } else { AfterDiscard::CreateAgain };
    let why = "the reply that held its secret was lost".to_owned();
    Ok(Step::Execute(Intent::DiscardNew { key: key.clone(), then, why }))
}

/// Our own key was never used and stands nowhere: its secret is lost. An operator's word settles the first, not the
/// second.
fn nobody_has_it(rotation: &Rotation, made: &NewKeyState, observed: &Observed) -> Requires<()> {
    let key = &made.key;
    if !rotation.named.contains(key) {
        let used = require_last_used(observed, key)?;
        if used.is_some() || !require_scan(observed, key)?.naming(key).is_empty() {
            return Err(give_back(made));
        }
    }
    require_unreferenced(observed, key)
}

fn give_back(made: &NewKeyState) -> Step {
    match made.deactivated {
        Some(_) => Step::Execute(Intent::ReactivateNew { key: made.key.clone() }),
        None => disown(made),
    }
}

fn disown(made: &NewKeyState) -> Step {
    Step::Record(Event::Disowned { key: made.key.clone() })
}
