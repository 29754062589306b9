//! Every fault of the sandbox, as the SDK sees it and with its effect on the state; and the admin API.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use aws_sdk_iam::types::StatusType;
use rotator::sandbox::{Action, ApiError, Behaviour, Fault, FaultKind, KeyStatus, Sandbox, SandboxOptions, SentAnswer};
use rotator::types::name::AccessKeyId;
use rotator::types::secret::{NewKey, SecretKey};
use serde_json::{Value, json};

use crate::support::aws::{self, Pair, outcome};
use crate::support::http;

fn sandbox() -> Sandbox {
    sandbox_with(SandboxOptions::default())
}

fn sandbox_with(options: SandboxOptions) -> Sandbox {
    let sandbox = Sandbox::start(options).expect("a sandbox");
    sandbox.add_user("alice").expect("a user");
    sandbox
}

fn pair(key: &NewKey) -> Pair {
    Pair::new(key.id.as_str(), key.secret.expose())
}

fn iam(sandbox: &Sandbox) -> aws_sdk_iam::Client {
    aws::iam(sandbox.addr(), &pair(sandbox.admin()))
}

async fn create(sandbox: &Sandbox) -> String {
    outcome(&iam(sandbox).create_access_key().user_name("alice").send().await)
}

/// Sends a `CreateAccessKey` that meets `kind`. Returns its result in the SDK, and the number of keys afterwards.
async fn created_under(kind: FaultKind) -> (String, usize) {
    let sandbox = sandbox();
    sandbox.arm(Fault::new(kind).on(Action::CreateAccessKey).for_user("alice"));
    let met = create(&sandbox).await;
    let left = sandbox.keys_of("alice").len();
    assert_eq!(create(&sandbox).await, "ok", "it strikes once");
    (met, left)
}

fn is(outcome: &str, keys: usize) -> (String, usize) {
    (outcome.to_owned(), keys)
}

#[tokio::test]
async fn a_refused_call_has_no_effect() {
    let refusal = FaultKind::Refuse(ApiError::new(409, "ConcurrentModification", "again"));
    assert_eq!(created_under(FaultKind::Throttle).await, is("400 Throttling", 0));
    assert_eq!(created_under(FaultKind::ServiceUnavailable).await, is("503 ServiceUnavailable", 0));
    assert_eq!(created_under(FaultKind::InternalFailure).await, is("500 InternalFailure", 0));
    assert_eq!(created_under(refusal).await, is("409 ConcurrentModification", 0));
}

