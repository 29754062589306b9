//! Reads every entry of every store to find the entries that name a key.
//!
//! A scan searches for the keys of all rotations of this process, so that one scan serves all rotations that reached
//! their present state before it began, as long as it is fresh enough.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::environments::Environments;
use super::large::{STOPPED, WhileTimeIsLeft};
use crate::discovery::{Candidate, Needles, Searched, StoredEntry, discover};
use crate::engine::executor::fact_age::Span;
use crate::engine::options::{EngineOptions, Progress};
use crate::engine::rate_limit::Priority;
use crate::engine::shutdown::Stop;
use crate::engine::stores::Stores;
use crate::journal::clock::Clock;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Reading, Readings};
use crate::rotation::observed::ScanSeen;
use crate::rotation::record::Rotation;
use crate::rotation::state::Phase;
use crate::types::name::{AccessKeyId, StoreName};
use crate::types::place::Place;

/// The default of [`EngineOptions::scan_interval`].
pub const SCAN_INTERVAL: Duration = Duration::from_secs(60);
/// With `--wait`, the least interval between two scans as a multiple of the duration of the last one. Reading then
/// takes at most a tenth of the time.
const INTERVAL_IN_SCANS: u32 = 10;
/// With `--wait`, a removal that is due waits at most this long for its scan to begin.
const LONGEST_WAIT: Duration = Duration::from_secs(15 * 60);

/// What a scan reads, and when it has to stop.
pub struct ScanContext<'a> {
    pub stores: &'a Stores,
    pub options: &'a EngineOptions,
    pub clock: &'a dyn Clock,
    pub stop: &'a Stop,
}

/// One scan of every entry.
struct Scan {
    span: Span,
    /// What it looked for.
    keys: BTreeMap<AccessKeyId, bool>,
    named: BTreeMap<AccessKeyId, Vec<String>>,
    unreadable: Vec<String>,
    /// The places that hold one of the keys with its secret, in a form that can be edited.
    copies: Copies,
}

impl Scan {
    fn seen(&self, key: &AccessKeyId) -> (ScanSeen, Span) {
        let entries = self.named.get(key).cloned().unwrap_or_default();
        let named = BTreeMap::from([(key.clone(), entries)]);
        (ScanSeen { named, unreadable: self.unreadable.clone() }, self.span)
    }
}

#[derive(Default)]
struct Latest {
    scan: Option<Scan>,
    /// The last scan that failed: when it ended, and why.
    failed: Option<(Duration, CallError)>,
}

