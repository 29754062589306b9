//! `[[sink]]`: write-only targets of new pairs, and the entries that each follows.

use std::path::Path;

use globset::GlobSet;

use super::layers::Table;
use super::store_uri::program_of;
use super::stores::StoreSettings;
use super::values::{A_VARIABLE, globs, variables};
use crate::adapters::ExecProgram;
use crate::cli::error::CliError;
use crate::cli::host_env::HostEnv;
use crate::types::name::{SinkName, StoreName};

/// The forms a sink's URI may have.
const FORMS: &str = "exec:COMMAND";

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

/// Reads every `[[sink]]` table.
pub(super) fn read(tables: &[Table], stores: &[StoreSettings], host: &HostEnv) -> Result<Vec<SinkSettings>, CliError> {
    let mut sinks: Vec<SinkSettings> = Vec::new();
    for table in tables {
        let sink = one(table, stores, host)?;
        if sinks.iter().any(|other| other.name == sink.name) {
            return Err(CliError::usage(
                format!("two [[sink]] tables in {} are called {}", table.file.display(), sink.name),
                "give each a name of its own: the journal tells them apart by it",
            ));
        }
        sinks.push(sink);
    }
    Ok(sinks)
}

/// The kind of the sink of a table.
pub(super) fn kind(table: &Table, host: &HostEnv) -> Result<SinkKind, CliError> {
    let file = table.file.display();
    let bad = |key: &str, text: &str, hint: &str| {
        CliError::usage(format!("{key} of [[sink]] in {file} cannot be \"{text}\""), hint)
    };
    match table.text("uri").map(|uri| (uri, uri.split_once(':'))) {
        Some((_, Some(("exec", command)))) if !command.trim().is_empty() => {
            let env = variables(table).map_err(|name| bad("env", &name, A_VARIABLE))?;
            let base = table.file.parent().unwrap_or(Path::new("."));
            Ok(SinkKind::Exec(ExecProgram { env, ..program_of(command, base, host) }))
        }
        Some((uri, Some(_) | None)) => Err(bad("uri", uri, &format!("this version of rotator knows {FORMS}"))),
        None => Err(CliError::usage(
            format!("a [[sink]] in {file} has no uri"),
            format!("write uri = \"…\" with one of {FORMS}"),
        )),
    }
}

fn one(table: &Table, stores: &[StoreSettings], host: &HostEnv) -> Result<SinkSettings, CliError> {
    let file = table.file.display();
    let bad = |key: &str, text: &str, hint: &str| {
        CliError::usage(format!("{key} of [[sink]] in {file} cannot be \"{text}\""), hint)
    };
    let missing = |key: &str, hint: &str| CliError::usage(format!("a [[sink]] in {file} has no {key}"), hint);
    let kind = kind(table, host)?;
    let name = table.text("name").or(table.text("uri")).unwrap_or_default();
    let follows = table.texts("follows");
    if follows.is_empty() {
        return Err(missing(
            "follows",
            "write follows = [\"<app>/<environment>/<secret-name>\"]: whose pairs it is to have",
        ));
    }
    let of_store = match table.text("store") {
        None => None,
        Some(name) => {
            let store = stores.iter().find(|store| store.uri.name.as_str() == name);
            let store = store.ok_or_else(|| bad("store", name, "write the name of a configured store, or its URI"))?;
            Some(store.uri.name.clone())
        }
    };
    Ok(SinkSettings {
        name: SinkName::new(name).map_err(|error| bad("name", name, &error.to_string()))?,
        kind,
        follows: globs(follows, "follows")?,
        of_store,
    })
}
