//! T9: every call that rotator makes meets every kind of bad reply: lost, sent twice, cut at many offsets, garbage,
//! refused, held and released later, or none for ever. Here is which call meets what; `batch` plays it.
//!
//! Many users are rotated by one `run`, and each meets its own fault, so that hundreds of cases fit into a minute.
//! rotator never calls `GetAccessKeyInfo`.

mod batch;

use std::sync::Mutex;

use rotator::sandbox::{Action, FaultKind, SentAnswer};

use self::batch::Replies;
use super::scene::Scene;
use crate::support::aws::{Pair, element, signed_call};
use crate::support::program::sandbox_with_slashes;
use crate::support::proof::{self, Draw, Proof};

/// The number of users in one batch.
const USERS: usize = 24;
/// The number of batches that are played at the same time, each in its own scene. A batch waits most of the time.
const LANES: usize = 3;
/// The distance in bytes between cuts of a body in CI; in full, the answer to a create is cut at every byte.
const CI_STEP: usize = 40;
/// In full, every answer but that to a create.
const FULL_STEP: usize = 5;

/// A call that meets bad replies, and what makes rotator make it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Setting {
    pub(super) action: Action,
    /// Every first create is lost after it was carried out, so that its key is reclaimed.
    pub(super) orphans: bool,
    pub(super) quarantine: &'static str,
    pub(super) settle: u64,
    pub(super) owner: &'static str,
    /// The number of such calls of one rotation.
    pub(super) calls: u64,
}

const PLAIN: Setting =
    Setting { action: Action::ListAccessKeys, orphans: false, quarantine: "0s", settle: 0, owner: "literal", calls: 2 };

const SETTINGS: [Setting; 9] = [
    PLAIN,
    Setting { action: Action::CreateAccessKey, calls: 1, ..PLAIN },
    Setting { action: Action::GetCallerIdentity, calls: 5, ..PLAIN },
    Setting { action: Action::DeleteAccessKey, settle: 5, calls: 1, ..PLAIN },
    Setting { action: Action::UpdateAccessKey, quarantine: "1d", settle: 2, calls: 1, ..PLAIN },
    Setting { action: Action::GetAccessKeyLastUsed, owner: "aws", calls: 1, ..PLAIN },
    // The key of a lost create is deactivated and discarded.
    Setting { action: Action::UpdateAccessKey, orphans: true, calls: 1, ..PLAIN },
    Setting { action: Action::DeleteAccessKey, orphans: true, settle: 3, calls: 1, ..PLAIN },
    Setting { action: Action::GetAccessKeyLastUsed, orphans: true, calls: 1, ..PLAIN },
];

/// The moment at which a held call is released.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Release {
    BeforeResume,
    AfterResume,
    AfterAll,
}

/// A bad reply, for the nth such call of a user.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Bad {
    pub(super) kind: FaultKind,
    pub(super) nth: u32,
    /// Whether the cut leaves a part of the secret.
    pub(super) half_a_secret: bool,
}

/// One bad reply for each user.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) setting: Setting,
    pub(super) bad: Vec<Bad>,
    pub(super) release: Release,
}

/// Every kind that cuts nothing.
const WHOLE: [FaultKind; 11] = [
    FaultKind::LostReplyBefore,
    FaultKind::LostReplyAfter,
    FaultKind::Twice(SentAnswer::First),
    FaultKind::Twice(SentAnswer::Second),
    FaultKind::Garbage200,
    FaultKind::Throttle,
    FaultKind::ServiceUnavailable,
    FaultKind::InternalFailure,
    FaultKind::HoldUntilReleased,
    FaultKind::HoldReply,
    FaultKind::HoldForever,
];

/// The body of a success, as the sandbox sends it for a user whose name has as many letters as ours.
fn sample(action: Action) -> String {
    let (sandbox, user) = (sandbox_with_slashes(), "app00/production");
    sandbox.add_user(user).expect("a new user");
    let key = sandbox.create_key(user).expect("a first key").id;
    let admin = Pair::new(sandbox.admin().id.as_str(), sandbox.admin().secret.expose());
    let service = action.service();
    let user = user.replace('/', "%2F");
    let body =
        format!("Action={action}&Version={}&UserName={user}&AccessKeyId={key}&Status=Inactive", service.version());
    let now = std::time::SystemTime::now();
    let answer = signed_call(sandbox.addr(), &admin, service.name(), &body, now).expect("an answer");
    assert_eq!(answer.status, 200, "{action}");
    answer.body
}

