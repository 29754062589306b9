//! rotator under exactly what `rotator policy` prints, with moto's authorisation on: all of it is enough, and each of it
//! is needed. moto 5.2.5 holds a policy's `Resource` against `*` alone, so which users, secrets and parameters it reaches is
//! judged here, by the names that moto gave them.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use serde_json::{Value, json};

use crate::support::aws::{self, Pair};
use crate::support::moto::Moto;
use crate::support::program::{Ended, Program};

const ROTATOR: &str = "rotator";
const USER: &str = "shop-live";

/// Calls that a run without faults does not make: it reclaims no key, and knows every owner by name.
const IN_NEED_ONLY: [&str; 2] = ["iam:UpdateAccessKey", "iam:GetAccessKeyLastUsed"];

/// The right that saves calls: without it rotator reads each secret with a call of its own.
const SAVES_CALLS: &str = "secretsmanager:BatchGetSecretValue";

/// The actions that only writing needs. Parameter Store is asked for the type of a parameter before a write.
const WRITES: [&str; 3] = ["secretsmanager:UpdateSecretVersionStage", "ssm:DescribeParameters", "ssm:PutParameter"];

/// A user and a secret that have nothing to do with any pair.
const OTHER_USER: &str = "administrator";
const OTHER_SECRET: &str = "shop/live/note";

struct Scene {
    moto: Moto,
    admin: Pair,
    program: Program,
    policy: Value,
}

fn chain(moto: &Moto, pair: &Pair) -> SdkConfig {
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{}", moto.addr()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(Credentials::new(
            &pair.id,
            &pair.secret,
            None,
            None,
            "test",
        )))
        .build()
}

/// Every action of a policy.
fn actions_of(policy: &Value) -> Vec<String> {
    let statements = policy["Statement"].as_array().expect("a list").iter();
    let actions = statements.flat_map(|statement| statement["Action"].as_array().expect("a list"));
    actions.map(|action| action.as_str().expect("text").to_owned()).collect()
}

impl Scene {
    /// One user, whose pair is in Secrets Manager and in Parameter Store, and rotator without any permission.
    async fn build() -> Self {
        // As narrow as it can be.
        Self::with_policy(&["policy", "--found"]).await
    }

    /// The same with the policy that this command prints. The administrator asks what there is to be found.
    async fn with_policy(command: &[&str]) -> Self {
        let moto = Moto::start();
        let admin = moto.check_signatures().await;
        let iam = aws::iam(moto.addr(), &admin);
        iam.create_user().user_name(OTHER_USER).send().await.expect("a user");
        let mut pairs = BTreeMap::new();
        for user in [ROTATOR, USER] {
            iam.create_user().user_name(user).send().await.expect("a user");
            let made = iam.create_access_key().user_name(user).send().await.expect("a key");
            let key = made.access_key().expect("a key");
            pairs.insert(user, Pair::new(key.access_key_id(), key.secret_access_key()));
        }
        let chain = chain(&moto, &admin);
        let (secrets, parameters) = (aws_sdk_secretsmanager::Client::new(&chain), aws_sdk_ssm::Client::new(&chain));
        let Pair { id, secret } = &pairs[USER];
        let text = json!({ "accessKeyId": id, "secretAccessKey": secret }).to_string();
        secrets.create_secret().name("shop/live/aws").secret_string(text).send().await.expect("a secret");
        secrets.create_secret().name(OTHER_SECRET).secret_string("nothing").send().await.expect("a secret");
        for (name, value) in [("AWS_ACCESS_KEY_ID", id), ("AWS_SECRET_ACCESS_KEY", secret)] {
            let put = parameters.put_parameter().name(format!("/apps/shop/live/{name}")).value(value);
            put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.expect("a parameter");
        }
        let program = |pair: &Pair| {
            Program::new(&format!("http://{}", moto.addr()), pair)
                .with("ROTATOR_STORE", "aws-secretsmanager:\naws-ssm:/apps")
                .with("ROTATOR_OWNER_TEMPLATE", "{app}-{environment}")
        };
        let policy = program(&admin).ends_with(0, command).json();
        let program = program(&pairs[ROTATOR]);
        Self { moto, admin, program, policy }
    }

    /// Every action of the policy.
    fn actions(&self) -> Vec<String> {
        actions_of(&self.policy)
    }

    /// Whether the policy allows this on the thing of this ARN.
    fn allows(&self, action: &str, arn: &str) -> bool {
        let has = |value: &Value, fits: &dyn Fn(&str) -> bool| match value {
            Value::String(one) => fits(one),
            Value::Array(all) => all.iter().filter_map(Value::as_str).any(fits),
            other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => panic!("{other}"),
        };
        self.policy["Statement"].as_array().expect("a list").iter().any(|statement| {
            has(&statement["Action"], &|allowed| allowed == action)
                && has(&statement["Resource"], &|pattern| fits(pattern, arn))
        })
    }

