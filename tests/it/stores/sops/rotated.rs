//! The real binary over a file encrypted with sops: its result, kills at each step, and what other users can see.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rotator::sandbox::Sandbox;
use serde_json::{Value, json};

use super::super::aws::wait;
use crate::support::aws::{self, Pair, outcome};
use crate::support::program::Program;
use crate::support::sops::Sops;

/// A user whose one key is in a file encrypted with sops.
struct Scene {
    sandbox: Sandbox,
    sops: Sops,
    program: Program,
    file: PathBuf,
}

const RUN: [&str; 5] = ["run", "--older-than", "0s", "--store", "sops:live.json"];

impl Scene {
    fn new() -> (Self, Pair) {
        let sandbox = Sandbox::start(Default::default()).expect("a sandbox");
        sandbox.add_user("deploy").expect("a new user");
        let key = sandbox.create_key("deploy").expect("a first key");
        let pair = Pair::new(key.id.as_str(), key.secret.expose());
        let (sops, mut program) = (Sops::new(), Program::at(&sandbox));
        program.unset("ROTATOR_STORE");
        let path = std::env::var("PATH").expect("there");
        program.set("PATH", &format!("{}:{path}", sops.bin().display()));
        std::fs::write(program.folder().join("rotator.toml"), "[owner]\nfrom = \"aws\"\n").expect("written");
        let file = program.folder().join("live.json");
        let document = json!({ "aws": { "accessKeyId": pair.id, "n": [1], "secretAccessKey": pair.secret }, "x": "y" });
        std::fs::write(&file, sops.encrypt("a.json", document.to_string().as_bytes(), &[])).expect("written");
        (Self { sandbox, sops, program, file }, pair)
    }

    /// The pair in the file, with all around it as it was.
    fn pair(&self) -> Pair {
        let text = self.sops.decrypt(&self.file).expect("it is whole");
        let document: Value = serde_json::from_str(&text).expect("JSON");
        let text = |name: &str| document["aws"][name].as_str().expect("text").to_owned();
        let pair = Pair::new(text("accessKeyId"), text("secretAccessKey"));
        let around = json!({ "aws": { "accessKeyId": pair.id, "n": [1], "secretAccessKey": pair.secret }, "x": "y" });
        assert_eq!(document, around);
        pair
    }

    /// The pair authenticates, the user has no other key, and nothing is left beside the file.
    fn is_settled(&self, pair: &Pair) {
        let caller = wait(aws::sts(self.sandbox.addr(), pair).get_caller_identity().send());
        assert_eq!(outcome(&caller), "ok");
        let admin = Pair::new(self.sandbox.admin().id.as_str(), self.sandbox.admin().secret.expose());
        let listed = wait(aws::iam(self.sandbox.addr(), &admin).list_access_keys().user_name("deploy").send());
        let keys: Vec<String> =
            listed.expect("listed").access_key_metadata.into_iter().filter_map(|key| key.access_key_id).collect();
        assert_eq!(keys.as_slice(), std::slice::from_ref(&pair.id));
        let names =
            std::fs::read_dir(self.program.folder()).expect("listed").map(|item| item.expect("read").file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().contains(".rotator-")).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for item in std::fs::read_dir(folder).expect("listed") {
        let path = item.expect("read").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push((path.clone(), std::fs::read(path).expect("read")));
        }
    }
    found
}

