//! What is shown on a terminal of 80 or 40 columns, and how errors reach a program.

use std::time::Duration;

use super::bench::{Bench, Ended};

/// No line is wider, but for a command, which is to be pasted.
#[track_caller]
fn fits(text: &str, columns: usize) {
    for line in text.lines() {
        let begins =
            ["aws ", "rotator "].iter().any(|program| line.trim_start_matches([' ', '(']).starts_with(program));
        let has_command = begins || line.contains('`');
        assert!(
            has_command || line.chars().count() <= columns,
            "{} columns: {line}\nin:\n{text}",
            line.chars().count()
        );
    }
}

impl Bench {
    fn at(&self, columns: &str, args: &[&str]) -> Ended {
        self.run_in(("COLUMNS", columns), args)
    }
}

const LONG: &str = "payments-reconciliation/production";

#[test]
fn every_table_and_note_fits_the_terminal() {
    let bench = Bench::with_users(&["app1/production", LONG, "web/prod"]);
    bench.sandbox.create_key("web/prod").expect("a second key");
    let plan = bench.at("80", &["plan"]).code(0).prints("USER").prints("needs you (1)").prints("now");
    fits(&plan.stdout, 80);
    fits(&plan.stderr, 80);
    let run = bench.at("80", &["run", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    let run = run.prints("stored-new: both keys").prints("old key off in 1 h").prints("has a second key");
    fits(&run.stdout, 80);
    for columns in ["80", "60", "40"] {
        let width = columns.parse().expect("a number");
        fits(&bench.at(columns, &["status"]).code(0).prints("stored-new:").stdout, width);
        // The ids of both keys do not fit into 40 columns.
        fits(&bench.at(columns, &["status", LONG]).code(0).prints("to undo").stdout, width.max(60));
    }
    // A pipe takes whole lines.
    let piped = bench.run(&["status"]).code(0).stdout;
    assert!(piped.lines().any(|line| line.starts_with(LONG) && line.ends_with("old key off in 1 h")), "{piped}");
    let wide =
        bench.at("80", &["status", "--output", "wide"]).code(0).prints("ROTATION").prints("stored-new, waits until");
    assert!(wide.stdout.contains(&bench.rotation_of(LONG).0), "{}", wide.stdout);
}

#[test]
fn a_command_fits_with_the_flags_that_were_given() {
    let bench = Bench::with_users(&["app1/production"]);
    let doctor = bench.at("80", &["--journal", "j.db", "doctor"]).code(0).prints("`rotator --journal j.db run`");
    all_fit(&doctor.stdout);
    bench.run(&["--journal", "j.db", "run", "--overlap", "1h"]).code(3);
    let story = bench.at("80", &["--journal", "j.db", "status", "app1/production"]).code(0);
    all_fit(&story.prints("`rotator --journal j.db resume app1/production`").stdout);
}

/// Also the lines with a command, which are short here.
#[track_caller]
fn all_fit(text: &str) {
    let wide: Vec<&str> = text.lines().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.is_empty(), "{wide:#?} in:\n{text}");
}

#[test]
fn the_status_of_one_rotation_is_its_story() {
    let bench = Bench::with_users(&["app1/production"]);
    let old = bench.sandbox.keys_of("app1/production")[0].id.clone();
    bench.run(&["run", "--overlap", "1h", "--quarantine", "7d"]).code(3);
    let new = bench.sandbox.keys_of("app1/production").into_iter().find(|key| key.id != old).expect("a new key").id;
    let story = bench.run(&["status", "app1/production"]).code(0);
    let story =
        story.prints(&format!("app1/production   {old} -> {new}   stored-new, waiting")).prints("opened: the key is");
    let story = story.prints(&format!("new key {new} made")).prints("stored in every place; both keys work");
    let story =
        story.prints("deleted 7 d later").prints("once it is off, `rotator reactivate app1/production` makes it");
    assert!(story.stdout.contains("then      old key off ") && story.stdout.contains("(in 1 h)"), "{}", story.stdout);

    bench.sandbox.advance(Duration::from_secs(3700));
    bench.run(&["resume"]).code(3);
    let story = bench.run(&["status", "app1/production"]).code(0).prints("old key off; it can come back");
    let story =
        story.prints("then      old key deleted").prints("old key   `rotator reactivate app1/production` makes it");
    drop(story);
    // The one rotation that a decision is about.
    bench.add("web/prod");
    bench.run(&["run", "--only", "web/*", "--overlap", "1h"]).code(3);
    let decided = bench.run(&["reactivate", "app1/production"]).prints("app1/production").prints("stored-new");
    let decided = decided.says("\n  rotator resolve app1/production --delete-key");
    assert!(!decided.stdout.contains("web/prod"), "{}", decided.stdout);
    bench
        .run(&["status", "app1/production"])
        .code(0)
        .prints("asked to make the old key active again")
        .prints("old key on again");
}

#[test]
fn an_error_is_an_object_for_a_program() {
    let bench = Bench::with_users(&["app1/production"]);
    for (args, code, message) in [
        (&["status", "nothing"][..], 2, "there is no rotation nothing"),
        (&["plan", "--older-than", "soon"], 2, "soon"),
        (&["store", "get", "a/b/c"], 1, "a/b/c"),
        (&["run", "--only", "no-such"], 2, "no-such"),
        (&["rotatoo"], 2, "rotatoo"),
    ] {
        let ended = bench.run(&[&["--output", "json"], args].concat()).code(code);
        let document = ended.json();
        assert_eq!(document["error"]["code"], code, "{args:?}: {document}");
        let text = document["error"]["message"].as_str().expect("text");
        assert!(text.contains(message), "{args:?}: {text}");
        assert!(document["error"]["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{args:?}: {document}");
        assert!(!ended.stderr.is_empty(), "the log of a pipeline has it, too");
    }
}

#[test]
fn a_suggested_command_repeats_the_flags_and_names_the_user() {
    let bench = Bench::with_users(&["app1/production"]);
    let journal = ["--journal", "other journal.db", "--store", "sqlite:store.db"];
    let run = [&journal[..], &["run", "--overlap", "1h"]].concat();
    let flags = "--journal 'other journal.db' --store sqlite:store.db";
    bench.run(&run).code(3).prints(&format!("`rotator {flags} run` again"));
    bench.run(&[&journal[..], &["status"]].concat()).code(0).prints(&format!("`rotator {flags} resume` continues"));
    // Without flags there is nothing to repeat.
    bench.run_in(("ROTATOR_JOURNAL", "other journal.db"), &["status"]).code(0).prints("`rotator resume` continues");
}

#[test]
fn a_deletion_at_once_is_announced_only_before_one() {
    let bench = Bench::with_users(&["app1/production"]);
    bench.run(&["run"]).code(0).says("deleted at once");
    let after = bench.run(&["run"]).code(0);
    assert!(!after.stderr.contains("deleted at once"), "{}", after.stderr);
    let plan = bench.run(&["plan"]).code(0);
    assert!(!plan.stderr.contains("deleted at once"), "{}", plan.stderr);
}

#[test]
fn a_plan_says_why_nothing_can_be_rotated() {
    let bench = Bench::new();
    bench.run_with(&["store", "import", "-"], "{}").code(0);
    bench.run(&["plan"]).code(0).prints("the stores have no entries");
    bench.run_with(&["store", "import", "-"], r#"{"app/env/NOTE": "no key"}"#).code(0);
    bench.run(&["plan"]).code(0).prints("no AWS access key was found in 1 entry");
    bench.add("app1/production");
    let young = bench.run(&["plan", "--older-than", "80d"]).code(0);
    let young = young.prints("no key is due; 1 is not due yet (the first in 79d)").prints("in 79d");
    assert!(!young.stdout.contains("skipped"), "{}", young.stdout);
    bench.sandbox.create_key("app1/production").expect("a second key");
    bench.run(&["plan"]).code(0).prints("nothing can be rotated; 1 needs an operator");
    let document = bench.run(&["plan", "--output", "json"]).code(0).json();
    let skipped = &document["skipped"][0];
    assert_eq!((&skipped["user"], &skipped["needs_operator"]), (&"app1/production".into(), &true.into()), "{document}");
    assert!(skipped["created"].as_str().is_some_and(|time| time.ends_with('Z')), "{document}");
}

#[test]
fn a_plan_has_the_date_of_each_step() {
    let bench = Bench::with_users(&["app1/production"]);
    let args = ["plan", "--overlap", "1h", "--quarantine", "7d"];
    bench.run(&args).code(0).prints("both keys work for 1 h; then the old key is off for 7 d, and deleted on");
    let asked =
        bench.at("80", &[&args[..], &["--unused-for", "45d"]].concat()).code(0).prints("LAST USED").prints("never");
    fits(&asked.stdout, 80);
    let due = bench.run(&[&args[..], &["--output", "json"]].concat()).code(0).json()["due"][0].clone();
    let time = |name: &str| due[name].as_str().expect("text").parse::<jiff::Timestamp>().expect("a time").as_second();
    assert_eq!(time("old_key_deleted_at") - time("old_key_off_at"), 7 * 86_400);
}
