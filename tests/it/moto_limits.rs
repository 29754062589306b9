//! The features that moto lacks, so that their tests use the sandbox. A failure here means that moto has gained the
//! feature.

use serde_json::json;

use crate::support::aws::{self, Pair, outcome};
use crate::support::moto::Moto;

#[tokio::test]
async fn moto_neither_throttles_nor_delays() {
    let moto = Moto::start();
    let admin = moto.check_signatures().await;
    let iam = aws::iam(moto.addr(), &admin);
    for number in 0..100 {
        let user = format!("u{number}");
        iam.create_user().user_name(&user).send().await.expect("not throttled");
        let made = iam.create_access_key().user_name(&user).send().await.expect("not throttled");
        let key = made.access_key().expect("a key");
        let listed = iam.list_access_keys().user_name(&user).send().await.expect("not throttled");
        assert_eq!(listed.access_key_metadata().len(), 1, "shown at once");
        let pair = Pair::new(key.access_key_id(), key.secret_access_key());
        let identity = aws::sts(moto.addr(), &pair).get_caller_identity().send().await;
        assert_eq!(outcome(&identity), "ok", "valid at once");
    }
}

/// So a policy as `rotator policy` prints it, scoped to users, cannot be tried out on moto.
#[tokio::test]
async fn moto_grants_nothing_by_a_policy_that_names_a_resource() {
    let moto = Moto::start();
    let admin = aws::iam(moto.addr(), &moto.check_signatures().await);
    for (user, resource, granted) in
        [("scoped", "arn:aws:iam::123456789012:user/*", "403 without a code"), ("unscoped", "*", "ok")]
    {
        let statement = json!({"Effect": "Allow", "Action": "iam:ListAccessKeys", "Resource": resource});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        admin.create_user().user_name(user).send().await.expect("a user");
        let put = admin.put_user_policy().user_name(user).policy_name("p").policy_document(policy);
        put.send().await.expect("a policy");
        let made = admin.create_access_key().user_name(user).send().await.expect("a key");
        let key = made.access_key().expect("a key");
        let pair = Pair::new(key.access_key_id(), key.secret_access_key());
        let listed = aws::iam(moto.addr(), &pair).list_access_keys().user_name(user).send().await;
        assert_eq!(outcome(&listed), granted, "{resource}");
    }
}

#[tokio::test]
async fn moto_forgets_on_reset() {
    let moto = Moto::start();
    moto.check_signatures().await;
    moto.reset();
    let stranger = aws::iam(moto.addr(), &Pair::new("AKIAAAAAAAAAAAAAAAAA", "unchecked"));
    let users = stranger.list_users().send().await.expect("signatures are not checked any more");
    assert_eq!(users.users().len(), 0);
}
