//! Wrong input from an operator, typed or piped, is refused with a message that says what to do. Input that may be a
//! secret is never echoed.

use super::bench::Bench;

#[test]
fn values_come_and_go_byte_for_byte() {
    let bench = Bench::new();
    for value in ["plain", " spaces and\nlines\n\n", "ünïcode", "\u{0}binary\u{1}"] {
        bench.run_with(&["store", "set", "a/b/c"], value).code(0).says("set a/b/c");
        assert_eq!(bench.run(&["store", "get", "a/b/c"]).code(0).stdout, value);
    }
    assert_eq!(bench.run(&["store", "list"]).code(0).stdout, "a/b/c\n");
    let list = bench.run(&["store", "list", "--output", "json"]).code(0).json();
    assert_eq!(list["entries"][0]["name"], "a/b/c");
    bench.run(&["store", "rm", "a/b/c"]).code(0);
    bench.run(&["store", "get", "a/b/c"]).code(1).says("no entry a/b/c");
    bench.run(&["store", "rm", "a/b/c"]).code(1).says("no entry a/b/c");
    assert_eq!(bench.run(&["store", "list"]).code(0).stdout, "");
}

#[test]
fn a_store_that_is_not_there_is_made_by_set_and_import_only() {
    let bench = Bench::new();
    for args in [&["store", "list"][..], &["store", "get", "a/b/c"], &["store", "rm", "a/b/c"], &["run"], &["plan"]] {
        bench.run(args).code(1).says("store.db");
        assert!(!bench.path("store.db").exists(), "{args:?}");
    }
    bench.run_with(&["store", "import", "-"], "{}").code(0).says("made the store");
    assert_eq!(bench.run(&["store", "list"]).code(0).stdout, "");
}

#[test]
fn a_bad_import_changes_nothing_and_echoes_no_value() {
    let bench = Bench::new();
    bench.run_with(&["store", "import", "-"], r#"{"a/b/kept": "as it is"}"#).code(0);
    for (text, words) in [
        ("", "ends too early"),
        ("{\"a/b/c\": \"hunter2", "ends too early"),
        ("{\"a/b/c\": \"hunter2\",}", "line 1"),
        ("[\"hunter2\"]", "not a JSON object"),
        ("{\"a/b/c\": \"hunter2\", \"a/b\": \"hunter2\"}", "\"a/b\""),
        ("{\"a/b/c\": \"hunter2\", \"a/b/d\": [\"hunter2\"]}", "a/b/d"),
        ("{\"a/b/c\": \"hunter2\", \"a/b/c\": \"hunter2\"}", "a/b/c is there twice"),
    ] {
        let refused = bench.run_with(&["store", "import", "-"], text).code(2).says(words).says("nothing was imported");
        assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
        assert_eq!(bench.run(&["store", "list"]).code(0).stdout, "a/b/kept\n");
    }
    bench.run(&["store", "import", "none.json"]).code(2).says("none.json");
}

#[test]
fn a_value_on_the_command_line_is_refused_and_not_repeated() {
    let bench = Bench::new();
    let refused = bench.run(&["store", "set", "a/b/c", "hunter2"]).code(2).says("stdin");
    assert!(!refused.stderr.contains("hunter2"), "{}", refused.stderr);
    bench.run(&["store", "set", "a/b/c"]).code(2).says("no value");
    bench.run_with(&["store", "set", "a/b"], "x").code(2).says("three segments");
    assert!(!bench.path("store.db").exists());
}

#[test]
fn a_configuration_that_is_not_understood_is_two() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.run(&["run", "--config", "none.toml"]).code(2).says("none.toml");
    bench.run(&["run", "--overlap", "soon"]).code(2).says("--overlap");
    bench.run(&["run", "--only", "["]).code(2).says("--only");
    bench.run(&["run", "--store", "floppy:x"]).code(2).says("sqlite:PATH");
    bench.run(&["frobnicate"]).code(2);
    bench.run(&[]).code(2);
    bench.run_in(("ROTATOR_POLICY_SETLE", "1s"), &["status"]).code(2).says("`ROTATOR_POLICY_SETTLE`");
    bench.run_in(("ROTATOR_STORE_KEY", "nonsense"), &["store", "list"]).code(2).says("ROTATOR_STORE_KEY");
    bench.write("rotator.toml", "[policy]\noverlapp = \"1h\"\n");
    bench.run(&["status"]).code(2).says("did you mean `[policy] overlap`");
    assert!(!bench.path("journal.db").exists());
    bench.write("rotator.toml", "");
    bench.run(&["run", "--store", "vault:x"]).code(2).says("VAULT_ADDR");
}

