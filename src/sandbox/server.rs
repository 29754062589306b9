//! The server: receives a call, selects its fault, checks its signature, executes it and responds.
//!
//! The rules of IAM are in `iam_model`; this file has the order of these steps, and every way to lose a response.

use std::collections::{BTreeMap, HashMap};
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

use super::account::system_time;
use super::action::{Action, Service};
use super::admin;
use super::answers::answer;
use super::error::ApiError;
use super::faults::{FaultId, FaultKind, Faults, SentAnswer};
use super::iam_model::{Caller, IamModel};
use super::query::{Params, failure};
use super::reply::{Answer, Dropped, reply};
use super::signature::{Signature, Window};

/// The maximum length of the body of a call.
const LONGEST_BODY: usize = 64 * 1024;

/// The maximum length of the body of a request of the admin API, which may add 100,000 users.
const LONGEST_ADMIN_BODY: usize = 64 * 1024 * 1024;

/// What an observer gets after a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallSeen {
    pub action: Action,
    /// The user of the call: its `UserName`, otherwise the caller.
    pub user: Option<String>,
    /// The outcome: `Ok` means that the call was executed, whether or not the response registers; otherwise the error
    /// code.
    pub outcome: Result<(), String>,
}

type Observer = Arc<dyn Fn(&CallSeen) + Send + Sync>;

/// What the server, the handle and the admin API share.
pub(super) struct Shared {
    state: Mutex<State>,
    /// The number of held calls.
    pub(super) held: watch::Sender<usize>,
}

/// The account, and the state around it.
pub(super) struct State {
    pub(super) model: IamModel,
    pub(super) faults: Faults,
    pub(super) calls: BTreeMap<Action, u64>,
    pub(super) observers: Vec<Observer>,
    pub(super) rate_limit: Option<f64>,
    pub(super) strict_signature_time: bool,
    /// The session tokens of the temporary keys, by key id.
    pub(super) session_tokens: HashMap<String, String>,
    held: Vec<Held>,
    buckets: HashMap<Action, Bucket>,
}

/// A call that waits to be released.
pub(super) struct Held {
    pub(super) fault: FaultId,
    pub(super) action: Action,
    pub(super) user: Option<String>,
    release: oneshot::Sender<()>,
}

impl Shared {
    pub(super) fn new(model: IamModel, rate_limit: Option<f64>, strict_signature_time: bool) -> Self {
        let state = State {
            model,
            faults: Faults::default(),
            calls: BTreeMap::new(),
            observers: Vec::new(),
            rate_limit,
            strict_signature_time,
            held: Vec::new(),
            session_tokens: HashMap::new(),
            buckets: HashMap::new(),
        };
        Self { state: Mutex::new(state), held: watch::Sender::new(0) }
    }

    /// Locks the state. A panic of another holder leaves it consistent: each change is one call of a rule.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Releases the calls that `fault` holds, or all of them, and returns their number.
    pub(super) fn release(&self, fault: Option<FaultId>) -> usize {
        let mut state = self.lock();
        let all = std::mem::take(&mut state.held);
        let (released, kept): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|held| fault.is_none_or(|fault| held.fault == fault));
        state.held = kept;
        self.held.send_replace(state.held.len());
        drop(state);
        released.into_iter().filter_map(|held| held.release.send(()).ok()).count()
    }

    async fn hold(&self, fault: FaultId, call: &Call) {
        let (release, released) = oneshot::channel();
        {
            let mut state = self.lock();
            state.held.push(Held { fault, action: call.action, user: call.user.clone(), release });
            self.held.send_replace(state.held.len());
        }
        // An error means that the sandbox is ending, so the call continues.
        let _ = released.await;
    }
}

impl State {
    pub(super) fn held(&self) -> &[Held] {
        &self.held
    }

    fn take_token(&mut self, action: Action) -> Result<(), ApiError> {
        let Some(rate) = self.rate_limit else { return Ok(()) };
        let now = Instant::now();
        let full = rate.max(1.0);
        let bucket = self.buckets.entry(action).or_insert(Bucket { tokens: full, filled: now });
        bucket.tokens = (bucket.tokens + now.duration_since(bucket.filled).as_secs_f64() * rate).min(full);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return Err(ApiError::throttling());
        }
        bucket.tokens -= 1.0;
        Ok(())
    }

    /// The times that a client may assume now. The clock may have been advanced since the last response (the SDK
    /// signs with the `Date` of that response), so all times between the host's clock and the sandbox's are accepted,
    /// unless the strict option is set.
    fn signature_window(&self) -> Window {
        let (host, now) = (self.model.clock.host(), self.model.clock.now());
        Window { earliest: if self.strict_signature_time { now } else { host }, latest: now }
    }
}

