//! T15: a store that was restored from before the rotation, and another account with the same number. rotator cannot
//! distinguish either from the real one, and neither may cost a key.

use rotator::adapters::stores::embedded::{EmbeddedStore, StoreKey};
use rotator::sandbox::{Behaviour, Sandbox, SandboxOptions};

use super::scene::Scene;
use super::states::{LATER, RotationState, USERS};
use super::wrong_session::{admin_of, snapshot, swap};
use crate::support::aws::Pair;
use crate::support::program::Program;
use crate::support::proof::{self, Proof};

/// The store in the folder before the rotation.
fn keep_a_copy(scene: &Scene) {
    let folder = scene.rig.program.folder();
    assert!(!folder.join("store.db-wal").exists(), "no process has the store open, so all is in one file");
    std::fs::copy(folder.join("store.db"), folder.join("backup.db")).expect("copied");
}

/// The hard case: the same store, by its identity, with the content from before the rotation. That content is never
/// made worse, and once the right store is back, every rotation continues.
#[test]
fn a_store_restored_from_a_backup_costs_no_key() {
    let windows = ["restored from a backup"];
    let mut proof = Proof::of("T15", "the store restored from a backup, from every state", &windows);
    for _ in 0..proof::cases(2, 20) {
        for state in RotationState::ALL {
            let mut scene = Scene::with_users(USERS);
            keep_a_copy(&scene);
            state.bring(&mut scene);
            swap(&scene.rig.program, "store.db", "away.db");
            swap(&scene.rig.program, "backup.db", "store.db");
            let worked = working(&scene);
            let made: Vec<String> = stored_ids_in(&scene, "away.db");
            for command in ["resume", "run", "resume"] {
                let ended = scene.once(command);
                assert!(matches!(ended.code, Some(0 | 3 | 4)), "{state:?}, {command}: {ended:#?}");
                let works = working(&scene);
                assert!(worked.iter().all(|user| works.contains(user)), "P1 at {state:?}, {command}: {ended:#?}");
                let there = scene.sandbox.all_keys();
                let kept = |id: &String| there.iter().any(|key| key.id.as_str() == id);
                assert!(
                    state == RotationState::CreateInDoubt
                        || state == RotationState::SecretLost
                        || made.iter().all(kept),
                    "{state:?}: a key that the right store holds is gone: {ended:#?}"
                );
            }
            if !matches!(state, RotationState::CreateInDoubt | RotationState::SecretLost) {
                swap(&scene.rig.program, "store.db", "backup.db");
                swap(&scene.rig.program, "away.db", "store.db");
            }
            state.repair(&scene);
            let finished = scene.finish("resume").and_then(|_| scene.rig.all_settled());
            finished.unwrap_or_else(|broken| panic!("{state:?}: {broken}"));
            proof.hit(windows[0], USERS as u64);
            proof.case();
        }
    }
    proof.conclude();
}

/// The users whose stored pair works.
fn working(scene: &Scene) -> Vec<String> {
    let stored = scene.rig.stored().expect("pairs");
    stored.into_iter().filter(|(_, pair)| scene.rig.iam.accepts(pair)).map(|(user, _)| user).collect()
}

/// The ids that a store moved aside holds.
fn stored_ids_in(scene: &Scene, file: &str) -> Vec<String> {
    let key = std::fs::read_to_string(scene.rig.program.folder().join("store.db.key")).expect("a key");
    let key = StoreKey::from_base64(key.trim()).expect("a key");
    let path = scene.rig.program.folder().join(file);
    let store = EmbeddedStore::open(&path, Some(key)).expect("opened");
    let entries = store.list().expect("listed").into_iter().map(|listed| listed.entry);
    let ids = entries.filter(|entry| entry.to_string().ends_with("/AWS_ACCESS_KEY_ID"));
    let value = |entry| store.get(&entry).expect("read").expect("listed just now").expose().to_vec();
    ids.map(|entry| String::from_utf8(value(entry)).expect("text")).collect()
}

