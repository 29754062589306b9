//! The initial state of a simulation and its future events.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rotator::rotation::policy::{Policy, Unclaimed};

use super::faults::{Faults, Interference, Lasting};
use super::lag::Visibility;
use super::life::Denial;
use super::ports::NOTE;
use super::schedule::Backing;
use super::state::{By, Reader, SINK, SimState, Store, in_sink};
use super::traffic::{Happening, Moving, Planned, Traffic};

/// The initial state of the simulation.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    pub(crate) users: usize,
    /// The number of stores that hold each pair.
    pub(crate) stores: usize,
    pub(crate) atomic: bool,
    pub(crate) compare_and_set: bool,
    /// Whether the first store holds each pair in a document as well.
    pub(crate) document: bool,
    /// Whether a sink follows each pair in the first store.
    pub(crate) sink: bool,
    pub(crate) policy: Policy,
    /// This user has a second key, which is a stranger's.
    pub(crate) stranger: Option<usize>,
    /// This user's id is stored beside the secret of another program.
    pub(crate) wrong_pair: Option<usize>,
    pub(crate) visibility: Visibility,
    pub(crate) backing: Backing,
    /// The act of an operator, and its call.
    pub(crate) interference: Option<(usize, Interference)>,
    /// The temporary troubles.
    pub(crate) troubles: Vec<Lasting>,
    /// With virtual time: the durations of calls.
    pub(crate) traffic: Option<Traffic>,
    /// An event at a planned time.
    pub(crate) planned: Vec<Planned>,
    /// The denied calls, with times in milliseconds from the beginning.
    pub(crate) denials: Vec<Denial>,
    /// Dates that are wrong, by the number of the answer: by how many seconds.
    pub(crate) wrong_dates: BTreeMap<usize, i64>,
    /// The creates that a proxy sends twice.
    pub(crate) resent: BTreeSet<usize>,
    /// A service uses this user's old key for this number of milliseconds from the beginning.
    pub(crate) in_use: Option<(usize, i64)>,
    /// Whether an entry names the first user's old key, and cannot be read for as long as a trouble says so.
    pub(crate) hidden_note: bool,
}

impl Setup {
    pub(crate) fn simple() -> Self {
        Self {
            users: 1,
            stores: 1,
            atomic: true,
            compare_and_set: true,
            document: false,
            sink: false,
            policy: Policy {
                settle: Duration::from_secs(60),
                proof_span: Duration::ZERO,
                confirmations: 2,
                ..Policy::default()
            },
            stranger: None,
            wrong_pair: None,
            visibility: Visibility::default(),
            backing: Backing::Memory,
            interference: None,
            troubles: Vec::new(),
            traffic: None,
            planned: Vec::new(),
            denials: Vec::new(),
            wrong_dates: BTreeMap::new(),
            resent: BTreeSet::new(),
            in_use: None,
            hidden_note: false,
        }
    }

    pub(super) fn build(&self, faults: Faults) -> SimState {
        let now = 1_800_000_000_000;
        let mut planned: Vec<Planned> =
            self.planned.iter().map(|planned| Planned { at: now + planned.at, ..*planned }).collect();
        planned.sort_by_key(|planned| std::cmp::Reverse(planned.at));
        let mut state = SimState {
            now,
            began: now,
            overlap: i64::try_from(self.policy.overlap.as_millis()).expect("short"),
            quarantine: i64::try_from(self.policy.quarantine.as_millis()).expect("short"),
            denials: self.denials.iter().map(|denial| denial.after(now)).collect(),
            wrong_dates: self.wrong_dates.clone(),
            resent: self.resent.clone(),
            in_use: self.in_use.map(|(number, lasts)| (user_name(number), now + lasts)),
            moving: self.traffic.clone().map(|traffic| Moving::new(traffic, now)),
            planned,
            visibility: self.visibility.clone(),
            faults,
            troubles: self.troubles.clone(),
            interference: self.interference,
            confirmations: self.policy.confirmations,
            reclaims: self.policy.unclaimed == Unclaimed::Reclaim,
            first_user: user_name(0),
            ..SimState::default()
        };
        for number in 0..self.stores {
            let store = Store { atomic: self.atomic, compare_and_set: self.compare_and_set, ..Store::default() };
            state.stores.insert(format!("store{number}"), store);
        }
        for number in 0..self.users {
            self.add_user(&mut state, number);
        }
        if self.sink {
            self.add_sink(&mut state);
        }
        if self.hidden_note
            && let (Some(key), Some(store)) =
                (state.users.values().flatten().next().cloned(), state.stores.get_mut("store0"))
        {
            store.entries.insert(NOTE.to_owned(), (1, format!("{{\"key\": \"{}\"}}", key.id).into_bytes()));
        }
        state
    }

