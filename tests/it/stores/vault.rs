//! Vault's API, at a real OpenBao server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rotator::adapters::stores::vault::{Auth, VaultSettings, VaultStore, VaultStoreError};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::call::CallErrorKind;
use rotator::ports::secret_store::{Reading, SecretStore};
use rotator::types::failure::{Failure, RefusalKind};
use rotator::types::name::StoreName;
use serde_json::{Value, json};

use super::subject::Subject;
use super::{conforms, name};
use crate::support::bao::{Bao, ROOT};

fn settings(bao: &Bao, token: &str) -> VaultSettings {
    VaultSettings {
        address: bao.url(),
        namespace: None,
        auth: Auth::Token { token: token.to_owned().into(), from: "the test".to_owned() },
        authorities: None,
        mount: "kv".to_owned(),
        root: String::new(),
        call_timeout: Duration::from_secs(10),
    }
}

/// A path as a URL has it.
fn url(entry: &str) -> String {
    let entry = entry.trim_end_matches("/_").trim_start_matches("-/");
    let escaped = |byte: u8| {
        if byte.is_ascii_alphanumeric() || b"/-._".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    entry.bytes().map(escaped).collect()
}

async fn opened(settings: VaultSettings) -> Arc<dyn SecretStore> {
    let vault = VaultStore::open(settings).await.expect("opens");
    Arc::new(BackendStore::new(StoreName::new("vault:kv").expect("valid"), Naming::default(), Arc::new(vault)))
}

struct Kv {
    bao: Mutex<Option<Bao>>,
}

impl Kv {
    fn with<T>(&self, work: impl FnOnce(&Bao) -> T) -> T {
        work(self.bao.lock().expect("one thread").as_ref().expect("it runs"))
    }

    /// A token that may do what `rules` say.
    fn token(&self, rules: &str) -> String {
        self.with(|bao| {
            bao.ask("PUT", "/v1/sys/policies/acl/test", Some(&json!({ "policy": rules })));
            let made = bao.ask("POST", "/v1/auth/token/create", Some(&json!({ "policies": ["test"] })));
            made.pointer("/auth/client_token").and_then(Value::as_str).expect("a token").to_owned()
        })
    }

    fn rules(&self, more: &str) {
        let rules = format!("{EVERYTHING}{more}");
        self.with(|bao| bao.ask("PUT", "/v1/sys/policies/acl/test", Some(&json!({ "policy": rules }))));
    }
}

/// The policy that rotator needs.
const EVERYTHING: &str = r#"
    path "kv/metadata/*" { capabilities = ["list"] }
    path "kv/data/*" { capabilities = ["read", "update"] }
"#;

impl Subject for Kv {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.with(Bao::mount_kv);
        let token = self.token(EVERYTHING);
        let settings = self.with(|bao| settings(bao, &token));
        futures_util::FutureExt::now_or_never(opened(settings)).expect("a token needs no request")
    }

    fn put(&self, entry: &str, value: &[u8]) {
        let text = std::str::from_utf8(value).expect("text");
        let body = json!({ "data": { "value": text } });
        self.with(|bao| bao.ask("POST", &format!("/v1/kv/data/{}", url(entry)), Some(&body)));
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        let (_, answer) = self.with(|bao| bao.call("GET", &format!("/v1/kv/data/{}", url(entry)), None));
        Some(answer.pointer("/data/data/value")?.as_str()?.as_bytes().to_vec())
    }

    fn stored(&self, text: &str) -> Vec<u8> {
        json!({ "value": text }).to_string().into_bytes()
    }

    fn remove(&self, entry: &str) -> bool {
        self.with(|bao| bao.ask("DELETE", &format!("/v1/kv/data/{}", url(entry)), None));
        true
    }

    fn odd_names(&self) -> Vec<String> {
        ["caf\u{e9}/live/x y", "a.b/c-d/e_f", "a/b/c=d&e?f#g:h", "shop/live/_", "-/-/top"].map(str::to_owned).into()
    }

    fn forbid_reading(&self, entry: &str) -> bool {
        self.rules(&format!(r#"path "kv/data/{entry}" {{ capabilities = ["deny"] }}"#));
        true
    }

    fn forbid_writing(&self, entry: &str) -> bool {
        self.rules(&format!(r#"path "kv/data/{entry}" {{ capabilities = ["read"] }}"#));
        true
    }

    fn says_what_may_be_written(&self) -> bool {
        true
    }

    fn forbid_nothing(&self) {
        self.rules("");
    }

    fn go(&self) {
        self.bao.lock().expect("one thread").take();
    }
}

#[tokio::test]
async fn vault_conforms_at_a_real_server() {
    conforms(&Kv { bao: Mutex::new(Some(Bao::start())) }).await;
}

#[tokio::test]
async fn faults_of_vault_are_distinguished() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    let store = kv.fresh();
    kv.put("shop/live/aws", b"x");
    let identity = store.identity().await.expect("known");
    assert_eq!(store.identity().await.expect("known"), identity);
    // Deleted is missing, and brought back it is there.
    kv.remove("shop/live/aws");
    assert!(matches!(store.read(&[name("shop/live/aws")]).await.expect("asked").as_slice(), [Reading::Missing]));
    assert!(store.read_all().await.expect("listed").is_empty());
    // The token is not a valid token.
    let invalid = opened(kv.with(|bao| settings(bao, "invalid"))).await;
    assert_eq!(invalid.read_all().await.expect_err("refused").kind, CallErrorKind::Credentials);
    // No such mount, and one of version 1.
    let at = async |mount: &str| {
        opened(VaultSettings { mount: mount.to_owned(), ..kv.with(|bao| settings(bao, ROOT)) }).await
    };
    assert!(at("nothing").await.read_all().await.is_err(), "a mount that is not there is no empty store");
    kv.with(|bao| bao.ask("POST", "/v1/sys/mounts/old", Some(&json!({ "type": "kv", "options": { "version": "1" } }))));
    let old = at("old").await.identity().await.expect_err("refused");
    assert!(old.message.contains("version 2"), "{old}");
    let old = at("old").await.read_all().await.expect_err("a list of it is empty, and says nothing");
    assert!(old.message.contains("version 2"), "{old}");
    // A wrong name must not look like an empty store.
    kv.put("shop/live/aws", b"x");
    for (root, words) in [
        ("data/shop", "write vault:kv/shop"),
        ("metadata/shop", "write vault:kv/shop"),
        ("shop/live/aws", "is one secret"),
        ("shopp", "there is nothing at kv/shopp"),
    ] {
        let wrong = opened(VaultSettings { root: root.to_owned(), ..kv.with(|bao| settings(bao, ROOT)) }).await;
        let error = wrong.read_all().await.expect_err("it is not there");
        assert!(error.message.contains(words), "{root}: {error}");
    }
    // Another mount under the same path is another store.
    let again = kv.fresh();
    assert_ne!(again.identity().await.expect("known"), identity);
    kv.with(|bao| bao.ask("PUT", "/v1/sys/seal", None));
    let sealed = again.read_all().await.expect_err("sealed");
    assert!(sealed.kind == CallErrorKind::Unavailable && sealed.message.contains("sealed"), "{sealed}");
}

#[tokio::test]
async fn a_revoked_token_is_no_refusal_of_rights() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    let (store, token) = (kv.fresh(), kv.token(EVERYTHING));
    kv.put("shop/live/aws", b"x");
    let at = super::version(&store, "shop/live/aws").await;
    let mine = opened(kv.with(|bao| settings(bao, &token))).await;
    let write = || super::write(&mine, vec![super::over(&kv, "shop/live/aws", &at, "y")]);
    let kind = |result| match result {
        Err(Failure::Refused(refusal)) => refusal.kind,
        other => panic!("{other:?}"),
    };
    kv.forbid_writing("shop/live/aws");
    assert_eq!(kind(write().await), RefusalKind::Denied);
    kv.forbid_reading("shop/live/aws");
    let read = mine.read(&[name("shop/live/aws")]).await.expect("said for the one entry");
    assert!(matches!(read.as_slice(), [Reading::Unreadable(_)]), "{read:?}");
    kv.with(|bao| bao.ask("POST", "/v1/auth/token/revoke", Some(&json!({ "token": token }))));
    let again = opened(kv.with(|bao| settings(bao, &token))).await;
    assert_eq!(again.read(&[name("shop/live/aws")]).await.expect_err("revoked").kind, CallErrorKind::Credentials);
    let write = super::write(&again, vec![super::over(&kv, "shop/live/aws", &at, "y")]);
    assert_eq!(kind(write.await), RefusalKind::Credentials);
}

#[tokio::test]
async fn an_app_role_logs_in() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    drop(kv.fresh());
    kv.put("shop/live/aws", b"x");
    let (role_id, secret_id) = kv.with(|bao| {
        bao.ask("POST", "/v1/sys/auth/approle", Some(&json!({ "type": "approle" })));
        bao.ask("POST", "/v1/auth/approle/role/rotator", Some(&json!({ "token_policies": ["test"] })));
        let text = |answer: Value, pointer| answer.pointer(pointer).and_then(Value::as_str).expect("an id").to_owned();
        let role = bao.ask("GET", "/v1/auth/approle/role/rotator/role-id", None);
        let secret = bao.ask("POST", "/v1/auth/approle/role/rotator/secret-id", None);
        (text(role, "/data/role_id"), text(secret, "/data/secret_id"))
    });
    let with = |secret_id: &str| {
        let mount = "approle".to_owned();
        let auth = Auth::AppRole { mount, role_id: role_id.clone(), secret_id: secret_id.to_owned().into() };
        VaultSettings { auth, ..kv.with(|bao| settings(bao, "")) }
    };
    let store = opened(with(&secret_id)).await;
    assert_eq!(store.read_all().await.expect("listed").len(), 1);
    assert!(matches!(VaultStore::open(with("wrong")).await, Err(VaultStoreError::Refused { .. })));
    // A run that waits outlives its token.
    kv.with(|bao| {
        bao.ask("POST", "/v1/auth/approle/role/rotator", Some(&json!({ "token_ttl": "2s", "token_max_ttl": "2s" })))
    });
    let short = opened(with(&secret_id)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(short.read_all().await.expect("logged in again").len(), 1);
    // A token that was revoked is refused like one without rights: it is known by not being able to look itself up.
    kv.with(|bao| bao.ask("PUT", "/v1/sys/leases/revoke-prefix/auth/approle/login", None));
    assert_eq!(store.read_all().await.expect("logged in again").len(), 1);
}

/// A certificate authority that has issued nothing: OpenBao wants one, and none is asked of a server without TLS.
const AUTHORITY: &str = "-----BEGIN CERTIFICATE-----\n\
    MIIBJjCBzKADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBm5vYm9keTAg\n\
    Fw0yNjAxMDEwMDAwMDBaGA8yMTI2MDEwMTAwMDAwMFowETEPMA0GA1UEAwwGbm9i\n\
    b2R5MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE5CmN44P2QzSJvH5O/YHKBiK1\n\
    uc8/JbngvmmCcp6XrjeZbLgNXPeaXqXJ/ysAljUacIfplAYm54p1rtVNQvSWHqMT\n\
    MBEwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBGAiEA0StVbx3CBVgc\n\
    lZfBuHrZF/fAbtOPQunmIed1mUMaReACIQD3eO9AGmgXlq5doB/6ML4r4SPjXMnq\n\
    mvXzCqir6QwwZg==\n\
    -----END CERTIFICATE-----\n";

/// A service account's token, as a cluster signs it (whether it did is for the cluster to say).
fn service_account_token() -> String {
    let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:tools:rotator",
        "aud": ["vault"],
        "iat": 1_700_000_000,
        "nbf": 1_700_000_000,
        "exp": 4_102_444_800_u64,
        "kubernetes.io": { "namespace": "tools", "serviceaccount": { "name": "rotator", "uid": "u1" } },
    });
    format!("{}.{}.{}", part(json!({ "alg": "RS256", "typ": "JWT" })), part(claims), URL_SAFE_NO_PAD.encode("signed"))
}