/// Scans, shared by all rotations.
#[derive(Default)]
pub struct Scans {
    /// The keys of all rotations of this process, and for each key whether an editable copy of it matters.
    keys: Mutex<BTreeMap<AccessKeyId, bool>>,
    /// Since when a rotation waits for a scan that has not begun.
    due_since: Mutex<Option<Duration>>,
    latest: tokio::sync::Mutex<Latest>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Scans {
    /// Makes every later scan search for the keys of this rotation, too. Copies of the old pair do not matter as long
    /// as the places hold that pair.
    pub(in crate::engine) fn look_for(&self, rotation: &Rotation) {
        let is_stored = matches!(rotation.state.phase(), Some(Phase::StoredNew { .. } | Phase::DeactivatedOld { .. }));
        let mut keys = lock(&self.keys);
        for key in rotation.keys() {
            *keys.entry(key.clone()).or_default() |= is_stored && *key == rotation.opened.old_key;
        }
    }

    /// Makes later scans search no longer for the keys of this rotation, which is closed. A key that another rotation asks about
    /// is searched for again.
    pub(in crate::engine) fn forget(&self, rotation: &Rotation) {
        let mut keys = lock(&self.keys);
        for key in rotation.keys().chain(&rotation.new_key) {
            keys.remove(key);
        }
    }

    /// Returns the entries that name `key`, from a scan that began at `since` or later and is fresh enough for a
    /// removal now.
    ///
    /// # Errors
    /// A store could not be listed.
    pub(in crate::engine) async fn naming(
        &self,
        context: &ScanContext<'_>,
        key: &AccessKeyId,
        since: Duration,
    ) -> Result<(ScanSeen, Span), CallError> {
        let clock = context.clock;
        let asked = clock.monotonic();
        lock(&self.keys).entry(key.clone()).or_default();
        lock(&self.due_since).get_or_insert(asked);
        let mut latest = self.latest.lock().await;
        if let Some((_, error)) = latest.failed.as_ref().filter(|(ended, _)| *ended > asked) {
            return Err(error.clone());
        }
        let serves = |scan: &&Scan| {
            scan.span.began >= since
                && scan.keys.get(key) == lock(&self.keys).get(key)
                && scan.span.scan_is_fresh(clock.monotonic())
        };
        if let Some(scan) = latest.scan.as_ref().filter(serves) {
            return Ok(scan.seen(key));
        }
        if context.options.wait {
            let due = lock(&self.due_since).unwrap_or(asked);
            let before = latest.scan.as_ref().map(|scan| scan.span);
            let pause = earliest(before, due, context.options.scan_interval).saturating_sub(clock.monotonic());
            if let Some(watcher) = context.options.watcher.as_ref().filter(|_| !pause.is_zero()) {
                watcher(Progress::Gathering(pause));
            }
            // After a signal no other removals are gathered: the discard of an unproven key needs this scan at once.
            context.stop.unless_asked(clock.sleep(pause)).await;
        }
        let keys = lock(&self.keys).clone();
        *lock(&self.due_since) = None;
        let (began, awake) = (clock.monotonic(), clock.awake());
        match scan(context, &keys).await {
            Ok((named, unreadable, copies)) => {
                // A scan serves for a minute and its own duration. The time for which the machine was suspended does not
                // count as duration: any entry may have been written in that time.
                let span = Span { began, ended: began + clock.awake().saturating_sub(awake) };
                let scan = Scan { span, keys, named, unreadable, copies };
                let seen = scan.seen(key);
                *latest = Latest { scan: Some(scan), failed: None };
                Ok(seen)
            }
            Err(error) => {
                latest.failed = Some((clock.monotonic(), error.clone()));
                Err(error)
            }
        }
    }
}

impl Scans {
    /// Returns where the last scan found this key with its secret, in a form in which both can be replaced.
    pub(in crate::engine) async fn copies(&self, key: &AccessKeyId) -> Vec<Place> {
        let latest = self.latest.lock().await;
        latest.scan.as_ref().and_then(|scan| scan.copies.get(key)).cloned().unwrap_or_default()
    }
}

/// Returns when the scan after `before` may begin, if a removal has been due since `due`. The interval gathers the
/// removals that become due during it.
fn earliest(before: Option<Span>, due: Duration, least: Duration) -> Duration {
    let Some(before) = before else { return Duration::ZERO };
    let interval = least.max(before.ended.saturating_sub(before.began) * INTERVAL_IN_SCANS);
    (before.began + interval).min(due + LONGEST_WAIT)
}

type Named = BTreeMap<AccessKeyId, Vec<String>>;
type Copies = BTreeMap<AccessKeyId, Vec<Place>>;

/// Finds the entries that name one of these keys, and those that could not be read.
async fn scan(
    context: &ScanContext<'_>,
    keys: &BTreeMap<AccessKeyId, bool>,
) -> Result<(Named, Vec<String>, Copies), CallError> {
    let needles = Needles::new(keys.keys());
    let (mut named, mut unreadable, mut copies) = (Named::new(), Vec::new(), Copies::new());
    for store in &context.stores.all {
        let mut environments = Environments::of(context.stores, &**store, Priority::Scan).await?;
        // Two environments of a store may hold the same key, so the environments with copies are judged together.
        let mut with_copies = Vec::new();
        while let Some(part) = environments.next().await? {
            let mut naming = BTreeSet::new();
            let searched: Vec<_> =
                part.par_iter().map(|(_, reading)| search(context, &needles, reading)).collect::<Result<_, _>>()?;
            for ((entry, _), (mut found, why)) in part.iter().zip(searched) {
                let label = || context.stores.describe(store.name(), entry);
                if found.iter().any(|key| keys.get(*key).is_some_and(|copies_matter| *copies_matter)) {
                    naming.insert(entry.scope().to_owned());
                }
                found.extend(needles.in_name(entry));
                for key in found {
                    named.entry(key.clone()).or_default().push(label());
                }
                let ignored = context.options.unread_ok.is_match(entry.as_str());
                if let Some(why) = why.filter(|_| !ignored) {
                    tracing::warn!("{} cannot be read: {why}", label());
                    unreadable.push(label());
                }
            }
            if !store.capabilities().read_only {
                with_copies.extend(values_of(store.name(), part, &naming));
            }
        }
        for Candidate { key_id, places } in discover(&with_copies).candidates {
            copies.entry(key_id).or_default().extend(places);
        }
    }
    copies.retain(|key, _| keys.contains_key(key));
    tracing::debug!(keys = keys.len(), "read every entry of every store");
    Ok((named, unreadable, copies))
}

/// Returns the keys that the content of one entry names, and why it may name others.
pub(in crate::engine) fn search<'n>(
    context: &ScanContext<'_>,
    needles: &'n Needles,
    reading: &Reading,
) -> Result<(BTreeSet<&'n AccessKeyId>, Option<String>), CallError> {
    if context.stop.time_is_over(context.clock) {
        return Err(CallError::new(CallErrorKind::Unavailable, STOPPED));
    }
    Ok(match reading {
        Reading::Value { value, .. } | Reading::Managed { value, .. } => outcome(needles.search(value)),
        Reading::Large(large) => match large.open() {
            Ok(value) => outcome(needles.search(&WhileTimeIsLeft::new(&*value, context.stop, context.clock))),
            Err(why) => (BTreeSet::new(), Some(why)),
        },
        Reading::Unreadable(why) => (BTreeSet::new(), Some(why.clone())),
        Reading::Missing => (BTreeSet::new(), None),
    })
}

