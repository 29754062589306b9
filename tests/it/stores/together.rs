//! One run over five stores that share keys: the embedded one, a folder of files, Secrets Manager and Parameter Store at
//! moto, Vault's API at OpenBao; IAM and its clock are the sandbox's.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::Sandbox;
use serde_json::{Value, json};

use super::aws::wait;
use crate::support::aws::{self, Pair, outcome};
use crate::support::bao::{Bao, ROOT};
use crate::support::moto::Moto;
use crate::support::program::AGAIN;
use crate::support::program::{Program, sandbox_with_slashes, user_with_entries};
use crate::support::proof::{self, Draw, Proof};

/// Users, their pairs in five stores, and the servers.
struct Scene {
    sandbox: Sandbox,
    _moto: Moto,
    bao: Bao,
    program: Program,
    secrets: aws_sdk_secretsmanager::Client,
    parameters: aws_sdk_ssm::Client,
    users: Vec<String>,
}

const CONFIG: &str = r#"
[[store]]
uri = "sqlite:store.db"
[[store]]
uri = "file:files"
[[store]]
uri = "aws-secretsmanager:"
region = "eu-central-1"
[[store]]
uri = "aws-ssm:/apps"
[[store]]
uri = "vault:kv"
"#;

/// A realistic `.env` file.
fn env_file(pair: &Pair) -> String {
    format!(
        "# the app's own\r\nexport AWS_ACCESS_KEY_ID=\"{}\"   # rotated\r\n\r\nAWS_SECRET_ACCESS_KEY='{}'\r\nDEBUG=1 \r\n",
        pair.id, pair.secret
    )
}

fn secret(pair: &Pair) -> String {
    format!("{{\"accessKeyId\": \"{}\", \"secretAccessKey\": \"{}\", \"n\": [1, 2]}}", pair.id, pair.secret)
}

impl Scene {
    async fn with_users(number: usize) -> Self {
        let (sandbox, moto, bao) = (sandbox_with_slashes(), Moto::start(), Bao::start());
        bao.mount_kv();
        let mut program = Program::at(&sandbox);
        let at_moto = format!("http://{}", moto.addr());
        program.set("AWS_ENDPOINT_URL_SECRETS_MANAGER", &at_moto);
        program.set("AWS_ENDPOINT_URL_SSM", &at_moto);
        program.set("VAULT_ADDR", &bao.url());
        program.set("VAULT_TOKEN", ROOT);
        std::fs::write(program.folder().join("rotator.toml"), CONFIG).expect("written");
        let chain = aws_config::defaults(aws_config::BehaviorVersion::latest())
            .region(aws_config::Region::new("eu-central-1"))
            .endpoint_url(&at_moto)
            .credentials_provider(aws_credential_types::Credentials::new(
                "AKIAAAAAAAAAAAAAAAAA",
                "x",
                None,
                None,
                "test",
            ))
            .load()
            .await;
        let secrets = aws_sdk_secretsmanager::Client::new(&chain);
        let us = chain.to_builder().region(aws_config::Region::new("us-east-1")).build();
        let parameters = aws_sdk_ssm::Client::new(&us);
        let users: Vec<String> = (0..number).map(|number| format!("team{number}/live")).collect();
        let mut entries = BTreeMap::new();
        for user in &users {
            let pair = user_with_entries(&sandbox, user, &mut entries);
            let file = program.folder().join(format!("files/{user}/.env"));
            std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
            std::fs::write(file, env_file(&pair)).expect("written");
            secrets
                .create_secret()
                .name(format!("{user}/aws"))
                .secret_string(secret(&pair))
                .send()
                .await
                .expect("made");
            for (name, value) in [("AWS_ACCESS_KEY_ID", &pair.id), ("AWS_SECRET_ACCESS_KEY", &pair.secret)] {
                let put = parameters.put_parameter().name(format!("/apps/{user}/{name}")).value(value);
                put.r#type(aws_sdk_ssm::types::ParameterType::SecureString).send().await.expect("made");
            }
            let data = json!({ "AWS_ACCESS_KEY_ID": pair.id, "port": 5432, "AWS_SECRET_ACCESS_KEY": pair.secret });
            bao.ask("POST", &format!("/v1/kv/data/{user}"), Some(&json!({ "data": data })));
        }
        program.import(&entries);
        program.unset("ROTATOR_STORE");
        Self { sandbox, _moto: moto, bao, program, secrets, parameters, users }
    }

