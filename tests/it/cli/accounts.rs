//! `[[account]]`: several accounts in one run, at moto, where an assumed role is in an account of its own.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::json;

use super::bench::{Bench, Ended};
use crate::support::aws::{self, Pair};
use crate::support::moto::Moto;

/// moto's own account, and two that only a role leads to.
const HOME: &str = "123456789012";
const SHOP: &str = "111122223333";
const BANK: &str = "444455556666";

/// A user in each of some accounts, their pairs in one store.
struct Scene {
    moto: Moto,
    bench: Bench,
    /// The accounts in which each profile works.
    inside: BTreeMap<&'static str, Pair>,
}

impl Scene {
    async fn with(users: &[(&'static str, &'static str)]) -> Self {
        let (moto, bench) = (Moto::start(), Bench::new());
        let home = Pair::new(bench.sandbox.admin().id.as_str(), bench.sandbox.admin().secret.expose());
        let mut inside = BTreeMap::from([(HOME, home.clone())]);
        for account in [SHOP, BANK] {
            inside.insert(account, assumed(&moto, &home, account).await);
        }
        let scene = Self { moto, bench, inside };
        for (account, user) in users {
            let iam = scene.iam(account);
            iam.create_user().user_name(*user).send().await.expect("a user");
            let made = iam.create_access_key().user_name(*user).send().await.expect("a key");
            let key = made.access_key().expect("a key");
            let app = user.replace('-', "/");
            let entries = json!({
                format!("{app}/AWS_ACCESS_KEY_ID"): key.access_key_id(),
                format!("{app}/AWS_SECRET_ACCESS_KEY"): key.secret_access_key(),
            });
            scene.bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
        }
        scene
    }

    fn iam(&self, account: &str) -> aws_sdk_iam::Client {
        aws::iam(self.moto.addr(), &self.inside[account])
    }

    async fn keys_of(&self, account: &str, user: &str) -> Vec<String> {
        let listed = self.iam(account).list_access_keys().user_name(user).send().await.expect("moto lists");
        listed.access_key_metadata().iter().filter_map(|key| key.access_key_id().map(str::to_owned)).collect()
    }

    fn stored(&self, user: &str) -> String {
        self.bench.run(&["store", "get", &format!("{}/AWS_ACCESS_KEY_ID", user.replace('-', "/"))]).code(0).stdout
    }

    async fn assert_rotated(&self, account: &str, user: &str, before: &str) {
        let stored = self.stored(user);
        assert_ne!(stored, before, "{user} has another key than before");
        assert_eq!(self.keys_of(account, user).await, [stored], "{user} has the stored key and no other");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command.env("AWS_ENDPOINT_URL", format!("http://{}", self.moto.addr()));
        command.env("ROTATOR_OWNER_TEMPLATE", "{app}-{environment}");
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        self.command(args).output().expect("it starts").into()
    }

    fn configure(&self, text: &str) {
        self.bench.write("rotator.toml", text);
    }
}

/// Credentials of a role, as any tool gets them.
async fn assumed(moto: &Moto, home: &Pair, account: &str) -> Pair {
    let role = format!("arn:aws:iam::{account}:role/admin");
    let answer = aws::sts(moto.addr(), home).assume_role().role_arn(role).role_session_name("test").send().await;
    let answer = answer.expect("moto lets anybody in");
    let credentials = answer.credentials().expect("credentials");
    Pair::new(credentials.access_key_id(), credentials.secret_access_key())
}

fn account(id: &str, name: &str, more: &str) -> String {
    let role = format!("role = \"arn:aws:iam::{id}:role/rotator\"\nexternal_id = \"ours\"");
    format!("[[account]]\nname = \"{name}\"\n{role}\n{more}\n")
}

