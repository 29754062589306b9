//! Decides about one key that was found: whether it is chosen, confirmed by IAM, due, and free to be rotated.

use std::sync::Arc;

use uuid::Uuid;

use super::choice::{Choice, MADE_LATELY, Names, Rule, Terms};
use super::found::{Due, Taken};
use super::obstacles::Obstacles;
use super::ownership::{Confirmed, Lists, ownership};
use super::second_key::{advice, to_delete, to_set};
use super::skip::Skip;
use super::unused;
use crate::discovery::{Candidate, SkipReason};
use crate::engine::accounts::Account;
use crate::engine::session::Session;
use crate::journal::campaign::{NoteDetail, OtherKey};
use crate::rotation::observed::{KeyStatus, KeysSeen};
use crate::rotation::policy::SpareKey;
use crate::rotation::sink::Follower;
use crate::types::name::{AccessKeyId, RotationId, UserName};
use crate::types::secret::SecretKey;
use crate::types::shell::quoted;
use crate::types::time::words;

/// The result for a candidate.
pub(super) struct Considered {
    pub(super) answer: Answer,
    /// The names of the key in a pattern.
    pub(super) names: Names,
    /// The answer of IAM, if it was asked and confirmed the key.
    pub(super) confirmed: Option<Box<Confirmed>>,
    /// Whether `only` leaves the key out.
    pub(super) passed_over: bool,
    /// A message if AWS did not answer and a pattern may mean the key.
    pub(super) not_asked: Option<String>,
    /// Why the last use is not known, if `unused_for` depends on it.
    pub(super) use_unknown: Option<String>,
}

/// Whether a key is to be rotated.
pub(super) enum Answer {
    Due(Box<Due>),
    /// A rotation in flight has the key.
    InFlight,
    Skip(Skip),
}

/// A candidate, with its present secret and what prevents its rotation.
pub(super) struct Question<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) secret: Option<SecretKey>,
    pub(super) obstacles: Obstacles<'a>,
}

/// Decides about one candidate. Changes nothing.
pub(super) async fn consider(
    session: &Session,
    lists: &Lists,
    choice: &Choice,
    taken: &Taken,
    question: Question<'_>,
) -> Considered {
    let Question { candidate, secret, obstacles } = question;
    let id = &candidate.key_id;
    let mut names = Names::of(&choice.owner, candidate);
    let answered = |answer, names| Considered {
        answer,
        names,
        confirmed: None,
        passed_over: false,
        not_asked: None,
        use_unknown: None,
    };
    let excluded = |names: &Names| Answer::Skip(Skip::new(SkipReason::Excluded, choice.why_excluded(names)));
    if taken.in_flight.contains(id) {
        return answered(Answer::InFlight, names);
    }
    if choice.excludes(&names) && choice.only.is_none() {
        return answered(excluded(&names), names);
    }
    if !choice.may_take(&names) {
        return Considered { passed_over: !choice.excludes(&names), ..answered(excluded(&names), names) };
    }
    let excluded_by = |rule: &Rule| Answer::Skip(Skip::new(SkipReason::Excluded, rule.why_excluded()));
    let now = session.aws_now();
    if let Some(rule) = choice.surely_excluding(&names, now) {
        return answered(excluded_by(rule), names);
    }
    if session.signs_with(id) {
        return answered(Answer::Skip(Skip::new(SkipReason::OwnKey, "rotator itself signs with this key")), names);
    }
    // IAM decides how the user name is spelt, and the patterns are matched with that spelling.
    let asked = ownership(session, lists, &choice.owner, candidate).await;
    if let Ok((_, confirmed)) = &asked {
        names.add_user(&confirmed.user);
    }
    if choice.excludes(&names) || !choice.takes(&names) {
        let unheard = asked.as_ref().err().filter(|skip| skip.reason.is_unheard());
        let not_asked = unheard.map(|skip| format!("{id} ({})", skip.message));
        return Considered { passed_over: !choice.excludes(&names), not_asked, ..answered(excluded(&names), names) };
    }
    if let Some(rule) = choice.excluding_rule(&names, now) {
        return answered(excluded_by(rule), names);
    }
    let rule = choice.rule_of(&names);
    let terms = choice.terms_of(&names);
    let (account, mut confirmed) = match asked {
        Ok(confirmed) => confirmed,
        Err(skip) => return answered(Answer::Skip(skip), names),
    };
    let mut use_unknown = None;
    if let Some(said) = &confirmed.reported_use {
        // Also for a key that is not due: the use may be a proof of rotator, and then it must not look like a program's.
        let whose = (&confirmed.user, id);
        confirmed.last_use = unused::last_use(account, taken, whose, Some(said.clone())).await.ok();
    }
    let judged = async {
        is_due(terms, taken, &confirmed).await?;
        use_unknown = check_last_use(terms, taken, account, &mut confirmed).await?;
        judge(session, terms, taken, candidate, obstacles, account, &confirmed).await
    };
    let judged = judged.await;
    let considered = match judged {
        Ok(sinks) => answered(Answer::Due(Box::new(due(candidate, secret, confirmed, sinks, (rule, terms)))), names),
        Err(skip) => Considered { confirmed: Some(Box::new(confirmed)), ..answered(Answer::Skip(skip), names) },
    };
    Considered { use_unknown, ..considered }
}

