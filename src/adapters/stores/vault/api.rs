//! Requests to Vault's HTTP API, and the general meaning of its responses. Only the server's own `errors` reach a
//! message, after `redact` has compared them with every secret of the call.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::settings::{Auth, VaultSettings, VaultStoreError};
use crate::adapters::bounds::{Answered, Budget, TooLarge};
use crate::adapters::redact::url::shown_url;
use crate::adapters::redact::{Failed, Said, Secrets, Words};
use crate::ports::call::{CallError, CallErrorKind};

/// A refusal is checked against the token again after this time: a scan may meet thousands of refusals.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// The number of tokens and login secrets that are remembered, since a response may quote a previous one.
const MOST_SECRETS: usize = 8;

const CONNECT: Duration = Duration::from_millis(3100);

/// A server, and the credentials for it.
pub(super) struct Api {
    client: Client,
    address: Url,
    namespace: Option<String>,
    auth: Auth,
    session: tokio::sync::Mutex<Option<Session>>,
    /// The credentials so far, which the server may quote.
    secrets: std::sync::Mutex<Vec<Zeroizing<String>>>,
}

/// A token in use.
struct Session {
    token: Zeroizing<String>,
    /// When the token is replaced, if it expires.
    ends: Option<Instant>,
    /// When the server last accepted the token.
    known: Option<Instant>,
}

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    /// The body; null if there was none.
    pub(super) body: Value,
    /// Whether a 403 is caused by the token and not by its policies.
    pub(super) is_about_the_token: bool,
}

/// Why there is no complete response.
pub(super) struct NoAnswer {
    pub(super) error: CallError,
    /// Whether the response exceeded the limit.
    pub(super) is_too_large: bool,
}

impl From<CallError> for NoAnswer {
    fn from(error: CallError) -> Self {
        Self { error, is_too_large: false }
    }
}

impl From<NoAnswer> for CallError {
    fn from(none: NoAnswer) -> Self {
        none.error
    }
}

impl From<NoAnswer> for Failed {
    fn from(none: NoAnswer) -> Self {
        none.error.into()
    }
}

impl Answer {
    /// The server's description of an error.
    fn said(&self) -> Said {
        let errors = self.body.get("errors").and_then(Value::as_array).into_iter().flatten();
        Said::all(errors.filter_map(Value::as_str))
    }

    /// Whether the server refused a write because the version has changed.
    pub(super) fn is_of_another_version(&self) -> bool {
        self.status == 400 && self.said().has("check-and-set")
    }

    /// The error of a call that was to `do_what`.
    pub(super) fn error(&self, do_what: &str) -> Failed {
        let (kind, meaning) = self.meaning();
        let words = Words::ours(format!("Vault did not {do_what}: {meaning} (HTTP {})", self.status));
        Failed::new(kind, words.because(&self.said()))
    }

    fn meaning(&self) -> (CallErrorKind, &'static str) {
        match self.status {
            403 if self.is_about_the_token => (
                CallErrorKind::Credentials,
                "the token in use is not valid: it may not even look itself up; log in again, or set another token",
            ),
            403 => (CallErrorKind::Denied, "the token in use may not do this"),
            404 => (CallErrorKind::Other, "there is no such path"),
            429 => (CallErrorKind::Throttled, "too many requests"),
            472 | 473 => (CallErrorKind::Unavailable, "this server is a standby that serves no requests"),
            501 => (CallErrorKind::Other, "the server is not initialized"),
            503 => (CallErrorKind::Unavailable, "the server is sealed, or down for maintenance"),
            500..=599 => (CallErrorKind::Unavailable, "the server failed"),
            _ => (CallErrorKind::Other, "the server refused"),
        }
    }
}

