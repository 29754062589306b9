//! IAM, STS and the AWS services that store secrets, with AWS's own SDK. Only this module names the service types of an
//! `aws_*` crate.
//!
//! - **No retries.** The SDK retries three times by default, even after a time-out, and `CreateAccessKey` has no
//!   idempotency token. So its retries are off for every call; the engine's rate limiter repeats what may be repeated.
//! - **Time-outs.** The SDK has no read time-out by default: connect, read, attempt and operation time-outs are set.
//! - **One pool.** All calls share one HTTP client, including those that prove a new pair with its own credentials.
//! - **Never in the clear.** Plain `http` is used for loopback only, and without a proxy.
//! - **Complete responses.** The SDK accepts a truncated body, and any 200 for a call without a result. So every response
//!   must be one complete document of the expected kind (`response_check`).
//! - **No bodies in messages.** `{:?}` of an SDK error prints the body with its secrets, so none is ever formatted here.
//!   Messages consist of error code, status and request id (`error`).
//!
//! Credentials, region, profile and endpoints are those of the SDK's default chain. Only the last resort for the region,
//! `us-east-1`, is set here (IAM is global).
//!
//! `LOG_SENSITIVE_BODIES` and `LOG_SIGNABLE_BODY` in the environment make the SDK log bodies. Removing a variable is safe
//! only while the process has one thread, so `main` removes them before it starts the runtime.

mod accounts;
mod client;
mod credentials_source;
mod error;
mod error_codes;
mod iam;
mod mfa;
mod parameter_store;
mod profile_file;
mod profile_roles;
mod refusal_text;
mod response_check;
mod secret_batches;
mod secrets_manager;
mod settings;
mod signing_keys;
mod simulation;
mod sso_session;
mod store_clients;
mod sts;

pub use accounts::{Access, Role};
pub use client::{Aws, ConnectError};
pub use error::NO_ANSWER;
pub use mfa::{AskCode, CodeRequest, MfaCode, MfaSessions};
pub use parameter_store::ParameterStore;
pub use secrets_manager::SecretsManagerStore;
pub use settings::AwsSettings;
pub use simulation::{Decision, Simulated, Verdict};

#[cfg(test)]
mod tests;
