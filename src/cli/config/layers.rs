//! The layers of the configuration: the file, the environment above the file, the flags above both. Each layer is
//! checked as a whole, also where a higher layer has another value.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::file::{AwsTable, FOLLOWS, File, MATCH, OwnerTable, PolicyTable, SINK_FORMS, STORE_FORMS};
use super::read::{Problem, ReadError, keys_of, read};
use crate::cli::error::CliError;

/// The sections of settings; the settings outside a section are at the top level.
const SECTIONS: [&str; 3] = ["policy", "owner", "aws"];

/// The tables that may be repeated. Except for `store`, they are no settings: no variable can replace them.
const TABLES: [&str; 4] = ["store", "rule", "account", "sink"];

/// Variables that are not settings of the file.
const OTHER_VARIABLES: [&str; 4] = ["ROTATOR_CONFIG", "ROTATOR_STORE_KEY", "ROTATOR_STORE_NEW_KEY", "ROTATOR_LOG"];

/// The prefix of variables for rotator's own tests.
const TEST_VARIABLES: &str = "ROTATOR_TEST_";

/// A setting as (section, key); the section of a top-level setting is empty.
type Setting = (&'static str, &'static str);

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A key in this file.
    File(PathBuf),
    /// An environment variable.
    Environment(String),
    /// A command-line flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "the environment ({name})"),
            Self::Flag(flag) => write!(f, "the command line ({flag})"),
        }
    }
}

/// Every setting, as the fields of the types name them.
pub(super) fn settings() -> Vec<Setting> {
    let top =
        keys_of::<File>().iter().filter(|key| !SECTIONS.contains(key) && (**key == "store" || !TABLES.contains(key)));
    let sections = [keys_of::<PolicyTable>(), keys_of::<OwnerTable>(), keys_of::<AwsTable>()];
    let below =
        SECTIONS.into_iter().zip(sections).flat_map(|(section, keys)| keys.iter().map(move |key| (section, *key)));
    top.map(|key| ("", *key)).chain(below).collect()
}

/// All settings, each from its highest layer.
#[derive(Debug, Default)]
pub(super) struct Layers {
    merged: toml::Table,
    /// The origin of each setting and of the repeated tables.
    origins: BTreeMap<(String, String), Origin>,
    /// The settings that the file has and a higher layer replaces.
    replaced: BTreeSet<(String, String)>,
}

impl Layers {
    /// The settings of all layers.
    pub(super) fn read(&self) -> Result<File, CliError> {
        read(&self.merged).map_err(|error| {
            let at = |index: usize| error.path.get(index).map_or("", String::as_str);
            let setting = if SECTIONS.contains(&at(0)) { (at(0), at(1)) } else { ("", at(0)) };
            let origin = self.origin(setting.0, setting.1).cloned();
            explain(error, &origin.unwrap_or(Origin::File(PathBuf::new())))
        })
    }

    /// The layer of a setting; none if it is not set.
    pub(super) fn origin(&self, section: &str, key: &str) -> Option<&Origin> {
        self.origins.get(&(section.to_owned(), key.to_owned()))
    }

    /// The origin of every setting that is set, as text.
    pub(super) fn origins(&self) -> impl Iterator<Item = (String, &Origin)> {
        self.origins.iter().map(|((section, key), origin)| (in_words(section, key), origin))
    }

    /// What a higher layer replaces in the file, in a sentence for each setting.
    pub(super) fn overridden(&self) -> Vec<String> {
        let of = |setting: &(String, String)| Some((in_words(&setting.0, &setting.1), self.origins.get(setting)?));
        let replaced = self.replaced.iter().filter_map(of);
        replaced.map(|(setting, origin)| format!("{setting} is from {origin}, not from the file")).collect()
    }

    fn insert(&mut self, section: &str, key: &str, value: toml::Value, origin: &Origin) {
        let setting = (section.to_owned(), key.to_owned());
        if let Some(Origin::File(_)) = self.origins.insert(setting.clone(), origin.clone()) {
            self.replaced.insert(setting);
        }
        if section.is_empty() {
            self.merged.insert(key.to_owned(), value);
            return;
        }
        let table = self.merged.entry(section).or_insert_with(|| toml::Table::new().into());
        if let Some(table) = table.as_table_mut() {
            table.insert(key.to_owned(), value);
        }
    }

