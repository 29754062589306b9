//! `[[rule]]` tables: other settings for the keys that match a pattern.

use std::time::Duration;

use serde_json::{Value, json};

use super::bench::Bench;

const SHOP: &str = "shop/production";
const LEGACY: &str = "legacy/production";

const DAY: Duration = Duration::from_secs(86_400);

fn plan(bench: &Bench) -> Value {
    bench.run(&["plan", "--output", "json"]).code(0).json()
}

fn of_user<'a>(document: &'a Value, list: &str, user: &str) -> &'a Value {
    let keys = document[list].as_array().expect("a list");
    let is_of = |key: &&Value| key["places"][0]["entry"].as_str().is_some_and(|entry| entry.starts_with(user));
    keys.iter().find(is_of).unwrap_or_else(|| panic!("no {user} in {list}: {document:#}"))
}

#[test]
fn the_first_rule_that_matches_decides_how_a_key_is_replaced_and_plan_names_it() {
    let bench = Bench::with_users(&[SHOP, LEGACY]);
    bench.write(
        "rotator.toml",
        "[[rule]]\nmatch = \"SHOP/production\"\noverlap = \"1h\"\n[[rule]]\nmatch = \"shop/*\"\n",
    );
    let document = plan(&bench);
    assert_eq!(of_user(&document, "due", SHOP)["rule"], json!({"number": 1, "match": ["SHOP/production"]}));
    assert_eq!(of_user(&document, "due", LEGACY)["rule"], Value::Null);
    let [shop, legacy] = [SHOP, LEGACY].map(|user| bench.key_of(user));
    bench.run(&["run"]).code(3).prints("1 rotated, 1 in flight (1 waiting)").says("for 1 of these 2 keys");
    bench.assert_rotated(LEGACY, &legacy);
    assert_eq!(bench.sandbox.keys_of(SHOP).len(), 2, "both keys stay active for the overlap");
    // The policy of a rotation is fixed when it is opened.
    bench.write("rotator.toml", "");
    bench.sandbox.advance(Duration::from_secs(1800));
    bench.run(&["run", "--older-than", "80d"]).code(3);
    bench.sandbox.advance(Duration::from_secs(1801));
    bench.run(&["resume"]).code(0);
    bench.assert_rotated(SHOP, &shop);
}

#[test]
fn an_exclusion_says_why_and_until_when_and_its_end_is_reported() {
    let bench = Bench::with_users(&[SHOP, LEGACY]);
    let tomorrow = bench.sandbox.now().checked_add(DAY).expect("a time").to_string();
    let last = tomorrow.split('T').next().expect("a day");
    let text = format!(
        "[[rule]]\nmatch = [\"legacy/*\", \"nothing\"]\nexclude = true\nreason = \"a role\"\nuntil = \"{last}\"\n"
    );
    bench.write("rotator.toml", &text);
    let old = bench.key_of(LEGACY);
    let document = plan(&bench);
    let skipped = of_user(&document, "skipped", LEGACY);
    let message = format!("left out by [[rule]] 1 (legacy/*, nothing) until {last}: a role");
    assert_eq!((&skipped["message"], &skipped["rule"]["number"]), (&message.into(), &1.into()), "{skipped:#}");
    let ran = bench.run(&["run"]).code(0).prints("1 rotated").says("`nothing` of [[rule]] 1 matches no key");
    assert!(!ran.stderr.contains("has ended") && !ran.stderr.contains(" ended with"), "{}", ran.stderr);
    assert_eq!(bench.key_of(LEGACY), old);
    bench.sandbox.advance(3 * DAY);
    bench.run(&["plan"]).code(0).says(&format!("ended with {last}")).prints(&old);
    bench.run(&["run"]).code(0).says(&format!("ended with {last}"));
    bench.assert_rotated(LEGACY, &old);
}

#[test]
fn a_rule_has_its_own_age_and_its_own_time_without_a_use() {
    let bench = Bench::with_users(&[SHOP, LEGACY]);
    let policy = "[policy]\nolder_than = \"80d\"\nunused_for = \"45d\"\n";
    bench.write(
        "rotator.toml",
        &format!("{policy}[[rule]]\nmatch = \"shop/*\"\nolder_than = \"50d\"\nunused_for = \"never\"\n"),
    );
    bench.sandbox.advance(60 * DAY);
    let document = plan(&bench);
    assert_eq!(of_user(&document, "due", SHOP)["rule"]["number"], 1);
    assert_eq!(of_user(&document, "skipped", LEGACY)["reason"], "not-due");
    bench.sandbox.advance(30 * DAY);
    let document = plan(&bench);
    assert_eq!(of_user(&document, "skipped", LEGACY)["reason"], "unused");
    of_user(&document, "due", SHOP);
    // A flag counts for every key.
    bench.run(&["plan", "--unused-for", "45d"]).code(0).prints("no key is due; 2 unused");
}

#[test]
fn a_rule_that_excludes_a_user_by_name_counts_also_if_the_user_is_asked_of_aws() {
    let bench = Bench::with_users(&[SHOP, LEGACY]);
    let rules = "[[rule]]\nmatch = \"none/*\"\n[[rule]]\nmatch = \"LEGACY/production\"\nexclude = true\n";
    bench.write("rotator.toml", &format!("[owner]\nfrom = \"aws\"\n{rules}"));
    let document = plan(&bench);
    assert_eq!(of_user(&document, "skipped", LEGACY)["reason"], "excluded");
    of_user(&document, "due", SHOP);
}
