//! Documents inside the texts of a document: a credentials file in a field of a secret, JSON in a variable, a variable in
//! a list. One level down, and no further: each level has escapes of its own.

use std::collections::BTreeMap;

use super::connection;
use super::document;
use super::field::{Field, Group, Room, Unclear, Writing};
use super::key_format;
use super::label::Label;
use crate::types::place::Location;

/// The fields of the document that `outer`, a field of `document`, says; none where it says something else.
pub(super) fn fields(document: &str, outer: &Field, room: &mut Room) -> Option<Vec<Field>> {
    let said = outer.text.as_ref().ok()?;
    if !may_be(said) {
        return None;
    }
    let fields = document::fields(said)?;
    let offsets = connection::offsets(document, outer, said);
    let mut inside = Vec::with_capacity(fields.len());
    for field in fields {
        room.take_field(outer.location.names())?;
        let writing = written(field.writing);
        // The quotes of a JSON string may be escaped in the outer document. They are not replaced.
        let quote = usize::from(field.writing == Writing::JsonString);
        let span = offsets.as_ref().and_then(|offsets| offsets.of(&(field.span.start + quote..field.span.end - quote)));
        inside.push(Field {
            location: Location::Nested { within: Box::new(outer.location.clone()), location: Box::new(field.location) },
            name: field.name,
            group: field.group,
            text: if span.is_some() { field.text } else { field.text.and(Err(Unclear::Escaped)) },
            span: span.unwrap_or(outer.span.clone()),
            writing,
            twice: field.twice || outer.twice,
            alias_group: outer.alias_group,
        });
    }
    Some(inside)
}

/// How an inner text is written: only with what means itself in both documents.
const fn written(inner: Writing) -> Writing {
    match inner {
        Writing::Fixed => Writing::Fixed,
        Writing::Whole
        | Writing::JsonString
        | Writing::Bare
        | Writing::SingleQuoted
        | Writing::DoubleQuoted
        | Writing::YamlPlain
        | Writing::YamlLiteral
        | Writing::Part(_) => Writing::Bare,
    }
}

/// Most texts hold no document with a key in it: seen without reading them.
fn may_be(said: &str) -> bool {
    let has_id = said.contains("AKIA") || said.contains("ASIA");
    let is_document = said.contains('\n') || said.trim_start().starts_with(['{', '[']);
    (is_document && (has_id || said.to_ascii_lowercase().contains("access"))) || variable(said).is_some()
}

/// The name in a text that is one variable, `AWS_ACCESS_KEY_ID=…`.
fn variable(said: &str) -> Option<&str> {
    let (name, value) = said.split_once('=')?;
    let in_name = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let is_one = !name.is_empty() && name.bytes().all(in_name) && !value.contains(char::is_whitespace);
    (is_one && (Label::of(name).is_some() || key_format::has_id_form(value))).then_some(name)
}

/// What the fields of `document` hold one level down: the fields of each document in them, and in place of each element
/// of a list that is one variable that variable.
pub(super) fn unfold(document: &str, fields: &mut Vec<Field>) -> Vec<Vec<Field>> {
    let mut documents = Vec::new();
    let mut variables: BTreeMap<Location, Field> = BTreeMap::new();
    let mut room = Room::new();
    fields.retain(|outer| {
        let Some(mut inside) = self::fields(document, outer, &mut room) else { return true };
        let is_variable = outer.text.as_ref().is_ok_and(|said| variable(said).is_some());
        if is_variable {
            let is_element = outer.name.is_none() && matches!(outer.group, Group::Tree { .. });
            if is_element
                && inside.len() == 1
                && let Some(field) = inside.pop()
            {
                variables.insert(outer.location.clone(), Field { group: outer.group.clone(), ..field });
                return false;
            }
            return true;
        }
        let is_about_keys = |field: &Field| {
            field.name.as_deref().is_some_and(|name| Label::of(name).is_some())
                || field.text.as_ref().is_ok_and(|text| key_format::has_id_form(text))
        };
        if inside.iter().any(is_about_keys) {
            documents.push(inside);
            return false;
        }
        true
    });
    fields.extend(variables.into_values());
    documents
}