#[tokio::test]
async fn keys_of_three_accounts_are_rotated_each_in_its_own() {
    // The same user twice, in accounts of their own.
    let users =
        [(HOME, "till-live"), (SHOP, "cart-live"), (BANK, "book-live"), (BANK, "cart-test"), (SHOP, "cart-test2")];
    let scene = Scene::with(&users).await;
    scene.configure(&format!(
        "[[account]]\nid = \"{HOME}\"\n{}{}",
        account(SHOP, "shop", ""),
        account(BANK, "bank", "")
    ));
    let before = users.map(|(_, user)| scene.stored(user));
    scene.run(&["doctor"]).code(0).prints(SHOP).prints(BANK);
    let plan = scene.run(&["plan", "--output", "json"]).code(0);
    scene.run(&["plan"]).code(0).prints("cart-live in 111122223333").prints("book-live in 444455556666");
    let ended = scene.run(&["run", "--output", "json"]).code(0);
    let document = ended.json();
    let of = |user: &str| {
        let rotations = document["rotations"].as_array().expect("a list");
        let found = rotations.iter().find(|rotation| rotation["user"] == user);
        found.unwrap_or_else(|| panic!("no {user}: {document:#}\n{}", plan.stdout))["account"].clone()
    };
    for ((account, user), before) in users.iter().zip(&before) {
        assert_eq!(of(user), *account);
        scene.assert_rotated(account, user, before).await;
    }
}

#[tokio::test]
async fn a_key_of_an_account_that_is_not_configured_is_reported_and_left_alone() {
    let scene = Scene::with(&[(HOME, "till-live"), (SHOP, "cart-live"), (BANK, "book-live")]).await;
    scene.configure(&format!("[[account]]\nid = \"{HOME}\"\n{}", account(SHOP, "shop", "")));
    let before = ["till-live", "cart-live", "book-live"].map(|user| scene.stored(user));
    let ended = scene.run(&["run", "--output", "json"]).code(0);
    let alone = ended.json()["skipped"].as_array().expect("a list").clone();
    assert_eq!(alone.len(), 1, "{alone:#?}");
    assert_eq!((&alone[0]["reason"], &alone[0]["key_id"]), (&json!("other-account"), &json!(before[2])));
    assert!(alone[0]["message"].as_str().is_some_and(|message| message.contains(BANK)), "{alone:#?}");
    scene.assert_rotated(HOME, "till-live", &before[0]).await;
    scene.assert_rotated(SHOP, "cart-live", &before[1]).await;
    assert_eq!(scene.keys_of(BANK, "book-live").await, [before[2].clone()]);
}

#[tokio::test]
async fn a_key_where_its_account_is_not_to_have_any_needs_an_operator() {
    let scene = Scene::with(&[(SHOP, "cart-live"), (SHOP, "cart-test"), (BANK, "book-live")]).await;
    let shop = account(SHOP, "shop", "environments = [\"*/live\"]");
    scene.configure(&format!("{shop}{}", account(BANK, "bank", "stores = [\"sqlite:store.db\"]")));
    // A store is named by its URI, whose path is absolute.
    scene.run(&["plan"]).code(2).says("stores of [[account]]");
    let path = scene.bench.path("store.db");
    scene.configure(&format!("{shop}{}", account(BANK, "bank", &format!("stores = [\"sqlite:{}\"]", path.display()))));
    let before = ["cart-live", "cart-test", "book-live"].map(|user| scene.stored(user));
    let ended = scene.run(&["run"]).code(4).prints("not configured to have keys there");
    assert!(ended.stdout.contains(&before[1]), "{}", ended.stdout);
    scene.assert_rotated(SHOP, "cart-live", &before[0]).await;
    assert_eq!(scene.keys_of(SHOP, "cart-test").await, [before[1].clone()]);
    scene.assert_rotated(BANK, "book-live", &before[2]).await;
}

