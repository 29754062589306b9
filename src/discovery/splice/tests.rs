//! A splice changes the pair and no other byte.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::edit::{Edit, only_these_changed};
use super::reading::Document;
use super::*;
use crate::discovery::field::Unclear;
use crate::types::name::{AccessKeyId, EntryName, StoreName};
use crate::types::place::{FieldRef, Location, Place};
use crate::types::secret::{SecretKey, SecretValue};

const NEW_ID: &str = "AKIANEWNEWNEWNEWNEW2";
const NEW_SECRET: &str = "NEW+/secretaccesskeyNEW+/secretaccesskey";

fn entry(name: &str) -> EntryName {
    EntryName::new(format!("app/prod/{name}")).expect("valid")
}

fn json(pointer: &str) -> Location {
    Location::Json { pointer: pointer.to_owned() }
}

fn variable(section: Option<&str>, variable: &str) -> Location {
    Location::Variable { section: section.map(str::to_owned), variable: variable.to_owned() }
}

fn place(id: (&str, Location), secret: (&str, Location)) -> Place {
    let spot = |(name, location)| FieldRef { entry: entry(name), location };
    Place { store: StoreName::new("s").expect("valid"), id: spot(id), secret: spot(secret) }
}

fn in_document(id: Location, secret: Location) -> Place {
    place(("doc", id), ("doc", secret))
}

struct Store(BTreeMap<EntryName, SecretValue>);

impl Store {
    fn new(entries: &[(&str, &[u8])]) -> Self {
        Self(entries.iter().map(|(name, value)| (entry(name), SecretValue::new(value.to_vec()))).collect())
    }

    fn of<'v>(&'v self) -> impl Fn(&EntryName) -> Option<&'v SecretValue> {
        |name| self.0.get(name)
    }

    fn splice(&self, places: &[&Place], id: &str, secret: &str) -> Result<Vec<(String, String)>, SpliceError> {
        let id = AccessKeyId::new(id).expect("valid");
        let values = splice_all(places, |name| self.0.get(name), &id, &SecretKey::new(secret.to_owned()))?;
        Ok(values
            .into_iter()
            .map(|(name, value)| (name.secret_name().to_owned(), value.expose_text().expect("stays UTF-8").to_owned()))
            .collect())
    }
}

/// Splices the new pair into one document and returns it.
fn spliced(document: &str, id: Location, secret: Location) -> Result<String, SpliceError> {
    let store = Store::new(&[("doc", document.as_bytes())]);
    let place = in_document(id, secret);
    rehearse_splice(&[&place], store.of())?;
    let values = store.splice(&[&place], NEW_ID, NEW_SECRET)?;
    assert_eq!(values.len(), 1, "one document, one write");
    let after = Store::new(&[("doc", values[0].1.as_bytes())]);
    let seen = read_pair(&place, after.of()).expect("reads back");
    assert_eq!((seen.id.expect("an id").as_str(), seen.secret.expose()), (NEW_ID, NEW_SECRET));
    Ok(values[0].1.clone())
}

#[test]
fn two_entries_keep_the_blanks_around_their_values() {
    let store = Store::new(&[("ID", b"AKIAOLDOLDOLDOLDOLD2\r\n"), ("SECRET", b"\xef\xbb\xbf old secret \n\n")]);
    let place = place(("ID", Location::WholeValue), ("SECRET", Location::WholeValue));
    let seen = read_pair(&place, store.of()).expect("readable");
    assert_eq!((seen.id.expect("an id").as_str(), seen.secret.expose()), ("AKIAOLDOLDOLDOLDOLD2", "old secret"));
    assert_eq!(
        store.splice(&[&place], NEW_ID, NEW_SECRET).expect("spliced"),
        [("SECRET".to_owned(), format!("\u{feff} {NEW_SECRET} \n\n")), ("ID".to_owned(), format!("{NEW_ID}\r\n")),]
    );
}

