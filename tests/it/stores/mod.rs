//! One conformance suite for every kind of store (`docs/stores.md`). A new store needs a [`Subject`] and a test that calls
//! [`conforms`].

mod aws;
mod batches;
mod endless;
mod exec;
#[cfg(feature = "kubernetes")]
mod kubernetes;
mod large;
mod local;
mod put_back;
mod races;
mod sops;
mod staged;
mod subject;
mod together;
mod under_policy;
mod vault;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rotator::journal::write_ahead::Attempt;
use rotator::ports::secret_store::{Reading, SecretStore, Version, Writable, Write};
use rotator::types::failure::{Failure, RefusalKind};
use rotator::types::name::EntryName;
use rotator::types::secret::SecretValue;

use crate::support::orders;
use subject::Subject;

const ID: &str = "shop/live/AWS_ACCESS_KEY_ID";
const SECRET: &str = "shop/live/AWS_SECRET_ACCESS_KEY";
const OTHER: &str = "shop/live/MY_SECRET";

fn name(text: &str) -> EntryName {
    EntryName::new(text).expect("valid")
}

fn bytes(text: &str) -> SecretValue {
    SecretValue::new(text.as_bytes().to_vec())
}

/// Plays all of it over one store.
async fn conforms(subject: &dyn Subject) {
    lists_everything(subject).await;
    reads_by_name(subject).await;
    writes_over_what_was_read_and_nothing_else(subject).await;
    refuses_a_stale_write(subject).await;
    refuses_what_was_read_before_an_equal_value(subject).await;
    loses_nothing_of_a_refused_batch(subject).await;
    keeps_odd_values(subject).await;
    keeps_odd_names(subject).await;
    says_what_it_may_not_read_or_write(subject).await;
    says_that_it_is_gone(subject).await;
}

async fn write(store: &Arc<dyn SecretStore>, batch: Vec<Write>) -> Result<(), Failure> {
    match orders::store_new(store.as_ref(), store.name(), batch).await {
        Attempt::Done(_) => Ok(()),
        Attempt::Refused(refusal) => Err(Failure::Refused(refusal)),
        Attempt::Unknown(why) => Err(Failure::Unknown(why)),
    }
}

fn is_stale(result: &Result<(), Failure>) -> bool {
    matches!(result, Err(Failure::Refused(refusal)) if refusal.kind == RefusalKind::Stale)
}

fn over(subject: &dyn Subject, entry: &str, replaces: &Version, text: &str) -> Write {
    Write { entry: name(entry), replaces: replaces.clone(), value: SecretValue::new(subject.stored(text)) }
}

/// Returns the value and the version that the store reads for an entry.
async fn held(store: &Arc<dyn SecretStore>, entry: &str) -> Option<(Version, Vec<u8>)> {
    match store.read(&[name(entry)]).await.expect("it reads").remove(0) {
        Reading::Value { version, value } => Some((version, value.expose().to_vec())),
        Reading::Large(_) | Reading::Missing => None,
        Reading::Managed { why, .. } | Reading::Unreadable(why) => panic!("{entry}: {why}"),
    }
}

async fn version(store: &Arc<dyn SecretStore>, entry: &str) -> Version {
    held(store, entry).await.unwrap_or_else(|| panic!("{entry} is there")).0
}

fn put(subject: &dyn Subject, entries: &[(&str, &str)]) {
    for (entry, text) in entries {
        subject.put(entry, text.as_bytes());
    }
}

fn seen(subject: &dyn Subject, entry: &str) -> String {
    String::from_utf8(subject.get(entry).unwrap_or_else(|| panic!("{entry} is there"))).expect("text")
}

/// Every entry once, in order, over as many pages as it takes.
async fn lists_everything(subject: &dyn Subject) {
    let store = subject.fresh();
    assert!(store.read_all().await.expect("an empty store reads").is_empty());
    let many: BTreeMap<String, String> =
        (0..subject.many()).map(|number| (format!("app{number:04}/live/KEY"), format!("value {number}"))).collect();
    for (entry, text) in &many {
        subject.put(entry, text.as_bytes());
    }
    let all = store.read_all().await.expect("reads");
    let all: Vec<(String, Vec<u8>)> = all
        .into_iter()
        .map(|(entry, reading)| match &reading {
            Reading::Value { value, .. } => (entry.to_string(), value.expose().to_vec()),
            Reading::Managed { .. } | Reading::Large(_) | Reading::Missing | Reading::Unreadable(_) => {
                panic!("{entry}: {reading:?}")
            }
        })
        .collect();
    let put: Vec<_> = many.into_iter().map(|(entry, text)| (entry, subject.stored(&text))).collect();
    assert!(all == put, "{} entries were put, {} are listed, or they hold something else", put.len(), all.len());
}

