//! The address of Vault or OpenBao, and the credentials for it.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// The auth method and its credentials.
pub enum Auth {
    Token {
        token: Zeroizing<String>,
        /// The source of the token, for operators.
        from: String,
    },
    /// An AppRole.
    AppRole {
        /// The mount of the auth method.
        mount: String,
        role_id: String,
        secret_id: Zeroizing<String>,
    },
    /// The service account of a pod.
    Kubernetes {
        /// The mount of the auth method.
        mount: String,
        role: String,
        /// The file with the service account token.
        token: PathBuf,
    },
}

impl Auth {
    /// The source of the credentials, for operators.
    pub(super) fn in_words(&self) -> String {
        match self {
            Self::Token { from, .. } => from.clone(),
            Self::AppRole { mount, role_id, .. } => format!("the AppRole {role_id} at auth/{mount}"),
            Self::Kubernetes { mount, role, token } => {
                format!("the role {role} at auth/{mount} with the service account token in {}", token.display())
            }
        }
    }
}

/// Why a Vault store cannot be opened. Each message follows "failed to".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultStoreError {
    /// The address is missing.
    #[error("find Vault: there is no address; set VAULT_ADDR or BAO_ADDR")]
    NoAddress,
    /// The token would be sent in the clear.
    #[error("call Vault at {address}: plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https")]
    PlainHttp { address: String },
    /// The address is not a URL.
    #[error("call Vault at {address}: this is not an http or https URL; correct VAULT_ADDR or BAO_ADDR")]
    NoUrl { address: String },
    /// The credentials are missing.
    #[error("log in to Vault: {what}")]
    NoAuth { what: String },
    /// The file with the certificate authorities is not valid.
    #[error("read the certificates in {}: {why}", path.display())]
    Authorities { path: PathBuf, why: String },
    /// The login failed.
    #[error("log in to Vault: {0}")]
    Login(String),
    /// The credentials cannot be read, or the login was refused: they are not accepted.
    #[error("log in to Vault with {from}: {why}")]
    Refused {
        /// The source of the credentials.
        from: String,
        /// The answer of the server, or of the operating system.
        why: String,
    },
}

/// The settings of a Vault store.
pub struct VaultSettings {
    /// The URL of the server, such as `https://host:8200`.
    pub address: String,
    /// The namespace, if there is one.
    pub namespace: Option<String>,
    pub auth: Auth,
    /// A file with the certificate authorities of the server.
    pub authorities: Option<PathBuf>,
    /// The mount of the KV engine.
    pub mount: String,
    /// The path below the mount; empty for the whole mount.
    pub root: String,
    /// The maximum duration of one request.
    pub call_timeout: Duration,
}
