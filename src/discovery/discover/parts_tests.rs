//! Discovery over parts finds what discovery over all entries finds, and remembers what each value names.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::tests::{ID, ID2, SECRET, SECRET2, entry};
use super::*;
use crate::discovery::{Mention, Needles};

/// An id that AWS did not make.
const OTHER: &str = "PROD1111111111AAAAAA";
const IDS: [&str; 3] = [ID, ID2, OTHER];
const NAMES: [&str; 5] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "config", "notes", ID];
const SCOPES: [&str; 3] = ["app/live", "app/test", "app-2/live"];

fn value() -> impl Strategy<Value = Vec<u8>> {
    let ids = prop::sample::select(&IDS[..]);
    let secrets = prop::sample::select(&[SECRET, SECRET2][..]);
    (ids, secrets, 0..12).prop_map(|(id, secret, form)| match form {
        0 => format!("AWS_ACCESS_KEY_ID={id}\nAWS_SECRET_ACCESS_KEY={secret}\n").into_bytes(),
        1 => format!("{{\"access_key_id\": \"{id}\", \"secret_access_key\": \"{secret}\"}}").into_bytes(),
        2 => id.into(),
        3 => secret.into(),
        4 => format!("see {id} in the console, and not x{id}y").into_bytes(),
        5 => STANDARD.encode(format!("{{\"key\": \"{id}\"}}")).into_bytes(),
        6 => id.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        7 => format!("https://queue.example/?id=%41{}", &id[1..]).into_bytes(),
        8 => format!("\"\\u00{:02x}{}\"", id.as_bytes()[0], &id[1..]).into_bytes(),
        9 => format!("{}{id}", &id[..3]).into_bytes(),
        10 => b"PK\x03\x04 an archive".to_vec(),
        _ => b"a setting of the service, line by line, and nothing else in it at all".to_vec(),
    })
}

fn entries() -> impl Strategy<Value = Vec<StoredEntry>> {
    let name = (prop::sample::select(&SCOPES[..]), prop::sample::select(&NAMES[..]));
    let named = name.prop_map(|(scope, name)| format!("{scope}/{name}"));
    let all = prop::collection::btree_map((prop::sample::select(&["one", "two"][..]), named), value(), 1..12);
    all.prop_map(|all| all.into_iter().map(|((store, name), value)| entry(store, &name, &value)).collect())
}

/// Each environment of each store on its own.
fn parts(entries: &[StoredEntry]) -> Vec<Vec<StoredEntry>> {
    let mut parts: BTreeMap<(StoreName, String), Vec<StoredEntry>> = BTreeMap::new();
    for StoredEntry { store, name, value } in entries {
        let copy = StoredEntry { store: store.clone(), name: name.clone(), value: value.duplicate() };
        parts.entry((store.clone(), name.scope().to_owned())).or_default().push(copy);
    }
    parts.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn parts_show_what_all_entries_show_together(entries in entries()) {
        let mut discovery = Discovery::default();
        parts(&entries).into_iter().for_each(|part| discovery.take(part));
        let Discovered { findings, values, mentions } = discovery.finish();
        prop_assert_eq!(&findings, &discover(&entries));
        for place in findings.candidates.iter().flat_map(|candidate| &candidate.places) {
            for spot in [&place.id, &place.secret] {
                let is_it = |entry: &&StoredEntry| entry.store == place.store && entry.name == spot.entry;
                let stored = entries.iter().find(is_it).expect("a place is in an entry");
                prop_assert_eq!(values.get(&place.store, &spot.entry), Some(&stored.value));
            }
        }
        for id in [ID, ID2].map(|id| AccessKeyId::new(id).expect("an id")) {
            let needles = Needles::new([&id]);
            let expected = entries.iter().filter_map(|StoredEntry { store, name, value }| {
                let (in_name, in_value) =
                    (!needles.in_name(name).is_empty(), !needles.search(value).named.is_empty());
                (in_name || in_value).then(|| Mention { store: store.clone(), entry: name.clone(), in_name, in_value })
            });
            let mut seen = mentions.of(&id).expect("of AWS").to_vec();
            seen.sort_by(|one, other| (&one.store, &one.entry).cmp(&(&other.store, &other.entry)));
            prop_assert_eq!(seen, expected.collect::<Vec<_>>());
        }
        prop_assert!(mentions.of(&AccessKeyId::new(OTHER).expect("an id")).is_none(), "it has to be sought");
        let unopened = entries.iter().filter(|entry| Needles::new([]).search(&entry.value).unopened.is_some());
        prop_assert_eq!(mentions.unopened().len(), unopened.count());
    }
}

#[test]
fn a_value_without_a_pair_is_not_kept() {
    let mut discovery = Discovery::default();
    let pair = format!("AWS_ACCESS_KEY_ID={ID}\nAWS_SECRET_ACCESS_KEY={SECRET}\n");
    discovery
        .take(vec![entry("s", "a/b/pair", pair.as_bytes()), entry("s", "a/b/prose", format!("see {ID}").as_bytes())]);
    discovery.take(vec![entry("s", "a/c/AWS_ACCESS_KEY_ID", ID2.as_bytes())]);
    discovery.take(vec![entry("s", "a/d/other", b"a setting")]);
    let Discovered { values, .. } = discovery.finish();
    let kept = |name| values.get(&StoreName::new("s").expect("valid"), &EntryName::new(name).expect("valid")).is_some();
    assert!(kept("a/b/pair"));
    for name in ["a/b/prose", "a/c/AWS_ACCESS_KEY_ID", "a/d/other"] {
        assert!(!kept(name), "{name}");
    }
}
