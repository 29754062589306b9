//! Reads up to 20 secrets in one call, `BatchGetSecretValue`
//! (<https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_BatchGetSecretValue.html>).
//!
//! The call needs its own right, and `secretsmanager:GetSecretValue` for each secret. It names no version: AWS answers
//! with the current one. `Errors` lists secrets that AWS could not read (`AccessDeniedException`, `DecryptionFailure`,
//! `ResourceNotFoundException` and others), and `NextToken` says that the answer is partial. If the policy of a VPC
//! endpoint denies one secret, the whole call fails
//! (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/retrieving-secrets_cli.html>).
//!
//! So this module returns only the values that are beyond doubt, and no error of AWS. The caller reads every other
//! secret with `GetSecretValue`, which decides what the secret is.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::operation::batch_get_secret_value::BatchGetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::Blob;
use aws_sdk_secretsmanager::types::{ApiErrorType, SecretValueEntry};
use futures_util::{FutureExt, StreamExt};

use super::error::Call;
use super::response_check::ResponseCheck;
use crate::adapters::bounds::{Budget, TooLarge};
use crate::adapters::redact::Failed;
use crate::adapters::stores::with_pauses;
use crate::ports::secret_store::Version;
use crate::types::secret::SecretValue;

/// The label of the version that readers request.
pub(super) const CURRENT: &str = "AWSCURRENT";

/// The maximum number of secrets of one call.
const MOST: usize = 20;

/// The number of calls at the same time. The quota is 100 calls a second
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>), shared by the whole account.
const AT_ONCE: usize = 4;

/// The version and the value of a secret.
pub(super) type Content = (Version, SecretValue);

/// The content that an answer describes; none if it has no value.
pub(super) fn content(id: &str, text: Option<String>, binary: Option<Blob>) -> Option<Content> {
    let (kind, bytes) = match (text, binary) {
        (Some(text), _) => ("text", text.into_bytes()),
        (None, Some(blob)) => ("binary", blob.into_inner()),
        (None, None) => return None,
    };
    Some((Version(format!("{kind} {id}")), SecretValue::new(bytes)))
}

/// The batch calls of one store.
pub(super) struct Batches {
    client: Client,
    /// The operation itself was refused. A policy from before rotator used it lacks the right, and an endpoint may not
    /// know it.
    is_refused: AtomicBool,
}

impl Batches {
    pub(super) fn new(client: Client) -> Self {
        Self { client, is_refused: AtomicBool::new(false) }
    }

    /// The current contents of these secrets. A secret that is not in the result has to be read separately.
    ///
    /// # Errors
    /// [`TooLarge`] if the scan exceeds its limit.
    pub(super) async fn read(&self, names: &[String], budget: &Budget) -> Result<BTreeMap<String, Content>, TooLarge> {
        let goes_on = AtomicBool::new(!self.is_refused.load(Ordering::Relaxed));
        let mut batches = names.chunks(MOST).map(|names| self.batch(names, &goes_on));
        let mut read = BTreeMap::new();
        // The first call goes alone, so that a missing right causes one denied call in the records of AWS, and not four.
        if let Some(first) = batches.next() {
            keep(first.await, budget, &mut read)?;
        }
        let pending: Vec<_> = batches.map(FutureExt::boxed).collect();
        let mut answers = futures_util::stream::iter(pending).buffered(AT_ONCE);
        while let Some(answer) = answers.next().await {
            keep(answer, budget, &mut read)?;
        }
        Ok(read)
    }

    /// One call. After a failed one the pass makes no other: `GetSecretValue` has a quota of its own, and its errors
    /// are those that are reported.
    async fn batch(&self, names: &[String], goes_on: &AtomicBool) -> Vec<(String, Content)> {
        if !goes_on.load(Ordering::Relaxed) {
            return Vec::new();
        }
        match with_pauses(|| self.call(names).boxed()).await {
            Ok(answer) => beyond_doubt(names, answer),
            Err(_) => {
                if goes_on.swap(false, Ordering::Relaxed) {
                    let until = if self.is_refused.load(Ordering::Relaxed) { "process" } else { "pass" };
                    tracing::debug!("BatchGetSecretValue failed: GetSecretValue reads the rest of this {until}");
                }
                Vec::new()
            }
        }
    }

    async fn call(&self, names: &[String]) -> Result<BatchGetSecretValueOutput, Failed> {
        let call = Call::json("BatchGetSecretValue", format!("{} secrets", names.len()));
        let response = ResponseCheck::default();
        let request = self.client.batch_get_secret_value().set_secret_id_list(Some(names.to_vec()));
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        response.check(&call, result).map(|(answer, _)| answer).map_err(|error| {
            if error.is_of_operation() {
                self.is_refused.store(true, Ordering::Relaxed);
            }
            error.into_failed()
        })
    }
}

fn keep(answer: Vec<(String, Content)>, budget: &Budget, read: &mut BTreeMap<String, Content>) -> Result<(), TooLarge> {
    for (name, content) in answer {
        budget.take(content.1.expose().len())?;
        read.insert(name, content);
    }
    Ok(())
}

/// The values of an answer whose name was asked for, whose ARN and label are those of that secret's current version,
/// and about which the answer says nothing else.
fn beyond_doubt(names: &[String], answer: BatchGetSecretValueOutput) -> Vec<(String, Content)> {
    let errors = answer.errors.unwrap_or_default();
    // An error names its secret by the name or by the ARN.
    let failed: BTreeSet<&str> = errors.iter().filter_map(ApiErrorType::secret_id).collect();
    let mut contents: BTreeMap<String, Option<Content>> = BTreeMap::new();
    for SecretValueEntry { arn, name, version_id, secret_string, secret_binary, version_stages, .. } in
        answer.secret_values.unwrap_or_default()
    {
        let Some(name) = name.filter(|name| names.contains(name)) else { continue };
        let is_current = version_stages.unwrap_or_default().iter().any(|stage| stage == CURRENT);
        let is_same = arn.as_deref().is_none_or(|arn| is_arn_of(arn, &name));
        let has_failed = failed.contains(name.as_str()) || arn.as_deref().is_some_and(|arn| failed.contains(arn));
        let content = version_id
            .filter(|_| is_current && is_same && !has_failed)
            .and_then(|id| content(&id, secret_string, secret_binary));
        // The second value of a secret makes both doubtful.
        contents.entry(name).and_modify(|first| *first = None).or_insert(content);
    }
    contents.into_iter().filter_map(|(name, content)| Some((name, content?))).collect()
}

/// Whether the ARN is that of a secret with this name: AWS appends a hyphen and six characters to the name
/// (<https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html>).
fn is_arn_of(arn: &str, name: &str) -> bool {
    arn.rsplit_once('-')
        .and_then(|(begin, _)| begin.strip_suffix(name))
        .is_some_and(|begin| begin.ends_with(":secret:"))
}