impl Api {
    pub(super) async fn connect(settings: VaultSettings) -> Result<Self, VaultStoreError> {
        let (address, is_local) = address(&settings.address)?;
        let mut builder = Client::builder().connect_timeout(CONNECT).timeout(settings.call_timeout).referer(false);
        // A redirect must not receive a secret.
        builder = builder.redirect(reqwest::redirect::Policy::none());
        if is_local {
            // A proxy would send local requests out of the machine.
            builder = builder.no_proxy();
        }
        if let Some(path) = settings.authorities {
            let wrong = |why: String| VaultStoreError::Authorities { path: path.clone(), why };
            let pem = std::fs::read(&path).map_err(|error| wrong(error.to_string()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|_| wrong("no PEM".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let client = builder.build().map_err(|_| VaultStoreError::Login("no HTTP client could be made".to_owned()))?;
        let session = tokio::sync::Mutex::default();
        let (namespace, auth, secrets) = (settings.namespace, settings.auth, std::sync::Mutex::default());
        let api = Self { client, address, namespace, auth, session, secrets };
        api.token().await.map_err(|error| match error.kind {
            CallErrorKind::Credentials => VaultStoreError::Refused { from: api.auth.in_words(), why: error.message },
            CallErrorKind::Throttled
            | CallErrorKind::Unavailable
            | CallErrorKind::Denied
            | CallErrorKind::Invalid
            | CallErrorKind::NoSuchEntity
            | CallErrorKind::Other => VaultStoreError::Login(error.message),
        })?;
        Ok(api)
    }

    /// The source of the credentials, for operators.
    pub(super) fn credentials(&self) -> String {
        self.auth.in_words()
    }

    /// Every token and login secret that was sent, which the server may quote.
    pub(super) fn secrets(&self) -> Vec<Zeroizing<String>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, secret: &str) {
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !secret.is_empty() && secrets.iter().all(|known| known.as_str() != secret) {
            if secrets.len() >= MOST_SECRETS {
                secrets.remove(0);
            }
            secrets.push(Zeroizing::new(secret.to_owned()));
        }
    }

    /// The token, after a login if it is missing or expires soon: a run that waits outlives a token.
    async fn token(&self) -> Result<Zeroizing<String>, CallError> {
        let mut session = self.session.lock().await;
        if session.as_ref().is_none_or(|session| session.ends.is_some_and(|ends| Instant::now() >= ends)) {
            *session = Some(self.log_in().await?);
        }
        Ok(session.as_ref().map(|session| session.token.clone()).unwrap_or_default())
    }

    async fn log_in(&self) -> Result<Session, CallError> {
        let failed = |why: String| CallError::new(CallErrorKind::Credentials, why);
        let (mount, body) = match &self.auth {
            Auth::Token { token, .. } => return Ok(Session { token: token.clone(), ends: None, known: None }),
            Auth::AppRole { mount, role_id, secret_id } => {
                self.note(secret_id);
                (mount, json!({ "role_id": role_id, "secret_id": secret_id.as_str() }))
            }
            Auth::Kubernetes { mount, role, token } => {
                let jwt = std::fs::read_to_string(token).map(Zeroizing::new);
                let jwt = jwt.map_err(|error| failed(format!("{}: {error}", token.display())))?;
                self.note(jwt.trim());
                (mount, json!({ "role": role, "jwt": jwt.trim() }))
            }
        };
        let budget = Budget::of_a_scan();
        let answer = self.send(Method::POST, &["auth", mount, "login"], Some(&body), ("", &budget)).await?;
        let lease = answer.body.pointer("/auth/lease_duration").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
        match answer.body.pointer("/auth/client_token").and_then(Value::as_str) {
            Some(token) if answer.status == 200 => Ok(Session {
                token: Zeroizing::new(token.to_owned()),
                ends: lease.map(|seconds| Instant::now() + Duration::from_secs(seconds) * 2 / 3),
                known: None,
            }),
            Some(_) | None => {
                let error = answer.error("accept the login").told(&Secrets::default().tokens(self.secrets()));
                Err(if error.kind.is_transient() { error } else { failed(error.message) })
            }
        }
    }

    /// Sends one request. The error means that there was no complete response, or that a login failed and nothing was
    /// sent.
    ///
    /// A 403 may mean that the token is no longer valid. Such a request did not take effect, and is sent again with
    /// another token if one is available.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        budget: &Budget,
    ) -> Result<Answer, NoAnswer> {
        let token = self.token().await?;
        let answer = self.send(method.clone(), path, body, (&token, budget)).await?;
        if answer.status != 403 || self.knows(&token).await {
            return Ok(answer);
        }
        if matches!(self.auth, Auth::Token { .. }) {
            return Ok(Answer { is_about_the_token: true, ..answer });
        }
        let token = self.token().await?;
        self.send(method, path, body, (&token, budget)).await
    }

    /// Whether the server knows this token: every token may look itself up, unless a policy forbids it
    /// (<https://developer.hashicorp.com/vault/docs/concepts/policies#default-policy>). An unknown token is not used
    /// again.
    async fn knows(&self, token: &Zeroizing<String>) -> bool {
        let mut session = self.session.lock().await;
        let Some(current) = session.as_mut().filter(|session| session.token == *token) else { return false };
        if current.known.is_some_and(|known| known.elapsed() < KNOWN_FOR) {
            return true;
        }
        let budget = Budget::of_a_scan();
        let answer = self.send(Method::GET, &["auth", "token", "lookup-self"], None, (token, &budget)).await;
        // Without a response nothing is known about the token, so the refusal stays as it is.
        if answer.is_ok_and(|answer| answer.status == 403) {
            *session = None;
            return false;
        }
        current.known = Some(Instant::now());
        true
    }

    async fn send(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        (token, budget): (&str, &Budget),
    ) -> Result<Answer, NoAnswer> {
        let unavailable = |why: &str| {
            let address = shown_url(self.address.as_str());
            CallError::new(CallErrorKind::Unavailable, format!("Vault at {address} gave no answer: {why}"))
        };
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1");
            path.iter().flat_map(|part| part.split('/')).filter(|part| !part.is_empty()).for_each(|part| {
                segments.push(part);
            });
        }
        let mut request = self.client.request(method, url).header("X-Vault-Request", "true");
        if !token.is_empty() {
            self.note(token);
            request = request.header("X-Vault-Token", token);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("X-Vault-Namespace", namespace);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| unavailable(cause(&error)))?;
        let status = response.status().as_u16();
        let mut answered = Answered::new(budget);
        while let Some(part) = response.chunk().await.map_err(|error| unavailable(cause(&error)))? {
            answered.push(&part).map_err(|why| {
                let message = format!("Vault at {} was read in part: {why}", shown_url(self.address.as_str()));
                let error = CallError::new(CallErrorKind::Other, message);
                NoAnswer { error, is_too_large: why == TooLarge::Answer }
            })?;
        }
        let bytes = Zeroizing::new(answered.whole());
        let body = if bytes.is_empty() { Some(Value::Null) } else { serde_json::from_slice(&bytes).ok() };
        match body {
            Some(body) => Ok(Answer { status, body, is_about_the_token: false }),
            None if status >= 300 => Ok(Answer { status, body: Value::Null, is_about_the_token: false }),
            None => Err(unavailable("what it said is cut off, or not Vault's").into()),
        }
    }
}

/// Describes an error in rotator's own text: the library may quote a URL.
fn cause(error: &reqwest::Error) -> &'static str {
    if error.is_timeout() {
        "the time-out passed"
    } else if error.is_connect() {
        "the connection failed"
    } else if error.is_builder() {
        "the request could not be made"
    } else {
        "the connection broke"
    }
}

