//! Tests that an id is found in every form.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const ID: &str = "AKIAABCDEFGHIJ234567";

fn value(text: impl AsRef<[u8]>) -> SecretValue {
    SecretValue::new(text.as_ref().to_vec())
}

fn id() -> AccessKeyId {
    AccessKeyId::new(ID).expect("valid")
}

fn ids_in(value: &SecretValue) -> Vec<AccessKeyId> {
    ids(value, usize::MAX).ids.into_iter().collect()
}

fn json_escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("\\u{byte:04x}")).collect()
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

#[test]
fn every_form_is_seen() {
    let wrapped = STANDARD.encode(format!("[default]\naws_access_key_id = {ID}\naws_secret_access_key = x\n"));
    let lines: Vec<&str> =
        wrapped.as_bytes().chunks(19).map(|line| std::str::from_utf8(line).expect("ASCII")).collect();
    for text in [
        ID.to_owned(),
        format!("s3://{ID}:secret@bucket"),
        json_escaped(ID),
        format!("{{\"id\":\"\\u0041{}\"}}", &ID[1..]),
        format!("\"{{\\\"id\\\":\\\"\\\\u0041{}\\\"}}\"", &ID[1..]),
        format!("%41{}", &ID[1..]),
        url_encoded(ID),
        url_encoded(&url_encoded(ID)),
        url_encoded(&json_escaped(ID)),
        json_escaped(&url_encoded(ID)),
        wrapped.clone(),
        lines.join("\n"),
        lines.join("\r\n  "),
        lines.join("\\n"),
        lines.join("%0A"),
        url_encoded(&wrapped),
        json_escaped(&wrapped),
    ] {
        assert!(names(&value(&text), &id()), "{text}");
        assert_eq!(ids_in(&value(&text)), [id()], "{text}");
    }
}

#[test]
fn another_id_is_another_id() {
    let other = AccessKeyId::new("AKIAABCDEFGHIJ234566").expect("valid");
    let wrapped = ["", "a", "ab"].map(|before| STANDARD.encode(format!("{before}{ID}")));
    for text in [ID.to_owned(), json_escaped(ID), url_encoded(ID)].iter().chain(&wrapped) {
        assert!(names(&value(text), &id()), "{text}");
        assert!(!names(&value(text), &other), "{text}");
        assert!(!names(&value(text), &AccessKeyId::new("BKIAABCDEFGHIJ234567").expect("valid")), "{text}");
    }
    assert!(!names(&value(""), &other) && !names(&value("AKIA ABCDEFGHIJ234567"), &id()));
}

#[test]
fn a_name_is_searched_too() {
    let needles = Needles::new([&id()]);
    for (name, is_named) in [
        ("shop/live/AKIAABCDEFGHIJ234567", true),
        ("shop/live/keys%2FAKIAABCDEFGHIJ234567.env", true),
        ("AKIAABCDEFGHIJ234567/live/env", true),
        ("shop/live/env", false),
    ] {
        assert_eq!(!needles.in_name(&EntryName::new(name).expect("valid")).is_empty(), is_named, "{name}");
    }
}

/// The `number`th of many ids.
fn numbered(number: usize) -> AccessKeyId {
    let letters = (0..8).map(|place| char::from(b'A' + u8::try_from(number >> (2 * place) & 3).expect("small")));
    AccessKeyId::new(format!("AKIAABCDEFGH{}", letters.collect::<String>())).expect("valid")
}

#[test]
fn of_many_ids_all_that_stand_in_a_value_are_named_and_no_other() {
    let ids: Vec<_> =
        (0..50).map(numbered).chain([AccessKeyId::new("PROD111111111EXAMPLE2").expect("valid")]).collect();
    let needles = Needles::new(&ids);
    let text = format!("{}{},PROD111111111EXAMPLE2 {}", ids[3].as_str(), ids[7].as_str(), numbered(51).as_str());
    assert_eq!(needles.search(&value(&text)).named, BTreeSet::from([&ids[3], &ids[7], &ids[50]]));
    assert_eq!(needles.search(&value("")).named, BTreeSet::new());
    assert_eq!(Needles::new([]).search(&value(&text)).named, BTreeSet::new());
    let places = needles.first_places(text.as_bytes());
    assert_eq!(places, [(0, &ids[3]), (20, &ids[7]), (41, &ids[50])]);
    assert_eq!(Needles { automaton: None, ..Needles::new(&ids) }.first_places(text.as_bytes()), places);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Ids of several lengths, some of which lie within or across others, in values that hold them beside each other.
    #[test]
    fn sought_together_or_one_by_one_the_same_ids_are_named(
        ids in prop::collection::btree_set("[AB]{16,18}", 1..8),
        parts in prop::collection::vec((any::<prop::sample::Index>(), "[AB ,]{0,4}"), 0..6),
    ) {
        let ids: Vec<AccessKeyId> = ids.iter().map(|id| AccessKeyId::new(id).expect("valid")).collect();
        let text: String = parts.iter().map(|(at, between)| format!("{}{between}", at.get(&ids))).collect();
        let value = value(text);
        let one_by_one: BTreeSet<_> = ids.iter().filter(|id| names(&value, id)).collect();
        let automaton = Needles::new(&ids);
        prop_assert_eq!(&automaton.search(&value).named, &one_by_one);
        let none = Needles { automaton: None, ..Needles::new(&ids) };
        prop_assert_eq!(none.search(&value).named, one_by_one);
    }
}

