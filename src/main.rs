//! The program: makes the process safe while it still has one thread, then calls [`rotator::cli`].

mod zeroizing_alloc;

use std::process::ExitCode;

use rotator::cli::host_env::Startup;
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, umask};
use zeroize::Zeroizing;

#[global_allocator]
static ALLOCATOR: zeroizing_alloc::WipedOnFree = zeroizing_alloc::WipedOnFree;

/// Variables that make the SDK log the bodies of requests and responses, including secrets.
const MAKES_THE_SDK_TELL: [&str; 2] = ["LOG_SENSITIVE_BODIES", "LOG_SIGNABLE_BODY"];

fn main() -> ExitCode {
    rotator::cli::panic_hook::say_only_where();
    let startup = take_from_environment();
    // Files that are created from here on are accessible to this user only.
    umask(Mode::RWXG | Mode::RWXO);
    leave_no_core();
    outlive_a_file_size_limit();
    if startup.has_a_key() {
        lock_memory();
    }
    ExitCode::from(rotator::cli::main(std::env::args_os(), startup, lock_memory))
}

/// Disables core dumps, which would contain secrets. A failure does not stop rotator.
fn leave_no_core() {
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// Keeps the memory of this process out of swap, unless a limit applies: with a limit every later allocation counts
/// against it and may fail. Pages are locked when they are first used, so nothing is reserved.
#[cfg(target_os = "linux")]
fn lock_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    let all = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    let limit = getrlimit(Resource::Memlock);
    if limit.current.is_none() || limit.maximum.is_none() {
        let raised = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
        let _ = raised.and_then(|()| mlockall(all));
        return;
    }
    // With a limit of 0 the kernel locks pages only for a process without a limit (CAP_IPC_LOCK). Reading the
    // capability is not enough: a process in a user namespace has it, and the limit still applies.
    if setrlimit(Resource::Memlock, Rlimit { current: Some(0), ..limit }).is_ok() {
        let _ = mlockall(all);
        let _ = setrlimit(Resource::Memlock, limit);
    }
}

#[cfg(not(target_os = "linux"))]
fn lock_memory() {}

/// Ignores SIGXFSZ, which would end the process, perhaps between a create and a store; the write then fails with
/// EFBIG.
#[expect(unsafe_code, reason = "the standard library ignores SIGPIPE and nothing else; ignoring runs no handler")]
fn outlive_a_file_size_limit() {
    // SAFETY: `SIG_IGN` installs no code, and no other thread exists that could install a handler meanwhile.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// Removes the variables that no library and no child process (such as a `credential_process`) may inherit.
#[expect(unsafe_code, reason = "removing a variable is sound while the process has one thread, which is so here only")]
fn take_from_environment() -> Startup {
    let key = |name: &str| std::env::var(name).ok().filter(|key| !key.is_empty()).map(Zeroizing::new);
    let (store_key, new_store_key) = (key("ROTATOR_STORE_KEY"), key("ROTATOR_STORE_NEW_KEY"));
    for name in MAKES_THE_SDK_TELL.into_iter().chain(["ROTATOR_STORE_KEY", "ROTATOR_STORE_NEW_KEY"]) {
        // SAFETY: called first thing in `main`; no other thread exists that could read the environment.
        unsafe { std::env::remove_var(name) };
    }
    Startup { store_key, new_store_key, ignores_hangup: ignores_hangup() }
}

/// Whether the parent process ignored SIGHUP, as `nohup` does.
#[expect(unsafe_code, reason = "the standard library cannot say how a signal is answered; asking changes nothing")]
fn ignores_hangup() -> bool {
    let mut answer = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: with a null pointer as the new action the call only queries; the old action is written to memory of its
    // size, and read only after the call has succeeded.
    unsafe {
        libc::sigaction(libc::SIGHUP, std::ptr::null(), answer.as_mut_ptr()) == 0
            && answer.assume_init().sa_sigaction == libc::SIG_IGN
    }
}
