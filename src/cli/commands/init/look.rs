//! Looks for stores on this machine. It reads files and variables, and contacts no server.

use std::fs;
use std::path::{Path, PathBuf};

use super::count::{Counted, count};
use super::documents::{Documents, MOST_BYTES, MOST_DOCUMENTS, is_document, is_dotenv, is_looked_into};
use super::found::{Found, NO_KEY, counted};
use crate::adapters::stores::embedded::EmbeddedStore;
use crate::cli::host_env::HostEnv;
use crate::cli::wiring::embedded::store_key;

/// The maximum number of folders below the working directory that are searched.
const MOST_FOLDERS: usize = 64;

/// What is said of a symbolic link, which no store follows.
const LINK: &str = "a link, left out: name its target";

/// What a store of sops needs.
const SEALED: &str = "encrypted with sops, and not decrypted by init; needs the program sops";

/// Where to look, and how to write what is found.
pub(super) struct Look<'h> {
    pub(super) host: &'h HostEnv,
    /// Whether the file that is written is in the working directory, so that relative paths mean the same in it.
    pub(super) beside: bool,
}

/// Something in the working directory.
struct Item {
    name: String,
    kind: fs::FileType,
}

impl Look<'_> {
    /// Everything that was found, in the order in which it is shown.
    pub(super) async fn look(&self) -> Vec<Found> {
        let items = self.items();
        let mut found = Vec::new();
        for item in items.iter().filter(|item| is_dotenv(&item.name) && !item.kind.is_dir()) {
            found.push(self.dotenv(item).await);
        }
        found.extend(self.documents(&items).await);
        let folders = self.folders(&items).await;
        let credentials = self.credentials(found.iter().chain(&folders)).await;
        found.extend(credentials);
        found.extend(folders);
        found.extend(self.embedded());
        found.extend(self.variables());
        let is_sealed = |one: &Found| one.comment.as_ref().is_some_and(|(uri, _)| uri.starts_with("sops:"));
        if !found.iter().any(is_sealed) && items.iter().any(|item| item.name == ".sops.yaml") {
            let comment =
                Some(("sops:FOLDER".to_owned(), "name the folder of the encrypted files; needs the program sops"));
            found.push(Found { comment, ..Found::said(".sops.yaml", "sops is used here: name its files in the file") });
        }
        found
    }

    /// What is in the working directory, by name. A name with a line break would leave its comment in the file.
    fn items(&self) -> Vec<Item> {
        let listed = fs::read_dir(&self.host.folder).into_iter().flatten().filter_map(Result::ok);
        let item = |item: fs::DirEntry| {
            Some(Item { name: item.file_name().into_string().ok()?, kind: item.file_type().ok()? })
        };
        let mut items: Vec<Item> =
            listed.filter_map(item).filter(|item| !item.name.contains(char::is_control)).collect();
        items.sort_by(|one, other| one.name.cmp(&other.name));
        items
    }

    /// The path of something in the working directory, as the file has it.
    fn written(&self, name: &str) -> String {
        match self.beside {
            // A `~` at the beginning is the home folder.
            true if name.starts_with('~') => format!("./{name}"),
            true => name.to_owned(),
            false => self.host.folder.join(name).display().to_string(),
        }
    }

    async fn dotenv(&self, item: &Item) -> Found {
        if item.kind.is_symlink() {
            return Found::said(&item.name, LINK);
        }
        let Ok(counted) = count(&self.host.folder.join(&item.name), std::slice::from_ref(&item.name)).await else {
            return Found::said(&item.name, "cannot be read");
        };
        self.file(&item.name, &self.written(&item.name), &counted)
    }

    /// The other documents of the working directory that hold keys. Those without keys are not shown: a folder of source
    /// code has many.
    async fn documents(&self, items: &[Item]) -> Vec<Found> {
        let documents =
            items.iter().filter(|item| item.kind.is_file() && !is_dotenv(&item.name) && is_document(&item.name));
        let mut found = Vec::new();
        for item in documents.take(MOST_DOCUMENTS) {
            let path = self.host.folder.join(&item.name);
            if path.metadata().is_ok_and(|metadata| metadata.len() > MOST_BYTES) {
                found.push(Found::said(&item.name, format!("not read: more than {} MiB", MOST_BYTES / 1024 / 1024)));
            } else if let Ok(counted) = count(&path, std::slice::from_ref(&item.name)).await
                && (counted.has_keys() || counted.sealed > 0)
            {
                found.push(self.file(&item.name, &self.written(&item.name), &counted));
            }
        }
        found
    }

    /// What is said of one file, and its store.
    fn file(&self, name: &str, path: &str, counted: &Counted) -> Found {
        let (says, stores) = if counted.has_keys() {
            (keys(counted), vec![format!("file:{path}")])
        } else if counted.sealed > 0 {
            ("encrypted with sops: a comment in the file".to_owned(), Vec::new())
        } else if counted.unread > 0 {
            ("cannot be read".to_owned(), Vec::new())
        } else {
            (NO_KEY.to_owned(), Vec::new())
        };
        let comment = (counted.sealed > 0).then(|| (format!("sops:{path}"), SEALED));
        Found { stores, comment, ..Found::said(name, says) }
    }

    /// The shared credentials file of AWS, unless one of these stores has it: a variable may name a file in the working
    /// directory.
    async fn credentials(&self, others: impl Iterator<Item = &Found>) -> Option<Found> {
        let (shown, path) = self.aws_file("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")?;
        let sso = self.aws_file("AWS_CONFIG_FILE", "~/.aws/config").map_or(0, |(_, path)| sso_profiles(&path));
        let sso = (sso > 0).then(|| counted(sso, "SSO profile"));
        let Ok(metadata) = path.symlink_metadata() else {
            return sso.map(|sso| Found::said("~/.aws/config", format!("{sso}: no key to rotate")));
        };
        let mut uris = others.flat_map(|other| &other.stores).filter_map(|uri| uri.strip_prefix("file:"));
        let is_covered = uris.any(|other| path.starts_with(self.host.folder.join(other)));
        if is_covered {
            return None;
        }
        if metadata.is_symlink() {
            return Some(Found::said(shown, LINK));
        }
        let name = path.file_name()?.to_str()?.to_owned();
        let Ok(counted) = count(&path, &[name]).await else { return Some(Found::said(shown, "cannot be read")) };
        let mut found = self.file(&shown, &shown, &counted);
        if counted.has_keys() && !counted.sections.is_empty() {
            let sections: Vec<String> = counted.sections.iter().map(|section| format!("[{section}]")).collect();
            found.says = format!("{} ({})", found.says, sections.join(", "));
        }
        found.says = [Some(found.says), sso].into_iter().flatten().collect::<Vec<_>>().join(", ");
        Some(found)
    }

    /// The path of a file of the AWS tools, as the file has it and as an absolute path.
    fn aws_file(&self, variable: &str, default: &str) -> Option<(String, PathBuf)> {
        let named = self.host.variable(variable);
        let path = self.host.absolute(&self.host.folder, Path::new(named.unwrap_or(default))).ok()?;
        let shown = if named.is_some() { path.to_str()?.to_owned() } else { default.to_owned() };
        (!shown.contains(char::is_control)).then_some((shown, path))
    }

    async fn folders(&self, items: &[Item]) -> Vec<Found> {
        let folders: Vec<&Item> =
            items.iter().filter(|item| item.kind.is_dir() && is_looked_into(&item.name)).collect();
        let mut found = Vec::new();
        for folder in folders.iter().take(MOST_FOLDERS) {
            found.extend(self.folder(&folder.name).await);
        }
        let more = folders.len().saturating_sub(MOST_FOLDERS);
        if more > 0 {
            found.push(Found::said("…", format!("{} not searched", counted(more, "more folder"))));
        }
        found
    }

    async fn folder(&self, name: &str) -> Option<Found> {
        let shown = format!("{name}/");
        let documents = match Documents::of(&self.host.folder.join(name)) {
            Ok(documents) => documents,
            Err(limit) => return Some(Found::said(shown, format!("not searched: {limit}"))),
        };
        if documents.names.is_empty() {
            return None;
        }
        let Ok(found) = count(&self.host.folder.join(name), &documents.names).await else {
            return Some(Found::said(shown, "cannot be read"));
        };
        if !found.has_keys() && found.sealed == 0 {
            return None;
        }
        let (path, number) = (self.written(name), counted(documents.names.len(), "file"));
        let mut says = if found.has_keys() {
            format!("{} in {} of {number}", keys(&found), found.files.len())
        } else {
            format!("no plain key in {number}")
        };
        if found.sealed > 0 {
            says = format!("{says}, {} encrypted with sops", found.sealed);
        }
        if found.unread > 0 {
            says = format!("{says}, {} not readable", found.unread);
        }
        // A store of the whole folder would also read what was left out here.
        let stores = match (found.has_keys(), documents.left_out) {
            (false, _) => Vec::new(),
            (true, true) => found.files.iter().map(|file| format!("file:{path}/{file}")).collect(),
            (true, false) => vec![format!("file:{path}")],
        };
        let comment = (found.sealed > 0).then(|| (format!("sops:{path}"), SEALED));
        Some(Found { stores, comment, ..Found::said(shown, says) })
    }

    /// The embedded store in its default place, if it is in use: a file that names other stores would hide it.
    fn embedded(&self) -> Option<Found> {
        let path = self.host.default_store().ok().filter(|path| path.exists())?;
        let shown = path.to_str()?;
        let open = || EmbeddedStore::open(&path, store_key(self.host).ok()?).ok()?.list().ok();
        let says = match open().map(|entries| entries.len()) {
            Some(0) => return None,
            Some(1) => "1 entry, embedded store".to_owned(),
            Some(entries) => format!("{entries} entries, embedded store"),
            // It may be in use, and a file without it would hide its keys. `plan` says why it does not open.
            None => "embedded store, cannot be opened".to_owned(),
        };
        Some(Found { stores: vec![format!("sqlite:{shown}")], ..Found::said(shown, says) })
    }

    /// Servers that variables name. They are not asked.
    fn variables(&self) -> Vec<Found> {
        let of = |variable: &str, uri: &str, needs: &'static str| {
            self.host.variable(variable)?;
            let said = Found::said(variable, format!("not asked: {uri} is a comment in the file"));
            Some(Found { comment: Some((uri.to_owned(), needs)), ..said })
        };
        let cluster = of("KUBECONFIG", "kubernetes:NAMESPACE", "KUBECONFIG is set: name a namespace");
        let vault = of("BAO_ADDR", "vault:MOUNT", "BAO_ADDR is set: name a mount of KV version 2");
        let vault =
            vault.or_else(|| of("VAULT_ADDR", "vault:MOUNT", "VAULT_ADDR is set: name a mount of KV version 2"));
        [cluster, vault].into_iter().flatten().collect()
    }
}

fn keys(found: &Counted) -> String {
    match (found.keys, found.not_editable) {
        (keys, 0) => counted(keys, "key"),
        (0, keys) => format!("{} that rotator cannot edit", counted(keys, "key")),
        (keys, more) => format!("{} and {more} that rotator cannot edit", counted(keys, "key")),
    }
}

/// The number of profiles that log in with SSO. Their sections name a session or a start URL.
fn sso_profiles(config: &Path) -> usize {
    let Ok(text) = fs::read_to_string(config) else { return 0 };
    let is_of_sso = |section: &&str| {
        let is_profile = section.starts_with("profile ") || section.starts_with("default]");
        let mut settings = section.lines().skip(1).map(|line| line.split('=').next().unwrap_or_default().trim());
        is_profile && settings.any(|setting| ["sso_session", "sso_start_url"].contains(&setting))
    };
    format!("\n{text}").split("\n[").skip(1).filter(is_of_sso).count()
}
