//! UpdateAccessKey and DeleteAccessKey: done only if AWS says so explicitly.

use super::responder::{DATE, Responder, error, error_body, http, http_without_date, raw};
use super::{NEW_KEY, aws, date, key, opened, user};
use crate::adapters::aws::Aws;
use crate::journal::write_ahead::Attempt;
use crate::ports::iam::Iam;
use crate::rotation::effect::{ChangeStatus, DeleteKey};
use crate::rotation::event::{Event, OperatorRequest, Outcome};
use crate::types::failure::{Failure, RefusalKind};
use crate::types::time::Timestamp;

/// The expected result of an attempt.
#[derive(Debug, PartialEq, Eq)]
enum Expect {
    Done,
    Refused(RefusalKind),
    Unknown,
}

fn came_to(attempt: Attempt<Timestamp>) -> Expect {
    match attempt {
        Attempt::Done(at) => {
            assert_eq!(at, date(), "AWS's own clock");
            Expect::Done
        }
        Attempt::Refused(refusal) => Expect::Refused(refusal.kind),
        Attempt::Unknown(_) => Expect::Unknown,
    }
}

async fn delete(aws: &Aws) -> Expect {
    let effect = DeleteKey::named(user(), key(NEW_KEY));
    let named = Event::Asked(OperatorRequest::DeleteKey { key: key(NEW_KEY) });
    let journal = opened().await.note(named).await.expect("journaled");
    let (_, attempt) = journal.carry_out(effect, |order| aws.delete_key(order)).await.expect("journaled");
    came_to(attempt)
}

/// Through a rotation whose create was lost and whose key was found by its marks: its status may be changed.
async fn change(aws: &Aws, active: bool) -> Expect {
    let lost = |_| async { Err(Failure::Unknown("lost".to_owned())) };
    let (journal, _) = opened().await.carry_out(super::create_new(), lost).await.expect("journaled");
    let found = Event::Done(Outcome::FoundCreated { key: key(NEW_KEY) });
    let mut journal = journal.note(found).await.expect("journaled");
    if active {
        let off = ChangeStatus::deactivate_new(user(), key(NEW_KEY));
        (journal, _) = journal.carry_out(off, |_| async { Ok(date()) }).await.expect("journaled");
    }
    let effect = if active {
        ChangeStatus::reactivate_new(user(), key(NEW_KEY))
    } else {
        ChangeStatus::deactivate_new(user(), key(NEW_KEY))
    };
    let (_, attempt) = journal.carry_out(effect, |order| aws.change_status(order)).await.expect("journaled");
    came_to(attempt)
}

fn body(operation: &str) -> String {
    format!(
        "<{operation}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><ResponseMetadata><RequestId>req-1\
         </RequestId></ResponseMetadata></{operation}Response>\n"
    )
}

/// The message of AWS about something that does not exist.
fn missing(message: &str) -> Vec<u8> {
    http(404, &error_body("NoSuchEntity").replace("words", message))
}

const NO_KEY: &str = "The Access Key with id AKIANEWNEWNEWNEWNEW0 cannot be found.";
const NO_USER: &str = "The user with name app1-production cannot be found.";

/// The rows that both effects share. `gone` is the result of a `NoSuchEntity` whose message does not say what is
/// missing.
fn rows(operation: &str, gone: Expect) -> Vec<(Vec<u8>, Expect)> {
    let whole = body(operation);
    vec![
        (http(200, &whole), Expect::Done),
        (error(404, "NoSuchEntity"), gone),
        (error(403, "AccessDenied"), Expect::Refused(RefusalKind::Denied)),
        (error(403, "ExpiredToken"), Expect::Refused(RefusalKind::Credentials)),
        (error(400, "Throttling"), Expect::Refused(RefusalKind::Throttled)),
        (error(400, "ValidationError"), Expect::Refused(RefusalKind::Other)),
        (error(500, "NoSuchEntity"), Expect::Unknown),
        (error(500, "ServiceFailure"), Expect::Unknown),
        (error(503, "SlowDown"), Expect::Unknown),
        (http(404, "<html>not found</html>"), Expect::Unknown),
        (http(404, &error_body("NoSuchEntity").replace("</ErrorResponse>", "")), Expect::Unknown),
        // The SDK calls each of these a success.
        (http(200, "<html>sign in to use this network</html>"), Expect::Unknown),
        (http(200, ""), Expect::Unknown),
        (http(200, &whole[..whole.len() - 3]), Expect::Unknown),
        (http(200, &body("CreateAccessKey")), Expect::Unknown),
        (http_without_date(200, &whole), Expect::Unknown),
        (raw(200, &format!("Date: yesterday\r\nContent-Length: {}\r\n", whole.len()), &whole), Expect::Unknown),
        (raw(200, &format!("Date: {DATE}\r\nContent-Length: 9999\r\n"), &whole), Expect::Unknown),
    ]
}

fn once(answer: Vec<u8>) -> Responder {
    Responder::start(move |_| super::responder::Reply::ThenClose(answer.clone()))
}

#[tokio::test]
async fn a_delete_is_done_when_aws_says_so_or_the_key_is_not_there() {
    // A case that is not clear stays in doubt, and the next list decides.
    let mut rows = rows("DeleteAccessKey", Expect::Unknown);
    rows.push((missing(NO_KEY), Expect::Done));
    rows.push((missing("The Access Key with id The user with name x cannot be found"), Expect::Done));
    rows.push((http_without_date(404, &error_body("NoSuchEntity").replace("words", NO_KEY)), Expect::Unknown));
    // The key may be there under the user's new name.
    rows.push((missing(NO_USER), Expect::Refused(RefusalKind::NoSuchEntity)));
    rows.push((
        missing("The user with name The Access Key with id x cannot be found."),
        Expect::Refused(RefusalKind::NoSuchEntity),
    ));
    for (answer, expected) in rows {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = once(answer);
        assert_eq!(delete(&aws(&responder).await).await, expected, "{told}");
        let requests = responder.requests();
        assert_eq!(requests.len(), 1, "{told}");
        for part in ["Action=DeleteAccessKey", "UserName=app1-production", &format!("AccessKeyId={NEW_KEY}")] {
            assert!(requests[0].body.contains(part), "{}", requests[0].body);
        }
    }
}

#[tokio::test]
async fn a_status_is_changed_when_aws_says_so() {
    let mut rows = rows("UpdateAccessKey", Expect::Refused(RefusalKind::NoSuchEntity));
    rows.extend([NO_KEY, NO_USER].map(|words| (missing(words), Expect::Refused(RefusalKind::NoSuchEntity))));
    for (answer, expected) in rows {
        let told = String::from_utf8_lossy(&answer).into_owned();
        let responder = once(answer);
        assert_eq!(change(&aws(&responder).await, false).await, expected, "{told}");
        assert_eq!(responder.requests().len(), 1, "{told}");
    }
}

#[tokio::test]
async fn the_status_asked_for_is_the_status_sent() {
    for (active, status) in [(true, "Status=Active"), (false, "Status=Inactive")] {
        let responder = Responder::always(http(200, &body("UpdateAccessKey")));
        assert_eq!(change(&aws(&responder).await, active).await, Expect::Done);
        let request = &responder.requests()[0].body;
        for part in ["Action=UpdateAccessKey", "UserName=app1-production", &format!("AccessKeyId={NEW_KEY}"), status] {
            assert!(request.contains(part), "{request}");
        }
    }
}
