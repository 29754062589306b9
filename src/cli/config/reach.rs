//! What a configuration file would run, read and contact, without the environment and the flags. `rotator allow`
//! shows it before the file is trusted, and a file that was merely found needs permission for some of it.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use super::file::AccountTable;
use super::forms::VaultAuth;
use super::layers::Layers;
use super::sinks::{SinkKind, Sinks};
use super::stores::{self, StoreKind, StoreSettings};
use crate::adapters::{ExecProgram, shown_url};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;

/// The kind of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReachKind {
    /// Starts a program.
    Runs,
    /// Reads a file, and may write it.
    Reads,
    /// Calls a server.
    Contacts,
}

/// One action of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reach {
    pub kind: ReachKind,
    /// The target of the action, for an operator.
    pub what: String,
    /// Whether a file that was merely found needs permission for the action.
    pub asks: bool,
    /// Whether the file that is read is also written: a store or the journal.
    pub writes: bool,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = match self.kind {
            ReachKind::Runs => "runs",
            ReachKind::Reads if self.writes => "reads and writes",
            ReachKind::Reads => "reads",
            ReachKind::Contacts => "contacts",
        };
        write!(f, "{verb} {}", self.what)
    }
}

/// All actions of the file at `path`.
pub(super) fn reach(layers: &Layers, path: &Path, host: &HostEnv) -> Result<Vec<Reach>, CliError> {
    let mut reaches = Reaches { folder: resolved(path.parent().unwrap_or(Path::new("/"))), all: Vec::new() };
    let file = layers.read()?;
    if let Some(journal) = &file.journal {
        let base = path.parent().unwrap_or(&host.folder);
        reaches.file("the journal ", &host.absolute(base, Path::new(journal))?, true);
    }
    let stores = match file.store {
        Some(_) => stores::read(file.store, layers.origin("", "store"), host)?,
        None => Vec::new(),
    };
    stores.iter().for_each(|store| reaches.store(store));
    let sinks = Sinks { tables: &file.sink, origin: layers.origin("", "sink"), host };
    for table in sinks.tables {
        match sinks.kind(table)? {
            SinkKind::Exec(program) => {
                let name = table.name.as_ref().unwrap_or(&table.uri);
                reaches.program(&format!("the sink {name}"), &program, &program.env);
            }
        }
    }
    file.account.iter().for_each(|account| reaches.account(account));
    Ok(reaches.all)
}

struct Reaches {
    /// The folder of the file.
    folder: PathBuf,
    all: Vec<Reach>,
}

impl Reaches {
    fn add(&mut self, kind: ReachKind, asks: bool, what: String) {
        // Each action is printed as one line: a text of the file must not add lines or hide others.
        self.all.push(Reach { kind, what: what.replace('\n', "\\n"), asks, writes: false });
    }

    /// A file that is read; with `writes` it is written, too.
    fn file(&mut self, what: &str, path: &Path, writes: bool) {
        let real = resolved(path);
        let climbs = real.components().any(|part| matches!(part, Component::ParentDir));
        let is_outside = climbs || !real.starts_with(&self.folder);
        let note = if is_outside { " outside its folder" } else { "" };
        self.add(ReachKind::Reads, is_outside, format!("{what}{}{note}", real.display()));
        if let Some(last) = self.all.last_mut() {
            last.writes = writes;
        }
    }

    fn program(&mut self, of: &str, program: &ExecProgram, env: &[String]) {
        self.add(ReachKind::Runs, true, format!("`{}` for {of}{}", program.called(), given(env)));
    }