fn due(
    candidate: &Candidate,
    secret: Option<SecretKey>,
    confirmed: Confirmed,
    sinks: Vec<Follower>,
    (rule, terms): (Option<&Rule>, &Terms),
) -> Due {
    let Confirmed { account, user, key, keys, listed, last_use, reported_use: _ } = confirmed;
    let id = RotationId::from_uuid(Uuid::now_v7());
    let old_secret = secret.as_ref().and_then(|secret| secret.fingerprint(id));
    let (secret, places) = (secret.map(Arc::new), candidate.places.clone());
    let (rule, policy) = (rule.map(Rule::name), terms.policy.clone());
    Due { id, old_secret, account, user, key, listed: (keys, listed), last_use, secret, places, sinks, rule, policy }
}

/// Checks whether the age of a key makes it due.
async fn check_age(terms: &Terms, taken: &Taken, confirmed: &Confirmed) -> Result<(), Skip> {
    let Confirmed { user, key, keys, .. } = confirmed;
    let age = keys.at.since(key.created);
    if !terms.older_than.is_zero() {
        if age >= terms.older_than {
            return Ok(());
        }
        let message = format!("it is {} old, and due at {}", words(age), words(terms.older_than));
        return Err(Skip::not_before(key.created.plus(terms.older_than), SkipReason::NotDue, message));
    }
    let name = quoted(user.as_str());
    // No command is suggested for which IAM has no room.
    let other = other_in_the_way(terms, confirmed).map(|other| {
        format!("{user} has two keys, and IAM allows no third: decide about {other} before you rotate this one")
    });
    if taken.made_by_campaign.contains(&key.id) && !terms.is_named {
        let message = format!(
            "rotator made it in the campaign that is still open, and no run rotates it before that has closed; {}",
            other.unwrap_or_else(|| format!("`rotator rotate {name}` does"))
        );
        return Err(Skip::new(SkipReason::RecentlyRotated, message));
    }
    let Some(made) = taken.made.as_ref().filter(|_| !terms.again && age < MADE_LATELY) else { return Ok(()) };
    match made.made_for(user).await {
        Ok(made) if !made.contains(&key.id) => Ok(()),
        Ok(_) => {
            let message = format!(
                "rotator made it less than 20 hours ago; {}",
                other.unwrap_or_else(|| format!("`rotator rotate {name}` rotates it all the same"))
            );
            Err(Skip::not_before(key.created.plus(MADE_LATELY), SkipReason::RecentlyRotated, message))
        }
        Err(why) => Err(Skip::recheck(
            SkipReason::RecentlyRotated,
            format!("the journal does not say whether rotator made it: {why}"),
        )),
    }
}

/// The other key of the user, which leaves no room for a new one.
fn other_in_the_way<'a>(terms: &Terms, confirmed: &'a Confirmed) -> Option<&'a AccessKeyId> {
    let other = confirmed.keys.keys.iter().flatten().find(|other| other.id != confirmed.key.id)?;
    let is_deleted = terms.policy.spare_key == SpareKey::DeleteInactive && other.status == KeyStatus::Inactive;
    (!is_deleted).then_some(&other.id)
}

/// Checks that a key is active and old enough, and that no rotation of its user is in flight.
async fn is_due(terms: &Terms, taken: &Taken, confirmed: &Confirmed) -> Result<(), Skip> {
    let Confirmed { account, user, key, .. } = confirmed;
    if key.status != KeyStatus::Active {
        let message = format!("it is {}: a new one would enable what someone switched off", key.status.name());
        return Err(Skip::new(SkipReason::Inactive, message));
    }
    check_age(terms, taken, confirmed).await?;
    if taken.users.contains(&(account.clone(), user.clone())) {
        let message = format!("a rotation of another key of {user} is in flight");
        return Err(Skip::needs_operator(SkipReason::UserInFlight, message));
    }
    Ok(())
}

