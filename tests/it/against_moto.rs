//! The real binary against moto, which checks signatures, with the task's own names, from an import to the last delete.
//! Where moto lacks a feature, the sandbox takes its part.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rotator::sandbox::{Action, KeyStatus, Sandbox, SandboxOptions};

use crate::support::aws::{self, Pair, outcome};
use crate::support::moto::Moto;
use crate::support::program::{Program, my_secret, put_pair, sandbox_with_slashes};

const USERS: [&str; 2] = ["app1/production", "app1/staging"];

/// moto with the users and their keys, and the store filled with them.
struct Scene {
    moto: Moto,
    admin: Pair,
    program: Program,
    first: BTreeMap<&'static str, Pair>,
}

impl Scene {
    async fn build() -> Self {
        let moto = Moto::start();
        let admin = moto.check_signatures().await;
        let iam = aws::iam(moto.addr(), &admin);
        let (mut first, mut entries) = (BTreeMap::new(), BTreeMap::new());
        for user in USERS {
            iam.create_user().user_name(user).send().await.expect("moto takes a slash");
            let made = iam.create_access_key().user_name(user).send().await.expect("a key");
            let key = made.access_key().expect("a key");
            let pair = Pair::new(key.access_key_id(), key.secret_access_key());
            put_pair(&mut entries, user, &pair);
            entries.insert(format!("{user}/MY_SECRET"), my_secret(user));
            first.insert(user, pair);
        }
        let program = Program::new(&format!("http://{}", moto.addr()), &admin);
        program.import(&entries);
        Self { moto, admin, program, first }
    }

    async fn ids_of(&self, user: &str) -> Vec<String> {
        let listed = aws::iam(self.moto.addr(), &self.admin).list_access_keys().user_name(user).send().await;
        let listed = listed.expect("moto lists");
        listed.access_key_metadata().iter().filter_map(|key| key.access_key_id().map(str::to_owned)).collect()
    }