    /// Gives rotator its policy without these actions.
    async fn allow_all_but(&self, denied: &[&str]) {
        let mut policy = self.policy.clone();
        for statement in policy["Statement"].as_array_mut().expect("a list") {
            statement["Resource"] = json!("*");
            statement["Action"]
                .as_array_mut()
                .expect("a list")
                .retain(|action| !denied.contains(&action.as_str().unwrap_or("")));
        }
        policy["Statement"]
            .as_array_mut()
            .expect("a list")
            .retain(|statement| statement["Action"].as_array().is_some_and(|actions| !actions.is_empty()));
        let put = aws::iam(self.moto.addr(), &self.admin).put_user_policy().user_name(ROTATOR).policy_name("least");
        put.policy_document(policy.to_string()).send().await.expect("moto takes a policy");
    }

    async fn keys(&self) -> Vec<String> {
        let listed = aws::iam(self.moto.addr(), &self.admin).list_access_keys().user_name(USER).send().await;
        let listed = listed.expect("moto lists");
        listed.access_key_metadata().iter().filter_map(|key| key.access_key_id().map(str::to_owned)).collect()
    }

    /// The id in each of the two stores.
    async fn stored(&self) -> [String; 2] {
        let chain = chain(&self.moto, &self.admin);
        let (secrets, parameters) = (aws_sdk_secretsmanager::Client::new(&chain), aws_sdk_ssm::Client::new(&chain));
        let secret = secrets.get_secret_value().secret_id("shop/live/aws").version_stage("AWSCURRENT").send().await;
        let text = secret.expect("a secret").secret_string.expect("text");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let id =
            parameters.get_parameter().name("/apps/shop/live/AWS_ACCESS_KEY_ID").with_decryption(true).send().await;
        let id = id.expect("a parameter").parameter.expect("a parameter").value.expect("text");
        [document["accessKeyId"].as_str().expect("text").to_owned(), id]
    }

    fn run(&self) -> Ended {
        // Also the keys that the run before has just made.
        self.program.rotator(&["run", "--older-than", "0s"])
    }

    /// Without this action it does not get through, and names it.
    async fn is_refused_without(&self, action: &str) {
        self.allow_all_but(&[action]).await;
        let ended = self.run();
        assert_ne!(ended.code, Some(0), "without {action} it got through: {ended:#?}");
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let name = action.split(':').nth(1).expect("a name");
        assert!(said.contains(name), "{action} is not named: {said}");
    }
}

/// Whether IAM would take the ARN for one of the pattern's.
fn fits(pattern: &str, arn: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return arn.is_empty() };
    match (first, arn.chars().next()) {
        ('*', _) => (0..=arn.len()).any(|at| fits(&pattern[1..], &arn[at..])),
        ('?', Some(_)) => fits(&pattern[1..], &arn[1..]),
        (first, Some(letter)) if first == letter => fits(&pattern[1..], &arn[1..]),
        _ => false,
    }
}

