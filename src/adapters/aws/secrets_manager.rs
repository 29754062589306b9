//! `aws-secretsmanager:[PREFIX]`: each secret is an entry; its name is the rest after the prefix.
//!
//! A new value is first stored with the label `ROTATOR_STAGED`, then `AWSCURRENT` is moved to it from the version
//! that was read. AWS refuses the move if another version is current, so it is a compare-and-set
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html>). Readers
//! request `AWSCURRENT` and never see a staged value; after a crash rotator finds the new pair there. The label stays on
//! the version until the next write: removing it would be one more effect with an outcome in doubt, and what is read by
//! it counts only if it is the pair of the rotation.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{Filter, FilterNameStringType, SecretListEntry};
use futures_util::FutureExt;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::client::{Aws, ConnectError};
use super::error::{AwsCallError, Call};
use super::response_check::ResponseCheck;
use super::secret_batches::{Batches, CURRENT, Content, content};
use crate::adapters::bounds::{Budget, MOST_PAGES, TooLarge};
use crate::adapters::redact::{Failed, Heard, Secrets, settled};
use crate::adapters::stores::{Backend, NativeWrite, after, read_each};
use crate::journal::write_ahead::{IntentLine, WriteOrder};
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::identity::Identity;
use crate::ports::secret_store::{Capabilities, Reading};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// The label of a value that is not yet current.
const STAGED: &str = "ROTATOR_STAGED";
/// AWS moves this label to the version that was current before
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html>).
const PREVIOUS: &str = "AWSPREVIOUS";

/// The number of values that are read at the same time, each with a call of its own. The quota of `GetSecretValue` is
/// 10,000 calls a second (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>).
const AT_ONCE: usize = 16;

/// The maximum page size.
const PAGE: i32 = 100;

/// The secrets of one region whose names have a prefix.
pub struct SecretsManagerStore {
    client: Client,
    batches: Batches,
    prefix: String,
    region: String,
    /// The client that reports the account.
    aws: Aws,
}

/// The names of the secrets after the prefix, and why a secret is not written.
type Listed = BTreeMap<String, Option<&'static str>>;

impl SecretsManagerStore {
    /// Secrets Manager in `region`, else in the region of the SDK's chain, below `prefix`.
    ///
    /// # Errors
    /// [`ConnectError`] if the endpoint is not valid, or secrets would be sent to it in the clear.
    pub async fn open(aws: &Aws, region: Option<&str>, prefix: &str) -> Result<Self, ConnectError> {
        let client = aws.secrets_manager(region).await?;
        let region = client.config().region().map_or_else(String::new, ToString::to_string);
        let batches = Batches::new(client.clone());
        Ok(Self { client, batches, prefix: prefix.to_owned(), region, aws: aws.clone() })
    }