async fn reads_by_name(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id"), (SECRET, "secret\n"), (OTHER, "keep me")]);
    let read = store.read(&[name(SECRET), name("shop/live/NOTHING"), name(ID)]).await.expect("reads");
    let values: Vec<Option<Vec<u8>>> = read
        .iter()
        .map(|reading| match reading {
            Reading::Value { value, .. } => Some(value.expose().to_vec()),
            Reading::Large(_) | Reading::Missing => None,
            Reading::Managed { .. } | Reading::Unreadable(_) => panic!("{reading:?}"),
        })
        .collect();
    assert_eq!(values, [Some(subject.stored("secret\n")), None, Some(subject.stored("id"))]);
    assert_eq!(store.identity().await.expect("known"), store.identity().await.expect("known"));
}

async fn writes_over_what_was_read_and_nothing_else(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id"), (SECRET, "secret"), (OTHER, "keep me")]);
    let (id, secret, other) = (version(&store, ID).await, version(&store, SECRET).await, version(&store, OTHER).await);
    write(&store, vec![over(subject, SECRET, &secret, "new secret"), over(subject, ID, &id, "new id")])
        .await
        .expect("written");
    assert_eq!(
        [seen(subject, ID), seen(subject, SECRET), seen(subject, OTHER)],
        ["new id", "new secret", "keep me"],
        "as a reader sees it"
    );
    let (again, text) = held(&store, SECRET).await.expect("there");
    assert!(again != secret && text == subject.stored("new secret"), "as it reads back");
    if !subject.shares_versions() {
        assert_eq!(version(&store, OTHER).await, other, "another entry got another version");
    }
}

async fn refuses_a_stale_write(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id")]);
    let before = version(&store, ID).await;
    put(subject, &[(ID, "by hand")]);
    let result = write(&store, vec![over(subject, ID, &before, "new id")]).await;
    assert!(is_stale(&result), "{result:?}");
    assert_eq!(seen(subject, ID), "by hand");
    // A deleted entry was changed, too.
    let before = version(&store, ID).await;
    if subject.remove(ID) {
        let result = write(&store, vec![over(subject, ID, &before, "new id")]).await;
        assert!(matches!(result, Err(Failure::Refused(_))), "{result:?}");
        assert_eq!(subject.get(ID), None, "a write brought it back");
    }
}

/// The fence: where compare-and-set is all there is against a write that is late, an equal value is another one.
async fn refuses_what_was_read_before_an_equal_value(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id")]);
    let before = version(&store, ID).await;
    write(&store, vec![over(subject, ID, &before, "id")]).await.expect("written");
    let late = write(&store, vec![over(subject, ID, &before, "late")]).await;
    assert!(is_stale(&late), "{late:?}");
    assert_eq!(seen(subject, ID), "id");
    if !store.capabilities().late_writes.is_zero() {
        assert!(store.capabilities().late_writes >= Duration::from_secs(60), "it says for how long to wait");
    }
}

async fn loses_nothing_of_a_refused_batch(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id"), (SECRET, "secret")]);
    let (id, secret) = (version(&store, ID).await, version(&store, SECRET).await);
    put(subject, &[(SECRET, "by hand")]);
    let first =
        write(&store, vec![over(subject, SECRET, &secret, "new secret"), over(subject, ID, &id, "new id")]).await;
    assert!(is_stale(&first), "{first:?}");
    assert_eq!([seen(subject, ID), seen(subject, SECRET)], ["id", "by hand"]);
    let second =
        write(&store, vec![over(subject, ID, &id, "new id"), over(subject, SECRET, &secret, "new secret")]).await;
    // A store that looks at the whole batch first need not be atomic to refuse it.
    if subject.is_atomic() || is_stale(&second) {
        assert!(is_stale(&second), "{second:?}");
        assert_eq!(seen(subject, ID), "id");
    } else {
        assert!(matches!(second, Err(Failure::Unknown(_))), "{second:?}");
        assert_eq!(seen(subject, ID), "new id");
        // The torn pair is rolled forward by writing the rest over what is there now.
        let now = version(&store, SECRET).await;
        write(&store, vec![over(subject, SECRET, &now, "new secret")]).await.expect("written");
    }
    assert_ne!(seen(subject, SECRET), "secret");
}

