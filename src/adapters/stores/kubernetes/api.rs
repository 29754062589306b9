//! Requests to the API server, and the general meaning of its responses
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/>).
//!
//! The client library only transports requests: its typed calls log a body that does not parse, and a body here
//! contains Secrets.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::Request;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, Config};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::RwLock;
use zeroize::Zeroizing;

use super::settings::{self, KubernetesStoreError};
use crate::adapters::bounds::{Answered, Budget, TooLarge};
use crate::adapters::redact::url::shown_url;
use crate::adapters::redact::{Failed, Said, Words};
use crate::ports::call::{CallError, CallErrorKind};

/// How often a throttled read is repeated.
const MOST_TRIES: u32 = 6;
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The maximum pause that the server can request.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The maximum number of causes to follow.
const DEEPEST_CAUSE: usize = 16;

/// The field manager of changes (`metadata.managedFields`).
const MANAGER: &str = "rotator";

/// A server, and the credentials for it.
pub(super) struct Api {
    config: Config,
    session: RwLock<Session>,
    limit: Duration,
}

/// A client and the number of its credentials.
#[derive(Clone)]
struct Session {
    number: u64,
    client: Client,
}

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    retry_after: Option<Duration>,
    body: Zeroizing<Vec<u8>>,
    /// Whether the response exceeded the limit; then its body is empty.
    pub(super) is_too_large: bool,
}

/// A request that can be sent again.
type Ready = Request<Vec<u8>>;

impl Answer {
    /// Parses the body.
    pub(super) fn parsed<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        // The error of the parser would quote the body.
        serde_json::from_slice(&self.body).map_err(|_| {
            CallError::new(CallErrorKind::Unavailable, "what the API server said is cut off, or not Kubernetes's")
        })
    }

    /// The server's description of an error.
    fn said(&self) -> Said {
        let status: Status = serde_json::from_slice(&self.body).unwrap_or_default();
        Said::of(&status.message.or(status.reason).unwrap_or_default())
    }

    /// The error of a call that was to `do_what`.
    pub(super) fn error(&self, do_what: &str) -> Failed {
        let (kind, meaning) = match self.status {
            401 => (CallErrorKind::Credentials, "no credentials, or they have expired"),
            403 => (CallErrorKind::Denied, "the credentials in use may not do this"),
            404 => (CallErrorKind::Other, "there is no such thing"),
            429 => (CallErrorKind::Throttled, "too many requests"),
            500..=599 => (CallErrorKind::Unavailable, "the API server failed"),
            _ => (CallErrorKind::Other, "the API server refused"),
        };
        let words = Words::ours(format!("Kubernetes could not {do_what}: {meaning} (HTTP {})", self.status));
        Failed::new(kind, words.because(&self.said()))
    }
}

impl Api {
    pub(super) async fn connect(config: Config, limit: Duration) -> Result<Self, KubernetesStoreError> {
        let client = settings::client(&config).await?;
        Ok(Self { config, session: RwLock::new(Session { number: 0, client }), limit })
    }

    /// The source of the credentials, for operators.
    pub(super) fn credentials(&self) -> String {
        settings::credentials(&self.config.auth_info)
    }

    /// Every token and password of the client, which the server may quote.
    pub(super) fn secrets(&self) -> Vec<Zeroizing<String>> {
        settings::secrets(&self.config.auth_info)
    }

    /// Why the identity of the server is not verified, if its certificate is not checked.
    pub(super) fn unverified(&self) -> Option<String> {
        self.config.accept_invalid_certs.then(|| {
            format!(
                "the certificate of {} is not verified: the kubeconfig sets insecure-skip-tls-verify; what is between it and \
                 rotator can read the token and every Secret, and change them",
                self.address()
            )
        })
    }

    pub(super) fn address(&self) -> String {
        shown_url(&self.config.cluster_url.to_string())
    }

    /// Lists a page of the Secrets of a namespace, or of all; `next` is the token of the previous page.
    pub(super) async fn list(
        &self,
        namespace: Option<&str>,
        selector: Option<&str>,
        next: Option<&str>,
        (limit, budget): (u32, &Budget),
    ) -> Result<Answer, CallError> {
        let mut params = ListParams::default().limit(limit);
        params.label_selector = selector.map(str::to_owned);
        params.continue_token = next.map(str::to_owned);
        self.read(&built(kube::core::Request::new(secrets(namespace)).list(&params))?, budget).await
    }

