//! All that a line of the journal may say. Events are facts, in the past tense; none holds a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::block_reason::BlockReason;
use super::denied::Denied;
use super::intent::{AfterDiscard, Intent};
use super::observed::KeyUse;
use super::policy::Policy;
use super::sink::Follower;
use crate::types::failure::Refusal;
use crate::types::name::{AccessKeyId, AccountId, CampaignId, SinkName, StoreIdentity, StoreName, UserId, UserName};
use crate::types::place::Place;
use crate::types::secret::Fingerprint;
use crate::types::time::Timestamp;

/// The resolved plan, frozen: a configuration edited between crash and resume changes nothing in flight.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The campaign that opened it.
    pub campaign: CampaignId,
    /// The account that the user lives in.
    pub account: AccountId,
    /// Whose key. What is frozen with it follows the user through a rename ([`Event::Renamed`]).
    pub user: UserName,
    /// The key to replace.
    pub old_key: AccessKeyId,
    /// When IAM says that key was created.
    pub old_key_created: Timestamp,
    /// Of the old secret, where it has the form that AWS gives a secret and so is beyond guessing: a later
    /// change by another writer is not overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_secret: Option<Fingerprint>,
    /// What the proof of the old pair showed.
    #[serde(default, skip_serializing_if = "OldPair::is_unknown")]
    pub old_pair: OldPair,
    /// Every place that holds the pair.
    pub places: Vec<Place>,
    /// What each of their stores said it was.
    pub stores: BTreeMap<StoreName, StoreIdentity>,
    /// The sinks that follow these places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<Follower>,
    /// Keys that a lost request of an earlier rotation may still deactivate. They belong to other programs.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub may_turn_inactive: BTreeSet<AccessKeyId>,
    /// The rules in force.
    pub policy: Policy,
}

/// What the proof of the old pair showed, right before the rotation was opened. All of it is unknown in journals from before
/// pairs were proven.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OldPair {
    /// The user's unique id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The key's last use before the proof, which counts as one itself; `None`: IAM did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_used: Option<UsedBefore>,
    /// When the pair answered rotator, by AWS's clock.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Timestamp>,
}

/// The last use of a key, as IAM reported it before its pair was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "used", rename_all = "kebab-case")]
pub enum UsedBefore {
    /// The key was never used.
    Never,
    /// This was its last use.
    Last(KeyUse),
}

impl OldPair {
    /// How far the date that IAM tells of a use may be from the moment of the call itself.
    pub(super) const SAME_USE: Duration = Duration::from_secs(60);

    /// Whether nothing was proven: the rotation was opened by a rotator that did not try old pairs.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        *self == Self::default()
    }

    /// Returns whether this use is one of the proofs.
    #[must_use]
    pub(super) fn is_proof(&self, used: &KeyUse) -> bool {
        let is_then = |proof: &Timestamp| used.at.since(*proof).max(proof.since(used.at)) <= Self::SAME_USE;
        used.is_of_sts() && self.proofs.iter().any(is_then)
    }

    /// Returns when another program used the key last, given the use that IAM reports: a call of STS at the time of a proof is the proof.
    #[must_use]
    pub fn last_use_by_others(&self, reported: Option<&KeyUse>) -> Option<Timestamp> {
        let reported = reported?;
        if self.is_proof(reported) {
            return match &self.last_used {
                Some(UsedBefore::Last(before)) => Some(before.at),
                Some(UsedBefore::Never) | None => None,
            };
        }
        Some(reported.at)
    }
}

/// The result of an effect: reported by the effect, or concluded from observations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum Outcome {
    /// IAM's reply was read: this key is surely ours.
    Created {
        /// Its id.
        key: AccessKeyId,
        /// Of its secret.
        fingerprint: Fingerprint,
        /// AWS's clock.
        at: Timestamp,
    },
    /// The reply was lost, and this key bears every mark of having been created by it.
    FoundCreated {
        /// Its id.
        key: AccessKeyId,
    },
    /// Every place holds the new pair, as read back.
    Stored {
        /// AWS's clock.
        at: Timestamp,
    },
    /// Every place holds the old pair again.
    Restored,
    /// No write from before can land any more once this moment has passed.
    Fenced {
        /// AWS's clock.
        at: Timestamp,
    },
    /// A sink's API acknowledged a pair.
    SinkAcknowledged {
        /// Which of the plan's sinks.
        sink: usize,
        /// The pair of this key.
        key: AccessKeyId,
        /// AWS's clock.
        at: Timestamp,
    },
    /// The old key is inactive.
    OldDeactivated {
        /// AWS's clock.
        at: Timestamp,
    },
    /// The old key is active again.
    OldReactivated {
        /// AWS's clock.
        at: Timestamp,
    },
    /// The old key was deleted.
    OldDeleted,
    /// The new key is inactive.
    NewDeactivated {
        /// AWS's clock.
        at: Timestamp,
    },
    /// The new key is active again.
    NewReactivated,
    /// The new key was deleted.
    NewDiscarded {
        /// What follows.
        then: AfterDiscard,
    },
    /// The key that was named to us was deleted.
    NamedDeleted {
        /// That key.
        key: AccessKeyId,
    },
}

