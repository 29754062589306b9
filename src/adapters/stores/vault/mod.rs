//! `vault:MOUNT[/PATH]`: the secrets of a KV engine of version 2, in Vault or OpenBao. Each secret is an entry with
//! all of its data as one JSON document, so that one write changes both halves of a pair. A secret at
//! `app/environment` is the entry `app/environment/_`.
//!
//! Every write names the version that it replaces (`cas`), and the server refuses it if that is not the latest
//! (<https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2#create-update-secret>).

mod api;
mod settings;

use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Backend, NativeWrite, after, read_each};
use crate::adapters::bounds::{Budget, MOST_PAGES};
use crate::adapters::redact::{Failed, Heard, Secrets, Words, settled};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Version, Writable};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;
use crate::types::shell::operand;
use api::{Answer, Api};
pub use settings::{Auth, VaultSettings, VaultStoreError};

/// The number of requests at the same time.
const AT_ONCE: usize = 8;

/// The number of paths in one query of permissions.
const MOST_PATHS: usize = 200;

/// The maximum depth of folders.
const DEEPEST: usize = 16;

/// The secrets of one mount below a path.
pub struct VaultStore {
    api: Api,
    mount: String,
    /// The path without surrounding slashes; empty for the whole mount.
    root: String,
}

impl VaultStore {
    /// Opens the store and logs in if the settings require it.
    ///
    /// # Errors
    /// [`VaultStoreError`] if the address is not valid, or the login is refused.
    pub async fn open(settings: VaultSettings) -> Result<Self, VaultStoreError> {
        let (mount, root) = (settings.mount.clone(), settings.root.clone());
        Ok(Self { api: Api::connect(settings).await?, mount, root })
    }

    /// The path of a secret within the mount.
    fn path(&self, name: &str) -> String {
        let name = name.trim_end_matches('/');
        if self.root.is_empty() { name.to_owned() } else { format!("{}/{name}", self.root) }
    }

    async fn get(&self, name: String, budget: &Budget) -> Result<Heard, Failed> {
        let answer = match self.api.call(Method::GET, &[&self.mount, "data", &self.path(&name)], None, budget).await {
            Err(none) if none.is_too_large => return Ok(Heard::Unreadable(Words::ours(none.error.message))),
            answer => answer?,
        };
        let data = match answer {
            Answer { status: 200, body, .. } => body,
            // The secret is missing, or its latest version is deleted; the body then contains metadata.
            Answer { status: 404, .. } => return Ok(Reading::Missing.into()),
            answer @ Answer { status: 403, is_about_the_token: false, .. } => {
                return Ok(Heard::Unreadable(answer.error("read it").words()));
            }
            answer => return Err(answer.error("read a secret")),
        };
        let version = data.pointer("/data/metadata/version").and_then(Value::as_u64);
        let (Some(version), Some(secret @ Value::Object(_))) = (version, data.pointer("/data/data")) else {
            return Ok(Reading::Missing.into());
        };
        let text = serde_json::to_vec(secret)
            .map_err(|_| CallError::new(CallErrorKind::Unavailable, "the answer could not be read"))?;
        let (version, value) = (Version(version.to_string()), SecretValue::new(text));
        if has_rounded_number(secret) {
            let why = "it contains a number with more digits than rotator can write back".to_owned();
            return Ok(Reading::Managed { version, value, why }.into());
        }
        Ok(Reading::Value { version, value }.into())
    }

    /// The names of all secrets.
    async fn list(&self, budget: &Budget) -> Result<Vec<String>, CallError> {
        let mut lists = 0;
        let (mut names, mut folders) = (Vec::new(), vec![(String::new(), DEEPEST)]);
        while let Some((folder, deeper)) = folders.pop() {
            let path = self.path(&folder);
            lists += 1;
            if lists > MOST_PAGES {
                return Err(other(format!("{}/{} has more than {MOST_PAGES} folders", self.mount, self.root)));
            }
            let answer = self.api.call(list(), &[&self.mount, "metadata", &path], None, budget).await?;
            let keys = match answer {
                Answer { status: 200, body, .. } => body.pointer("/data/keys").cloned().unwrap_or_default(),
                // The folder is empty; the server reports a missing mount in another way.
                Answer { status: 404, body, .. } if says_nothing(&body) => continue,
                answer => return Err(self.told(answer.error(&format!("list {}/{path}", self.mount)))),
            };
            for key in keys.as_array().into_iter().flatten().filter_map(Value::as_str) {
                let name = format!("{folder}{key}");
                if !key.ends_with('/') {
                    // No other secret can have this name: a path does not end in a slash.
                    let is_pair = name.split('/').count() == 2;
                    names.push(if is_pair { format!("{name}/") } else { name });
                } else if deeper == 0 {
                    let message = format!("{}/{name} lies deeper than {DEEPEST} folders", self.mount);
                    return Err(CallError::new(CallErrorKind::Other, message));
                } else {
                    folders.push((name, deeper - 1));
                }
            }
        }
        Ok(names)
    }

