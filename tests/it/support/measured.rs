//! Runs the binary and measures its peak memory and its duration.

use std::time::{Duration, Instant};

use super::program::{Ended, Program, ROTATOR};

/// The exit status of a program and its consumption.
pub(crate) struct Measured {
    pub(crate) ended: Ended,
    /// The most memory that the program used, in MiB.
    pub(crate) peak: u64,
    pub(crate) took: Duration,
}

/// Runs rotator to its end.
pub(crate) fn run(program: &Program, args: &[&str]) -> Measured {
    let began = Instant::now();
    let child = program.command(ROTATOR, args).spawn().expect("started");
    let status = format!("/proc/{}/status", child.id());
    let watcher = std::thread::spawn(move || {
        let mut peak = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            // A process that has ended has none.
            let Some(line) = line else { break };
            peak = peak.max(line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number"));
            std::thread::sleep(Duration::from_millis(5));
        }
        peak
    });
    let ended = Ended::of(child);
    let took = began.elapsed();
    Measured { ended, peak: watcher.join().expect("it ends") / 1024, took }
}
