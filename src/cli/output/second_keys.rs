//! A user with two keys on a screen: what is about the user in short, and once what holds for every such user.

use super::times::Times;
use crate::engine::survey::{to_delete, to_set};
use crate::journal::campaign::OtherKey;
use crate::rotation::event::UsedBefore;
use crate::rotation::observed::KeyStatus;
use crate::types::name::UserName;

/// What holds for every user with two keys.
pub(super) const FOR_ALL: &str = "two keys: IAM allows a user no third, so no new key can be made. Deactivate a key that nothing needs. \
    Delete it when every program that may use it has run for some days without it: an inactive key can be made active again, a \
    deleted one cannot. With `[policy] spare_key = \"delete-inactive\"` rotator deletes an inactive key when it needs the room. \
    If something needs the key, that needs a user of its own, and --exclude USER leaves this user out until then. If rotator \
    made one of the two keys and its journal was lost, `rotator resume --journal FILE` with that journal continues (see \
    docs/operations.md#skipped-two-keys)";

/// What is about this user, who is `called` so: a sentence, and each command in a line of its own. `where_`: where the key is,
/// if that is known.
pub(in crate::cli) fn own(
    called: &str,
    user: &UserName,
    other: &OtherKey,
    where_: Option<&str>,
    times: &Times,
) -> Vec<String> {
    let used = match &other.last_use {
        Some(UsedBefore::Last(used)) => format!("last used {}", times.ago(used.at)),
        Some(UsedBefore::Never) => "never used".to_owned(),
        None => "last use unknown".to_owned(),
    };
    let where_ = where_.map(|where_| format!(", {where_}")).unwrap_or_default();
    let (id, status) = (&other.id, other.status.name());
    let key = format!("{called} has a second key, {id}: {status}, made {}, {used}{where_}", times.ago(other.created));
    if other.may_be_deactivated_by_rotator {
        return vec![
            format!(
                "{key}. A request of an earlier rotation that got no answer may have deactivated it. If a program needs it:"
            ),
            to_set(user, id, "Active"),
            "Otherwise:".to_owned(),
            to_delete(user, id),
        ];
    }
    match other.status {
        KeyStatus::Active => vec![format!("{key}. If nothing needs it:"), to_set(user, id, "Inactive")],
        KeyStatus::Inactive | KeyStatus::Expired | KeyStatus::Other => {
            vec![format!("{key}. If nothing has failed without it for some days:"), to_delete(user, id)]
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;
    use crate::rotation::observed::KeyUse;
    use crate::types::name::AccessKeyId;
    use crate::types::time::Timestamp;

    #[test]
    fn a_second_key_is_a_sentence_and_the_next_command() {
        let at = |days: i64| Timestamp::from_unix_seconds(days * 86_400);
        let times = Times::at(at(100), TimeZone::UTC);
        let user = UserName::new("alice 2").expect("valid");
        let active = OtherKey {
            id: AccessKeyId::new("AKIAABCDEFGHIJKLMNOP").expect("valid"),
            status: KeyStatus::Active,
            created: at(9),
            last_use: Some(UsedBefore::Never),
            may_be_deactivated_by_rotator: false,
        };
        let told = |other: &OtherKey| own("alice 2", &user, other, None, &times);
        assert_eq!(
            told(&active),
            [
                "alice 2 has a second key, AKIAABCDEFGHIJKLMNOP: active, made 91d ago, never used. If nothing needs it:",
                "aws iam update-access-key --user-name 'alice 2' --access-key-id AKIAABCDEFGHIJKLMNOP --status Inactive",
            ]
        );
        let used = Some(UsedBefore::Last(KeyUse::at(at(98))));
        let inactive = OtherKey { status: KeyStatus::Inactive, last_use: used, ..active };
        let [sentence, command] = told(&inactive).try_into().expect("two lines");
        assert!(
            sentence
                .ends_with("inactive, made 91d ago, last used 2d ago. If nothing has failed without it for some days:")
        );
        assert!(command.starts_with("aws iam delete-access-key --user-name 'alice 2' "), "{command}");
        let maybe_ours = OtherKey { may_be_deactivated_by_rotator: true, ..inactive };
        let lines = told(&maybe_ours);
        assert!(lines[1].ends_with("--status Active") && lines[3].starts_with("aws iam delete"), "{lines:?}");
    }
}
