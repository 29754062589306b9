//! One file: read with its version, and replaced where it still has that version.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use super::folder::Folder;
use super::writable::{forbids, is_refusal};
use super::{LARGEST, attributes};
use crate::adapters::stores::NativeWrite;
use crate::ports::secret_store::Version;
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::secret::SecretValue;

/// In the name of a file that is to replace another: `.NAME.rotator-RANDOM`.
const MARK: &str = ".rotator-";

/// How long other programs may hold the locks of what is to be written, all of them together. A signal that comes
/// meanwhile still ends the run within its 30 seconds.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// Why a file was not written, or will not be.
pub(super) const LOCKED: &str = "another program holds its lock";

/// A file that is there.
pub(super) enum There {
    Value(Version, SecretValue),
    /// It is larger than [`LARGEST`]. For people: that it is.
    Large(String),
}

/// The file of this name; `None` if there is none. The error is for people and says nothing of the content.
pub(super) fn read(folder: &Folder, name: &OsStr) -> Result<Option<There>, String> {
    match folder.open(name) {
        Ok(mut file) => match content(&mut file) {
            Ok((version, value)) => Ok(Some(There::Value(version, value))),
            Err(error) if error.kind() == ErrorKind::FileTooLarge => Ok(Some(There::Large(error.to_string()))),
            Err(error) => Err(error.to_string()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The bytes of an open file, and what changes whenever it is written: the digest of the bytes, the file's number and
/// the time of its last change, so that a value that was replaced by an equal one has another version.
fn content(file: &mut File) -> io::Result<(Version, SecretValue)> {
    let metadata = file.metadata()?;
    let too_large =
        || io::Error::new(ErrorKind::FileTooLarge, format!("it is larger than {} MiB", LARGEST / 1024 / 1024));
    if metadata.len() > LARGEST {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default() + 1);
    let count = file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    let value = SecretValue::new(bytes);
    if count as u64 > LARGEST {
        // It has grown since.
        return Err(too_large());
    }
    let digest = Sha256::digest(value.expose());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let version = format!("{digest} {} {}.{:09}", metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    Ok((Version(version), value))
}

fn refused(kind: RefusalKind, path: &Path, why: &dyn std::fmt::Display) -> Failure {
    Failure::Refused(Refusal::new(kind, format!("{}: {why}", path.display())))
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    if error.kind() == ErrorKind::NotFound {
        return stale(path);
    }
    let is_locked = error.kind() == ErrorKind::WouldBlock;
    let otherwise = if is_refusal(error) { RefusalKind::Denied } else { RefusalKind::Other };
    refused(if is_locked { RefusalKind::Locked } else { otherwise }, path, error)
}

fn stale(path: &Path) -> Failure {
    refused(RefusalKind::Stale, path, &"it has changed since it was read")
}

/// The files, locked, in their order. Two programs that each want several never wait for one another: the locks are taken
/// in the order of paths. All of them have to come within `patience`; else none is kept, and nothing was written.
pub(super) fn lock_all(files: &[(Folder, OsString)], patience: Duration) -> Result<Vec<File>, Failure> {
    let until = Instant::now() + patience;
    let path = |at: usize| files[at].0.path().join(&files[at].1);
    let mut order: Vec<usize> = (0..files.len()).collect();
    order.sort_by_key(|at| path(*at));
    let mut locked = BTreeMap::new();
    for at in order {
        let (folder, name) = &files[at];
        locked.insert(at, lock(folder, name, until).map_err(|error| failed(&path(at), &error))?);
    }
    Ok(locked.into_values().collect())
}

/// Whether another program holds the lock of this file until then. It is not kept.
pub(super) fn is_locked(folder: &Folder, name: &OsStr, until: Instant) -> bool {
    lock(folder, name, until).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// Puts the new bytes in the place of the old, if these are still there. `file` is the one that was locked.
pub(super) fn replace(folder: &Folder, name: &OsStr, mut file: File, write: &NativeWrite) -> Result<(), Failure> {
    let path = folder.path().join(name);
    let other = |error: io::Error| failed(&path, &error);
    let stale = || stale(&path);
    let (version, _) = content(&mut file).map_err(other)?;
    if version != write.replaces {
        return Err(stale());
    }
    let metadata = file.metadata().map_err(other)?;
    if let Some(why) = forbids(folder, name, &file, &metadata) {
        return Err(refused(RefusalKind::Denied, &path, &why));
    }
    remove_leftovers(folder);
    let beside = Beside::new(folder, name, write.value.expose()).and_then(|beside| beside.made_like(&file, &metadata));
    let beside = beside.map_err(other)?;
    // Once more, with nothing left to do but to rename.
    let (version, _) = folder.open(name).and_then(|mut now| content(&mut now)).map_err(other)?;
    if version != write.replaces {
        return Err(stale());
    }
    beside.put_in_place(name).map_err(other)?;
    // From here on a reader has it; whether a power cut leaves it there is not certain before the folder is synced.
    folder
        .sync()
        .map_err(|error| Failure::Unknown(format!("{} was written and may not be durable: {error}", path.display())))
}

/// The file, locked; what stood there when the lock was given.
fn lock(folder: &Folder, name: &OsStr, until: Instant) -> io::Result<File> {
    loop {
        let file = folder.open(name)?;
        match flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive) {
            // Whoever held the lock may have put another file in this one's place.
            Ok(()) if is_at(&file, folder, name)? => return Ok(file),
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(io::Error::new(ErrorKind::WouldBlock, LOCKED)),
            Err(error) => return Err(error.into()),
        }
    }
}

fn is_at(file: &File, folder: &Folder, name: &OsStr) -> io::Result<bool> {
    let (open, there) = (file.metadata()?, folder.see(name)?);
    Ok(open.dev() == there.dev() && open.ino() == there.ino())
}

/// A file that is to replace another; removed when dropped.
struct Beside<'f> {
    folder: &'f Folder,
    name: OsString,
    /// Locked while its writer lives.
    file: File,
    in_place: bool,
}

impl<'f> Beside<'f> {
    /// These bytes in a new file that only its owner can read.
    fn new(folder: &'f Folder, target: &OsStr, bytes: &[u8]) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let random: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = OsString::from(format!(".{}{MARK}{random}", target.to_string_lossy()));
        let mut file = folder.make(&name)?;
        let beside = Self { folder, name, file: file.try_clone()?, in_place: false };
        flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)?;
        file.write_all(bytes)?;
        Ok(beside)
    }

    /// As the file that it is to replace, and on the disk.
    fn made_like(self, replaced: &File, like: &fs::Metadata) -> io::Result<Self> {
        let file = &self.file;
        let there = file.metadata()?;
        if (there.uid(), there.gid()) != (like.uid(), like.gid()) {
            std::os::unix::fs::fchown(file, Some(like.uid()), Some(like.gid())).map_err(|error| {
                let why = format!("its owner {}:{} cannot be kept: {error}", like.uid(), like.gid());
                io::Error::new(error.kind(), why)
            })?;
        }
        // Before the mode, which may take the right to write them away.
        attributes::keep(replaced, file)?;
        // After the owner: a change of owner takes the set-id bits away.
        file.set_permissions(like.permissions())?;
        file.sync_all()?;
        Ok(self)
    }

    fn put_in_place(mut self, target: &OsStr) -> io::Result<()> {
        self.folder.rename(&self.name, target)?;
        self.in_place = true;
        Ok(())
    }
}

impl Drop for Beside<'_> {
    fn drop(&mut self) {
        if !self.in_place {
            // What stays is removed by the next write in this folder.
            let _ = self.folder.remove(&self.name);
        }
    }
}

pub(super) fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let random = name.rsplit_once(MARK).map(|(before, random)| (before.starts_with('.'), random));
    random.is_some_and(|(hidden, random)| {
        hidden && random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Removes what a writer that died left in `folder`. A writer that lives holds its file's lock.
pub(super) fn remove_leftovers(folder: &Folder) {
    let Ok(listed) = folder.names() else { return };
    for name in listed.iter().filter(|name| is_leftover(name)) {
        let Ok(file) = folder.open(name) else { continue };
        if flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive).is_ok() {
            let _ = folder.remove(name);
        }
    }
}
