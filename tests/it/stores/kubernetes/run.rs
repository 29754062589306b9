//! The real binary over Secrets, with IAM and the clock of the sandbox, and no permissions in the cluster beyond those
//! that `rotator policy --kubernetes` prints.

use rotator::sandbox::{Action, Sandbox};

use super::*;
use crate::support::aws::{self, Pair, outcome};
use crate::support::kubernetes::TOKEN;
use crate::support::program::{Program, sandbox_with_slashes};

struct Scene {
    sandbox: Sandbox,
    cluster: Cluster,
    program: Program,
}

fn env_file(pair: &Pair) -> String {
    format!("# mail\r\nAWS_ACCESS_KEY_ID={}\r\nexport AWS_SECRET_ACCESS_KEY='{}' \r\n", pair.id, pair.secret)
}

impl Scene {
    /// `shop/live` has a pair in two keys of one Secret, and another Secret has it in an `.env` file.
    fn new() -> (Self, Pair) {
        let (sandbox, cluster) = (sandbox_with_slashes(), Cluster::start());
        sandbox.add_user("shop/live").expect("a new user");
        let key = sandbox.create_key("shop/live").expect("a first key");
        let pair = Pair::new(key.id.as_str(), key.secret.expose());
        let mut program = Program::at(&sandbox);
        let kubeconfig = cluster.kubeconfig(program.folder());
        program.set("KUBECONFIG", &kubeconfig.display().to_string());
        program.set("ROTATOR_STORE", "kubernetes:shop");
        cluster.change("shop", "live", &surroundings());
        cluster.put("shop", "live", "AWS_ACCESS_KEY_ID", pair.id.as_bytes());
        cluster.put("shop", "live", "AWS_SECRET_ACCESS_KEY", pair.secret.as_bytes());
        cluster.put("shop", "mail", ".env", env_file(&pair).as_bytes());
        let scene = Self { sandbox, cluster, program };
        scene.cluster.allows(scene.roles());
        (scene, pair)
    }

    fn roles(&self) -> Vec<Value> {
        let policy = self.program.ends_with(0, &["policy", "--kubernetes"]).json();
        assert_eq!(policy["kind"], "List");
        policy["items"].as_array().expect("roles").clone()
    }

    fn text(&self, secret: &str, key: &str) -> String {
        String::from_utf8(self.cluster.get("shop", secret, key).expect("there")).expect("text")
    }

    fn pair(&self) -> Pair {
        Pair::new(self.text("live", "AWS_ACCESS_KEY_ID"), self.text("live", "AWS_SECRET_ACCESS_KEY"))
    }
}

#[tokio::test]
async fn a_key_in_two_secrets_is_rotated_with_the_rights_that_policy_asks_for() {
    let (scene, old) = Scene::new();
    let around = scene.cluster.object("shop", "live").expect("there");
    let doctor = scene.program.ends_with(0, &["doctor"]);
    assert!(doctor.stdout.contains("kubernetes:shop"), "{doctor:#?}");
    let ended = scene.program.ends_with(0, &["run", "-vvv", "--output", "json"]);
    let rotations = ended.json()["rotations"].as_array().expect("rotations").clone();
    assert_eq!((rotations.len(), &rotations[0]["state"]), (1, &json!("deleted-old")), "{rotations:#?}");
    let new = scene.pair();
    assert_ne!(new.id, old.id);
    assert_eq!(scene.text("mail", ".env"), env_file(&new), "each byte around the pair is as it was");
    let keys: Vec<String> = scene.sandbox.keys_of("shop/live").iter().map(|key| key.id.to_string()).collect();
    assert_eq!(keys, [new.id.as_str()]);
    assert_eq!(outcome(&aws::sts(scene.sandbox.addr(), &new).get_caller_identity().send().await), "ok");
    let now = scene.cluster.object("shop", "live").expect("there");
    for path in ["/type", "/metadata/labels", "/metadata/annotations", "/metadata/finalizers", "/data/keystore.p12"] {
        assert_eq!(now.pointer(path), around.pointer(path), "{path}");
    }
    let journal = ["journal.db", "journal.db-wal"].map(|name| std::fs::read(scene.program.folder().join(name)));
    let journal: Vec<u8> = journal.into_iter().flatten().flatten().collect();
    for secret in [TOKEN, &old.secret, &new.secret] {
        let reported = [ended.stdout.as_bytes(), ended.stderr.as_bytes(), doctor.stderr.as_bytes(), &journal];
        assert!(
            reported.iter().all(|reported| memchr::memmem::find(reported, secret.as_bytes()).is_none()),
            "a secret is shown"
        );
    }
}

