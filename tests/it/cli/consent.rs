//! Old keys are deleted at once only if the configuration says so or an operator agrees at a terminal.

use std::time::Duration;

use super::bench::{Bench, Ended};

const USER: &str = "app1/production";

/// Without a word on overlap and quarantine in the environment.
fn unset(bench: &Bench, args: &[&str]) -> Ended {
    bench.command(args).env_remove("ROTATOR_POLICY_OVERLAP").output().expect("it starts").into()
}

#[test]
fn without_a_terminal_a_run_needs_a_word_whether_or_not_a_key_is_due() {
    let bench = Bench::with_users(&[USER]);
    let old = bench.key_of(USER);
    let refused = unset(&bench, &["run"]).code(2).says("deleted at once").says("--yes").says("overlap");
    refused.prints("nothing in flight");
    let document = unset(&bench, &["run", "--output", "json"]).code(2).json();
    assert_eq!(document["counts"]["in_flight"], 0);
    unset(&bench, &["run", "--older-than", "80d"]).code(2);
    assert!(!bench.path("journal.db").exists(), "nothing was made");
    assert_eq!(bench.key_of(USER), old);
    unset(&bench, &["plan"]).code(0).says("deleted at once");
    unset(&bench, &["run", "--dry-run"]).code(0);
    unset(&bench, &["resume"]).code(0);
    unset(&bench, &["run", "--yes"]).code(0).says("deleted at once");
    bench.assert_rotated(USER, &old);
    // Also where there is a journal, and nothing to do.
    unset(&bench, &["run"]).code(2).says("--yes");
}

#[test]
fn a_word_in_any_layer_is_enough_also_where_it_is_zero() {
    for (flags, variable, file) in [
        (&["--overlap", "0s"][..], None, ""),
        (&["--quarantine", "0s"], None, ""),
        (&[], Some(("ROTATOR_POLICY_QUARANTINE", "0s")), ""),
        (&[], None, "[policy]\noverlap = \"0s\"\n"),
    ] {
        let bench = Bench::with_users(&[USER]);
        bench.write("rotator.toml", file);
        let mut command = bench.command(&[&["run"], flags].concat());
        command.env_remove("ROTATOR_POLICY_OVERLAP").envs(variable);
        Ended::from(command.output().expect("it starts")).code(0).says("deleted at once");
    }
}

#[test]
fn rotations_in_flight_are_finished_first() {
    let bench = Bench::with_users(&[USER, "app2/production"]);
    let old = bench.key_of(USER);
    unset(&bench, &["run", "--overlap", "1h", "--only", USER]).code(3);
    unset(&bench, &["run"]).code(2).says("--yes").says("1 rotation is in flight");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    unset(&bench, &["run", "--output", "json"]).code(2).says("--yes");
    bench.assert_rotated(USER, &old);
    bench.key_of("app2/production");
    unset(&bench, &["status", "--exit-code"]).code(0);
}
