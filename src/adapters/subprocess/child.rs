//! Runs a program: it gets its input on stdin, answers on stdout, has a time limit, and is killed with rotator. Its
//! stderr is not read, since it may quote the input.
//!
//! The program has its own process group, which is killed with it. A helper that leaves the group stays alive, but
//! rotator never waits for it: the pipes are non-blocking and the time limit holds.

#![expect(unsafe_code, reason = "a child can be made to die with its parent only between fork and exec")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, kill_process_group};
use zeroize::Zeroizing;

/// The minimum time limit of a program, which may have to call a server itself.
pub(in crate::adapters) const LEAST_TIME: Duration = Duration::from_secs(30);

/// The maximum size of one answer; a program lists a whole store in one answer. `docs/stores.md` has the limit.
pub(in crate::adapters) const LARGEST: usize = 64 * 1024 * 1024;

/// The size of one read.
const PART: usize = 64 * 1024;

/// A buffer without space grows by this factor: a small output takes little memory, and a large one is copied rarely.
const GROWTH: usize = 16;

/// How long a killed program may take to end: a system call may be slow, for example on a dead network disk.
const GONE_WITHIN: Duration = Duration::from_secs(1);

/// The interval of checks whether a program without output has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The process groups of the running programs. A group is removed before the system can reuse its number.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// The outcome of a program.
pub(in crate::adapters) enum Ran {
    /// The program ended by itself.
    Ended {
        status: ExitStatus,
        /// The whole output.
        said: Zeroizing<Vec<u8>>,
    },
    /// The program was not started.
    NotStarted(std::io::Error),
    /// The program exceeded the time limit and was killed.
    Killed,
    /// The output exceeded [`LARGEST`], and the program was killed.
    TooLarge,
}

/// Starts the program, writes the input and reads the whole output.
pub(in crate::adapters) fn run(command: &mut Command, input: &[u8], limit: Duration) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    // SAFETY: between fork and exec only this one system call is made, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(std::io::Error::from)
        });
    }
    let mut child = {
        let mut groups = running();
        match command.spawn() {
            Ok(child) => {
                groups.insert(Pid::from_child(&child).as_raw_nonzero().get());
                child
            }
            Err(error) => return Ran::NotStarted(error),
        }
    };
    let ran = Talk::with(&mut child, input).and_then(|talk| talk.finish(&mut child, Instant::now() + limit));
    if !matches!(ran, Ok(Ran::Ended { .. })) {
        kill(&mut child);
    }
    ran.unwrap_or(Ran::Killed)
}

