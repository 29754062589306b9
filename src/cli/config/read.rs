//! Reads a TOML value into a type of `serde`. An error keeps its parts: the key, what is wrong, and what is wanted.
//!
//! A number and a boolean may be in quotes, and a number counts as text: a variable and a flag have only text.

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
    Visitor,
};
use serde::{Deserialize, de};

/// What is wanted of a text or a number.
const ONE_VALUE: &str = "one value, in quotes where it is text";

/// Why a value cannot be read.
#[derive(Debug)]
pub(super) struct ReadError {
    /// The keys and positions from the outermost table to the value.
    pub(super) path: Vec<String>,
    pub(super) problem: Problem,
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) enum Problem {
    /// The table has a key that no field has.
    UnknownKey(String, &'static [&'static str]),
    MissingKey(&'static str),
    WrongForm {
        wanted: String,
    },
    WrongValue {
        found: String,
        wanted: String,
    },
}

/// Reads a table.
pub(super) fn read<T: DeserializeOwned>(table: &toml::Table) -> Result<T, ReadError> {
    T::deserialize(TableNode(table))
}

/// Reads a value that is written as one text, and parses it.
pub(super) fn parsed<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    wanted: &str,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<T, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| de::Error::invalid_value(Unexpected::Str(&text), &wanted))
}

/// The keys of a struct: the error for a key that it does not have lists them.
pub(super) fn keys_of<T: DeserializeOwned>() -> &'static [&'static str] {
    let unknown = toml::Table::from_iter([(String::new(), toml::Value::Boolean(true))]);
    match read::<T>(&unknown).err().map(|error| error.problem) {
        Some(Problem::UnknownKey(_, known)) => known,
        Some(Problem::MissingKey(_) | Problem::WrongForm { .. } | Problem::WrongValue { .. }) | None => &[],
    }
}

impl ReadError {
    fn new(problem: Problem) -> Self {
        Self { path: Vec::new(), problem }
    }

    fn below(mut self, key: String) -> Self {
        self.path.insert(0, key);
        self
    }
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}", self.path.join("."), self.problem)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: std::fmt::Display>(wanted: T) -> Self {
        Self::new(Problem::WrongForm { wanted: wanted.to_string() })
    }

    fn invalid_type(_: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::custom(wanted)
    }

    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        let found = if let Unexpected::Str(text) = found { text.to_owned() } else { found.to_string() };
        Self::new(Problem::WrongValue { found, wanted: wanted.to_string() })
    }

    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::WrongValue { found: found.to_owned(), wanted: one_of(known) })
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Problem::UnknownKey(key.to_owned(), known))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Problem::MissingKey(key))
    }
}

fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}

/// A value of the configuration.
struct Node<'a>(&'a toml::Value);

impl Node<'_> {
    fn text(&self) -> Option<String> {
        match self.0 {
            toml::Value::String(text) => Some(text.trim().to_owned()),
            toml::Value::Integer(number) => Some(number.to_string()),
            toml::Value::Float(number) => Some(number.to_string()),
            // A day may be written without quotes.
            toml::Value::Datetime(day) => Some(day.to_string()),
            toml::Value::Boolean(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
        }
    }
}

impl<'de> Deserializer<'de> for Node<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.0 {
            toml::Value::String(text) => visitor.visit_str(text),
            toml::Value::Integer(number) => visitor.visit_i64(*number),
            toml::Value::Float(number) => visitor.visit_f64(*number),
            toml::Value::Boolean(word) => visitor.visit_bool(*word),
            toml::Value::Datetime(_) => Err(de::Error::invalid_type(Unexpected::Other("a date"), &visitor)),
            toml::Value::Array(items) => visitor.visit_seq(Items { items, next: 0 }),
            toml::Value::Table(table) => TableNode(table).deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.text() {
            Some(text) => visitor.visit_string(text),
            None => Err(de::Error::custom(ONE_VALUE)),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let wanted = "true or false";
        match (self.0, self.text().as_deref()) {
            (toml::Value::Boolean(word), _) => visitor.visit_bool(*word),
            (_, Some("true")) => visitor.visit_bool(true),
            (_, Some("false")) => visitor.visit_bool(false),
            (_, Some(other)) => Err(de::Error::invalid_value(Unexpected::Str(other), &wanted)),
            (_, None) => Err(de::Error::custom(wanted)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.text() {
            Some(word) => visitor.visit_enum(StrDeserializer::new(&word)),
            None => Err(de::Error::custom(one_of(words))),
        }
    }

    /// Only a table has the fields of a struct. `serde` would read a list as the fields in their order.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        match self.0.as_table() {
            Some(table) => TableNode(table).deserialize_any(visitor),
            None => Err(de::Error::invalid_type(Unexpected::Other(self.0.type_str()), &visitor)),
        }
    }

    serde::forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct seq tuple tuple_struct map
        identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, ReadError> for Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A table of the configuration.
struct TableNode<'a>(&'a toml::Table);

impl<'de> Deserializer<'de> for TableNode<'_> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_map(Keys { rest: self.0.iter(), current: None })
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Items<'a> {
    items: &'a [toml::Value],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        let Some(item) = self.items.get(self.next) else { return Ok(None) };
        let at = self.next;
        self.next += 1;
        seed.deserialize(Node(item)).map(Some).map_err(|error| error.below(at.to_string()))
    }
}

struct Keys<'a> {
    rest: toml::map::Iter<'a, String, toml::Value>,
    current: Option<(&'a String, &'a toml::Value)>,
}

impl<'de> MapAccess<'de> for Keys<'_> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        self.current = self.rest.next();
        self.current.map(|(key, _)| seed.deserialize(StrDeserializer::new(key.as_str()))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        let (key, value) = self.current.ok_or_else(|| de::Error::custom("a key before its value"))?;
        seed.deserialize(Node(value)).map_err(|error| error.below(key.clone()))
    }
}
