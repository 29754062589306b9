//! Vault's API, at a real OpenBao server.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::stores::vault::{Auth, Vault, VaultError, VaultSettings};
use rotator::adapters::stores::{Named, Naming};
use rotator::ports::call::CallErrorKind;
use rotator::ports::secret_store::{Reading, SecretStore};
use rotator::rotation::name::StoreName;
use serde_json::{Value, json};

use super::subject::Subject;
use super::{conforms, name};
use crate::support::bao::{Bao, ROOT};

fn settings(bao: &Bao, token: &str) -> VaultSettings {
    VaultSettings {
        address: bao.url(),
        namespace: None,
        auth: Auth::Token(token.to_owned().into()),
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
    let vault = Vault::open(settings).await.expect("opens");
    Arc::new(Named::new(StoreName::new("vault:kv").expect("valid"), Naming::default(), Arc::new(vault)))
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

/// What rotator needs there.
const EVERYTHING: &str = r#"
    path "kv/metadata/*" { capabilities = ["list"] }
    path "kv/data/*" { capabilities = ["read", "update"] }
"#;

impl Subject for Kv {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.with(Bao::mount_kv);
        let token = self.token(EVERYTHING);
        let settings = self.with(|bao| settings(bao, &token));
        futures_util::FutureExt::now_or_never(opened(settings)).expect("a token asks nobody")
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
async fn what_is_wrong_with_vault_is_told_apart() {
    let kv = Kv { bao: Mutex::new(Some(Bao::start())) };
    let store = kv.fresh();
    kv.put("shop/live/aws", b"x");
    let identity = store.identity().await.expect("known");
    assert_eq!(store.identity().await.expect("known"), identity);
    // Deleted is missing, and brought back it is there.
    kv.remove("shop/live/aws");
    assert!(matches!(store.read(&[name("shop/live/aws")]).await.expect("asked").as_slice(), [Reading::Missing]));
    assert!(store.read_all().await.expect("listed").is_empty());
    // A token that is none.
    let nobody = opened(kv.with(|bao| settings(bao, "nobody"))).await;
    assert_eq!(nobody.read_all().await.expect_err("refused").kind, CallErrorKind::Denied);
    // No such mount, and one of version 1.
    let at = async |mount: &str| {
        opened(VaultSettings { mount: mount.to_owned(), ..kv.with(|bao| settings(bao, ROOT)) }).await
    };
    assert!(at("nothing").await.read_all().await.is_err(), "a mount that is not there is no empty store");
    kv.with(|bao| bao.ask("POST", "/v1/sys/mounts/old", Some(&json!({ "type": "kv", "options": { "version": "1" } }))));
    let old = at("old").await.identity().await.expect_err("refused");
    assert!(old.message.contains("version 2"), "{old}");
    // Another mount under the same path is another store.
    let again = kv.fresh();
    assert_ne!(again.identity().await.expect("known"), identity);
    kv.with(|bao| bao.ask("PUT", "/v1/sys/seal", None));
    let sealed = again.read_all().await.expect_err("sealed");
    assert!(sealed.kind == CallErrorKind::Unavailable && sealed.message.contains("sealed"), "{sealed}");
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
    assert!(matches!(Vault::open(with("wrong")).await, Err(VaultError::Login(_))));
    // A run that waits outlives its token.
    kv.with(|bao| {
        bao.ask("POST", "/v1/auth/approle/role/rotator", Some(&json!({ "token_ttl": "2s", "token_max_ttl": "2s" })))
    });
    let short = opened(with(&secret_id)).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(short.read_all().await.expect("logged in again").len(), 1);
}
