//! The age of the facts behind each removal, with hundreds of rotations behind a rate limit, slow stores, and an
//! operator who restores old pairs. The real engine runs over fakes in virtual time.

mod account;
mod rounds;
mod virtual_time;

use std::sync::Arc;
use std::time::Duration;

use rotator::engine::shutdown::Stop;

use account::{Account, Slowness};
use rounds::{Run, run};

use crate::support::proof;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Runs `work` on a runtime of one thread: virtual time needs to know when all tasks wait.
fn play<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

/// Old pairs are put back while the deletes of their keys are throttled. No such key is deleted later than the bound.
#[test]
fn a_pair_that_is_put_back_while_removals_are_throttled_keeps_its_key() {
    play(async {
        let account = Account::with_users(150);
        account.throttles_deletes(3);
        let operator = account.clone();
        tokio::spawn(async move {
            let mut pending: Vec<usize> = (0..150).step_by(6).collect();
            while !pending.is_empty() {
                operator.clock.sleep(seconds(1)).await;
                pending.retain(|user| !operator.put_back(*user));
            }
        });
        let report = run(&account, &Run::default()).await;
        account.facts_were_fresh();
        let reverted = account.put_back_in_time();
        assert!(
            reverted >= 20,
            "{reverted} of 25 pairs were put back before their keys were deleted: too few to prove anything"
        );
        assert_eq!(
            account.active_old_keys(),
            reverted,
            "only the keys of pairs that were put back are left: {:?}",
            report.troubles
        );
    });
}

/// A thousand removals all succeed, with one call at a time and at twenty and at half a call a second.
#[test]
fn a_thousand_removals_come_through_one_by_one_at_any_rate() {
    let (many, few) = if proof::is_full() { (1_000, 1_000) } else { (300, 100) };
    for (rate, users) in [(20.0, many), (0.5, few)] {
        play(async {
            let account = Account::with_users(users);
            let report = run(&account, &Run { concurrency: 1, rate: Some(rate), ..Run::default() }).await;
            assert_eq!(account.active_old_keys(), 0, "{rate} calls a second: {:?}", report.troubles);
            account.facts_were_fresh();
        });
    }
}

/// A store that needs eight seconds for each read: the facts are older, and still within their bounds.
#[test]
fn a_store_that_reads_for_eight_seconds_is_waited_for() {
    for concurrency in [1, 16] {
        play(async {
            let slowness = Slowness { store_read: seconds(8), ..Slowness::default() };
            let account = Account::slow(40, slowness);
            let report = run(&account, &Run { concurrency, rate: Some(20.0), ..Run::default() }).await;
            assert_eq!(account.active_old_keys(), 0, "{concurrency} at once: {:?}", report.troubles);
            account.facts_were_fresh();
        });
    }
}

/// One call to AWS at a time, and one to the stores. A slow store must not keep the only slot from a call to AWS.
#[test]
fn calls_to_a_slow_store_and_to_aws_do_not_wait_for_one_another() {
    let took = |aws, store_read| {
        play(async {
            let account = Account::slow(12, Slowness { aws, store_read });
            run(&account, &Run { concurrency: 1, ..Run::default() }).await;
            assert_eq!(account.active_old_keys(), 0);
            account.clock.now()
        })
    };
    let (short, long) = (Duration::from_millis(1), Duration::from_millis(200));
    let one_after_the_other = took(long, short) + took(short, long);
    let both = took(long, long);
    assert!(both < one_after_the_other.mul_f64(0.9), "{both:?}, and one after the other {one_after_the_other:?}");
}

/// A store that is slower than any removal may wait: nothing is removed, and the slow read is named.
#[test]
fn a_store_that_is_too_slow_stops_removals_and_its_read_is_named() {
    play(async {
        let account = Account::slow(2, Slowness { store_read: seconds(55), ..Slowness::default() });
        let report = run(&account, &Run::default()).await;
        assert_eq!(account.active_old_keys(), 2);
        let troubles: Vec<&str> = report.troubles.iter().map(|(_, why)| why.as_str()).collect();
        assert_eq!(troubles.len(), 2, "{troubles:?}");
        for why in troubles {
            assert!(why.starts_with("facts-too-slow: reading the entries that hold the pair took 55"), "{why}");
        }
    });
}

/// The process stops between the check and the send, as in a suspend or under SIGSTOP, while a pair is restored.
#[test]
fn after_a_standstill_the_facts_are_read_again() {
    for moment in [20, 100, 180, 260, 340, 420, 500, 580, 660, 740] {
        play(async {
            let account = Account::with_users(4);
            let operator = account.clone();
            tokio::spawn(async move {
                operator.clock.sleep(Duration::from_millis(moment)).await;
                operator.put_back(0);
                operator.stand_still(seconds(25));
            });
            run(&account, &Run::default()).await;
            account.facts_were_fresh();
        });
    }
}

/// The machine is suspended in the middle of a scan, and an entry that names the old key was written meanwhile: what the
/// scan has read is too old, however long it took.
#[test]
fn a_scan_in_which_the_machine_was_suspended_serves_no_longer_for_it() {
    const SCAN: Duration = seconds(8);
    let mut kept = 0;
    for moment in (1..160).map(|step| step * 500) {
        play(async {
            let account = Account::slow(1, Slowness { store_read: SCAN, ..Slowness::default() });
            let machine = account.clone();
            tokio::spawn(async move {
                machine.clock.sleep(Duration::from_millis(moment)).await;
                machine.note();
                machine.suspend(seconds(600));
            });
            run(&account, &Run::default()).await;
            let after = account.removed_after_the_note();
            assert!(after.is_none_or(|after| after <= seconds(60) + SCAN), "suspended at {moment} ms: {after:?}");
            kept += account.active_old_keys();
        });
    }
    assert!(kept > 0, "no entry was written before the scan");
}

/// A signal is heard in the queue of the rate limit: no removal begins after it, and the run ends.
#[test]
fn a_signal_is_heard_in_the_queue_of_the_rate_limit() {
    play(async {
        let account = Account::with_users(200);
        let stop = Arc::new(Stop::default());
        let (asked, clock) = (stop.clone(), account.clone());
        tokio::spawn(async move {
            clock.first_removal().await;
            clock.clock.sleep(seconds(20)).await;
            asked.ask(&*clock);
            clock.note_signal();
        });
        let report = run(&account, &Run { rate: Some(1.0), stop, ..Run::default() }).await;
        assert!(report.stopped);
        let (removals, ended) = account.after_the_signal();
        assert_eq!(removals, 0, "removals were sent after the signal");
        assert!(ended < seconds(30), "it ended {ended:?} after the signal");
        assert!(account.active_old_keys() > 100, "the queue was long when the signal came");
    });
}

/// All rotations share their scans.
#[test]
fn one_scan_serves_many_removals() {
    play(async {
        let account = Account::with_users(300);
        run(&account, &Run { rate: Some(20.0), ..Run::default() }).await;
        assert_eq!(account.active_old_keys(), 0);
        let scans = account.scans();
        assert!(scans <= 30, "{scans} scans for 300 removals");
    });
}

/// An entry that appears after the rotations were opened and cannot be read may name any key: nothing is removed.
#[test]
fn an_entry_that_appears_and_cannot_be_read_holds_back_every_removal() {
    play(async {
        let account = Account::with_users(3);
        account.locks_an_entry();
        run(&account, &Run::default()).await;
        assert_eq!(account.active_old_keys(), 3);
    });
}