/// A rotation in an unreachable account waits and harms no other account.
#[tokio::test]
async fn an_account_that_cannot_be_used_harms_no_other() {
    let scene = Scene::with(&[(SHOP, "cart-live"), (BANK, "book-live")]).await;
    let reached = format!("{}{}", account(SHOP, "shop", ""), account(BANK, "bank", ""));
    scene.configure(&reached);
    let old = scene.stored("book-live");
    let first = scene.command(&["run", "--only", "book/live"]).env("ROTATOR_POLICY_QUARANTINE", "1s").output();
    Ended::from(first.expect("it starts")).code(3);
    assert_eq!(scene.keys_of(BANK, "book-live").await.len(), 2, "in its quarantine");
    std::thread::sleep(std::time::Duration::from_millis(1100));

    // The profile does not exist, so rotator cannot sign requests for that account.
    let lost =
        format!("{}[[account]]\nid = \"{BANK}\"\nname = \"bank\"\nprofile = \"missing\"\n", account(SHOP, "shop", ""));
    scene.configure(&lost);
    let cart = scene.stored("cart-live");
    scene.run(&["doctor"]).code(1).prints("FAIL  credentials").prints("bank (444455556666)");
    let ended = scene.run(&["run"]);
    assert_eq!(ended.code, 1, "{}\n{}", ended.stdout, ended.stderr);
    let reported = format!("{}{}", ended.stdout, ended.stderr);
    assert!(reported.contains(BANK), "{reported}");
    scene.assert_rotated(SHOP, "cart-live", &cart).await;
    assert_eq!(scene.keys_of(BANK, "book-live").await.len(), 2, "nothing was changed there");

    scene.configure(&reached);
    scene.run(&["resume"]).code(0);
    scene.assert_rotated(BANK, "book-live", &old).await;
}

/// A profile is what it says, also where the environment holds other credentials; and these, which only a store is read
/// with, are never rotated themselves.
#[tokio::test]
async fn a_profile_is_used_and_the_key_that_only_reads_a_store_is_left_alone() {
    let scene = Scene::with(&[(HOME, "till-live"), (HOME, "robot-live")]).await;
    let secret = |user: &str| {
        let entry = format!("{}/AWS_SECRET_ACCESS_KEY", user.replace('-', "/"));
        scene.bench.run(&["store", "get", &entry]).code(0).stdout
    };
    let (robot, till) = (scene.stored("robot-live"), scene.stored("till-live"));
    let admin = &scene.inside[HOME];
    std::fs::create_dir(scene.bench.path(".aws")).expect("made");
    let profile = format!("[admin]\naws_access_key_id = {}\naws_secret_access_key = {}\n", admin.id, admin.secret);
    scene.bench.write(".aws/credentials", &profile);
    let stores = "[[store]]\nuri = \"sqlite:store.db\"\n[[store]]\nuri = \"aws-ssm:/nothing\"\n";
    scene.configure(&format!("{stores}[[account]]\nid = \"{HOME}\"\nprofile = \"admin\"\n"));
    let as_robot = |args: &[&str]| -> Ended {
        let mut command = scene.command(args);
        command.env_remove("ROTATOR_STORE");
        command.env("AWS_ACCESS_KEY_ID", &robot).env("AWS_SECRET_ACCESS_KEY", secret("robot-live"));
        command.output().expect("it starts").into()
    };
    // moto knows no owner of the profile's key; the environment's key belongs to a user.
    let doctor = as_robot(&["doctor"]).code(0).prints("user/moto");
    assert!(!doctor.stdout.contains("user/robot-live"), "{}", doctor.stdout);
    let ended = as_robot(&["run", "--output", "json"]).code(0);
    let alone = ended.json()["skipped"].as_array().expect("a list").clone();
    assert!(alone.iter().any(|left| left["key_id"] == robot && left["reason"] == "own-key"), "{alone:#?}");
    assert_eq!(scene.keys_of(HOME, "robot-live").await, [robot]);
    scene.assert_rotated(HOME, "till-live", &till).await;
}