    /// Whether an operator is to act on this user, or a service keeps using what is to be replaced.
    pub(crate) fn disturbs(&self, user: &str) -> bool {
        let acts = |planned: &Planned| match planned.what {
            Happening::Operator(number, _) => user_name(number) == user,
            Happening::Suspend(_) => false,
        };
        self.planned.iter().any(acts) || self.in_use.is_some_and(|(number, _)| user_name(number) == user)
    }

    /// Adds a sink, which has the pair of each user at the beginning.
    fn add_sink(&self, state: &mut SimState) {
        let mut sink = Store { atomic: true, compare_and_set: false, ..Store::default() };
        for (user, keys) in &state.users {
            let key = keys.iter().find(|key| key.by == By::Stored).expect("a stored key");
            let [id, secret] = in_sink(user);
            sink.entries.insert(id.clone(), (1, key.id.clone().into_bytes()));
            sink.entries.insert(secret.clone(), (1, key.secret.clone().into_bytes()));
            state.readers.push(Reader { user: user.clone(), store: SINK.to_owned(), id, secret });
        }
        state.stores.insert(SINK.to_owned(), sink);
    }

    fn add_user(&self, state: &mut SimState, number: usize) {
        let long_ago = state.now - 90 * 86_400_000;
        let user = user_name(number);
        let key = state.add_key(&user, By::Stored, long_ago);
        if self.stranger == Some(number) {
            state.add_key(&user, By::Stranger, long_ago);
        }
        if self.wrong_pair == Some(number) {
            self.add_wrong_pair(state, &user, &key.id);
            return;
        }
        for (number, (store, Store { entries, .. })) in state.stores.iter_mut().enumerate() {
            let mut reader = |id: String, secret: String| {
                state.readers.push(Reader { user: user.clone(), store: store.clone(), id, secret });
            };
            let (id, secret) = (format!("{user}/AWS_ACCESS_KEY_ID"), format!("{user}/AWS_SECRET_ACCESS_KEY"));
            entries.insert(id.clone(), (1, key.id.clone().into_bytes()));
            entries.insert(secret.clone(), (1, format!("{}\n", key.secret).into_bytes()));
            entries.insert(format!("{user}/MY_SECRET"), (1, b"keep me".to_vec()));
            reader(id, secret);
            if self.document && number == 0 {
                let entry = format!("{user}/config.json");
                let text = format!(
                    "{{ \"aws_access_key_id\": \"{}\", \"aws_secret_access_key\": \"{}\" , \"more\": [1,2] }}",
                    key.id, key.secret
                );
                entries.insert(entry.clone(), (1, text.into_bytes()));
                reader(entry.clone(), entry);
            }
        }
    }

    /// The user's id beside a secret of another program.
    fn add_wrong_pair(&self, state: &mut SimState, user: &str, id: &str) {
        let value = format!("{}\n", state.mint().1).into_bytes();
        for (store, Store { entries, .. }) in &mut state.stores {
            let (id_entry, entry) = (format!("{user}/AWS_ACCESS_KEY_ID"), format!("{user}/AWS_SECRET_ACCESS_KEY"));
            entries.insert(id_entry, (1, id.as_bytes().to_vec()));
            entries.insert(entry.clone(), (1, value.clone()));
            state.others.push((store.clone(), entry, value.clone()));
        }
    }
}

pub(crate) fn user_name(number: usize) -> String {
    format!("app{number}/production")
}