#[tokio::test]
async fn a_reply_is_lost_before_or_after_the_effect() {
    assert_eq!(created_under(FaultKind::LostReplyBefore).await, is("dispatch failure", 0));
    assert_eq!(created_under(FaultKind::LostReplyAfter).await, is("dispatch failure", 1));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_seen_and_one_that_is_announced_short_is_not() {
    assert_eq!(created_under(FaultKind::CutOff(250)).await, is("response error", 1));
    // The SDK's own weakness, which the check of every reply is for: half an answer passes for a success.
    assert_eq!(created_under(FaultKind::Truncate(420)).await, is("ok", 1));
    assert_eq!(created_under(FaultKind::Garbage200).await, is("200 without a code", 1));
}

#[tokio::test]
async fn a_request_that_arrives_twice_is_carried_out_twice_and_answered_once() {
    assert_eq!(created_twice(SentAnswer::First).await, ("ok".to_owned(), 2));
    assert_eq!(created_twice(SentAnswer::Second).await, ("409 LimitExceeded".to_owned(), 2));
    let sandbox = sandbox();
    sandbox.arm(Fault::new(FaultKind::Twice(SentAnswer::Second)).on(Action::CreateAccessKey));
    assert_eq!(create(&sandbox).await, "ok", "there was room for both");
    assert_eq!((sandbox.keys_of("alice").len(), sandbox.calls()[&Action::CreateAccessKey]), (2, 1));
}

/// A create for a user who has a key already.
async fn created_twice(reported: SentAnswer) -> (String, usize) {
    let sandbox = sandbox();
    sandbox.create_key("alice").expect("a first key");
    sandbox.arm(Fault::new(FaultKind::Twice(reported)).on(Action::CreateAccessKey).for_user("alice"));
    (create(&sandbox).await, sandbox.keys_of("alice").len())
}

#[tokio::test]
async fn a_truncated_answer_is_a_prefix_with_a_consistent_length() {
    let sandbox = sandbox();
    sandbox.arm(Fault::new(FaultKind::Truncate(300)));
    let body = "Action=CreateAccessKey&Version=2010-05-08&UserName=alice";
    let now = std::time::SystemTime::now();
    let answer = aws::signed_call(sandbox.addr(), &pair(sandbox.admin()), "iam", body, now).expect("an answer");
    assert_eq!((answer.status, answer.body.len(), answer.header("content-length")), (200, 300, Some("300")));
    assert!(answer.body.contains("<CreateAccessKeyResult>"), "{}", answer.body);
    sandbox.arm(Fault::new(FaultKind::CutOff(300)));
    let answer = aws::signed_call(sandbox.addr(), &pair(sandbox.admin()), "iam", body, now).expect("an answer");
    assert_eq!((answer.status, answer.body.len()), (200, 300));
    let announced: usize = answer.header("content-length").expect("announced").parse().expect("a number");
    assert!(announced > 300, "{announced}");
}

#[tokio::test]
async fn latency_delays_an_answer() {
    let sandbox = sandbox();
    sandbox.arm(Fault::new(FaultKind::Latency(Duration::from_millis(300))));
    let began = Instant::now();
    assert_eq!(create(&sandbox).await, "ok");
    assert!(began.elapsed() >= Duration::from_millis(300));
}

/// A signed request may be executed up to 16 minutes late.
#[tokio::test]
async fn a_held_call_is_carried_out_after_its_client_has_gone() {
    let sandbox = sandbox();
    let fault = sandbox.arm(Fault::new(FaultKind::HoldUntilReleased).on(Action::CreateAccessKey));
    let waiting = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { create(&sandbox).await })
    };
    sandbox.held(1).await;
    waiting.abort();
    assert!(waiting.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(sandbox.keys_of("alice").len(), 0, "not before it is released");
    assert_eq!(sandbox.release(Some(fault)), 1);
    eventually("the key is made", || sandbox.keys_of("alice").len() == 1).await;
    assert_eq!(sandbox.release(None), 0, "nothing is held any more");
}

#[tokio::test]
async fn a_held_reply_follows_an_effect_that_all_can_see() {
    let sandbox = sandbox();
    sandbox.arm(Fault::new(FaultKind::HoldReply).on(Action::CreateAccessKey));
    let waiting = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { create(&sandbox).await })
    };
    sandbox.held(1).await;
    assert_eq!(sandbox.keys_of("alice").len(), 1);
    assert!(!waiting.is_finished());
    assert_eq!(sandbox.release(None), 1);
    assert_eq!(waiting.await.expect("an answer"), "ok");
}

#[tokio::test]
async fn a_call_held_for_ever_has_no_effect_and_no_answer() {
    let sandbox = sandbox();
    sandbox.arm(Fault::new(FaultKind::HoldForever).on(Action::CreateAccessKey));
    let answer = tokio::time::timeout(Duration::from_millis(500), create(&sandbox)).await;
    assert!(answer.is_err(), "{answer:?}");
    assert_eq!((sandbox.keys_of("alice").len(), sandbox.calls()[&Action::CreateAccessKey]), (0, 1));
}

#[tokio::test]
async fn faults_come_by_user_and_by_count() {
    let sandbox = sandbox();
    sandbox.add_user("bob").expect("a user");
    let iam = iam(&sandbox);
    let list = async |user: &str| outcome(&iam.list_access_keys().user_name(user).send().await);
    sandbox.arm(Fault::new(FaultKind::Throttle).for_user("alice").nth(2).times(2));
    let met = [list("alice").await, list("bob").await, list("alice").await, list("alice").await, list("alice").await];
    assert_eq!(met, ["ok", "ok", "400 Throttling", "400 Throttling", "ok"]);
}

