//! Values that are too large to be taken apart, or hold too many pairs: each is reported once, and stops nothing else.

use std::fmt::Write as _;

use super::tests::{ID, SECRET, candidates, entries, entry, left_alone};
use super::*;
use crate::discovery::LARGEST_DOCUMENT;

/// The `number`th of many ids.
fn id(number: usize) -> String {
    let letter = |place: usize| char::from(b'A' + u8::try_from(number >> (4 * place) & 0xf).expect("small"));
    format!("AKIAMANY{}", (0..12).map(|place| if place < 6 { letter(place) } else { 'Q' }).collect::<String>())
}

fn secret(number: usize) -> String {
    format!("made+up/made+up/made+up/made+up/Q{number:07}")
}

/// `count` pairs, each with names of its own.
fn pairs(count: usize) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let (id, secret) = (id(number), secret(number));
        write!(text, "P{number}_AWS_ACCESS_KEY_ID={id}\nP{number}_AWS_SECRET_ACCESS_KEY={secret}\n")
            .expect("in memory");
        text
    })
}

fn own_pair() -> StoredEntry {
    entry("s", "app/live/env", format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n").as_bytes())
}

#[test]
fn a_value_with_a_thousand_pairs_is_taken_apart_and_one_with_more_is_left_whole() {
    let found = discover(&[own_pair(), entry("s", "many", pairs(MOST_PAIRS).as_bytes())]);
    assert_eq!((found.candidates.len(), found.left_alone.len()), (MOST_PAIRS + 1, 0));
    let found = discover(&[own_pair(), entry("s", "many", pairs(MOST_PAIRS + 1).as_bytes())]);
    assert_eq!(candidates(&found).len(), 1, "the pair of another value");
    assert_eq!(left_alone(&found), [("too-many-pairs", None, vec!["many".to_owned()])]);
}

/// Each input repeats one thing very often. Discovery must not compare everything with everything, and reports it once.
#[test]
fn every_excess_is_reported_once() {
    let many = 3 * MOST_PAIRS;
    let list =
        |element: &dyn Fn(usize) -> String| format!("[{}]", (0..many).map(element).collect::<Vec<_>>().join(","));
    for (what, text) in [
        ("ids in prose", (0..many).fold(String::new(), |text, number| text + " see " + &id(number))),
        ("ids and secrets without a name", list(&|number| format!("\"{}\",\"{}\"", id(number), secret(number)))),
        ("pairs without a name", list(&|number| format!("{{\"u\":\"{}\",\"p\":\"{}\"}}", id(number), secret(number)))),
        ("copies of one pair", list(&|_| format!("{{\"accessKeyId\":\"{ID}\",\"secretAccessKey\":\"{SECRET}\"}}"))),
        (
            "ids of another form",
            (0..many)
                .fold(String::new(), |text, number| text + &format!("A{number}_AWS_ACCESS_KEY_ID=PROD{number:017}\n")),
        ),
        (
            "secrets without an id",
            (0..many).fold(String::new(), |text, number| {
                text + &format!("A{number}_AWS_SECRET_ACCESS_KEY={}\n", secret(number))
            }),
        ),
    ] {
        let found = discover(&[entry("s", "many", text.as_bytes())]);
        assert_eq!(left_alone(&found), [("too-many-pairs", None, vec!["many".to_owned()])], "{what}");
    }
}

#[test]
fn each_id_of_a_large_value_is_reported() {
    let mut text = pairs(1);
    text.push_str(&"# nothing\n".repeat(LARGEST_DOCUMENT / 10));
    let found = discover(&[own_pair(), entry("s", "large", text.as_bytes())]);
    assert_eq!(candidates(&found).len(), 1, "the pair of another value");
    assert_eq!(left_alone(&found), [("too-large", Some(id(0)), vec!["large".to_owned()])]);
}

/// Names are copied to each field beneath them: the copies have an end, too.
#[test]
fn a_long_name_above_many_fields_takes_no_memory() {
    let name = "n".repeat(1_000_000);
    let fields = (0..50_000).map(|number| format!("\"{number}\":\"\"")).collect::<Vec<_>>().join(",");
    let assignments = (0..50_000).fold(String::new(), |text, number| text + &format!("A{number}=\n"));
    for text in [
        format!("{{\"{name}\":{{{fields}}}}}"),
        format!("[{name}]\n{assignments}"),
        format!("{}: {{{fields}}}\n", "n".repeat(1000)),
    ] {
        assert_eq!(discover(&entries(&[("doc", &text)])), Findings::default());
    }
}

/// One of them cannot be written: the others can, and which one it is is found out.
#[test]
fn of_many_pairs_in_a_document_each_is_tried() {
    let mut text = pairs(40);
    write!(text, "# once {}\nURL=s3://{}:{}@bucket\n", id(7), id(50), secret(50).replace('/', "%2F"))
        .expect("in memory");
    let found = discover(&[entry("s", "doc", text.as_bytes())]);
    assert_eq!(found.candidates.len(), 40);
    let cannot: Vec<_> = left_alone(&found).into_iter().map(|(reason, id, _)| (reason, id)).collect();
    assert_eq!(cannot, [("cannot-be-spliced", Some(id(7)))]);
}
