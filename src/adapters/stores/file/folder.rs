//! An open folder. Its content is reached through its handle, one name at a time, and never through a symbolic link:
//! renaming a folder inside a store must not redirect rotator between two steps.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat, renameat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

/// The link with which the kubelet replaces the content of a volume
/// (<https://pkg.go.dev/k8s.io/kubernetes/pkg/volume/util#AtomicWriter>). Its target is a folder whose name begins
/// with `..`, too.
pub(super) const CURRENT: &str = "..data";

/// The kernel refuses a step during a concurrent rename; after these tries the step is made without its check.
const MOST_TRIES: u32 = 4;

/// A folder, by its handle.
pub(super) struct Folder {
    handle: File,
    /// The path at the time of opening, for messages and for the names of rotator's own files.
    path: PathBuf,
}

impl Folder {
    /// Opens a folder that the operator has named; links are followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = retry_on_intr(|| openat(CWD, &path, flags, Mode::empty()))?;
        Ok(Self { handle: handle.into(), path })
    }

    /// Opens a subfolder.
    pub(super) fn below(&self, name: &OsStr) -> io::Result<Self> {
        let handle = self.step(name, OFlags::PATH | OFlags::DIRECTORY)?;
        Ok(Self { handle: handle.into(), path: self.path.join(name) })
    }

    /// Duplicates the handle.
    pub(super) fn again(&self) -> io::Result<Self> {
        Ok(Self { handle: self.handle.try_clone()?, path: self.path.clone() })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        self.handle.metadata()
    }

    /// Checks that the path still leads to this folder.
    pub(super) fn is_there(&self) -> io::Result<()> {
        let (open, there) = (self.metadata()?, fs::symlink_metadata(&self.path)?);
        if (open.dev(), open.ino()) == (there.dev(), there.ino()) {
            return Ok(());
        }
        Err(io::Error::other("another folder was put in its place since rotator opened it; run rotator again"))
    }

    /// Opens a regular file for reading.
    pub(super) fn open(&self, name: &OsStr) -> io::Result<File> {
        // NONBLOCK: opening a pipe in place of the file must not block.
        let file = File::from(self.step(name, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(file)
    }

    /// Creates a file that only its owner can use.
    pub(super) fn make(&self, name: &OsStr) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| openat(&self.handle, name, flags, Mode::RUSR | Mode::WUSR))?.into())
    }

    /// The metadata of a name, which may be a link.
    pub(super) fn see(&self, name: &OsStr) -> io::Result<Metadata> {
        self.look(name, OFlags::NOFOLLOW)
    }

    /// The metadata of the final target of a name, which may be outside of the store. The target is not opened.
    pub(super) fn see_target(&self, name: &OsStr) -> io::Result<Metadata> {
        self.look(name, OFlags::empty())
    }

    fn look(&self, name: &OsStr, more: OFlags) -> io::Result<Metadata> {
        let handle =
            retry_on_intr(|| openat(&self.handle, name, OFlags::PATH | OFlags::CLOEXEC | more, Mode::empty()))?;
        File::from(handle).metadata()
    }

    /// Every name in the folder.
    pub(super) fn names(&self) -> io::Result<Vec<OsString>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = Dir::new(retry_on_intr(|| openat(&self.handle, c".", flags, Mode::empty()))?)?;
        let mut names = Vec::new();
        for entry in listed {
            let entry = entry?;
            if ![c".", c".."].contains(&entry.file_name()) {
                names.push(OsStr::from_bytes(entry.file_name().to_bytes()).to_owned());
            }
        }
        Ok(names)
    }

    /// Renames a file; it replaces the other one.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.handle, from, &self.handle, to)?)
    }

    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.handle, name, AtFlags::empty())?)
    }

    /// Returns once all names of the folder are on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        File::from(retry_on_intr(|| openat(&self.handle, c".", flags, Mode::empty()))?).sync_all()
    }

    /// The name of the folder with the present content, if the kubelet fills this volume.
    pub(super) fn current(&self) -> Option<OsString> {
        let target = OsString::from_vec(readlinkat(&self.handle, CURRENT, Vec::new()).ok()?.into_bytes());
        let is_name = is_hidden_twice(&target) && target != ".." && !target.as_bytes().contains(&b'/');
        (is_name && target != CURRENT).then_some(target)
    }

    /// The folder of a file, its own name, and whether another program fills that folder.
    pub(super) fn reach(&self, name: &str) -> io::Result<(Self, OsString, bool)> {
        let (parents, last) = match Path::new(name).parent().zip(Path::new(name).file_name()) {
            Some((parents, last)) => (parents, last.to_owned()),
            None => return Err(io::ErrorKind::NotFound.into()),
        };
        let (mut folder, mut in_volume) = (self.again()?, false);
        for step in parents.iter() {
            let current = folder.current().filter(|_| is_hidden_twice(step));
            in_volume |= current.is_some();
            let step = current.filter(|_| step == CURRENT).unwrap_or_else(|| step.to_owned());
            folder = folder.below(&step)?;
        }
        Ok((folder, last, in_volume))
    }

    /// Opens one name without following a link.
    fn step(&self, name: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        step(self.handle.as_fd(), name, flags, true)
    }
}

/// Whether a name begins like those of a volume's own folders.
pub(super) fn is_hidden_twice(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b"..")
}

fn step(from: BorrowedFd<'_>, name: &OsStr, flags: OFlags, with_resolve: bool) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if name.is_empty() || name == ".." || name.as_bytes().contains(&b'/') {
        return Err(Errno::XDEV.into());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    for _ in 0..MOST_TRIES * u32::from(with_resolve) {
        match retry_on_intr(|| openat2(from, name, flags, Mode::empty(), resolve)) {
            Err(Errno::AGAIN) => {}
            // The kernel is older than 5.6, or a system call filter does not know the call.
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL | Errno::TOOBIG) => break,
            other => return other.map_err(worded),
        }
    }
    // A single name that is not a link stays in its folder.
    retry_on_intr(|| openat(from, name, flags, Mode::empty())).map_err(worded)
}

fn worded(error: Errno) -> io::Error {
    match error {
        Errno::LOOP => io::Error::new(io::ErrorKind::NotADirectory, "it is a symbolic link, which is not followed"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_follows_a_link_or_leaves_the_folder_with_openat2_and_without() {
        let root = tempfile::tempdir().expect("a folder");
        let inside = root.path().join("inside");
        fs::create_dir_all(inside.join("deeper")).expect("made");
        fs::write(inside.join("file"), "x").expect("written");
        std::os::unix::fs::symlink("deeper", inside.join("folder-link")).expect("linked");
        std::os::unix::fs::symlink("file", inside.join("file-link")).expect("linked");
        let folder = Folder::at(&inside).expect("opened");
        for with_resolve in [true, false] {
            let step = |name: &str, flags| step(folder.handle(), OsStr::new(name), flags, with_resolve);
            let of_folder = OFlags::PATH | OFlags::DIRECTORY;
            assert!(step("deeper", of_folder).is_ok() && step("file", OFlags::RDONLY).is_ok());
            for name in ["folder-link", "..", "/", "/etc", "deeper/..", "deeper/../..", ""] {
                assert!(step(name, of_folder).is_err(), "{name} with openat2: {with_resolve}");
            }
            assert!(step("file-link", OFlags::RDONLY).is_err());
        }
        assert!(folder.is_there().is_ok());
        fs::rename(&inside, root.path().join("elsewhere")).expect("moved");
        assert!(folder.is_there().is_err());
        fs::create_dir(&inside).expect("made");
        assert!(folder.is_there().is_err(), "another folder");
    }
}
