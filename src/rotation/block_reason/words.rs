//! The longer messages of blocks.

use crate::rotation::denied::{Denied, Operation};
use crate::types::name::{AccessKeyId, UserName};

/// Where the old secret may be.
pub(super) const COPIES: &str =
    "rotator keeps no copy of the old secret, and an earlier version in the store or a backup may have it";

pub(super) fn unclaimed(keys: &[AccessKeyId], why: &str, user: &str) -> String {
    format!(
        "the reply to CreateAccessKey was lost, and IAM shows {}: {why}; look up who made each, then say so: `rotator resolve \
         {user} --delete-key KEY` for a key that is not used, `rotator resolve {user} --keep-key KEY` for any other",
        join(keys)
    )
}

/// The pair there is neither the old one nor the new one.
pub(super) fn changed_elsewhere(places: &[String], still_new: &[String], new_key_gone: bool) -> String {
    let what =
        format!("the pair in {} is neither the old one nor the new one: it was changed elsewhere", places.join(", "));
    if new_key_gone {
        return format!(
            "{what}, and IAM does not list the new key any more; put the old pair into every place, then abort; {COPIES}"
        );
    }
    format!("{what}; put the old pair back, then abort, or the new one{}, then resume", held_by(still_new))
}

pub(super) fn reverted(places: &[String], still_new: &[String], new_key_gone: bool) -> String {
    let what = format!("the old pair is back in {}: it was reverted", places.join(", "));
    match still_new {
        still_new if !new_key_gone => format!(
            "{what}; put the new pair{} back and resume, or put the old one back everywhere and abort",
            held_by(still_new)
        ),
        [] => format!(
            "{what}, and IAM does not list the new key any more; abort, which closes this rotation; the old key stays"
        ),
        still_new => format!(
            "{what}, and IAM does not list the new key any more: programs that read {} fail; put the old pair there, too, then \
             abort, which closes this rotation; the old key stays",
            still_new.join(", ")
        ),
    }
}

pub(super) fn old_key_gone(
    key: &AccessKeyId,
    (places, still_new): (&[String], &[String]),
    new_key_gone: bool,
    user: &str,
) -> String {
    let what = format!("the old pair is back in {}, and its key {key} is not in IAM any more", places.join(", "));
    if new_key_gone {
        return format!(
            "{what}, and IAM does not list the new key either: programs that read one of them fail; run `aws iam \
             create-access-key --user-name {user}` and put that pair into every place, then abort, which closes this rotation"
        );
    }
    format!("{what}: programs that read it fail; put the new pair{} back, then resume", held_by(still_new))
}

pub(super) fn cannot_abort(places: &[String], new_key_gone: bool, user: &str) -> String {
    if new_key_gone {
        return format!(
            "an abort was asked for, but the old pair is not back in {}, and IAM does not list the new key any more: programs \
             that read the new pair fail; put the old pair there, then resume: `rotator resume {user}`; {COPIES}",
            places.join(", ")
        );
    }
    format!(
        "an abort was asked for, but the old pair is not back in {}; put it there, then resume; or put the new pair into \
         every place and take the abort back: `rotator abort {user} --undo`",
        places.join(", ")
    )
}

pub(super) fn not_found(user: &UserName, keys: &[AccessKeyId], why: &str, stored: bool, name: &str) -> String {
    let give_up = if stored { format!("`rotator resolve {name} --finish`") } else { format!("`rotator abort {name}`") };
    format!(
        "IAM has no user {user}, and the owner of {} is unknown now ({why}): the user was renamed or deleted; if it was \
         renamed, its keys are still in IAM: allow iam:GetAccessKeyLastUsed, and the calls about the keys of its new name, \
         then resume; if it was deleted, close this rotation: {give_up}",
        join(keys)
    )
}

pub(super) fn lack(
    denied: &Denied,
    state: &str,
    finish: bool,
    once_a_day: bool,
    is_stored: bool,
    user: &str,
) -> String {
    let Denied { resource, answer, .. } = denied;
    let more = if once_a_day {
        "; rotator makes one more key to see whether it is allowed once a day, and at once when you abort this rotation \
         and run `rotator run`"
    } else {
        ""
    };
    let ways = ways_out(denied, finish, is_stored, user);
    if denied.operation == Operation::LockStore {
        return format!("locked: {resource} cannot be written ({answer}); {state}; {ways}{more}");
    }
    format!("access denied: {}; {state}; {ways}{more}", what_is_refused(denied))
}

/// Names the call and what it is about. The answer of AWS does so itself.
fn what_is_refused(Denied { operation, resource, answer, .. }: &Denied) -> String {
    let name = operation.name();
    match answer.contains(name) && answer.contains(resource.as_str()) {
        true => answer.clone(),
        false => format!("{name} of {resource} is refused ({answer})"),
    }
}

/// What an operator may do about a right that is missing.
fn ways_out(denied: &Denied, finish: bool, is_stored: bool, user: &str) -> String {
    let key = denied.key.as_ref().map_or("it", AccessKeyId::as_str);
    match denied.operation {
        Operation::GetAccessKeyLastUsed if finish => format!(
            "allow it and resume, or, if nothing uses the old key any more, delete it without asking: `rotator resolve \
             {user} --finish`"
        ),
        Operation::GetAccessKeyLastUsed => format!(
            "allow it and resume, or look up who made {key}, then say so: `rotator resolve {user} --delete-key {key}` if it is \
             not used, `rotator resolve {user} --keep-key {key}` if it is another's"
        ),
        Operation::DeleteAccessKey => format!("allow it, or delete {key} yourself, then resume"),
        Operation::UpdateAccessKey if is_stored => format!(
            "allow it and resume, or have the old key deleted without making it inactive first: `rotator resolve {user} \
             --finish`"
        ),
        Operation::GetCallerIdentity => {
            "an endpoint policy or a network perimeter refuses the user, not its key: change that, then resume; or abort"
                .to_owned()
        }
        Operation::CreateAccessKey => "allow it and resume, or abort".to_owned(),
        Operation::WriteStore => format!("allow it and resume{}", or_abort(is_stored)),
        Operation::LockStore => {
            format!("end the program that holds the lock (`lsof` names it) and resume{}", or_abort(is_stored))
        }
        Operation::ListAccessKeys | Operation::ReadStore | Operation::UpdateAccessKey => {
            "allow it and resume".to_owned()
        }
    }
}

/// An abort discards a new pair that is not stored. rotator has no copy of the old one afterwards.
const fn or_abort(is_stored: bool) -> &'static str {
    if is_stored { "" } else { ", or abort" }
}

/// Where to copy the new pair from, if a place still holds it.
fn held_by(places: &[String]) -> String {
    if places.is_empty() { String::new() } else { format!(" (which is still in {})", places.join(", ")) }
}

pub(super) fn join(keys: &[AccessKeyId]) -> String {
    keys.iter().map(AccessKeyId::as_str).collect::<Vec<_>>().join(", ")
}
