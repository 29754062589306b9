//! The scalars of a stream of YAML documents, each with its bytes and its pointer through mappings and sequences.
//!
//! `saphyr-parser` parses the text and gives the position of each scalar; `scalar` accepts a position only if the
//! bytes confirm it. Aliases are never followed: a value is one field, at the position of its text, and `anchors`
//! computes its copies.

mod anchors;
mod scalar;

use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use self::anchors::{Anchors, Shape};
use super::field::{Field, Group, Room, Unclear, lies_beneath, segment};
use crate::types::place::Location;

/// Deeper documents are not read.
const DEEPEST: usize = 100;
/// Below longer pointers nothing is read: each field has a copy of its own.
const LONGEST_POINTER: usize = 4096;

/// The scalars of all documents of the stream in their order; none where the text is no YAML, or has no mapping and no
/// sequence.
pub(super) fn fields(text: &str) -> Option<Vec<Field>> {
    // What breaks a line in YAML 1.1 and does not in 1.2: two readers would see two documents.
    let is_break = |letter: char| matches!(letter, '\u{85}' | '\u{2028}' | '\u{2029}');
    if !text.contains([':', '-', '[', '{']) || text.contains(is_break) {
        return None;
    }
    let mut reader = Reader::new(text);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.ok()?;
        reader.event(event, span)?;
    }
    let Reader { mut fields, nodes, anchors, .. } = reader;
    for (field, alias_group) in fields.iter_mut().zip(anchors.alias_groups(&nodes)) {
        field.alias_group = alias_group;
    }
    (!fields.is_empty()).then_some(fields)
}

struct Reader<'t> {
    text: &'t str,
    offsets: Offsets<'t>,
    /// How many documents have begun.
    documents: usize,
    /// The first field of this document.
    first: usize,
    /// Pointers that this document has more than once.
    twice: BTreeSet<String>,
    open: Vec<Open>,
    fields: Vec<Field>,
    /// The node that each field is.
    nodes: Vec<usize>,
    anchors: Anchors,
    room: Room,
}

/// A mapping or sequence that has begun.
struct Open {
    node: usize,
    /// None where nothing beneath it can be pointed at.
    pointer: Option<String>,
    /// The mapping that the elements of this sequence are merged into.
    merges_into: Option<usize>,
    may_be_merged: bool,
    kind: Kind,
}

enum Kind {
    Sequence { next: usize },
    Mapping { key: Key, names: BTreeMap<String, usize> },
}

/// The key that a mapping is at.
enum Key {
    /// The next node is a key.
    Expected,
    Name(String),
    /// `<<`
    Merge,
    /// A mapping, a sequence or an alias.
    Complex,
}

/// The position of the next node.
enum Stands {
    AsKey,
    AsValue { pointer: Option<String>, name: Option<String>, merges_into: Option<usize> },
}

