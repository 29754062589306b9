//! What `[[rule]]` tables mean together with the other layers.

use super::super::{AT_ONCE, Terms, warning_at_once};
use super::{S, StillInUse, error, load};

/// Each key of a rule, beside a second rule that sets nothing.
const RULES: &str = r#"
[policy]
older_than = "80d"
unused_for = "45d"
[[rule]]
match = ["payments-*", "billing/production"]
older_than = "30d"
unused_for = "never"
overlap = "24h"
quarantine = "30d"
[[rule]]
match = "legacy-*"
exclude = true
reason = "is moved to a role"
until = "2027-01-31"
[[rule]]
match = "AKIA*"
"#;

#[test]
fn a_rule_takes_what_it_leaves_out_from_the_policy_and_a_flag_counts_for_each_key() {
    let config = load(RULES, &[("ROTATOR_POLICY_QUARANTINE", "7d")], &[]).expect("valid");
    let terms: Vec<Terms> = config.rules.iter().map(|rule| rule.terms.clone()).collect();
    assert_eq!((terms[0].older_than, terms[0].unused_for), (S(30 * 86400), None));
    assert_eq!((terms[0].policy.overlap, terms[0].policy.quarantine), (S(86400), S(30 * 86400)));
    assert_eq!(terms[0].policy.still_in_use, StillInUse::Wait, "there is an overlap");
    assert_eq!((&terms[1], &terms[2]), (&config.terms(), &config.terms()));
    let exclusion = config.rules[1].exclusion.clone().expect("given");
    assert_eq!((exclusion.reason.as_deref(), exclusion.until), (Some("is moved to a role"), "2027-01-31".parse().ok()));
    assert!(config.rules[0].exclusion.is_none() && config.rules[2].exclusion.is_none());
    assert_eq!(
        (config.rules[0].in_words(), config.rules.len()),
        ("[[rule]] 1 (payments-*, billing/production)".into(), 3)
    );
    let flags = ["--older-than", "0s", "--unused-for", "50d", "--overlap", "1h", "--quarantine", "0s"];
    let config = load(RULES, &[], &flags).expect("valid");
    assert!(config.again && config.rules.iter().all(|rule| rule.terms == config.terms()), "{:?}", config.rules);
    load("[[rule]]\nmatch = \"a\"\nexclude = true\nuntil = 2027-01-31", &[], &[]).expect("a day without quotes");
}

#[test]
fn a_rule_that_cannot_be_meant_is_refused_with_its_number_or_its_key() {
    for (text, words) in [
        ("overlap = \"1h\"", "has no match"),
        ("match = \"\"", "match of [[rule]]"),
        ("match = \"[\"", "[[rule]] 1 in /"),
        ("match = \"a\"\nreason = \"why\"", "exclude = true"),
        ("match = \"a\"\nuntil = \"2027-01-31\"", "exclude = true"),
        ("match = \"a\"\nexclude = true\nuntil = \"soon\"", "such as 2027-01-31"),
        ("match = \"a\"\nunused_for = \"1h\"", "or never"),
        ("match = \"a\"\nolder_then = \"1h\"", "did you mean `older_than`"),
    ] {
        let said = error(&format!("[[rule]]\n{text}"), &[], &[]);
        assert!(said.contains(words), "{text}: {said}");
    }
}

#[test]
fn a_rule_says_for_its_own_keys_how_long_old_keys_stay() {
    let rule = "[[rule]]\nmatch = \"a*\"\noverlap = \"1h\"";
    let config = load(rule, &[], &[]).expect("valid");
    assert!(config.deletes_at_once() && !config.removal_is_set, "for its keys only");
    assert!(!config.rules[0].terms.policy.deletes_at_once());
    let all = [(0, 0), (0, 1), (2, 2)].map(|(at_once, keys)| warning_at_once(at_once, keys));
    assert_eq!(all, [None, None, Some(AT_ONCE.to_owned())]);
    assert!(warning_at_once(1, 2).is_some_and(|said| said.contains("for 1 of these 2 keys")));
}
