//! Files that no other user may write: made 0600 in a folder made 0700, never reached through a symlink, never taken
//! from another user, nor from a folder in which another user could put one in their place (`ownership`).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ownership::{self, OwnershipError};

/// Why a file is not trusted or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// A symlink stands where a file should.
    #[error("{} is a symbolic link, which is not followed: name the file itself", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// It is a folder, a device, a pipe; or the path ends in `..` or `/`.
    #[error("{} is not a regular file: name another one", path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Another user may write it, or put another file in its place.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// Others may read this file, which is a key.
    #[error("{} is open to others (mode {mode:04o}): run `chmod 600` on it, once you know who has had it", path.display())]
    ExposedFile {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system says no.
    #[error("{} could not be {done}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// "opened", "created", in the past tense.
        done: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn io(path: &Path, done: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, done, source }
    }
}

/// What others must not be able to do. Whose it is and who may write it is always checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// They may read.
    MayNotWrite,
    /// Nothing at all: a key.
    MayDoNothing,
}

/// The path with its folder resolved (links *to* a folder are followed, the file itself never) and the folder
/// checked. `None` if the folder does not exist.
pub(super) fn locate(path: &Path) -> Result<Option<PathBuf>, FileError> {
    let name = path.file_name().ok_or_else(|| FileError::NotAFile { path: path.to_owned() })?;
    let folder = match folder_of(path).canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(folder_of(path), "opened")(error)),
    };
    ownership::check_folder(&folder)?;
    Ok(Some(folder.join(name)))
}

/// As [`locate`], making the folder with mode 0700 if it is missing.
pub(super) fn locate_or_create_folder(path: &Path) -> Result<PathBuf, FileError> {
    if let Some(path) = locate(path)? {
        return Ok(path);
    }
    let folder = folder_of(path);
    create_folder(folder)?;
    locate(path)?
        .ok_or_else(|| FileError::io(folder, "opened")(io::Error::new(ErrorKind::NotFound, "it has just vanished")))
}

/// Makes a folder and the missing ones above it. Each is checked before anything is made in it: in a sticky folder another
/// user may be faster.
fn create_folder(folder: &Path) -> Result<(), FileError> {
    let mut missing = Vec::new();
    let mut there = folder;
    let mut made = loop {
        match there.canonicalize() {
            Ok(found) => break found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Some(name) = there.file_name() else {
                    return Err(FileError::io(there, "opened")(error));
                };
                missing.push(name);
                there = folder_of(there);
            }
            Err(error) => return Err(FileError::io(there, "opened")(error)),
        }
    };
    for name in missing.into_iter().rev() {
        made.push(name);
        ownership::check_above(&made)?;
        match DirBuilder::new().mode(0o700).create(&made) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::io(&made, "created")(error)),
        }
        let metadata = fs::symlink_metadata(&made).map_err(FileError::io(&made, "opened"))?;
        if metadata.file_type().is_symlink() {
            return Err(FileError::Symlink { path: made });
        }
        ownership::check(&made, &metadata)?;
    }
    Ok(())
}

/// What stands at `path`: a regular file that others cannot abuse, or nothing.
pub(super) fn inspect(path: &Path, others: Others) -> Result<Option<Metadata>, FileError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(path, "opened")(error)),
    };
    check(path, &metadata, others)?;
    Ok(Some(metadata))
}

fn check(path: &Path, metadata: &Metadata, others: Others) -> Result<(), FileError> {
    if metadata.file_type().is_symlink() {
        return Err(FileError::Symlink { path: path.to_owned() });
    }
    if !metadata.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let mode = metadata.mode() & 0o7777;
    if others == Others::MayDoNothing && mode & 0o077 != 0 {
        return Err(FileError::ExposedFile { path: path.to_owned(), mode });
    }
    Ok(ownership::check(path, metadata)?)
}

/// Whether this process may write the file, or make files in the folder, at `path`. What its owner has made read-only
/// counts as such for root, too: root could write it, and would leave what only root can use.
pub(super) fn is_writable(path: &Path) -> Result<bool, FileError> {
    use rustix::fs::Access;

    let metadata = fs::metadata(path).map_err(FileError::io(path, "opened"))?;
    let access = if metadata.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    Ok(metadata.mode() & 0o222 != 0 && rustix::fs::access(path, access).is_ok())
}

/// Opens an existing file for reading, checked after it was opened: nothing can be swapped in between.
pub(super) fn open(path: &Path, others: Others) -> Result<Option<File>, FileError> {
    open_with(OpenOptions::new().read(true), path, others)
}

/// Opens a file for reading and writing, made with mode 0600 if it is missing.
pub(super) fn open_or_create(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    open_with(&mut options, path, Others::MayNotWrite)?
        .ok_or_else(|| FileError::io(path, "created")(ErrorKind::NotFound.into()))
}

fn open_with(options: &mut OpenOptions, path: &Path, others: Others) -> Result<Option<File>, FileError> {
    // NONBLOCK: opening a pipe that somebody put there must not hang.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // O_NOFOLLOW answers ELOOP, which `inspect` words better.
        Err(error) => {
            inspect(path, others)?;
            return Err(FileError::io(path, "opened")(error));
        }
    };
    check(path, &file.metadata().map_err(FileError::io(path, "opened"))?, others)?;
    Ok(Some(file))
}

