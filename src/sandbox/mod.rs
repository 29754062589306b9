//! A simulation of the AWS calls that rotator makes, on loopback, with faults on demand.
//!
//! The sandbox speaks the AWS query protocol over HTTP/1.1 on 127.0.0.1 and behaves as IAM and STS do: signatures are
//! checked, inactive keys are refused, a user has two keys at most, names are unique regardless of case, and a user without
//! a policy is denied. It never calls another server. It does not know rotator's journal, stores or engine, and shares only
//! types with them.
//!
//! # The admin API
//!
//! Another process controls the sandbox on the same port, below `/_sandbox/`. Bodies and answers are JSON; a `POST` must say
//! `Content-Type: application/json` (no web page can send that here unasked). No answer holds a secret, except the
//! one to `keys` that made it.
//!
//! | request | body | does |
//! |---|---|---|
//! | `GET /_sandbox/state` | | account, clock, users with their keys, counts of calls, armed faults, held calls |
//! | `POST /_sandbox/users` | `{"name", "path"?, "administrator"?}` | creates a user |
//! | `POST /_sandbox/rename` | `{"user", "name"}` | renames a user |
//! | `POST /_sandbox/deny` | `{"user", "action", "explicit"?}` | takes an action such as `iam:CreateAccessKey` away from a user |
//! | `POST /_sandbox/keys` | `{"user", "id"?, "secret"?, "status"?, "created"?}` | creates a key; `{"id", "secret"}` |
//! | `POST /_sandbox/population` | `{"users": [{"user", "id"?, "secret"?, "status"?, "created"?}]}` | creates many users, each with one key; `{"added": n}` |
//! | `POST /_sandbox/behaviour` | `{"rate_limit"?, "new_keys_invalid_for_milliseconds"?}` | limits the calls per second and action, and delays new keys |
//! | `POST /_sandbox/faults` | `{"kind", "action"?, "user"?, "nth"?, "probability"?, "seed"?, "times"?}` | arms a fault; `{"fault": n}` |
//! | `DELETE /_sandbox/faults` | | disarms all faults; calls already held stay held |
//! | `POST /_sandbox/release` | `{"fault"?}` | releases the held calls of one fault or all; `{"released": n}` |
//! | `POST /_sandbox/advance` | `{"seconds"}` | advances the clock |
//!
//! `kind` is one of `{"type": "lost-reply-before"}`, `lost-reply-after`, `throttle`, `service-unavailable`,
//! `internal-failure`, `garbage-200`, `hold-until-released`, `hold-reply`, `hold-forever`,
//! `{"type": "latency", "milliseconds": n}`, `{"type": "truncate", "bytes": n}`, `{"type": "cut-off", "bytes": n}`,
//! `{"type": "refuse", "status": n, "code": "…", "message": "…"}`, `{"type": "twice", "told": "first"}` (or `"second"`:
//! which of the two answers is sent). `action` is AWS's name or `*`. `"times": 0` means
//! until disarmed; without `times` a fault strikes once, or until disarmed where it has a `probability`.

mod account;
mod action;
mod admin;
mod answers;
mod error;
mod faults;
mod iam_model;
mod query;
mod reply;
mod server;
mod signature;
mod simulation;

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::types::name::{AccessKeyId, AccountId};
use crate::types::secret::{NewKey, SecretKey};

pub use account::{KeyStatus, KeySummary, LastUse};
pub use action::{Action, Service};
pub use error::ApiError;
pub use faults::{Fault, FaultId, FaultKind, SentAnswer, When};
pub use iam_model::{Behaviour, KEYS_PER_USER};
pub use server::CallSeen;

use iam_model::IamModel;
use server::Shared;

/// The options of a sandbox.
#[derive(Debug)]
pub struct SandboxOptions {
    /// The port on 127.0.0.1; 0 means any free port.
    pub port: u16,
    pub account: AccountId,
    /// The user with all permissions.
    pub admin_user: String,
    /// The key of that user; by default a random one.
    pub admin_key: Option<NewKey>,
    /// How the account differs from an immediately consistent one.
    pub behaviour: Behaviour,
    /// The number of calls per second and action above which calls are throttled.
    pub rate_limit: Option<f64>,
    /// Whether the date of a signature is compared with the clock of the sandbox only, as in AWS. Otherwise a client
    /// that does not know yet that the clock was advanced is accepted.
    pub strict_signature_time: bool,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            port: 0,
            account: AccountId::new("123456789012").expect("twelve digits"),
            admin_user: "rotator-admin".to_owned(),
            admin_key: None,
            behaviour: Behaviour::default(),
            rate_limit: None,
            strict_signature_time: false,
        }
    }
}