/// Another account with the same number: AWS has none, but all look-alikes begin with one number. rotator may close a
/// rotation there as `gone`, but it touches no key and no pair at home, and reports at home every key that was left.
#[test]
fn an_account_of_the_same_number_costs_no_key() {
    let windows = ["at a look-alike's account of the same number"];
    let mut proof = Proof::of("T15", "an account of the same number that is another one", &windows);
    for _ in 0..proof::cases(1, 10) {
        for state in RotationState::ALL {
            for with_users in [false, true] {
                let mut scene = Scene::with_users(USERS);
                let twin = twin_of(&scene, with_users);
                state.bring(&mut scene);
                let before = snapshot(&scene);
                let home = (scene.sandbox.endpoint_url(), admin_of(&scene.sandbox));
                go(&mut scene.rig.program, &twin.endpoint_url(), &admin_of(&twin));
                let mut said = String::new();
                for command in ["resume", "resume", "run"] {
                    let ended = scene.rig.program.rotator(&[command, "-q", "--output", "json"]);
                    said.push_str(&format!("{}{}\n", ended.stdout, ended.stderr));
                    assert!(before == snapshot(&scene), "{state:?}, {command}: something changed: {said}");
                    assert!(matches!(ended.code, Some(0 | 3 | 4)), "{state:?}, {command}: {ended:#?}");
                }
                go(&mut scene.rig.program, &home.0, &home.1);
                back_from_the_twin(&scene, state, &said, &mut proof);
                proof.hit(windows[0], USERS as u64);
                proof.case();
            }
        }
    }
    proof.conclude();
}

fn go(program: &mut Program, endpoint: &str, pair: &Pair) {
    program.set("AWS_ENDPOINT_URL", endpoint);
    program.set("AWS_ACCESS_KEY_ID", &pair.id);
    program.set("AWS_SECRET_ACCESS_KEY", &pair.secret);
}

/// The same number; the same users with other keys, or none.
fn twin_of(scene: &Scene, with_users: bool) -> Sandbox {
    let behaviour = Behaviour { allow_slash_in_user_names: true, ..Behaviour::default() };
    let twin = Sandbox::start(SandboxOptions { behaviour, ..SandboxOptions::default() }).expect("a sandbox");
    for user in scene.rig.users.iter().filter(|_| with_users) {
        twin.add_user(user).expect("a new user");
        twin.create_key(user).expect("a key");
    }
    twin.advance(LATER);
    twin
}

fn back_from_the_twin(scene: &Scene, state: RotationState, said: &str, proof: &mut Proof) {
    let all = scene.rig.program.ends_with(0, &["status", "--all", "--output", "json"]).json();
    for gone in all["rotations"].as_array().expect("rotations").iter().filter(|rotation| rotation["state"] == "gone") {
        let why = gone["last_error"].as_str().unwrap_or_default();
        let reported = why.contains("IAM has no user") || why.contains("IAM does not list");
        assert!(reported, "{state:?}: closed as gone, and the reason was not reported: {gone}");
        proof.count("closed as gone there", 1);
    }
    state.repair(scene);
    // A key that the closed rotation left behind is named; one that is deleted meanwhile needs no name.
    let resumed = scene.finish("resume").unwrap_or_else(|broken| panic!("{state:?}: {broken}\n{said}"));
    scene.rig.all_accepted().unwrap_or_else(|broken| panic!("{state:?}: {broken}\n{said}"));
    let run = scene.rig.program.rotator(&["run", "--older-than", "0s", "-q", "--output", "json"]);
    let reported = format!("{}{}{}", resumed.said, run.stdout, run.stderr);
    for (user, stored) in scene.rig.all_accepted().unwrap_or_else(|broken| panic!("{state:?}: {broken}\n{reported}")) {
        for key in scene.rig.iam.keys_of(&user).iter().filter(|key| **key != stored.id) {
            assert!(
                reported.contains(key.as_str()),
                "{state:?}: {key} of {user} is left, and was not reported: {reported}"
            );
        }
    }
}
