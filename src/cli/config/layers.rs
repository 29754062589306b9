//! The layers of the configuration: the file, the environment above the file, the flags above both. This module knows
//! which settings exist, and not what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cli::error::CliError;

/// Every setting, as (section, key); the section of a top-level key is empty.
const SETTINGS: [(&str, &str); 23] = [
    ("", "journal"),
    ("", "store"),
    ("", "trusted_groups"),
    ("policy", "older_than"),
    ("policy", "overlap"),
    ("policy", "quarantine"),
    ("policy", "settle"),
    ("policy", "unclaimed_after"),
    ("policy", "confirmations"),
    ("policy", "proof_span"),
    ("policy", "proof_timeout"),
    ("policy", "spare_key"),
    ("policy", "unclaimed"),
    ("policy", "unread_ok"),
    ("policy", "still_in_use"),
    ("policy", "still_in_use_for"),
    ("policy", "scan_interval"),
    ("policy", "concurrency"),
    ("policy", "rate"),
    ("owner", "template"),
    ("owner", "table"),
    ("owner", "from"),
    ("aws", "call_timeout"),
];

/// Variables that are not settings of the file.
const OTHER_VARIABLES: [&str; 4] = ["ROTATOR_CONFIG", "ROTATOR_STORE_KEY", "ROTATOR_STORE_NEW_KEY", "ROTATOR_LOG"];

/// The prefix of variables for rotator's own tests.
const TEST_VARIABLES: &str = "ROTATOR_TEST_";

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

/// The value of a setting before it is parsed: one text, or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawSetting {
    pub(super) texts: Vec<String>,
    pub(super) origin: Origin,
}

/// The keys of a `[[store]]` table.
const OF_A_STORE: [&str; 21] = [
    "uri",
    "name",
    "scope",
    "include",
    "exclude",
    "read_only",
    "region",
    "account",
    "address",
    "namespace",
    "auth",
    "auth_mount",
    "role",
    "token_file",
    "secret_id_file",
    "ca_file",
    "kubeconfig",
    "context",
    "selector",
    "allow_insecure_tls",
    "env",
];

/// The keys of an `[[account]]` table.
const OF_AN_ACCOUNT: [&str; 9] =
    ["id", "name", "profile", "region", "role", "external_id", "session_name", "environments", "stores"];

/// The keys of a `[[sink]]` table.
const OF_A_SINK: [&str; 5] = ["uri", "name", "follows", "store", "env"];

/// A `[[store]]`, `[[account]]` or `[[sink]]` table of the file.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) file: PathBuf,
    values: BTreeMap<&'static str, Vec<String>>,
}

impl Table {
    /// The texts of a key; empty if the key is missing.
    pub(super) fn texts(&self, key: &str) -> &[String] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// The only text of a key.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.texts(key).first().map(|text| text.trim())
    }

    fn of(path: &Path, what: &str, keys: &[&'static str], table: &toml::Table) -> Result<Self, CliError> {
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let Some(known) = keys.iter().find(|known| *known == key) else {
                return Err(CliError::usage(
                    format!("[[{what}]] in {} has `{key}`, which rotator does not know", path.display()),
                    did_you_mean(key, keys.iter().map(|known| (*known).to_owned()), "remove it"),
                ));
            };
            values.insert(*known, texts(path, what, known, value)?);
        }
        Ok(Self { file: path.to_owned(), values })
    }
}

/// All settings, each from its highest layer.
#[derive(Debug, Default)]
pub(super) struct Layers {
    given: BTreeMap<(&'static str, &'static str), RawSetting>,
    /// The `[[store]]` tables, unless the environment or a flag names the stores.
    stores: Vec<Table>,
    accounts: Vec<Table>,
    sinks: Vec<Table>,
}

impl Layers {
    /// The value of a setting, if it is set.
    pub(super) fn get(&self, section: &'static str, key: &'static str) -> Option<&RawSetting> {
        self.given.get(&(section, key))
    }