#[test]
fn a_run_rotates_it_and_neither_arguments_nor_environment_nor_a_file_holds_the_secret() {
    let (scene, old) = Scene::new();
    let seen = scene.sops.folder().join("seen");
    std::fs::create_dir(&seen).expect("made");
    let seen = seen.display();
    scene.sops.hindered(&format!(
        "printf '%s\\n' \"$*\" >>'{seen}/arguments'\nenv >>'{seen}/environment'\n\
         exec strace -f -qq -e trace=file -o '{seen}/trace.'$$ \"$sops\" \"$@\""
    ));
    scene.program.ends_with(0, &RUN);
    let new = scene.pair();
    assert!(new.id != old.id && new.secret != old.secret);
    scene.is_settled(&new);
    let text = |name: &str| std::fs::read_to_string(scene.sops.folder().join("seen").join(name)).expect("written");
    let arguments = text("arguments");
    assert!(arguments.contains("[\"aws\"][\"secretAccessKey\"]"), "the wrapper was not asked: {arguments}");
    let mut opened = 0;
    let all = [files(scene.program.folder()), files(scene.sops.folder())].concat();
    for (path, bytes) in &all {
        for secret in [&old.secret, &new.secret] {
            let found = memchr::memmem::find(bytes, secret.as_bytes()).is_some();
            assert!(!found, "{} holds a secret", path.display());
        }
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("trace.")) {
            let trace = String::from_utf8_lossy(bytes);
            // sops writes only to the copy, which has no name in any folder.
            for line in
                trace.lines().filter(|line| ["O_WRONLY", "O_RDWR", "O_CREAT"].iter().any(|how| line.contains(how)))
            {
                assert!(line.contains("\"/proc/self/fd/") || line.contains("\"/dev/"), "{line}");
                opened += 1;
            }
        }
    }
    assert!(opened >= 2, "the copy was written {opened} times: the traces say nothing");
}

#[test]
fn a_yaml_file_keeps_its_comments() {
    let (scene, old) = Scene::new();
    let file = scene.program.folder().join("live.yaml");
    let document = |pair: &Pair| {
        format!(
            "# head\naws:\n    # the pair\n    accessKeyId: {}\n    list:\n        - 1\n    secretAccessKey: {}\nsize: big\n",
            pair.id, pair.secret
        )
    };
    std::fs::write(&file, scene.sops.encrypt("a.yaml", document(&old).as_bytes(), &[])).expect("written");
    // The other file names the key, too: one rotation with two places.
    let mut both = RUN.to_vec();
    both.extend(["--store", "sops:live.yaml"]);
    scene.program.ends_with(0, &both);
    let new = scene.pair();
    assert!(new.id != old.id && new.secret != old.secret);
    assert_eq!(scene.sops.decrypt(&file).expect("decrypts"), document(&new));
    scene.is_settled(&new);
}

#[test]
fn killed_at_any_call_of_sops_it_leaves_the_old_file_or_the_new_one() {
    let (scene, mut before) = Scene::new();
    let folder = scene.sops.folder().to_owned();
    let mut points = 0;
    loop {
        // At the call of that number rotator is killed; what it has started dies with it.
        let calls = folder.join("calls");
        std::fs::write(&calls, "").expect("written");
        scene.sops.hindered(&format!(
            "echo >>'{calls}'\n[ \"$(wc -l <'{calls}')\" -eq {} ] && kill -9 $PPID && sleep 5",
            points + 1,
            calls = calls.display()
        ));
        let ended = scene.program.rotator(&RUN);
        let now = scene.pair();
        let is_old = now.id == before.id && now.secret == before.secret;
        assert!(is_old || (now.id != before.id && now.secret != before.secret), "torn at call {}", points + 1);
        let caller = wait(aws::sts(scene.sandbox.addr(), &now).get_caller_identity().send());
        assert_eq!(outcome(&caller), "ok", "at call {}", points + 1);
        scene.sops.hindered("");
        let (settled, _) = scene.program.until_settled(&RUN, Duration::from_millis(50));
        assert_eq!(settled.code, Some(0), "after a kill at call {}: {settled:#?}", points + 1);
        let after = scene.pair();
        assert!(after.id != before.id && after.secret != before.secret);
        scene.is_settled(&after);
        before = after;
        if ended.signal.is_none() {
            assert_eq!(ended.code, Some(0), "{ended:#?}");
            break;
        }
        assert_eq!(ended.signal, Some(9), "{ended:#?}");
        points += 1;
        assert!(points < 60, "a run asks sops without end");
    }
    assert!(points >= 8, "only {points} calls of sops in a run: this test kills at too few");
}
