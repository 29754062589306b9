//! What stopped newcomers: messages that left out what they needed, and names that were not understood.

use std::time::Duration;

use super::bench::Bench;

const WAITS: [&str; 4] = ["--overlap", "1h", "--quarantine", "7d"];

/// Two users that IAM would accept, whose keys are in the entries of an app and environment.
fn bench_with_owners() -> Bench {
    let bench = Bench::new();
    bench.write("rotator.toml", "[owner]\ntemplate = \"{app}-{environment}\"\n");
    for (user, scope) in [("shop-production", "shop/production"), ("web-staging", "web/staging")] {
        bench.sandbox.add_user(user).expect("a user");
        let key = bench.sandbox.create_key(user).expect("a key");
        let entries = serde_json::json!({
            format!("{scope}/AWS_ACCESS_KEY_ID"): key.id,
            format!("{scope}/AWS_SECRET_ACCESS_KEY"): key.secret.expose(),
        });
        bench.run_with(&["store", "import", "-"], &entries.to_string()).code(0);
    }
    bench
}

#[test]
fn a_rotation_is_also_named_by_the_entries_of_its_key() {
    let bench = bench_with_owners();
    bench.run(&[&["run"], &WAITS[..]].concat()).code(3);
    for name in ["shop/production", "shop/production/AWS_ACCESS_KEY_ID", "SHOP-production"] {
        bench.run(&["status", name]).code(0).prints("shop-production   AKIA");
    }
    bench.run(&["abort", "shop/production"]).code(2).says("the rotation of shop-production (AKIA");
    bench.run(&["resolve", "shop/production", "--finish"]).prints("shop-production  deleted-old: rotated");
    // The latest closed one.
    bench.run(&["status", "shop/production"]).code(0).prints("deleted-old: rotated");
    bench.run(&["status", "shop/staging"]).code(2).says("no rotation in flight is of the user, key, entry or id");
}

#[test]
fn what_resume_was_not_asked_about_is_not_printed() {
    let bench = bench_with_owners();
    bench.run(&[&["run"], &WAITS[..]].concat()).code(3);
    let one = bench.run(&["resume", "shop-production"]).code(3).prints("shop-production");
    assert!(!one.stdout.contains("web-staging"), "{}", one.stdout);
    bench.run(&["resume"]).code(3).prints("shop-production").prints("web-staging");
    bench.sandbox.advance(Duration::from_secs(3700));
    let one = bench.run(&["resume", "web-staging"]).code(3).prints("web-staging").prints("deactivated-old");
    assert!(!one.stdout.contains("shop-production"), "{}", one.stdout);
}

#[test]
fn rotate_takes_the_waits_of_run() {
    let bench = bench_with_owners();
    bench.run(&[&["rotate", "shop-production"], &WAITS[..]].concat()).code(3).prints("old key off in 1 h");
    bench.run(&["rotate", "web-staging", "--now", "--overlap", "1h"]).code(2).says("cannot be used with");
}

#[test]
fn a_message_about_a_rotation_names_its_user_and_its_key() {
    let bench = bench_with_owners();
    let old = bench.key_of("shop-production");
    bench.run(&[&["run"], &WAITS[..]].concat()).code(3);
    let (id, _) = bench.rotation_of("shop-production");
    let whole = format!("the rotation of shop-production ({old})");
    for args in [
        &["abort", &id][..],
        &["reactivate", &id],
        &["resolve", &id, "--delete-key", &old],
        &["resolve", &id, "--leave-sink", "nothing"],
    ] {
        let refused = bench.run(args).code(2).says(&whole);
        assert!(!refused.stderr.contains(&id), "{args:?}: {}", refused.stderr);
    }
    bench.run(&["resolve", &id, "--delete-key", &old]).says("`rotator status shop-production` shows");
    bench.run(&["resolve", &id, "--finish"]).prints("deleted-old");
    bench.run(&["abort", &id]).code(2).says(&format!("{whole} is closed (deleted-old)"));
}

#[test]
fn a_trusted_file_that_was_edited_is_said_to_have_changed() {
    let bench = Bench::new();
    let run = |args: &[&str]| -> super::bench::Ended {
        bench.command(args).env_remove("ROTATOR_STORE").output().expect("it starts").into()
    };
    bench.write("rotator.toml", "store = \"exec:./tool\"\n");
    let first = run(&["plan"]).code(2).says("is not trusted: it runs");
    assert!(!first.stderr.contains("changed"), "{}", first.stderr);
    run(&["allow", "--yes"]).code(0);
    bench.write("rotator.toml", "store = \"exec:./tool2\"\n");
    run(&["plan"]).code(2).says("is not trusted: it has changed since `rotator allow` recorded it, and it runs");
}

#[test]
fn allow_says_which_files_are_written() {
    let bench = Bench::new();
    let stores = "[[store]]\nuri = \"file:apps\"\n\n[[store]]\nuri = \"file:old\"\nread_only = true\n";
    let vault = "\n[[store]]\nuri = \"vault:secret\"\naddress = \"https://vault.example\"\nca_file = \"ca.pem\"\n";
    bench.write("rotator.toml", &format!("journal = \"j.db\"\n\n{stores}{vault}"));
    let shown = bench.run(&["allow", "--yes"]).code(0).stdout;
    for (words, file) in [
        ("reads and writes the journal", "j.db"),
        ("reads and writes", "apps"),
        ("reads", "old"),
        ("reads ca_file", "ca.pem"),
    ] {
        let is_said = |line: &str| {
            let path = bench.path(file).canonicalize().unwrap_or_else(|_| bench.path(file));
            line.trim() == format!("{words} {}", path.display())
        };
        assert!(shown.lines().any(is_said), "{words} {file}: {shown}");
    }
}

#[test]
fn where_no_store_is_configured_the_missing_one_is_said_to_be_the_default() {
    let bench = Bench::new();
    let plan: super::bench::Ended =
        bench.command(&["plan"]).env_remove("ROTATOR_STORE").output().expect("it starts").into();
    // Root has its store in a folder of the machine, where one may be.
    if !std::path::Path::new("/var/lib/rotator/store.db").exists() {
        plan.code(1).says("go to the folder of your rotator.toml").says("`rotator init` writes");
    }
    let named = bench.run(&["--store", "sqlite:none.db", "plan"]).code(1).says("name your store");
    assert!(!named.stderr.contains("go to the folder"), "{}", named.stderr);
}