/// A file under construction beside `path`, mode 0600; removed when dropped.
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// An empty one.
    pub(super) fn beside(path: &Path) -> Result<(Self, File), FileError> {
        let draft = with_suffix(path, &format!(".{}.new", uuid::Uuid::now_v7().simple()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(FileError::io(&draft, "created"))?;
        Ok((Self { path: draft }, file))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its name, durably: whoever sees the name sees all of the file. `false` if the name is taken; what
    /// has it stays as it is.
    pub(super) fn publish(self, path: &Path) -> Result<bool, FileError> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(FileError::io(&self.path, "synced"))?;
        // A link, not a rename: it never replaces what another process has put there meanwhile.
        match fs::hard_link(&self.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(FileError::io(path, "created")(error)),
        }
        sync_folder(path)?;
        Ok(true)
    }
}

/// Makes durable which names the folder of `path` holds.
pub(super) fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::io(folder, "synced"))
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Nobody reads a draft; one that stays is only litter. SQLite leaves the others where it fails.
        for suffix in ["", "-wal", "-shm"] {
            drop(fs::remove_file(with_suffix(&self.path, suffix)));
        }
    }
}

/// `path` with `suffix` after its last character.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder that `path` is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("is there").mode() & 0o777
    }

    #[test]
    fn folders_are_0700_and_files_0600() {
        let root = folder();
        let path = locate_or_create_folder(&root.path().join("a/b/file")).expect("made");
        drop(open_or_create(&path).expect("made"));
        assert_eq!(mode_of(&root.path().join("a")), 0o700);
        assert_eq!(mode_of(&root.path().join("a/b")), 0o700);
        assert_eq!(mode_of(&path), 0o600);
    }

    #[test]
    fn a_symlink_is_refused_and_what_it_points_to_is_left_alone() {
        let root = folder();
        let (target, link) = (root.path().join("target"), root.path().join("link"));
        symlink(&target, &link).expect("linked");
        assert!(matches!(open_or_create(&link), Err(FileError::Symlink { .. })));
        assert!(!target.exists());
        fs::write(&target, "x").expect("written");
        assert!(matches!(open(&link, Others::MayNotWrite), Err(FileError::Symlink { .. })));
        assert!(matches!(inspect(&link, Others::MayNotWrite), Err(FileError::Symlink { .. })));
    }

    #[test]
    fn what_others_can_write_is_refused() {
        let root = folder();
        let path = root.path().join("file");
        fs::write(&path, "x").expect("written");
        for (mode, write, read) in [
            (0o600, true, true),
            (0o640, true, false),
            (0o644, true, false),
            (0o602, false, false),
            (0o622, false, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
            assert_eq!(open(&path, Others::MayNotWrite).is_ok(), write, "{mode:o}");
            assert_eq!(open(&path, Others::MayDoNothing).is_ok(), read, "{mode:o}");
        }
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).expect("set");
        assert!(locate(&path).is_ok());
        for mode in [0o702, 0o777, 0o1777] {
            fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).expect("set");
            let error = locate(&path).expect_err("exposed");
            assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
        }
    }

    #[test]
    fn nothing_is_made_in_a_folder_that_is_not_safe_or_through_a_link() {
        let root = folder();
        let open = root.path().join("open");
        fs::create_dir(&open).expect("made");
        fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("set");
        assert!(matches!(locate_or_create_folder(&open.join("a/b/file")), Err(FileError::Ownership(_))));
        assert!(!open.join("a").exists(), "it was made all the same");
        // As /tmp is: what another user cannot take away may be made there.
        fs::set_permissions(&open, fs::Permissions::from_mode(0o1777)).expect("set");
        locate_or_create_folder(&open.join("a/b/file")).expect("made");
        symlink(root.path().join("elsewhere"), open.join("link")).expect("linked");
        assert!(matches!(locate_or_create_folder(&open.join("link/b/file")), Err(FileError::Symlink { .. })));
        assert!(!root.path().join("elsewhere").exists());
    }

    #[test]
    fn a_pipe_or_a_folder_is_not_a_file() {
        let root = folder();
        assert!(matches!(open(root.path(), Others::MayNotWrite), Err(FileError::NotAFile { .. })));
        assert!(matches!(locate(&root.path().join("..")), Err(FileError::NotAFile { .. })));
    }

    #[test]
    fn a_draft_never_replaces() {
        let root = folder();
        let path = root.path().join("file");
        let (first, _) = Draft::beside(&path).expect("made");
        let (second, _) = Draft::beside(&path).expect("made");
        fs::write(first.path(), "first").expect("written");
        fs::write(second.path(), "second").expect("written");
        assert!(first.publish(&path).expect("published"));
        assert!(!second.publish(&path).expect("refused"));
        assert_eq!(fs::read_to_string(&path).expect("read"), "first");
        assert_eq!(fs::read_dir(root.path()).expect("listed").count(), 1, "no draft stays");
    }
}
