//! What can never be written is found before a key is made for it, and an empty store is warned of. A hard link is what
//! uwuclxdy/clauth#9 is about, a folder that rotator may not write stefansundin/aws-rotate-key#7.

use rotator::sandbox::Action;

use super::bench::Bench;

const USER: &str = "app1/live";

fn scene() -> Bench {
    let bench = Bench::new();
    bench.sandbox.add_user(USER).expect("a user");
    let key = bench.sandbox.create_key(USER).expect("a key");
    std::fs::create_dir(bench.path("files")).expect("made");
    let text = format!("AWS_ACCESS_KEY_ID={}\nAWS_SECRET_ACCESS_KEY={}\n", key.id, key.secret.expose());
    bench.write("files/env", &text);
    bench.write("rotator.toml", "[[store]]\nuri = \"file:files\"\n[owner]\nfrom = \"aws\"\n");
    bench
}

fn run(bench: &Bench, args: &[&str]) -> super::bench::Ended {
    bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
}

#[test]
fn a_place_that_cannot_be_written_makes_no_key() {
    let bench = scene();
    std::fs::hard_link(bench.path("files/env"), bench.path("the-same")).expect("linked");
    for _ in 0..3 {
        let ended = run(&bench, &["run", "--yes", "--output", "json"]).code(4);
        let document = ended.json();
        let note = &document["left_alone"][0];
        assert_eq!(note["reason"], "not-writable", "{document}");
        let message = note["message"].as_str().expect("words");
        assert!(message.contains("files/env") && message.contains("hard links"), "{message}");
    }
    run(&bench, &["plan"]).code(0).prints("cannot be written");
    run(&bench, &["doctor"]).code(1).prints("files/env: it has 2 hard links");
    assert_eq!(bench.sandbox.calls().get(&Action::CreateAccessKey), None, "no key was made in vain");
    std::fs::remove_file(bench.path("the-same")).expect("removed");
    run(&bench, &["doctor"]).code(0).prints("1 entry; those with a key can be written");
    run(&bench, &["run", "--yes"]).code(0).says("files: 1 entry");
}

#[test]
fn an_empty_store_is_warned_of() {
    let bench = scene();
    std::fs::remove_file(bench.path("files/env")).expect("removed");
    for command in [&["plan"][..], &["run", "--yes"], &["run", "--yes", "--quiet"]] {
        run(&bench, command).code(0).says("files: it has no entries");
    }
    run(&bench, &["doctor"]).code(0).prints("files: it has no entries");
}
