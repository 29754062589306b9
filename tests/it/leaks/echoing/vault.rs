//! A Vault server that quotes at the login, in every call of a store, and to the whole program.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rotator::adapters::stores::vault::{Auth, VaultSettings, VaultStore};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::StoreName;
use serde_json::json;

use super::super::forms::Secrets;
use super::super::trawl::{Trawl, talkative};
use super::{NEIGHBOUR, NEW, Reported, TOKEN, document};
use crate::support::echo::{ENCODINGS, Echo, Encoding, Protocol, Request};
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};

const SECRET_ID: &str = "9d4c5c1e-7a2b-4f0e-8c3d-1b6a2e5f7c9d";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.c29tZS1jbGFpbXMtb2YtYS1wb2Q.c2lnbmVkLWJ5LXRoZS1jbHVzdGVy";

/// The server answers a request normally if its request line contains one of these texts.
type Peace = Arc<Mutex<Vec<&'static str>>>;

fn start(peace: &Peace) -> Echo {
    let peace = Arc::clone(peace);
    Echo::start(Protocol::Vault, move |request: &Request| {
        let line = request.line.as_str();
        peace.lock().expect("no panic").iter().any(|part| line.contains(part)).then_some(())?;
        Some(if line.contains("/login") {
            json!({ "auth": { "client_token": TOKEN, "lease_duration": 3600 } }).to_string()
        } else if line.starts_with("LIST") {
            json!({ "data": { "keys": ["a", "b"] } }).to_string()
        } else if line.contains("/mounts/") {
            let data = json!({ "type": "kv", "options": { "version": "2" }, "uuid": "u", "path": "kv/" });
            json!({ "data": data }).to_string()
        } else {
            let held: serde_json::Value = serde_json::from_str(&document(NEIGHBOUR)).expect("JSON");
            json!({ "data": { "data": held, "metadata": { "version": 1 } } }).to_string()
        })
    })
}

async fn open(echo: &Echo, auth: Auth) -> Result<Arc<dyn SecretStore>, String> {
    let settings = VaultSettings {
        address: echo.url(),
        namespace: None,
        auth,
        authorities: None,
        mount: "kv".to_owned(),
        root: String::new(),
        call_timeout: Duration::from_secs(10),
    };
    let vault = VaultStore::open(settings).await.map_err(|error| error.to_string())?;
    Ok(Arc::new(BackendStore::new(StoreName::new("vault:kv").expect("valid"), Naming::default(), Arc::new(vault))))
}

fn app_role() -> Auth {
    Auth::AppRole { mount: "approle".to_owned(), role_id: "role".to_owned(), secret_id: SECRET_ID.to_owned().into() }
}

#[tokio::test]
async fn a_vault_that_quotes_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let jwt: PathBuf = folder.path().join("token");
    std::fs::write(&jwt, format!("{JWT}\n")).expect("written");
    let peace = Peace::default();
    let echo = start(&peace);
    for (status, encoding) in [400, 403, 500].into_iter().flat_map(|status| ENCODINGS.map(|of| (status, of))) {
        let what = format!("Vault, {status}, {encoding:?}");
        echo.quotes(status, encoding, "");
        let answers = |parts: &[&'static str]| *peace.lock().expect("no panic") = parts.to_vec();
        let mut reported = Reported::default();
        answers(&[]);
        reported.0.extend(open(&echo, app_role()).await.err());
        let pod = Auth::Kubernetes { mount: "kubernetes".to_owned(), role: "r".to_owned(), token: jwt.clone() };
        reported.0.extend(open(&echo, pod).await.err());
        reported.conclude(&[SECRET_ID, JWT], &echo.said(), &what, 2);

        answers(&["/login"]);
        let store = open(&echo, app_role()).await.expect("logs in");
        let mut reported = Reported::default();
        reported.keep(store.identity().await);
        reported.keep_readings(store.read_all().await);
        reported.keep_reads(&store, &["-/-/a", "-/-/b"]).await;
        answers(&["/login", "LIST", "/data/a", "lookup-self"]);
        reported.keep_readings(store.read_all().await);
        answers(&["/login", "GET", "lookup-self"]);
        reported.keep_write(&store, "-/-/a", "1", &document(NEW)).await;
        reported.conclude(&[NEW, NEIGHBOUR, TOKEN, SECRET_ID], &echo.said(), &what, 5);
    }
}

/// The journal, the log and the outputs of a whole rotation whose write is quoted.
#[test]
fn a_rotation_whose_write_vault_quotes_tells_nothing() {
    for (status, encoding) in [(400, Encoding::Plain), (500, Encoding::Json), (500, Encoding::Base64(1))] {
        let sandbox = sandbox_with_slashes();
        let pair = user_with_entries(&sandbox, "app/production", &mut BTreeMap::new());
        let held = json!({ "AWS_ACCESS_KEY_ID": pair.id, "AWS_SECRET_ACCESS_KEY": pair.secret, "password": NEIGHBOUR });
        let sent = Arc::new(Mutex::new(String::new()));
        let bodies = Arc::clone(&sent);
        let echo = Echo::start(Protocol::Vault, move |request: &Request| {
            let line = request.line.as_str();
            if line.starts_with("LIST") {
                let keys = if line.contains("/app/production") {
                    "aws"
                } else if line.contains("/app") {
                    "production/"
                } else {
                    "app/"
                };
                return Some(json!({ "data": { "keys": [keys] } }).to_string());
            }
            if line.starts_with("POST") && line.contains("/data/") {
                bodies.lock().expect("no panic").push_str(&request.body);
                return None;
            }
            if line.contains("capabilities") {
                return Some(json!({ "data": { "kv/data/app/production/aws": ["read", "update"] } }).to_string());
            }
            if line.contains("/mounts/") {
                let data = json!({ "type": "kv", "options": { "version": "2" }, "uuid": "u", "path": "kv/" });
                return Some(json!({ "data": data }).to_string());
            }
            Some(json!({ "data": { "data": held, "metadata": { "version": 1 } } }).to_string())
        });
        echo.quotes(status, encoding, "");
        let program = talkative(Program::at(&sandbox))
            .with("ROTATOR_STORE", "vault:kv")
            .with("VAULT_ADDR", &echo.url())
            .with("VAULT_TOKEN", TOKEN);
        let mut trawl = Trawl::default();
        for args in [&["run"][..], &["resume", "--output", "json"], &["status"], &["plan"]] {
            trawl.run(&program, &["-vvv"], args);
        }
        trawl.keep_folder(program.folder());
        let sent = sent.lock().expect("no panic").clone();
        let outside = |letter: char| !letter.is_ascii_alphanumeric() && !"+/".contains(letter);
        let new: Vec<&str> = sent.split(outside).filter(|word| word.len() == 40 && *word != NEIGHBOUR).collect();
        assert!(!new.is_empty(), "a new pair was written: {:?}", echo.said());
        let known = [pair.secret.as_str(), NEIGHBOUR, TOKEN].into_iter().chain(new);
        let sought = Secrets::new(known.map(|secret| (secret.to_owned(), secret)));
        assert!(echo.said().iter().any(|said| !sought.found_in(said.as_bytes()).is_empty()), "it quotes");
        assert_eq!(trawl.search(&sought), Vec::<String>::new(), "{status} {encoding:?}");
    }
}
