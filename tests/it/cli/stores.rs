//! The effects of `[[store]]` tables on a run: read-only stores and excluded entries.

use rotator::sandbox::Action;

use super::bench::{Bench, Ended};

const BOTH: &str = "[[store]]\nuri = \"sqlite:store.db\"\n[[store]]\nuri = \"file:copies\"\nscope = \"app1/copies\"\n";

/// Two users; a file of another store holds the pair of the first, too.
fn bench(more: &str) -> Bench {
    let bench = Bench::with_users(&["app1/production", "app2/production"]);
    let get = |name: &str| bench.run(&["store", "get", &format!("app1/production/{name}")]).code(0).stdout;
    let text = format!(
        "AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n",
        get("AWS_ACCESS_KEY_ID"),
        get("AWS_SECRET_ACCESS_KEY")
    );
    std::fs::create_dir(bench.path("copies")).expect("made");
    bench.write("copies/.env", &text);
    bench.write("rotator.toml", &format!("{BOTH}{more}"));
    bench
}

fn run(bench: &Bench, args: &[&str]) -> Ended {
    // The environment would override the file.
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

#[test]
fn a_key_in_a_read_only_store_is_reported_and_not_touched() {
    let bench = bench("read_only = true\n");
    let (first, second) = (bench.key_of("app1/production"), bench.key_of("app2/production"));
    let file = std::fs::read(bench.path("copies/.env")).expect("there");
    run(&bench, &["plan"]).code(0).prints("which rotator may only read");
    run(&bench, &["run"]).code(4).prints("which rotator may only read");
    assert_eq!(bench.key_of("app1/production"), first, "it has no second key, and the first is the same");
    assert_eq!(std::fs::read(bench.path("copies/.env")).expect("there"), file);
    bench.assert_rotated("app2/production", &second);
}

#[test]
fn an_entry_that_a_store_excludes_is_not_seen() {
    let bench = bench("exclude = [\"app1/copies/.env\"]\n");
    let (first, file) = (bench.key_of("app1/production"), std::fs::read(bench.path("copies/.env")).expect("there"));
    let ended = run(&bench, &["run"]).code(0).prints("2 rotated");
    assert!(!ended.stderr.contains("matches no entry"), "{}", ended.stderr);
    bench.assert_rotated("app1/production", &first);
    assert_eq!(std::fs::read(bench.path("copies/.env")).expect("there"), file, "the operator's word");
}

/// A pattern that was meant to keep rotator away and does not.
#[test]
fn a_pattern_of_a_store_that_matches_no_entry_is_reported() {
    let bench = bench("exclude = [\"app1/copies/.env\", \"copies/*\"]\ninclude = [\"*/.env\", \"*/*.toml\"]\n");
    let plan = run(&bench, &["plan"]).code(0);
    for pattern in ["`copies/*` of exclude of file:", "`*/*.toml` of include of file:"] {
        assert!(plan.stderr.contains(pattern), "{}", plan.stderr);
    }
    assert_eq!(plan.stderr.matches("matches no entry").count(), 2, "{}", plan.stderr);
}

#[test]
fn a_store_that_is_gone_stops_the_run_before_any_create() {
    let bench = bench("");
    let first = bench.key_of("app1/production");
    std::fs::remove_dir_all(bench.path("copies")).expect("removed");
    run(&bench, &["run"]).code(1).says("there is no such file or folder");
    let doctor = run(&bench, &["doctor"]).code(1).prints("FAIL  store");
    assert!(doctor.stdout.contains("ok    store"), "the other is there: {}", doctor.stdout);
    assert_eq!(bench.key_of("app1/production"), first);
}

/// As in `~/.aws/credentials`: they all change one file, one after the other, and none of them is in another's way.
#[test]
fn many_pairs_in_one_document_are_rotated_in_one_run() {
    let bench = Bench::new();
    let users: Vec<String> = (0..12).map(|number| format!("app{number}/live")).collect();
    let mut file = String::from("# all of ours\n");
    for user in &users {
        bench.sandbox.add_user(user).expect("a user");
        let key = bench.sandbox.create_key(user).expect("a key");
        let profile = user.replace('/', "-");
        file +=
            &format!("[{profile}]\naws_access_key_id = {}\naws_secret_access_key = {}\n", key.id, key.secret.expose());
    }
    bench.write("credentials", &file);
    bench.write("rotator.toml", "[[store]]\nuri = \"file:credentials\"\n[owner]\nfrom = \"aws\"\n");
    let ended = run(&bench, &["run", "--output", "json"]).code(0);
    let done = ended.json()["counts"]["done"].clone();
    assert_eq!(done, users.len(), "{}", ended.stdout);
    assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), Some(&12), "no key was made in vain");
    let after = std::fs::read_to_string(bench.path("credentials")).expect("there");
    for user in &users {
        let keys = bench.sandbox.keys_of(user);
        assert!(
            keys.len() == 1 && after.contains(keys[0].id.as_str()) && !file.contains(keys[0].id.as_str()),
            "{user}"
        );
    }
}