#[tokio::test]
async fn the_policy_names_the_users_and_the_entries_with_pairs_and_no_others() {
    let scene = Scene::build().await;
    let chain = chain(&scene.moto, &scene.admin);
    let (secrets, parameters) = (aws_sdk_secretsmanager::Client::new(&chain), aws_sdk_ssm::Client::new(&chain));
    for (user, is_allowed) in [(USER, true), (OTHER_USER, false), (ROTATOR, false)] {
        let user = aws::iam(scene.moto.addr(), &scene.admin).get_user().user_name(user).send().await.expect("a user");
        let arn = user.user().expect("a user").arn().to_owned();
        for action in ["iam:CreateAccessKey", "iam:DeleteAccessKey", "iam:ListAccessKeys"] {
            assert_eq!(scene.allows(action, &arn), is_allowed, "{action} {arn}: {:#}", scene.policy);
        }
    }
    for (secret, is_written) in [("shop/live/aws", true), (OTHER_SECRET, false)] {
        let described = secrets.describe_secret().secret_id(secret).send().await.expect("a secret");
        let arn = described.arn().expect("an ARN");
        assert!(scene.allows("secretsmanager:GetSecretValue", arn), "{arn}: {:#}", scene.policy);
        for action in ["secretsmanager:PutSecretValue", "secretsmanager:UpdateSecretVersionStage"] {
            assert_eq!(scene.allows(action, arn), is_written, "{action} {arn}: {:#}", scene.policy);
        }
    }
    let parameter = parameters.get_parameter().name("/apps/shop/live/AWS_ACCESS_KEY_ID").send().await;
    let arn = parameter.expect("a parameter").parameter.expect("a parameter").arn.expect("an ARN");
    assert!(scene.allows("ssm:GetParameters", &arn) && scene.allows("ssm:PutParameter", &arn), "{:#}", scene.policy);
    assert!(!scene.allows("ssm:PutParameter", &arn.replace("AWS_ACCESS_KEY_ID", "OTHER")), "{:#}", scene.policy);

    // Without --found, the same actions on what the configuration says.
    let ended = scene.program.ends_with(0, &["policy"]);
    assert_eq!(actions_of(&ended.json()), scene.actions());
    for words in ["RotateKeys: ", "WhoseAndLastUsed: ", "Store0Read: ", "Store1Write: "] {
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn the_policy_is_enough_and_each_action_of_it_is_needed() {
    let scene = Scene::build().await;
    let before = scene.keys().await;
    scene.allow_all_but(&[]).await;
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let after = scene.keys().await;
    assert!(after.len() == 1 && after != before, "{after:?}");

    let actions = scene.actions();
    assert!(actions.len() >= 10, "{actions:?}");
    let needed = |action: &&String| {
        let action = action.as_str();
        !IN_NEED_ONLY.contains(&action) && !WRITES.contains(&action) && action != SAVES_CALLS
    };
    for action in actions.iter().filter(needed) {
        scene.is_refused_without(action).await;
        scene.allow_all_but(&[]).await;
        let mut ended = scene.run();
        for _ in 0..10 {
            if ended.code == Some(3) {
                std::thread::sleep(Duration::from_millis(300));
                ended = scene.run();
            }
        }
        assert_eq!(ended.code, Some(0), "after {action} was given back: {ended:#?}");
        assert_eq!(scene.keys().await.len(), 1, "after {action}");
    }
}

/// A policy that an earlier build printed.
#[tokio::test]
async fn without_the_right_to_read_many_secrets_at_once_everything_works() {
    let scene = Scene::build().await;
    assert!(scene.actions().iter().any(|action| action == SAVES_CALLS), "{:#}", scene.policy);
    let before = scene.keys().await;
    scene.allow_all_but(&[SAVES_CALLS]).await;
    let ended = scene.run();
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!format!("{}{}", ended.stdout, ended.stderr).contains("BatchGetSecretValue"), "{ended:#?}");
    let after = scene.keys().await;
    assert!(after.len() == 1 && after != before, "{after:?}");
}

/// moto's refusal of a write has no code that the SDK can read, so it may have been carried out; and a write to Parameter
/// Store may still take effect for 16 minutes. Until then the new key stays.
#[tokio::test]
async fn without_the_right_to_write_the_old_pair_stays() {
    for action in WRITES {
        let scene = Scene::build().await;
        let before = scene.keys().await;
        scene.is_refused_without(action).await;
        let keys = scene.keys().await;
        assert!(keys.len() == 2 && keys.contains(&before[0]), "{action}: {keys:?}");
        assert_eq!(scene.stored().await, [before[0].clone(), before[0].clone()], "{action}");
    }
}

/// An audit: `plan`, `doctor` and `status` see everything, and nothing can be changed.
#[tokio::test]
async fn an_audit_sees_everything_and_can_change_nothing() {
    let scene = Scene::with_policy(&["policy", "--read-only", "--found"]).await;
    let before = scene.keys().await;
    scene.allow_all_but(&[]).await;
    let due = |plan: &Value| plan["due"].as_array().expect("a list").len();
    let plan = scene.program.ends_with(0, &["plan", "--output", "json"]).json();
    assert_eq!((due(&plan), &plan["due"][0]["user"]), (1, &json!(USER)), "{plan:#}");
    let places = plan["due"][0]["places"].to_string();
    assert!(places.contains("aws-secretsmanager:") && places.contains("aws-ssm:/apps"), "{places}");
    scene.program.ends_with(0, &["doctor"]);
    scene.program.ends_with(0, &["status"]);

    // Whatever the plan needs is needed.
    let needed = [
        "iam:ListAccessKeys",
        "secretsmanager:ListSecrets",
        "secretsmanager:GetSecretValue",
        "ssm:GetParametersByPath",
    ];
    for action in needed {
        // moto 5.2.5 gives the values of a batch without the right to each; AWS does not.
        scene.allow_all_but(&[action, SAVES_CALLS]).await;
        let ended = scene.program.rotator(&["plan", "--output", "json"]);
        assert!(ended.code != Some(0) || due(&ended.json()) == 0, "without {action}: {ended:#?}");
    }

    scene.allow_all_but(&[]).await;
    let ended = scene.run();
    assert_ne!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(scene.keys().await, before);
    assert_eq!(scene.stored().await, [before[0].clone(), before[0].clone()]);
}