#[test]
fn more_ids_than_the_limit_are_reported_as_more() {
    let all: Vec<_> = (0..9).map(numbered).collect();
    let text: String = all.iter().map(|id| format!("{id} {id}\n")).collect();
    let found = |most| {
        let Ids { ids, are_more } = ids(&value(&text), most);
        (ids.len(), are_more)
    };
    assert_eq!((found(8), found(9), found(10)), ((8, true), (9, false), (9, false)));
}

/// One character in the ways in which it may be written.
fn mixed(text: &str, ways: &[u8], write: impl Fn(char) -> String) -> String {
    let ways = ways.iter().cycle();
    text.chars().zip(ways).map(|(letter, way)| if way % 2 == 0 { letter.to_string() } else { write(letter) }).collect()
}

proptest! {
    #[test]
    fn an_id_is_found_wherever_it_stands(
        id in "[A-Za-z0-9_]{16,40}",
        before in any::<Vec<u8>>(),
        after in any::<Vec<u8>>(),
        ways in proptest::collection::vec(any::<u8>(), 1..8),
        width in 1_usize..80,
    ) {
        let id_sought = AccessKeyId::new(id.as_str()).expect("valid");
        let needles = Needles::new([&id_sought, &self::id()]);
        let around = |middle: &[u8]| [before.as_slice(), middle, after.as_slice()].concat();

        // As it is, and base 64 over it and its neighbours.
        let plain = around(id.as_bytes());
        let found = |bytes: &[u8]| needles.search(&bytes).named.contains(&id_sought);
        prop_assert!(found(&plain));
        for wrapped in [
            STANDARD.encode(&plain),
            STANDARD_NO_PAD.encode(&plain),
            URL_SAFE.encode(&plain),
            URL_SAFE_NO_PAD.encode(&plain),
        ] {
            prop_assert!(found(wrapped.as_bytes()));
            prop_assert!(found(&around(wrapped.as_bytes())));
            let lines: Vec<&[u8]> = wrapped.as_bytes().chunks(width).collect();
            prop_assert!(found(&lines.join(b"\n".as_slice())));
            prop_assert!(found(&lines.join(b"\r\n\t".as_slice())));
        }

        // Escaped, in part or wholly. A backslash or percent sign just before would be part of another escape.
        let escaped = mixed(&id, &ways, |letter| format!("\\u{:04X}", u32::from(letter)));
        let quoted = format!("\"{escaped}\"");
        prop_assert!(found(&around(quoted.as_bytes())));
        let encoded = mixed(&id, &ways, |letter| format!("%{:02x}", u32::from(letter)));
        let parameter = format!("={encoded}&");
        prop_assert!(found(&around(parameter.as_bytes())));
    }

    #[test]
    fn an_id_that_is_not_there_is_not_found(text in "[a-z \\\\%\n0-9]{0,200}") {
        prop_assert!(!names(&value(&text), &id()));
        prop_assert!(ids_in(&value(&text)).is_empty());
    }
}

/// The prefixes of ids overlap with themselves: `AKIAKIA…` has two of them.
#[test]
fn an_id_is_found_behind_the_beginning_of_another() {
    for prefix in ["AKIA", "ASIA", "ABIA", "ACCA"] {
        let id = AccessKeyId::new(format!("{prefix}BCDEFGHIJ2345678")).expect("an id");
        let needles = Needles::new([&id]);
        for before in ["", "A", &prefix[..2], &prefix[..3], prefix, &prefix.repeat(2)] {
            let text = format!("{before}{id}");
            assert!(needles.search(&text.as_bytes()).named.contains(&id), "{text}");
            assert_eq!(needles.first_places(text.as_bytes()), [(before.len(), &id)], "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Letters of which prefixes are made, so that many of them overlap.
    #[test]
    fn ids_are_found_where_a_plain_search_finds_them(
        text in "[AKISBC]{0,60}",
        ids in proptest::collection::btree_set("(AKIA|ASIA|ABIA|ACCA)[AKISBC]{16}|[AKISBC]{16,22}", 1..4),
        at in 0..40_usize,
    ) {
        let ids: Vec<AccessKeyId> = ids.into_iter().map(|id| AccessKeyId::new(id).expect("an id")).collect();
        let mut text = text;
        text.insert_str(at.min(text.len()), ids[0].as_str());
        let plain: BTreeSet<&AccessKeyId> = ids.iter().filter(|id| text.contains(id.as_str())).collect();
        let needles = Needles::new(&ids);
        prop_assert_eq!(needles.search(&text.as_bytes()).named, plain, "{}", text);
    }
}
