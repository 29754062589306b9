//! Where Vault or OpenBao is and how to be known there: by the variables of their own tools.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// How rotator makes itself known.
pub enum Auth {
    /// With a token.
    Token {
        /// The token.
        token: Zeroizing<String>,
        /// Where it was found, for people.
        from: String,
    },
    /// As an AppRole.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
        /// Its secret.
        secret_id: Zeroizing<String>,
    },
    /// With the token of a pod's service account.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role.
        role: String,
        /// The file with the service account's token.
        token: PathBuf,
    },
}

impl Auth {
    /// Where the credentials come from, for people.
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

/// Why there is no such store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultStoreError {
    /// Nothing says where it is.
    #[error("find Vault: set VAULT_ADDR or BAO_ADDR")]
    NoAddress,
    /// The token would go in the clear.
    #[error("call Vault at {address}: plain http is for this machine only (localhost, 127.0.0.1, [::1]); use https")]
    PlainHttp {
        /// The address.
        address: String,
    },
    /// It is no URL.
    #[error("call Vault at {address}: that is not an http or https URL; correct VAULT_ADDR or BAO_ADDR")]
    NoUrl {
        /// The address.
        address: String,
    },
    /// Nothing says who we are.
    #[error("be known to Vault: {what}")]
    NoAuth {
        /// What is missing.
        what: String,
    },
    /// The certificate authority's file cannot be used.
    #[error("read the certificates in {}: {why}", path.display())]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The login failed.
    #[error("log in to Vault: {0}")]
    Login(String),
    /// The login was refused: the credentials for it are not accepted.
    #[error("log in to Vault with {from}: {why}")]
    Refused {
        /// Where they come from.
        from: String,
        /// What was answered.
        why: String,
    },
}

/// All that it takes.
pub struct VaultSettings {
    /// `https://host:8200`.
    pub address: String,
    /// The namespace, if there is one.
    pub namespace: Option<String>,
    /// How to be known.
    pub auth: Auth,
    /// A file with the server's certificate authority.
    pub authorities: Option<PathBuf>,
    /// The KV engine's mount.
    pub mount: String,
    /// The path below it; empty: all.
    pub root: String,
    /// How long one request may take.
    pub call_timeout: Duration,
}