#[test]
fn a_store_gets_another_key() {
    let bench = Bench::new();
    bench.run_with(&["store", "set", "app1/production/PASSWORD"], "hunter2").code(0);
    let read = |bench: &Bench| bench.run(&["store", "get", "app1/production/PASSWORD"]).code(0).stdout;
    let key_file = bench.path("store.db.key");
    let old_key = std::fs::read_to_string(&key_file).expect("a key");
    bench.run(&["store", "rekey"]).code(0).says("the new key is in the key file");
    assert_ne!(std::fs::read_to_string(&key_file).expect("a key"), old_key);
    assert_eq!(read(&bench), "hunter2");

    let new_key = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
    bench.run_in(("ROTATOR_STORE_NEW_KEY", "short"), &["store", "rekey"]).code(2).says("ROTATOR_STORE_NEW_KEY");
    bench
        .run_in(("ROTATOR_STORE_NEW_KEY", new_key), &["store", "rekey"])
        .code(0)
        .says("from now on give it in ROTATOR_STORE_KEY");
    assert!(!key_file.exists());
    bench.run(&["store", "list"]).code(1).says("is missing; put it back, or give the key");
    let with_key = |args: &[&str]| bench.run_in(("ROTATOR_STORE_KEY", new_key), args);
    let get = ["store", "get", "app1/production/PASSWORD"];
    assert_eq!(with_key(&get).code(0).stdout, "hunter2");
    with_key(&["store", "rekey"]).code(2).says("ROTATOR_STORE_NEW_KEY");
    assert_eq!(with_key(&get).code(0).stdout, "hunter2", "nothing was changed");
}

/// Another writer of the database file restores an old row, which holds an old pair.
#[test]
fn an_entry_that_was_put_back_in_the_file_is_never_rotated_and_holds_removals_back() {
    let bench = Bench::with_users(&["app1/production", "app2/production"]);
    let rows = |sql: &str| {
        let file = rusqlite::Connection::open(bench.path("store.db")).expect("opens");
        let mut statement = file.prepare(sql).expect("valid");
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let rows: Vec<(String, i64, Vec<u8>)> =
            statement.query_map([], row).expect("read").map(|row| row.expect("read")).collect();
        rows
    };
    let before = rows("SELECT name, version, sealed FROM entry WHERE name LIKE 'app1/%'");
    bench.run(&["run", "--older-than", "0s", "--only", "app1/*", "-q"]).code(0);
    let file = rusqlite::Connection::open(bench.path("store.db")).expect("opens");
    for (name, version, sealed) in &before {
        let sql = "UPDATE entry SET version = ?2, sealed = ?3 WHERE name = ?1";
        file.execute(sql, (name, version, sealed)).expect("valid");
    }
    drop(file);
    let ended = bench.run(&["run", "--older-than", "0s", "-q"]);
    assert_ne!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(
        format!("{}{}", ended.stdout, ended.stderr).contains("app1/production"),
        "{}{}",
        ended.stdout,
        ended.stderr
    );
    bench.run(&["store", "get", &before[0].0]).code(1).says("put an older value back");
}

#[test]
fn a_file_that_is_no_journal_is_refused_and_left_as_it_is() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.write("journal.db", "this is a diary");
    for args in [&["run"][..], &["status"], &["resume"], &["plan"]] {
        bench.run(args).code(1).says("journal.db");
    }
    assert_eq!(std::fs::read_to_string(bench.path("journal.db")).expect("readable"), "this is a diary");
}

#[test]
fn the_environment_cannot_make_it_tell_secrets() {
    let bench = Bench::with_users(&["app1/production"]);
    let mut command = bench.command(&["run", "-vvv"]);
    command.env("LOG_SENSITIVE_BODIES", "1").env("LOG_SIGNABLE_BODY", "1").env("RUST_LOG", "trace");
    let run = super::bench::Ended::from(command.output().expect("it starts")).code(0);
    let secret = bench.run(&["store", "get", "app1/production/AWS_SECRET_ACCESS_KEY"]).code(0).stdout;
    assert!(!run.stderr.contains(&secret) && !run.stdout.contains(&secret));
    assert!(run.stderr.contains("rotator"), "it does log: {}", run.stderr);
    assert!(!run.stderr.contains("aws_smithy") && !run.stderr.contains("hyper"), "{}", run.stderr);
    let journal = std::fs::read(bench.path("journal.db")).expect("readable");
    assert!(memchr::memmem::find(&journal, secret.as_bytes()).is_none(), "the journal holds no secret");
}
