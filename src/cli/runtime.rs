//! The asynchronous runtime, and signals: after the first signal the current steps are finished, the second one ends
//! the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use super::output::terminal::Terminal;
use crate::adapters::kill_every_program;
use crate::engine::shutdown::{STOP_WITHIN, Stop};
use crate::journal::clock::Clock;
use crate::types::error_text::with_causes;

/// The exit code of the first signal.
#[derive(Debug, Clone, Default)]
pub struct Signalled(Arc<AtomicU8>);

impl Signalled {
    /// The exit code, if there was a signal.
    #[must_use]
    pub fn exit(&self) -> Option<Exit> {
        let code = self.0.load(Ordering::SeqCst);
        [Exit::HungUp, Exit::Interrupted, Exit::Terminated].into_iter().find(|exit| exit.code() == code)
    }
}

/// Starts to listen for SIGINT, SIGTERM and, unless it is ignored, SIGHUP. Needs a runtime.
///
/// # Errors
/// [`CliError::failed`] if a handler cannot be installed.
pub fn listen(context: &Context, stop: &Arc<Stop>, clock: &Arc<dyn Clock>) -> Result<Signalled, CliError> {
    let terminal = context.terminal;
    let failed = |error: std::io::Error| {
        CliError::failed(format!("signals cannot be listened for: {error}"), "try again; nothing was changed")
    };
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
    let mut hangups = match context.host.startup.ignores_hangup {
        true => None,
        false => Some(signal(SignalKind::hangup()).map_err(failed)?),
    };
    let signalled = Signalled::default();
    let (first, stop, clock) = (signalled.clone(), Arc::clone(stop), Arc::clone(clock));
    tokio::spawn(async move {
        loop {
            let exit = tokio::select! {
                () = next(&mut hangups) => Exit::HungUp,
                _ = interrupts.recv() => Exit::Interrupted,
                _ = terminations.recv() => Exit::Terminated,
            };
            if first.exit().is_some() {
                // What is in doubt is recorded in the journal.
                kill_every_program();
                std::process::exit(i32::from(exit.code()));
            }
            first.0.store(exit.code(), Ordering::SeqCst);
            stop.ask(clock.as_ref());
            end_within_the_limit(exit, terminal);
            terminal.warn("stopping: whatever is in hand is brought to a safe place first; once more ends at once");
        }
    });
    Ok(signalled)
}

/// Ends the process at the limit, so that a call without an answer cannot keep it alive.
fn end_within_the_limit(exit: Exit, terminal: Terminal) {
    tokio::spawn(async move {
        tokio::time::sleep(STOP_WITHIN - Duration::from_secs(1)).await;
        terminal.warn("stopped while calls were still under way; `rotator resume` finds out what became of them");
        kill_every_program();
        std::process::exit(i32::from(exit.code()));
    });
}

/// Returns at the next signal; never if the signal is ignored.
async fn next(signals: &mut Option<Signal>) {
    match signals {
        Some(signals) => drop(signals.recv().await),
        None => std::future::pending().await,
    }
}

/// The least number of threads that run tasks.
const LEAST_WORKERS: usize = 2;

/// Starts the threads that search the stores. Started at the first search, a failure, such as a limit of threads, would
/// be a panic while a new key may be in memory.
fn start_search_threads() -> Result<(), CliError> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        // Without a source the error says that the threads have been started before.
        Err(error) if std::error::Error::source(&error).is_some() => Err(CliError::failed(
            format!("the threads that search the stores could not start: {}", with_causes(&error)),
            "nothing was changed; allow this process more threads (`ulimit -u`, or the limit of the container)",
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Runs an asynchronous command to its end.
pub(in crate::cli) fn block_on<T>(future: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    // A search of all stores occupies one worker. Another must be free to hear a signal, also on a machine with one CPU.
    // tokio itself reads the variable, with which a test chooses one worker.
    let is_set = std::env::var_os("TOKIO_WORKER_THREADS").is_some();
    if !is_set && std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() < LEAST_WORKERS) {
        builder.worker_threads(LEAST_WORKERS);
    }
    start_search_threads()?;
    let runtime = builder.enable_all().build().map_err(|error| {
        CliError::failed(format!("the asynchronous runtime could not start: {error}"), "nothing was changed; try again")
    })?;
    let result = runtime.block_on(future);
    // Do not wait for an unanswered prompt's stdin read.
    runtime.shutdown_background();
    // Programs that were asked something must not outlive this process.
    kill_every_program();
    result
}
