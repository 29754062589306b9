//! Which rule decides about a key, and when an exclusion ends.

use std::time::Duration;

use super::*;
use crate::types::name::UserName;

fn rule(number: usize, pattern: &str, exclusion: Option<Exclusion>) -> Rule {
    let keys = Patterns::new(&[pattern.to_owned()], &format!("[[rule]] {number}")).expect("valid");
    let older_than = Duration::from_secs(number as u64);
    Rule { number, keys, terms: Terms { older_than, ..Terms::default() }, exclusion }
}

fn choice(rules: Vec<Rule>) -> Choice {
    let terms = Terms { older_than: Duration::from_secs(99), ..Terms::default() };
    Choice { owner: Owner::Aws, only: None, exclude: Patterns::default(), terms, rules }
}

fn names(id: &str, user: Option<&str>) -> Names {
    let mut names = Names::of_id(&AccessKeyId::new(id).expect("valid"));
    user.iter().for_each(|user| names.add_user(&UserName::new(*user).expect("valid")));
    names
}

const ID: &str = "AKIAABCDEFGHIJKLMNOP";

fn until(text: &str) -> Option<Exclusion> {
    Some(Exclusion { reason: Some("why".to_owned()), until: Some(text.parse().expect("a date")) })
}

#[test]
fn the_first_rule_that_matches_decides_and_users_match_in_any_case() {
    let choice = choice(vec![rule(1, "alice", None), rule(2, "AKIAABC*", None), rule(3, "*", None)]);
    let number = |id: &str, user| choice.terms_of(&names(id, user)).older_than.as_secs();
    assert_eq!((number(ID, Some("Alice")), number(ID, None), number(ID, Some("bob"))), (1, 2, 2));
    assert_eq!(number("AKIAZZZZEFGHIJKLMNOP", Some("bob")), 3);
    let few = self::choice(vec![rule(1, "alice", None)]);
    assert_eq!(few.terms_of(&names(ID, Some("bob"))).older_than.as_secs(), 99, "[policy] decides about the others");
}

#[test]
fn an_exclusion_ends_after_its_last_day() {
    let choice = choice(vec![rule(1, "a*", until("2027-01-31"))]);
    let at = |text: &str| text.parse::<Timestamp>().expect("a time");
    let key = [names(ID, Some("alice"))];
    let (last, after) = (at("2027-01-31T23:59:59Z"), at("2027-02-01T00:00:00Z"));
    let rule = choice.excluding_rule(&key[0], last).expect("left out");
    assert_eq!(rule.why_excluded(), "left out by [[rule]] 1 (a*) until 2027-01-31: why");
    assert!(choice.excluding_rule(&key[0], after).is_none() && choice.ended_exclusions(&key, last).is_empty());
    assert!(choice.ended_exclusions(&key, after)[0].contains("[[rule]] 1 (a*) ended with 2027-01-31"));
    assert!(choice.ended_exclusions(&[names(ID, Some("bob"))], after).is_empty(), "no key is concerned");
}

#[test]
fn before_iam_names_the_user_only_the_first_rule_excludes() {
    let always = || Some(Exclusion::default());
    let now = Timestamp::from_unix_seconds(0);
    let second = choice(vec![rule(1, "alice", None), rule(2, "AKIA*", always())]);
    assert!(second.surely_excluding(&names(ID, None), now).is_none());
    assert!(second.excluding_rule(&names(ID, Some("alice")), now).is_none(), "the first rule decides");
    assert!(second.excluding_rule(&names(ID, Some("bob")), now).is_some());
    let first = choice(vec![rule(1, "AKIA*", always())]);
    assert!(first.surely_excluding(&names(ID, None), now).is_some());
}
