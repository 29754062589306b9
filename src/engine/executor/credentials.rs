//! Which of rotator's own credentials a rotation needs, and whether they have failed.

use super::state::{Executor, StopReason};
use crate::rotation::intent::Intent;
use crate::rotation::record::Rotation;

impl Executor<'_> {
    /// Returns why an effect cannot be executed. A write needs its stores only, and a removal also depends on what the
    /// stores hold.
    pub(super) fn cannot_sign(&self, rotation: &Rotation, intent: &Intent) -> Option<String> {
        let store = || rotation.opened.stores.keys().find_map(|store| self.session.store_failed(store));
        let account = || self.session.account_failed(&rotation.opened.account);
        match intent {
            Intent::WriteSink { .. } => None,
            Intent::StoreNew | Intent::RestoreOld | Intent::FenceStore => store(),
            Intent::ReactivateOld | Intent::ReactivateNew { .. } => account(),
            Intent::CreateNew { .. }
            | Intent::DeactivateOld
            | Intent::DeactivateNew { .. }
            | Intent::DeleteOld
            | Intent::DiscardNew { .. }
            | Intent::DeleteNamed { .. } => account().or_else(store),
        }
    }

    /// Returns why the executor stops if the account gave no answer.
    pub(super) fn why_stopped(&self, rotation: &Rotation, why: String) -> StopReason {
        self.session.lacks_credentials(rotation).map_or(StopReason::FailedForNow(why), StopReason::NoCredentials)
    }
}