/// A cluster that reviews tokens (<https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/token-review-v1/>)
/// and knows this one.
fn reviewer(known: String) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let (mut length, mut line) = (0, String::new());
            while reader.read_line(&mut line).expect("a line") > 2 {
                if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("a body");
            let mut review: Value = serde_json::from_slice(&body).expect("a review");
            let is_known = review.pointer("/spec/token").and_then(Value::as_str) == Some(&known);
            let user = json!({ "username": "system:serviceaccount:tools:rotator", "uid": "u1" });
            review["status"] = json!({ "authenticated": is_known, "user": user, "audiences": ["vault"] });
            let text = review.to_string();
            let head = "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length:";
            write!(reader.get_mut(), "{head} {}\r\n\r\n{text}", text.len()).expect("answered");
        }
    });
    address
}

#[tokio::test]
async fn a_service_account_of_kubernetes_logs_in() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    drop(kv.fresh());
    kv.put("shop/live/aws", b"x");
    let token = service_account_token();
    let cluster = format!("http://{}", reviewer(token.clone()));
    kv.with(|bao| {
        bao.ask("POST", "/v1/sys/auth/k8s", Some(&json!({ "type": "kubernetes" })));
        let config = json!({
            "kubernetes_host": cluster,
            "kubernetes_ca_cert": AUTHORITY,
            "token_reviewer_jwt": token,
            "disable_local_ca_jwt": true,
        });
        bao.ask("POST", "/v1/auth/k8s/config", Some(&config));
        let role = json!({
            "bound_service_account_names": ["rotator"],
            "bound_service_account_namespaces": ["tools"],
            "audience": "vault",
            "token_policies": ["test"],
        });
        bao.ask("POST", "/v1/auth/k8s/role/rotator", Some(&role));
    });
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let with = |role: &str| {
        let auth = Auth::Kubernetes { mount: "k8s".to_owned(), role: role.to_owned(), token: file.clone() };
        VaultSettings { auth, ..kv.with(|bao| settings(bao, "")) }
    };
    let Err(VaultStoreError::Refused { why, .. }) = VaultStore::open(with("rotator")).await else {
        panic!("there is no token")
    };
    assert!(why.contains("token"), "{why}");
    std::fs::write(&file, format!("{token}\n")).expect("written");
    assert_eq!(opened(with("rotator")).await.read_all().await.expect("listed").len(), 1);
    assert!(
        matches!(VaultStore::open(with("another")).await, Err(VaultStoreError::Refused { .. })),
        "there is no such role"
    );
    std::fs::write(&file, service_account_token().replace(&URL_SAFE_NO_PAD.encode("signed"), "Zm9yZ2Vk"))
        .expect("written");
    let Err(VaultStoreError::Refused { why, .. }) = VaultStore::open(with("rotator")).await else {
        panic!("the cluster does not know it")
    };
    assert!(!why.contains("Zm9yZ2Vk"), "no token in an error: {why}");
}

