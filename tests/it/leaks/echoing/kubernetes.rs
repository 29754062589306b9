//! A Kubernetes API server that quotes in every call of a store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rotator::adapters::stores::kubernetes::{KubernetesSettings, KubernetesStore};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::StoreName;
use serde_json::json;

use super::{NEIGHBOUR, NEW, Reported, TOKEN};
use crate::support::echo::{ENCODINGS, Echo, Protocol, Request};

fn secret(name: &str) -> serde_json::Value {
    json!({
        "kind": "Secret", "apiVersion": "v1", "type": "Opaque",
        "metadata": { "namespace": "shop", "name": name, "uid": "u", "resourceVersion": "1" },
        "data": { "KEY": STANDARD.encode("old"), "password": STANDARD.encode(NEIGHBOUR) },
    })
}

async fn open(url: &str, folder: &std::path::Path, user: serde_json::Value) -> Arc<dyn SecretStore> {
    let path = folder.join("kubeconfig");
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "here", "cluster": { "server": url } }],
        "contexts": [{ "name": "test", "context": { "cluster": "here", "user": "me" } }],
        "users": [{ "name": "me", "user": user }],
    });
    std::fs::write(&path, config.to_string()).expect("written");
    let settings = KubernetesSettings {
        namespace: Some("shop".to_owned()),
        selector: None,
        kubeconfig: Some(path),
        context: None,
        service: None,
        service_account: "/nowhere".into(),
        env: Vec::new(),
        call_timeout: Duration::from_secs(5),
    };
    let store = KubernetesStore::open(settings).await.expect("opens");
    Arc::new(BackendStore::new(StoreName::new("kubernetes:shop").expect("valid"), Naming::default(), Arc::new(store)))
}

#[tokio::test]
async fn a_cluster_that_quotes_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).expect("written");
    let peace: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let serving = Arc::clone(&peace);
    let echo = Echo::start(Protocol::Kubernetes, move |request: &Request| {
        let line = request.line.as_str();
        serving.lock().expect("no panic").iter().any(|part| line.contains(part)).then(|| secret("live").to_string())
    });
    for (status, encoding) in [400, 403, 500].into_iter().flat_map(|status| ENCODINGS.map(|of| (status, of))) {
        for user in [json!({ "token": TOKEN }), json!({ "tokenFile": file })] {
            let what = format!("Kubernetes, {status}, {encoding:?}, {user}");
            echo.quotes(status, encoding, "");
            let answers = |parts: &[&'static str]| *peace.lock().expect("no panic") = parts.to_vec();
            let mut reported = Reported::default();
            answers(&[]);
            let store = open(&echo.url(), folder.path(), user).await;
            if status != 403 {
                reported.keep(store.identity().await);
            }
            reported.keep_readings(store.read_all().await);
            reported.keep_reads(&store, &["shop/live/KEY"]).await;
            reported.keep_write(&store, "shop/live/KEY", "1", NEW).await;
            answers(&["GET /api/v1/namespaces/shop/secrets/live"]);
            reported.keep_reads(&store, &["shop/live/KEY", "shop/other/KEY"]).await;
            reported.keep_write(&store, "shop/live/KEY", "1", NEW).await;
            reported.conclude(&[NEW, NEIGHBOUR, TOKEN], &echo.said(), &what, 5);
        }
    }
}

/// The library sends the output of a credential plugin to the server; the header that quotes it is recognized by its form.
#[tokio::test]
async fn the_token_of_a_credential_plugin_is_not_quoted() {
    let folder = tempfile::tempdir().expect("a folder");
    let credential = json!({
        "kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": { "token": TOKEN },
    });
    std::fs::write(folder.path().join("credential"), credential.to_string()).expect("written");
    let echo = Echo::start(Protocol::Kubernetes, |_| None);
    let exec = json!({
        "apiVersion": "client.authentication.k8s.io/v1", "command": "cat", "interactiveMode": "Never",
        "args": [folder.path().join("credential")],
    });
    let store = open(&echo.url(), folder.path(), json!({ "exec": exec })).await;
    let mut reported = Reported::default();
    reported.keep_readings(store.read_all().await);
    reported.conclude(&[TOKEN], &echo.said(), "a credential plugin", 1);
}
