//! One suite against the sandbox and against moto: the same calls, the same answers expected.
//!
//! [`EXPECTED`] says what AWS answers by its documentation, and where moto is known to answer otherwise. A departure
//! that moto gives up, or a new one, fails the test and is to be written down here. The suite has never run against
//! AWS itself: where AWS's reference is silent (`last used` and `key info` of an unknown key, the code of a stale
//! signature, the order of a listing) the expected answer is our best reading.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::support::aws::{self, Pair, outcome, raw_outcome, signed_call};
use crate::support::http;
use crate::support::moto::{self, Moto};
use aws_sdk_iam::types::StatusType;
use rotator::sandbox::{Sandbox, SandboxOptions};
use rotator::types::name::AccountId;

/// A case, AWS's answer, and moto's where it is another.
type Row = (&'static str, &'static str, Option<&'static str>);

/// moto's refusals of a signature, a key or a permission, as the SDK sees them: it finds no code in their XML.
const UNCODED: Option<&str> = Some("403 without a code");

const EXPECTED: &[Row] = &[
    ("create a user", "ok", None),
    ("create a user: taken", "409 EntityAlreadyExists", None),
    ("create a user: taken in another case", "409 EntityAlreadyExists", Some("ok")),
    ("create a user: a slash in the name", "400 ValidationError", Some("ok")),
    // The SDK signs %20, moto checks +.
    ("create a user: a blank in the name", "400 ValidationError", UNCODED),
    ("create a user: 65 characters", "400 ValidationError", Some("ok")),
    ("get a user: its ARN", "arn:aws:iam::123456789012:user/alice", None),
    ("get a user: with a path", "arn:aws:iam::123456789012:user/team/carol", None),
    ("get a user: missing", "404 NoSuchEntity", None),
    ("create a key: its form", "alice Active AKIA/20 40 dated", None),
    ("create a key: the third", "409 LimitExceeded", None),
    ("create a key: for a missing user", "404 NoSuchEntity", None),
    ("create a key: no user named", "rotator-admin", None),
    ("list keys: both, in order", "as made; truncated: false", None),
    ("list keys: pages of one", "1 key, then 1 key", Some("2 keys")),
    ("list keys: a page of none", "400 ValidationError", Some("ok")),
    ("list keys: for a missing user", "404 NoSuchEntity", None),
    ("list keys: of an ill-formed name", "400 ValidationError", Some("404 NoSuchEntity")),
    ("list keys: without a policy", "403 AccessDenied", UNCODED),
    ("deactivate: shown", "Inactive", None),
    ("deactivate: another's key", "404 NoSuchEntity", None),
    ("deactivate: unknown key", "404 NoSuchEntity", None),
    ("deactivate: unknown status", "400 ValidationError", Some("ok")),
    ("deactivate: no user named, another's key", "404 NoSuchEntity", Some("ok")),
    ("identity: active key", "123456789012 arn:aws:iam::123456789012:user/alice", None),
    ("identity: inactive key", "403 InvalidClientTokenId", Some("ok")),
    ("identity: activated again", "ok", None),
    ("identity: wrong secret", "403 SignatureDoesNotMatch", UNCODED),
    ("identity: unknown key", "403 InvalidClientTokenId", UNCODED),
    ("identity: deleted key", "403 InvalidClientTokenId", UNCODED),
    ("identity: signed 14 minutes ago", "ok", None),
    ("identity: signed 16 minutes ago", "403 SignatureDoesNotMatch", Some("ok")),
    ("identity: signed 16 minutes ahead", "403 SignatureDoesNotMatch", Some("ok")),
    ("identity: signed for another service", "403 SignatureDoesNotMatch", Some("500 without a code")),
    ("identity: unsigned", "403 MissingAuthenticationToken", Some("500 without a code")),
    ("identity: half a signature", "400 IncompleteSignature", Some("403 SignatureDoesNotMatch")),
    ("last used: never", "alice never N/A", None),
    ("last used: after a wrong signature", "alice never N/A", Some("alice used sts")),
    ("last used: after a use", "alice used sts", None),
    ("last used: unknown key", "403 AccessDenied", Some("404 NoSuchEntity")),
    ("key info: own key", "123456789012", None),
    ("key info: without a policy", "403 AccessDenied", UNCODED),
    ("key info: unknown key", "404 NoSuchEntity", Some("ok")),
    ("delete a key", "ok", None),
    ("delete a key: again", "404 NoSuchEntity", None),
    ("delete a key: another's", "404 NoSuchEntity", None),
    ("delete a user: with a key", "409 DeleteConflict", Some("ok")),
    ("delete a user", "ok", None),
    ("delete a user: again", "404 NoSuchEntity", None),
    ("unknown action", "400 InvalidAction", Some("500 without a code")),
    ("headers: success", "dated, identified", None),
    ("headers: refusal", "dated, identified", None),
];

/// A look-alike under test, and what it has answered.
struct Suite {
    address: SocketAddr,
    admin: Pair,
    answers: BTreeMap<&'static str, String>,
}

impl Suite {
    fn new(address: SocketAddr, admin: Pair) -> Self {
        Self { address, admin, answers: BTreeMap::new() }
    }

    fn note(&mut self, case: &'static str, answer: impl Into<String>) {
        let earlier = self.answers.insert(case, answer.into());
        assert!(earlier.is_none(), "{case} is asked twice");
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws::iam(self.address, &self.admin)
    }

    async fn identity(&self, pair: &Pair) -> String {
        outcome(&aws::sts(self.address, pair).get_caller_identity().send().await)
    }

    fn raw(&self, pair: &Pair, service: &str, body: &str, time: SystemTime) -> String {
        raw_outcome(signed_call(self.address, pair, service, body, time))
    }

    async fn new_key(&self, user: &str) -> Pair {
        let made = self.iam().create_access_key().user_name(user).send().await.expect("a key");
        let key = made.access_key().expect("a key");
        Pair::new(key.access_key_id(), key.secret_access_key())
    }

    async fn run(mut self) -> BTreeMap<&'static str, String> {
        self.users().await;
        self.creating_keys().await;
        self.listing_keys().await;
        self.status_of_keys().await;
        self.identity_of_keys().await;
        self.signatures().await;
        self.use_of_keys().await;
        self.deleting().await;
        self.headers();
        self.answers
    }

    async fn users(&mut self) {
        let iam = self.iam();
        let create = async |name: &str| outcome(&iam.create_user().user_name(name).send().await);
        self.note("create a user", create("alice").await);
        self.note("create a user: taken", create("alice").await);
        self.note("create a user: taken in another case", create("Alice").await);
        self.note("create a user: a slash in the name", create("svc/prod").await);
        self.note("create a user: a blank in the name", create("svc prod").await);
        self.note("create a user: 65 characters", create(&"x".repeat(65)).await);
        let user = iam.get_user().user_name("alice").send().await.expect("a user");
        self.note("get a user: its ARN", user.user().expect("a user").arn());
        iam.create_user().user_name("carol").path("/team/").send().await.expect("a user");
        let user = iam.get_user().user_name("carol").send().await.expect("a user");
        self.note("get a user: with a path", user.user().expect("a user").arn());
        self.note("get a user: missing", outcome(&iam.get_user().user_name("missing").send().await));
    }

    async fn creating_keys(&mut self) {
        let iam = self.iam();
        iam.create_user().user_name("quota").send().await.expect("a user");
        let made = iam.create_access_key().user_name("alice").send().await.expect("a key");
        let key = made.access_key().expect("a key");
        let age = key.create_date().expect("a date").secs() - unix_now();
        let dated = if age.abs() < 60 { "dated" } else { "of another time" };
        let (id, secret) = (key.access_key_id(), key.secret_access_key().len());
        let form = format!("{} {} {}/{} {secret} {dated}", key.user_name(), key.status(), &id[..4], id.len());
        self.note("create a key: its form", form);
        iam.delete_access_key().user_name("alice").access_key_id(id).send().await.expect("deleted");
        self.new_key("quota").await;
        self.new_key("quota").await;
        let third = iam.create_access_key().user_name("quota").send().await;
        self.note("create a key: the third", outcome(&third));
        let created = iam.create_access_key().user_name("missing").send().await;
        self.note("create a key: for a missing user", outcome(&created));
        let own = iam.create_access_key().send().await.expect("a key");
        let own = own.access_key().expect("a key");
        self.note("create a key: no user named", own.user_name());
        let delete = iam.delete_access_key().user_name(own.user_name()).access_key_id(own.access_key_id());
        delete.send().await.expect("deleted");
    }

    async fn listing_keys(&mut self) {
        let iam = self.iam();
        iam.create_user().user_name("lists").send().await.expect("a user");
        let (first, second) = (self.new_key("lists").await, self.new_key("lists").await);
        let listed = iam.list_access_keys().user_name("lists").send().await.expect("a list");
        let ids: Vec<_> = listed.access_key_metadata().iter().filter_map(|key| key.access_key_id()).collect();
        let order = if ids == [&first.id, &second.id] { "as made" } else { "otherwise" };
        self.note("list keys: both, in order", format!("{order}; truncated: {}", listed.is_truncated()));
        self.note("list keys: pages of one", pages_of_one(&iam, "lists").await);
        let none = iam.list_access_keys().user_name("lists").max_items(0).send().await;
        self.note("list keys: a page of none", outcome(&none));
        let listed = iam.list_access_keys().user_name("missing").send().await;
        self.note("list keys: for a missing user", outcome(&listed));
        let ill_formed = iam.list_access_keys().user_name("no/body").send().await;
        self.note("list keys: of an ill-formed name", outcome(&ill_formed));
        let denied = aws::iam(self.address, &first).list_access_keys().user_name("lists").send().await;
        self.note("list keys: without a policy", outcome(&denied));
    }

    async fn status_of_keys(&mut self) {
        let iam = self.iam();
        iam.create_user().user_name("status").send().await.expect("a user");
        let key = self.new_key("status").await;
        let update = async |user: Option<&str>, id: &str, status: StatusType| {
            let call = iam.update_access_key().set_user_name(user.map(str::to_owned));
            outcome(&call.access_key_id(id).status(status).send().await)
        };
        assert_eq!(update(Some("status"), &key.id, StatusType::Inactive).await, "ok");
        let listed = iam.list_access_keys().user_name("status").send().await.expect("a list");
        let status = listed.access_key_metadata()[0].status().expect("a status").as_str().to_owned();
        self.note("deactivate: shown", status);
        let another = update(Some("alice"), &key.id, StatusType::Inactive).await;
        self.note("deactivate: another's key", another);
        let unknown = update(Some("status"), "AKIAAAAAAAAAAAAAAAAA", StatusType::Inactive).await;
        self.note("deactivate: unknown key", unknown);
        let unnamed = update(None, &key.id, StatusType::Inactive).await;
        self.note("deactivate: no user named, another's key", unnamed);
        let nonsense = update(Some("status"), &key.id, StatusType::from("Sleepy")).await;
        self.note("deactivate: unknown status", nonsense);
    }

    async fn identity_of_keys(&mut self) {
        let iam = self.iam();
        let key = self.new_key("alice").await;
        let identity = aws::sts(self.address, &key).get_caller_identity().send().await.expect("an identity");
        let (account, arn) = (identity.account().unwrap_or_default(), identity.arn().unwrap_or_default());
        self.note("identity: active key", format!("{account} {arn}"));
        let update = iam.update_access_key().user_name("alice").access_key_id(&key.id);
        update.clone().status(StatusType::Inactive).send().await.expect("deactivated");
        let inactive = self.identity(&key).await;
        self.note("identity: inactive key", inactive);
        update.status(StatusType::Active).send().await.expect("activated");
        let active = self.identity(&key).await;
        self.note("identity: activated again", active);
        let wrong = self.identity(&Pair::new(&key.id, "x".repeat(40))).await;
        self.note("identity: wrong secret", wrong);
        let unknown = self.identity(&Pair::new("AKIAAAAAAAAAAAAAAAAA", "x".repeat(40))).await;
        self.note("identity: unknown key", unknown);
        iam.delete_access_key().user_name("alice").access_key_id(&key.id).send().await.expect("deleted");
        let deleted = self.identity(&key).await;
        self.note("identity: deleted key", deleted);
    }

    async fn signatures(&mut self) {
        const BODY: &str = "Action=GetCallerIdentity&Version=2011-06-15";
        let (key, now) = (self.new_key("alice").await, SystemTime::now());
        let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
        self.note("identity: signed 14 minutes ago", self.raw(&key, "sts", BODY, now - minutes(14)));
        self.note("identity: signed 16 minutes ago", self.raw(&key, "sts", BODY, now - minutes(16)));
        self.note("identity: signed 16 minutes ahead", self.raw(&key, "sts", BODY, now + minutes(16)));
        self.note("identity: signed for another service", self.raw(&key, "iam", BODY, now));
        self.note("unknown action", self.raw(&key, "sts", "Action=Nonsense&Version=2011-06-15", now));
        let form = ("content-type", "application/x-www-form-urlencoded");
        let unsigned = http::send(self.address, "POST", "/", &[form], BODY.as_bytes());
        self.note("identity: unsigned", raw_outcome(unsigned));
        let signed = aws::signed_headers(self.address, &key, "sts", BODY, now);
        let halved: Vec<(&str, &str)> = signed
            .iter()
            .map(|(name, value)| (name.as_str(), value.split(", Signature=").next().unwrap_or_default()))
            .collect();
        let half = http::send(self.address, "POST", "/", &halved, BODY.as_bytes());
        self.note("identity: half a signature", raw_outcome(half));
        let delete = self.iam().delete_access_key().user_name("alice").access_key_id(&key.id);
        delete.send().await.expect("deleted");
    }

    async fn use_of_keys(&mut self) {
        let iam = self.iam();
        let key = self.new_key("alice").await;
        self.note("last used: never", last_used(&iam, &key.id).await);
        assert_ne!(self.identity(&Pair::new(&key.id, "x".repeat(40))).await, "ok");
        self.note("last used: after a wrong signature", last_used(&iam, &key.id).await);
        assert_eq!(self.identity(&key).await, "ok");
        self.note("last used: after a use", last_used(&iam, &key.id).await);
        let unknown = iam.get_access_key_last_used().access_key_id("AKIAAAAAAAAAAAAAAAAA").send().await;
        self.note("last used: unknown key", outcome(&unknown));
        let sts = aws::sts(self.address, &self.admin);
        let info = sts.get_access_key_info().access_key_id(&key.id).send().await.expect("an account");
        self.note("key info: own key", info.account().unwrap_or_default());
        let denied = aws::sts(self.address, &key).get_access_key_info().access_key_id(&key.id).send().await;
        self.note("key info: without a policy", outcome(&denied));
        let info = sts.get_access_key_info().access_key_id("AKIAAAAAAAAAAAAAAAAA").send().await;
        self.note("key info: unknown key", outcome(&info));
        iam.delete_access_key().user_name("alice").access_key_id(&key.id).send().await.expect("deleted");
    }

    async fn deleting(&mut self) {
        let iam = self.iam();
        iam.create_user().user_name("leaver").send().await.expect("a user");
        let key = self.new_key("leaver").await;
        let delete_key =
            async |user: &str| outcome(&iam.delete_access_key().user_name(user).access_key_id(&key.id).send().await);
        let delete_user = async |user: &str| outcome(&iam.delete_user().user_name(user).send().await);
        self.note("delete a key: another's", delete_key("alice").await);
        self.note("delete a key", delete_key("leaver").await);
        self.note("delete a key: again", delete_key("leaver").await);
        self.note("delete a user", delete_user("leaver").await);
        self.note("delete a user: again", delete_user("leaver").await);
        self.note("delete a user: with a key", delete_user("lists").await);
    }

    fn headers(&mut self) {
        let ask = |body: &str| {
            let answer = signed_call(self.address, &self.admin, "iam", body, SystemTime::now()).expect("an answer");
            let dated = answer.header("date").and_then(|date| httpdate::parse_http_date(date).ok());
            let close = dated.is_some_and(|date| {
                let apart = date.duration_since(SystemTime::now()).unwrap_or_else(|error| error.duration());
                apart < Duration::from_secs(60)
            });
            let identified = answer.header("x-amzn-requestid").is_some_and(|id| !id.is_empty());
            [(close, "dated"), (identified, "identified")].map(|(found, word)| if found { word } else { "" }).join(", ")
        };
        let success = ask("Action=ListUsers&Version=2010-05-08");
        let refusal = ask("Action=GetUser&Version=2010-05-08&UserName=missing");
        self.note("headers: success", success);
        self.note("headers: refusal", refusal);
    }
}