    /// Adds a layer above the existing ones.
    fn add(&mut self, layer: toml::Table, origin: &Origin) -> Result<(), CliError> {
        read::<File>(&layer).map_err(|error| explain(error, origin))?;
        for (name, value) in layer {
            let section = value.as_table().filter(|_| SECTIONS.contains(&name.as_str()));
            let Some(section) = section else {
                self.insert("", &name, value, origin);
                continue;
            };
            section.iter().for_each(|(key, value)| self.insert(&name, key, value.clone(), origin));
        }
        Ok(())
    }

    fn add_one(&mut self, (section, key): Setting, value: toml::Value, origin: &Origin) -> Result<(), CliError> {
        let mut layer = Self::default();
        layer.insert(section, key, value, origin);
        self.add(layer.merged, origin)
    }

    /// Adds the values of a repeatable flag above the existing layers.
    pub(super) fn flags(&mut self, setting: Setting, flag: &'static str, values: &[String]) -> Result<(), CliError> {
        if values.is_empty() {
            return Ok(());
        }
        let values = values.iter().map(|value| toml::Value::from(value.as_str())).collect();
        self.add_one(setting, toml::Value::Array(values), &Origin::Flag(flag))
    }

    /// Adds the value of a flag above the existing layers.
    pub(super) fn flag(&mut self, setting: Setting, flag: &'static str, value: Option<&str>) -> Result<(), CliError> {
        value.map_or(Ok(()), |value| self.add_one(setting, toml::Value::from(value), &Origin::Flag(flag)))
    }

    /// Adds the environment above the existing layers. An empty variable is a value: it must not replace a safe value of
    /// the file by the default.
    pub(super) fn environment(&mut self, variables: &[(String, String)]) -> Result<(), CliError> {
        let settings = settings();
        for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("ROTATOR_")) {
            if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with(TEST_VARIABLES) {
                continue;
            }
            let Some(&setting) = settings.iter().find(|setting| variable(**setting) == *name) else {
                let known = settings.iter().map(|setting| variable(*setting));
                let known = known.chain(OTHER_VARIABLES.map(str::to_owned));
                return Err(CliError::usage(
                    format!("the environment has {name}, which rotator does not know"),
                    did_you_mean(name, known, "unset it"),
                ));
            };
            self.add_one(setting, of_variable(setting, value), &Origin::Environment(name.clone()))?;
        }
        Ok(())
    }

    /// Adds a file above the existing layers.
    pub(super) fn file(&mut self, path: &Path, text: &str) -> Result<(), CliError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // The error quotes neither the line, which the `Display` of the parser shows, nor a part of it: the line
            // may contain a secret, which must not reach a log.
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            CliError::usage(
                format!("{} is not valid TOML at line {line}", path.display()),
                "fix that line; `rotator init FILE` writes a valid file to compare with",
            )
        })?;
        self.add(table, &Origin::File(path.to_owned()))
    }
}

/// The value of a variable: a comma separates the items of a list, and a line break the URIs of stores, which may
/// contain commas and blanks.
fn of_variable(setting: Setting, value: &str) -> toml::Value {
    let items = || value.split(',').map(str::trim).filter(|text| !text.is_empty());
    let list = |texts: &mut dyn Iterator<Item = &str>| toml::Value::Array(texts.map(toml::Value::from).collect());
    match setting {
        ("", "store") => list(&mut value.lines().filter(|line| !line.trim().is_empty())),
        ("", "trusted_groups") | ("policy", "unread_ok") => list(&mut items()),
        ("policy", "only" | "exclude") if !value.trim().is_empty() => list(&mut items()),
        ("owner", "table") => {
            let line = |line: &str| {
                let (scope, user) = line.split_once('=').unwrap_or((line, ""));
                (scope.to_owned(), toml::Value::from(user))
            };
            toml::Value::Table(items().map(line).collect())
        }
        _ => toml::Value::from(value),
    }
}