fn outcome(searched: Searched<'_>) -> (BTreeSet<&AccessKeyId>, Option<String>) {
    (searched.named, searched.unopened.map(|why| why.to_string()))
}

/// Returns the editable values in the environments `scopes` of a store.
fn values_of(store: &StoreName, part: Readings, scopes: &BTreeSet<String>) -> Vec<StoredEntry> {
    let entries = part.into_iter().filter(|(name, _)| scopes.contains(name.scope()));
    let values = entries.filter_map(|(name, reading)| match reading {
        Reading::Value { value, .. } => Some(StoredEntry { store: store.clone(), name, value }),
        Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => None,
    });
    values.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::rate_limit::RateLimiter;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn span(began: u64, ended: u64) -> Option<Span> {
        Some(Span { began: at(began), ended: at(ended) })
    }

    struct StandsStill;

    #[async_trait::async_trait]
    impl Clock for StandsStill {
        fn now(&self) -> crate::types::time::Timestamp {
            crate::types::time::Timestamp::from_unix_seconds(0)
        }

        fn monotonic(&self) -> Duration {
            at(100)
        }

        async fn sleep(&self, span: Duration) {
            if !span.is_zero() {
                std::future::pending::<()>().await;
            }
        }
    }

    #[tokio::test]
    async fn a_scan_waits_for_the_interval_and_no_longer_than_until_a_signal() {
        let clock = std::sync::Arc::new(StandsStill);
        let limiter = RateLimiter::new(std::sync::Arc::new(tokio::sync::Semaphore::new(1)), None, clock.clone());
        let stores = Stores { all: Vec::new(), identities: BTreeMap::new(), limiter };
        let options = EngineOptions {
            concurrency: 1,
            rate: None,
            call_timeout: at(10),
            wait: true,
            scan_interval: SCAN_INTERVAL,
            unread_ok: globset::GlobSet::empty(),
            watcher: None,
        };
        let (stop, scans) = (Stop::default(), Scans::default());
        let context = ScanContext { stores: &stores, options: &options, clock: &*clock, stop: &stop };
        let [first, second] =
            ["AKIAABCDEFGHIJ234567", "AKIAABCDEFGHIJ234566"].map(|id| AccessKeyId::new(id).expect("an id"));
        scans.naming(&context, &first, at(0)).await.expect("nothing was scanned before");
        let mut waiting = Box::pin(scans.naming(&context, &second, at(0)));
        let soon = Duration::from_millis(50);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err(), "the interval is not over");
        stop.ask(&*clock);
        tokio::time::timeout(at(5), waiting).await.expect("it hears the signal").expect("scanned");
    }

    #[test]
    fn the_first_scan_begins_at_once() {
        assert_eq!(earliest(None, at(1_000), SCAN_INTERVAL), Duration::ZERO);
    }

    #[test]
    fn scans_begin_a_minute_apart_and_take_at_most_a_tenth_of_the_time() {
        assert_eq!(earliest(span(100, 101), at(102), SCAN_INTERVAL), at(160));
        assert_eq!(earliest(span(100, 120), at(125), SCAN_INTERVAL), at(300));
    }

    #[test]
    fn a_removal_waits_at_most_fifteen_minutes_for_a_scan() {
        assert_eq!(earliest(span(1_000, 1_900), at(2_000), SCAN_INTERVAL), at(2_900));
    }
}
