//! `aws-ssm:[/PATH]`: each parameter of Systems Manager below the path is an entry; its name is the rest of the path.
//!
//! Parameter Store has no compare-and-set. The version is read just before a write, and the new version number shows
//! whether another writer wrote in between. A signed request may be executed until its signature expires.

use async_trait::async_trait;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::operation::get_parameters_by_path::GetParametersByPathOutput;
use aws_sdk_ssm::types::{Parameter, ParameterMetadata, ParameterStringFilter, ParameterTier};

use super::client::{Aws, ConnectError};
use super::error::{AwsCallError, Call};
use super::response_check::ResponseCheck;
use crate::adapters::bounds::{Budget, MOST_PAGES};
use crate::adapters::redact::{Failed, Heard, Secrets, settled};
use crate::adapters::stores::{Backend, NativeWrite, after};
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::identity::Identity;
use crate::ports::secret_store::{Capabilities, Reading, Version};
use crate::rotation::policy::LATE_REQUEST;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;

/// The maximum page size, and the maximum number of names in one `GetParameters`
/// (<https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>).
const PAGE: usize = 10;

const ABOUT_ANOTHER: &str = "the answer is about another parameter";

/// The error for a response about another parameter, which says nothing about the requested one.
fn about_another(call: &Call) -> CallError {
    CallError::new(CallErrorKind::Unavailable, format!("call {call}: {ABOUT_ANOTHER}"))
}

/// The parameters of one region below a path.
pub struct ParameterStore {
    client: Client,
    /// The path, with a slash at both ends.
    path: String,
    region: String,
    /// The client that reports the account.
    aws: Aws,
}

impl ParameterStore {
    /// Parameter Store in `region`, else in the region of the SDK's chain, below `path`.
    ///
    /// # Errors
    /// [`ConnectError`] if the endpoint is not valid, or secrets would be sent to it in the clear.
    pub async fn open(aws: &Aws, region: Option<&str>, path: &str) -> Result<Self, ConnectError> {
        let client = aws.parameter_store(region).await?;
        let region = client.config().region().map_or_else(String::new, ToString::to_string);
        let inner = path.trim_matches('/');
        let path = if inner.is_empty() { "/".to_owned() } else { format!("/{inner}/") };
        Ok(Self { client, path, region, aws: aws.clone() })
    }

    /// The full name of a parameter.
    fn full(&self, name: &str) -> String {
        match name.strip_prefix('/') {
            Some(bare) if self.path == "/" => bare.to_owned(),
            Some(_) | None => format!("{}{name}", self.path),
        }
    }

    /// The name below the path. A top-level parameter may have a name without a slash, and gets one here to keep
    /// names distinct.
    fn name(&self, full: &str) -> String {
        full.strip_prefix(self.path.as_str()).map_or_else(|| format!("/{full}"), str::to_owned)
    }

    fn heard(&self, parameter: Parameter) -> Option<(String, Result<Heard, Failed>)> {
        let name = self.name(&parameter.name?);
        let version = Version(parameter.version.to_string());
        let value = SecretValue::new(parameter.value?.into_bytes());
        Some((name, Ok(Reading::Value { version, value }.into())))
    }

    /// The values of these parameters, in this order: one result for each name.
    async fn get(&self, names: &[String]) -> Vec<Result<Heard, Failed>> {
        let all = |failed: Failed| names.iter().map(|_| Err(failed.clone())).collect();
        let call = Call::json("GetParameters", format!("parameters of {}", self.path));
        let response = ResponseCheck::default();
        let full: Vec<String> = names.iter().map(|name| self.full(name)).collect();
        let request = self.client.get_parameters().set_names(Some(full.clone())).with_decryption(true);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (output, _) = match response.check(&call, result) {
            Ok(answer) => answer,
            // One of the names may be the cause.
            Err(error) if error.is_denied() && names.len() > 1 => {
                let mut each = Vec::new();
                for name in names {
                    each.append(&mut Box::pin(self.get(std::slice::from_ref(name))).await);
                }
                return each;
            }
            Err(error) if error.is_denied() => {
                return vec![Ok(Heard::Unreadable(error.into_failed().words()))];
            }
            Err(error) => return all(error.into_failed()),
        };
        let parameters = output.parameters.unwrap_or_default();
        if !parameters.iter().all(|parameter| parameter.name.as_ref().is_some_and(|name| full.contains(name))) {
            return all(about_another(&call).into());
        }
        let mut read: Vec<(String, Result<Heard, Failed>)> =
            parameters.into_iter().filter_map(|parameter| self.heard(parameter)).collect();
        let mut of = |name: &String| {
            let at = read.iter().position(|(other, _)| other == name);
            at.map_or(Ok(Reading::Missing.into()), |at| read.swap_remove(at).1)
        };
        names.iter().map(&mut of).collect()
    }

    async fn one(&self, name: &String) -> Result<Reading, CallError> {
        let heard = self.get(std::slice::from_ref(name)).await.into_iter().map(|heard| ((), heard)).collect();
        Ok(settled(heard, Vec::new())?.pop().map_or(Reading::Missing, |(_, reading)| reading))
    }