    pub(super) async fn get(&self, namespace: &str, name: &str) -> Result<Answer, CallError> {
        let request = kube::core::Request::new(secrets(Some(namespace))).get(name, &GetParams::default());
        self.whole(self.read(&built(request)?, &Budget::of_a_scan()).await?)
    }

    pub(super) async fn namespace(&self, name: &str) -> Result<Answer, CallError> {
        let request = kube::core::Request::new("/api/v1/namespaces").get(name, &GetParams::default());
        self.whole(self.read(&built(request)?, &Budget::of_a_scan()).await?)
    }

    /// Whether a Secret may be patched, or any Secret of the namespace without a `name`
    /// (<https://kubernetes.io/docs/reference/access-authn-authz/authorization/#checking-api-access>). `None` if the
    /// server does not answer the question.
    pub(super) async fn may_patch(&self, namespace: &str, name: Option<&str>) -> Option<bool> {
        let mut asked = json!({ "namespace": namespace, "verb": "patch", "version": "v1", "resource": "secrets" });
        if let Some(name) = name {
            asked["name"] = name.into();
        }
        let review = json!({
            "kind": "SelfSubjectAccessReview",
            "apiVersion": "authorization.k8s.io/v1",
            "spec": { "resourceAttributes": asked },
        });
        let reviews = kube::core::Request::new("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
        let request = reviews.create(&PostParams::default(), review.to_string().into_bytes());
        let answer = self
            .read(&built(request).ok()?, &Budget::of_a_scan())
            .await
            .ok()
            .filter(|answer| (200..300).contains(&answer.status))?;
        let status = answer.parsed::<Value>().ok()?.get("status")?.clone();
        let flag = |name| status.get(name).and_then(Value::as_bool);
        // An authorizer that could not decide is not a refusal.
        let is_uncertain = status.get("evaluationError").is_some_and(|error| error != "");
        match flag("allowed")? {
            false if is_uncertain => None,
            allowed => Some(allowed),
        }
    }

    /// Patches the keys of a Secret (<https://kubernetes.io/docs/reference/using-api/api-concepts/#patch-and-apply>).
    /// The request is sent once.
    pub(super) async fn patch(&self, namespace: &str, name: &str, patch: Value) -> Result<Answer, CallError> {
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = kube::core::Request::new(secrets(Some(namespace))).patch(name, &params, &Patch::Merge(patch));
        self.whole(self.send(&built(request)?, &Budget::of_a_scan()).await?)
    }

    /// Sends a read request, and repeats it if it is throttled.
    async fn read(&self, request: &Ready, budget: &Budget) -> Result<Answer, CallError> {
        let mut pause = FIRST_PAUSE;
        for _ in 1..MOST_TRIES {
            let answer = self.send(request, budget).await?;
            if answer.status != 429 {
                return Ok(answer);
            }
            tokio::time::sleep(answer.retry_after.unwrap_or(pause).min(LONGEST_PAUSE)).await;
            pause *= 2;
        }
        self.send(request, budget).await
    }

    /// Sends one request; the error means that there was no complete response. A request that was refused because of
    /// expired credentials did not take effect, and is sent again with new ones.
    async fn send(&self, request: &Ready, budget: &Budget) -> Result<Answer, CallError> {
        let session = self.session.read().await.clone();
        let answer = self.send_as(session.client, request, budget).await?;
        if answer.status != 401 || self.config.auth_info.exec.is_none() {
            return Ok(answer);
        }
        match self.renewed(session.number).await {
            Ok(client) => self.send_as(client, request, budget).await,
            Err(error) => {
                tracing::warn!("failed to {error}");
                Ok(answer)
            }
        }
    }

    async fn send_as(&self, client: Client, request: &Ready, budget: &Budget) -> Result<Answer, CallError> {
        let failed =
            |kind, why: &str| CallError::new(kind, format!("Kubernetes at {} gave no answer: {why}", self.address()));
        let unavailable = |why: &str| failed(CallErrorKind::Unavailable, why);
        let request = request.clone().map(kube::client::Body::from);
        let whole = async {
            let response = client.send(request).await.map_err(|error| {
                let (kind, why) = cause(&error);
                failed(kind, why)
            })?;
            let status = response.status().as_u16();
            let after = response.headers().get(hyper::header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let retry_after = after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs);
            let (mut answered, mut body) = (Answered::new(budget), response.into_body());
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| unavailable("the connection broke"))?;
                match frame.data_ref().map_or(Ok(()), |part| answered.push(part)) {
                    Ok(()) => {}
                    Err(TooLarge::Answer) => {
                        return Ok(Answer { status, retry_after, body: Zeroizing::default(), is_too_large: true });
                    }
                    Err(TooLarge::Scan) => return Err(self.too_large(TooLarge::Scan)),
                }
            }
            Ok(Answer { status, retry_after, body: Zeroizing::new(answered.whole()), is_too_large: false })
        };
        tokio::time::timeout(self.limit, whole).await.unwrap_or_else(|_| Err(unavailable("the time-out passed")))
    }

    /// The response to a request whose result has no pages.
    fn whole(&self, answer: Answer) -> Result<Answer, CallError> {
        if answer.is_too_large { Err(self.too_large(TooLarge::Answer)) } else { Ok(answer) }
    }

    pub(super) fn too_large(&self, why: TooLarge) -> CallError {
        CallError::new(CallErrorKind::Other, format!("Kubernetes at {} was read in part: {why}", self.address()))
    }

    /// A client with newer credentials than those with this `number`.
    async fn renewed(&self, number: u64) -> Result<Client, KubernetesStoreError> {
        let mut session = self.session.write().await;
        if session.number == number {
            let client = settings::client(&self.config).await?;
            *session = Session { number: number + 1, client };
        }
        Ok(session.client.clone())
    }
}

