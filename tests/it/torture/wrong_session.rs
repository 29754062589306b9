//! T15: `resume` and `run` with other credentials, another account, another endpoint or another store, from every state
//! in which a rotation may stay. Nothing changes, the message says what is wrong, and the right session continues.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rotator::sandbox::{KeyStatus, Sandbox, SandboxOptions};
use rotator::types::name::AccountId;

use super::scene::Scene;
use super::states::{RotationState, USERS};
use crate::support::aws::Pair;
use crate::support::program::{Ended, Program};
use crate::support::proof::Proof;

const HOME: &str = "123456789012";
const ABROAD: &str = "999999999999";
/// A sandbox user who may do nothing but ask who it is.
const POWERLESS: &str = "powerless";
/// From where rotator is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    UnknownKey,
    WrongSecret,
    KeySwitchedOff,
    NoPermission,
    AnotherAccount,
    NobodyListens,
    NoStore,
    AnotherStore,
    WrongStoreKey,
}

impl From {
    const ALL: [Self; 9] = [
        Self::UnknownKey,
        Self::WrongSecret,
        Self::KeySwitchedOff,
        Self::NoPermission,
        Self::AnotherAccount,
        Self::NobodyListens,
        Self::NoStore,
        Self::AnotherStore,
        Self::WrongStoreKey,
    ];

    /// The text that the message must contain.
    fn words(self) -> &'static [&'static str] {
        match self {
            Self::UnknownKey | Self::KeySwitchedOff => &["InvalidClientTokenId"],
            Self::WrongSecret => &["SignatureDoesNotMatch"],
            Self::NoPermission => &["AccessDenied"],
            Self::AnotherAccount => &[HOME, ABROAD, "the rotation of "],
            Self::NobodyListens => &["GetCallerIdentity"],
            Self::NoStore | Self::WrongStoreKey => &["store.db"],
            Self::AnotherStore => &["is another store (identity ", "recorded was ", "and the rotation of "],
        }
    }
}

/// Another account, a store of other things, and a user without permissions.
struct Abroad {
    account: Sandbox,
    store: Program,
    powerless: Pair,
    switched_off: Pair,
}

impl Abroad {
    fn of(scene: &Scene) -> Self {
        let account = AccountId::new(ABROAD).expect("an account");
        let account = Sandbox::start(SandboxOptions { account, ..SandboxOptions::default() }).expect("a sandbox");
        let store = Program::at(&account);
        store.import(&BTreeMap::from([("other/production/NOTE".to_owned(), "no key".to_owned())]));
        scene.sandbox.add_user(POWERLESS).expect("a new user");
        let pair = || {
            let key = scene.sandbox.create_key(POWERLESS).expect("a key");
            Pair::new(key.id.as_str(), key.secret.expose())
        };
        let (powerless, switched_off) = (pair(), pair());
        scene.sandbox.set_status(POWERLESS, &switched_off.id, KeyStatus::Inactive).expect("set");
        Self { account, store, powerless, switched_off }
    }