/// The key that a chain of roles begins with signs no call to IAM, and without it none can be signed.
#[tokio::test]
async fn the_key_behind_an_assumed_role_is_rotators_own() {
    let role = format!("role_arn = arn:aws:iam::{HOME}:role/admin");
    let of_account = format!("[[account]]\nid = \"{HOME}\"\nprofile = \"chained\"\n");
    let by_role = format!("[[account]]\nrole = \"arn:aws:iam::{HOME}:role/rotator\"\nprofile = \"chained\"\n");
    let by_profile = format!("[chained]\nsource_profile = middle\n{role}\n[middle]\nsource_profile = base\n{role}\n");
    let by_source = format!("[chained]\ncredential_source = Environment\n{role}\n");
    for (profiles, config, profile) in [
        (&by_profile, "", Some("chained")),
        (&by_profile, &of_account, None),
        (&by_profile, &by_role, None),
        (&by_source, &of_account, None),
    ] {
        let scene = Scene::with(&[(HOME, "till-live"), (HOME, "robot-live")]).await;
        let (robot, till) = (scene.stored("robot-live"), scene.stored("till-live"));
        let secret = scene.bench.run(&["store", "get", "robot/live/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
        std::fs::create_dir(scene.bench.path(".aws")).expect("made");
        let base = format!("[base]\naws_access_key_id = {robot}\naws_secret_access_key = {secret}\n{profiles}");
        scene.bench.write(".aws/credentials", &base);
        scene.configure(config);
        let mut command = scene.command(&["run", "--output", "json"]);
        match profile {
            Some(profile) => {
                command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY").env("AWS_PROFILE", profile);
            }
            None => {
                command.env("AWS_ACCESS_KEY_ID", &robot).env("AWS_SECRET_ACCESS_KEY", &secret);
            }
        }
        let ended: Ended = command.output().expect("it starts").into();
        let alone = ended.code(0).json()["skipped"].as_array().expect("a list").clone();
        let own = alone.iter().any(|left| left["key_id"] == robot && left["reason"] == "own-key");
        assert!(own, "{profiles}{config}: {alone:#?}");
        assert_eq!(scene.keys_of(HOME, "robot-live").await, [robot], "{profiles}{config}");
        scene.assert_rotated(HOME, "till-live", &till).await;
    }
}

#[test]
fn an_invalid_account_table_is_refused_with_the_reason() {
    let bench = Bench::new();
    let role = "arn:aws:iam::111122223333:role/rotator";
    for (text, says) in [
        ("[[account]]\nname = \"shop\"\n".to_owned(), "neither an id nor a role"),
        ("[[account]]\nid = \"1234\"\n".to_owned(), "twelve digits"),
        (format!("[[account]]\nid = \"444455556666\"\nrole = \"{role}\"\n"), "a role of that account"),
        ("[[account]]\nid = \"111122223333\"\nexternal_id = \"x\"\n".to_owned(), "only a role"),
        ("[[account]]\nrole = \"arn:aws:iam::111122223333:user/rotator\"\n".to_owned(), "role/NAME"),
        (format!("[[account]]\nrole = \"{role}\"\n[[account]]\nid = \"111122223333\"\n"), "are called 111122223333"),
        (format!("[[account]]\nrol = \"{role}\"\n"), "did you mean `role`"),
        (
            "[[account]]\nid = \"111122223333\"\nmfa_serial = \"arn:aws:iam::111122223333:mfa/me\"\n".to_owned(),
            "only a role",
        ),
        ("[[account]]\nid = \"111122223333\"\nsession_duration = \"1h\"\n".to_owned(), "only a role"),
        (format!("[[account]]\nrole = \"{role}\"\nmfa_serial = \"me\"\n"), "mfa/NAME"),
        (format!("[[account]]\nrole = \"{role}\"\nmfa_serial = \"arn:aws:iam::1:u2f/user/me\"\n"), "gives no code"),
        (format!("[[account]]\nrole = \"{role}\"\nsession_duration = \"13h\"\n"), "from 15m to 12h"),
        ("account = \"111122223333\"\n".to_owned(), "[[account]] tables"),
        ("[[store]]\nuri = \"aws-ssm:/x\"\naccount = \"shop\"\n".to_owned(), "there is no such [[account]]"),
    ] {
        bench.write("rotator.toml", &text);
        let ended: Ended = bench.command(&["plan"]).env_remove("ROTATOR_STORE").output().expect("it starts").into();
        ended.code(2).says(says);
    }
}

#[test]
fn the_policy_goes_by_include_and_says_what_each_statement_is_for() {
    let bench = Bench::new();
    bench.write(
        "rotator.toml",
        "[[store]]\nuri = \"aws-secretsmanager:team/\"\nregion = \"eu-west-1\"\ninclude = [\"shop/*\", \"mail/live/ses\"]\n",
    );
    let policy = |args: &[&str]| -> Ended {
        bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
    };
    let printed = policy(&["policy", "--account", "111122223333"]).code(0);
    let begin = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/";
    let resources = json!([format!("{begin}mail/live/ses-??????"), format!("{begin}shop/*")]);
    let document = printed.json();
    let statements = document["Statement"].as_array().expect("a list");
    let of = |sid: &str| statements.iter().find(|statement| statement["Sid"] == sid).expect("it is there");
    assert_eq!(of("Store0Read")["Resource"], resources);
    assert_eq!(of("Store0Write")["Resource"], resources);
    for statement in statements {
        let sid = statement["Sid"].as_str().expect("text");
        assert!(printed.stderr.contains(&format!("{sid}: ")), "{sid} is not explained: {}", printed.stderr);
    }
    printed.says("`user/*` is every user of the account");
    assert!(policy(&["policy", "-q"]).code(0).stderr.is_empty());
    bench.write("rotator.toml", "[[store]]\nuri = \"vault:kv/team\"\ninclude = [\"shop/*/aws\"]\n");
    let vault = policy(&["policy", "--vault"]).code(0).says("metadata: ").json();
    let paths: Vec<&String> = vault["path"].as_object().expect("an object").keys().collect();
    assert_eq!(paths, ["kv/data/team/shop/*", "kv/metadata/team/*"]);
}

#[test]
fn each_account_has_a_policy_of_its_own() {
    let bench = Bench::new();
    let role = "arn:aws-us-gov:iam::111122223333:role/rotator";
    bench.write(
        "rotator.toml",
        &format!(
            "[[store]]\nuri = \"aws-ssm:/shop\"\naccount = \"shop\"\n[[account]]\nname = \"shop\"\nrole = \"{role}\"\n\
             [[account]]\nid = \"444455556666\"\n"
        ),
    );
    let policy = |args: &[&str]| -> Ended {
        bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
    };
    let own = policy(&["policy"]).code(0);
    assert_eq!(
        own.json()["Statement"][0],
        json!({"Sid": "AssumeRoles", "Effect": "Allow", "Action": ["sts:AssumeRole"], "Resource": [role]})
    );
    // The second account has neither a role nor a profile: it is that of the credentials in use.
    let own = own.prints("arn:aws:iam::444455556666:user/").prints("iam:CreateAccessKey");
    assert!(!own.stdout.contains("ssm"), "that store is another's: {}", own.stdout);
    let shop = policy(&["policy", "--account", "shop"]).code(0).prints("arn:aws-us-gov:iam::111122223333:user/");
    let shop = shop.prints("sts:GetAccessKeyInfo").prints("arn:aws-us-gov:ssm:*:111122223333:parameter/shop");
    drop(shop);
    let other = policy(&["policy", "--account", "444455556666"]).code(0).prints("arn:aws:iam::444455556666:user/");
    assert!(!other.stdout.contains("ssm"), "that store is another's: {}", other.stdout);
    policy(&["policy", "--account", "999999999999"]).code(2).says("there is no account");
}
