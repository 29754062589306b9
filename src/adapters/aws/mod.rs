//! IAM and STS, and the AWS services that hold secrets, through AWS's own SDK: the only module that names an `aws_*` crate's service types.
//!
//! - **Once.** The SDK retries three times by default, time-outs included, and `CreateAccessKey` has no idempotency
//!   token: its retries are off for every call, the engine's pacer retries what may be retried.
//! - **In time.** The SDK has no read time-out by default: connect, read, attempt and operation time-outs are set.
//! - **One pool.** All calls share one HTTP client, those that prove a new pair with its own credentials too.
//! - **Never in the clear.** Plain `http` goes to loopback only, and then past any proxy.
//! - **Whole or nothing.** The SDK takes a truncated body for a success, and any 200 for the success of a call that
//!   answers nothing: every answer must be one whole document of the expected kind (`response_check`).
//! - **No bodies in words.** `{:?}` of an SDK error prints the body, secret included: none is ever formatted here;
//!   messages are made of error code, status and request id (`error`).
//!
//! Credentials, region, profile and endpoints come from the SDK's default chain, nothing of our own but the last
//! resort for the region, `us-east-1` (IAM is global).
//!
//! `LOG_SENSITIVE_BODIES` and `LOG_SIGNABLE_BODY` in the environment make the SDK log bodies. Removing a variable is
//! only safe while the process has one thread, so that is for `main` to do, before it starts the runtime; here it
//! would be too late.

mod accounts;
mod client;
mod credentials_source;
mod error;
mod error_codes;
mod iam;
mod parameter_store;
mod response_check;
mod secrets_manager;
mod signing_keys;
mod store_clients;
mod sts;

pub use accounts::{Access, Role};
pub use client::{Aws, AwsSettings, ConnectError};
pub use parameter_store::ParameterStore;
pub use secrets_manager::SecretsManagerStore;

#[cfg(test)]
mod tests;