/// The copy's file is a link out of the store for as long as it cannot be read.
#[test]
fn nothing_is_opened_while_an_entry_that_may_hold_the_key_cannot_be_read() {
    let bench = bench("");
    let (first, second) = (bench.key_of("app1/production"), bench.key_of("app2/production"));
    let (copy, elsewhere) = (bench.path("copies/.env"), bench.path("elsewhere.env"));
    std::fs::rename(&copy, &elsewhere).expect("moved");
    std::os::unix::fs::symlink(&elsewhere, &copy).expect("a link");
    run(&bench, &["plan"])
        .code(0)
        .prints("(it is a symbolic link to another folder, which is not followed) cannot be read");
    run(&bench, &["run"]).code(4).prints("cannot be read and may name it");
    assert_eq!(bench.key_of("app1/production"), first, "nothing was written");
    let keys = |user: &str| bench.sandbox.keys_of(user).len();
    assert_eq!((keys("app1/production"), keys("app2/production")), (1, 1), "nothing was created");

    // Readable again, it is one place more. No hand is needed.
    std::fs::remove_file(&copy).expect("removed");
    std::fs::rename(&elsewhere, &copy).expect("moved back");
    run(&bench, &["run"]).code(0).prints("2 rotated");
    bench.assert_rotated("app1/production", &first);
    bench.assert_rotated("app2/production", &second);
    let text = std::fs::read_to_string(&copy).expect("there");
    assert!(text.contains(&bench.key_of("app1/production")) && !text.contains(&first), "{text}");
}

#[test]
fn an_archive_holds_everything_back_unless_it_may_stay_unread() {
    let bench = bench("");
    std::fs::write(bench.path("copies/old.zip"), b"PK\x03\x04\x14\0\0\0\x08\0 compressed").expect("written");
    run(&bench, &["run"]).code(4).prints("it holds zip data, which rotator does not open");
    bench.write("rotator.toml", &format!("{BOTH}[policy]\nunread_ok = [\"app1/copies/*.zip\"]\n"));
    run(&bench, &["run"]).code(0).prints("2 rotated");
}

#[test]
fn a_key_in_the_name_of_a_file_is_not_rotated() {
    let bench = bench("");
    let first = bench.key_of("app1/production");
    bench.write(&format!("copies/{first}.txt"), "nothing\n");
    run(&bench, &["run"]).code(4).prints("(in its name) also names it");
    assert_eq!(bench.key_of("app1/production"), first);
    std::fs::remove_file(bench.path(&format!("copies/{first}.txt"))).expect("removed");
    run(&bench, &["run"]).code(0);
    bench.assert_rotated("app1/production", &first);
}