#[test]
fn a_key_that_a_controller_keeps_is_reported_and_a_right_that_is_missing_is_named() {
    let (scene, old) = Scene::new();
    scene.cluster.change(
        "shop",
        "mail",
        &json!({ "metadata": { "labels": { "kustomize.toolkit.fluxcd.io/name": "x" } } }),
    );
    let plan = scene.program.ends_with(0, &["plan", "--output", "json"]);
    assert!(plan.stdout.contains("\"read-only\"") && plan.stdout.contains("Flux"), "{plan:#?}");
    assert_eq!(scene.program.rotator(&["run", "-q"]).code, Some(4), "an operator is needed");
    assert_eq!(scene.pair().id, old.id);
    scene.cluster.allows(Vec::new());
    let ended = scene.program.rotator(&["run", "-q"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("cannot list resource \"secrets\""), "{ended:#?}");
    scene.cluster.go();
    let ended = scene.program.rotator(&["run", "-q"]);
    assert!(ended.code == Some(1) && ended.stderr.contains("gave no answer"), "{ended:#?}");
    assert_eq!(scene.sandbox.keys_of("shop/live").len(), 1, "no key was made");
}

/// Each in a key of its own, and all of one version: they take turns.
#[test]
fn pairs_of_several_users_in_one_secret_are_rotated_in_one_run() {
    let (mut scene, _) = Scene::new();
    scene.program.set("ROTATOR_OWNER_FROM", "aws");
    let users: Vec<String> = (0..6).map(|number| format!("user{number}")).collect();
    for user in &users {
        scene.sandbox.add_user(user).expect("a new user");
        let key = scene.sandbox.create_key(user).expect("a first key");
        let text = env_file(&Pair::new(key.id.as_str(), key.secret.expose()));
        scene.cluster.put("shop", "mail", &format!("{user}.env"), text.as_bytes());
    }
    scene.program.ends_with(0, &["run", "-q"]);
    let made = scene.sandbox.calls().get(&Action::CreateAccessKey).copied();
    assert_eq!(made, Some(1 + users.len() as u64), "no key was made in vain");
    for user in &users {
        let keys = scene.sandbox.keys_of(user);
        let text = scene.text("mail", &format!("{user}.env"));
        assert!(keys.len() == 1 && text.contains(keys[0].id.as_str()), "{user}: {text}");
    }
}

/// The write is carried out and its answer lost: the pair is found where it was written.
#[test]
fn an_answer_that_is_lost_costs_no_key() {
    let (scene, old) = Scene::new();
    scene.cluster.plant("PATCH", Fault::LostReply);
    let (ended, _) = scene.program.until_settled(&["run", "-q"], Duration::ZERO);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let keys: Vec<String> = scene.sandbox.keys_of("shop/live").iter().map(|key| key.id.to_string()).collect();
    assert_eq!(keys, [scene.pair().id]);
    assert_ne!(keys[0], old.id);
    assert_eq!(scene.text("mail", ".env"), env_file(&scene.pair()));
}

/// With the rights of an audit the cluster says that a write would be refused, and `plan` reports so.
#[test]
fn an_audit_reads_everything_and_is_said_to_write_nothing() {
    let (scene, old) = Scene::new();
    let policy = scene.program.ends_with(0, &["policy", "--kubernetes", "--read-only"]).json();
    scene.cluster.allows(policy["items"].as_array().expect("roles").clone());
    let plan = scene.program.ends_with(0, &["plan", "--output", "json"]).json();
    let skipped = &plan["skipped"][0];
    assert_eq!((&skipped["key_id"], &skipped["reason"]), (&json!(old.id), &json!("not-writable")), "{plan:#}");
    scene.program.rotator(&["run", "-q"]);
    assert_eq!(scene.pair().id, old.id);
}

#[test]
fn policy_has_a_role_for_each_namespace_and_less_where_nothing_is_written() {
    let (scene, _) = Scene::new();
    std::fs::write(
        scene.program.folder().join("rotator.toml"),
        "[[store]]\nuri = \"kubernetes:\"\nread_only = true\ncontext = \"test\"\n[[store]]\nuri = \"kubernetes:shop\"\n",
    )
    .expect("written");
    let mut program = scene.program;
    program.unset("ROTATOR_STORE");
    let policy = program.ends_with(0, &["policy", "--kubernetes"]).json();
    let reported = |index: usize| {
        let role = &policy["items"][index];
        (role["kind"].clone(), role["metadata"].clone(), role["rules"][0]["verbs"].clone())
    };
    assert_eq!(reported(0), (json!("ClusterRole"), json!({ "name": "rotator" }), json!(["list", "get"])));
    let shop = json!({ "name": "rotator", "namespace": "shop" });
    assert_eq!(reported(1), (json!("Role"), shop, json!(["list", "get", "patch"])));
    for (store, words) in [("vault:kv", "no store of Kubernetes's"), ("kubernetes:a/b", "names no namespace")] {
        program.set("ROTATOR_STORE", store);
        let ended = program.ends_with(2, &["policy", "--kubernetes"]);
        assert!(ended.stderr.contains(words), "{ended:#?}");
    }
}

/// `insecure-skip-tls-verify` in a kubeconfig.
#[tokio::test]
async fn a_certificate_that_is_not_verified_is_a_warning_and_fails_in_doctor_unless_it_is_meant() {
    const WORDS: &str = "is not verified: the kubeconfig sets insecure-skip-tls-verify";
    let (mut scene, _) = Scene::new();
    assert!(!scene.program.ends_with(0, &["plan"]).stderr.contains(WORDS));
    let path = scene.program.folder().join("kubeconfig");
    let mut kubeconfig: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
    kubeconfig["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = true.into();
    std::fs::write(&path, kubeconfig.to_string()).expect("written");
    for command in ["plan", "run"] {
        let ended = scene.program.ends_with(0, &[command]);
        assert_eq!(ended.stderr.matches(WORDS).count(), 1, "{command}: {}", ended.stderr);
    }
    let doctor = scene.program.ends_with(1, &["doctor"]);
    let failed: Vec<&str> = doctor.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(failed.len() == 1 && failed[0].contains(WORDS), "{}", doctor.stdout);
    let meant = scene.program.folder().join("meant.toml");
    std::fs::write(&meant, "[[store]]\nuri = \"kubernetes:shop\"\nallow_insecure_tls = true\n").expect("written");
    scene.program.unset("ROTATOR_STORE");
    scene.program.set("ROTATOR_CONFIG", &meant.display().to_string());
    let doctor = scene.program.ends_with(0, &["doctor"]);
    assert!(doctor.stdout.contains(WORDS) && doctor.stdout.contains("allow_insecure_tls"), "{}", doctor.stdout);
    assert!(scene.program.ends_with(0, &["plan"]).stderr.contains(WORDS), "it stays a warning");
    std::fs::write(&meant, "[[store]]\nuri = \"kubernetes:shop\"\nallow_insecure_tls = \"no\"\n").expect("written");
    assert!(scene.program.ends_with(2, &["plan"]).stderr.contains("write true or false"));
    std::fs::write(&meant, "[[store]]\nuri = \"file:.\"\nallow_insecure_tls = true\n").expect("written");
    assert!(scene.program.ends_with(2, &["plan"]).stderr.contains("only a kubernetes: store"));
}
