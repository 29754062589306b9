//! A store that is read part by part.

use futures_util::StreamExt;

use super::*;
use crate::ports::secret_store::Readings;

/// Entries of 1 KB, of which several parts are needed.
const ENTRIES: usize = 2_000;

fn large() -> (Fixture, EmbeddedStore) {
    let fixture = Fixture::new();
    let store = fixture.made();
    let of = |number: usize| (entry(&format!("app{number:04}/live/config")), value(&format!("{number:01000}")));
    store.import((0..ENTRIES).map(of).collect()).expect("imported");
    (fixture, store)
}

fn texts(part: &Readings) -> Vec<(String, String)> {
    let text = |(name, reading): &(EntryName, Reading)| {
        let Reading::Value { value, .. } = reading else { panic!("{name} is {reading:?}") };
        (name.to_string(), value.expose_text().expect("text").to_owned())
    };
    part.iter().map(text).collect()
}

#[tokio::test]
async fn the_parts_together_are_the_store() {
    let (_fixture, store) = large();
    let mut parts = store.read_parts().await.expect("begun");
    let (mut all, mut count) = (Vec::new(), 0);
    while let Some(part) = parts.next().await {
        all.extend(texts(&part.expect("read")));
        count += 1;
    }
    assert!(count > 2, "{count} parts");
    assert_eq!(all.len(), ENTRIES);
    assert!(all.is_sorted());
    assert_eq!(all, texts(&store.read_all().await.expect("read")));
}

#[test]
fn a_pass_shows_one_moment_and_no_writer_waits_for_it() {
    let (_fixture, store) = large();
    let last = entry(&format!("app{:04}/live/config", ENTRIES - 1));
    let (mut read, mut is_first) = (Vec::new(), true);
    let pass = store.inner.read_parts(|part| {
        if std::mem::take(&mut is_first) {
            store.set(last.clone(), value("written during the pass")).expect("no writer waits for the pass");
            assert!(store.remove(&entry("app1500/live/config")).expect("removed"));
        }
        read.extend(texts(&part));
        true
    });
    pass.expect("read");
    assert_eq!(read.len(), ENTRIES);
    assert_eq!(read.last().expect("entries").1, format!("{:01000}", ENTRIES - 1));
    assert_eq!(held(&store, last.as_str()).expect("is there").0, "written during the pass");
}

#[test]
fn a_pass_ends_when_its_parts_are_not_taken() {
    let (_fixture, store) = large();
    let mut count = 0;
    let pass = store.inner.read_parts(|_| {
        count += 1;
        false
    });
    pass.expect("ended");
    assert_eq!(count, 1);
}

#[tokio::test]
async fn a_pass_whose_thread_panics_is_no_end_of_the_store() {
    let (sender, parts) = tokio::sync::mpsc::channel(1);
    let reading = tokio::task::spawn_blocking(move || {
        drop(sender);
        panic!("a defect");
    });
    let mut pass = Pass { store: StoreName::new("sqlite:x").expect("valid"), parts, reading: Some(reading) };
    assert!(matches!(pass.next().await, Some(Err(_))));
    assert!(pass.next().await.is_none());
}