    /// The value of one version of a parameter; AWS keeps the last hundred versions.
    async fn version(&self, name: &str, version: i64) -> Result<Option<SecretValue>, CallError> {
        let full = format!("{}:{version}", self.full(name));
        let call = Call::json("GetParameters", format!("parameter {full}"));
        let response = ResponseCheck::default();
        let request = self.client.get_parameters().names(full).with_decryption(true);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (output, _) = response.check(&call, result).map_err(AwsCallError::into_call_error)?;
        let found = output.parameters.unwrap_or_default().into_iter().find(|found| found.version == version);
        if found.as_ref().is_some_and(|found| found.name() != Some(self.full(name).as_str())) {
            return Err(about_another(&call));
        }
        Ok(found.and_then(|found| found.value).map(|value| SecretValue::new(value.into_bytes())))
    }

    /// Checks that the path is not the name of one parameter, which would look like an empty store.
    async fn is_no_parameter(&self) -> Result<(), CallError> {
        let name = self.path.trim_end_matches('/');
        if name.is_empty() {
            return Ok(());
        }
        let call = Call::json("GetParameters", format!("parameter {name}"));
        let response = ResponseCheck::default();
        let request = self.client.get_parameters().names(name).with_decryption(false);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        // A refused or incomplete response says nothing about the name.
        let Ok((output, _)) = response.check(&call, result) else { return Ok(()) };
        if output.parameters().is_empty() {
            return Ok(());
        }
        let folder = name.rfind('/').map_or("/", |at| &name[..=at]);
        let message = format!(
            "{name} is one parameter, and a store is all below a path; write aws-ssm:{folder}, with include for what of it \
             is meant"
        );
        Err(CallError::new(CallErrorKind::Other, message))
    }

    async fn page(&self, token: Option<String>, decrypts: bool) -> Result<GetParametersByPathOutput, AwsCallError> {
        let call = Call::json("GetParametersByPath", format!("parameters below {}", self.path));
        let response = ResponseCheck::default();
        // A parameter name has no slash at its end.
        let path = if self.path == "/" { "/" } else { self.path.trim_end_matches('/') };
        let request = self.client.get_parameters_by_path().path(path).recursive(true).with_decryption(decrypts);
        let request = request.max_results(i32::try_from(PAGE).unwrap_or(1)).set_next_token(token);
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (page, seen) = response.check(&call, result)?;
        let lies_below = |parameter: &Parameter| parameter.name().is_some_and(|name| name.starts_with(&self.path));
        if self.path != "/" && !page.parameters().iter().all(lies_below) {
            return Err(AwsCallError::unreadable(&call, seen, ABOUT_ANOTHER));
        }
        Ok(page)
    }

    /// The type, KMS key, tier and description, which a new version does not inherit.
    async fn metadata(&self, name: &str) -> Result<ParameterMetadata, Failed> {
        let call = Call::json("DescribeParameters", format!("parameter {name}"));
        let response = ResponseCheck::default();
        let filter = ParameterStringFilter::builder().key("Name").option("Equals").values(name).build();
        let filter = filter.map_err(|_| CallError::new(CallErrorKind::Other, format!("call {call}: no filter")))?;
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let request =
                self.client.describe_parameters().parameter_filters(filter.clone()).set_next_token(token.take());
            let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
            let (page, _) = response.clone().check(&call, result).map_err(AwsCallError::into_failed)?;
            let found = page.parameters.unwrap_or_default().into_iter().find(|found| found.name() == Some(name));
            // AWS may return an empty page that is not the last one.
            match (found, page.next_token) {
                (Some(found), _) => return Ok(found),
                (None, None) => {
                    let none = format!("there is no parameter {name}");
                    return Err(CallError::new(CallErrorKind::NoSuchEntity, none).into());
                }
                (None, more) => token = more,
            }
        }
        let message = format!("call {call}: there are more than {MOST_PAGES} pages");
        Err(CallError::new(CallErrorKind::Other, message).into())
    }

    /// Writes one value. `given` contains all secrets that AWS was given in this call.
    async fn replace(&self, write: &NativeWrite, given: &Secrets<'_>) -> Result<(), Failure> {
        let name = self.full(&write.name);
        let not_sent = |error: CallError| -> Failure {
            let kind = match error.kind {
                CallErrorKind::Throttled => RefusalKind::Throttled,
                CallErrorKind::Denied => RefusalKind::Denied,
                CallErrorKind::Credentials => RefusalKind::Credentials,
                CallErrorKind::NoSuchEntity => RefusalKind::Stale,
                CallErrorKind::Unavailable | CallErrorKind::Invalid | CallErrorKind::Other => RefusalKind::Other,
            };
            Refusal::new(kind, error.message).into()
        };
        let stale = || Failure::from(Refusal::new(RefusalKind::Stale, format!("{name} has changed since it was read")));
        let other = |why: &str| Failure::from(Refusal::new(RefusalKind::Other, format!("{name}: {why}")));
        let Some(text) = write.value.expose_text() else { return Err(other("a parameter can only be text")) };
        let kept = self.metadata(&name).await.map_err(|failed| not_sent(failed.told(given)))?;
        let now = self.get(std::slice::from_ref(&write.name)).await.pop().unwrap_or(Ok(Reading::Missing.into()));
        match now.map_err(|failed| not_sent(failed.told(given)))? {
            Heard::Reading(Reading::Value { version, .. }) if version == write.replaces => {}
            Heard::Reading(_) | Heard::Unreadable(_) => return Err(stale()),
        }
        let call = Call::json("PutParameter", format!("parameter {name}"));
        let response = ResponseCheck::default();
        let request = self.client.put_parameter().name(&name).value(text).overwrite(true);
        let request = request.set_type(kept.r#type).set_key_id(kept.key_id).set_description(kept.description);
        let request = request.set_allowed_pattern(kept.allowed_pattern).set_data_type(kept.data_type);
        // A tier can only be raised; without it AWS uses the default of the account.
        let request = request.set_tier(kept.tier.filter(|tier| *tier != ParameterTier::Standard));
        let result = Box::pin(request.customize().interceptor(response.clone()).send()).await;
        let (output, _) = response.check(&call, result).map_err(|error| error.into_failure_of(given))?;
        if write.replaces.0.parse() == Ok(output.version - 1) {
            return Ok(());
        }
        Err(Failure::Unknown(format!(
            "{name} was written as version {}, and version {} was expected to be the last: another writer came between, and \
             their value is in its history",
            output.version, write.replaces.0
        )))
    }
}

