//! A program that is asked one thing: it gets its input on stdin, says its answer on stdout, ends within a time, and is
//! killed with rotator. What it has started itself is not. Its stderr is not read: it may quote what it was given.

#![expect(unsafe_code, reason = "a child can be made to die with its parent only between fork and exec")]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal};
use zeroize::Zeroizing;

/// A program has at least this long: it may have to ask a server of its own.
pub(in crate::adapters) const LEAST_TIME: Duration = Duration::from_secs(30);

/// No more than this is read of one answer: a program that lists a store says all of it in one. `docs/stores.md` has it.
pub(in crate::adapters) const LARGEST: usize = 64 * 1024 * 1024;

/// Read at once.
const PART: usize = 64 * 1024;

/// What came of it.
pub(in crate::adapters) enum Ran {
    /// It ended by itself.
    Ended {
        /// How.
        status: ExitStatus,
        /// All that it said.
        said: Zeroizing<Vec<u8>>,
    },
    /// It never ran.
    NotStarted(std::io::Error),
    /// It did not end in time, and was killed.
    Killed,
    /// It said more than [`LARGEST`], and was killed.
    TooLarge,
}

/// Starts the program, gives it the input and reads all that it says.
pub(in crate::adapters) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec only this one system call is made, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)
        });
    }
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ran::NotStarted(error),
    };
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let (sender, answer) = mpsc::channel();
    std::thread::scope(|threads| {
        threads.spawn(move || {
            // A program that does not read to the end says so by its answer.
            let _ = stdin.map(|mut stdin| stdin.write_all(input));
        });
        threads.spawn(move || {
            let _ = sender.send(stdout.and_then(|stdout| all_of(stdout).ok()));
        });
        let began = Instant::now();
        let said = answer.recv_timeout(limit).ok().flatten();
        let is_too_large = said.as_ref().is_some_and(|said| said.len() > LARGEST);
        let said = said.filter(|_| !is_too_large);
        let ended = said.and_then(|said| Some((ends(&mut child, limit.saturating_sub(began.elapsed()))?, said)));
        if let Some((status, said)) = ended {
            return Ran::Ended { status, said };
        }
        let _ = rustix::process::kill_process_group(Pid::from_child(&child), Signal::KILL);
        let _ = child.wait();
        if is_too_large { Ran::TooLarge } else { Ran::Killed }
    })
}

/// Lets the program have this open file under its number. The file must be open when the program starts.
pub(in crate::adapters) fn inherits(command: &mut Command, file: &File) {
    let number = file.as_raw_fd();
    // SAFETY: the number is that of a file which the caller keeps open, and between fork and exec only this one system call
    // is made, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(move || {
            fcntl_setfd(BorrowedFd::borrow_raw(number), FdFlags::empty()).map_err(std::io::Error::from)
        });
    }
}

/// What it says to its end, or until it is more than is read.
fn all_of(mut stdout: impl Read) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut said = Zeroizing::new(Vec::new());
    let mut part = Zeroizing::new(vec![0; PART]);
    while said.len() <= LARGEST {
        match stdout.read(&mut part) {
            Ok(0) => break,
            Ok(read) => said.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(said)
}

fn ends(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if began.elapsed() < limit => std::thread::sleep(Duration::from_millis(2)),
            Ok(None) | Err(_) => return None,
        }
    }
}