#[tokio::test]
async fn a_namespace_has_secrets_of_its_own() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    drop(kv.fresh());
    kv.put("shop/live/outside", b"x");
    kv.with(|bao| {
        bao.ask("POST", "/v1/sys/namespaces/team", None);
        bao.ask("POST", "/v1/team/sys/mounts/kv", Some(&json!({ "type": "kv", "options": { "version": "2" } })));
        let data = json!({ "data": { "value": "y" } });
        let began = std::time::Instant::now();
        // A new mount takes a moment to be one of version 2.
        while bao.call("POST", "/v1/team/kv/data/shop/live/inside", Some(&data)).0 != 200 {
            assert!(began.elapsed() < Duration::from_secs(30), "the mount is not ready");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let of = async |namespace: Option<&str>| {
        let namespace = namespace.map(str::to_owned);
        opened(VaultSettings { namespace, ..kv.with(|bao| settings(bao, ROOT)) }).await
    };
    let names = async |store: &dyn SecretStore| {
        let read = store.read_all().await.expect("listed");
        read.into_iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>()
    };
    let (outer, team) = (of(None).await, of(Some("team")).await);
    assert_eq!(names(outer.as_ref()).await, ["shop/live/outside"]);
    assert_eq!(names(team.as_ref()).await, ["shop/live/inside"]);
    assert_ne!(outer.identity().await.expect("known"), team.identity().await.expect("known"), "two stores");
    assert!(of(Some("missing")).await.read_all().await.is_err(), "a namespace that is not there is no empty store");
}
