//! `sops:PATH`: a file that is encrypted with sops, or every such file of a folder. An entry is the whole decrypted
//! document in the file's own format.
//!
//! To write, `sops set` changes the differing texts in a copy without a name, the copy is decrypted to verify the
//! result, and its bytes replace the file as in `file:`. A reader sees the old document or the new one; recipients,
//! key groups, comments and order stay. A sops process that outlives rotator can write to the copy only.

mod copy;
pub(super) mod format;
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use zeroize::Zeroizing;

use super::file::{FileStore, FileStoreError, LARGEST};
use super::{Backend, NativeWrite};
use crate::adapters::subprocess::child::LEAST_TIME;
use crate::journal::write_ahead::WriteOrder;
use crate::ports::call::{CallError, CallErrorKind};
use crate::ports::secret_store::{Capabilities, Reading, Writable};
use crate::types::failure::{Failure, Refusal, RefusalKind};
use crate::types::name::StoreIdentity;
use crate::types::secret::SecretValue;
use copy::Copy;
pub use format::is_encrypted;
use format::{Change, Format};
pub use program::SopsProgramError;
use program::{Sops, SopsError};

/// The number of files that are decrypted at the same time.
const AT_ONCE: usize = 8;

/// The index of the document in a file that sops treats as one value.
const WHOLE: &str = "[\"data\"]";