async fn pages_of_one(iam: &aws_sdk_iam::Client, user: &str) -> String {
    let (mut pages, mut marker) = (Vec::new(), None);
    for _ in 0..5 {
        let page = iam.list_access_keys().user_name(user).max_items(1).set_marker(marker).send().await;
        let page = page.expect("a page");
        let count = page.access_key_metadata().len();
        pages.push(format!("{count} key{}", if count == 1 { "" } else { "s" }));
        marker = page.marker().map(str::to_owned);
        assert_eq!(page.is_truncated(), marker.is_some(), "a marker stands exactly where there is more");
        if marker.is_none() {
            break;
        }
    }
    pages.join(", then ")
}

async fn last_used(iam: &aws_sdk_iam::Client, id: &str) -> String {
    let answer = iam.get_access_key_last_used().access_key_id(id).send().await.expect("an answer");
    let used = answer.access_key_last_used().expect("always there");
    let use_date = if used.last_used_date().is_some() { "used" } else { "never" };
    format!("{} {use_date} {}", answer.user_name().unwrap_or_default(), used.service_name())
}

fn unix_now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Every answer that is not the expected one, in one message.
fn differences(answers: &BTreeMap<&str, String>, expected: impl Fn(&Row) -> &'static str) -> Vec<String> {
    let mut wrong: Vec<String> = EXPECTED
        .iter()
        .filter(|row| answers.get(row.0).is_none_or(|answer| answer != expected(row)))
        .map(|row| format!("{}: expected {:?}, got {:?}", row.0, expected(row), answers.get(row.0)))
        .collect();
    let unlisted = answers.keys().filter(|case| !EXPECTED.iter().any(|row| row.0 == **case));
    wrong.extend(unlisted.map(|case| format!("{case} is not in the table")));
    wrong
}

#[tokio::test]
async fn the_sandbox_answers_as_aws_does() {
    let sandbox = Sandbox::start(SandboxOptions {
        account: AccountId::new(moto::ACCOUNT).expect("an account"),
        admin_user: moto::ADMIN.to_owned(),
        ..SandboxOptions::default()
    })
    .expect("a sandbox");
    let admin = Pair::new(sandbox.admin().id.as_str(), sandbox.admin().secret.expose());
    let answers = Suite::new(sandbox.addr(), admin).run().await;
    let wrong = differences(&answers, |row| row.1);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn moto_answers_as_aws_does_but_for_its_known_departures() {
    let moto = Moto::start();
    let admin = moto.check_signatures().await;
    let answers = Suite::new(moto.addr(), admin).run().await;
    let wrong = differences(&answers, |row| row.2.unwrap_or(row.1));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