    async fn list(&self, budget: &Budget) -> Result<Listed, CallError> {
        let call = Call::json("ListSecrets", format!("secrets below \"{}\"", self.prefix));
        let mut secrets = Listed::new();
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let response = ResponseCheck::default();
            let mut request = self.client.list_secrets().max_results(PAGE).set_next_token(token.take());
            if !self.prefix.is_empty() {
                let filter = Filter::builder().key(FilterNameStringType::Name).values(&self.prefix);
                request = request.filters(filter.build());
            }
            let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
            let (page, _) = response.check(&call, result).map_err(AwsCallError::into_call_error)?;
            let names = page.secret_list().iter().filter_map(SecretListEntry::name).map(str::len);
            budget.take_page(names.sum()).map_err(|why| self.too_large(why))?;
            secrets.extend(page.secret_list().iter().filter_map(|secret| self.listed(secret)));
            token = page.next_token;
            if token.is_none() {
                return if secrets.contains_key("") { Err(self.is_one_secret()) } else { Ok(secrets) };
            }
        }
        Err(CallError::new(CallErrorKind::Other, format!("call {call}: there are more than {MOST_PAGES} pages")))
    }

    fn too_large(&self, why: TooLarge) -> CallError {
        CallError::new(
            CallErrorKind::Other,
            format!("Secrets Manager below \"{}\" was read in part: {why}", self.prefix),
        )
    }

    fn is_one_secret(&self) -> CallError {
        let folder = self.prefix.rfind('/').map_or("", |at| &self.prefix[..=at]);
        let message = format!(
            "{} is one secret, and a store is all secrets whose names begin so; write aws-secretsmanager:{folder}, with \
             include for what of it is meant",
            self.prefix
        );
        CallError::new(CallErrorKind::Other, message)
    }

    /// The name and the reason of one secret; none if it is being deleted or its prefix differs in case.
    fn listed(&self, secret: &SecretListEntry) -> Option<(String, Option<&'static str>)> {
        let name = secret.name()?.strip_prefix(self.prefix.as_str())?.to_owned();
        let why = if secret.rotation_enabled().unwrap_or_default() {
            Some("Secrets Manager rotates it itself")
        } else if secret.owning_service().is_some() {
            Some("another AWS service manages it")
        } else if secret.primary_region().is_some_and(|region| region != self.region) {
            Some("it is a replica; the secret in its primary region is the one to write")
        } else {
            None
        };
        secret.deleted_date().is_none().then_some((name, why))
    }

    async fn value(&self, name: &str, label: &str, budget: &Budget) -> Result<Option<Content>, Failed> {
        let name = format!("{}{name}", self.prefix);
        let call = Call::json("GetSecretValue", format!("secret {name}"));
        let response = ResponseCheck::default();
        let request = self.client.get_secret_value().secret_id(&name).version_stage(label);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let output = match response.check(&call, result) {
            Ok((output, _)) => output,
            // AWS returns the second code for a secret that is being deleted.
            Err(error)
                if matches!(error.refusal_code(), Some("ResourceNotFoundException" | "InvalidRequestException")) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error.into_failed()),
        };
        if output.name.as_deref() != Some(name.as_str()) {
            return Err(about_another(&call).into());
        }
        let incomplete =
            || CallError::new(CallErrorKind::Unavailable, format!("call {call}: the answer has no version"));
        let id = output.version_id.ok_or_else(incomplete)?;
        let content = content(&id, output.secret_string, output.secret_binary);
        if let Some((_, value)) = &content {
            budget.take(value.expose().len()).map_err(|why| self.too_large(why))?;
        }
        Ok(content)
    }

    async fn heard(&self, name: String, budget: &Budget) -> Result<Heard, Failed> {
        match self.value(&name, CURRENT, budget).await {
            Ok(Some((version, value))) => Ok(Reading::Value { version, value }.into()),
            Ok(None) => Ok(Reading::Missing.into()),
            Err(failed) if failed.kind == CallErrorKind::Denied => Ok(Heard::Unreadable(failed.words())),
            Err(failed) => Err(failed),
        }
    }

    /// All of these secrets, with as few calls as possible.
    async fn heard_together(
        &self,
        names: impl Iterator<Item = &String>,
        budget: &Budget,
    ) -> Result<Vec<(String, Result<Heard, Failed>)>, CallError> {
        let names: Vec<String> = names.map(|name| format!("{}{name}", self.prefix)).collect();
        let mut read = self.batches.read(&names, budget).await.map_err(|why| self.too_large(why))?;
        let (mut heard, mut rest) = (Vec::new(), Vec::new());
        for full in names {
            let name = full[self.prefix.len()..].to_owned();
            match read.remove(&full) {
                Some((version, value)) => heard.push((name, Ok(Reading::Value { version, value }.into()))),
                None => rest.push(name),
            }
        }
        heard.extend(read_each(rest, AT_ONCE, |name| self.heard(name, budget).boxed()).await);
        Ok(heard)
    }

    /// The values with a label that readers do not request.
    async fn under(&self, label: &str, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        let budget = Budget::of_a_scan();
        let mut values: Vec<Option<SecretValue>> = Vec::new();
        for name in names {
            let value = self.value(name, label, &budget).await.map_err(|failed| {
                let before = values.iter().flatten().map(SecretValue::expose);
                failed.told(&Secrets::default().values(before))
            })?;
            values.push(value.map(|(_, value)| value));
        }
        Ok(values)
    }

    /// Writes one value. `given` contains all secrets that AWS was given in this call.
    async fn replace(&self, intent: IntentLine, write: &NativeWrite, given: &Secrets<'_>) -> Result<(), Failure> {
        let name = format!("{}{}", self.prefix, write.name);
        let Some((kind, replaced)) = write.replaces.0.split_once(' ') else {
            let message = format!("{} is no version of {name}", write.replaces.0);
            return Err(Refusal::new(RefusalKind::Other, message).into());
        };
        let staged = self.stage(&name, kind, write, token(intent, &name), given).await?;
        let call = Call::json("UpdateSecretVersionStage", format!("secret {name}"));
        let response = ResponseCheck::default();
        let request = self.client.update_secret_version_stage().secret_id(&name).version_stage(CURRENT);
        let request = request.move_to_version_id(staged).remove_from_version_id(replaced);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        match response.check(&call, result) {
            Ok((output, _)) if output.name.as_ref().is_some_and(|other| *other != name) => {
                Err(Failure::Unknown(about_another(&call).message))
            }
            Ok(_) => Ok(()),
            Err(error) if error.refusal_code() == Some("InvalidParameterException") => {
                Err(Refusal::new(RefusalKind::Stale, format!("{name} has changed since it was read")).into())
            }
            Err(error) => Err(error.into_failure_of(given)),
        }
    }

    /// Stores the value as staged, and returns its version. Nothing that readers see has changed after a failure, so
    /// every failure is a refusal.
    async fn stage(
        &self,
        name: &str,
        kind: &str,
        NativeWrite { value, .. }: &NativeWrite,
        token: Uuid,
        given: &Secrets<'_>,
    ) -> Result<String, Failure> {
        let call = Call::json("PutSecretValue", format!("secret {name}"));
        let response = ResponseCheck::default();
        let request = self.client.put_secret_value().secret_id(name).version_stages(STAGED);
        let request = request.client_request_token(token.to_string());
        let request = match value.expose_text() {
            Some(text) if kind == "text" => request.secret_string(text),
            Some(_) | None => request.secret_binary(Blob::new(value.expose())),
        };
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let nothing_read_it = |failure| match failure {
            Failure::Unknown(why) => {
                Refusal::new(RefusalKind::Other, format!("{why}; nothing current was changed")).into()
            }
            refused @ Failure::Refused(_) => refused,
        };
        let (output, _) =
            response.check(&call, result).map_err(|error| nothing_read_it(error.into_failure_of(given)))?;
        if output.name.as_ref().is_some_and(|other| other != name) {
            return Err(nothing_read_it(Failure::Unknown(about_another(&call).message)));
        }
        output
            .version_id
            .ok_or_else(|| Refusal::new(RefusalKind::Other, format!("call {call}: the answer has no version")).into())
    }
}

