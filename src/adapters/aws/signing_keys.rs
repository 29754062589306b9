//! The keys that sign the calls of the SDK's credential chain: those at the start of a chain of assumed roles. They
//! are rotator's own keys as well.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;

use super::response_check::signer;
use crate::types::name::AccessKeyId;

/// The keys that were seen; shared by all clients of one account.
#[derive(Debug, Clone, Default)]
pub(super) struct SigningKeys(Arc<Mutex<BTreeSet<AccessKeyId>>>);

impl SigningKeys {
    /// Wraps the connector and inspects each request.
    pub(super) fn watching(&self, inner: SharedHttpConnector) -> SharedHttpConnector {
        SharedHttpConnector::new(Watching { inner, signers: self.clone() })
    }

    /// The keys that have signed a request.
    pub(super) fn seen(&self) -> BTreeSet<AccessKeyId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, authorization: &str) {
        if let Some(key) = signer(authorization).and_then(|id| AccessKeyId::new(id).ok()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        }
    }
}

#[derive(Debug)]
struct Watching {
    inner: SharedHttpConnector,
    signers: SigningKeys,
}

impl HttpConnector for Watching {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        if let Some(authorization) = request.headers().get("authorization") {
            self.signers.note(authorization);
        }
        self.inner.call(request)
    }
}
