//! Plays one `run` over the account.

use std::sync::Arc;
use std::time::Duration;

use rotator::engine::accounts::AccountPorts;
use rotator::engine::campaign::Engine;
use rotator::engine::options::EngineOptions;
use rotator::engine::report::Report;
use rotator::engine::session::{Ports, Session};
use rotator::engine::shutdown::Stop;
use rotator::engine::survey::choice::{Choice, Patterns, Terms};
use rotator::engine::survey::owner_rule::Owner;
use rotator::journal::write_ahead::Journal;
use rotator::rotation::policy::Policy;

use super::account::Account;
use crate::support::memory_journal::MemoryJournal;

/// The options of the run.
pub(super) struct Run {
    pub(super) concurrency: usize,
    pub(super) rate: Option<f64>,
    pub(super) stop: Arc<Stop>,
}

impl Default for Run {
    fn default() -> Self {
        Self { concurrency: 16, rate: None, stop: Arc::default() }
    }
}

/// Opens a rotation for every key and advances all as far as possible.
pub(super) async fn run(account: &Arc<Account>, run: &Run) -> Report {
    tokio::select! {
        biased;
        report = engine(account, run) => report,
        () = account.clock.pass() => unreachable!("time passes for ever"),
    }
}

async fn engine(account: &Arc<Account>, run: &Run) -> Report {
    let ports = Ports {
        accounts: vec![AccountPorts::of_credentials(account.clone(), account.clone())],
        own_keys: Default::default(),
        stores: vec![account.clone()],
        sinks: Vec::new(),
        clock: account.clone(),
    };
    let options = EngineOptions {
        concurrency: run.concurrency,
        rate: run.rate,
        call_timeout: Duration::from_secs(10),
        wait: false,
        scan_interval: rotator::engine::observe::scan::SCAN_INTERVAL,
        unread_ok: globset::GlobSet::empty(),
        watcher: None,
    };
    let session = Session::connect(ports, options, run.stop.clone()).await.expect("AWS answers");
    let journal = Journal::new(Arc::new(MemoryJournal::default()), account.clone());
    let engine = Engine::new(Arc::new(session), journal);
    let policy =
        Policy { overlap: Duration::ZERO, quarantine: Duration::ZERO, proof_span: Duration::ZERO, ..Policy::default() };
    let choice = Choice {
        owner: Owner::Template("{app}-{environment}".to_owned()),
        only: None,
        exclude: Patterns::default(),
        terms: Terms { older_than: Duration::ZERO, policy, ..Terms::default() },
        rules: Vec::new(),
    };
    let mut report = Report::default();
    engine.finish_in_flight(&[], &mut report).await.expect("the journal works");
    engine.open_due(&choice, None, &mut report).await.expect("the journal works");
    report.stopped |= run.stop.asked();
    report
}