/// The error for a response about another secret, which says nothing about the requested one.
fn about_another(call: &Call) -> CallError {
    CallError::new(CallErrorKind::Unavailable, format!("call {call}: the answer is about another secret"))
}

/// The request token: AWS treats a second request with the same token as a repetition, so each line of the journal
/// has its own.
fn token(intent: IntentLine, name: &str) -> Uuid {
    let line = Sha256::new().chain_update(intent.rotation.to_string()).chain_update(intent.seq.to_be_bytes());
    let digest = line.chain_update(name).finalize();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

#[async_trait]
impl Backend for SecretsManagerStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: Duration::ZERO, read_only: false }
    }

    fn credentials(&self) -> Option<String> {
        self.aws.credentials()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let account = self.aws.caller().await?.account;
        StoreIdentity::new(format!("secretsmanager {account} {} {}", self.region, self.prefix))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let budget = Budget::of_a_scan();
        let listed = self.list(&budget).await?;
        let heard = self.heard_together(listed.keys(), &budget).await?;
        let mut all = settled(heard, Vec::new())?;
        all.retain(|(_, reading)| !matches!(reading, Reading::Missing));
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        let ours = |(name, reading): (String, Reading)| match (listed.get(&name), reading) {
            (Some(Some(why)), Reading::Value { version, value }) => {
                (name, Reading::Managed { version, value, why: (*why).to_owned() })
            }
            (_, reading) => (name, reading),
        };
        Ok(all.into_iter().map(ours).collect())
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let budget = Budget::of_a_scan();
        let heard = read_each(names.to_vec(), AT_ONCE, |name| self.heard(name, &budget).boxed()).await;
        let all = settled(heard, Vec::new())?;
        Ok(all.into_iter().map(|(_, reading)| reading).collect())
    }

    async fn staged(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.under(STAGED, names).await
    }

    async fn replaced(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        self.under(PREVIOUS, names).await
    }

    async fn write(&self, order: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        let given = Secrets::default().values(batch.iter().map(|write| write.value.expose()));
        for (written, write) in batch.iter().enumerate() {
            self.replace(order.intent(), write, &given).await.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }
}