#[tokio::test]
async fn too_many_calls_a_second_are_throttled() {
    let sandbox = sandbox_with(SandboxOptions { rate_limit: Some(2.0), ..SandboxOptions::default() });
    let mut met = Vec::new();
    for _ in 0..20 {
        met.push(aws::outcome(&iam(&sandbox).list_access_keys().user_name("alice").send().await));
    }
    assert_eq!(met[..2], ["ok", "ok"]);
    assert!(met.iter().any(|outcome| outcome == "400 Throttling"), "{met:?}");
    assert_eq!(create(&sandbox).await, "ok", "each action has a limit of its own");
    sandbox.set_rate_limit(None);
    assert_eq!(outcome(&iam(&sandbox).list_access_keys().user_name("alice").send().await), "ok");
}

#[tokio::test]
async fn new_keys_appear_and_work_only_after_a_while() {
    let behaviour = Behaviour {
        new_keys_invisible_for: Duration::from_secs(20),
        new_keys_invalid_for: Duration::from_secs(10),
        last_used_lag: Duration::from_secs(3600),
        ..Behaviour::default()
    };
    let sandbox = sandbox_with(SandboxOptions { behaviour, ..SandboxOptions::default() });
    let key = sandbox.create_key("alice").expect("a key");
    let admin = iam(&sandbox);
    let see = async || {
        let listed = admin.list_access_keys().user_name("alice").send().await.expect("a list");
        let identity = aws::sts(sandbox.addr(), &pair(&key)).get_caller_identity().send().await;
        let used = admin.get_access_key_last_used().access_key_id(key.id.as_str()).send().await.expect("an answer");
        let reported = used.access_key_last_used().is_some_and(|used| used.last_used_date().is_some());
        (listed.access_key_metadata().len(), outcome(&identity), reported)
    };
    assert_eq!(see().await, (0, "403 InvalidClientTokenId".to_owned(), false));
    sandbox.advance(Duration::from_secs(11));
    assert_eq!(see().await, (0, "ok".to_owned(), false));
    sandbox.advance(Duration::from_secs(10));
    assert_eq!(see().await, (1, "ok".to_owned(), false));
    sandbox.advance(Duration::from_secs(3600));
    assert_eq!(see().await, (1, "ok".to_owned(), true));
}

/// The SDK signs by the `Date` of the answer before, so a client meets a clock put forward with an old signature.
#[tokio::test]
async fn a_clock_put_forward_dates_answers_and_refuses_requests_only_if_asked_to() {
    let week = Duration::from_secs(7 * 24 * 3600);
    for (strict, first) in [(false, "ok"), (true, "403 SignatureDoesNotMatch")] {
        let sandbox = sandbox_with(SandboxOptions { strict_signature_time: strict, ..SandboxOptions::default() });
        let iam = iam(&sandbox);
        let list = async || outcome(&iam.list_access_keys().user_name("alice").send().await);
        assert_eq!(list().await, "ok");
        sandbox.advance(week);
        assert_eq!(list().await, first);
        assert_eq!(list().await, "ok", "the SDK has learnt the time");
        let made = iam.create_access_key().user_name("alice").send().await.expect("a key");
        let created = made.access_key().and_then(|key| key.create_date()).expect("a date").secs();
        let ahead = created - jiff::Timestamp::now().as_second();
        assert!((ahead - 7 * 24 * 3600).abs() < 60, "{ahead}");
    }
}