    /// One key for each user, another than `before`, which the store holds and moto accepts; the rest unchanged.
    async fn assert_rotated(&self, before: &BTreeMap<&'static str, Pair>) -> BTreeMap<&'static str, Pair> {
        let mut now = BTreeMap::new();
        for user in USERS {
            let pair = self.program.pair(user);
            assert_eq!(
                self.ids_of(user).await,
                *std::slice::from_ref(&pair.id),
                "{user} has the stored key and no other"
            );
            assert_ne!(pair.id, before[user].id, "{user} has another key than before");
            let identity = aws::sts(self.moto.addr(), &pair).get_caller_identity().send().await;
            assert_eq!(outcome(&identity), "ok", "the stored pair of {user} authenticates");
            let arn = identity.expect("ok").arn().unwrap_or_default().to_owned();
            assert!(arn.ends_with(&format!("user/{user}")), "{arn} is {user}");
            let old = aws::sts(self.moto.addr(), &before[user]).get_caller_identity().send().await;
            assert_ne!(outcome(&old), "ok", "the old pair of {user} is refused: signatures are checked");
            assert_eq!(self.program.value(&format!("{user}/MY_SECRET")), my_secret(user));
            now.insert(user, pair);
        }
        now
    }
}

#[tokio::test]
async fn run_rotates_the_users_of_the_task_and_runs_again() {
    let scene = Scene::build().await;
    scene.program.ends_with(0, &["run"]);
    let second = scene.assert_rotated(&scene.first).await;
    scene.program.ends_with(0, &["run"]);
    for user in USERS {
        assert_eq!(scene.program.pair(user).id, second[user].id, "what rotator has just made is not due");
    }
    scene.program.ends_with(0, &["run", "--older-than", "0s"]);
    scene.assert_rotated(&second).await;
    let names = scene.program.ends_with(0, &["store", "list"]).stdout;
    assert_eq!(names.lines().filter(|line| line.contains("app1/")).count(), 6, "no entry came or went: {names}");
}

/// moto holds no answer back, so the second key of each user is the sign to kill; the proof spread over 5 s keeps
/// the run from storing it before.
#[tokio::test]
async fn a_run_killed_after_the_creates_is_resumed() {
    let mut scene = Scene::build().await;
    scene.program.set("ROTATOR_POLICY_PROOF_SPAN", "5s");
    let run = scene.program.spawn(&["run"]);
    let began = Instant::now();
    let mut in_limbo = Vec::new();
    while in_limbo.len() < 2 * USERS.len() {
        assert!(began.elapsed() < Duration::from_secs(30), "the run makes its keys");
        tokio::time::sleep(Duration::from_millis(10)).await;
        in_limbo.clear();
        for user in USERS {
            in_limbo.extend(scene.ids_of(user).await);
        }
    }
    assert_eq!(run.kill().signal, Some(9));
    for user in USERS {
        assert_eq!(scene.program.pair(user).id, scene.first[user].id, "killed before it stored anything");
    }
    scene.program.set("ROTATOR_POLICY_PROOF_SPAN", "0s");
    let (ended, _) = scene.program.until_settled(&["resume"], Duration::from_millis(200));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    let now = scene.assert_rotated(&scene.first).await;
    for pair in now.values() {
        assert!(!in_limbo.contains(&pair.id), "{}: a key whose secret was lost is never the stored one", pair.id);
    }
}

/// The task's own ids have no `AKIA`; found by the names of their entries. moto makes no ids by choice.
#[test]
fn an_old_key_of_any_form_is_found_by_name_and_rotated() {
    let sandbox = sandbox_with_slashes();
    let mut entries = BTreeMap::new();
    for (user, id) in USERS.iter().zip(["PROD111111111EXAMPLE", "STAGING1111111EXAMPLE"]) {
        let old = Pair::new(id, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzTASKsecret");
        sandbox.add_user(user).expect("a user");
        sandbox.add_key(user, &old.id, &old.secret, KeyStatus::Active, None).expect("a key");
        put_pair(&mut entries, user, &old);
        entries.insert(format!("{user}/MY_SECRET"), my_secret(user));
    }
    let program = Program::at(&sandbox);
    program.import(&entries);
    program.ends_with(0, &["run"]);
    for user in USERS {
        let pair = program.pair(user);
        assert!(pair.id.starts_with("AKIA"), "{} is new", pair.id);
        assert!(sandbox.accepts(&pair.id, &pair.secret));
        let keys = sandbox.keys_of(user);
        assert_eq!(keys.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), [pair.id.as_str()]);
        assert_eq!(program.value(&format!("{user}/MY_SECRET")), my_secret(user));
    }
}

/// Real IAM allows no slash in a user's name.
#[test]
fn under_the_rule_of_real_iam_the_message_names_the_setting_and_nothing_changes() {
    let sandbox = Sandbox::start(SandboxOptions::default()).expect("a sandbox");
    let mut entries = BTreeMap::new();
    for scope in USERS {
        let user = scope.replace('/', "-");
        sandbox.add_user(&user).expect("a user");
        let key = sandbox.create_key(&user).expect("a key");
        put_pair(&mut entries, scope, &Pair::new(key.id.as_str(), key.secret.expose()));
        entries.insert(format!("{scope}/MY_SECRET"), my_secret(scope));
    }
    let program = Program::at(&sandbox);
    program.import(&entries);
    let before = sandbox.all_keys().iter().map(|key| (key.id.clone(), key.status)).collect::<Vec<_>>();

    let ended = program.ends_with(4, &["run"]);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("[owner] template = \"{app}-{environment}\""), "{said}");
    for (entry, value) in &entries {
        assert_eq!(&program.value(entry), value, "{entry}");
    }
    assert_eq!(sandbox.all_keys().iter().map(|key| (key.id.clone(), key.status)).collect::<Vec<_>>(), before);
    for action in [Action::CreateAccessKey, Action::UpdateAccessKey, Action::DeleteAccessKey] {
        assert_eq!(sandbox.calls().get(&action), None, "{action}");
    }

    let reported = program.with("ROTATOR_OWNER_TEMPLATE", "{app}-{environment}");
    reported.ends_with(0, &["run"]);
    for scope in USERS {
        let pair = reported.pair(scope);
        assert!(sandbox.accepts(&pair.id, &pair.secret), "with that line it works");
        assert_ne!(pair.id, entries[&format!("{scope}/AWS_ACCESS_KEY_ID")]);
    }
}
