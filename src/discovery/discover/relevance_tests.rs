//! Values that are judged irrelevant say nothing: `discover` takes each of them apart in unit tests, and fails otherwise.
//! The names are made of the words of labels, in many spellings, so that half pairs and ids without `AKIA` come up.

use proptest::prelude::*;

use super::*;

const WORDS: [&str; 9] = ["access", "key", "id", "secret", "session", "security", "token", "note", "\u{212a}ey"];
const OWNERS: [&str; 4] = ["", "aws", "iam", "app"];
const VALUES: [&str; 5] = [
    "a setting of the service",
    "PROD1111111111AAAAAA",
    "AKIAABCDEFGHIJ234567",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzzzz",
    "${ELSEWHERE}",
];

fn name() -> impl Strategy<Value = String> {
    let words = (prop::sample::select(&OWNERS[..]), prop::collection::vec(prop::sample::select(&WORDS[..]), 1..4));
    let words = words.prop_map(|(owner, words)| {
        [owner].into_iter().filter(|owner| !owner.is_empty()).chain(words).collect::<Vec<_>>()
    });
    (words, prop::sample::select(&["_", "-", ".", "", "A"][..]), any::<bool>()).prop_map(|(words, joint, is_upper)| {
        let name = if joint == "A" {
            let capital = |word: &&str| word[..1].to_uppercase() + &word[1..];
            words.iter().map(|word| if word.is_ascii() { capital(word) } else { (*word).to_owned() }).collect()
        } else {
            words.join(joint)
        };
        if is_upper { name.to_ascii_uppercase() } else { name }
    })
}

/// The text with its first letter as an escape of JSON and YAML.
fn escaped(text: &str) -> String {
    text.chars()
        .next()
        .map_or_else(String::new, |first| format!("\\u{:04x}{}", u32::from(first), &text[first.len_utf8()..]))
}

fn document() -> impl Strategy<Value = String> {
    let field = (name(), prop::sample::select(&VALUES[..]), any::<bool>());
    (prop::collection::vec(field, 1..4), 0..4).prop_map(|(fields, form)| {
        let padding = "a line of the configuration of a service";
        let quoted = |text: &str, escape: bool| format!("\"{}\"", if escape { escaped(text) } else { text.to_owned() });
        let json = |(name, value, escape): &(String, &str, bool)| {
            format!("{}: {}", quoted(name, *escape), quoted(value, *escape))
        };
        let plain = |(name, value, _): &(String, &str, bool)| match form {
            1 => format!("{name}={value}\n"),
            2 => format!("{name}: {value}\n"),
            _ => format!("- name: {name}\n  value: {value}\n"),
        };
        match form {
            0 => format!(
                "{{{}, \"x\": \"{padding}\", \"y\": \"{padding}\"}}",
                fields.iter().map(json).collect::<Vec<_>>().join(", ")
            ),
            1 => format!("# {padding}\n# {padding}\n{}", fields.iter().map(plain).collect::<String>()),
            _ => format!("{}# {padding}\n# {padding}\n", fields.iter().map(plain).collect::<String>()),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn an_irrelevant_value_says_nothing(text in document()) {
        let (store, name) = (StoreName::new("s").expect("valid"), EntryName::new("a/b/notes").expect("valid"));
        let _ = discover(&[StoredEntry { store, name, value: SecretValue::new(text.into_bytes()) }]);
    }
}