/// The tokens of the rate limit of one action.
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// One call in progress.
struct Call {
    action: Action,
    params: Params,
    user: Option<String>,
    request_id: String,
}

/// Serves until the task is dropped.
pub(super) async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A small response must not wait for more data.
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve_connection(stream, Arc::clone(&shared)));
            }
            // The process probably has no free file descriptors, until others are closed.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn serve_connection(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| serve(request, Arc::clone(&shared)));
    // An error is a client that disconnected, or a connection that was dropped on purpose.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn serve(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Response<Answer>, Dropped> {
    let (parts, body) = request.into_parts();
    let is_admin = parts.uri.path().starts_with(admin::PREFIX);
    let limit = if is_admin { LONGEST_ADMIN_BODY } else { LONGEST_BODY };
    let Ok(body) = Limited::new(body, limit).collect().await else { return Err(Dropped) };
    let body = body.to_bytes();
    if is_admin {
        return Ok(admin::serve(&parts, &body, &shared));
    }
    // The call has a separate task: if the client disconnects, hyper drops this one, but a received call is executed.
    tokio::spawn(async move { take_in(&parts, &body, &shared).await }).await.unwrap_or(Err(Dropped))
}

async fn take_in(parts: &Parts, body: &[u8], shared: &Shared) -> Result<Response<Answer>, Dropped> {
    let request_id = uuid::Uuid::now_v7().to_string();
    let now = shared.lock().model.clock.now();
    let stamp = |status, body: Answer| reply(status, "text/xml", body, &request_id, system_time(now));
    let refuse = |service, error: &ApiError| stamp(error.status, failure(service, error, &request_id).into());
    let (action, params) = match read_call(parts, body) {
        Ok(call) => call,
        Err(error) => return Ok(refuse(Service::Iam, &error)),
    };
    let signature = Signature::parse(&parts.headers);
    let mut call = Call { action, params, user: None, request_id: request_id.clone() };
    let fault = shared.lock().register(&mut call, signature.as_ref().ok());
    let (fault, kind) = fault.map_or((None, None), |(fault, kind)| (Some(fault), Some(kind)));

    let mut outcome = match &kind {
        Some(kind) => strike_before(kind).await?,
        None => Ok(()),
    };
    if outcome.is_ok() {
        outcome = shared.lock().take_token(action);
    }
    let caller = match outcome.and(signature) {
        Ok(signature) => shared.lock().authenticate(&call, &signature, parts, body),
        Err(error) => Err(error),
    };
    if let (Some(fault), Some(FaultKind::HoldUntilReleased), Ok(_)) = (fault, &kind, &caller) {
        shared.hold(fault, &call).await;
    }
    let mut result = carry_out(shared, &call, caller.as_ref());
    if let (Some(FaultKind::Twice(sent)), Ok(_)) = (&kind, &caller) {
        let second = carry_out(shared, &call, caller.as_ref());
        if *sent == SentAnswer::Second {
            result = second;
        }
    }
    if let (Some(fault), Some(FaultKind::HoldReply)) = (fault, &kind) {
        shared.hold(fault, &call).await;
    }
    match result {
        Ok(body) => Ok(stamp(200, strike_after(kind.as_ref(), body)?)),
        // The content of a lost response does not matter.
        Err(_) if kind == Some(FaultKind::LostReplyAfter) => Err(Dropped),
        Err(error) => Ok(refuse(action.service(), &error)),
    }
}

/// Executes an accepted call, and notifies the observers.
fn carry_out(shared: &Shared, call: &Call, caller: Result<&Caller, &ApiError>) -> Result<Vec<u8>, ApiError> {
    let result = caller
        .map_err(Clone::clone)
        .and_then(|caller| answer(&mut shared.lock().model, caller, call.action, &call.params, &call.request_id));
    observe(shared, call, &result);
    result
}