/// Kills every running program and its process group, before this process ends.
pub fn kill_every_program() {
    for group in running().iter().copied().filter_map(Pid::from_raw) {
        // An error means that the group has ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    // The set is always consistent: each change is one insertion or removal.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kill(child: &mut Child) {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    let until = Instant::now() + GONE_WITHIN;
    while has_ended(child).is_none() && Instant::now() < until {
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The exit status of the program, if it has ended.
fn has_ended(child: &mut Child) -> Option<ExitStatus> {
    let mut groups = running();
    let status = child.try_wait().ok().flatten();
    if status.is_some() {
        groups.remove(&Pid::from_child(child).as_raw_nonzero().get());
    }
    status
}

/// The input and the output of a running program.
struct Talk<'i> {
    stdin: Option<ChildStdin>,
    /// The rest of the input.
    input: &'i [u8],
    stdout: Option<ChildStdout>,
    said: Zeroizing<Vec<u8>>,
    part: Zeroizing<Vec<u8>>,
}

impl<'i> Talk<'i> {
    fn with(child: &mut Child, input: &'i [u8]) -> std::io::Result<Self> {
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        stdin.as_ref().map_or(Ok(()), no_blocking)?;
        stdout.as_ref().map_or(Ok(()), no_blocking)?;
        let (said, part) = (Zeroizing::default(), Zeroizing::new(vec![0; PART]));
        Ok(Self { stdin: stdin.filter(|_| !input.is_empty()), input, stdout, said, part })
    }

    /// Exchanges data until the program has ended and its stdout is closed, the output is too large, or the time is
    /// over.
    fn finish(mut self, child: &mut Child, until: Instant) -> std::io::Result<Ran> {
        loop {
            if self.stdout.is_none()
                && let Some(status) = has_ended(child)
            {
                return Ok(Ran::Ended { status, said: self.said });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Ran::Killed);
            }
            self.wait(if self.stdout.is_none() { left.min(LOOK_EVERY) } else { left })?;
            self.say();
            self.hear()?;
            if self.said.len() > LARGEST {
                return Ok(Ran::TooLarge);
            }
        }
    }

    /// Waits until data can be written or read, or the time has passed.
    fn wait(&self, time: Duration) -> std::io::Result<()> {
        let says = self.stdin.as_ref().map(|stdin| PollFd::new(stdin, PollFlags::OUT));
        let hears = self.stdout.as_ref().map(|stdout| PollFd::new(stdout, PollFlags::IN));
        let mut both: Vec<PollFd<'_>> = says.into_iter().chain(hears).collect();
        let time = time.try_into().map_err(std::io::Error::other)?;
        match poll(&mut both, Some(&time)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much of the input as possible.
    fn say(&mut self) {
        let Some(stdin) = &mut self.stdin else { return };
        match stdin.write(self.input) {
            Ok(written) => self.input = &self.input[written..],
            Err(error) if is_for_later(&error) => {}
            // The output of a program that does not read all of its input decides.
            Err(_) => self.input = &[],
        }
        if self.input.is_empty() {
            self.stdin = None;
        }
    }

    /// Reads a part of the output, if there is any.
    fn hear(&mut self) -> std::io::Result<()> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        match stdout.read(&mut self.part) {
            Ok(0) => self.stdout = None,
            Ok(read) => append(&mut self.said, &self.part[..read]),
            Err(error) if is_for_later(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// Appends the part. A larger buffer is a new one, so that the old one is overwritten before it is freed: the growth of a
/// `Vec` leaves a copy of its content in freed memory.
fn append(said: &mut Zeroizing<Vec<u8>>, part: &[u8]) {
    if said.capacity() - said.len() < part.len() {
        let size = (said.capacity() * GROWTH).clamp(PART, LARGEST + PART);
        let mut larger = Zeroizing::new(Vec::with_capacity(size));
        larger.extend_from_slice(said);
        *said = larger;
    }
    said.extend_from_slice(part);
}

fn is_for_later(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// Makes the pipe non-blocking for this process; the program's own end stays as it is.
fn no_blocking(pipe: &impl AsFd) -> std::io::Result<()> {
    fcntl_setfl(pipe, fcntl_getfl(pipe)? | OFlags::NONBLOCK)?;
    Ok(())
}

/// Passes this open file to the program under its number. The file must be open when the program starts.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the shell does with this script, and how long that took.
    fn sh(script: &str, input: &[u8], limit: Duration) -> (Ran, Duration) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        let began = Instant::now();
        (run(&mut command, input, limit), began.elapsed())
    }

    #[test]
    fn an_output_of_the_maximum_size_is_in_few_buffers_that_are_never_extended() {
        let (mut said, mut buffers) = (Zeroizing::new(Vec::new()), BTreeSet::new());
        while said.len() <= LARGEST {
            append(&mut said, &[b'x'; PART]);
            buffers.insert(said.capacity());
        }
        assert_eq!(buffers.into_iter().collect::<Vec<_>>(), [PART, PART * 16, PART * 256, LARGEST + PART]);
        assert!(said.iter().all(|&byte| byte == b'x'), "no byte is lost");
    }

    /// The limit holds even if a helper keeps the pipes open, in the program's own group or in a session of its own, which no
    /// signal to the group reaches.
    #[test]
    fn a_helper_that_holds_the_pipes_does_not_outlast_the_limit() {
        let input = vec![b'x'; 1024 * 1024];
        for script in [
            "echo said; sleep 8 & exit 0",
            "echo said; setsid sleep 8 & exit 0",
            "echo said; exec setsid sleep 8",
            // stdin is held open as well, and read by no process.
            "exec 3<&0; setsid sleep 8 <&3 & exit 0",
            "exec >&-; sleep 8",
        ] {
            for input in [&b"line\n"[..], &input] {
                let (ran, took) = sh(script, input, Duration::from_millis(300));
                assert!(matches!(ran, Ran::Killed), "{script}");
                assert!(took < Duration::from_secs(4), "{script}: {took:?}");
            }
        }
    }

    #[test]
    fn a_program_is_killed_with_all_of_its_group() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("lives");
        let script = format!("(while sleep 0.05; do echo >> {}; done) & sleep 8", file.display());
        assert!(matches!(sh(&script, b"", Duration::from_millis(300)).0, Ran::Killed));
        let size = || std::fs::metadata(&file).expect("it ran").len();
        let before = size();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(size(), before, "what it has started is killed with it");
    }

    #[test]
    fn an_answer_is_read_to_its_end_while_the_input_is_written() {
        let input = vec![b'x'; 3 * 1024 * 1024];
        let (ran, _) = sh("cat; printf end; exit 7", &input, Duration::from_secs(60));
        let Ran::Ended { status, said } = ran else { panic!("it ends by itself") };
        assert_eq!(status.code(), Some(7));
        assert!(said.len() == input.len() + 3 && said.ends_with(b"xend"), "{}", said.len());
        // It need not read what it is given.
        let (ran, took) = sh("printf said", &input, Duration::from_secs(60));
        assert!(
            matches!(&ran, Ran::Ended { said, .. } if said.as_slice() == b"said") && took < Duration::from_secs(30)
        );
        let (ran, _) = sh("exec cat /dev/zero", b"", Duration::from_secs(60));
        assert!(matches!(ran, Ran::TooLarge));
    }
}