/// The answer to this call cut at many offsets; within the secret of a create, at each.
fn cuts(action: Action) -> Vec<(usize, bool)> {
    let body = sample(action);
    let secret = element(&body, "SecretAccessKey").map_or(0..0, |secret| {
        let start = body.find("<SecretAccessKey>").expect("found") + "<SecretAccessKey>".len();
        start + 1..start + secret.len()
    });
    let step = match (proof::is_full(), action) {
        (true, Action::CreateAccessKey) => 1,
        (true, _) => FULL_STEP,
        (false, _) => CI_STEP,
    };
    let offsets = (0..body.trim_end().len()).filter(|offset| offset % step == 0 || secret.contains(offset));
    offsets.map(|offset| (offset, secret.contains(&offset))).collect()
}

fn batches(draw: &mut Draw) -> Vec<Batch> {
    let mut batches = Vec::new();
    for setting in SETTINGS {
        let bad = |draw: &mut Draw, kind: FaultKind, half_a_secret| {
            let nth = u32::try_from(1 + draw.below(setting.calls)).expect("small");
            Bad { kind, nth, half_a_secret }
        };
        // As many rounds as fill a batch: the same kind meets several calls.
        let whole: Vec<Bad> = (0..USERS).map(|at| bad(draw, WHOLE[at % WHOLE.len()].clone(), false)).collect();
        let cut = cuts(setting.action)
            .into_iter()
            .flat_map(|(offset, half)| [(FaultKind::Truncate(offset), half), (FaultKind::CutOff(offset), half)]);
        // In CI the same calls of an orphan's end are cut no second time.
        let is_new = proof::is_full() || !setting.orphans;
        let cut: Vec<Bad> = cut.filter(|_| is_new).map(|(kind, half)| bad(draw, kind, half)).collect();
        for bad in std::iter::once(whole.as_slice()).chain(cut.chunks(USERS)) {
            let release = *draw.one_of(&[Release::BeforeResume, Release::AfterResume]);
            batches.push(Batch { setting, bad: bad.to_vec(), release });
        }
    }
    batches.extend(held(draw));
    if proof::is_full() {
        batches.extend(second_calls(draw));
    }
    batches
}

/// Each user's create or delete held, and carried out while it is in doubt, after the next `resume`, or after all.
fn held(draw: &mut Draw) -> Vec<Batch> {
    let mut held = Vec::new();
    for (action, release, settle) in [
        (Action::CreateAccessKey, Release::BeforeResume, 5),
        (Action::CreateAccessKey, Release::AfterResume, 0),
        (Action::CreateAccessKey, Release::AfterAll, 0),
        (Action::DeleteAccessKey, Release::AfterResume, 3),
    ] {
        let setting = Setting { action, calls: 1, settle, ..PLAIN };
        let kinds = [FaultKind::HoldUntilReleased, FaultKind::HoldUntilReleased, FaultKind::HoldReply];
        let bad = (0..USERS).map(|_| Bad { kind: draw.one_of(&kinds).clone(), nth: 1, half_a_secret: false });
        held.push(Batch { setting, bad: bad.collect(), release });
    }
    held
}

/// The first such call is lost, and the next one meets the bad reply.
fn second_calls(draw: &mut Draw) -> Vec<Batch> {
    let effects = SETTINGS.into_iter().filter(|setting| setting.calls == 1 && setting.owner != "aws");
    let batch = |setting| {
        let bad = |at: usize| Bad { kind: WHOLE[at % WHOLE.len()].clone(), nth: 2, half_a_secret: false };
        let release = *draw.one_of(&[Release::BeforeResume, Release::AfterResume]);
        Batch { setting, bad: (0..USERS).map(bad).collect(), release }
    };
    effects.map(batch).collect()
}

#[test]
fn every_promise_holds_for_every_reply_to_a_call() {
    let (seed, what) = (proof::seed(), "every call meets replies lost, doubled, cut, garbled, refused, held, or none");
    let rounds = 1..=proof::cases(1, 2);
    let all: Vec<Batch> = rounds.flat_map(|round| batches(&mut Draw::new(seed, round))).collect();
    let proof = Mutex::new(Proof::of("T9", what, &batch::WINDOWS));
    let lane = &|first: usize| {
        let mut replies = Replies::new(Scene::with_users(USERS), &proof);
        for (number, batch) in all.iter().enumerate().skip(first).step_by(LANES) {
            if let Err(broken) = replies.play(batch) {
                panic!("batch {number} of seed {seed}: {broken}\n{batch:#?}\n{}", replies.status());
            }
        }
    };
    std::thread::scope(|scope| {
        for first in 0..LANES {
            scope.spawn(move || lane(first));
        }
    });
    proof.into_inner().expect("no lane panicked").conclude();
}
