//! `[[sink]]`: write-only targets of new pairs, and the entries that each follows.

use globset::GlobSet;

use super::file::{FOLLOWS, SINK_FORMS, SinkTable};
use super::layers::Origin;
use super::stores::{StoreSettings, program_of};
use super::values::{base, globs};
use crate::adapters::{ExecProgram, shown_url};
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::{SinkName, StoreName};

/// The kind and the location of a sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SinkKind {
    /// A program that writes the pair.
    Exec(ExecProgram),
}

/// The settings of one sink.
#[derive(Debug)]
pub struct SinkSettings {
    /// The name of the sink in messages and in the journal.
    pub name: SinkName,
    pub kind: SinkKind,
    /// The entries whose pairs the sink gets.
    pub follows: GlobSet,
    /// The only store whose entries the sink follows, if one is set.
    pub of_store: Option<StoreName>,
}

/// The `[[sink]]` tables and their file.
#[derive(Clone, Copy)]
pub(super) struct Sinks<'a> {
    pub(super) tables: &'a [SinkTable],
    pub(super) origin: Option<&'a Origin>,
    pub(super) host: &'a HostEnv,
}

impl Sinks<'_> {
    /// Reads every table.
    pub(super) fn read(self, stores: &[StoreSettings]) -> Result<Vec<SinkSettings>, CliError> {
        let mut sinks: Vec<SinkSettings> = Vec::new();
        for table in self.tables {
            let sink = self.one(table, stores)?;
            if sinks.iter().any(|other| other.name == sink.name) {
                return Err(CliError::usage(
                    format!("two [[sink]] tables in {} are called {}", self.file(), sink.name),
                    "give each a name of its own: the journal tells them apart by it",
                ));
            }
            sinks.push(sink);
        }
        Ok(sinks)
    }

    /// The kind of the sink of a table.
    pub(super) fn kind(self, table: &SinkTable) -> Result<SinkKind, CliError> {
        match table.uri.split_once(':') {
            Some(("exec", command)) if !command.trim().is_empty() => {
                let program = program_of(command, base(self.origin, self.host), self.host)?;
                Ok(SinkKind::Exec(ExecProgram { env: table.env.clone(), ..program }))
            }
            Some(_) | None => Err(self.bad("uri", &table.uri, &format!("this version of rotator knows {SINK_FORMS}"))),
        }
    }

    fn one(self, table: &SinkTable, stores: &[StoreSettings]) -> Result<SinkSettings, CliError> {
        let kind = self.kind(table)?;
        let name = table.name.as_ref().unwrap_or(&table.uri);
        if table.follows.is_empty() {
            return Err(CliError::usage(format!("a [[sink]] in {} has no follows", self.file()), FOLLOWS));
        }
        let of_store = match &table.store {
            None => None,
            Some(name) => {
                let store = stores.iter().find(|store| store.uri.name.as_str() == name);
                let hint = "write the name of a configured store, or its URI";
                Some(store.ok_or_else(|| self.bad("store", name, hint))?.uri.name.clone())
            }
        };
        Ok(SinkSettings {
            name: SinkName::new(name.as_str()).map_err(|error| self.bad("name", name, &error.to_string()))?,
            kind,
            follows: globs(&table.follows, &format!("follows of [[sink]] in {}", self.file()))?,
            of_store,
        })
    }

    fn file(self) -> String {
        self.origin.map_or_else(String::new, ToString::to_string)
    }

    fn bad(self, key: &str, text: &str, hint: &str) -> CliError {
        CliError::usage(format!("{key} of [[sink]] in {} cannot be \"{}\"", self.file(), shown_url(text)), hint)
    }
}