/// Skips a due key that no program uses. Returns why the last use is not known, if `unused_for` depends on it.
async fn check_last_use(
    terms: &Terms,
    taken: &Taken,
    account: &Account,
    confirmed: &mut Confirmed,
) -> Result<Option<String>, Skip> {
    let Some(unused_for) = terms.unused_for else { return Ok(None) };
    let last_use = match &confirmed.last_use {
        Some(last_use) => last_use.clone(),
        None => {
            let whose = (&confirmed.user, &confirmed.key.id);
            match unused::last_use(account, taken, whose, confirmed.reported_use.clone()).await {
                Ok(last_use) => confirmed.last_use.insert(last_use).clone(),
                Err(why) => return Ok(Some(why)),
            }
        }
    };
    unused::check(confirmed, &last_use, unused_for).map(|()| None)
}

async fn judge(
    session: &Session,
    terms: &Terms,
    taken: &Taken,
    candidate: &Candidate,
    obstacles: Obstacles<'_>,
    account: &Account,
    confirmed: &Confirmed,
) -> Result<Vec<Follower>, Skip> {
    let id = &candidate.key_id;
    let Confirmed { user, keys, .. } = confirmed;
    named_nowhere_else(obstacles.elsewhere, obstacles.unread)?;
    if let Some(why) = obstacles.fixed {
        let message = format!("{why}: have it rotated there, by hand or by what does so, or leave it out by --exclude");
        return Err(Skip::needs_operator(SkipReason::ReadOnly, message));
    }
    let sinks = session.sinks.followers(&candidate.places).map_err(|why| {
        let message = format!("{why}; a new key could not be brought there: fix the sink, or take it out of [[sink]]");
        Skip::needs_operator(SkipReason::SinkUnavailable, message)
    })?;
    if let Some(why) = session.sinks.detached(&taken.in_sinks, id, &candidate.places) {
        return Err(Skip::needs_operator(SkipReason::SinkRemoved, why));
    }
    room(account, terms, taken, user, keys, id).await?;
    Ok(sinks)
}

/// Checks that no entry but its places names a key, or may name it.
pub(super) fn named_nowhere_else(elsewhere: Option<&Vec<String>>, unread: &[String]) -> Result<(), Skip> {
    if let Some(entries) = elsewhere {
        let message = format!(
            "{} also names it, in a form that cannot be rewritten: its old key could never be removed; change that \
             entry first",
            entries.join(", ")
        );
        return Err(Skip::needs_operator(SkipReason::ReferencedElsewhere, message));
    }
    if let [first, others @ ..] = unread {
        let more = if others.is_empty() { String::new() } else { format!(" and {} more", others.len()) };
        let message = format!(
            "{first}{more} cannot be read and may name it, and its old key could not be removed then: have it made \
             readable, or cover it by `[policy] unread_ok` if it holds no key"
        );
        return Err(Skip::needs_operator(SkipReason::UnreadableElsewhere, message));
    }
    Ok(())
}

/// Checks that the user has room for a new key. IAM allows a user two keys.
async fn room(
    account: &Account,
    terms: &Terms,
    taken: &Taken,
    user: &UserName,
    keys: &KeysSeen,
    id: &AccessKeyId,
) -> Result<(), Skip> {
    let Some(spare) = keys.keys.iter().flatten().find(|key| key.id != *id) else { return Ok(()) };
    let by_us = spare.status == KeyStatus::Inactive
        && taken.may_be_deactivated(&spare.id).await.map_err(|why| {
            let message =
                format!("the journal does not say whether rotator deactivated the spare key {}: {why}", spare.id);
            Skip::recheck(SkipReason::TwoKeys, message)
        })?;
    let deletable = terms.policy.spare_key == SpareKey::DeleteInactive && spare.status == KeyStatus::Inactive;
    if deletable && !by_us && keys.ids().len() == 2 {
        return Ok(());
    }
    let mut other = OtherKey::of(Some(account), taken, user, spare).await;
    other.may_be_deactivated_by_rotator = by_us;
    let advice = match by_us {
        true => format!(
            "an earlier rotation asked IAM to deactivate it and got no answer, and that request may be what deactivated it; if \
             a program needs the key, make it active ({}), otherwise delete it ({})",
            to_set(user, &spare.id, "Active"),
            to_delete(user, &spare.id)
        ),
        false => advice(user, &other),
    };
    let message = format!(
        "user {user} has two keys already, and IAM allows no third; the other is {} ({}): {advice}",
        spare.id,
        other.described(),
    );
    Err(Skip::needs_operator(SkipReason::TwoKeys, message).with(NoteDetail::OtherKey(other)))
}
