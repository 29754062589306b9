//! Kubernetes Secrets, at a stand-in for the API server (`support/kubernetes.rs`), because a real one is not available
//! to the tests.

mod failures;
mod run;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use rotator::adapters::stores::kubernetes::{KubernetesSettings, KubernetesStore, KubernetesStoreError};
use rotator::adapters::stores::{BackendStore, Naming};
use rotator::ports::secret_store::{Reading, SecretStore};
use rotator::types::failure::{Failure, RefusalKind};
use rotator::types::name::StoreName;
use serde_json::{Value, json};

use super::subject::Subject;
use super::{ID, OTHER, SECRET, conforms, held, is_stale, name, over, put, seen, version, write};
use crate::support::kubernetes::{Cluster, Fault, status};

/// Where the clients' own tasks run: a test's runtime may end before its store.
static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("a runtime")
});

fn settings(kubeconfig: PathBuf, namespace: Option<&str>) -> KubernetesSettings {
    KubernetesSettings {
        namespace: namespace.map(str::to_owned),
        selector: None,
        kubeconfig: Some(kubeconfig),
        context: None,
        service: None,
        service_account: PathBuf::from("/nowhere"),
        env: Vec::new(),
        call_timeout: Duration::from_secs(5),
    }
}

fn opened(settings: KubernetesSettings) -> Result<Arc<dyn SecretStore>, KubernetesStoreError> {
    let store = std::thread::scope(|scope| {
        scope.spawn(|| RUNTIME.block_on(KubernetesStore::open(settings))).join().expect("it ends")
    })?;
    Ok(Arc::new(BackendStore::new(StoreName::new("kubernetes:").expect("valid"), Naming::default(), Arc::new(store))))
}

/// A cluster, and the folder that a kubeconfig for it is in.
struct Secrets {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

impl Secrets {
    fn new() -> Self {
        Self { cluster: Cluster::start(), folder: tempfile::tempdir().expect("a folder") }
    }

    /// The store of one namespace.
    fn of(&self, namespace: &str) -> Arc<dyn SecretStore> {
        opened(settings(self.cluster.kubeconfig(self.folder.path()), Some(namespace))).expect("opens")
    }

    fn roles(&self, verbs: &[&str]) {
        let rules = json!([
            { "resources": ["secrets"], "verbs": verbs },
            { "resources": ["namespaces"], "resourceNames": ["kube-system"], "verbs": ["get"] },
        ]);
        self.cluster.allows(vec![json!({ "kind": "ClusterRole", "rules": rules })]);
    }
}

/// A namespace, a Secret and its key, as an entry has them.
fn parts(entry: &str) -> [&str; 3] {
    entry.split('/').collect::<Vec<_>>().try_into().expect("three")
}

impl Subject for Secrets {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.cluster.reset();
        self.forbid_nothing();
        opened(settings(self.cluster.kubeconfig(self.folder.path()), None)).expect("opens")
    }

    fn put(&self, entry: &str, value: &[u8]) {
        let [namespace, secret, key] = parts(entry);
        self.cluster.put(namespace, secret, key, value);
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        let [namespace, secret, key] = parts(entry);
        self.cluster.get(namespace, secret, key)
    }

    fn remove(&self, entry: &str) -> bool {
        let [namespace, secret, key] = parts(entry);
        self.cluster.change(namespace, secret, &json!({ "data": { key: null } }));
        true
    }

    fn shares_versions(&self) -> bool {
        true
    }

    /// Namespaces are DNS labels, Secrets DNS names, keys letters, digits and `-_.`.
    fn odd_names(&self) -> Vec<String> {
        ["a-b/c.d/e_f-G.h", "shop/live/.env", "shop/live/-", "0/0/_._"].map(str::to_owned).into()
    }

    // A client that may list Secrets sees their contents: no role can exclude one Secret.

    fn forbid_writing(&self, _: &str) -> bool {
        self.roles(&["list", "get"]);
        true
    }

    fn says_what_may_be_written(&self) -> bool {
        true
    }

    fn forbid_nothing(&self) {
        self.roles(&["list", "get", "patch"]);
    }

    fn go(&self) {
        self.cluster.go();
    }
}

#[tokio::test]
async fn kubernetes_conforms() {
    conforms(&Secrets::new()).await;
}