impl Outcome {
    /// Returns the outcome at the moment `at` of an intent that carries all its facts. `None` for `CreateNew`: its outcome
    /// needs the key that IAM has created.
    #[must_use]
    pub fn of_intent(intent: &Intent, at: Timestamp) -> Option<Self> {
        Some(match intent {
            Intent::CreateNew { .. } => return None,
            Intent::StoreNew => Self::Stored { at },
            Intent::RestoreOld => Self::Restored,
            Intent::FenceStore => Self::Fenced { at },
            Intent::WriteSink { sink, key, .. } => Self::SinkAcknowledged { sink: *sink, key: key.clone(), at },
            Intent::DeactivateOld => Self::OldDeactivated { at },
            Intent::ReactivateOld => Self::OldReactivated { at },
            Intent::DeleteOld => Self::OldDeleted,
            Intent::DeactivateNew { .. } => Self::NewDeactivated { at },
            Intent::ReactivateNew { .. } => Self::NewReactivated,
            Intent::DiscardNew { then, .. } => Self::NewDiscarded { then: *then },
            Intent::DeleteNamed { key } => Self::NamedDeleted { key: key.clone() },
        })
    }
}

/// Why an effect in doubt is known not to have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum NotDone {
    /// The other side said no.
    Refused(Refusal),
    /// A look at the world, long enough after, shows that nothing happened.
    Seen,
}

/// What an operator asked of one rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "asked", rename_all = "kebab-case")]
pub enum OperatorRequest {
    /// `rotator abort ID`.
    Abort,
    /// `rotator abort ID --undo`: the abort that was asked for is taken back.
    TakeAbortBack,
    /// `rotator reactivate ID`.
    ReactivateOld,
    /// `rotator resolve ID --delete-key KEY`.
    DeleteKey {
        /// That key.
        key: AccessKeyId,
    },
    /// `rotator resolve ID --keep-key KEY`: never ours.
    KeepKey {
        /// That key.
        key: AccessKeyId,
    },
    /// `rotator resolve ID --leave-sink SINK`: whatever the sink holds, the rotation does not wait for it.
    LeaveSink {
        /// That sink.
        sink: SinkName,
    },
}

/// How a rotation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Done: every place holds the new pair, the old key is deleted.
    DeletedOld,
    /// The new key, if there was one, is discarded; the old one is untouched.
    Aborted,
    /// The user was deleted with its keys, or the old key vanished before anything was done.
    Gone,
}

impl Ending {
    /// The name in the JSON document.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeletedOld => "deleted-old",
            Self::Aborted => "aborted",
            Self::Gone => "gone",
        }
    }
}

/// One line of a rotation's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The rotation began.
    Opened(Box<Opened>),
    /// We are about to have this effect.
    Intended(Intent),
    /// The effect in doubt happened.
    Done(Outcome),
    /// The effect in doubt did not happen.
    NotDone(NotDone),
    /// A look at IAM contradicted the record, or showed nothing; it is believed at an equal one `settle` later.
    LookedOnce {
        /// AWS's clock at that look.
        at: Timestamp,
        /// What was seen, in words: equal looks agree.
        seen: String,
    },
    /// The key held on evidence is not ours, or is not there any more: nothing of ours is left. Without effect.
    Disowned {
        /// That key.
        key: AccessKeyId,
    },
    /// The user has another name: IAM lists a key of this rotation for it. Without effect.
    Renamed {
        /// Its name now.
        user: UserName,
    },
    /// A right is missing without which no new key is of use: the present one is discarded, and none is made again until
    /// the right is there.
    Withheld(Denied),
    /// Copies of the old pair were found after every place held the new one. They become places of the rotation, and
    /// the new pair is written to them.
    PlacesAdded {
        /// The new places.
        places: Vec<Place>,
        /// What their stores say they are.
        stores: BTreeMap<StoreName, StoreIdentity>,
    },
    /// Of these, the ones that hold another value by now or do not take the new pair: they are no places any more.
    PlacesLeft {
        /// The former places.
        places: Vec<Place>,
    },
    /// A sink that an operator left is not waited for since then, and the overlap begins.
    SinkLeft {
        /// Its number in the plan.
        sink: usize,
        /// AWS's clock.
        at: Timestamp,
    },
    /// An operator is needed.
    Blocked(BlockReason),
    /// The cause of the block has ended.
    Unblocked,
    /// An operator asked for something.
    Asked(OperatorRequest),
    /// A key turned up that a lost `CreateAccessKey` may have made after all; reported, never taken.
    LateKeySeen {
        /// That key.
        key: AccessKeyId,
    },
    /// Something failed for now, or waits until a stated time.
    Deferred {
        /// For the operator.
        why: String,
        /// When to look again, where a time can be said.
        until: Option<Timestamp>,
    },
    /// The rotation closed without a further effect.
    Ended {
        /// How.
        ending: Ending,
        /// For the operator.
        why: String,
    },
}