    /// The `[[store]]` tables, if they determine the stores.
    pub(super) fn stores(&self) -> &[Table] {
        &self.stores
    }

    pub(super) fn accounts(&self) -> &[Table] {
        &self.accounts
    }

    pub(super) fn sinks(&self) -> &[Table] {
        &self.sinks
    }

    fn insert(&mut self, setting: (&'static str, &'static str), given: RawSetting) {
        if setting == ("", "store") {
            self.stores.clear();
        }
        self.given.insert(setting, given);
    }

    /// Adds the values of a repeatable flag above the existing layers.
    pub(super) fn flags(&mut self, section: &'static str, key: &'static str, flag: &'static str, values: &[String]) {
        if !values.is_empty() {
            self.insert((section, key), RawSetting { texts: values.to_vec(), origin: Origin::Flag(flag) });
        }
    }

    /// Adds the value of a flag above the existing layers.
    pub(super) fn flag(&mut self, section: &'static str, key: &'static str, flag: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            let given = RawSetting { texts: vec![value.to_owned()], origin: Origin::Flag(flag) };
            self.insert((section, key), given);
        }
    }

    /// Adds the environment above the existing layers. A comma separates the items of a list.
    pub(super) fn environment(&mut self, variables: &[(String, String)]) -> Result<(), CliError> {
        for (name, value) in variables.iter().filter(|(name, _)| name.starts_with("ROTATOR_")) {
            if OTHER_VARIABLES.contains(&name.as_str()) || name.starts_with(TEST_VARIABLES) {
                continue;
            }
            let Some(&(section, key)) = SETTINGS.iter().find(|setting| variable(**setting) == *name) else {
                let known = SETTINGS.iter().map(|setting| variable(*setting));
                let known = known.chain(OTHER_VARIABLES.map(str::to_owned));
                return Err(CliError::usage(
                    format!("the environment has {name}, which rotator does not know"),
                    did_you_mean(name, known, "unset it"),
                ));
            };
            let list = matches!((section, key), ("policy", "unread_ok") | ("owner", "table") | ("", "trusted_groups"));
            let texts = if (section, key) == ("", "store") {
                // A URI may contain commas and blanks, but no line breaks.
                value.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned).collect()
            } else if list {
                value.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect()
            } else {
                vec![value.clone()]
            };
            self.insert((section, key), RawSetting { texts, origin: Origin::Environment(name.clone()) });
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
        for (name, value) in table {
            if name == "store" && value.as_array().is_some_and(|array| array.iter().any(toml::Value::is_table)) {
                let texts = vec!["[[store]]".to_owned()];
                self.insert(("", "store"), RawSetting { texts, origin: Origin::File(path.to_owned()) });
                self.stores = tables(path, "store", &OF_A_STORE, &value, "[[store]] tables, or one list of URIs")?;
                continue;
            }
            if name == "account" {
                self.accounts = tables(path, "account", &OF_AN_ACCOUNT, &value, "[[account]] tables")?;
                continue;
            }
            if name == "sink" {
                self.sinks = tables(path, "sink", &OF_A_SINK, &value, "[[sink]] tables")?;
                continue;
            }
            let sections = SETTINGS.iter().filter(|(section, _)| *section == name).count();
            match value.as_table() {
                Some(section) if sections > 0 => {
                    for (key, value) in section {
                        self.file_key(path, &name, key, value)?;
                    }
                }
                Some(_) | None => self.file_key(path, "", &name, &value)?,
            }
        }
        Ok(())
    }

    fn file_key(&mut self, path: &Path, section: &str, key: &str, value: &toml::Value) -> Result<(), CliError> {
        let Some(&(section, key)) = SETTINGS.iter().find(|setting| **setting == (section, key)) else {
            let name = in_words(section, key);
            let known = SETTINGS.iter().map(|(section, key)| in_words(section, key));
            let sections = ["[policy]", "[owner]", "[aws]", "[[account]]", "[[sink]]"].map(str::to_owned);
            let known: Vec<String> = if section.is_empty() { known.chain(sections).collect() } else { known.collect() };
            return Err(CliError::usage(
                format!("{} has `{name}`, which rotator does not know", path.display()),
                did_you_mean(&name, known.into_iter(), "remove it"),
            ));
        };
        let texts = texts(path, section, key, value)?;
        self.insert((section, key), RawSetting { texts, origin: Origin::File(path.to_owned()) });
        Ok(())
    }
}