/// A running sandbox. Clones are handles to the same sandbox, which ends with [`shutdown`](Self::shutdown) or the
/// last handle.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
    admin: Arc<NewKey>,
    address: SocketAddr,
    server: Arc<Server>,
}

/// The thread of the server, which is stopped when this is dropped.
struct Server {
    stop: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

impl Server {
    fn stop(&self) -> Option<JoinHandle<()>> {
        let (stop, thread) = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        // An error means that the server has ended already.
        let _ = stop.send(());
        Some(thread)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The thread is not joined: an observer may drop the last handle on that thread.
        self.stop();
    }
}

impl Sandbox {
    /// Starts a sandbox on a separate thread, so that a test cannot block it.
    ///
    /// # Errors
    /// If the port is not available, or if IAM would refuse the name of the administrator.
    pub fn start(options: SandboxOptions) -> io::Result<Self> {
        let mut model = IamModel::new(options.account, options.behaviour);
        let admin = options
            .admin_key
            .unwrap_or_else(|| NewKey { id: account::random_key_id(), secret: account::random_secret() });
        let secret = SecretKey::new(admin.secret.expose().to_owned());
        let now = model.clock.now();
        let seeded = model.create_user(&options.admin_user, "/", true).map(|_| ());
        seeded
            .and_then(|()| model.add_key(&options.admin_user, admin.id.clone(), secret, KeyStatus::Active, now))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        model.mature(&admin.id);

        let shared = Arc::new(Shared::new(model, options.rate_limit, options.strict_signature_time));
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = server::accept(listener, served) => {}
                    // The sender was dropped or has sent the stop signal.
                    _ = stopped => {}
                }
            });
        })?;
        let server = Arc::new(Server { stop: Mutex::new(Some((stop, thread))) });
        Ok(Self { shared, admin: Arc::new(admin), address, server })
    }

    /// Ends the sandbox: connections break, and held calls are never executed. Its state can still be inspected.
    pub fn shutdown(&self) {
        if let Some(thread) = self.server.stop()
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the server has been printed already.
            let _ = thread.join();
        }
    }

    /// The address of the server.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The URL for `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The initial key of the administrator.
    #[must_use]
    pub fn admin(&self) -> &NewKey {
        &self.admin
    }

    /// Issues temporary credentials of an administrator: a key and its session token, as from a role. The sandbox
    /// reports a user, and not a role, as their owner.
    ///
    /// # Errors
    /// `EntityAlreadyExists` if a user of the sandbox is named `session`.
    pub fn issue_session(&self) -> Result<(NewKey, String), ApiError> {
        self.shared.lock().model.create_user("session", "/", true)?;
        self.temporary_key("session")
    }

    /// Issues temporary credentials of a role with all permissions. The role counts as a user of the same name.
    ///
    /// # Errors
    /// `EntityAlreadyExists` if a user of the sandbox has the name of the role, or as `CreateUser`.
    pub fn issue_session_of_role(&self, role: &str, path: &str) -> Result<(NewKey, String), ApiError> {
        self.shared.lock().model.create_role(role, path, "session")?;
        self.temporary_key(role)
    }

    fn temporary_key(&self, user: &str) -> Result<(NewKey, String), ApiError> {
        let mut state = self.shared.lock();
        let (id, secret) = (account::random_key_id().as_str().replacen("AKIA", "ASIA", 1), account::random_secret());
        let id = AccessKeyId::new(id).map_err(|error| ApiError::validation(error.to_string()))?;
        let (same, token) = (SecretKey::new(secret.expose().to_owned()), account::random_secret().expose().to_owned());
        let now = state.model.clock.now();
        state.model.add_key(user, id.clone(), same, KeyStatus::Active, now)?;
        state.session_tokens.insert(id.as_str().to_owned(), token.clone());
        Ok((NewKey { id, secret }, token))
    }

    /// Creates a user without permissions.
    ///
    /// # Errors
    /// As `CreateUser`.
    pub fn add_user(&self, name: &str) -> Result<(), ApiError> {
        self.shared.lock().model.create_user(name, "/", false).map(|_| ())
    }

    /// Takes an action such as `iam:CreateAccessKey` away from a user or a role: `explicit` denies it, as a statement of a
    /// policy can, and otherwise no policy allows it. The action need not be one that the sandbox supports.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn deny(&self, user: &str, action: &str, explicit: bool) -> Result<(), ApiError> {
        self.shared.lock().model.deny(user, action, explicit)
    }

    /// Deletes a user with all keys, without a call of the API. The name may be reused afterwards.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn delete_user(&self, name: &str) -> Result<(), ApiError> {
        let model = &mut self.shared.lock().model;
        for key in model.keys_of(name) {
            model.delete_access_key(name, key.id.as_str())?;
        }
        model.delete_user(name)
    }

    /// Renames a user as `UpdateUser` does, without a call of the API; its unique id and keys stay.
    ///
    /// # Errors
    /// `NoSuchEntity`, or `EntityAlreadyExists` for the new name.
    pub fn rename_user(&self, name: &str, new_name: &str) -> Result<(), ApiError> {
        self.shared.lock().model.rename_user(name, new_name)
    }

    /// Adds a key with any status and age, even beyond the quota. By default `created` is now.
    ///
    /// # Errors
    /// `NoSuchEntity` for the user, `ValidationError` if the id is not valid or exists already.
    pub fn add_key(
        &self,
        user: &str,
        id: &str,
        secret: &str,
        status: KeyStatus,
        created: Option<Timestamp>,
    ) -> Result<(), ApiError> {
        let id = AccessKeyId::new(id).map_err(|error| ApiError::validation(error.to_string()))?;
        let model = &mut self.shared.lock().model;
        let created = created.unwrap_or_else(|| model.clock.now());
        model.add_key(user, id, SecretKey::new(secret.to_owned()), status, created)
    }

    /// Creates a key as `CreateAccessKey` does.
    ///
    /// # Errors
    /// As `CreateAccessKey`.
    pub fn create_key(&self, user: &str) -> Result<NewKey, ApiError> {
        self.shared.lock().model.create_access_key(user).map(|(key, _)| key)
    }

    /// Sets the status of a key, including `Expired`, without a call of the API.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn set_status(&self, user: &str, id: &str, status: KeyStatus) -> Result<(), ApiError> {
        self.shared.lock().model.update_access_key(user, id, status)
    }

    /// Uses a key now, as a program that signs a call of STS with it.
    ///
    /// # Errors
    /// `InvalidClientTokenId`, if there is no such key.
    pub fn use_key(&self, id: &str) -> Result<(), ApiError> {
        self.shared.lock().model.note_use(id, Service::Sts, "us-east-1").map(drop)
    }

    /// Deletes a key without a call of the API.
    ///
    /// # Errors
    /// `NoSuchEntity`.
    pub fn delete_key(&self, user: &str, id: &str) -> Result<(), ApiError> {
        self.shared.lock().model.delete_access_key(user, id)
    }

    /// Every key of `user`, including those that lists do not show yet; empty if there is no such user.
    #[must_use]
    pub fn keys_of(&self, user: &str) -> Vec<KeySummary> {
        self.shared.lock().model.keys_of(user)
    }

    /// Every key of the account, by user.
    #[must_use]
    pub fn all_keys(&self) -> Vec<KeySummary> {
        let model = &self.shared.lock().model;
        model.users().flat_map(|user| model.keys_of(&user.name)).collect()
    }

    /// Whether a request that is signed with this pair would be accepted now.
    #[must_use]
    pub fn accepts(&self, id: &str, secret: &str) -> bool {
        self.shared.lock().model.accepts(id, &SecretKey::new(secret.to_owned()))
    }

    /// The number of calls of each action, including failed ones.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<Action, u64> {
        self.shared.lock().calls.clone()
    }

    /// Registers an observer, which is called after every call on the thread of the server. It may query the sandbox,
    /// and must not block.
    pub fn observe(&self, observer: impl Fn(&CallSeen) + Send + Sync + 'static) {
        self.shared.lock().observers.push(Arc::new(observer));
    }

    /// The time of the sandbox.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.lock().model.clock.now()
    }

    /// Advances the clock of the sandbox.
    pub fn advance(&self, by: Duration) {
        self.shared.lock().model.clock.advance(by);
    }

    /// Sets the behaviour of the account from now on.
    pub fn set_behaviour(&self, behaviour: Behaviour) {
        self.shared.lock().model.behaviour = behaviour;
    }

    /// Sets the number of calls per second and action that are accepted.
    pub fn set_rate_limit(&self, per_second: Option<f64>) {
        self.shared.lock().rate_limit = per_second;
    }

    pub fn arm(&self, fault: Fault) -> FaultId {
        self.shared.lock().faults.arm(fault)
    }

    /// Disarms all faults. Held calls wait until [`release`](Self::release).
    pub fn disarm_all(&self) {
        self.shared.lock().faults.disarm_all();
    }

    /// Releases the calls that `fault` holds, or all held calls, and returns their number.
    pub fn release(&self, fault: Option<FaultId>) -> usize {
        self.shared.release(fault)
    }

    /// Waits until at least `count` calls are held.
    pub async fn held(&self, count: usize) {
        let mut held = self.shared.held.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = held.wait_for(|now| *now >= count).await;
    }
}