#[test]
fn documents_keep_every_other_byte() {
    let (section, pointer) = (Some("default"), "/aws/keys/0");
    for (before, id, secret) in [
        ("A=OLDID\nB=OLDSECRET\n", variable(None, "A"), variable(None, "B")),
        ("B=OLDSECRET\nA=OLDID", variable(None, "A"), variable(None, "B")),
        (
            "\u{feff}# é A=x\r\nexport A = \"OLDID\"  # why\r\n\r\nB='OLDSECRET'\t\r\nC=\"$A\\\"\"\r\n",
            variable(None, "A"),
            variable(None, "B"),
        ),
        ("A=z\n[default]\nA = OLDID ; c\n B: x=y\nB=OLDSECRET\n", variable(section, "A"), variable(section, "B")),
        (
            " {\"a\":1.50,\"é\":\"\\u00e9\\/\", \"A\" :\t\"OLDID\",\r\n\"B\":\"OLDSECRET\",\"b\":[\"OLDID2\"]}\n",
            json("/A"),
            json("/B"),
        ),
        (r#"{"aws":{"keys":["OLDID",{"~/":"OLDSECRET"}]},"x":"A\nB"}"#, json(pointer), json("/aws/keys/1/~0~1")),
        (r#"["OLDID","OLDSECRET"]"#, json("/0"), json("/1")),
    ] {
        if before.contains(" B: x") {
            // `B: x=y` is no name that this reader knows, and other readers take the line for more of the value before.
            assert!(matches!(spliced(before, id, secret), Err(SpliceError::Read(ReadPairError::NotPlain { .. }))));
            continue;
        }
        let after = before.replacen("OLDID", NEW_ID, 1).replacen("OLDSECRET", NEW_SECRET, 1);
        assert_eq!(spliced(before, id, secret).expect(before), after);
    }
}

#[test]
fn an_escaped_json_string_is_replaced_whole() {
    assert_eq!(
        spliced("{\"A\":\"\\u0041B\",\"B\":\"a\\/b\"}", json("/A"), json("/B")).expect("spliced"),
        format!("{{\"A\":\"{NEW_ID}\",\"B\":\"{NEW_SECRET}\"}}")
    );
    // JSON can hold anything, in its own encoding.
    let store = Store::new(&[("doc", br#"{"A":"a","B":"b"}"#)]);
    let values = store.splice(&[&in_document(json("/A"), json("/B"))], NEW_ID, "\"\\\n").expect("spliced");
    assert_eq!(values[0].1, format!(r#"{{"A":"{NEW_ID}","B":"\"\\\n"}}"#));
}

#[test]
fn entries_with_secrets_come_first_and_those_with_ids_last() {
    let store = Store::new(&[
        ("A_ID", b"AKIAOLDOLDOLDOLDOLD2"),
        ("B_SECRET", b"old"),
        ("C_doc", b"[x]\nA=AKIAOLDOLDOLDOLDOLD2\nB=old\n[y]\nA=AKIAOLDOLDOLDOLDOLD2\nB=old"),
    ]);
    let two = place(("A_ID", Location::WholeValue), ("B_SECRET", Location::WholeValue));
    let pair = |name| place(("C_doc", variable(Some(name), "A")), ("C_doc", variable(Some(name), "B")));
    let (x, y) = (pair("x"), pair("y"));
    let values = store.splice(&[&two, &x, &y], NEW_ID, NEW_SECRET).expect("spliced");
    let document = format!("[x]\nA={NEW_ID}\nB={NEW_SECRET}\n[y]\nA={NEW_ID}\nB={NEW_SECRET}");
    let expected = [("B_SECRET", NEW_SECRET), ("C_doc", &document), ("A_ID", NEW_ID)];
    assert_eq!(values, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(rehearse_splice(&[&two, &x, &y], store.of()), Ok(()));
    assert_eq!(rehearse_splice(&[&x], store.of()), Err(SpliceError::StillReferenced { entry: entry("C_doc") }));
}

#[test]
fn a_field_that_cannot_be_read_for_certain_is_refused() {
    use ReadPairError::{AnotherForm, DefinedTwice, Empty, Missing, NotPlain, NotThere, NotUtf8};
    let spot = |location: Location| FieldRef { entry: entry("doc"), location };
    let (a, b) = (variable(None, "A"), variable(None, "B"));
    for (value, id, error) in [
        (b"\xff".as_slice(), a.clone(), NotUtf8 { entry: entry("doc") }),
        (b"words", a.clone(), AnotherForm { spot: spot(a.clone()) }),
        (b"A=1\nB=2", json("/A"), AnotherForm { spot: spot(json("/A")) }),
        (b"B=2", a.clone(), NotThere { spot: spot(a.clone()) }),
        (b"A=1\nA=1\nB=2", a.clone(), DefinedTwice { spot: spot(a.clone()) }),
        (b"A=$X\nB=2", a.clone(), NotPlain { spot: spot(a.clone()), why: Unclear::Reference }),
        (b"A=\nB=2", a.clone(), Empty { spot: spot(a.clone()) }),
        (b" \n", Location::WholeValue, Empty { spot: spot(Location::WholeValue) }),
    ] {
        let store = Store::new(&[("doc", value)]);
        let place = in_document(id, b.clone());
        assert_eq!(read_pair(&place, store.of()).map(|_| ()), Err(error.clone()));
        let secret_only = store.splice(&[&place], NEW_ID, NEW_SECRET).expect_err("nothing to replace");
        assert!(matches!(secret_only, SpliceError::Read(_)), "{secret_only}");
    }
    let missing = place(("gone", Location::WholeValue), ("gone", Location::WholeValue));
    let error = read_pair(&missing, Store::new(&[]).of()).expect_err("no entry");
    assert_eq!(error, Missing { entry: entry("gone") });
}

#[test]
fn an_unsafe_write_is_refused() {
    let document = b"A=AKIAOLDOLDOLDOLDOLD2\nB='old'\n";
    let store = Store::new(&[("doc", document)]);
    let (a, b) = (variable(None, "A"), variable(None, "B"));
    let place = in_document(a.clone(), b.clone());
    for bad in ["it's", "two\nlines", "", "$HOME", "back\\slash"] {
        let error = store.splice(&[&place], NEW_ID, bad).expect_err("cannot be quoted");
        assert_eq!(error, SpliceError::CannotHold { spot: place.secret.clone() }, "{bad:?}");
    }
    let same = in_document(a.clone(), a);
    let error = store.splice(&[&same], NEW_ID, NEW_SECRET).expect_err("one text is not two");
    assert!(matches!(error, SpliceError::SameText { .. }), "{error}");
}

#[test]
fn a_result_that_differs_in_more_than_the_pair_is_noticed() {
    let spot = |name| FieldRef { entry: entry("doc"), location: variable(None, name) };
    let (id, secret) = (spot("A"), spot("B"));
    let edits = [Edit { spot: &id, new: "x", place: 0 }, Edit { spot: &secret, new: "y", place: 0 }];
    for (new, only_these) in [
        ("A=x\nB='y'\nC=3", true),
        ("A=x\nB='y'\nC=4", false),
        ("A=x\nB='y'", false),
        ("A=x\nB=y\nC=3", false),
        ("A=x\nB='z'\nC=3", false),
        ("B='y'\nA=x\nC=3", false),
        ("A=x\nB='y\nC=3", false),
    ] {
        let new_value = SecretValue::new(new.as_bytes().to_vec());
        assert_eq!(
            only_these_changed(&mut Document::new("A=1\nB='2'\nC=3"), &new_value, &edits.each_ref()),
            only_these,
            "{new:?}"
        );
    }
}

#[test]
fn a_copy_of_the_id_that_would_stay_is_found_before_any_create() {
    for document in [
        "A=AKIAOLDOLDOLDOLDOLD2\nB=old\n#A=AKIAOLDOLDOLDOLDOLD2",
        "A=AKIAOLDOLDOLDOLDOLD2\nB=old\nC=QUtJQU9MRE9MRE9MRE9MRE9MRDI=",
    ] {
        let store = Store::new(&[("doc", document.as_bytes())]);
        let place = in_document(variable(None, "A"), variable(None, "B"));
        let error = rehearse_splice(&[&place], store.of()).expect_err("the id stays");
        assert_eq!(error, SpliceError::StillReferenced { entry: entry("doc") });
    }
}

#[test]
fn errors_tell_no_stored_text() {
    let store = Store::new(&[("doc", b"A=hunter2\nA=hunter2\nB=$hunter2")]);
    for name in ["A", "B", "C"] {
        let place = in_document(variable(None, name), variable(None, name));
        let error = read_pair(&place, store.of()).expect_err("not readable");
        let error = format!("{error} {error:?}");
        assert!(!error.contains("hunter2") && error.contains("app/prod/doc"), "{error}");
    }
}

/// A JSON document around two strings, with their pointers.
fn json_document() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn dotenv_line() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ \t]{0,2}#[ -~é]{0,20}",
        "[ \t]{0,2}",
        "(export )?[C-Z_][A-Z0-9_]{0,8}[ ]{0,2}=[ ]{0,2}[a-z0-9/+=é]{0,20}( #[ -~]{0,8})?",
        "[C-Z_][A-Z0-9_]{0,8}='[^'\\\\\r]{0,20}'",
        "[C-Z_][A-Z0-9_]{0,8}=\"([^\"\\\\\r]|\\\\[a-z\"\\\\]){0,20}\"[ ]{0,2}",
    ]
}

proptest! {
    #[test]
    fn any_json_document_keeps_all_else(
        mut document in json_document(),
        others in proptest::collection::btree_map("[^~]{0,6}", json_document(), 0..4),
        id in "[A-Z0-9]{16,24}",
        secret in ".{1,40}",
        pretty in any::<bool>(),
    ) {
        // The pair is in an object with other fields, beside a document of any form.
        let mut object: serde_json::Map<String, serde_json::Value> = others.into_iter().collect();
        object.insert("~id".to_owned(), id.into());
        object.insert("~/".to_owned(), secret.into());
        let inner = serde_json::Value::Object(object);
        document = serde_json::json!({ "before": document.clone(), "pair": [inner], "after": document });
        let text = if pretty { serde_json::to_string_pretty(&document) } else { serde_json::to_string(&document) };
        let text = text.expect("serialises");
        let store = Store::new(&[("doc", text.as_bytes())]);
        let place = in_document(json("/pair/0/~0id"), json("/pair/0/~0~1"));

        let values = store.splice(&[&place], NEW_ID, NEW_SECRET).expect("spliced");
        let mut expected = document;
        *expected.pointer_mut("/pair/0/~0id").expect("there") = NEW_ID.into();
        *expected.pointer_mut("/pair/0/~0~1").expect("there") = NEW_SECRET.into();
        prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&values[0].1).expect("JSON"), expected);

        let after = Store::new(&[("doc", values[0].1.as_bytes())]);
        prop_assert_eq!(&after.splice(&[&place], NEW_ID, NEW_SECRET).expect("again"), &values);
    }

    #[test]
    fn any_dotenv_file_keeps_all_else(
        lines in proptest::collection::vec(dotenv_line(), 0..8),
        at in any::<(prop::sample::Index, prop::sample::Index)>(),
        quotes in (0_usize..3, 0_usize..3),
        crlf in any::<bool>(),
        last_end in any::<bool>(),
    ) {
        let quoted = |name: &str, text: &str, quotes: usize| {
            let quote = ["", "'", "\""][quotes];
            format!("{name}={quote}{text}{quote}")
        };
        let document = |id: &str, secret: &str| {
            let mut lines = lines.clone();
            lines.insert(at.0.index(lines.len() + 1), quoted("A_ID", id, quotes.0));
            lines.insert(at.1.index(lines.len() + 1), quoted("B_SECRET", secret, quotes.1));
            let end = if crlf { "\r\n" } else { "\n" };
            lines.join(end) + if last_end { end } else { "" }
        };
        let before = document("AKIAOLDOLDOLDOLDOLD2", "old/secret+");
        let store = Store::new(&[("doc", before.as_bytes())]);
        let place = in_document(variable(None, "A_ID"), variable(None, "B_SECRET"));
        let values = store.splice(&[&place], NEW_ID, NEW_SECRET).expect("spliced");
        prop_assert_eq!(&values[0].1, &document(NEW_ID, NEW_SECRET));
        let after = Store::new(&[("doc", values[0].1.as_bytes())]);
        prop_assert_eq!(&after.splice(&[&place], NEW_ID, NEW_SECRET).expect("again"), &values);
    }

    #[test]
    fn any_bytes_at_all_do_not_panic(bytes in any::<Vec<u8>>(), text in "[\\[\\]{}\"'A-C=:,#\\\\\r\n é]{0,40}") {
        for value in [bytes.as_slice(), text.as_bytes()] {
            let store = Store::new(&[("doc", value)]);
            for location in [Location::WholeValue, json(""), json("/A"), variable(None, "A"), variable(Some("A"), "B")] {
                let place = in_document(location.clone(), location);
                let _ = read_pair(&place, store.of());
                let _ = rehearse_splice(&[&place], store.of());
            }
        }
    }
}
