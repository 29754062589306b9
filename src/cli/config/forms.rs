//! The forms of the settings: how each kind of value is written in rotator.toml, in a variable and in a flag.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::read::parsed;
use crate::types::name::UserName;
use crate::types::time::Date;

/// How rotator logs in to Vault.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VaultAuth {
    #[default]
    Token,
    AppRole,
    Kubernetes,
}

impl fmt::Display for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Token => "token",
            Self::AppRole => "approle",
            Self::Kubernetes => "kubernetes",
        })
    }
}

/// What names the user of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum OwnerSource {
    Aws,
    Literal,
}

/// A time.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(with = "String", extend("title" = "time"))]
pub(super) struct Time(pub(super) Duration);

/// A time above 0.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(with = "String", extend("title" = "time above 0"))]
pub(super) struct PositiveTime(pub(super) Duration);

/// A time without a use, or never.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(with = "String", extend("title" = "time, or \"never\""))]
pub(super) struct Unused(pub(super) Option<Duration>);

/// The last day of an exclusion.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(with = "String", extend("format" = "date"))]
pub(super) struct LastDay(pub(super) Date);

impl<'de> Deserialize<'de> for LastDay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a day such as 2027-01-31", |text| text.parse().ok().map(Self))
    }
}

/// The least time without a use. IAM reports a use with an unpublished delay of hours.
const LEAST_UNUSED: Duration = Duration::from_secs(86_400);

/// A whole number with its least and its greatest value.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(extend("minimum" = LEAST, "maximum" = MOST))]
pub(super) struct Number<const LEAST: u32, const MOST: u32>(pub(super) u32);

/// Calls a second.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(extend("minimum" = 0.01))]
pub(super) struct Rate(pub(super) f64);

/// A text with `{app}` and `{environment}`.
#[derive(Debug, Clone, JsonSchema)]
pub(super) struct Template(pub(super) String);

/// The users of `<app>/<environment>`.
#[derive(Debug, Clone, JsonSchema)]
pub(super) struct Users(pub(super) BTreeMap<String, String>);

/// The numbers of groups: a directory server may decide what the name of a group means.
#[derive(Debug, Clone, Default)]
pub(super) struct Groups(pub(super) BTreeSet<u32>);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = |text: &str| humantime::parse_duration(text).ok().map(Self);
        parsed(deserializer, "a time such as 0s, 90s, 1h or 80d", time)
    }
}

impl<'de> Deserialize<'de> for PositiveTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = |text: &str| humantime::parse_duration(text).ok().filter(|time| !time.is_zero()).map(Self);
        parsed(deserializer, "a time above 0, such as 10s, 2m or 1h", time)
    }
}

impl<'de> Deserialize<'de> for Unused {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a time of at least 1d, such as 45d, or never", |text| match text {
            "never" => Some(Self(None)),
            time => {
                humantime::parse_duration(time).ok().filter(|time| *time >= LEAST_UNUSED).map(|time| Self(Some(time)))
            }
        })
    }
}

impl<'de, const LEAST: u32, const MOST: u32> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = |text: &str| text.parse().ok().filter(|number| (LEAST..=MOST).contains(number)).map(Self);
        parsed(deserializer, &format!("a whole number from {LEAST} to {MOST}"), number)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rate = |text: &str| text.parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate >= 0.01).map(Self);
        parsed(deserializer, "calls a second, at least 0.01, such as 10", rate)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer, "a text with {app}, {environment} and no other braces", |template| {
            let rest = template.replace("{app}", "").replace("{environment}", "");
            (!template.is_empty() && !rest.contains(['{', '}'])).then(|| Self(template.to_owned()))
        })
    }
}

impl<'de> Deserialize<'de> for Users {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UsersVisitor)
    }
}

struct UsersVisitor;

impl<'de> Visitor<'de> for UsersVisitor {
    type Value = Users;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("lines \"app/environment\" = \"user\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Users, A::Error> {
        let mut users = BTreeMap::new();
        while let Some(scope) = map.next_key::<String>()? {
            let user = map.next_value::<Quoted>().map_err(|_| de::Error::custom(&self as &dyn de::Expected))?.0;
            if scope.split('/').count() != 2 || UserName::new(user.as_str()).is_err() {
                return Err(de::Error::invalid_value(Unexpected::Str(&format!("{scope}={user}")), &self));
            }
            users.insert(scope, user);
        }
        Ok(Users(users))
    }
}

impl<'de> Deserialize<'de> for Groups {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wanted = "the numbers of groups, such as [2000]; `getent group NAME` shows that of a group";
        let texts = deserializer.deserialize_any(ListVisitor::<String>::new(wanted))?;
        let number =
            |text: &String| text.trim().parse().map_err(|_| de::Error::invalid_value(Unexpected::Str(text), &wanted));
        texts.iter().map(number).collect::<Result<_, D::Error>>().map(Self)
    }
}

/// One text, or a list of texts.
#[derive(JsonSchema)]
#[schemars(extend("type" = ["string", "array"], "items" = { "type": "string" }))]
pub(super) struct OneOrMany(#[expect(dead_code, reason = "only the schema is used")] String);

/// Reads one text, or a list of texts.
pub(super) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(ListVisitor::<Quoted>::new("a list of texts in quotes"))
}

/// Reads patterns of keys. An empty text is refused: an empty variable must not choose other keys than the file.
pub(super) fn key_patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let patterns = texts(deserializer)?;
    let wanted = "patterns of users, key ids, entries or <app>/<environment>, such as [\"shop/*\"]";
    match patterns.iter().any(String::is_empty) {
        true => Err(de::Error::invalid_value(Unexpected::Str(""), &wanted)),
        false => Ok(patterns),
    }
}

/// Reads the names of environment variables. The error for `NAME=value` has no value, which may be a secret.
pub(super) fn variable_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let wanted = "the names of environment variables, such as [\"GH_TOKEN\"]";
    let is_name = |name: &str| {
        let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        word && !name.is_empty() && !name.starts_with(|first: char| first.is_ascii_digit())
    };
    let names = texts(deserializer)?;
    match names.iter().find(|name| !is_name(name)) {
        Some(name) => {
            let shown = name.split_once('=').map_or_else(|| name.clone(), |(name, _)| format!("{name}=…"));
            Err(de::Error::invalid_value(Unexpected::Str(&shown), &wanted))
        }
        None => Ok(names),
    }
}

/// Reads the name of a region, which becomes a part of a host name.
pub(super) fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let of_a_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    parsed(deserializer, "the name of a region, such as eu-central-1", |text| {
        (!text.is_empty() && text.bytes().all(of_a_name)).then(|| Some(text.to_owned()))
    })
}

/// A text in quotes.
struct Quoted(String);

impl From<Quoted> for String {
    fn from(text: Quoted) -> Self {
        text.0
    }
}

impl<'de> Deserialize<'de> for Quoted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Quoted;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text in quotes")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quoted, E> {
                Ok(Quoted(text.to_owned()))
            }
        }
        deserializer.deserialize_any(Text)
    }
}

/// Reads a list of `T`, or one text or number.
struct ListVisitor<T>(&'static str, PhantomData<T>);

impl<T> ListVisitor<T> {
    const fn new(wanted: &'static str) -> Self {
        Self(wanted, PhantomData)
    }
}

impl<'de, T: DeserializeOwned + Into<String>> Visitor<'de> for ListVisitor<T> {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(vec![number.to_string()])
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(vec![number.to_string()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element::<T>().map_err(|_| de::Error::custom(self.0))? {
            texts.push(text.into());
        }
        Ok(texts)
    }
}
