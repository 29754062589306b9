//! The admin API, with which another process seeds, inspects and disturbs the sandbox. The documentation of the
//! parent module describes it.
//!
//! The API uses the functions of the in-process handle. A response contains a secret only if the call created it.

use std::time::Duration;

use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use hyper::{Method, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::types::name::AccessKeyId;
use crate::types::secret::SecretKey;

use super::account::{KeyStatus, KeySummary, random_key_id, random_secret, system_time};
use super::action::Action;
use super::error::ApiError;
use super::faults::{Fault, FaultId, FaultKind, SentAnswer, When};
use super::reply::{Answer, reply};
use super::server::{Shared, State};

/// The prefix of every path of the admin API.
pub(super) const PREFIX: &str = "/_sandbox/";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    #[serde(default = "root_path")]
    path: String,
    #[serde(default)]
    administrator: bool,
}

fn root_path() -> String {
    "/".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewName {
    user: String,
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SeededKey {
    user: String,
    id: Option<String>,
    secret: Option<String>,
    status: Option<KeyStatus>,
    created: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Denial {
    user: String,
    action: String,
    #[serde(default)]
    explicit: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewFault {
    kind: Kind,
    action: Option<String>,
    user: Option<String>,
    nth: Option<u32>,
    probability: Option<f64>,
    #[serde(default)]
    seed: u64,
    times: Option<u32>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
enum Kind {
    LostReplyBefore,
    LostReplyAfter,
    Throttle,
    ServiceUnavailable,
    InternalFailure,
    Refuse {
        status: u16,
        code: String,
        message: String,
    },
    Latency {
        milliseconds: u64,
    },
    Truncate {
        bytes: usize,
    },
    CutOff {
        bytes: usize,
    },
    #[serde(rename = "garbage-200")]
    Garbage200,
    Twice {
        sent: SentName,
    },
    HoldUntilReleased,
    HoldReply,
    HoldForever,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum SentName {
    First,
    Second,
}

/// Many users at once, each with one key.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Population {
    users: Vec<SeededKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBehaviour {
    /// The number of calls per second and action; without it, calls are not throttled.
    rate_limit: Option<f64>,
    #[serde(default)]
    new_keys_invalid_for_milliseconds: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    fault: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u64,
}

/// Handles one request of the admin API.
pub(super) fn serve(parts: &Parts, body: &[u8], shared: &Shared) -> Response<Answer> {
    let (status, json) = match route(parts, body, shared) {
        Ok(json) => (200, json),
        Err(error) => (error.status, json!({"error": error.code, "message": error.message})),
    };
    let request_id = uuid::Uuid::now_v7().to_string();
    let now = shared.lock().model.clock.now();
    reply(status, "application/json", json.to_string().into_bytes().into(), &request_id, system_time(now))
}

fn route(parts: &Parts, body: &[u8], shared: &Shared) -> Result<Value, ApiError> {
    let (method, what) = (&parts.method, parts.uri.path().trim_start_matches(PREFIX));
    let is_json = parts.headers.get(CONTENT_TYPE).is_some_and(|found| found == "application/json");
    if method == Method::POST && !is_json {
        return Err(ApiError::new(415, "UnsupportedMediaType", "Content-Type must be application/json"));
    }
    match (method.as_str(), what) {
        ("GET", "state") => Ok(state(&shared.lock())),
        ("POST", "users") => add_user(&mut shared.lock(), read(body)?),
        ("POST", "rename") => {
            let NewName { user, name } = read(body)?;
            shared.lock().model.rename_user(&user, &name)?;
            Ok(json!({}))
        }
        ("POST", "deny") => {
            let Denial { user, action, explicit } = read(body)?;
            shared.lock().model.deny(&user, &action, explicit)?;
            Ok(json!({}))
        }
        ("POST", "keys") => add_key(&mut shared.lock(), read(body)?),
        ("POST", "population") => {
            let Population { users } = read(body)?;
            let mut state = shared.lock();
            let added = users.len();
            for user in users {
                state.model.create_user(&user.user, "/", false)?;
                add_key(&mut state, user)?;
            }
            Ok(json!({"added": added}))
        }
        ("POST", "behaviour") => {
            let NewBehaviour { rate_limit, new_keys_invalid_for_milliseconds } = read(body)?;
            let mut state = shared.lock();
            state.rate_limit = rate_limit;
            state.model.behaviour.new_keys_invalid_for = Duration::from_millis(new_keys_invalid_for_milliseconds);
            Ok(json!({}))
        }
        ("POST", "faults") => arm(&mut shared.lock(), read(body)?),
        ("DELETE", "faults") => {
            shared.lock().faults.disarm_all();
            Ok(json!({}))
        }
        ("POST", "release") => {
            let Release { fault } = read(body)?;
            Ok(json!({"released": shared.release(fault.map(FaultId))}))
        }
        ("POST", "advance") => {
            let Advance { seconds } = read(body)?;
            shared.lock().model.clock.advance(Duration::from_secs(seconds));
            Ok(json!({}))
        }
        (method, _) => Err(ApiError::new(404, "NotFound", format!("the sandbox has no {method} {PREFIX}{what}"))),
    }
}

fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    // The error of serde_json quotes a value of the wrong type, which may be a secret, so only its position is shown.
    serde_json::from_slice(body).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "a field is missing, unknown or of the wrong type",
            serde_json::error::Category::Syntax => "this is not JSON",
            serde_json::error::Category::Eof | serde_json::error::Category::Io => "it ends too early",
        };
        ApiError::new(400, "BadRequest", format!("line {}, column {}: {what}", error.line(), error.column()))
    })
}

fn add_user(state: &mut State, new: NewUser) -> Result<Value, ApiError> {
    state.model.create_user(&new.name, &new.path, new.administrator)?;
    Ok(json!({}))
}

fn add_key(state: &mut State, new: SeededKey) -> Result<Value, ApiError> {
    let id = new.id.map_or_else(|| Ok(random_key_id()), AccessKeyId::new);
    let id = id.map_err(|error| ApiError::validation(error.to_string()))?;
    let secret = new.secret.map_or_else(random_secret, SecretKey::new);
    let answer = json!({"id": id.as_str(), "secret": secret.expose()});
    let created = new.created.unwrap_or_else(|| state.model.clock.now());
    state.model.add_key(&new.user, id, secret, new.status.unwrap_or(KeyStatus::Active), created)?;
    Ok(answer)
}

fn arm(state: &mut State, new: NewFault) -> Result<Value, ApiError> {
    let action = match new.action.as_deref() {
        None | Some("*") => None,
        Some(name) => Some(
            Action::named(name)
                .ok_or_else(|| ApiError::new(400, "BadRequest", format!("the sandbox has no action {name}")))?,
        ),
    };
    let when = match (new.nth, new.probability) {
        (nth, None) => When::FromNth(nth.unwrap_or(1)),
        (None, Some(probability)) => When::Sometimes { probability, seed: new.seed },
        (Some(_), Some(_)) => {
            return Err(ApiError::new(400, "BadRequest", "give nth or probability, not both"));
        }
    };
    let times = match (new.times, when) {
        (Some(0), _) | (None, When::Sometimes { .. }) => None,
        (Some(times), _) => Some(times),
        (None, When::FromNth(_)) => Some(1),
    };
    let kind = match new.kind {
        Kind::LostReplyBefore => FaultKind::LostReplyBefore,
        Kind::LostReplyAfter => FaultKind::LostReplyAfter,
        Kind::Throttle => FaultKind::Throttle,
        Kind::ServiceUnavailable => FaultKind::ServiceUnavailable,
        Kind::InternalFailure => FaultKind::InternalFailure,
        Kind::Refuse { status, code, message } => FaultKind::Refuse(ApiError { status, code, message }),
        Kind::Latency { milliseconds } => FaultKind::Latency(Duration::from_millis(milliseconds)),
        Kind::Truncate { bytes } => FaultKind::Truncate(bytes),
        Kind::CutOff { bytes } => FaultKind::CutOff(bytes),
        Kind::Garbage200 => FaultKind::Garbage200,
        Kind::Twice { sent: SentName::First } => FaultKind::Twice(SentAnswer::First),
        Kind::Twice { sent: SentName::Second } => FaultKind::Twice(SentAnswer::Second),
        Kind::HoldUntilReleased => FaultKind::HoldUntilReleased,
        Kind::HoldReply => FaultKind::HoldReply,
        Kind::HoldForever => FaultKind::HoldForever,
    };
    Ok(json!({"fault": state.faults.arm(Fault { action, user: new.user, when, times, kind })}))
}

fn state(state: &State) -> Value {
    let key = |key: KeySummary| {
        let last_used = key.last_used.map(|last_use| last_use.at);
        json!({"id": key.id, "status": key.status, "created": key.created, "last_used": last_used})
    };
    let users = state.model.users().map(|user| {
        let keys: Vec<Value> = state.model.keys_of(&user.name).into_iter().map(key).collect();
        json!({"name": user.name, "path": user.path, "administrator": user.administrator, "keys": keys})
    });
    let faults = state.faults.armed().map(|(id, fault, struck)| {
        json!({"fault": id, "action": fault.action.map(Action::name), "user": fault.user, "struck": struck})
    });
    let held =
        state.held().iter().map(|held| json!({"fault": held.fault, "action": held.action.name(), "user": held.user}));
    let calls: serde_json::Map<String, Value> =
        state.calls.iter().map(|(action, count)| (action.name().to_owned(), json!(count))).collect();
    json!({
        "account": state.model.account,
        "now": state.model.clock.now(),
        "users": users.collect::<Vec<_>>(),
        "calls": calls,
        "faults": faults.collect::<Vec<_>>(),
        "held": held.collect::<Vec<_>>(),
    })
}
