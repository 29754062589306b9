//! `kubernetes:[NAMESPACE]`: the Secrets of a namespace, or of all namespaces. Each key of a Secret's `data` is an
//! entry, `<namespace>/<secret>/<key>`, since it may be a whole document (`.env`, `credentials`).
//!
//! All changes of a batch to one Secret are one request, which names the `resourceVersion` that it replaces: the
//! server refuses the request if the Secret has another one
//! (<https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions>). Only the changed keys are
//! sent.

mod api;
mod managed_elsewhere;
mod settings;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use k8s_openapi::List;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use serde_json::{Map, Value, json};

use super::{Backend, NativeWrite, after};
use crate::adapters::bounds::{Budget, MOST_PAGES, TooLarge};
use crate::adapters::redact::{Failed, Secrets};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version, Writable};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;
use api::{Answer, Api};
use managed_elsewhere::managed_elsewhere;
pub use settings::{KubernetesSettings, KubernetesStoreError};

/// The number of Secrets that are read by name at the same time.
const AT_ONCE: usize = 8;

/// The page size. A Secret may have 1 MiB, and a page has to arrive within the time-out of one call.
const PAGE: u32 = 100;

/// How often a list is restarted because its pages have expired.
const MOST_LISTS: usize = 3;

/// Writing an unchanged value does not change the `resourceVersion`, so it would not fence a pending write. A fence
/// changes this annotation, which the next real write removes.
const FENCE: &str = "rotator-rs.github.io/fence";

/// The namespace whose uid identifies the cluster, by convention.
const OF_THE_CLUSTER: &str = "kube-system";

/// The Secrets of a cluster, or of one of its namespaces.
pub struct KubernetesStore {
    api: Api,
    namespace: Option<String>,
    selector: Option<String>,
}

/// The namespace and the name of a Secret.
type Target = (String, String);

impl KubernetesStore {
    /// Opens the store and runs the credential plugin of the kubeconfig, if it has one; nothing is asked of the
    /// server.
    ///
    /// # Errors
    /// [`KubernetesStoreError`] if there is no configuration or no credentials.
    pub async fn open(settings: KubernetesSettings) -> Result<Self, KubernetesStoreError> {
        let api = Api::connect(settings.config().await?, settings.call_timeout).await?;
        Ok(Self { api, namespace: settings.namespace, selector: settings.selector })
    }