async fn keeps_odd_values(subject: &dyn Subject) {
    let store = subject.fresh();
    let largest = "x".repeat(subject.largest());
    let odd = ["\u{e9}\u{1f511}\u{fffd}", " a \r\n\tb\n\n", "{\"a\": [1, \"b\\n\"]}", "'\"$(x)`\\", &largest];
    for (number, value) in odd.into_iter().enumerate() {
        let entry = format!("shop/live/ODD{number}");
        subject.put(&entry, b"before");
        let before = version(&store, &entry).await;
        write(&store, vec![over(subject, &entry, &before, value)]).await.expect("written");
        assert!(subject.get(&entry).as_deref() == Some(value.as_bytes()), "value {number} as a reader sees it");
        assert!(
            held(&store, &entry).await.expect("there").1 == subject.stored(value),
            "value {number} as it reads back"
        );
    }
}

async fn keeps_odd_names(subject: &dyn Subject) {
    let store = subject.fresh();
    let names = subject.odd_names();
    for entry in &names {
        subject.put(entry, entry.as_bytes());
    }
    let all: Vec<String> =
        store.read_all().await.expect("reads").into_iter().map(|(entry, _)| entry.to_string()).collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(all, sorted);
    for entry in &names {
        let (before, value) = held(&store, entry).await.expect("there");
        assert_eq!(value, subject.stored(entry));
        write(&store, vec![over(subject, entry, &before, "new")]).await.expect("written");
        assert_eq!(seen(subject, entry), "new", "{entry}");
    }
}

async fn says_what_it_may_not_read_or_write(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id"), (SECRET, "secret")]);
    let before = version(&store, SECRET).await;
    if subject.forbid_reading(SECRET) {
        let all = store.read_all().await.expect("the rest can be read");
        let unreadable = |(entry, reading): &(EntryName, Reading)| {
            (entry.as_str() == SECRET).then_some(matches!(reading, Reading::Unreadable(_)))
        };
        assert_eq!(all.iter().find_map(unreadable), Some(true), "it is listed, and said to be unreadable: {all:?}");
        assert_eq!(all.len(), 2);
        let read = store.read(&[name(ID), name(SECRET)]).await.expect("the other can be read");
        assert!(matches!(read.as_slice(), [Reading::Value { .. }, Reading::Unreadable(_)]), "{read:?}");
        subject.forbid_nothing();
    }
    let question = [name(ID), name(SECRET)];
    let answers = store.writable(&question).await;
    assert!(answers.len() == 2 && !answers.iter().any(|answer| matches!(answer, Writable::No(_))), "{answers:?}");
    if subject.forbid_writing(SECRET) {
        let answers = store.writable(&question).await;
        assert_ne!(answers[1], Writable::Yes, "a write that is refused is not said to be possible");
        if subject.says_what_may_be_written() {
            assert!(matches!(&answers[1], Writable::No(why) if !why.is_empty()), "{answers:?}");
        }
        let result = write(&store, vec![over(subject, SECRET, &before, "new secret")]).await;
        assert!(matches!(&result, Err(Failure::Refused(refusal)) if refusal.kind != RefusalKind::Stale), "{result:?}");
        subject.forbid_nothing();
        assert_eq!(seen(subject, SECRET), "secret");
    }
}

/// Not an empty store, and not a write that is taken for done.
async fn says_that_it_is_gone(subject: &dyn Subject) {
    let store = subject.fresh();
    put(subject, &[(ID, "id")]);
    let before = version(&store, ID).await;
    subject.go();
    assert!(store.read_all().await.is_err(), "a store that is gone lists nothing");
    let read = store.read(&[name(ID)]).await;
    let is_told = match &read {
        Err(_) => true,
        Ok(readings) => matches!(readings.as_slice(), [Reading::Unreadable(_)]),
    };
    assert!(is_told, "{read:?}");
    let result = write(&store, vec![over(subject, ID, &before, "new id")]).await;
    assert!(result.is_err(), "written where nothing is");
}

#[cfg(not(feature = "kubernetes"))]
#[test]
fn a_build_without_kubernetes_says_so() {
    let sandbox = crate::support::program::sandbox_with_slashes();
    let mut program = crate::support::program::Program::at(&sandbox);
    program.set("ROTATOR_STORE", "kubernetes:shop");
    let ended = program.ends_with(2, &["plan"]);
    assert!(ended.stderr.contains("this rotator was built without kubernetes"), "{ended:#?}");
}
