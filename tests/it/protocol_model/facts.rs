//! The facts about a rotation that the environment of the model needs.

use rotator::rotation::block_reason::BlockReason;
use rotator::rotation::denied::Operation;
use rotator::rotation::event::Ending;
use rotator::rotation::intent::Intent;
use rotator::rotation::record::Rotation;
use rotator::rotation::state::{Phase, State};

use super::machine::{KeyId, Says, name, number};
use super::users::name_of;
use super::world::IDS;

/// The facts about a rotation that the environment needs.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) number: u8,
    /// The user's name, as the rotation knows it.
    pub(super) name: u8,
    pub(super) old: KeyId,
    /// The new key, and whether its reply was read.
    pub(super) made: Option<(KeyId, bool)>,
    pub(super) phase: Option<PhaseIs>,
    pub(super) ending: Option<Ending>,
    pub(super) creates_in_doubt: bool,
    pub(super) block: Option<Block>,
    pub(super) is_fenced: bool,
    /// A bit for each key id that it mentions.
    pub(super) remembered: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PhaseIs {
    Opened,
    CreatedNew,
    StoredNew,
    DeactivatedOld,
}

/// The request of a block to an operator.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub(super) asks: Asks,
    /// The command that its message prints; `None`: to resume.
    pub(super) command: Option<Says>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// For this right.
    Right(Operation),
    /// The same, and one new key a day shows whether it is there.
    RightOnceADay(Operation),
    /// The fate of the user.
    User,
    /// For anything else.
    More,
}

impl Facts {
    pub(super) const fn is_blocked(&self) -> bool {
        self.block.is_some()
    }
}

/// The command as it is printed.
fn command(rotation: &Rotation, reason: &BlockReason) -> Option<Says> {
    let text = reason.command(rotation.id);
    if let Some((_, key)) = text.split_once("--delete-key AKIA") {
        return Some(Says::DeleteKey(key.parse().expect("a key of the model")));
    }
    match text.split(' ').nth(1).expect("a command") {
        "abort" => Some(Says::Abort),
        "resolve" if text.ends_with("--finish") => Some(Says::DeleteKey(number(&rotation.opened.old_key))),
        "resume" => None,
        other => panic!("the model does not know the command {other}"),
    }
}

fn block(rotation: &Rotation) -> Option<Block> {
    let State::Blocked { reason, .. } = &rotation.state else { return None };
    let asks = match reason {
        BlockReason::AccessDenied { denied, once_a_day: true, .. } => Asks::RightOnceADay(denied.operation),
        BlockReason::AccessDenied { denied, .. } => Asks::Right(denied.operation),
        BlockReason::UserNotFound { .. } => Asks::User,
        BlockReason::SpareKey { .. }
        | BlockReason::UnclaimedKeys { .. }
        | BlockReason::ChangedElsewhere { .. }
        | BlockReason::Reverted { .. }
        | BlockReason::OldKeyGone { .. }
        | BlockReason::StillReferenced { .. }
        | BlockReason::Unreadable { .. }
        | BlockReason::NewKeyNotActive { .. }
        | BlockReason::NewKeyGone { .. }
        | BlockReason::NewKeyDiscarded { .. }
        | BlockReason::StoredPairFails { .. }
        | BlockReason::WrongIdentity { .. }
        | BlockReason::OldKeyReactivated { .. }
        | BlockReason::OldKeyNotActive { .. }
        | BlockReason::TooManyCreates
        | BlockReason::CannotAbort { .. }
        | BlockReason::StillInUse { .. } => Asks::More,
    };
    Some(Block { asks, command: command(rotation, reason) })
}

/// `text`: the rotation as JSON.
pub(super) fn facts(rotation: &Rotation, text: &str) -> Facts {
    let made = rotation.made();
    let mentions = |id: &u8| text.contains(name(*id).as_str());
    let phase = rotation.state.phase().map(|phase| match phase {
        Phase::Opened => PhaseIs::Opened,
        Phase::CreatedNew { .. } => PhaseIs::CreatedNew,
        Phase::StoredNew { .. } => PhaseIs::StoredNew,
        Phase::DeactivatedOld { .. } => PhaseIs::DeactivatedOld,
    });
    Facts {
        number: u8::try_from(rotation.id.as_uuid().as_u128() - 1).expect("few rotations"),
        name: u8::from(rotation.opened.user != name_of(0)),
        old: number(&rotation.opened.old_key),
        made: made.map(|made| (number(&made.key), made.fingerprint().is_some())),
        phase,
        ending: match rotation.state {
            State::Closed { ending } => Some(ending),
            State::Settled { .. } | State::InDoubt { .. } | State::Blocked { .. } => None,
        },
        creates_in_doubt: matches!(rotation.state.intent(), Some(Intent::CreateNew { .. })),
        block: block(rotation),
        is_fenced: made.is_some_and(|made| made.fenced.is_some()),
        remembered: (0..2 * IDS).filter(mentions).map(|id| 1 << id).sum(),
    }
}