/// A realistic Secret, with much around its pair.
fn surroundings() -> Value {
    json!({
        "type": "example.com/credentials",
        "metadata": {
            "labels": { "app": "shop" },
            "annotations": { "kubectl.kubernetes.io/last-applied-configuration": "{}", "note": "caf\u{e9}" },
            "finalizers": ["example.com/keep"],
        },
        "data": { "keystore.p12": "//79AAEC", "empty": "" },
    })
}

#[tokio::test]
async fn a_pair_is_one_request_and_nothing_else_changes() {
    let subject = Secrets::new();
    let store = subject.fresh();
    subject.cluster.change("shop", "live", &surroundings());
    put(&subject, &[(ID, "id"), (SECRET, "secret"), (OTHER, "keep me")]);
    let before = subject.cluster.object("shop", "live").expect("there");
    let at = version(&store, ID).await;
    subject.cluster.calls();
    write(&store, vec![over(&subject, SECRET, &at, "new secret"), over(&subject, ID, &at, "new id")])
        .await
        .expect("written");
    let patches = subject.cluster.calls().into_iter().filter(|call| call.starts_with("PATCH")).count();
    assert_eq!(patches, 1, "no reader sees half of the pair");
    let mut after = subject.cluster.object("shop", "live").expect("there");
    assert_ne!(after["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);
    for path in ["/metadata/resourceVersion", "/data/AWS_ACCESS_KEY_ID", "/data/AWS_SECRET_ACCESS_KEY"] {
        *after.pointer_mut(path).expect("there") = before.pointer(path).expect("there").clone();
    }
    assert_eq!(after, before);
    // A value that is not text is an entry like any other.
    let binary = held(&store, "shop/live/keystore.p12").await.expect("there").1;
    assert_eq!(binary, [0xff, 0xfe, 0xfd, 0, 1, 2]);
}

/// The server does not write what changes nothing, so the fence has to change something.
#[tokio::test]
async fn a_fence_raises_the_version_and_leaves_nothing_behind() {
    let subject = Secrets::new();
    let store = subject.fresh();
    put(&subject, &[(ID, "id"), (SECRET, "secret")]);
    let annotations = || subject.cluster.object("shop", "live").expect("there")["metadata"]["annotations"].clone();
    let mut versions = vec![version(&store, ID).await];
    for _ in 0..2 {
        let at = versions.last().expect("one").clone();
        write(&store, vec![over(&subject, ID, &at, "id"), over(&subject, SECRET, &at, "secret")])
            .await
            .expect("written");
        versions.push(version(&store, ID).await);
        assert_eq!(annotations().as_object().expect("there").len(), 1);
    }
    let late = write(&store, vec![over(&subject, ID, &versions[0], "late")]).await;
    assert!(is_stale(&late), "{late:?}");
    assert!(versions[0] != versions[1] && versions[1] != versions[2], "{versions:?}");
    write(&store, vec![over(&subject, ID, &versions[2], "new id")]).await.expect("written");
    assert_eq!(annotations(), json!({}), "the next write takes it away");
}

#[tokio::test]
async fn a_secret_managed_elsewhere_is_read_and_never_written() {
    let subject = Secrets::new();
    let store = subject.fresh();
    let owner = json!({ "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret", "name": "aws", "uid": "u",
        "controller": true });
    let kept = [
        ("fixed", json!({ "immutable": true }), "immutable"),
        ("synced", json!({ "metadata": { "ownerReferences": [owner] } }), "ExternalSecret aws"),
        ("account", json!({ "type": "kubernetes.io/service-account-token" }), "service accounts"),
        ("release", json!({ "type": "helm.sh/release.v1" }), "Helm"),
    ];
    for (secret, change, _) in &kept {
        subject.cluster.put("shop", secret, "KEY", b"AKIA");
        subject.cluster.change("shop", secret, change);
    }
    subject.cluster.put("shop", "ours", "KEY", b"AKIA");
    let all = store.read_all().await.expect("reads");
    assert_eq!(all.len(), kept.len() + 1);
    for (secret, _, word) in &kept {
        let entry = format!("shop/{secret}/KEY");
        let reading = &all.iter().find(|(name, _)| name.as_str() == entry).expect("listed").1;
        let Reading::Managed { version, value, why } = reading else { panic!("{entry}: {reading:?}") };
        assert!(value.expose() == b"AKIA" && why.contains(word), "{entry}: {why}");
        let by_name = store.read(&[name(&entry)]).await.expect("reads");
        assert!(matches!(by_name.as_slice(), [Reading::Managed { .. }]), "{by_name:?}");
        subject.cluster.calls();
        let result = write(&store, vec![over(&subject, &entry, version, "new")]).await;
        assert!(matches!(&result, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Other), "{result:?}");
        assert!(subject.cluster.calls().iter().all(|call| call.starts_with("GET")), "nothing was sent to be written");
    }
    // Found to be immutable by the server alone.
    let ours = version(&store, "shop/ours/KEY").await;
    let (code, body) = status(422, "Invalid", "Secret \"ours\" is invalid: data: Forbidden: field is immutable");
    subject.cluster.plant("PATCH", Fault::Refused(code, body));
    let result = write(&store, vec![over(&subject, "shop/ours/KEY", &ours, "new")]).await;
    assert!(matches!(&result, Err(Failure::Refused(refusal)) if refusal.message.contains("immutable")), "{result:?}");
}

#[tokio::test]
async fn of_several_secrets_each_is_written_whole() {
    let subject = Secrets::new();
    let store = subject.fresh();
    let entries = ["shop/one/SECRET", "shop/two/SECRET", "shop/one/ID", "shop/two/ID"];
    for entry in entries {
        subject.put(entry, b"old");
    }
    let versions = [version(&store, "shop/one/ID").await, version(&store, "shop/two/ID").await];
    let batch = || entries.iter().zip(versions.iter().cycle()).map(|(entry, at)| over(&subject, entry, at, "new"));
    subject.cluster.put("shop", "two", "KEY", b"by hand");
    let result = write(&store, batch().collect()).await;
    assert!(matches!(&result, Err(Failure::Unknown(why)) if why.contains("written: 2")), "{result:?}");
    assert_eq!(entries.map(|entry| seen(&subject, entry)), ["new", "old", "new", "old"]);
    subject.cluster.delete("shop", "two");
    let gone = write(&store, vec![over(&subject, "shop/two/ID", &versions[1], "new")]).await;
    assert!(is_stale(&gone), "{gone:?}");
    assert_eq!(subject.cluster.object("shop", "two"), None, "a write brought it back");
}

#[tokio::test]
async fn a_namespace_and_a_selector_say_what_is_seen() {
    let subject = Secrets::new();
    drop(subject.fresh());
    subject.cluster.reset();
    for entry in ["shop/live/KEY", "shop/test/KEY", "mail/live/KEY"] {
        subject.put(entry, b"x");
    }
    subject.cluster.change("shop", "live", &json!({ "metadata": { "labels": { "team": "blue" } } }));
    let listed = async |store: &Arc<dyn SecretStore>| {
        let all = store.read_all().await.expect("reads");
        all.into_iter().map(|(entry, _)| entry.to_string()).collect::<Vec<_>>()
    };
    let shop = subject.of("shop");
    assert_eq!(listed(&shop).await, ["shop/live/KEY", "shop/test/KEY"]);
    let foreign = shop.read(&[name("mail/live/KEY"), name("shop/live/KEY")]).await.expect("reads");
    assert!(matches!(foreign.as_slice(), [Reading::Missing, Reading::Value { .. }]), "{foreign:?}");
    let kubeconfig = subject.cluster.kubeconfig(subject.folder.path());
    let blue = KubernetesSettings { selector: Some("team=blue".to_owned()), ..settings(kubeconfig, Some("shop")) };
    assert_eq!(listed(&opened(blue).expect("opens")).await, ["shop/live/KEY"]);
}

#[tokio::test]
async fn a_store_is_known_by_the_uid_of_its_namespace() {
    let subject = Secrets::new();
    let whole = subject.fresh();
    subject.cluster.reset();
    subject.cluster.add_namespace("shop");
    let shop = subject.of("shop");
    let first = shop.identity().await.expect("known");
    assert_eq!(subject.of("shop").identity().await.expect("known"), first);
    assert_ne!(whole.identity().await.expect("known"), first);
    subject.cluster.add_namespace("shop");
    assert_ne!(shop.identity().await.expect("known"), first, "made anew, it is another");
    // Where it may not be read, the address has to do.
    subject.roles(&["list"]);
    let reported = shop.identity().await.expect("known").to_string();
    assert!(reported.contains("shop") && reported.contains(&subject.cluster.url()), "{reported}");
    assert_eq!(whole.identity().await.expect("known"), whole.identity().await.expect("known"));
}
