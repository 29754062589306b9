//! The states in which a rotation may stay for long, and how to bring a rotation into each.

use std::time::Duration;

use rotator::sandbox::{Action, Fault, FaultKind, KeyStatus};

use super::scene::Scene;
use crate::support::program::AGAIN;

/// The number of users in that state at once.
pub(super) const USERS: usize = 3;
/// Overlap and quarantine are over, and every late request has been executed.
pub(super) const LATER: Duration = Duration::from_secs(3 * 86_400);

/// The state of a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RotationState {
    CreateInDoubt,
    SecretLost,
    Overlap,
    Quarantine,
    DeleteInDoubt,
    Blocked,
}

impl RotationState {
    pub(super) const ALL: [Self; 6] =
        [Self::CreateInDoubt, Self::SecretLost, Self::Overlap, Self::Quarantine, Self::DeleteInDoubt, Self::Blocked];

    pub(super) fn window(self) -> &'static str {
        match self {
            Self::CreateInDoubt => "from elsewhere, a create in doubt",
            Self::SecretLost => "from elsewhere, a secret lost",
            Self::Overlap => "from elsewhere, in the overlap",
            Self::Quarantine => "from elsewhere, in the quarantine",
            Self::DeleteInDoubt => "from elsewhere, a delete in doubt",
            Self::Blocked => "from elsewhere, blocked",
        }
    }

    /// Returns the output of `status`: the state, the intent in doubt and the block reason.
    pub(super) fn reported(self) -> [Option<&'static str>; 3] {
        match self {
            Self::CreateInDoubt => [Some("opened"), Some("create-new"), None],
            Self::SecretLost => [Some("created-new"), None, None],
            Self::Overlap => [Some("stored-new"), None, None],
            Self::Quarantine => [Some("deactivated-old"), None, None],
            Self::DeleteInDoubt => [Some("stored-new"), Some("delete-old"), None],
            Self::Blocked => [Some("stored-new"), None, Some("new-key-not-active")],
        }
    }

    /// Brings the rotations of a scene here, by a kill while a call is held or by a wait. The conditions of the next
    /// step are met, so that at home rotator would act at once.
    pub(super) fn bring(self, scene: &mut Scene) {
        let held = match self {
            Self::CreateInDoubt => Some((Action::CreateAccessKey, FaultKind::HoldReply)),
            Self::SecretLost => Some((Action::GetCallerIdentity, FaultKind::HoldReply)),
            Self::DeleteInDoubt => Some((Action::DeleteAccessKey, FaultKind::HoldReply)),
            Self::Overlap | Self::Quarantine | Self::Blocked => None,
        };
        let wait = if self == Self::Quarantine { "QUARANTINE" } else { "OVERLAP" };
        if let Some((action, kind)) = held {
            // The first call that a pair of the user signs is the proof of the old one.
            let nth = if action == Action::GetCallerIdentity { 2 } else { 1 };
            for user in &scene.rig.users {
                scene.sandbox.arm(Fault::new(kind.clone()).on(action).for_user(user).nth(nth));
            }
            let mut running = scene.rig.program.spawn(&AGAIN);
            assert!(scene.wait_until_calls_held(USERS, &mut running), "{self:?}: no call was held");
            running.kill();
            scene.sandbox.disarm_all();
            scene.sandbox.release(None);
        } else {
            scene.rig.program.set(&format!("ROTATOR_POLICY_{wait}"), "1d");
            scene.rig.program.ends_with(3, &AGAIN);
        }
        scene.sandbox.advance(LATER);
        if self == Self::Blocked {
            switch_new_keys(scene, KeyStatus::Inactive);
            scene.rig.program.ends_with(4, &["resume", "-q"]);
        }
        let status = scene.status();
        for rotation in status["rotations"].as_array().expect("rotations") {
            let reported = [&rotation["state"], &rotation["in_doubt"], &rotation["blocked"]["reason"]];
            assert_eq!(reported.map(|reported| reported.as_str()), self.reported(), "{self:?}: {status}");
        }
    }

    /// Does what an operator must do at home before rotator continues.
    pub(super) fn repair(self, scene: &Scene) {
        if self == Self::Blocked {
            switch_new_keys(scene, KeyStatus::Active);
        }
    }

    pub(super) fn code(self) -> i32 {
        if self == Self::Blocked { 4 } else { 3 }
    }
}

fn switch_new_keys(scene: &Scene, status: KeyStatus) {
    for (user, pair) in scene.rig.stored().expect("pairs") {
        scene.sandbox.set_status(&user, &pair.id, status).expect("set");
    }
}