#[tokio::test]
async fn a_seeded_key_is_as_it_was_seeded() {
    let admin_key = NewKey {
        id: AccessKeyId::new("AKIAADMINADMINADMINA").expect("an id"),
        secret: SecretKey::new("the administrator's secret".to_owned()),
    };
    let sandbox = sandbox_with(SandboxOptions { admin_key: Some(admin_key), ..SandboxOptions::default() });
    let created: jiff::Timestamp = "2020-01-02T03:04:05Z".parse().expect("a time");
    let id = "AKIAOLDOLDOLDOLDOLDO";
    sandbox.add_key("alice", id, "old secret", KeyStatus::Active, Some(created)).expect("seeded");
    let listed = iam(&sandbox).list_access_keys().user_name("alice").send().await.expect("a list");
    let key = &listed.access_key_metadata()[0];
    assert_eq!((key.access_key_id(), key.create_date().map(|date| date.secs())), (Some(id), Some(created.as_second())));
    assert!(sandbox.accepts(id, "old secret") && !sandbox.accepts(id, "another"));
    sandbox.set_status("alice", id, KeyStatus::Expired).expect("expired");
    assert!(!sandbox.accepts(id, "old secret"));
    let update = iam(&sandbox).update_access_key().user_name("alice").access_key_id(id).status(StatusType::Active);
    update.send().await.expect("activated");
    assert!(sandbox.accepts(id, "old secret"));
    sandbox.delete_key("alice", id).expect("deleted");
    assert_eq!(sandbox.all_keys().len(), 1, "the administrator's alone");
}

#[tokio::test]
async fn an_observer_sees_every_call_and_may_ask_the_sandbox() {
    let sandbox = sandbox();
    let seen = Arc::new(Mutex::new(Vec::new()));
    {
        let (seen, asked) = (Arc::clone(&seen), sandbox.clone());
        sandbox.observe(move |call| {
            let keys = asked.keys_of("alice").len();
            seen.lock().expect("unpoisoned").push((call.action, call.outcome.clone(), keys));
        });
    }
    for _ in 0..3 {
        create(&sandbox).await;
    }
    let refused = Err("LimitExceeded".to_owned());
    let action = Action::CreateAccessKey;
    assert_eq!(*seen.lock().expect("unpoisoned"), [(action, Ok(()), 1), (action, Ok(()), 2), (action, refused, 2)]);
    sandbox.shutdown();
}

#[tokio::test]
async fn after_shutdown_no_request_is_answered() {
    let sandbox = sandbox();
    sandbox.shutdown();
    assert_eq!(create(&sandbox).await, "dispatch failure");
    assert_eq!(sandbox.keys_of("alice").len(), 0, "it can still be asked");
}

fn admin_api(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let headers = [("content-type", "application/json")];
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let answer = http::send(sandbox.addr(), method, path, &headers, body.as_bytes()).expect("an answer");
    (answer.status, serde_json::from_str(&answer.body).expect("JSON"))
}

#[tokio::test]
async fn another_process_can_seed_inspect_and_break_it() {
    let sandbox = Sandbox::start(SandboxOptions::default()).expect("a sandbox");
    let post = |path: &str, body: Value| admin_api(&sandbox, "POST", path, &body);
    assert_eq!(post("/_sandbox/users", json!({"name": "alice"})), (200, json!({})));
    let seeded = json!({"user": "alice", "id": "AKIAOLDOLDOLDOLDOLDO", "secret": "s3cr3t", "status": "Inactive",
        "created": "2020-01-02T03:04:05Z"});
    assert_eq!(post("/_sandbox/keys", seeded).0, 200);
    let made = post("/_sandbox/keys", json!({"user": "alice"})).1;
    assert!(sandbox.accepts(made["id"].as_str().expect("an id"), made["secret"].as_str().expect("a secret")));
    assert_eq!(sandbox.keys_of("alice")[0].status, KeyStatus::Inactive);

    let throttle = json!({"kind": {"type": "throttle"}, "action": "ListAccessKeys", "nth": 2, "times": 1});
    let (status, fault) = post("/_sandbox/faults", throttle);
    assert_eq!((status, &fault), (200, &json!({"fault": 1})));
    let iam = iam(&sandbox);
    let list = async || outcome(&iam.list_access_keys().user_name("alice").send().await);
    assert_eq!([list().await, list().await, list().await], ["ok", "400 Throttling", "ok"]);
    assert_eq!(post("/_sandbox/advance", json!({"seconds": 86400})).0, 200);
    assert!(sandbox.now() > jiff::Timestamp::now() + Duration::from_secs(86000));

    let (status, state) = admin_api(&sandbox, "GET", "/_sandbox/state", &Value::Null);
    assert_eq!((status, &state["calls"]["ListAccessKeys"], &state["faults"][0]["struck"]), (200, &json!(3), &json!(1)));
    assert_eq!(state["users"][0]["keys"][0]["created"], json!("2020-01-02T03:04:05Z"));
    let reported = state.to_string();
    assert!(
        !reported.contains("s3cr3t") && !reported.contains(made["secret"].as_str().expect("a secret")),
        "{reported}"
    );
    assert_eq!(admin_api(&sandbox, "DELETE", "/_sandbox/faults", &Value::Null).0, 200);
    let (_, state) = admin_api(&sandbox, "GET", "/_sandbox/state", &Value::Null);
    assert_eq!(state["faults"], json!([]));

    assert_eq!(post("/_sandbox/rename", json!({"user": "alice", "name": "alicia"})), (200, json!({})));
    assert_eq!((sandbox.keys_of("alicia").len(), list().await.as_str()), (2, "404 NoSuchEntity"));
    assert_eq!(post("/_sandbox/rename", json!({"user": "alice", "name": "alice"})).0, 404);
}

