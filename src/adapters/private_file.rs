//! Files that no other user may write: created with mode 0600 in a folder with mode 0700. They are never opened
//! through a symbolic link, and never if another user owns or could replace them (`ownership`).

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::ownership::{self, OwnershipError};

/// Why a private file is not trusted or not available. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The path is a symbolic link.
    #[error("open {}: it is a symbolic link, which is not followed; name the file itself", path.display())]
    Symlink { path: PathBuf },
    /// The path is a folder, a device or a pipe, or ends in `..` or `/`.
    #[error("open {}: it is not a regular file; name another one", path.display())]
    NotAFile { path: PathBuf },
    /// Another user may write or replace the file.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// Other users may read the file, which is a key.
    #[error("trust {}: it is open to others (mode {mode:04o}); run `chmod 600` on it, once you know who has read it", path.display())]
    ExposedFile { path: PathBuf, mode: u32 },
    /// A system call failed.
    #[error("{operation} {}: {source}", path.display())]
    Io {
        path: PathBuf,
        /// The operation, as a verb such as "open".
        operation: &'static str,
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn io(path: &Path, operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, operation, source }
    }
}

/// What other users must not be able to do. The owner and the write permissions are always checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Other users may read the file.
    MayNotWrite,
    /// Other users may not even read the file, which is a key.
    MayDoNothing,
}

/// Returns the path with its folder resolved and checked. Links to folders are followed, a link to the file is not.
/// `None` if the folder does not exist.
pub(super) fn locate(path: &Path) -> Result<Option<PathBuf>, FileError> {
    let name = path.file_name().ok_or_else(|| FileError::NotAFile { path: path.to_owned() })?;
    let folder = match folder_of(path).canonicalize() {
        Ok(folder) => folder,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(folder_of(path), "open")(error)),
    };
    ownership::check_folder(&folder)?;
    Ok(Some(folder.join(name)))
}

/// As [`locate`], but creates a missing folder with mode 0700.
pub(super) fn locate_or_create_folder(path: &Path) -> Result<PathBuf, FileError> {
    if let Some(path) = locate(path)? {
        return Ok(path);
    }
    let folder = folder_of(path);
    create_folder(folder)?;
    locate(path)?
        .ok_or_else(|| FileError::io(folder, "open")(io::Error::new(ErrorKind::NotFound, "it has just vanished")))
}

/// Creates a folder and the missing ones above it. Each is checked before the next is created: in a sticky folder
/// another user may create one first.
fn create_folder(folder: &Path) -> Result<(), FileError> {
    let mut missing = Vec::new();
    let mut there = folder;
    let mut made = loop {
        match there.canonicalize() {
            Ok(found) => break found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let Some(name) = there.file_name() else {
                    return Err(FileError::io(there, "open")(error));
                };
                missing.push(name);
                there = folder_of(there);
            }
            Err(error) => return Err(FileError::io(there, "open")(error)),
        }
    };
    for name in missing.into_iter().rev() {
        made.push(name);
        ownership::check_above(&made)?;
        match DirBuilder::new().mode(0o700).create(&made) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(FileError::io(&made, "create")(error)),
        }
        let metadata = fs::symlink_metadata(&made).map_err(FileError::io(&made, "open"))?;
        if metadata.file_type().is_symlink() {
            return Err(FileError::Symlink { path: made });
        }
        ownership::check(&made, &metadata)?;
    }
    Ok(())
}

/// Returns the metadata of a regular file that others cannot abuse; none if nothing exists at `path`.
pub(super) fn inspect(path: &Path, others: Others) -> Result<Option<Metadata>, FileError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(FileError::io(path, "open")(error)),
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

/// Whether this process may write the file, or create files in the folder, at `path`. A read-only file counts as such
/// for root, too: root could write it, but would leave files that only root can use.
pub(super) fn is_writable(path: &Path) -> Result<bool, FileError> {
    use rustix::fs::Access;

    let metadata = fs::metadata(path).map_err(FileError::io(path, "open"))?;
    let access = if metadata.is_dir() { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    Ok(metadata.mode() & 0o222 != 0 && rustix::fs::access(path, access).is_ok())
}

/// Opens an existing file for reading. The check follows the opening, so that the file cannot be replaced in between.
pub(super) fn open(path: &Path, others: Others) -> Result<Option<File>, FileError> {
    open_with(OpenOptions::new().read(true), path, others)
}

/// Opens a file for reading and writing; creates a missing one with mode 0600.
pub(super) fn open_or_create(path: &Path) -> Result<File, FileError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    open_with(&mut options, path, Others::MayNotWrite)?
        .ok_or_else(|| FileError::io(path, "create")(ErrorKind::NotFound.into()))
}

fn open_with(options: &mut OpenOptions, path: &Path, others: Others) -> Result<Option<File>, FileError> {
    // NONBLOCK: opening a pipe in place of the file must not block.
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        // O_NOFOLLOW returns ELOOP, for which `inspect` has a better message.
        Err(error) => {
            inspect(path, others)?;
            return Err(FileError::io(path, "open")(error));
        }
    };
    check(path, &file.metadata().map_err(FileError::io(path, "open"))?, others)?;
    Ok(Some(file))
}

/// A temporary file beside `path` with mode 0600, which is removed when dropped.
pub(super) struct Draft {
    path: PathBuf,
}

impl Draft {
    /// Creates an empty draft.
    pub(super) fn beside(path: &Path) -> Result<(Self, File), FileError> {
        let draft = with_suffix(path, &format!(".{}.new", uuid::Uuid::now_v7().simple()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&draft)
            .map_err(FileError::io(&draft, "create"))?;
        Ok((Self { path: draft }, file))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the draft its name durably: a reader that sees the name sees the whole file. `false` if the name exists
    /// already; that file is not changed.
    pub(super) fn publish(self, path: &Path) -> Result<bool, FileError> {
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(FileError::io(&self.path, "sync"))?;
        // A link, unlike a rename, never replaces the file of another process.
        match fs::hard_link(&self.path, path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(false),
            Err(error) => return Err(FileError::io(path, "create")(error)),
        }
        sync_folder(path)?;
        Ok(true)
    }
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(FileError::io(folder, "sync"))
}

impl Drop for Draft {
    fn drop(&mut self) {
        // No program reads a draft, so one that remains does no harm. SQLite leaves the other files after a failure.
        for suffix in ["", "-wal", "-shm"] {
            drop(fs::remove_file(with_suffix(&self.path, suffix)));
        }
    }
}

/// `path` with `suffix` appended.
pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// The folder of `path`.
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
    fn a_symlink_is_refused_and_its_target_does_not_change() {
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
    fn a_file_that_others_can_write_is_refused() {
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
    fn no_file_is_created_in_an_unsafe_folder_or_through_a_link() {
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