    /// Calls rotator from there, and brings everything back.
    fn call(&self, scene: &mut Scene, from: From, args: &[&str]) -> Ended {
        let home = (scene.sandbox.endpoint_url(), admin_of(&scene.sandbox));
        let program = &mut scene.rig.program;
        let sign = |program: &mut Program, pair: &Pair| {
            program.set("AWS_ACCESS_KEY_ID", &pair.id);
            program.set("AWS_SECRET_ACCESS_KEY", &pair.secret);
        };
        let here = format!("sqlite:{}", program.folder().join("store.db").display());
        match from {
            From::UnknownKey => program.set("AWS_ACCESS_KEY_ID", "AKIANOBODYKNOWSTHISX"),
            From::WrongSecret => program.set("AWS_SECRET_ACCESS_KEY", &self.powerless.secret),
            From::KeySwitchedOff => sign(program, &self.switched_off),
            From::NoPermission => sign(program, &self.powerless),
            From::AnotherAccount => {
                program.set("AWS_ENDPOINT_URL", &self.account.endpoint_url());
                sign(program, &admin_of(&self.account));
            }
            From::NobodyListens => {
                let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
                let address = listener.local_addr().expect("an address");
                program.set("AWS_ENDPOINT_URL", &format!("http://{address}"));
            }
            From::NoStore => swap(program, "store.db", "away.db"),
            // The rotation knows its store by its name, so another one has to lie in its place.
            From::AnotherStore => {
                for file in ["store.db", "store.db.key"] {
                    swap(program, file, &format!("away-{file}"));
                    std::fs::copy(self.store.folder().join(file), program.folder().join(file)).expect("copied");
                }
            }
            From::WrongStoreKey => program.set("ROTATOR_STORE_KEY", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        }
        let ended = scene.rig.program.rotator(args);
        let program = &mut scene.rig.program;
        match from {
            From::NoStore => {
                assert!(!program.folder().join("store.db").exists(), "a new, empty store was made");
                swap(program, "away.db", "store.db");
            }
            From::AnotherStore => {
                for file in ["store.db", "store.db.key"] {
                    swap(program, &format!("away-{file}"), file);
                }
            }
            From::UnknownKey
            | From::WrongSecret
            | From::KeySwitchedOff
            | From::NoPermission
            | From::AnotherAccount
            | From::NobodyListens
            | From::WrongStoreKey => {}
        }
        program.unset("ROTATOR_STORE_KEY");
        program.set("ROTATOR_STORE", &here);
        program.set("AWS_ENDPOINT_URL", &home.0);
        sign(program, &home.1);
        ended
    }
}

pub(super) fn admin_of(sandbox: &Sandbox) -> Pair {
    Pair::new(sandbox.admin().id.as_str(), sandbox.admin().secret.expose())
}

/// Renames a file, and what SQLite keeps beside it.
pub(super) fn swap(program: &Program, from: &str, to: &str) {
    for end in ["", "-wal", "-shm"] {
        let path = |name: &str| -> PathBuf { program.folder().join(format!("{name}{end}")) };
        let moved = std::fs::rename(path(from), path(to));
        assert!(moved.is_ok() || !end.is_empty(), "{from} could not be moved");
    }
}

/// All that must not change: keys with their status, and what the store holds.
pub(super) fn snapshot(scene: &Scene) -> (Vec<(String, KeyStatus)>, BTreeMap<String, String>) {
    let keys = scene.sandbox.all_keys().into_iter().map(|key| (key.id.to_string(), key.status));
    (keys.collect(), scene.rig.program.values())
}

/// Plays every wrong session, from one state; returns how many rotations were left unchanged.
fn from_every_elsewhere(state: RotationState) -> u64 {
    let mut scene = Scene::with_users(USERS);
    state.bring(&mut scene);
    let abroad = Abroad::of(&scene);
    let (mut left, mut denied) = (0, false);
    for from in From::ALL {
        for command in ["resume", "run"] {
            let before = snapshot(&scene);
            let ended = abroad.call(&mut scene, from, &[command, "-q", "--output", "json"]);
            let reported = format!("{command} from {from:?} at {state:?}: {ended:#?}");
            assert!(before == snapshot(&scene), "something changed: {reported}");
            // A rotation without the right is blocked until a run with that right observes it again.
            denied |= from == From::NoPermission;
            // `run` cannot open anything either, which may need an operator.
            let needs_operator = command == "run" || denied;
            let code = match from {
                // A failure of rotator's own credentials is not recorded in any rotation.
                From::UnknownKey | From::WrongSecret | From::KeySwitchedOff => ended.code == Some(1),
                From::NoPermission
                | From::AnotherAccount
                | From::NobodyListens
                | From::NoStore
                | From::AnotherStore
                | From::WrongStoreKey => ended.code == Some(state.code()) || needs_operator && ended.code == Some(4),
            };
            assert!(code, "{reported}");
            // The findings of an earlier run are reported again from the journal, an unresolved block with its own message.
            let said = format!("{}{}", ended.stderr, ended.stdout);
            for words in from.words() {
                assert!(said.contains(words), "nothing of {words}: {reported}");
            }
            let status = scene.status();
            let open = status["rotations"].as_array().expect("rotations");
            assert_eq!(open.len(), USERS, "{reported}");
            for rotation in open {
                let now = [&rotation["state"], &rotation["in_doubt"], &rotation["blocked"]["reason"]];
                let mut now = now.map(|now| now.as_str());
                if denied && now[2] == Some("access-denied") {
                    now[2] = state.reported()[2];
                }
                assert_eq!(now, state.reported(), "{reported}");
                left += 1;
            }
        }
    }
    state.repair(&scene);
    let finished = scene.finish("resume").and_then(|_| scene.rig.all_settled());
    finished.unwrap_or_else(|broken| panic!("back home from {state:?}: {broken}"));
    left
}

#[test]
fn from_elsewhere_nothing_changes() {
    let windows = RotationState::ALL.map(RotationState::window);
    let mut proof = Proof::of("T15", "resume and run from elsewhere, from every state", &windows);
    // Most of the time is spent in rotator's own waits between two tries.
    let left = std::thread::scope(|threads| {
        let threads = RotationState::ALL.map(|state| (state, threads.spawn(move || from_every_elsewhere(state))));
        threads.map(|(state, thread)| (state, thread.join().expect("a promise was broken, see above")))
    });
    for (state, left) in left {
        proof.hit(state.window(), left);
        (0..left).for_each(|_| proof.case());
    }
    proof.conclude();
}
