//! The rules of the look-alike account, each as a function call.

use super::*;

fn world_with(behaviour: Behaviour) -> IamModel {
    let mut model = IamModel::new(AccountId::new("123456789012").expect("twelve digits"), behaviour);
    model.create_user("alice", "/", false).expect("a new user");
    model
}

fn model() -> IamModel {
    world_with(Behaviour::default())
}

fn code<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (u16, String) {
    let error = result.expect_err("it should be refused");
    (error.status, error.code)
}

fn is(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn a_user_has_two_keys_at_most_active_or_not() {
    let mut model = model();
    let (first, _) = model.create_access_key("alice").expect("the first");
    model.create_access_key("alice").expect("the second");
    model.update_access_key("alice", first.id.as_str(), KeyStatus::Inactive).expect("deactivated");
    assert_eq!(code(model.create_access_key("alice")), is(409, "LimitExceeded"));
    model.delete_access_key("alice", first.id.as_str()).expect("deleted");
    model.create_access_key("alice").expect("there is room again");
}

#[test]
fn the_quota_counts_keys_that_listings_do_not_show() {
    let mut model = world_with(Behaviour { new_keys_invisible_for: Duration::from_secs(60), ..Behaviour::default() });
    model.create_access_key("alice").expect("the first");
    model.create_access_key("alice").expect("the second");
    assert_eq!(model.list_access_keys("alice", None, 100).expect("a page").items, []);
    assert_eq!(code(model.create_access_key("alice")), is(409, "LimitExceeded"));
    model.clock.advance(Duration::from_secs(61));
    assert_eq!(model.list_access_keys("alice", None, 100).expect("a page").items.len(), 2);
}

#[test]
fn a_new_key_is_refused_until_it_has_spread() {
    let mut model = world_with(Behaviour { new_keys_invalid_for: Duration::from_secs(10), ..Behaviour::default() });
    let (key, _) = model.create_access_key("alice").expect("a key");
    assert_eq!(code(model.signing_secret(key.id.as_str())), is(403, "InvalidClientTokenId"));
    assert!(!model.accepts(key.id.as_str(), &key.secret));
    model.clock.advance(Duration::from_secs(11));
    assert!(model.accepts(key.id.as_str(), &key.secret));
}

#[test]
fn only_an_active_key_with_its_own_secret_is_accepted() {
    let mut model = model();
    let (key, _) = model.create_access_key("alice").expect("a key");
    let id = key.id.as_str();
    assert!(model.accepts(id, &key.secret));
    assert!(!model.accepts(id, &SecretKey::new("another".to_owned())));
    for status in [KeyStatus::Inactive, KeyStatus::Expired] {
        model.update_access_key("alice", id, status).expect("updated");
        assert!(!model.accepts(id, &key.secret), "{status}");
        assert_eq!(code(model.signing_secret(id)), is(403, "InvalidClientTokenId"));
    }
    assert_eq!(code(model.signing_secret("AKIAAAAAAAAAAAAAAAAA")), is(403, "InvalidClientTokenId"));
}

#[test]
fn user_names_follow_iam_s_rule() {
    let mut model = model();
    for good in ["a", "Jane.Doe+ci@example-1_2,=", "x".repeat(64).as_str()] {
        model.create_user(good, "/", false).expect("a good name");
    }
    for bad in ["", "svc/prod", "a b", "é", "x".repeat(65).as_str(), "a\n"] {
        assert_eq!(code(model.create_user(bad, "/", false)), is(400, "ValidationError"), "{bad:?}");
    }
    assert_eq!(code(model.list_access_keys("svc/prod", None, 100)), is(400, "ValidationError"));

    let mut lenient = world_with(Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() });
    lenient.create_user("svc/prod", "/", false).expect("a slash is allowed here");
}

#[test]
fn user_names_are_unique_whatever_their_case() {
    let mut model = model();
    assert_eq!(code(model.create_user("ALICE", "/other/", false)), is(409, "EntityAlreadyExists"));
    assert_eq!(model.user("Alice").expect("found").name, "alice");
}

#[test]
fn a_user_with_keys_cannot_be_deleted() {
    let mut model = model();
    let (key, _) = model.create_access_key("alice").expect("a key");
    assert_eq!(code(model.delete_user("alice")), is(409, "DeleteConflict"));
    model.delete_access_key("alice", key.id.as_str()).expect("deleted");
    model.delete_user("alice").expect("deleted");
    assert_eq!(code(model.delete_user("alice")), is(404, "NoSuchEntity"));
}

