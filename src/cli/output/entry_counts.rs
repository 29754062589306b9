//! The number of entries of each store. A store with a wrong name is often an empty one, so an empty store is a
//! warning.

use std::collections::BTreeMap;

use super::terminal::Terminal;
use crate::types::name::{StoreIdentity, StoreName};

/// The warning for an empty store. The name of an AWS store says neither its region nor its account.
#[must_use]
pub(in crate::cli) fn empty(identity: Option<&StoreIdentity>) -> String {
    let looked = identity.and_then(looked_in).map(|looked| format!(" {looked}")).unwrap_or_default();
    format!("it has no entries{looked}: check its name, and that rotator may list what is there")
}

/// The name of a store before a colon. That of an AWS store without a prefix ends with one.
#[must_use]
pub(in crate::cli) fn headed(store: &StoreName) -> String {
    format!("{}:", store.as_str().trim_end_matches(':'))
}

/// The number with its noun, such as "3 entries".
#[must_use]
pub(in crate::cli) fn count(number: usize) -> String {
    match number {
        1 => "1 entry".to_owned(),
        _ => format!("{number} entries"),
    }
}

/// Prints the number of entries of every store on stderr; an empty store is a warning.
pub(in crate::cli) fn say(
    entries: &BTreeMap<StoreName, usize>,
    identities: &BTreeMap<StoreName, StoreIdentity>,
    terminal: Terminal,
) {
    for (store, number) in entries {
        let head = headed(store);
        match number {
            0 => terminal.warn(&format!("warning: {head} {}", empty(identities.get(store)))),
            _ => terminal.say(&format!("{head} {}", count(*number))),
        }
    }
}

/// The region and the account in which an AWS store was looked for, as its identity has them.
fn looked_in(identity: &StoreIdentity) -> Option<String> {
    let mut words = identity.as_str().split(' ');
    let is_of_aws = words.next().is_some_and(|kind| ["secretsmanager", "ssm"].contains(&kind));
    let (account, region) = (words.next()?, words.next()?);
    is_of_aws.then(|| format!("in {region} of account {account}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_store_of_aws_is_told_with_the_region_and_account_that_were_looked_in() {
        let told = |identity: &str| empty(Some(&StoreIdentity::new(identity).expect("valid")));
        let in_aws = "it has no entries in eu-west-1 of account 123456789012: check its name, and that";
        assert!(told("secretsmanager 123456789012 eu-west-1 ").starts_with(in_aws));
        assert!(told("ssm 123456789012 eu-west-1 /shop").starts_with(in_aws));
        assert!(told("file /srv/app eu-west-1").starts_with("it has no entries: check its name"));
        assert!(empty(None).starts_with("it has no entries: check its name"));
    }

    #[test]
    fn a_name_that_ends_with_a_colon_has_no_second_one() {
        let headed = |name: &str| headed(&StoreName::new(name).expect("valid"));
        assert_eq!(headed("aws-secretsmanager:"), "aws-secretsmanager:");
        assert_eq!(headed("vault:secret"), "vault:secret:");
    }
}