impl<'t> Reader<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            offsets: Offsets { text, character: 0, byte: 0 },
            documents: 0,
            first: 0,
            twice: BTreeSet::new(),
            open: Vec::new(),
            fields: Vec::new(),
            nodes: Vec::new(),
            anchors: Anchors::default(),
            room: Room::new(),
        }
    }

    /// None: not YAML that is read here.
    fn event(&mut self, event: Event<'_>, span: Span) -> Option<()> {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                self.first = self.fields.len();
                self.anchors.begin_document();
            }
            Event::DocumentEnd => self.end_document(),
            Event::Scalar(said, style, anchor, tag) => self.scalar(&said, style, anchor, tag.as_deref(), span)?,
            Event::Alias(anchor) => self.alias(anchor)?,
            Event::SequenceStart(anchor, _) => self.begin(anchor, Kind::Sequence { next: 0 })?,
            Event::MappingStart(anchor, _) => {
                self.begin(anchor, Kind::Mapping { key: Key::Expected, names: BTreeMap::new() })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
        }
        Some(())
    }

    fn end_document(&mut self) {
        let twice = std::mem::take(&mut self.twice);
        if twice.is_empty() {
            return;
        }
        for field in &mut self.fields[self.first..] {
            if let Location::Yaml { pointer, .. } = &field.location {
                field.twice = lies_beneath(&twice, pointer);
            }
        }
    }

    /// Takes the position of the next node. The caller sets the key afterwards, once it has read the node.
    fn step(&mut self) -> Stands {
        let Some(around) = self.open.last_mut() else {
            return Stands::AsValue { pointer: Some(String::new()), name: None, merges_into: None };
        };
        let beneath = |segment: &str| {
            let outer = around.pointer.as_ref()?;
            Some(format!("{outer}/{segment}")).filter(|pointer| pointer.len() <= LONGEST_POINTER)
        };
        match &mut around.kind {
            Kind::Sequence { next } => {
                *next += 1;
                let pointer = beneath(&(*next - 1).to_string());
                Stands::AsValue { pointer, name: None, merges_into: around.merges_into }
            }
            Kind::Mapping { key, .. } => match std::mem::replace(key, Key::Expected) {
                Key::Expected => Stands::AsKey,
                Key::Name(name) => {
                    Stands::AsValue { pointer: beneath(&segment(&name)), name: Some(name), merges_into: None }
                }
                Key::Merge => Stands::AsValue { pointer: beneath("<<"), name: None, merges_into: Some(around.node) },
                Key::Complex => Stands::AsValue { pointer: None, name: None, merges_into: None },
            },
        }
    }

    fn key(&mut self, is: Key) {
        if let Some(Open { kind: Kind::Mapping { key, .. }, .. }) = self.open.last_mut() {
            *key = is;
        }
    }

    /// A node in what is open; by its name, if it has one.
    fn node(&mut self, anchor: usize, shape: Shape, name: Option<&String>) -> usize {
        let node = self.anchors.node(self.open.last().map(|around| around.node), anchor, shape);
        if let (Some(Open { kind: Kind::Mapping { names, .. }, .. }), Some(name)) = (self.open.last_mut(), name) {
            names.insert(name.clone(), node);
        }
        node
    }

    fn begin(&mut self, anchor: usize, kind: Kind) -> Option<()> {
        if self.open.len() == DEEPEST {
            return None;
        }
        let stands = self.step();
        let is_mapping = matches!(kind, Kind::Mapping { .. });
        let shape = if is_mapping { Shape::Mapping } else { Shape::Sequence };
        let (node, pointer, merges_into) = match stands {
            Stands::AsKey => {
                self.key(Key::Complex);
                (self.node(anchor, shape, None), None, None)
            }
            Stands::AsValue { pointer, name, merges_into } => {
                (self.node(anchor, shape, name.as_ref()), pointer, merges_into)
            }
        };
        if let (Some(into), true) = (merges_into, is_mapping) {
            self.anchors.merge(into, node, node);
        }
        self.room.take(pointer.as_ref().map_or(0, String::len))?;
        // Only the merged mapping itself is merged, and not the nodes inside it.
        let is_merged = is_mapping && merges_into.is_some();
        let merges_into = if is_mapping { None } else { merges_into };
        self.open.push(Open { node, pointer, merges_into, may_be_merged: anchor > 0 || is_merged, kind });
        Some(())
    }

    fn end(&mut self) {
        if let Some(Open { node, may_be_merged, kind: Kind::Mapping { names, .. }, .. }) = self.open.pop() {
            self.anchors.end_mapping(node, may_be_merged, names);
        }
    }

    /// None where the anchor is not of this document.
    fn alias(&mut self, anchor: usize) -> Option<()> {
        let stands = self.step();
        let (node, merges_into) = match stands {
            Stands::AsKey => {
                self.key(Key::Complex);
                (self.node(0, Shape::Scalar, None), None)
            }
            Stands::AsValue { name, merges_into, .. } => (self.node(0, Shape::Scalar, name.as_ref()), merges_into),
        };
        self.anchors.alias(anchor, node, merges_into)
    }

    fn scalar(&mut self, said: &str, style: ScalarStyle, anchor: usize, tag: Option<&Tag>, span: Span) -> Option<()> {
        let (pointer, name) = match self.step() {
            Stands::AsKey => {
                self.node(anchor, Shape::Scalar, None);
                self.scalar_key(said, style, tag);
                return Some(());
            }
            Stands::AsValue { pointer, name, .. } => (pointer, name),
        };
        let node = self.node(anchor, Shape::Scalar, name.as_ref());
        // A scalar that is a whole document is no document to us.
        let (Some(pointer), Some(around)) = (pointer, self.open.last()) else { return Some(()) };
        let group = Group::Tree { document: self.documents.saturating_sub(1), pointer: around.pointer.clone()? };
        self.room.take_field(pointer.len() + around.pointer.as_ref().map_or(0, String::len))?;
        let (start, end) = (self.offsets.byte(span.start.index())?, self.offsets.byte(span.end.index())?);
        let read = scalar::read(self.text.get(start..end)?, said, style);
        let is_nothing = style == ScalarStyle::Plain && scalar::is_no_string(said);
        let is_tagged = tag.is_some_and(|tag| !(tag.is_yaml_core_schema() && tag.suffix == "str"));
        self.nodes.push(node);
        self.fields.push(Field {
            location: Location::Yaml { document: self.documents.saturating_sub(1), pointer },
            // What is there is no text, whatever its name says.
            name: name.filter(|_| !is_nothing),
            group,
            span: start + read.span.start..start + read.span.end,
            text: if is_tagged { Err(Unclear::Tagged) } else { read.text },
            writing: read.writing,
            twice: false,
            alias_group: 0,
        });
        Some(())
    }

    fn scalar_key(&mut self, said: &str, style: ScalarStyle, tag: Option<&Tag>) {
        let Some(Open { pointer, kind: Kind::Mapping { key, names }, .. }) = self.open.last_mut() else { return };
        if let (true, Some(pointer)) = (names.contains_key(said), pointer) {
            self.twice.insert(format!("{pointer}/{}", segment(said)));
        }
        *key = if said == "<<" && style == ScalarStyle::Plain && tag.is_none() {
            Key::Merge
        } else {
            Key::Name(said.to_owned())
        };
    }
}

/// From the parser's count of characters to bytes.
struct Offsets<'t> {
    text: &'t str,
    character: usize,
    byte: usize,
}

impl Offsets<'_> {
    /// Goes on from the last one, so all of them together are one pass over the text.
    fn byte(&mut self, character: usize) -> Option<usize> {
        while self.character < character {
            self.byte += self.text[self.byte..].chars().next()?.len_utf8();
            self.character += 1;
        }
        while self.character > character {
            self.byte -= self.text[..self.byte].chars().next_back()?.len_utf8();
            self.character -= 1;
        }
        Some(self.byte)
    }
}

#[cfg(test)]
mod tests;
