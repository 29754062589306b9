//! Reads every store a second time for keys whose ids AWS did not make. The first reading records no such id, because it
//! has no form by which it could be recognized. IAM has confirmed each key by then, so with AWS itself there is no
//! second reading.

use std::collections::{BTreeMap, BTreeSet};

use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::consider::named_nowhere_else;
use super::everything::read_again;
use super::obstacles::{elsewhere, mentions};
use super::skip::Skip;
use crate::discovery::{Candidate, Mentions, Needles};
use crate::engine::observe::environments::Environments;
use crate::engine::observe::scan::search;
use crate::engine::rate_limit::Priority;
use crate::engine::session::Session;
use crate::ports::call::CallError;
use crate::ports::secret_store::{Reading, Readings, SecretStore};
use crate::types::name::AccessKeyId;

/// What the second reading found, by key.
#[derive(Default)]
pub(super) struct SecondReading {
    elsewhere: BTreeMap<AccessKeyId, Vec<String>>,
    /// The entries that may name any of these keys, with the reason.
    unread: Vec<String>,
    searched_for: BTreeSet<AccessKeyId>,
}

impl SecondReading {
    /// Reads the stores, unless the first reading has recorded all that names these keys.
    ///
    /// # Errors
    /// A store cannot be read.
    pub(super) async fn of(session: &Session, recorded: &Mentions, due: &[&Candidate]) -> Result<Self, CallError> {
        let others: BTreeMap<&AccessKeyId, &Candidate> = due
            .iter()
            .filter(|candidate| recorded.of(&candidate.key_id).is_none())
            .map(|candidate| (&candidate.key_id, *candidate))
            .collect();
        let mut found = Self::default();
        if others.is_empty() {
            return Ok(found);
        }
        found.searched_for = others.keys().map(|key| (*key).clone()).collect();
        let needles = Needles::new(others.keys().copied());
        for store in &session.stores.all {
            let mut environments = Environments::of(&session.stores, &**store, Priority::Ordinary).await?;
            while let Some(part) = environments.next().await? {
                found.take(session, &**store, &needles, &others, part).await?;
            }
        }
        Ok(found)
    }

    async fn take(
        &mut self,
        session: &Session,
        store: &dyn SecretStore,
        needles: &Needles,
        others: &BTreeMap<&AccessKeyId, &Candidate>,
        part: Readings,
    ) -> Result<(), CallError> {
        let mut read = Vec::with_capacity(part.len());
        for (entry, reading) in part {
            let reading = match reading {
                Reading::Unreadable(why) => read_again(session, store, &entry, why).await,
                read @ (Reading::Value { .. } | Reading::Managed { .. } | Reading::Large(_) | Reading::Missing) => read,
            };
            read.push((entry, reading));
        }
        let context = session.scan_context();
        let searched: Vec<_> =
            read.par_iter().map(|(_, reading)| search(&context, needles, reading)).collect::<Result<_, _>>()?;
        for ((entry, _), (named, unread)) in read.iter().zip(searched) {
            for (key, mention) in mentions(needles, store.name(), entry, &named) {
                let label = elsewhere(session, others[key], &mention);
                self.elsewhere.entry(key.clone()).or_default().extend(label);
            }
            let unread = unread.filter(|_| !session.options.unread_ok.is_match(entry.as_str()));
            self.unread.extend(unread.map(|why| format!("{} ({why})", session.stores.describe(store.name(), entry))));
        }
        Ok(())
    }

    /// Skips a candidate whose key another entry names, or may name.
    pub(super) fn check(&self, candidate: &Candidate) -> Result<(), Skip> {
        if !self.searched_for.contains(&candidate.key_id) {
            return Ok(());
        }
        let elsewhere = self.elsewhere.get(&candidate.key_id).filter(|entries| !entries.is_empty());
        named_nowhere_else(elsewhere, &self.unread)
    }
}