    /// The accessor of the mount, which has to be a KV engine of version 2.
    async fn mounted(&self) -> Result<String, CallError> {
        let path = ["sys", "internal", "ui", "mounts", &self.mount];
        let answer = self.api.call(Method::GET, &path, None, &Budget::of_a_scan()).await?;
        let Answer { status: 200, body, .. } = answer else {
            return Err(self.told(answer.error(&format!("say what is mounted at {}", self.mount))));
        };
        let text = |pointer| body.pointer(pointer).and_then(Value::as_str);
        if text("/data/path").is_some_and(|path| path.trim_matches('/') != self.mount.trim_matches('/')) {
            let message = format!("Vault answered about another mount than {}, which was asked for", self.mount);
            return Err(CallError::new(CallErrorKind::Unavailable, message));
        }
        if text("/data/type") != Some("kv") || text("/data/options/version") != Some("2") {
            return Err(other(no_versions(&self.mount)));
        }
        text("/data/uuid")
            .map(str::to_owned)
            .ok_or_else(|| other("the server does not say which mount it is".to_owned()))
    }

    /// Checks an empty list: a folder disappears with its last secret, so only a whole mount can be empty, and
    /// anything else is a wrong name.
    async fn is_rightly_empty(&self) -> Result<(), CallError> {
        // The list of another engine is empty, too.
        self.mounted().await?;
        if self.root.is_empty() {
            return Ok(());
        }
        let (mount, root) = (&self.mount, &self.root);
        let api_path = root.split_once('/').filter(|(first, _)| ["data", "metadata"].contains(first));
        if let Some((first, path)) = api_path {
            return Err(other(format!(
                "there is nothing at {mount}/{root}: \"{first}/\" belongs to the path of the API only; write \
                 vault:{mount}/{path}"
            )));
        }
        let at_root = self.get(String::new(), &Budget::of_a_scan()).await.map_err(|failed| self.told(failed))?;
        if !matches!(at_root, Heard::Reading(Reading::Missing)) {
            let folder = root.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("/{folder}"));
            return Err(other(format!(
                "{mount}/{root} is one secret, and a store is a folder of them; write vault:{mount}{folder}, with include \
                 for what of it is meant"
            )));
        }
        Err(other(format!("there is nothing at {mount}/{root}: check the path in vault:{mount}/{root}")))
    }

    async fn may_update(&self, names: &[String]) -> Vec<Writable> {
        let paths: Vec<String> = names.iter().map(|name| format!("{}/data/{}", self.mount, self.path(name))).collect();
        let question = json!({ "paths": paths });
        let budget = Budget::of_a_scan();
        let asked = self.api.call(Method::POST, &["sys", "capabilities-self"], Some(&question), &budget).await;
        let Ok(Answer { status: 200, body, .. }) = asked else { return vec![Writable::Unknown; names.len()] };
        let answer = |path: &String| {
            let Some(allowed) = body.get(path).or_else(|| body.get("data")?.get(path)).and_then(Value::as_array) else {
                return Writable::Unknown;
            };
            let allowed: Vec<&str> = allowed.iter().filter_map(Value::as_str).collect();
            if allowed.contains(&"update") || allowed.contains(&"root") {
                return Writable::Yes;
            }
            Writable::No(format!(
                "the policies of the token in use allow {} on {path}, and a write needs \"update\"; add it to them",
                allowed.join(", ")
            ))
        };
        paths.iter().map(answer).collect()
    }

    /// The error of a call outside of any scan: the server has sent no value, and may quote a token.
    fn told(&self, failed: Failed) -> CallError {
        failed.told(&Secrets::default().tokens(self.api.secrets()))
    }

    /// Writes one value. `batch` contains everything that the server was given in this call.
    async fn replace(&self, write: &NativeWrite, batch: &[NativeWrite]) -> Result<(), Failure> {
        let refused = |kind, why: String| Err(Failure::Refused(Refusal::new(kind, format!("{}: {why}", write.name))));
        let version: Option<u64> = write.replaces.0.parse().ok();
        let data = serde_json::from_slice::<Value>(write.value.expose()).ok().filter(Value::is_object);
        let (Some(version), Some(data)) = (version, data) else {
            return refused(RefusalKind::Other, "a secret is a JSON object, and the new value is not".to_owned());
        };
        // A deleted version is still the latest, so `cas` would accept it. A write must not restore a secret that was
        // deleted.
        let budget = Budget::of_a_scan();
        let before = self.get(write.name.clone(), &budget).await;
        if let Ok(Heard::Reading(Reading::Missing)) = before {
            return refused(RefusalKind::Stale, "it has been deleted since it was read".to_owned());
        }
        let body = json!({ "options": { "cas": version }, "data": data });
        let path = self.path(&write.name);
        let sent = self.api.call(Method::POST, &[&self.mount, "data", &path], Some(&body), &budget).await;
        let told = |answer: &Answer| {
            let sent = batch.iter().map(|write| write.value.expose());
            let received = before.iter().filter_map(|heard| match heard {
                Heard::Reading(reading) => Some(reading),
                Heard::Unreadable(_) => None,
            });
            let secrets = Secrets::default().tokens(self.api.secrets()).values(sent).readings(received);
            answer.error("write it").told(&secrets).message
        };
        match sent {
            Ok(Answer { status: 200 | 204, .. }) => Ok(()),
            Ok(answer) if answer.is_of_another_version() => {
                refused(RefusalKind::Stale, "it has changed since it was read".to_owned())
            }
            Ok(answer @ Answer { status: 403, is_about_the_token, .. }) => {
                let kind = if is_about_the_token { RefusalKind::Credentials } else { RefusalKind::Denied };
                refused(kind, told(&answer))
            }
            Ok(answer @ Answer { status: 429, .. }) => refused(RefusalKind::Throttled, told(&answer)),
            Ok(answer) if (400..500).contains(&answer.status) => refused(RefusalKind::Other, told(&answer)),
            Ok(answer) => Err(Failure::Unknown(told(&answer))),
            // The login failed, so nothing was sent.
            Err(none) if none.error.kind == CallErrorKind::Credentials => {
                refused(RefusalKind::Credentials, none.error.message)
            }
            Err(none) => Err(Failure::Unknown(none.error.message)),
        }
    }
}

