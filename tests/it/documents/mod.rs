//! Stored documents, arbitrary and realistic: every candidate can be spliced, and only the pair changes.

mod check;
mod tape;

use std::cell::RefCell;

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use rotator::discovery::StoredEntry;
use rotator::types::name::{EntryName, StoreName};
use rotator::types::secret::SecretValue;

use crate::support::proof::{self, Proof};
use check::{Shown, check};
use tape::Tape;

fn runner(cases: u64) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: u32::try_from(cases).unwrap_or(u32::MAX),
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(proof::seed()),
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    })
}

fn one(name: &str, bytes: Vec<u8>) -> Vec<StoredEntry> {
    let (store, name) = (StoreName::new("sqlite:x").expect("valid"), EntryName::new(name).expect("valid"));
    vec![StoredEntry { store, name, value: SecretValue::new(bytes) }]
}

#[test]
fn in_realistic_documents_only_the_pair_changes() {
    let windows = [
        "whole values spliced",
        "JSON spliced",
        "variables spliced",
        "variables in sections spliced",
        "TOML spliced",
        "YAML spliced",
        "connection strings spliced",
        "inner documents spliced",
        "skipped",
    ];
    let proof = RefCell::new(Proof::of("T18", "structured documents, some of them spoilt", &windows));
    let tapes = proptest::collection::vec(any::<u8>(), 0..160);
    let done = runner(proof::cases(25_000, 1_000_000)).run(&tapes, |tape| {
        let Shown { whole, json, variable, section, toml, yaml, connection, nested, left_alone } =
            check(&Tape::new(&tape).entries());
        let mut proof = proof.borrow_mut();
        proof.case();
        for (window, times) in
            windows.into_iter().zip([whole, json, variable, section, toml, yaml, connection, nested, left_alone])
        {
            proof.hit(window, times);
        }
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("seed {}: {failure}", proof::seed()));
    proof.into_inner().conclude();
}

#[test]
fn no_stored_value_makes_discovery_panic() {
    let mut proof = Proof::of("T18", "arbitrary bytes and texts", &[]);
    let bytes = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..300),
        any::<String>().prop_map(String::into_bytes),
        "[\\[\\]{}\":,\\\\='#; \n\rAKISa-z0-9\u{e9}]{0,200}".prop_map(String::into_bytes),
        "[a-c&*<!|>'\"\\[\\]{}:,?#%@` \n\r\t-]{0,100}".prop_map(String::into_bytes),
        "[a-c.=\"'\\[\\]{}# \n\r,1\\\\u0-]{0,100}".prop_map(String::into_bytes),
        "(s3|x):(//)?AKIA[A-Z2-7]{16}:[a-z%2F+/@]{38,44}@[a-z/?&=;#]{0,20}".prop_map(String::into_bytes),
        "(export )?AWS_(SECRET_ACCESS_KEY|ACCESS_KEY_ID)[ =]{0,3}['\"]?[A-Z2-7a-z/+]{0,44}['\"]?[\n\r# ]{0,3}"
            .prop_map(String::into_bytes),
    ];
    let names = prop_oneof![Just("a/b/AWS_SECRET_ACCESS_KEY"), Just("a/b/AWS_ACCESS_KEY_ID"), Just("a/b/doc")];
    let cases = proof::cases(25_000, 1_000_000);
    let done = runner(cases).run(&(names, bytes), |(name, bytes)| {
        check(&one(name, bytes));
        Ok(())
    });
    done.unwrap_or_else(|failure| panic!("seed {}: {failure}", proof::seed()));
    for _ in 0..cases {
        proof.case();
    }
    proof.conclude();
}

/// The corpus is the initial input of the fuzz targets and everything that they have found since. This test needs no
/// nightly compiler.
#[test]
fn the_corpus_of_the_fuzz_targets_passes() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let files = |target: &str| -> Vec<Vec<u8>> {
        let entries = std::fs::read_dir(corpus.join(target)).expect("a corpus").flatten();
        entries.map(|entry| std::fs::read(entry.path()).expect("read")).collect()
    };
    let (documents, bytes) = (files("documents"), files("bytes"));
    assert!(documents.len() >= 12 && bytes.len() >= 24, "the seeds are there");
    let mut spliced = 0;
    for tape in &documents {
        check(&Tape::new(tape).entries());
    }
    for value in &bytes {
        let shown = check(&one("a/b/document", value[1..].to_vec()));
        spliced += shown.json + shown.variable + shown.section + shown.toml + shown.yaml + shown.connection;
    }
    assert!(spliced >= 16, "most seeds have a pair in them: {spliced}");
}