/// Why a sops store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum SopsStoreError {
    /// The file or folder cannot be opened.
    #[error(transparent)]
    File(#[from] FileStoreError),
    /// The program cannot be used.
    #[error(transparent)]
    Program(#[from] SopsProgramError),
}

/// One file, or the encrypted files of a folder.
pub struct SopsStore {
    files: FileStore,
    inner: Arc<Inner>,
}

struct Inner {
    sops: Sops,
    /// Whether a file that is not encrypted is left out instead of being reported.
    is_folder: bool,
}

impl SopsStore {
    /// Opens the file or folder at `path`, and checks the version of the program. `env` names the variables that the
    /// program gets in addition to those for every `sops`.
    ///
    /// # Errors
    /// [`SopsStoreError`]; a missing path is never created.
    pub async fn open(
        path: &Path,
        program: &str,
        env: Vec<String>,
        call_timeout: Duration,
    ) -> Result<Self, SopsStoreError> {
        let files = FileStore::open_sealed(path)?;
        let (program, limit) = (program.to_owned(), call_timeout.max(LEAST_TIME));
        let no_answer = SopsProgramError::NoVersion { program: program.clone() };
        let found = tokio::task::spawn_blocking(move || Sops::find(&program, env, limit)).await;
        let sops = found.unwrap_or(Err(no_answer))?;
        let is_folder = !files.is_one_file();
        Ok(Self { files, inner: Arc::new(Inner { sops, is_folder }) })
    }

    /// Decrypts the content of a file.
    async fn decrypted(&self, name: &str, reading: Reading) -> Reading {
        let (version, value, not_ours) = match reading {
            Reading::Value { version, value } => (version, value, None),
            Reading::Managed { version, value, why } => (version, value, Some(why)),
            Reading::Large(large) => return Reading::Unreadable(large.why),
            other @ (Reading::Missing | Reading::Unreadable(_)) => return other,
        };
        if !is_encrypted(value.expose()) {
            return Reading::Unreadable("it is not encrypted with sops".to_owned());
        }
        let path = self.files.path_of(name);
        let (inner, format) = (Arc::clone(&self.inner), Format::of(name));
        let decrypted = tokio::task::spawn_blocking(move || inner.sops.decrypt(&path, format, value.expose())).await;
        match decrypted {
            Ok(Ok(value)) => match not_ours {
                Some(why) => Reading::Managed { version, value, why },
                None => Reading::Value { version, value },
            },
            Ok(Err(error)) => Reading::Unreadable(error.to_string()),
            Err(_) => Reading::Unreadable("sops gave no answer".to_owned()),
        }
    }

    async fn all_decrypted(&self, read: Vec<(String, Reading)>) -> Vec<(String, Reading)> {
        let mut decrypting = Vec::with_capacity(read.len());
        for (name, reading) in read {
            decrypting.push(async move {
                let reading = self.decrypted(&name, reading).await;
                (name, reading)
            });
        }
        futures_util::stream::iter(decrypting).buffered(AT_ONCE).collect().await
    }
}

#[async_trait]
impl Backend for SopsStore {
    fn capabilities(&self) -> Capabilities {
        self.files.capabilities()
    }

    async fn identity(&self) -> Result<StoreIdentity, CallError> {
        let files = self.files.identity().await?;
        StoreIdentity::new(format!("sops in {files}"))
            .map_err(|error| CallError::new(CallErrorKind::Other, error.to_string()))
    }

    async fn read_all(&self) -> Result<Vec<(String, Reading)>, CallError> {
        let mut read = self.files.read_all().await?;
        if self.inner.is_folder {
            read.retain(|(_, reading)| match reading {
                Reading::Value { value, .. } | Reading::Managed { value, .. } => is_encrypted(value.expose()),
                // A file that cannot be read any more may be encrypted.
                Reading::Large(large) => !large.open().is_ok_and(|value| {
                    format::is_encrypted_where_it_is(&*value).is_ok_and(|is_encrypted| !is_encrypted)
                }),
                Reading::Missing | Reading::Unreadable(_) => true,
            });
        }
        Ok(self.all_decrypted(read).await)
    }

    async fn read(&self, names: &[String]) -> Result<Vec<Reading>, CallError> {
        let read = names.iter().cloned().zip(self.files.read(names).await?).collect();
        Ok(self.all_decrypted(read).await.into_iter().map(|(_, reading)| reading).collect())
    }

    async fn writable(&self, names: &[String]) -> Vec<Writable> {
        self.files.writable(names).await
    }

    async fn held(&self, names: &[String]) -> Option<String> {
        self.files.held(names).await
    }

    async fn write(&self, order: WriteOrder, batch: Vec<NativeWrite>) -> Result<(), Failure> {
        // All files are encrypted before the first one is replaced, so that a pair in two files is inconsistent for
        // an instant only.
        let mut encrypted = Vec::with_capacity(batch.len());
        for write in batch {
            let (inner, files) = (Arc::clone(&self.inner), self.files.clone());
            let made = tokio::task::spawn_blocking(move || inner.encrypt(&files, write)).await;
            encrypted.push(made.unwrap_or_else(|_| Err(refused(RefusalKind::Other, "sops gave no answer")))?);
        }
        self.files.write(order, encrypted).await
    }

    async fn forget_previous(&self, names: &[String]) -> Result<(), CallError> {
        self.files.forget_previous(names).await
    }
}

impl Inner {
    /// The encrypted bytes of a file with the new content. Only a copy of the file is changed.
    fn encrypt(&self, files: &FileStore, write: NativeWrite) -> Result<NativeWrite, Failure> {
        let path = &files.path_of(&write.name);
        let about = |why: &dyn std::fmt::Display| refused(RefusalKind::Other, &format!("{}: {why}", path.display()));
        let read = files.read_one(&write.name).map_err(|why| about(&why))?;
        let Some((_, encrypted)) = read.filter(|(version, _)| *version == write.replaces) else {
            let why = format!("{}: it has changed since it was read", path.display());
            return Err(refused(RefusalKind::Stale, &why));
        };
        let format = Format::of(&write.name);
        let (name, replaces, wanted) = (write.name, write.replaces, write.value);
        let document = self.sops.decrypt(path, format, encrypted.expose()).map_err(|error| about(&error))?;
        if document == wanted {
            return Ok(NativeWrite { name, replaces, value: encrypted });
        }
        let changes = self.changes(path, format, &document, &wanted).map_err(|why| about(&why))?;
        if changes.is_empty() {
            return Err(about(
                &"what would change in it is no text of the first document, and `sops set` cannot do that",
            ));
        }
        let copy = Copy::of(encrypted.expose()).map_err(|error| about(&error))?;
        for change in &changes {
            self.sops.set(&copy, path, format, change).map_err(|error| about(&error))?;
        }
        let value = copy.content(LARGEST).map_err(|error| about(&error))?;
        let now = self.sops.decrypt(path, format, value.expose()).map_err(|error| about(&error))?;
        if self.is_same(path, format, &now, &wanted).map_err(|error| about(&error))? {
            return Ok(NativeWrite { name, replaces, value });
        }
        Err(about(&"more than the pair would change in it"))
    }

    /// The changes from `document` to `wanted`.
    fn changes(
        &self,
        path: &Path,
        format: Format,
        document: &SecretValue,
        wanted: &SecretValue,
    ) -> Result<Vec<Change>, String> {
        if format == Format::Binary {
            let text = wanted.expose_text().ok_or("what is not UTF-8 cannot be given to `sops set`")?;
            return Ok(vec![Change { index: WHOLE.to_owned(), text: Zeroizing::new(text.to_owned()) }]);
        }
        let tree = |text| self.sops.tree(path, format, text).map_err(|error| error.to_string());
        format::changes(tree(document)?, tree(wanted)?).map_err(|error| error.to_string())
    }

    /// Whether both documents are equal: byte for byte, or as sops parses them, since it quotes texts in its own way.
    /// Comments are not compared then; neither `sops set` nor rotator changes any. Of several documents in one file
    /// sops returns only the first, so these have to be equal byte for byte.
    fn is_same(&self, path: &Path, format: Format, one: &SecretValue, other: &SecretValue) -> Result<bool, SopsError> {
        if one == other {
            return Ok(true);
        }
        let is_several = |value: &SecretValue| memchr::memmem::find(value.expose(), b"\n---").is_some();
        match format {
            Format::Binary => Ok(false),
            Format::Yaml if is_several(one) || is_several(other) => Ok(false),
            Format::Json | Format::Yaml | Format::Dotenv | Format::Ini => {
                let changes = format::changes(self.sops.tree(path, format, one)?, self.sops.tree(path, format, other)?);
                Ok(changes.is_ok_and(|changes| changes.is_empty()))
            }
        }
    }
}

fn refused(kind: RefusalKind, why: &str) -> Failure {
    Failure::Refused(Refusal::new(kind, why))
}