/// What is wrong with a layer, and what to write instead.
fn explain(error: ReadError, origin: &Origin) -> CliError {
    let at = |index: usize| error.path.get(index).map_or("", String::as_str);
    let table = TABLES.iter().find(|table| at(0) == **table && error.path.len() > 1);
    let name = match (table, SECTIONS.contains(&at(0))) {
        (Some(table), _) if at(2).is_empty() => (*table).to_owned(),
        (Some(table), _) => format!("{} of [[{table}]]", at(2)),
        (None, true) if error.path.len() > 1 => in_words(at(0), at(1)),
        (None, _) => at(0).to_owned(),
    };
    match error.problem {
        Problem::UnknownKey(key, known) => match table {
            Some(table) => CliError::usage(
                format!("[[{table}]] in {origin} has `{key}`, which rotator does not know"),
                did_you_mean(&key, known.iter().map(|known| (*known).to_owned()), "remove it"),
            ),
            None => unknown_setting(at(0), &key, origin),
        },
        Problem::MissingKey(key) => {
            let hint = match (table, key) {
                (Some(&"sink"), "uri") => format!("write uri = \"…\" with one of {}", SINK_FORMS),
                (_, "uri") => format!("write uri = \"…\" with one of {}", STORE_FORMS),
                (_, "follows") => FOLLOWS.to_owned(),
                (_, "match") => MATCH.to_owned(),
                (_, key) => format!("write {key} = …"),
            };
            CliError::usage(format!("a [[{}]] in {origin} has no {key}", table.unwrap_or(&at(0))), hint)
        }
        Problem::WrongForm { wanted } => {
            let wanted = match (TABLES.contains(&at(0)), error.path.len()) {
                (true, ..=2) if at(0) != "store" => format!("[[{}]] tables", at(0)),
                (false, ..=1) if SECTIONS.contains(&at(0)) => format!("a [{}] table", at(0)),
                _ => wanted,
            };
            CliError::usage(format!("`{name}` in {origin} has the wrong form"), format!("write {wanted}"))
        }
        Problem::WrongValue { found, wanted } => {
            let from = if table.is_some() { "in" } else { "from" };
            CliError::usage(format!("{name} {from} {origin} cannot be \"{found}\""), format!("write {wanted}"))
        }
    }
}

fn unknown_setting(section: &str, key: &str, origin: &Origin) -> CliError {
    let name = in_words(section, key);
    let known = settings().into_iter().map(|(section, key)| in_words(section, key));
    let sections = SECTIONS.map(|section| format!("[{section}]"));
    let tables = ["[[rule]]", "[[account]]", "[[sink]]"].map(str::to_owned);
    let known: Vec<String> =
        if section.is_empty() { known.chain(sections).chain(tables).collect() } else { known.collect() };
    CliError::usage(
        format!("{origin} has `{name}`, which rotator does not know"),
        did_you_mean(&name, known.into_iter(), "remove it"),
    )
}

fn in_words(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("[{section}] {key}") }
}

/// The name of a setting's variable: `ROTATOR_<SECTION>_<KEY>`.
pub(super) fn variable((section, key): Setting) -> String {
    let separator = if section.is_empty() { "" } else { "_" };
    format!("ROTATOR_{section}{separator}{key}").to_ascii_uppercase()
}

/// The least similarity of two names for a suggestion, where 1 is equality.
const ALIKE: f64 = 0.75;

fn did_you_mean(name: &str, known: impl Iterator<Item = String>, otherwise: &str) -> String {
    // Parts that all names have in common do not count, and the section may be missing.
    let bare = |text: &str| text.rsplit("] ").next().unwrap_or(text).trim_matches(['[', ']']).replace("ROTATOR_", "");
    let without_section = |text: &str| {
        let sections = SECTIONS.iter().map(|section| format!("{}_", section.to_ascii_uppercase()));
        let mut found = sections.filter(|section| text.starts_with(section.as_str()));
        found.next().map_or_else(|| text.to_owned(), |section| text[section.len()..].to_owned())
    };
    let (name, like) = (bare(name), strsim::normalized_damerau_levenshtein);
    let likeness = |other: &str| like(&name, &bare(other)).max(like(&name, &without_section(&bare(other))));
    let best = known.max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match best {
        Some(best) if likeness(&best) >= ALIKE => format!("did you mean `{best}`? Otherwise {otherwise}"),
        Some(_) | None => format!("{otherwise}; `rotator init FILE` writes a file with every setting"),
    }
}