    /// The pair of a user in each of the five, with all around it as it was.
    fn pairs(&self, user: &str) -> Vec<Pair> {
        let mut pairs = vec![self.program.pair(user)];
        let file = std::fs::read_to_string(self.program.folder().join(format!("files/{user}/.env"))).expect("there");
        let named = |name: &str| {
            let line = file.lines().find(|line| line.contains(name)).expect("a line");
            line.split(['"', '\'']).nth(1).expect("a quoted value").to_owned()
        };
        let pair = Pair::new(named("AWS_ACCESS_KEY_ID"), named("AWS_SECRET_ACCESS_KEY"));
        assert_eq!(file, env_file(&pair), "something else changed");
        pairs.push(pair);
        let got =
            wait(self.secrets.get_secret_value().secret_id(format!("{user}/aws")).version_stage("AWSCURRENT").send());
        let text = got.expect("there").secret_string.expect("text");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let text_of = |document: &Value, name: &str| document[name].as_str().expect("text").to_owned();
        pairs.push(Pair::new(text_of(&document, "accessKeyId"), text_of(&document, "secretAccessKey")));
        assert_eq!(text, secret(&pairs[2]), "something else changed");
        let parameter = |name: &str| {
            let get = self.parameters.get_parameter().name(format!("/apps/{user}/{name}")).with_decryption(true);
            let parameter = wait(get.send()).expect("there").parameter.expect("there");
            assert_eq!(parameter.r#type, Some(aws_sdk_ssm::types::ParameterType::SecureString));
            parameter.value.expect("text")
        };
        pairs.push(Pair::new(parameter("AWS_ACCESS_KEY_ID"), parameter("AWS_SECRET_ACCESS_KEY")));
        let data = self.bao.ask("GET", &format!("/v1/kv/data/{user}"), None)["data"]["data"].clone();
        assert_eq!(data["port"], 5432);
        pairs.push(Pair::new(text_of(&data, "AWS_ACCESS_KEY_ID"), text_of(&data, "AWS_SECRET_ACCESS_KEY")));
        pairs
    }

    /// Each user has one key, which all five hold and which authenticates.
    fn all_hold_the_one_key(&self) -> Result<(), String> {
        for user in &self.users {
            let ids: Vec<String> = self.sandbox.keys_of(user).iter().map(|key| key.id.to_string()).collect();
            let pairs = self.pairs(user);
            if pairs.iter().any(|pair| ids != [pair.id.clone()] || pair.secret != pairs[0].secret) {
                let held: Vec<_> = pairs.iter().map(|pair| &pair.id).collect();
                return Err(format!("{user} has {ids:?}, and the stores hold {held:?}"));
            }
            let answered = outcome(&wait(aws::sts(self.sandbox.addr(), &pairs[0]).get_caller_identity().send()));
            if answered != "ok" {
                return Err(format!("the stored pair of {user} does not authenticate: {answered}"));
            }
        }
        Ok(())
    }

    /// `run` again and again, twenty minutes later each time where something waits.
    fn finish(&self, jumped: &mut u64) -> Result<(), String> {
        for _ in 0..40 {
            let ended = self.program.rotator(&AGAIN);
            match ended.code {
                Some(0) => return Ok(()),
                // A write to Parameter Store may still take effect until its signature is too old.
                Some(3) => {
                    *jumped += 20;
                    self.sandbox.advance(Duration::from_secs(20 * 60));
                }
                _ => return Err(format!("run ends with {:?}: {}", ended.code, ended.stderr)),
            }
        }
        Err("it does not end".to_owned())
    }
}

#[tokio::test]
async fn a_key_in_five_stores_is_one_rotation() {
    let scene = Scene::with_users(3).await;
    let before: Vec<Pair> = scene.users.iter().map(|user| scene.pairs(user).remove(0)).collect();
    let ended = scene.program.ends_with(0, &["run", "-vvv", "--output", "json"]);
    let rotations = ended.json()["rotations"].as_array().expect("rotations").clone();
    assert_eq!(rotations.len(), scene.users.len(), "{rotations:#?}");
    for rotation in &rotations {
        let stores: std::collections::BTreeSet<&str> =
            rotation["places"].as_array().expect("places").iter().filter_map(|place| place["store"].as_str()).collect();
        assert_eq!(stores.len(), 5, "{rotation:#}");
    }
    scene.all_hold_the_one_key().expect("each place holds the one key");
    let mut secrets = vec![ROOT.to_owned()];
    for (user, old) in scene.users.iter().zip(before) {
        let now = scene.pairs(user).remove(0);
        assert_ne!(now.id, old.id, "{user} was not rotated");
        secrets.extend([old.secret, now.secret]);
    }
    let journal = ["journal.db", "journal.db-wal"].map(|name| std::fs::read(scene.program.folder().join(name)));
    let journal: Vec<u8> = journal.into_iter().flatten().flatten().collect();
    let reported = [ended.stdout.as_bytes(), ended.stderr.as_bytes(), &journal];
    assert!(reported.iter().all(|reported| reported.len() > 500), "there is something to search");
    for secret in secrets {
        let leaks = reported.iter().any(|reported| memchr::memmem::find(reported, secret.as_bytes()).is_some());
        assert!(!leaks, "a secret or a token in what was said, or in the journal");
    }
}

/// A store that is down: nothing is created, and all is said.
#[tokio::test]
async fn while_one_of_the_stores_is_down_no_key_is_touched() {
    let scene = Scene::with_users(1).await;
    let before = scene.pairs("team0/live").remove(0);
    let mut program = scene.program;
    program.set("VAULT_ADDR", "http://127.0.0.1:9");
    let ended = program.rotator(&AGAIN);
    assert!(ended.code == Some(1) && ended.stderr.contains("Vault at http://127.0.0.1:9"), "{ended:#?}");
    assert_eq!(program.rotator(&["plan"]).code, Some(1));
    program.set("VAULT_ADDR", &scene.bao.url());
    let scene = Scene { program, ..scene };
    assert_eq!(scene.pairs("team0/live")[0].id, before.id);
    scene.all_hold_the_one_key().expect("as before");
}

#[tokio::test]
async fn killed_at_any_moment_every_store_ends_with_the_one_key() {
    let users = usize::try_from(proof::cases(4, 100)).expect("few");
    let kills = if proof::is_full() { 100 } else { 20 };
    let what = "kill -9 of run over five stores that share keys, then runs until all is done";
    let mut proof = Proof::of("S1", what, &[]);
    let scene = Scene::with_users(users).await;
    let began = Instant::now();
    scene.program.ends_with(0, &AGAIN);
    let typical = began.elapsed();
    let mut jumped = 0;
    for kill in 1..=kills {
        let mut draw = Draw::new(proof::seed(), kill);
        let mut running = scene.program.spawn(&AGAIN);
        std::thread::sleep(typical.mul_f64(draw.fraction()) + Duration::from_millis(20));
        proof.count("killed before its end", u64::from(!running.is_over()));
        running.kill();
        if draw.below(2) == 0 {
            continue;
        }
        if let Err(broken) = scene.finish(&mut jumped).and_then(|()| scene.all_hold_the_one_key()) {
            panic!("kill {kill} of seed {}: {broken}\n{}", proof::seed(), scene.program.rotator(&["status"]).stdout);
        }
        proof.case();
    }
    scene.finish(&mut jumped).and_then(|()| scene.all_hold_the_one_key()).expect("every place holds the one key");
    proof.count("minutes that AWS's clock was set forward", jumped);
    proof.case();
    proof.conclude();
}
