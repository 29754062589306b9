//! What the messages of skipped keys say of every user with two keys: it is shown once.

/// What begins the part of a message that holds for every such user.
const FOR_ALL: &str = "; with `[policy] spare_key";

/// The part of the message that is about this user.
#[must_use]
pub fn own(message: &str) -> &str {
    message.split_once(FOR_ALL).map_or(message, |(own, _)| own)
}

/// What several of these messages say of every such user.
#[must_use]
pub fn shared<'m>(messages: impl IntoIterator<Item = &'m str>) -> Option<String> {
    let mut tails = messages.into_iter().filter_map(|message| message.find(FOR_ALL).and_then(|at| message.get(at..)));
    let (first, _) = (tails.next()?, tails.next()?);
    let tail = first.trim_start_matches("; ");
    let named = tail.split_once("--exclude ").and_then(|(before, after)| Some((before, after.split_once(" leaves")?)));
    let tail = match named {
        Some((before, (_, after))) => format!("{before}--exclude USER leaves{after}"),
        None => tail.to_owned(),
    };
    Some(format!("the second key of a user: {tail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(user: &str) -> String {
        format!(
            "user {user} has this second active key: delete it; with `[policy] spare_key = \"delete-inactive\"` rotator \
             deletes it; --exclude {user} leaves this one out until then; and so on"
        )
    }

    #[test]
    fn what_holds_for_all_users_with_two_keys_is_said_once() {
        let [one, other] = ["alice", "'bob 2'"].map(told);
        assert_eq!(shared([one.as_str(), "another reason"]), None, "one message says it itself");
        let all = shared([one.as_str(), other.as_str()]).expect("several");
        assert_eq!(own(&one), "user alice has this second active key: delete it");
        assert_eq!(own("another reason"), "another reason");
        assert!(all.starts_with("the second key of a user: with `[policy] spare_key"), "{all}");
        assert!(all.contains("--exclude USER leaves this one out") && !all.contains("alice"), "{all}");
    }
}
