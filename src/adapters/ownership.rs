//! Whose a file or a folder is, and whether other users may write it: what OpenSSH calls StrictModes.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Why other users decide what a file says, or which file stands in a folder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnershipError {
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, who is neither you nor root", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// The number of its owner.
        owner: u32,
    },
    /// Its group or all users may write it.
    #[error("{} can be written by others (mode {mode:04o}): run `chmod go-w` on it", path.display())]
    Writable {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Whether `found`, the metadata of `path`, belong to the effective user or root and cannot be written by others. The
/// metadata have to be those of what is used: of an opened file, or of a path with its links followed.
///
/// # Errors
/// [`OwnershipError`] with the path.
pub fn check(path: &Path, found: &Metadata) -> Result<(), OwnershipError> {
    let (owner, mode) = (found.uid(), found.mode() & 0o7777);
    if owner != 0 && owner != rustix::process::geteuid().as_raw() {
        return Err(OwnershipError::Foreign { path: path.to_owned(), owner });
    }
    if mode & 0o022 != 0 {
        return Err(OwnershipError::Writable { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn checked(path: &Path) -> Result<(), OwnershipError> {
        check(path, &fs::metadata(path).expect("it is there"))
    }

    #[test]
    fn what_others_may_write_is_named_with_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        for (mode, is_safe) in [(0o600, true), (0o644, true), (0o444, true), (0o664, false), (0o602, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("set");
            let exposed = OwnershipError::Writable { path: file.clone(), mode };
            assert_eq!(checked(&file), if is_safe { Ok(()) } else { Err(exposed) }, "{mode:o}");
        }
        // A sticky folder keeps others from replacing a file, and not from adding one.
        for mode in [0o1777, 0o775] {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).expect("set");
            assert!(checked(folder.path()).is_err(), "{mode:o}");
        }
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn what_belongs_to_another_user_is_named_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        fs::write(&file, "x").expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("set");
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: only root can give a file to another user");
            assert_eq!(checked(Path::new("/")), Ok(()), "root's folder is trusted by all");
            return;
        }
        std::os::unix::fs::chown(&file, Some(65_534), None).expect("root may");
        assert_eq!(checked(&file), Err(OwnershipError::Foreign { path: file.clone(), owner: 65_534 }));
    }
}
