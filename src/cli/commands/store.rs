//! `store`: manages the embedded store. Values are read from stdin or a file, never from the command line, and are
//! printed only by `store get`.

mod import;

use std::io::{IsTerminal, Read};
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::adapters::stores::embedded::{EmbeddedStore, KeyOrigin, Listed, RekeyError, StoreError};
use crate::cli::args::StoreCommand;
use crate::cli::config::Config;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::document::to_bytes;
use crate::cli::output::printable::printable;
use crate::cli::output::schema::Time;
use crate::cli::output::terminal::to_stdout;
use crate::cli::wiring::embedded;
use crate::types::error_text::with_causes;
use crate::types::name::{EntryName, StoreName};
use crate::types::secret::SecretValue;
use crate::types::shell::operand;
use crate::types::time::Timestamp;

/// What `store list` prints.
#[derive(Serialize, JsonSchema)]
#[schemars(title = "rotator: store list")]
pub(super) struct Document {
    /// Fields are only added under this version.
    #[schemars(extend("const" = 1))]
    version: u32,
    /// The store.
    #[schemars(with = "String")]
    store: StoreName,
    /// Its entries.
    entries: Vec<EntryShown>,
}

/// An entry of the embedded store.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Entry")]
struct EntryShown {
    /// The name.
    #[schemars(with = "String")]
    name: EntryName,
    /// Its version, which each write changes.
    version: String,
    /// When it was written.
    #[schemars(with = "Time")]
    updated_at: Timestamp,
}

/// Runs `rotator store …`.
///
/// # Errors
/// Exit code 2 if the input is not valid, 1 if the store or an entry is missing or fails.
pub fn store(context: &Context, command: &StoreCommand) -> Result<Exit, CliError> {
    let config = context.config(&Default::default())?;
    match command {
        StoreCommand::List => list(context, &config)?,
        StoreCommand::Get { name, previous } => {
            let store = embedded::open(&config, &context.host)?;
            let value = if *previous { store.previous(name) } else { store.get(name) };
            let absent = || if *previous { no_previous(&config, name) } else { missing(&config, name) };
            to_stdout(value.map_err(|error| failed(&error))?.ok_or_else(absent)?.expose())?;
        }
        StoreCommand::Set { name, value } => {
            if !value.is_empty() {
                return Err(CliError::usage(
                    "a value on the command line is visible to every user of this machine, and kept in the shell's history",
                    format!(
                        "give it on stdin: rotator store set {} < FILE; and consider the one just given as known",
                        operand(name.as_str())
                    ),
                ));
            }
            set(context, &config, name)?;
        }
        StoreCommand::Import { file } => import(context, &config, file)?,
        StoreCommand::Rekey => rekey(context, &config)?,
        StoreCommand::Rm { name } => {
            let store = embedded::open(&config, &context.host)?;
            if !store.remove(name).map_err(|error| failed(&error))? {
                return Err(missing(&config, name));
            }
            context.terminal.say(&format!("removed {name}"));
        }
    }
    Ok(Exit::Done)
}

fn list(context: &Context, config: &Config) -> Result<(), CliError> {
    let store = embedded::open(config, &context.host)?;
    let entries = store.list().map_err(|error| failed(&error))?;
    if context.terminal.is_json() {
        let entries: Vec<_> = entries
            .into_iter()
            .map(|Listed { entry, version, updated_at }| EntryShown { name: entry, version: version.0, updated_at })
            .collect();
        let store = config.embedded()?.0.name.clone();
        return to_stdout(&to_bytes(&Document { version: 1, store, entries }));
    }
    let names: String = entries.iter().map(|listed| format!("{}\n", listed.entry)).collect();
    // A program gets the names unescaped.
    let is_watched = std::io::stdout().is_terminal();
    to_stdout(if is_watched { printable(&names) } else { names.into() }.as_bytes())
}

fn set(context: &Context, config: &Config, name: &EntryName) -> Result<(), CliError> {
    if std::io::stdin().is_terminal() {
        context.terminal.say("type the value; it ends with Ctrl-D on a line of its own, and that line's end is kept");
    }
    let value = read_all(std::io::stdin().lock(), "stdin")?;
    if value.is_empty() {
        return Err(CliError::usage(
            format!("stdin held no value for {name}"),
            format!("printf %s \"$VALUE\" | rotator store set {}", operand(name.as_str())),
        ));
    }
    let store = open_or_make(context, config)?;
    store.set(name.clone(), SecretValue::new(value.to_vec())).map_err(|error| failed(&error))?;
    context.terminal.say(&format!("set {name}"));
    Ok(())
}

