//! Reads and writes of many rotations at once.

use super::*;

/// Writes at the same time.
const WRITES: usize = 200;
/// Reads at the same time.
const READS: usize = 100;

fn with_entries() -> (Fixture, Arc<Inner>, Vec<Work>) {
    let fixture = Fixture::new();
    let store = fixture.made();
    let names: Vec<String> = (0..WRITES).map(|number| format!("app{number}/live/key")).collect();
    store.import(names.iter().map(|name| (entry(name), value("one"))).collect()).expect("imported");
    let work = names.iter().map(|name| Work::Replace(vec![write(name, &version(&store, name), "two")])).collect();
    (fixture, store.inner, work)
}

#[test]
fn what_waits_does_not_hold_a_thread_each() {
    let (_fixture, inner, work) = with_entries();
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(2).build().expect("a runtime");
    // A read that lasts until `go_on` is dropped.
    let (go_on, gate) = std::sync::mpsc::channel::<()>();
    let (begun, has_begun) = std::sync::mpsc::channel();
    let holder = Arc::clone(&inner);
    let long = async move { holder.queued(move |_| (begun.send(()), gate.recv())).await };
    let long = runtime.spawn(long);
    has_begun.recv().expect("the thread has begun");
    let writes: Vec<_> = work
        .into_iter()
        .map(|work| {
            let inner = Arc::clone(&inner);
            runtime.spawn(async move { inner.write(work).await })
        })
        .collect();
    let reads: Vec<_> = (0..READS)
        .map(|number| {
            let inner = Arc::clone(&inner);
            let name = entry(&format!("app{number}/live/key"));
            runtime.spawn(async move { inner.queued(move |inner| inner.read(&[name])).await })
        })
        .collect();
    while queue::waiting(&inner.queue) < WRITES + READS {
        std::thread::yield_now();
    }
    // One of the two threads does the long read. The other one is free.
    runtime.block_on(async { tokio::task::spawn_blocking(|| ()).await }).expect("a thread is free");
    drop(go_on);
    assert!(runtime.block_on(long).expect("ends").is_some());
    for write in writes {
        runtime.block_on(write).expect("ends").expect("written");
    }
    for read in reads {
        let read = runtime.block_on(read).expect("ends").expect("an answer").expect("read");
        assert_eq!(read.len(), 1);
    }
    assert_eq!(queue::waiting(&inner.queue), 0);
}

#[tokio::test]
async fn nothing_waits_for_an_answer_after_a_panic() {
    let (_fixture, inner, work) = with_entries();
    let holder = Arc::clone(&inner);
    let panicked = std::thread::spawn(move || {
        let _connection = holder.connection.lock().expect("sound");
        panic!("a defect");
    });
    assert!(panicked.join().is_err());
    for work in work.into_iter().take(3) {
        let result = inner.write(work).await;
        assert!(matches!(&result, Err(WriteError::Uncertain(StoreError::Poisoned { .. }))), "{result:?}");
    }
    let read = inner.queued(|inner| inner.read(&[entry("app0/live/key")])).await.expect("an answer");
    assert!(matches!(&read, Err(StoreError::Poisoned { .. })));
    assert!(inner.queued(|_| -> usize { panic!("a defect in a read") }).await.is_none());
    assert!(inner.queued(|_| ()).await.is_some(), "the next read is served");
    assert_eq!(queue::waiting(&inner.queue), 0);
}

/// A runtime that shuts down starts no thread, and neither does a system that has reached its limit of threads.
#[tokio::test]
async fn no_write_waits_for_a_thread_that_never_starts() {
    let (_fixture, inner, mut work) = with_entries();
    let (first, serving) = queue::add_write(&inner.queue, work.remove(0));
    let (second, other) = queue::add_write(&inner.queue, work.remove(0));
    assert!(serving.is_some() && other.is_none());
    drop(serving);
    assert!(first.await.is_err() && second.await.is_err(), "both are answered by the loss of their channel");
    inner.write(work.remove(0)).await.expect("the next write is served");
}