fn other(message: String) -> CallError {
    CallError::new(CallErrorKind::Other, message)
}

/// The HTTP method `LIST`.
fn list() -> Method {
    Method::from_bytes(b"LIST").unwrap_or(Method::GET)
}

fn says_nothing(body: &Value) -> bool {
    body.get("errors").and_then(Value::as_array).is_none_or(Vec::is_empty)
}

/// Whether a number needs more than 64 bits and would change when it is parsed.
fn has_rounded_number(value: &Value) -> bool {
    const BEYOND: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => number.is_f64() && number.as_f64().is_some_and(|number| number.abs() >= BEYOND),
        Value::Array(values) => values.iter().any(has_rounded_number),
        Value::Object(fields) => fields.values().any(has_rounded_number),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

#[async_trait]
impl Backend for VaultStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: Duration::ZERO, read_only: false }
    }

    fn credentials(&self) -> Option<String> {
        Some(self.api.credentials())
    }

    /// The identity is the accessor of the mount, which changes if the mount is created again.
    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let uuid = self.mounted().await?;
        StoreIdentity::new(format!("vault {uuid} {}", self.root)).map_err(|error| other(error.to_string()))
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let budget = Budget::of_a_scan();
        let names = self.list(&budget).await?;
        if names.is_empty() {
            self.is_rightly_empty().await?;
        }
        let read = read_each(names, AT_ONCE, |name| self.get(name, &budget).boxed()).await;
        let mut all = settled(read, self.api.secrets())?;
        all.retain(|(_, reading)| !matches!(reading, Reading::Missing));
        Ok(all)
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let budget = Budget::of_a_scan();
        let read = read_each(names.to_vec(), AT_ONCE, |name| self.get(name, &budget).boxed()).await;
        let all = settled(read, self.api.secrets())?;
        Ok(all.into_iter().map(|(_, reading)| reading).collect())
    }

    /// The capabilities of the token on each path decide
    /// (<https://developer.hashicorp.com/vault/api-docs/system/capabilities-self>).
    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        let mut answers = Vec::with_capacity(names.len());
        for some in names.chunks(MOST_PATHS) {
            answers.extend(self.may_update(some).await);
        }
        answers
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        for (written, write) in batch.iter().enumerate() {
            self.replace(write, &batch).await.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }
}

fn no_versions(mount: &str) -> String {
    format!(
        "{mount} is no KV engine of version 2, and only that has compare-and-set: `vault kv enable-versioning {}` makes it one",
        operand(mount)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::shell::real::{HOSTILE, assert_says};

    #[test]
    fn the_command_names_the_mount_whatever_its_name() {
        for mount in HOSTILE {
            let dashes = if mount.starts_with('-') { &["--"][..] } else { &[] };
            let words = [&["vault", "kv", "enable-versioning"], dashes, &[mount]].concat();
            assert_says(&no_versions(mount), "` makes it one", &words);
        }
    }
}
