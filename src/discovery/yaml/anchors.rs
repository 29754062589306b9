//! Computes the copies that anchors make of each node.
//!
//! A pair may be changed only if every alias and every merge that repeats one half also repeats the other. Otherwise
//! the change would break the pair of another reader, so nothing is expanded and the work is bounded.

use std::collections::{BTreeMap, HashMap};

/// What a node is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Scalar,
    Sequence,
    Mapping,
}

/// The nodes of a stream, numbered as they begin, and what is repeated where.
#[derive(Default)]
pub(super) struct Anchors {
    /// The mapping or sequence around each node.
    around: Vec<Option<usize>>,
    /// Which node each anchor of this document is of.
    anchored: HashMap<usize, (usize, Shape)>,
    /// The names in each mapping that may be merged or merges another, with the nodes under them.
    names: BTreeMap<usize, BTreeMap<String, usize>>,
    /// What is merged into each mapping, in order: by which node, and which mapping.
    merges: BTreeMap<usize, Vec<(usize, usize)>>,
    /// Where each node is repeated, as numbers of nodes.
    repeated: BTreeMap<usize, Vec<usize>>,
}

impl Anchors {
    /// Anchors do not reach into the next document.
    pub(super) fn begin_document(&mut self) {
        self.anchored.clear();
    }

    /// The number of a node that begins within `around`.
    pub(super) fn node(&mut self, around: Option<usize>, anchor: usize, shape: Shape) -> usize {
        let node = self.around.len();
        self.around.push(around);
        if anchor > 0 {
            self.anchored.insert(anchor, (node, shape));
        }
        node
    }

    /// `node` is an alias, and would be merged into a mapping. None where this document has no such anchor.
    pub(super) fn alias(&mut self, anchor: usize, node: usize, merges_into: Option<usize>) -> Option<()> {
        let (of, shape) = *self.anchored.get(&anchor)?;
        match (merges_into, shape) {
            (Some(into), Shape::Mapping) => self.merge(into, node, of),
            // Two scalars of one repeated mapping are repeated together.
            (_, Shape::Scalar) => {
                let around = self.around.get(node).copied().flatten();
                self.repeated.entry(of).or_default().push(around.unwrap_or(node));
            }
            (_, Shape::Sequence | Shape::Mapping) => self.repeated.entry(of).or_default().push(node),
        }
        Some(())
    }

    /// The mapping `of` is merged into the mapping `into` by `node`.
    pub(super) fn merge(&mut self, into: usize, node: usize, of: usize) {
        self.merges.entry(into).or_default().push((node, of));
    }

    /// A mapping has ended that has these names.
    pub(super) fn end_mapping(&mut self, node: usize, may_be_merged: bool, names: BTreeMap<String, usize>) {
        if may_be_merged || self.merges.contains_key(&node) {
            self.names.insert(node, names);
        }
    }

    /// A number for each of these nodes: equal for nodes that are always repeated together, 0 for a node without
    /// copies.
    pub(super) fn alias_groups(mut self, of: &[usize]) -> Vec<usize> {
        if self.merges.is_empty() && self.repeated.is_empty() {
            return vec![0; of.len()];
        }
        let (hidden, is_whole) = self.spread();
        let mut known: BTreeMap<(usize, &[usize], &[usize]), usize> = BTreeMap::new();
        let mut alias_groups: Vec<usize> = Vec::with_capacity(self.around.len());
        for (node, around) in self.around.iter().enumerate() {
            let outer = around.and_then(|around| alias_groups.get(around).copied()).unwrap_or_default();
            let at = |map: &BTreeMap<usize, Vec<usize>>| map.contains_key(&node);
            if !at(&self.repeated) && !at(&hidden) {
                alias_groups.push(outer);
                continue;
            }
            let here = self.repeated.get(&node).map_or(&[][..], Vec::as_slice);
            let not_here = hidden.get(&node).map_or(&[][..], Vec::as_slice);
            let next = known.len() + 1;
            alias_groups.push(*known.entry((outer, here, not_here)).or_insert(next));
        }
        let alias_group = |(index, node): (usize, &usize)| match alias_groups.get(*node).copied().unwrap_or_default() {
            // The work limit stopped the search for merges, so no repeated node may share a number with another.
            alias_group if alias_group > 0 && !is_whole => alias_groups.len() + index,
            alias_group => alias_group,
        };
        of.iter().enumerate().map(alias_group).collect()
    }

    /// Adds the copies that merges make, however many mappings merge each other. Returns the copies that another value
    /// of the same name hides, and whether all merges were followed.
    fn spread(&mut self) -> (BTreeMap<usize, Vec<usize>>, bool) {
        let mut work = self.around.len() * 8 + 1000;
        let mut hidden: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let merges = &self.merges;
        let none = BTreeMap::new();
        for (into, merged) in merges {
            // A name in one of these mappings hides the same name in a later one.
            let mut before = vec![*into];
            for (node, of) in merged {
                let mut reached = vec![*of];
                let mut at = 0;
                while let Some(mapping) = reached.get(at).copied() {
                    at += 1;
                    self.repeated.entry(mapping).or_default().push(*node);
                    let names = self.names.get(&mapping).unwrap_or(&none);
                    for earlier in &before {
                        let earlier = self.names.get(earlier).unwrap_or(&none);
                        let (fewer, more) =
                            if earlier.len() < names.len() { (earlier, names) } else { (names, earlier) };
                        let Some(rest) = work.checked_sub(fewer.len() + 1) else { return (hidden, false) };
                        work = rest;
                        for name in fewer.keys().filter(|name| more.contains_key(*name)) {
                            names.get(name).into_iter().for_each(|child| hidden.entry(*child).or_default().push(*node));
                        }
                    }
                    reached.extend(merges.get(&mapping).into_iter().flatten().map(|(_, inner)| *inner));
                }
                before.append(&mut reached);
            }
        }
        (hidden, true)
    }
}