    /// The Secret and the key of an entry's own name; none if the store cannot have such an entry.
    fn target<'n>(&self, name: &'n str) -> Option<(Target, &'n str)> {
        let mut parts = name.splitn(3, '/');
        let (namespace, secret, key) = (parts.next()?, parts.next()?, parts.next()?);
        let is_name = |text: &str| {
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            !text.is_empty()
                && text.bytes().all(allowed)
                && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        };
        let is_ours = self.namespace.as_ref().is_none_or(|ours| ours == namespace);
        (is_ours && is_name(namespace) && is_name(secret)).then(|| ((namespace.to_owned(), secret.to_owned()), key))
    }

    /// The error with a message that quotes none of these values, and no credentials.
    fn told<'s>(&self, failed: Failed, values: impl IntoIterator<Item = &'s [u8]>) -> CallError {
        failed.told(&Secrets::default().tokens(self.api.secrets()).values(values))
    }

    async fn secret(&self, (namespace, name): &Target) -> Result<Option<Secret>, Failed> {
        let answer = self.api.get(namespace, name).await?;
        match answer.status {
            200 => Ok(Some(about(answer.parsed()?, namespace, Some(name))?)),
            404 => Ok(None),
            _ => Err(answer.error(&format!("read {namespace}/{name}"))),
        }
    }

    /// Every Secret; all pages show the same moment.
    async fn list(&self) -> Result<Vec<Secret>, CallError> {
        for _ in 1..MOST_LISTS {
            if let Some(secrets) = self.list_once().await? {
                return Ok(secrets);
            }
        }
        let expired = || CallError::new(CallErrorKind::Unavailable, "the list of Secrets expires before it is read");
        self.list_once().await?.ok_or_else(expired)
    }

    /// None if the server no longer has the state of the first page.
    async fn list_once(&self) -> Result<Option<Vec<Secret>>, CallError> {
        let (mut secrets, mut next) = (Vec::new(), None::<String>);
        let (budget, mut limit) = (Budget::of_a_scan(), PAGE);
        for _ in 0..MOST_PAGES {
            let (namespace, selector) = (self.namespace.as_deref(), self.selector.as_deref());
            let answer = self.api.list(namespace, selector, next.as_deref(), (limit, &budget)).await?;
            if answer.is_too_large && limit > 1 {
                // If Secrets are large, a page gets fewer of them.
                limit = (limit / 4).max(1);
                continue;
            }
            if answer.is_too_large {
                return Err(self.api.too_large(TooLarge::Answer));
            }
            match (answer.status, &next) {
                (200, _) => {}
                (410, Some(_)) => return Ok(None),
                _ => return Err(self.told(self.cannot_list(&answer), secrets.iter().flat_map(held))),
            }
            let page: List<Secret> = answer.parsed()?;
            for secret in page.items {
                secrets.push(match namespace {
                    Some(namespace) => about(secret, namespace, None)?,
                    None => secret,
                });
            }
            next = page.metadata.continue_.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(Some(secrets));
            }
        }
        Err(CallError::new(CallErrorKind::Other, format!("the list of Secrets has more than {MOST_PAGES} pages")))
    }

    fn cannot_list(&self, answer: &Answer) -> Failed {
        let Some(namespace) = &self.namespace else {
            let failed = answer.error("list the Secrets of all namespaces");
            return match answer.status {
                403 => failed.and("; name the namespaces that it may list, one store each: kubernetes:NAMESPACE"),
                _ => failed,
            };
        };
        answer.error(&format!("list the Secrets of namespace {namespace}"))
    }

    /// Checks that a namespace exists: the list of a missing one is empty, too.
    async fn is_there(&self, namespace: &str) -> Result<(), CallError> {
        let answer = self.api.namespace(namespace).await?;
        if answer.status == 404 { Err(no_namespace(namespace)) } else { Ok(()) }
    }

    /// Writes everything that the batch has for one Secret, or nothing. `batch` contains everything that the server
    /// was given in this call.
    async fn replace(
        &self,
        target: &Target,
        writes: &[(&str, &NativeWrite)],
        batch: &[NativeWrite],
    ) -> Result<(), Failure> {
        let (namespace, name) = target;
        let refused = |kind, why: &str| Err(Failure::Refused(Refusal::new(kind, format!("{namespace}/{name}: {why}"))));
        let stale = || refused(RefusalKind::Stale, "it has changed since it was read");
        // Nothing was sent to be written yet, so every failure is a refusal.
        let sent = || batch.iter().map(|write| write.value.expose());
        let read = self.secret(target).await.map_err(|failed| self.told(failed, sent()));
        let secret = match read {
            Ok(Some(secret)) => secret,
            Ok(None) => return refused(RefusalKind::Stale, "it has been deleted since it was read"),
            Err(error) if error.kind == CallErrorKind::Throttled => {
                return refused(RefusalKind::Throttled, &error.message);
            }
            Err(error) if error.kind == CallErrorKind::Denied => return refused(RefusalKind::Denied, &error.message),
            Err(error) if error.kind == CallErrorKind::Credentials => {
                return refused(RefusalKind::Credentials, &error.message);
            }
            Err(error) => return refused(RefusalKind::Other, &error.message),
        };
        let version = secret.metadata.resource_version.clone().unwrap_or_default();
        if version.is_empty() || writes.iter().any(|(_, write)| write.replaces.0 != version) {
            return stale();
        }
        if let Some(why) = managed_elsewhere(&secret) {
            return refused(RefusalKind::Other, &why);
        }
        let Some(patch) = patch(&secret, &version, writes) else { return stale() };
        let answer = match self.api.patch(namespace, name, patch).await {
            Ok(answer) => answer,
            Err(error) if error.kind == CallErrorKind::Credentials => {
                return refused(RefusalKind::Credentials, &error.message);
            }
            Err(error) => return Err(Failure::Unknown(error.message)),
        };
        let said = || self.told(answer.error("write it"), sent().chain(held(&secret))).message;
        match answer.status {
            // The response is the new Secret.
            200..=299 => match answer.parsed().and_then(|secret| about(secret, namespace, Some(name))) {
                Ok(_) => Ok(()),
                Err(error) => Err(Failure::Unknown(format!("{namespace}/{name}: {error}"))),
            },
            409 => stale(),
            404 => refused(RefusalKind::Stale, "it has been deleted since it was read"),
            401 => refused(RefusalKind::Credentials, &said()),
            403 => refused(RefusalKind::Denied, &said()),
            429 => refused(RefusalKind::Throttled, &said()),
            400..=499 => refused(RefusalKind::Other, &said()),
            _ => Err(Failure::Unknown(format!("{namespace}/{name}: {}", said()))),
        }
    }
}

