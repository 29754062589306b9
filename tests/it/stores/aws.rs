//! Secrets Manager and Parameter Store, at moto.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use rotator::adapters::aws::{Aws, AwsSettings, ParameterStore, SecretsManagerStore};
use rotator::adapters::stores::{Backend, BackendStore, Naming};
use rotator::ports::secret_store::SecretStore;
use rotator::types::name::StoreName;

use super::conforms;
use super::subject::Subject;
use crate::support::moto::Moto;

/// moto, and the SDK's own clients at it.
struct At {
    moto: Mutex<Option<Moto>>,
    chain: SdkConfig,
}

impl At {
    async fn moto() -> Self {
        let moto = Moto::start();
        let chain = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .endpoint_url(format!("http://{}", moto.addr()))
            .credentials_provider(Credentials::new("AKIAAAAAAAAAAAAAAAAA", "x", None, None, "test"))
            .load()
            .await;
        Self { moto: Mutex::new(Some(moto)), chain }
    }

    fn reset(&self) {
        self.moto.lock().expect("one thread").as_ref().expect("it runs").reset();
    }

    fn go(&self) {
        self.moto.lock().expect("one thread").take();
    }

    async fn aws(&self) -> Aws {
        Aws::with_chain(&self.chain, AwsSettings::default()).await.expect("connects")
    }
}

/// Waits for a future where no runtime runs it: the suite's own thread is inside of one.
pub(super) fn wait<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
        });
        work.join().expect("it ends")
    })
}

fn named(name: &str, backend: impl Backend + 'static) -> Arc<dyn SecretStore> {
    Arc::new(BackendStore::new(StoreName::new(name).expect("valid"), Naming::default(), Arc::new(backend)))
}

struct Secrets {
    at: At,
    client: aws_sdk_secretsmanager::Client,
}

impl Subject for Secrets {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.at.reset();
        let store = wait(async { SecretsManagerStore::open(&self.at.aws().await, None, "").await.expect("a store") });
        named("aws-secretsmanager:", store)
    }

    fn put(&self, entry: &str, value: &[u8]) {
        let text = std::str::from_utf8(value).expect("text");
        let put = self.client.put_secret_value().secret_id(entry).secret_string(text).send();
        if wait(put).is_err() {
            wait(self.client.create_secret().name(entry).secret_string(text).send()).expect("moto makes a secret");
        }
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        // AWS answers with this version without being asked for it; moto 5.2.5 stays with the one that was put last
        // without a label.
        let got = wait(self.client.get_secret_value().secret_id(entry).version_stage("AWSCURRENT").send()).ok()?;
        got.secret_string.map(String::into_bytes)
    }

    fn remove(&self, entry: &str) -> bool {
        wait(self.client.delete_secret().secret_id(entry).send()).expect("scheduled for deletion");
        // AWS refuses to write it from now on (PutSecretValue, InvalidRequestException); moto 5.2.5 does not.
        false
    }

    fn odd_names(&self) -> Vec<String> {
        // AWS allows letters, digits and /_+=.@- in a name (CreateSecret).
        ["a.b/c-d/e_f", "a/b/c=d+e@f", "A/B/C"].map(str::to_owned).into()
    }

    fn go(&self) {
        self.at.go();
    }
}

#[tokio::test]
async fn secrets_manager_conforms() {
    let at = At::moto().await;
    let client = aws_sdk_secretsmanager::Client::new(&at.chain);
    conforms(&Secrets { at, client }).await;
}

struct Parameters {
    at: At,
    client: aws_sdk_ssm::Client,
    /// Each entry's type: the neighbours write it back as it was.
    types: Mutex<BTreeMap<String, aws_sdk_ssm::types::ParameterType>>,
}

impl Subject for Parameters {
    fn fresh(&self) -> Arc<dyn SecretStore> {
        self.at.reset();
        let store = wait(async { ParameterStore::open(&self.at.aws().await, None, "/").await.expect("a store") });
        named("aws-ssm:/", store)
    }

    fn put(&self, entry: &str, value: &[u8]) {
        use aws_sdk_ssm::types::{ParameterTier, ParameterType};
        let mut types = self.types.lock().expect("one thread");
        let next = if types.len().is_multiple_of(2) { ParameterType::SecureString } else { ParameterType::String };
        let kind = types.entry(entry.to_owned()).or_insert(next).clone();
        let text = std::str::from_utf8(value).expect("text");
        let put = self.client.put_parameter().name(format!("/{entry}")).value(text).r#type(kind);
        wait(put.tier(ParameterTier::Advanced).overwrite(true).send()).expect("moto takes a parameter");
    }

    fn get(&self, entry: &str) -> Option<Vec<u8>> {
        let got = wait(self.client.get_parameter().name(format!("/{entry}")).with_decryption(true).send()).ok()?;
        let parameter = got.parameter?;
        let types = self.types.lock().expect("one thread");
        assert_eq!(parameter.r#type.as_ref(), types.get(entry), "{entry} has another type");
        parameter.value.map(String::into_bytes)
    }

    fn remove(&self, entry: &str) -> bool {
        wait(self.client.delete_parameter().name(format!("/{entry}")).send()).is_ok()
    }

    /// The largest value of an advanced parameter (PutParameter).
    fn largest(&self) -> usize {
        8 * 1024
    }

    fn odd_names(&self) -> Vec<String> {
        ["a.b/c-d/e_f", "A/B/C"].map(str::to_owned).into()
    }

    fn go(&self) {
        self.at.go();
    }
}

#[tokio::test]
async fn parameter_store_conforms() {
    let at = At::moto().await;
    let client = aws_sdk_ssm::Client::new(&at.chain);
    conforms(&Parameters { at, client, types: Mutex::default() }).await;
}

#[tokio::test]
async fn a_secret_that_rotates_itself_is_read_and_not_ours() {
    let at = At::moto().await;
    let client = aws_sdk_secretsmanager::Client::new(&at.chain);
    let subject = Secrets { at, client };
    let store = subject.fresh();
    subject.put("shop/live/OURS", b"ours");
    subject.put("shop/live/THEIRS", b"theirs");
    subject.put("shop/live/LEAVING", b"leaving");
    let rules = aws_sdk_secretsmanager::types::RotationRulesType::builder().automatically_after_days(30).build();
    let rotate = subject.client.rotate_secret().secret_id("shop/live/THEIRS");
    rotate.rotation_rules(rules).rotate_immediately(false).send().await.expect("moto takes it");
    subject.client.delete_secret().secret_id("shop/live/LEAVING").send().await.expect("scheduled for deletion");
    let all = store.read_all().await.expect("reads");
    let reported: Vec<String> = all.iter().map(|(entry, reading)| format!("{entry} {reading:?}")).collect();
    assert_eq!(all.len(), 2, "{reported:?}");
    assert!(reported[0].starts_with("shop/live/OURS Value"), "{reported:?}");
    assert!(reported[1].starts_with("shop/live/THEIRS Managed"), "{reported:?}");
}
