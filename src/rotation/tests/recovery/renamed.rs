//! An effect is in doubt, and the user has another name, or its name another user.

use super::*;

#[test]
fn the_user_was_renamed_while_a_delete_was_in_doubt() {
    let renamed = UserName::new("another/name").expect("valid");
    for (intent, phase, ..) in deletes() {
        for taken in [false, true] {
            let story = in_doubt_over(phase, &intent);
            let story = if taken { story.listed(10_000, &[]) } else { story.no_user(10_000) };
            assert_eq!(
                story.step(),
                Step::Observe(Query::Owner(key(OLD))),
                "there is no such user, or it is another one"
            );
            story.owned(&KeyOwner::User(renamed.clone())).concludes(&Event::Renamed { user: renamed.clone() });
        }
    }
}

#[test]
fn what_became_of_a_key_is_not_concluded_from_a_refused_question_or_from_lists_that_do_not_agree() {
    let same = KeyOwner::User(UserName::new("App/Prod").expect("valid"));
    let unclear = KeyOwner::Unclear("AccessDenied".to_owned());
    let told = [same, unclear];
    for ((intent, phase, ..), owner) in
        deletes().into_iter().flat_map(|row| told.each_ref().map(|told| (row.clone(), told)))
    {
        let story = || in_doubt_over(phase, &intent).owned(owner);
        story().no_user(10_000).again_at(10_000 + SETTLE).is_blocked("user-not-found");
        // The list may now be that of another user, and an outcome that the old key was deleted would end the rotation
        // for good.
        if matches!(intent, Intent::DeleteOld) {
            story().listed(10_000, &[]).again_at(10_000 + SETTLE).concludes(&not_done());
        }
    }
}

#[test]
fn the_user_was_made_again_and_has_a_key_that_bears_every_mark() {
    let story = create_in_doubt().listed(10_000, &[new_key(5)]).owned(&KeyOwner::NoSuchKey);
    story.again_at(11_000).is_blocked("unclaimed-keys");
}