/// The URL, and whether it is on this machine.
fn address(text: &str) -> Result<(Url, bool), VaultStoreError> {
    let none = || VaultStoreError::NoUrl { address: shown_url(text) };
    let url = Url::parse(text).map_err(|_| none())?;
    let host = url.host_str().ok_or_else(none)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_local = bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match url.scheme() {
        "https" => Ok((url, is_local)),
        "http" if is_local => Ok((url, true)),
        "http" => Err(VaultStoreError::PlainHttp { address: shown_url(text) }),
        _ => Err(none()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_sent_in_the_clear_to_this_machine_only() {
        for local in ["http://localhost:8200", "http://127.0.0.1:8200", "http://[::1]:8200/", "https://127.0.0.1"] {
            assert!(address(local).is_ok_and(|(_, is_local)| is_local), "{local}");
        }
        assert!(address("https://vault.example.com").is_ok_and(|(_, is_local)| !is_local));
        assert!(matches!(address("http://vault.example.com"), Err(VaultStoreError::PlainHttp { .. })));
        for none in ["", "vault", "vault.example.com:8200", "ftp://localhost"] {
            assert!(matches!(address(none), Err(VaultStoreError::NoUrl { .. })), "{none}");
        }
    }

    #[test]
    fn the_password_of_an_address_is_not_shown() {
        for text in ["http://root:s3cret@vault.example.com", "root:s3cret@vault", "ftp://root:s3cret@localhost"] {
            let told = address(text).map(|_| ()).expect_err("neither is called").to_string();
            assert!(!told.contains("s3cret") && !told.contains("root"), "{told}");
        }
    }

    #[test]
    fn a_servers_words_follow_what_they_mean() {
        let answer =
            |status, errors: &[&str]| Answer { status, body: json!({ "errors": errors }), is_about_the_token: false };
        let told = |status, errors: &[&str]| answer(status, errors).error("read it").told(&Secrets::default());
        assert!(told(400, &["a\nb", "c"]).message.ends_with("(HTTP 400): a b; c"));
        assert!(told(400, &[]).message.ends_with("(HTTP 400)"));
        assert_eq!(told(403, &["permission denied"]).kind, CallErrorKind::Denied);
        assert!(told(503, &["Vault is sealed"]).message.contains("sealed"));
    }
}