/// With the journal, the embedded store and the configuration in the folder that is a store, too; the journal also under
/// another name.
#[test]
fn rotators_own_files_are_no_part_of_a_store() {
    let bench = Bench::with_users(&["app1/production", "app2/production"]);
    let (first, second) = (bench.key_of("app1/production"), bench.key_of("app2/production"));
    bench.write(
        "rotator.toml",
        &format!("[[store]]\nuri = \"sqlite:store.db\"\n[[store]]\nuri = \"file:.\"\n# once {first}\n"),
    );
    bench.write("note.txt", "nothing\n");
    run(&bench, &["run", "--limit", "1"]).code(3);
    std::fs::hard_link(bench.path("journal.db"), bench.path("backup.db")).expect("linked");
    std::os::unix::fs::symlink(bench.path("journal.db"), bench.path("link.db")).expect("linked");
    run(&bench, &["run"]).code(0);
    bench.assert_rotated("app1/production", &first);
    bench.assert_rotated("app2/production", &second);
}

#[test]
fn a_file_of_rotators_own_is_no_store() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.run(&["run"]).code(0);
    for own in ["journal.db", "journal.db.lock", "rotator.toml", "store.db", "store.db.key"] {
        bench
            .write("rotator.toml", &format!("[[store]]\nuri = \"sqlite:store.db\"\n[[store]]\nuri = \"file:{own}\"\n"));
        run(&bench, &["run"]).code(1).says("is one of rotator's own files");
    }
}

/// A store of one entry. Where there is a file `revert`, another writer puts the old value back right after each write.
const STORE: &str = r#"import json, pathlib, sys
here = pathlib.Path(__file__).parent
state, first = here / "state.json", here / "first.env"
now = json.loads(state.read_text()) if state.exists() else {"version": 1, "value": first.read_text(), "puts": 0}
asked = json.loads(sys.stdin.readline())
answer = {"version": str(now["version"]), "value": now["value"]}
if asked["op"] == "hello":
    answer = {"identity": "one", "late_writes_seconds": 0}
elif asked["op"] == "list":
    answer = {"name": "app1/production/env", **answer}
elif asked["op"] == "put" and asked["expects"] != str(now["version"]):
    answer = {"stale": True}
elif asked["op"] == "put":
    now = {"version": now["version"] + 1, "value": asked["value"], "puts": now["puts"] + 1}
    if (here / "revert").exists():
        now.update(version=now["version"] + 1, value=first.read_text())
    state.write_text(json.dumps(now))
    answer = {"ok": True}
print(json.dumps(answer))
if asked["op"] == "list":
    print(json.dumps({"done": True}))
"#;

#[test]
fn a_pair_restored_by_another_writer_right_after_a_write_is_not_overwritten() {
    let bench = Bench::with_users(&["app1/production"]).naming_its_file();
    let first = bench.key_of("app1/production");
    let get = |name: &str| bench.run(&["store", "get", &format!("app1/production/{name}")]).code(0).stdout;
    let (id, secret) = (get("AWS_ACCESS_KEY_ID"), get("AWS_SECRET_ACCESS_KEY"));
    bench.write("first.env", &format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n"));
    bench.write("store.py", STORE);
    bench.write("revert", "");
    bench.write("rotator.toml", "[[store]]\nuri = \"exec:python3 store.py\"\n");
    let state = || {
        serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(bench.path("state.json")).expect("written"))
    };
    let ended = run(&bench, &["run"]).code(4).prints("reverted");
    assert_eq!(state().expect("JSON")["puts"], 1, "{}", ended.stdout);
    run(&bench, &["resume"]).code(4);
    assert_eq!(state().expect("JSON")["puts"], 1, "it is not written again");
    let active = |id: &str| bench.sandbox.keys_of("app1/production").iter().any(|key| key.id.as_str() == id);
    assert!(active(&first), "the old key stays");

    let (rotation, _) = bench.rotation_of("app1/production");
    run(&bench, &["abort", &rotation]);
    run(&bench, &["resume"]);
    assert_eq!(bench.sandbox.keys_of("app1/production").len(), 1, "the new key is discarded");
    assert!(active(&first));
    std::fs::remove_file(bench.path("revert")).expect("removed");
    run(&bench, &["run"]).code(0).prints("1 rotated");
    assert!(!active(&first));
}