#[test]
fn a_renamed_user_keeps_its_id_and_its_keys() {
    let mut model = model();
    model.create_user("bob", "/", false).expect("a new user");
    let (key, _) = model.create_access_key("alice").expect("a key");
    let id = model.user("alice").expect("found").id.clone();
    assert_eq!(code(model.rename_user("alice", "Bob")), is(409, "EntityAlreadyExists"));
    assert_eq!(code(model.rename_user("no-such-user", "carol")), is(404, "NoSuchEntity"));
    model.rename_user("alice", "Carol").expect("renamed");
    let renamed = model.user("carol").expect("found");
    assert_eq!((renamed.name.as_str(), &renamed.id), ("Carol", &id));
    assert_eq!(code(model.user("alice").map(|_| ())), is(404, "NoSuchEntity"));
    assert_eq!((model.keys_of("carol").len(), model.owner_of(key.id.as_str())), (1, Some("Carol")));
    model.rename_user("carol", "carol").expect("only its case changes");
    model.delete_access_key("carol", key.id.as_str()).expect("deleted");
}

#[test]
fn a_key_is_found_only_under_its_own_user() {
    let mut model = model();
    model.create_user("bob", "/", false).expect("a new user");
    let (key, _) = model.create_access_key("alice").expect("a key");
    assert_eq!(code(model.delete_access_key("bob", key.id.as_str())), is(404, "NoSuchEntity"));
    assert_eq!(code(model.update_access_key("bob", key.id.as_str(), KeyStatus::Inactive)), is(404, "NoSuchEntity"));
    assert_eq!(code(model.delete_access_key("no-such-user", key.id.as_str())), is(404, "NoSuchEntity"));
    assert_eq!(model.keys_of("alice").len(), 1);
}

#[test]
fn a_listing_continues_after_the_last_key_shown_even_if_that_is_gone() {
    let mut model = model();
    let (first, _) = model.create_access_key("alice").expect("a key");
    let (second, _) = model.create_access_key("alice").expect("a key");
    let page = model.list_access_keys("alice", None, 1).expect("a page");
    assert_eq!(page.items.iter().map(|key| &key.id).collect::<Vec<_>>(), [&first.id]);
    let marker = page.marker.expect("there is more");
    model.delete_access_key("alice", first.id.as_str()).expect("deleted");
    let page = model.list_access_keys("alice", Some(&marker), 1).expect("a page");
    assert_eq!(page.items.iter().map(|key| &key.id).collect::<Vec<_>>(), [&second.id]);
    assert_eq!(page.marker, None);
    assert_eq!(code(model.list_access_keys("alice", Some("nonsense"), 1)), is(400, "ValidationError"));
}

#[test]
fn users_are_listed_in_pages() {
    let mut model = model();
    model.create_user("bob", "/", false).expect("a new user");
    model.create_user("Carol", "/", false).expect("a new user");
    let page = model.list_users(None, 2);
    assert_eq!(page.items.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["alice", "bob"]);
    let page = model.list_users(page.marker.as_deref(), 2);
    assert_eq!(page.items.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["Carol"]);
    assert_eq!(page.marker, None);
}

#[test]
fn a_use_is_noted_and_says_who_called() {
    let mut model = world_with(Behaviour { last_used_lag: Duration::from_secs(60), ..Behaviour::default() });
    model.create_user("carol", "/team/", false).expect("a new user");
    let (key, _) = model.create_access_key("carol").expect("a key");
    let caller = model.note_use(key.id.as_str(), Service::Sts, "eu-west-1").expect("a caller");
    assert_eq!(caller.arn, "arn:aws:iam::123456789012:user/team/carol");
    assert_eq!(model.key(key.id.as_str()).expect("there").last_used, None, "the lag is not over");
    model.clock.advance(Duration::from_secs(60));
    let last_used = model.key(key.id.as_str()).expect("there").last_used.expect("told by now");
    assert_eq!((last_used.service, last_used.region.as_str()), (Service::Sts, "eu-west-1"));
}

#[test]
fn a_user_without_a_policy_may_only_ask_for_the_caller_identity() {
    let mut model = model();
    model.create_user("root-ish", "/", true).expect("a new user");
    let (own, _) = model.create_access_key("alice").expect("a key");
    let (admin, _) = model.create_access_key("root-ish").expect("a key");
    let alice = model.note_use(own.id.as_str(), Service::Iam, "us-east-1").expect("a caller");
    let admin = model.note_use(admin.id.as_str(), Service::Iam, "us-east-1").expect("a caller");
    for action in Action::ALL {
        assert_eq!(model.authorize(&admin, action, "user alice"), Ok(()));
        let allowed = model.authorize(&alice, action, "user alice");
        if action == Action::GetCallerIdentity {
            assert_eq!(allowed, Ok(()));
        } else {
            assert_eq!(code(allowed), is(403, "AccessDenied"), "{action}");
        }
    }
}