/// Sizes and depths that no generator reaches; in time that grows with the size, not with its square.
#[test]
fn huge_and_deep_documents_are_read_in_time() {
    // Of this thread's own time on a processor: what else the machine does has no part in it.
    let spent = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).tv_sec;
    let began = spent();
    let pair =
        "AWS_ACCESS_KEY_ID=AKIAABCDEFGHIJ234567\nAWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE\n";
    let json = r#"{"aws_access_key_id":"AKIAABCDEFGHIJ234567","aws_secret_access_key":"wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE"}"#;
    let filler: String = (0..20_000).map(|number| format!("FILLER_{number}='{number}' # why\r\n")).collect();
    let members: String = (0..20_000).map(|number| format!("\"m{number}\":[\"{number}\"],")).collect();
    let yaml: String =
        (0..8_000).map(|number| format!("- k{number}: 'v' # why\r\n  \u{e9}: [x, &a{number} y]\r\n")).collect();
    let toml: String =
        (0..8_000).map(|number| format!("[t{number}] # why\r\na.b = ['\u{e9}', {{c = 1}}]\r\n")).collect();
    let bomb: String =
        (1..5_000).map(|n| format!("b{n}: &b{n} {{<<: [*b{0}, *b{0}], k{n}: *b{0}}}\n", n - 1)).collect();
    let wide = "z: {<<: *x, a: b}\n".repeat(8_000);
    let url = "s3://b?access_key=AKIAABCDEFGHIJ234567&secret_key=wJalrXUtnFEMI/K7MDENG+bPxRfiCYzEXAMPLEKE";
    for (text, spliced) in [
        (format!("{yaml}- {json}\n{yaml}"), 1),
        (
            format!("{toml}[pair]\n{}\n{toml}", pair.replace('=', "='").replace('\n', "'\n"))
                .replacen("[t", "[s", 8_000),
            1,
        ),
        (format!("b0: &b0 {json}\n{bomb}"), 0),
        (format!("x: &x {json}\n{wide}"), 1),
        (format!("{}{json}", "a:\n ".repeat(50_000)), 0),
        (format!("{}a: b", "- ".repeat(100_000)), 0),
        (format!("{{{}", "? ".repeat(100_000)), 0),
        (format!("a: {}", "&".repeat(200_000)), 0),
        (format!("a: \"{}", "\\\n".repeat(100_000)), 0),
        (format!("{}: x", "k".repeat(200_000)), 0),
        (format!("a = {}", "[".repeat(200_000)), 0),
        (format!("{}a = '{url}'", "[[x]]\n".repeat(50_000)), 1),
        (format!("{url}{}", "&a=b".repeat(50_000)), 1),
        (format!("a=b;{}", "AKIA=;".repeat(50_000)), 0),
        (format!("{filler}{pair}{filler}").replace("FILLER_", "A_").replacen("A_", "B_", 20_000), 1),
        (format!("{{{members}\"pair\":{json}}}"), 1),
        (format!("{}{json}{}", "[".repeat(100), "]".repeat(100)), 1),
        (format!("{}{json}{}", "[".repeat(100_000), "]".repeat(100_000)), 0),
        ("{\"a\":".repeat(100_000), 0),
        ("\\".repeat(200_000), 0),
        ("%41".repeat(100_000), 0),
        ("AKIA".repeat(50_000), 0),
        ("x=\n".repeat(50_000), 0),
        (format!("{{{}\"a\":1}}", "\"a\":{\"b\":\"c\"},".repeat(20_000)), 0),
    ] {
        let shown = check(&one("a/b/doc", text.into_bytes()));
        let all = shown.json + shown.variable + shown.section + shown.toml + shown.yaml + shown.connection;
        assert_eq!(all, spliced, "{shown:?}");
    }
    let took = spent() - began;
    assert!(took < 100, "it took {took} s: something grows with the square of a document");
}