#[tokio::test]
async fn another_process_can_hold_a_call_and_release_it() {
    let sandbox = sandbox();
    let hold = json!({"kind": {"type": "hold-until-released"}, "action": "CreateAccessKey", "user": "alice"});
    let (_, fault) = admin_api(&sandbox, "POST", "/_sandbox/faults", &hold);
    let waiting = {
        let sandbox = sandbox.clone();
        tokio::spawn(async move { create(&sandbox).await })
    };
    sandbox.held(1).await;
    let (_, state) = admin_api(&sandbox, "GET", "/_sandbox/state", &Value::Null);
    assert_eq!(state["held"], json!([{"fault": fault["fault"], "action": "CreateAccessKey", "user": "alice"}]));
    assert_eq!(admin_api(&sandbox, "POST", "/_sandbox/release", &fault), (200, json!({"released": 1})));
    assert_eq!(waiting.await.expect("an answer"), "ok");
}

#[tokio::test]
async fn the_admin_api_takes_every_kind_of_fault_and_refuses_nonsense() {
    let sandbox = sandbox();
    let arm = |body: Value| admin_api(&sandbox, "POST", "/_sandbox/faults", &body).0;
    let plain = ["lost-reply-before", "lost-reply-after", "throttle", "service-unavailable", "internal-failure"];
    let held = ["garbage-200", "hold-until-released", "hold-reply", "hold-forever"];
    for kind in plain.into_iter().chain(held) {
        assert_eq!(arm(json!({"kind": {"type": kind}})), 200, "{kind}");
    }
    assert_eq!(arm(json!({"kind": {"type": "latency", "milliseconds": 5}, "action": "*", "times": 0})), 200);
    assert_eq!(arm(json!({"kind": {"type": "truncate", "bytes": 5}, "probability": 0.5, "seed": 3})), 200);
    assert_eq!(arm(json!({"kind": {"type": "cut-off", "bytes": 5}})), 200);
    assert_eq!(arm(json!({"kind": {"type": "twice", "sent": "first"}})), 200);
    assert_eq!(arm(json!({"kind": {"type": "twice", "sent": "second"}})), 200);
    assert_eq!(arm(json!({"kind": {"type": "refuse", "status": 403, "code": "AccessDenied", "message": "no"}})), 200);
    for nonsense in [
        json!({"kind": {"type": "explode"}}),
        json!({"kind": {"type": "throttle"}, "action": "Nonsense"}),
        json!({"kind": {"type": "throttle"}, "nth": 1, "probability": 0.5}),
        json!({"kind": {"type": "throttle"}, "sometimes": true}),
    ] {
        assert_eq!(arm(nonsense.clone()), 400, "{nonsense}");
    }
    assert_eq!(admin_api(&sandbox, "GET", "/_sandbox/nonsense", &Value::Null).0, 404);
    let form = [("content-type", "text/plain")];
    let answer =
        http::send(sandbox.addr(), "POST", "/_sandbox/users", &form, b"{\"name\":\"bob\"}").expect("an answer");
    assert_eq!(answer.status, 415, "a web page could have sent that");
}

async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..200 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("in two seconds it did not come about that {what}");
}