fn observe(shared: &Shared, call: &Call, result: &Result<Vec<u8>, ApiError>) {
    let outcome = result.as_ref().map(|_| ()).map_err(|error| error.code.clone());
    let seen = CallSeen { action: call.action, user: call.user.clone(), outcome };
    // The observers are called without the lock, so that they can query the sandbox.
    let observers = shared.lock().observers.clone();
    observers.iter().for_each(|observer| observer(&seen));
}

/// Parses the call; an unknown call is refused as in AWS.
fn read_call(parts: &Parts, body: &[u8]) -> Result<(Action, Params), ApiError> {
    if parts.method != Method::POST || parts.uri.path() != "/" || parts.uri.query().is_some() {
        return Err(ApiError::validation("The sandbox answers POST / with the parameters in the body."));
    }
    let params = Params::parse(body)?;
    let name = params.get("Action").unwrap_or_default();
    let version = params.get("Version").unwrap_or_default();
    match Action::named(name) {
        Some(action) if action.service().version() == version => Ok((action, params)),
        Some(_) | None => Err(ApiError::invalid_action(name, version)),
    }
}

impl State {
    /// Counts the call, determines its user, and selects its fault.
    fn register(&mut self, call: &mut Call, signature: Option<&Signature>) -> Option<(FaultId, FaultKind)> {
        *self.calls.entry(call.action).or_default() += 1;
        let signer = signature.and_then(|signature| self.model.owner_of(&signature.key_id));
        call.user = call.params.get("UserName").or(signer).map(str::to_owned);
        self.faults.choose(call.action, call.user.as_deref())
    }

    fn authenticate(
        &mut self,
        call: &Call,
        signature: &Signature,
        parts: &Parts,
        body: &[u8],
    ) -> Result<Caller, ApiError> {
        let service = call.action.service();
        // A session token belongs to the temporary key that it was issued with. Other keys have none.
        let token = parts.headers.get("x-amz-security-token").map(hyper::header::HeaderValue::as_bytes);
        if token != self.session_tokens.get(&signature.key_id).map(String::as_bytes) {
            return Err(ApiError::invalid_client_token_id());
        }
        let secret = self.model.signing_secret(&signature.key_id)?;
        signature.check_scope(service, self.signature_window())?;
        signature.check(parts.uri.path(), &parts.headers, body, secret)?;
        self.model.note_use(&signature.key_id, service, &signature.region)
    }
}

/// Applies a fault before the call is checked: `Err` drops the connection, the inner error is the response.
async fn strike_before(kind: &FaultKind) -> Result<Result<(), ApiError>, Dropped> {
    Ok(match kind {
        FaultKind::LostReplyBefore => return Err(Dropped),
        FaultKind::HoldForever => pending::<Result<(), ApiError>>().await,
        FaultKind::Throttle => Err(ApiError::throttling()),
        FaultKind::ServiceUnavailable => Err(ApiError::service_unavailable()),
        FaultKind::InternalFailure => Err(ApiError::internal_failure()),
        FaultKind::Refuse(error) => Err(error.clone()),
        FaultKind::Latency(delay) => {
            tokio::time::sleep(*delay).await;
            Ok(())
        }
        FaultKind::LostReplyAfter
        | FaultKind::Truncate(_)
        | FaultKind::CutOff(_)
        | FaultKind::Garbage200
        | FaultKind::Twice(_)
        | FaultKind::HoldUntilReleased
        | FaultKind::HoldReply => Ok(()),
    })
}

/// Applies a fault to the response of an executed call.
fn strike_after(kind: Option<&FaultKind>, mut body: Vec<u8>) -> Result<Answer, Dropped> {
    match kind {
        Some(FaultKind::LostReplyAfter) => Err(Dropped),
        Some(FaultKind::Truncate(keep)) => {
            body.truncate(*keep);
            Ok(body.into())
        }
        Some(FaultKind::CutOff(keep)) => Ok(Answer::cut_off(body, *keep)),
        Some(FaultKind::Garbage200) => Ok(b"<html><body>It works!</bo".to_vec().into()),
        Some(
            FaultKind::LostReplyBefore
            | FaultKind::Throttle
            | FaultKind::ServiceUnavailable
            | FaultKind::InternalFailure
            | FaultKind::Refuse(_)
            | FaultKind::Latency(_)
            | FaultKind::Twice(_)
            | FaultKind::HoldUntilReleased
            | FaultKind::HoldReply
            | FaultKind::HoldForever,
        )
        | None => Ok(body.into()),
    }
}
