//! Keys that no program uses on a screen: what is about the key in short, and once what holds for every such key.

use super::times::Times;
use crate::engine::survey::to_set;
use crate::rotation::event::UsedBefore;
use crate::types::name::{AccessKeyId, UserName};
use crate::types::time::Timestamp;

/// What holds for every such key.
pub(super) const FOR_ALL: &str = "unused: no program has used the key for longer than `unused_for`, and a rotation would make it \
    look new. If a program needs it, set unused_for = \"never\" for it in a [[rule]]. If nothing does, deactivate it: an \
    inactive key can be made active again (see docs/operations.md#skipped-unused)";

/// What is about this key of a user who is `called` so: a sentence, and the command in a line of its own.
pub(super) fn own(
    called: &str,
    (user, key): (&UserName, &AccessKeyId),
    (created, used, own_proof): (Timestamp, &UsedBefore, Option<Timestamp>),
    times: &Times,
) -> Vec<String> {
    let used = match used {
        UsedBefore::Last(used) => {
            let by = used.service.as_ref().map(|service| format!(" by {service}")).unwrap_or_default();
            format!("last used{by} {}", times.ago(used.at))
        }
        UsedBefore::Never => "never used".to_owned(),
    };
    let proof = own_proof.map(|at| format!(" but by rotator's own proof {}", times.ago(at))).unwrap_or_default();
    vec![
        format!("{called}, unused: {key} was made {}, {used}{proof}. If nothing needs it:", times.ago(created)),
        to_set(user, key, "Inactive"),
    ]
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::rotation::observed::KeyUse;

    #[test]
    fn an_unused_key_is_a_sentence_and_the_next_command() {
        let at = |days: i64| Timestamp::from_unix_seconds(days * 86_400);
        let times = Times::at(at(100), TimeZone::UTC);
        let (user, key) =
            (UserName::new("alice 2").expect("valid"), AccessKeyId::new("AKIAABCDEFGHIJKLMNOP").expect("valid"));
        let told = |used: &UsedBefore, proof| own("alice 2", (&user, &key), (at(9), used, proof), &times);
        assert_eq!(
            told(&UsedBefore::Never, None),
            [
                "alice 2, unused: AKIAABCDEFGHIJKLMNOP was made 91d ago, never used. If nothing needs it:",
                "aws iam update-access-key --user-name 'alice 2' --access-key-id AKIAABCDEFGHIJKLMNOP --status Inactive",
            ]
        );
        let used = UsedBefore::Last(KeyUse { at: at(40), service: Some("s3".to_owned()), region: None });
        let [sentence, _] = told(&used, Some(at(98))).try_into().expect("two lines");
        assert!(sentence.contains("last used by s3 60d ago but by rotator's own proof 2d ago"), "{sentence}");
    }
}
