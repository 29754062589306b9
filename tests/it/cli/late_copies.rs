//! A copy of the old pair that turns up in another store while its rotation is open.

use std::time::Duration;

use serde_json::Value;

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";
const COPY: &str = "files/app2/production/.env";

/// The user's pair in the embedded store, stored anew; the second store, a folder, is empty of it. The old pair.
fn bench() -> (Bench, String, String) {
    let bench = Bench::with_users(&[USER]);
    let entry = |name: &str| bench.run(&["store", "get", &format!("{USER}/{name}")]).code(0).stdout;
    let (id, secret) = (entry("AWS_ACCESS_KEY_ID"), entry("AWS_SECRET_ACCESS_KEY"));
    std::fs::create_dir_all(bench.path("files/app2/production")).expect("made");
    bench.write("files/app2/production/other.txt", "nothing\n");
    run(&bench, &["run", "--overlap", "1h"]).code(3);
    bench.sandbox.advance(Duration::from_secs(4_000));
    (bench, id, secret)
}

fn run(bench: &Bench, args: &[&str]) -> Ended {
    let mut command = bench.command(args);
    command.env("ROTATOR_STORE", "sqlite:store.db\nfile:files");
    command.output().expect("it starts").into()
}

fn rotation(bench: &Bench) -> Value {
    run(bench, &["status", "--all", "--output", "json"]).code(0).json()["rotations"][0].clone()
}

fn env_file(id: &str, secret: &str) -> String {
    format!("# the app's own\nexport AWS_ACCESS_KEY_ID=\"{id}\"\nAWS_SECRET_ACCESS_KEY='{secret}'\nDEBUG=1\n")
}

#[test]
fn a_copy_that_comes_late_gets_the_new_pair_and_needs_no_hand() {
    let (bench, old, secret) = bench();
    bench.write(COPY, &env_file(&old, &secret));
    run(&bench, &["run"]).code(3).prints("old key deleted in");
    let entry = |name: &str| bench.run(&["store", "get", &format!("{USER}/{name}")]).code(0).stdout;
    let new = env_file(&entry("AWS_ACCESS_KEY_ID"), &entry("AWS_SECRET_ACCESS_KEY"));
    assert_eq!(std::fs::read_to_string(bench.path(COPY)).expect("there"), new);
    assert!(!new.contains(&old));
    assert_eq!(rotation(&bench)["places"].as_array().map(Vec::len), Some(4), "two places, of two entries or variables");
    bench.sandbox.advance(Duration::from_secs(4_000));
    run(&bench, &["run"]).code(0).prints("1 rotated");
    bench.assert_rotated(USER, &old);
}

/// An entry of another user's that only names the id is not edited, nor is another secret beside it overwritten.
#[test]
fn a_mere_reference_or_another_secret_stays_and_needs_an_operator() {
    let other = "kT8vQ2mXr5LbN0dHs7GcYw3JfPz9UaEo1RiB6/+t";
    for text in
        ["# was {id} before\nDEBUG=1\n".to_owned(), env_file("{id}", other), "id,secret\n{id},{secret}\n".to_owned()]
    {
        let (bench, old, secret) = bench();
        let text = text.replace("{id}", &old).replace("{secret}", &secret);
        bench.write(COPY, &text);
        run(&bench, &["run"]).code(4).prints("still name");
        assert_eq!(std::fs::read_to_string(bench.path(COPY)).expect("there"), text);
        assert_eq!(rotation(&bench)["blocked"]["reason"], "still-referenced");
        assert_eq!(bench.sandbox.keys_of(USER).len(), 2);
        std::fs::remove_file(bench.path(COPY)).expect("removed");
        run(&bench, &["run"]).code(0).prints("1 rotated");
    }
}
