//! The new key was deleted by hand, or another writer changed one half of a stored pair: what is said is what is there.

use std::time::Duration;

use super::bench::Bench;

const USER: &str = "app1/production";
const ID: &str = "app1/production/AWS_ACCESS_KEY_ID";
const SECRET: &str = "app1/production/AWS_SECRET_ACCESS_KEY";

fn get(bench: &Bench, entry: &str) -> String {
    bench.run(&["store", "get", entry]).code(0).stdout
}

fn set(bench: &Bench, entry: &str, value: &str) {
    bench.run_with(&["store", "set", entry], value).code(0);
}

/// Ended lines are folded to the width of a terminal.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn an_abort_says_that_the_new_key_was_gone_and_not_that_rotator_deleted_it() {
    let bench = Bench::with_users(&[USER]);
    let (old, before) = (bench.key_of(USER), get(&bench, SECRET));
    bench.run(&["run", "--overlap", "1h"]).code(3);
    bench.sandbox.delete_key(USER, &get(&bench, ID)).expect("deleted");
    bench.sandbox.advance(Duration::from_secs(2 * 3600));
    bench.run(&["resume"]).code(3);
    bench.sandbox.advance(Duration::from_secs(60));
    bench.run(&["resume"]).code(4).prints("new-key-gone");
    set(&bench, ID, &old);
    set(&bench, SECRET, &before);
    let reverted = bench.run(&["resume"]).code(4).prints("reverted").prints(&format!("\n  rotator abort {USER}\n"));
    let text = in_one_line(&reverted.stdout);
    assert!(text.contains("IAM does not list the new key any more; abort, which closes this rotation"), "{text}");
    assert!(!text.contains("discards the new key") && !text.contains("put the new pair"), "{text}");

    let mut said = String::new();
    let mut again = "abort";
    for _ in 0..4 {
        let ended = bench.run(&[again, USER]);
        said.push_str(&ended.stderr);
        if ended.code == 0 {
            break;
        }
        again = "resume";
        bench.sandbox.advance(Duration::from_secs(60));
    }
    assert!(!said.contains("NoSuchEntity"), "the key is known to be gone: {said}");
    let story = bench.run(&["status", USER]).code(0).prints("aborted: old key kept");
    let story = story.prints("the new key was not in IAM any more; the old one stays");
    assert!(!story.stdout.contains("deleted the new key"), "{}", story.stdout);
    assert_eq!(bench.key_of(USER), old);
}

#[test]
fn a_block_names_the_half_that_differs() {
    let bench = Bench::with_users(&[USER]);
    let before = [ID, SECRET].map(|entry| (entry, get(&bench, entry)));
    bench.run(&["run", "--overlap", "1h"]).code(3);
    let now = [ID, SECRET].map(|entry| (entry, get(&bench, entry)));
    let blocked = || {
        let ended = bench.run(&["resume"]).code(4);
        in_one_line(&ended.stdout)
    };
    let neither = |place: &str| format!("the pair in {place} is neither the old one nor the new one");
    let others = [(ID, "AKIAABCDEFGHIJKLMNOP"), (SECRET, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")];
    for (entry, other) in others {
        set(&bench, entry, other);
        let text = blocked();
        assert!(text.contains(&neither(entry)), "{text}");
        now.iter().for_each(|(entry, value)| set(&bench, entry, value));
    }
    others.iter().for_each(|(entry, other)| set(&bench, entry, other));
    let text = blocked();
    assert!(text.contains(&neither(&format!("{ID} and {SECRET}"))), "{text}");
    // The old id is back, beside the new secret.
    now.iter().for_each(|(entry, value)| set(&bench, entry, value));
    set(&bench, ID, &before[0].1);
    let text = blocked();
    assert!(text.contains(&neither(ID)), "{text}");
    // And the whole pair.
    set(&bench, SECRET, &before[1].1);
    let text = blocked();
    assert!(text.contains(&format!("the old pair is back in {ID} and {SECRET}")), "{text}");
}