fn secrets(namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("/api/v1/namespaces/{namespace}/secrets"),
        None => "/api/v1/secrets".to_owned(),
    }
}

fn built<E>(request: Result<Ready, E>) -> Result<Ready, CallError> {
    request.map_err(|_| CallError::new(CallErrorKind::Other, "the request could not be made"))
}

/// Describes an error of the library in rotator's own text: the library may quote the output of a credential plugin.
/// Without credentials nothing is sent.
fn cause(error: &kube::Error) -> (CallErrorKind, &'static str) {
    let not_renewed = (CallErrorKind::Credentials, "the credentials could not be renewed");
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's own; the connection is what most of them are about"
    )]
    match error {
        kube::Error::Auth(_) => not_renewed,
        kube::Error::Service(error) if error.is::<kube::client::AuthError>() => not_renewed,
        error if is_about_a_certificate(error) => {
            (CallErrorKind::Unavailable, "its certificate is not one that is trusted")
        }
        _ => (CallErrorKind::Unavailable, "the connection failed"),
    }
}

fn is_about_a_certificate(error: &kube::Error) -> bool {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.take(DEEPEST_CAUSE).any(|error| error.to_string().contains("certificate"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::redact::Secrets;

    #[test]
    fn a_servers_words_follow_what_they_mean() {
        let answer = |status, message: &str| {
            let body = serde_json::json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "message": message });
            let body = Zeroizing::new(body.to_string().into_bytes());
            Answer { status, retry_after: None, body, is_too_large: false }
        };
        let told = |answer: &Answer| answer.error("ask").told(&Secrets::default()).message;
        assert!(told(&answer(400, "a\nb")).ends_with("(HTTP 400): a b"));
        let kinds = [401, 403, 404, 409, 410, 429, 500, 504].map(|status| answer(status, "").error("ask").kind);
        use CallErrorKind::{Credentials, Denied, Other, Throttled, Unavailable};
        assert_eq!(kinds, [Credentials, Denied, Other, Other, Other, Throttled, Unavailable, Unavailable]);
        let untrusted = std::io::Error::other("invalid peer certificate: UnknownIssuer");
        assert!(cause(&kube::Error::Service(Box::new(untrusted))).1.contains("certificate"));
        assert_eq!(cause(&kube::Error::Service("refused".into())), (Unavailable, "the connection failed"));
        let no_plugin = kube::client::AuthError::ExecPluginFailed;
        assert_eq!(cause(&kube::Error::Service(Box::new(no_plugin))).0, Credentials);
        let body = Zeroizing::new(b"{\"data\": {\"KEY\": \"c2Vj".to_vec());
        let broken = Answer { status: 200, retry_after: None, body, is_too_large: false };
        assert!(!broken.parsed::<Value>().expect_err("cut off").message.contains("c2Vj"));
        assert!(told(&broken).ends_with("(HTTP 200)"));
    }
}
