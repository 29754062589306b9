//! The records of `rotator allow`: for each path the digest of the content that the user trusts, in the state folder
//! of the user. A file with another content is not trusted.

use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ownership::{self, OwnershipError};
use super::private_file::{self, Draft, FileError, Others, folder_of};

/// The maximum length of a record, which consists of a digest and a path.
const LONGEST: u64 = 64 * 1024;

/// Why the records cannot be used. Each message follows "failed to".
#[derive(Debug, thiserror::Error)]
pub enum AllowedError {
    /// A record cannot be read or written, or other users may change it.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another user may change the records.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
}

/// The folder with the records.
#[derive(Debug, Clone)]
pub struct AllowedFiles {
    folder: PathBuf,
}

impl AllowedFiles {
    /// The records in this folder, which need not exist yet.
    #[must_use]
    pub fn in_folder(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The folder of the records.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the file at `path` is trusted with this content.
    ///
    /// # Errors
    /// [`AllowedError`] if the record exists and cannot be relied on.
    pub fn has(&self, path: &Path, content: &[u8]) -> Result<bool, AllowedError> {
        let Some(record) = private_file::locate(&self.record_of(path))? else { return Ok(false) };
        let Some(file) = private_file::open(&record, Others::MayNotWrite)? else { return Ok(false) };
        let folder = folder_of(&record);
        let of_folder = std::fs::metadata(folder).map_err(FileError::io(folder, "open"))?;
        ownership::check(folder, &of_folder)?;
        ownership::check(&record, &file.metadata().map_err(FileError::io(&record, "open"))?)?;
        let mut text = String::new();
        file.take(LONGEST).read_to_string(&mut text).map_err(FileError::io(&record, "read"))?;
        Ok(text.split_whitespace().next() == Some(digest(content).as_str()))
    }

    /// Whether the file at `path` was recorded, whatever its content is now.
    #[must_use]
    pub fn knows(&self, path: &Path) -> bool {
        self.record_of(path).symlink_metadata().is_ok()
    }

    /// Records that the file at `path` is trusted with this content only.
    ///
    /// # Errors
    /// [`AllowedError`] if the record cannot be written.
    pub fn record(&self, path: &Path, content: &[u8]) -> Result<(), AllowedError> {
        let record = private_file::locate_or_create_folder(&self.record_of(path))?;
        let folder = folder_of(&record);
        ownership::check(folder, &std::fs::metadata(folder).map_err(FileError::io(folder, "open"))?)?;
        let (draft, mut file) = Draft::beside(&record)?;
        let line = format!("{}  {}\n", digest(content), path.display());
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(FileError::io(draft.path(), "write"))?;
        // This replaces the record of an earlier content.
        std::fs::rename(draft.path(), &record).map_err(FileError::io(&record, "write"))?;
        Ok(())
    }

    fn record_of(&self, path: &Path) -> PathBuf {
        self.folder.join(digest(path.as_os_str().as_bytes()))
    }
}

/// SHA-256, in hexadecimal digits.
#[must_use]
pub fn digest(content: &[u8]) -> String {
    base16ct::lower::encode_string(&Sha256::digest(content))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn only_the_last_content_that_was_allowed_is_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = AllowedFiles::in_folder(folder.path().join("state/allowed"));
        let (one, other) = (Path::new("/a/rotator.toml"), Path::new("/b/rotator.toml"));
        assert!(!files.has(one, b"x").expect("no record"));
        files.record(one, b"x").expect("recorded");
        assert!(files.has(one, b"x").expect("read"));
        assert!(!files.has(one, b"y").expect("read") && !files.has(other, b"x").expect("read"));
        files.record(one, b"y").expect("recorded");
        assert!(files.has(one, b"y").expect("read") && !files.has(one, b"x").expect("read"));
        let records = folder.path().join("state/allowed");
        assert_eq!(fs::read_dir(&records).expect("listed").count(), 1, "a record a path, and no draft");
        assert_eq!(fs::metadata(&records).expect("there").permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn a_record_that_others_can_write_is_not_relied_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let files = AllowedFiles::in_folder(folder.path().join("allowed"));
        let path = Path::new("/a/rotator.toml");
        files.record(path, b"x").expect("recorded");
        let record = files.record_of(path);
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        set(&record, 0o622);
        assert!(files.has(path, b"x").is_err());
        set(&record, 0o600);
        set(&folder.path().join("allowed"), 0o1777);
        assert!(files.has(path, b"x").is_err() && files.record(path, b"y").is_err());
        set(&folder.path().join("allowed"), 0o700);
        assert!(files.has(path, b"x").expect("read"));
    }
}