/// Reads all tables of one kind.
fn tables(
    path: &Path,
    what: &str,
    keys: &[&'static str],
    value: &toml::Value,
    wanted: &str,
) -> Result<Vec<Table>, CliError> {
    let wrong = || wrong_type(path, what, wanted);
    let of = |table: &toml::Value| Table::of(path, what, keys, table.as_table().ok_or_else(wrong)?);
    value.as_array().ok_or_else(wrong)?.iter().map(of).collect()
}

fn in_words(section: &str, key: &str) -> String {
    if section.is_empty() { key.to_owned() } else { format!("[{section}] {key}") }
}

/// Converts a value of the file to texts.
fn texts(path: &Path, section: &str, key: &str, value: &toml::Value) -> Result<Vec<String>, CliError> {
    let wrong = |wanted| wrong_type(path, &in_words(section, key), wanted);
    if (section, key) == ("owner", "table") {
        let table = value.as_table().ok_or_else(|| wrong("lines \"app/environment\" = \"user\""))?;
        let line = |(scope, user): (&String, &toml::Value)| Some(format!("{scope}={}", user.as_str()?));
        let lines: Option<Vec<String>> = table.iter().map(line).collect();
        return lines.ok_or_else(|| wrong("lines \"app/environment\" = \"user\""));
    }
    if let Some(list) = value.as_array().filter(|_| {
        ["unread_ok", "include", "exclude", "store", "environments", "stores", "follows", "env"].contains(&key)
    }) {
        let list: Option<Vec<String>> = list.iter().map(|text| text.as_str().map(str::to_owned)).collect();
        return list.ok_or_else(|| wrong("a list of texts in quotes"));
    }
    if let Some(list) = value.as_array().filter(|_| (section, key) == ("", "trusted_groups")) {
        let list: Option<Vec<String>> = list.iter().map(|id| id.as_integer().map(|id| id.to_string())).collect();
        return list.ok_or_else(|| wrong("a list of group numbers, such as [2000]"));
    }
    if let Some(word) = value.as_bool().filter(|_| ["read_only", "allow_insecure_tls"].contains(&key)) {
        return Ok(vec![word.to_string()]);
    }
    let text = value.as_str().map(str::to_owned);
    let text = text.or_else(|| value.as_integer().map(|number| number.to_string()));
    let text = text.or_else(|| value.as_float().map(|number| number.to_string()));
    text.map(|text| vec![text]).ok_or_else(|| wrong("one value, in quotes where it is text"))
}

fn wrong_type(path: &Path, name: &str, wanted: &str) -> CliError {
    CliError::usage(format!("`{name}` in {} has the wrong form", path.display()), format!("write {wanted}"))
}

/// The name of a setting's variable: `ROTATOR_<SECTION>_<KEY>`.
fn variable((section, key): (&str, &str)) -> String {
    let separator = if section.is_empty() { "" } else { "_" };
    format!("ROTATOR_{section}{separator}{key}").to_ascii_uppercase()
}

/// The least similarity of two names for a suggestion, where 1 is equality.
const ALIKE: f64 = 0.75;

fn did_you_mean(name: &str, known: impl Iterator<Item = String>, otherwise: &str) -> String {
    // Parts that all names have in common do not count, and the section may be missing.
    let bare = |text: &str| text.rsplit("] ").next().unwrap_or(text).trim_matches(['[', ']']).replace("ROTATOR_", "");
    let without_section = |text: &str| {
        let sections = SETTINGS.iter().map(|(section, _)| format!("{}_", section.to_ascii_uppercase()));
        let mut found = sections.filter(|section| section.len() > 1 && text.starts_with(section.as_str()));
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