/// The changes of the Secret; none if one of the keys no longer exists.
fn patch(secret: &Secret, version: &str, writes: &[(&str, &NativeWrite)]) -> Option<Value> {
    let mut changed = Map::new();
    for (key, write) in writes {
        let before = secret.data.as_ref()?.get(*key)?;
        if before.0 != write.value.expose() {
            changed.insert((*key).to_owned(), STANDARD.encode(write.value.expose()).into());
        }
    }
    let mut patch = json!({ "metadata": { "resourceVersion": version } });
    let is_fenced = secret.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(FENCE));
    if changed.is_empty() {
        patch["metadata"]["annotations"] = json!({ FENCE: uuid::Uuid::now_v7().to_string() });
        return Some(patch);
    }
    if is_fenced {
        patch["metadata"]["annotations"] = json!({ FENCE: Value::Null });
    }
    patch["data"] = Value::Object(changed);
    Some(patch)
}

/// The Secret, if it is the requested one.
fn about(secret: Secret, namespace: &str, name: Option<&str>) -> Result<Secret, CallError> {
    let metadata = &secret.metadata;
    let is_named = name.is_none() || metadata.name.as_deref() == name;
    if is_named && metadata.namespace.as_deref() == Some(namespace) { Ok(secret) } else { Err(another("Secret")) }
}

fn another(kind: &str) -> CallError {
    CallError::new(
        CallErrorKind::Unavailable,
        format!("the API server answered about another {kind} than was asked for"),
    )
}

fn held(secret: &Secret) -> impl Iterator<Item = &[u8]> {
    secret.data.iter().flat_map(BTreeMap::values).map(|value| value.0.as_slice())
}

fn no_namespace(name: &str) -> CallError {
    CallError::new(CallErrorKind::Other, format!("Kubernetes has no namespace {name}"))
}

/// The content of one key of a Secret.
fn reading(secret: &Secret, key: &str) -> Reading {
    let Some(value) = secret.data.as_ref().and_then(|data| data.get(key)) else { return Reading::Missing };
    let Some(version) = secret.metadata.resource_version.clone().filter(|version| !version.is_empty()) else {
        return Reading::Unreadable("the API server does not say which version it is".to_owned());
    };
    let (version, value) = (Version(version), SecretValue::new(value.0.clone()));
    match managed_elsewhere(secret) {
        Some(why) => Reading::Managed { version, value, why },
        None => Reading::Value { version, value },
    }
}