fn import(context: &Context, config: &Config, file: &Path) -> Result<(), CliError> {
    let (text, from) = if file == Path::new("-") {
        (read_all(std::io::stdin().lock(), "stdin")?, "stdin".to_owned())
    } else {
        let from = file.display().to_string();
        let opened = std::fs::File::open(file).map_err(|error| {
            CliError::usage(
                format!("{from} cannot be read: {error}"),
                "nothing was imported; name a JSON file, or - for stdin",
            )
        })?;
        (read_all(opened, &from)?, from)
    };
    let entries = import::parse(&text).map_err(|problem| {
        CliError::usage(
            format!("{from} cannot be imported: {problem}"),
            "nothing was imported; write a JSON object such as {\"app1/production/AWS_ACCESS_KEY_ID\": \"…\"}",
        )
    })?;
    let number = entries.len();
    let store = open_or_make(context, config)?;
    store.import(entries).map_err(|error| failed(&error))?;
    context.terminal.say(&format!("imported {number} {}", if number == 1 { "entry" } else { "entries" }));
    Ok(())
}

fn rekey(context: &Context, config: &Config) -> Result<(), CliError> {
    let (uri, path) = config.embedded()?;
    let (key, new) = (embedded::store_key(&context.host)?, embedded::new_store_key(&context.host)?);
    let is_given = new.is_some();
    let origin = EmbeddedStore::rekey(path, key, new).map_err(|error| match &error {
        RekeyError::NewKeyMissing => CliError::usage(format!("failed to {error}"), "nothing was changed"),
        RekeyError::Open(_) | RekeyError::Store(_) => CliError::failed(
            format!("the store {} keeps its key: failed to {}", uri.name, with_causes(&error)),
            "fix the cause, then run `rotator store rekey` again",
        ),
        RekeyError::KeyFile(_) => CliError::failed(
            format!("every entry of {} is sealed under the new key, but failed to {}", uri.name, with_causes(&error)),
            if is_given {
                "from now on give the new key in ROTATOR_STORE_KEY, and remove the old key file"
            } else {
                "fix the cause; the next command that opens the store puts the new key in its place"
            },
        ),
    })?;
    let (where_it_is, old) = match origin {
        KeyOrigin::File(file) => {
            (format!("in the key file {}", file.display()), "the old key opens older backups only")
        }
        KeyOrigin::Given => (
            "the one of ROTATOR_STORE_NEW_KEY: from now on give it in ROTATOR_STORE_KEY".to_owned(),
            "the old key opens older backups only, and a key file of it was removed",
        ),
    };
    context.terminal.say(&format!("sealed every entry of {} again; the new key is {where_it_is}; {old}", uri.name));
    Ok(())
}

fn read_all(mut from: impl Read, name: &str) -> Result<Zeroizing<Vec<u8>>, CliError> {
    let mut bytes = Zeroizing::new(Vec::new());
    from.read_to_end(&mut bytes).map_err(|error| {
        CliError::usage(format!("{name} cannot be read: {error}"), "nothing was changed; try again")
    })?;
    Ok(bytes)
}

/// Opens the store, or makes it and reports that.
///
/// # Errors
/// Exit code 1 if the store can be neither opened nor made.
pub(super) fn open_or_make(context: &Context, config: &Config) -> Result<EmbeddedStore, CliError> {
    let (uri, path) = config.embedded()?;
    let (store, made) = open_or_make_at(context, path)?;
    if let Some(key) = made {
        context.terminal.say(&format!("made the store {}, {key}: back up both", uri.name));
    }
    Ok(store)
}

/// Opens the embedded store at `path`, or makes it. If it was made, the text says where its key is.
///
/// # Errors
/// Exit code 1 if the store can be neither opened nor made.
pub(super) fn open_or_make_at(
    context: &Context,
    path: &Path,
) -> Result<(EmbeddedStore, Option<&'static str>), CliError> {
    let was_there = path.exists();
    let key = embedded::store_key(&context.host)?;
    let own_key = key.is_some();
    let store = EmbeddedStore::open_or_create(path, key).map_err(|error| {
        CliError::failed(format!("failed to {}", with_causes(&error)), "name another with --store, or fix this one")
    })?;
    let key = if own_key { "sealed under ROTATOR_STORE_KEY" } else { "and, beside it, the key that seals it" };
    Ok((store, (!was_there).then_some(key)))
}

fn missing(config: &Config, name: &EntryName) -> CliError {
    let store = config.embedded().map(|(uri, _)| uri.name.to_string()).unwrap_or_default();
    CliError::failed(format!("the store {store} has no entry {name}"), "`rotator store list` shows what it has")
}

fn no_previous(config: &Config, name: &EntryName) -> CliError {
    let store = config.embedded().map(|(uri, _)| uri.name.to_string()).unwrap_or_default();
    CliError::failed(
        format!("the store {store} keeps no previous value of {name}"),
        "one is kept only while a rotation that replaced it is open; a backup of the store may have it",
    )
}

fn failed(error: &StoreError) -> CliError {
    CliError::failed(format!("failed to {}", with_causes(error)), "fix the cause, then try again")
}
