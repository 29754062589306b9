//! The errors of AWS. Codes and statuses are those of its reference; the messages are those of AWS as far as they are
//! known, and no code may depend on them.

use super::action::{Action, Service};

/// An error of AWS: HTTP status, error code and message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code} ({status}): {message}")]
pub struct ApiError {
    pub status: u16,
    /// The error code, which clients compare.
    pub code: String,
    /// The message, for operators.
    pub message: String,
}

impl ApiError {
    #[must_use]
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into() }
    }

    pub(super) fn access_denied(caller_arn: &str, action: Action, resource: &str) -> Self {
        let (service, message_action) = (action.service().name(), action.name());
        Self::new(
            403,
            "AccessDenied",
            format!(
                "User: {caller_arn} is not authorized to perform: {service}:{message_action} on resource: {resource} \
                 because no identity-based policy allows the {service}:{message_action} action"
            ),
        )
    }

    pub(super) fn delete_conflict() -> Self {
        Self::new(409, "DeleteConflict", "Cannot delete entity, must delete access keys first.")
    }

    pub(super) fn entity_already_exists(user: &str) -> Self {
        Self::new(409, "EntityAlreadyExists", format!("User with name {user} already exists."))
    }

    pub(super) fn incomplete_signature(message: impl Into<String>) -> Self {
        Self::new(400, "IncompleteSignature", message)
    }

    pub(super) fn internal_failure() -> Self {
        Self::new(
            500,
            "InternalFailure",
            "The request processing has failed because of an unknown error, exception or failure.",
        )
    }

    pub(super) fn invalid_action(action: &str, version: &str) -> Self {
        Self::new(400, "InvalidAction", format!("Could not find operation {action} for version {version}"))
    }

    pub(super) fn invalid_entity_arn(arn: &str) -> Self {
        let message = format!("Invalid Entity Arn: {arn} does not clearly define entity type and name.");
        Self::new(400, "InvalidInput", message)
    }

    pub(super) fn invalid_client_token_id() -> Self {
        Self::new(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    }

    pub(super) fn keys_per_user(quota: usize) -> Self {
        Self::new(409, "LimitExceeded", format!("Cannot exceed quota for AccessKeysPerUser: {quota}"))
    }

    pub(super) fn missing_authentication_token() -> Self {
        Self::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
    }

    pub(super) fn no_such_key(id: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The Access Key with id {id} cannot be found."))
    }

    pub(super) fn no_such_role(name: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The role with name {name} cannot be found."))
    }

    pub(super) fn no_such_user(name: &str) -> Self {
        Self::new(404, "NoSuchEntity", format!("The user with name {name} cannot be found."))
    }

    pub(super) fn service_unavailable() -> Self {
        Self::new(503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
    }

    pub(super) fn signature_does_not_match(message: impl Into<String>) -> Self {
        Self::new(403, "SignatureDoesNotMatch", message)
    }

    pub(super) fn throttling() -> Self {
        Self::new(400, "Throttling", "Rate exceeded")
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "ValidationError", message)
    }

    /// The error for a parameter that breaks a rule of the service model.
    pub(super) fn constraint(parameter: &str, value: Option<&str>, rule: &str) -> Self {
        let value = value.map_or_else(|| "null".to_owned(), |value| format!("'{value}'"));
        Self::validation(format!(
            "1 validation error detected: Value {value} at '{parameter}' failed to satisfy constraint: Member must {rule}"
        ))
    }

    pub(super) fn wrong_scope(service: Service) -> Self {
        Self::signature_does_not_match(format!("Credential should be scoped to correct service: '{}'.", service.name()))
    }
}