#[async_trait]
impl Backend for KubernetesStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: Duration::ZERO, read_only: false }
    }

    /// The unit is a Secret: all of its keys have one version.
    fn unit<'n>(&self, name: &'n str) -> &'n str {
        name.match_indices('/').nth(1).map_or(name, |(end, _)| &name[..end])
    }

    fn credentials(&self) -> Option<String> {
        Some(self.api.credentials())
    }

    fn unverified(&self) -> Option<String> {
        self.api.unverified()
    }

    /// The identity is the uid of the namespace, which changes if the namespace is created again, or that of
    /// `kube-system` for the whole cluster. If it may not be read, the address of the server is used.
    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let name = self.namespace.as_deref().unwrap_or(OF_THE_CLUSTER);
        let kind = if self.namespace.is_some() { "namespace" } else { "cluster" };
        let answer = self.api.namespace(name).await?;
        let identity = match answer.status {
            200 => {
                let metadata = answer.parsed::<Namespace>()?.metadata;
                if metadata.name.as_deref() != Some(name) {
                    return Err(another("namespace"));
                }
                let uid = metadata.uid.unwrap_or_default();
                format!("kubernetes {kind} {uid}")
            }
            403 => format!("kubernetes {kind} {name} at {}", self.api.address()),
            404 => return Err(no_namespace(name)),
            _ => return Err(self.told(answer.error(&format!("say which namespace {name} is")), [])),
        };
        StoreIdentity::new(identity).map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let secrets = self.list().await?;
        if let (true, Some(namespace)) = (secrets.is_empty(), &self.namespace) {
            self.is_there(namespace).await?;
        }
        let mut entries = Vec::new();
        for secret in &secrets {
            let (Some(namespace), Some(name)) = (&secret.metadata.namespace, &secret.metadata.name) else {
                return Err(CallError::new(CallErrorKind::Unavailable, "the API server lists a Secret without a name"));
            };
            for key in secret.data.iter().flat_map(BTreeMap::keys) {
                entries.push((format!("{namespace}/{name}/{key}"), reading(secret, key)));
            }
        }
        Ok(entries)
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let mut wanted: Vec<Target> = names.iter().filter_map(|name| Some(self.target(name)?.0)).collect();
        wanted.sort();
        wanted.dedup();
        let asked = wanted.into_iter().map(|target| async move {
            let secret = self.secret(&target).await;
            (target, secret)
        });
        let answers: Vec<_> = futures_util::stream::iter(asked).buffered(AT_ONCE).collect().await;
        let received = || answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()?.as_ref()).flat_map(held);
        let mut secrets: BTreeMap<&Target, Result<Option<&Secret>, String>> = BTreeMap::new();
        for (target, answer) in &answers {
            let told = match answer {
                Ok(secret) => Ok(secret.as_ref()),
                Err(failed) if failed.kind == CallErrorKind::Denied => {
                    Err(self.told(failed.clone(), received()).message)
                }
                Err(failed) => return Err(self.told(failed.clone(), received())),
            };
            secrets.insert(target, told);
        }
        let read = |name: &String| match self
            .target(name)
            .and_then(|(target, key)| Some((secrets.get(&target)?.as_ref(), key)))
        {
            Some((Ok(Some(secret)), key)) => reading(secret, key),
            Some((Ok(None), _)) | None => Reading::Missing,
            Some((Err(why), _)) => Reading::Unreadable(why.clone()),
        };
        Ok(names.iter().map(read).collect())
    }

    /// A permission for the whole namespace is checked first, which answers most questions.
    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        let mut targets: Vec<Target> = names.iter().filter_map(|name| Some(self.target(name)?.0)).collect();
        targets.sort();
        targets.dedup();
        let (mut whole, mut each) = (BTreeMap::new(), BTreeMap::new());
        for (namespace, name) in targets {
            if !whole.contains_key(&namespace) {
                whole.insert(namespace.clone(), self.api.may_patch(&namespace, None).await);
            }
            let may = match whole.get(&namespace).copied().flatten() {
                Some(true) => Some(true),
                Some(false) | None => self.api.may_patch(&namespace, Some(&name)).await,
            };
            each.insert((namespace, name), may);
        }
        let answer = |name: &String| match self.target(name).and_then(|(target, _)| Some((each.get(&target)?, target)))
        {
            Some((Some(true), _)) => Writable::Yes,
            Some((Some(false), (namespace, secret))) => Writable::No(format!(
                "the credentials in use may not patch the Secret {secret} in namespace {namespace}; allow the verb \
                 \"patch\" on secrets there (`rotator policy` prints the role)"
            )),
            Some((None, _)) | None => Writable::Unknown,
        };
        names.iter().map(answer).collect()
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        // Secrets are written in the order of their first entry: the secret of a pair is written before its id.
        let mut by_secret: Vec<(Target, Vec<(&str, &NativeWrite)>)> = Vec::new();
        for write in &batch {
            let Some((target, key)) = self.target(&write.name) else {
                let message = format!("{}: there can be no such key", write.name);
                return Err(Refusal::new(RefusalKind::Other, message).into());
            };
            match by_secret.iter_mut().find(|(known, _)| *known == target) {
                Some((_, writes)) => writes.push((key, write)),
                None => by_secret.push((target, vec![(key, write)])),
            }
        }
        let mut written = 0;
        for (target, writes) in &by_secret {
            self.replace(target, writes, &batch).await.map_err(|failure| after(written, failure))?;
            written += writes.len();
        }
        Ok(())
    }
}
