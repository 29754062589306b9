//! The copy of an encrypted file that `sops set` changes. The copy is in memory, so that no other user can replace
//! it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{MemfdFlags, memfd_create};

use crate::adapters::subprocess::child;
use crate::types::secret::SecretValue;

/// A file without a name.
pub(super) struct Copy {
    file: File,
}

impl Copy {
    pub(super) fn of(bytes: &[u8]) -> io::Result<Self> {
        let mut file = File::from(memfd_create("sops", MemfdFlags::CLOEXEC)?);
        file.write_all(bytes)?;
        Ok(Self { file })
    }

    /// Passes the file to the program, and returns the path for that program.
    pub(super) fn give_to(&self, command: &mut Command) -> PathBuf {
        child::inherits(command, &self.file);
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }

    /// The content of the file, unless it has more than `most` bytes.
    pub(super) fn content(mut self, most: u64) -> io::Result<SecretValue> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::new();
        self.file.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            return Err(io::Error::other("it has become too large"));
        }
        Ok(SecretValue::new(bytes))
    }
}