#[async_trait]
impl Backend for ParameterStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities { late_writes: LATE_REQUEST, read_only: false }
    }

    fn credentials(&self) -> Option<String> {
        self.aws.credentials()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let account = self.aws.caller().await?.account;
        StoreIdentity::new(format!("ssm {account} {} {}", self.region, self.path))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let (mut all, budget) = (Vec::new(), Budget::of_a_scan());
        let mut token = None;
        for _ in 0..MOST_PAGES {
            let page = match self.page(token.clone(), true).await {
                Ok(page) => page,
                // One parameter may be sealed with a KMS key that may not be used, so each is requested alone to find
                // it.
                Err(error) if error.is_denied() => {
                    let page = match self.page(token, false).await {
                        Ok(page) => page,
                        Err(error) => {
                            all.push((String::new(), Err(error.into_failed())));
                            return settled(all, Vec::new());
                        }
                    };
                    let full = page.parameters().iter().filter_map(Parameter::name);
                    let names: Vec<String> = full.map(|full| self.name(full)).collect();
                    let heard = self.get(&names).await;
                    all.extend(names.into_iter().zip(heard));
                    GetParametersByPathOutput::builder().set_next_token(page.next_token).build()
                }
                Err(error) => {
                    all.push((String::new(), Err(error.into_failed())));
                    return settled(all, Vec::new());
                }
            };
            let texts = page.parameters().iter().flat_map(|parameter| [parameter.name(), parameter.value()]);
            budget.take_page(texts.flatten().map(str::len).sum()).map_err(|why| {
                CallError::new(
                    CallErrorKind::Other,
                    format!("Parameter Store below {} was read in part: {why}", self.path),
                )
            })?;
            all.extend(page.parameters.unwrap_or_default().into_iter().filter_map(|parameter| self.heard(parameter)));
            token = page.next_token;
            if token.is_none() {
                if all.is_empty() {
                    self.is_no_parameter().await?;
                }
                return settled(all, Vec::new());
            }
        }
        let message = format!("parameters below {} are more than {MOST_PAGES} pages", self.path);
        Err(CallError::new(CallErrorKind::Other, message))
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let mut all = Vec::new();
        for page in names.chunks(PAGE) {
            all.extend(self.get(page).await.into_iter().map(|heard| ((), heard)));
        }
        Ok(settled(all, Vec::new())?.into_iter().map(|(_, reading)| reading).collect())
    }

    /// The values before the present ones. A version can be requested by its number
    /// (<https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-versions.html>).
    async fn replaced(&self, names: &[String]) -> Result<Vec<Option<SecretValue>>, CallError> {
        let mut replaced = Vec::new();
        for name in names {
            let version = match self.one(name).await? {
                Reading::Value { version, .. } => version.0.parse::<i64>().ok().filter(|version| *version > 1),
                Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => None,
            };
            replaced.push(match version {
                Some(version) => self.version(name, version - 1).await?,
                None => None,
            });
        }
        Ok(replaced)
    }

    async fn write(&self, _: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        let given = Secrets::default().values(batch.iter().map(|write| write.value.expose()));
        for (written, write) in batch.iter().enumerate() {
            self.replace(write, &given).await.map_err(|failure| after(written, failure))?;
        }
        Ok(())
    }
}