    fn store(&mut self, store: &StoreSettings) {
        let (name, writes) = (&store.uri.name, !store.table.read_only);
        match &store.uri.kind {
            StoreKind::Sqlite(path) => self.file("the embedded store ", path, writes),
            StoreKind::File(path) => self.file("", path, writes),
            StoreKind::Sops(path) => {
                self.file("", path, writes);
                let program = ExecProgram::of_words("sops");
                // Each encrypted file names the servers that are asked to decrypt it.
                self.program(
                    &format!("{name}, which asks the servers that the encrypted files name"),
                    &program,
                    &store.table.env,
                );
            }
            StoreKind::Exec(program) => self.program(&format!("the store {name}"), program, &store.table.env),
            StoreKind::Vault(_) => self.vault(store),
            StoreKind::Kubernetes(_) => self.kubernetes(store),
            StoreKind::SecretsManager(_) | StoreKind::ParameterStore(_) => {
                let region = store.table.region.as_deref().map_or_else(String::new, |region| format!(" in {region}"));
                self.add(ReachKind::Contacts, false, format!("AWS{region} for {name}"));
            }
        }
    }

    fn vault(&mut self, store: &StoreSettings) {
        let (name, table) = (&store.uri.name, &store.table);
        let believed = table
            .ca_file
            .as_ref()
            .map_or_else(String::new, |file| format!(", believing the certificates of {}", file.display()));
        match &table.address {
            Some(address) => {
                let what = format!("{} for {name}, with your token or login{believed}", shown_url(address));
                self.add(ReachKind::Contacts, true, what);
            }
            None => {
                let what = format!("the Vault of VAULT_ADDR or BAO_ADDR for {name}{believed}");
                self.add(ReachKind::Contacts, !believed.is_empty(), what);
            }
        }
        let files =
            [("token_file", &table.token_file), ("secret_id_file", &table.secret_id_file), ("ca_file", &table.ca_file)];
        for (key, file) in files {
            if let Some(file) = file {
                self.file(&format!("{key} "), file, false);
            }
        }
        if table.auth == Some(VaultAuth::Kubernetes) && table.token_file.is_none() {
            self.add(ReachKind::Reads, true, format!("the token of the pod's service account, to log in for {name}"));
        }
    }

    fn kubernetes(&mut self, store: &StoreSettings) {
        let name = &store.uri.name;
        let context = store.table.context.as_ref();
        let context =
            context.map_or_else(|| "the current context".to_owned(), |context| format!("the context {context}"));
        match &store.table.kubeconfig {
            Some(file) => {
                self.file("the kubeconfig ", file, false);
                let file = file.display();
                let plugin =
                    format!("the credential plugin that {file} names, if it names one{}", given(&store.table.env));
                self.add(ReachKind::Runs, true, plugin);
                self.add(ReachKind::Contacts, true, format!("the cluster of {context} in {file} for {name}"));
            }
            None => {
                if !store.table.env.is_empty() {
                    let plugin = format!("the credential plugin of your kubeconfig{}", given(&store.table.env));
                    self.add(ReachKind::Runs, true, plugin);
                }
                self.add(ReachKind::Contacts, false, format!("the cluster of {context} in your kubeconfig for {name}"));
            }
        }
    }

    fn account(&mut self, table: &AccountTable) {
        let part = |text: &Option<String>, before: &str| {
            text.as_ref().map_or_else(String::new, |text| format!("{before}{text}"))
        };
        let (id, role) = (part(&table.id, " "), part(&table.role, " as "));
        let profile = part(&table.profile, " with your AWS profile ");
        self.add(ReachKind::Contacts, false, format!("IAM of AWS account{id}{role}{profile}"));
    }
}

/// The environment variables that a program gets in addition to the standard list.
fn given(env: &[String]) -> String {
    if env.is_empty() { String::new() } else { format!(", which gets {}", env.join(", ")) }
}

/// `path` with all links resolved in the part that exists.
fn resolved(path: &Path) -> PathBuf {
    for ancestor in path.ancestors() {
        if let (Ok(real), Ok(rest)) = (ancestor.canonicalize(), path.strip_prefix(ancestor)) {
            // Joining an empty path would append a slash.
            return if rest.as_os_str().is_empty() { real } else { real.join(rest) };
        }
    }
    path.to_owned()
}
