//! Where Vault or OpenBao is and how to be known there: by the variables of their own tools.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

/// Where a pod's token is.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

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

/// Text of the configuration by key; of the environment by name.
type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

impl VaultSettings {
    /// As the URI's rest (`MOUNT[/PATH]`), a `[[store]]` table and the environment say.
    ///
    /// # Errors
    /// [`VaultStoreError`] if the address or the credentials are missing.
    pub fn of(
        rest: &str,
        table: Lookup<'_>,
        environment: Lookup<'_>,
        call_timeout: Duration,
    ) -> Result<Self, VaultStoreError> {
        // OpenBao's own tools ask for their name first.
        let variable =
            |name: &str| environment(&format!("BAO_{name}")).or_else(|| environment(&format!("VAULT_{name}")));
        let rest = rest.trim_matches('/');
        let (mount, root) = rest.split_once('/').unwrap_or((rest, ""));
        Ok(Self {
            address: table("address").or_else(|| variable("ADDR")).ok_or(VaultStoreError::NoAddress)?,
            namespace: table("namespace").or_else(|| variable("NAMESPACE")),
            auth: auth(table, &variable, environment)?,
            authorities: table("ca_file").or_else(|| variable("CACERT")).map(PathBuf::from),
            mount: mount.to_owned(),
            root: root.to_owned(),
            call_timeout,
        })
    }
}

fn auth(table: Lookup<'_>, variable: Lookup<'_>, environment: Lookup<'_>) -> Result<Auth, VaultStoreError> {
    let missing = |what: &str| VaultStoreError::NoAuth { what: what.to_owned() };
    let mount = |default: &str| table("auth_mount").unwrap_or_else(|| default.to_owned());
    match table("auth").as_deref() {
        None | Some("token") => {
            let named = |name: &'static str| Some((environment(name)?, format!("the token in {name}")));
            let from_file = || {
                let file = PathBuf::from(environment("HOME")?).join(".vault-token");
                let text = std::fs::read_to_string(&file).ok()?;
                Some((text.trim().to_owned(), format!("the token in {}", file.display())))
            };
            let found = named("BAO_TOKEN").or_else(|| named("VAULT_TOKEN")).or_else(from_file);
            let found = found.filter(|(token, _)| !token.is_empty());
            found.map(|(token, from)| Auth::Token { token: Zeroizing::new(token), from }).ok_or_else(|| {
                missing("set VAULT_TOKEN or BAO_TOKEN, log in with `vault login`, or set auth of the [[store]]")
            })
        }
        Some("approle") => Ok(Auth::AppRole {
            mount: mount("approle"),
            role_id: table("role")
                .or_else(|| variable("ROLE_ID"))
                .ok_or_else(|| missing("set role of the [[store]]"))?,
            secret_id: secret_id(table, variable)?,
        }),
        Some("kubernetes") => Ok(Auth::Kubernetes {
            mount: mount("kubernetes"),
            role: table("role").ok_or_else(|| missing("set role of the [[store]]"))?,
            token: table("token_file").map_or_else(|| PathBuf::from(SERVICE_ACCOUNT_TOKEN), PathBuf::from),
        }),
        Some(other) => Err(missing(&format!("auth \"{other}\" is none of token, approle, kubernetes"))),
    }
}

fn secret_id(table: Lookup<'_>, variable: Lookup<'_>) -> Result<Zeroizing<String>, VaultStoreError> {
    let missing = |what: String| VaultStoreError::NoAuth { what };
    if let Some(file) = table("secret_id_file") {
        let text = std::fs::read_to_string(&file).map_err(|error| missing(format!("{file}: {error}")))?;
        return Ok(Zeroizing::new(text.trim().to_owned()));
    }
    variable("SECRET_ID")
        .map(Zeroizing::new)
        .ok_or_else(|| missing("set secret_id_file of the [[store]], or VAULT_SECRET_ID".to_owned()))
}
