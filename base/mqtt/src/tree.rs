//! A tree of topic filters: finds everything subscribed to a topic in one walk.

use std::collections::HashMap;

use crate::Filter;
use crate::filter::levels;

/// Values under topic filters. One filter may hold many values.
#[derive(Debug, Clone)]
pub struct FilterTree<T> {
    root: Node<T>,
    len: usize,
}

#[derive(Debug, Clone)]
struct Node<T> {
    names: HashMap<Box<[u8]>, Node<T>>,
    /// Behind `+`.
    any: Option<Box<Node<T>>>,
    /// Values of the filter that ends here.
    here: Vec<T>,
    /// Values of the filter that ends in `#` below here; it matches this level too.
    below: Vec<T>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Node { names: HashMap::new(), any: None, here: Vec::new(), below: Vec::new() }
    }
}

impl<T> Default for FilterTree<T> {
    fn default() -> Self {
        FilterTree { root: Node::default(), len: 0 }
    }
}

impl<T> FilterTree<T> {
    /// An empty tree.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value; equal ones are not merged.
    pub fn insert(&mut self, filter: &Filter, value: T) {
        let mut node = &mut self.root;
        self.len += 1;
        for level in levels(filter.as_bytes()) {
            match level {
                b"#" => return node.below.push(value),
                b"+" => node = node.any.get_or_insert_default(),
                name => {
                    if !node.names.contains_key(name) {
                        node.names.insert(name.into(), Node::default());
                    }
                    // Inserted just above if it was not there.
                    let Some(next) = node.names.get_mut(name) else { return };
                    node = next;
                }
            }
        }
        node.here.push(value);
    }

    /// Removes the values of a filter that `unwanted` picks and says how many. Branches that fall empty are freed.
    pub fn remove(&mut self, filter: &Filter, unwanted: impl FnMut(&T) -> bool) -> usize {
        let removed = self.root.remove(&mut levels(filter.as_bytes()), unwanted);
        self.len -= removed;
        removed
    }

    /// Calls `found` for every value whose filter matches the topic.
    pub fn for_each_match<'a>(&'a self, topic: &[u8], mut found: impl FnMut(&'a T)) {
        let root = &self.root;
        let (first, rest) = split_level(topic);
        if first.first() == Some(&b'$') {
            // Wildcards at the first level do not see these topics.
            if let Some(node) = root.names.get(first) {
                node.visit(rest, &mut found);
            }
        } else {
            root.visit(Some(topic), &mut found);
        }
    }
}

impl<T> Node<T> {
    /// `rest` is what is left of the topic below this node. Recursion is bounded by the depth of the tree, `MAX_LEVELS`.
    fn visit<'a>(&'a self, rest: Option<&[u8]>, found: &mut impl FnMut(&'a T)) {
        self.below.iter().for_each(&mut *found);
        let Some(rest) = rest else {
            self.here.iter().for_each(found);
            return;
        };
        let (name, rest) = split_level(rest);
        if let Some(node) = self.names.get(name) {
            node.visit(rest, found);
        }
        if let Some(node) = &self.any {
            node.visit(rest, found);
        }
    }

    fn remove<'f>(&mut self, levels: &mut impl Iterator<Item = &'f [u8]>, unwanted: impl FnMut(&T) -> bool) -> usize {
        match levels.next() {
            None => remove_from(&mut self.here, unwanted),
            Some(b"#") => remove_from(&mut self.below, unwanted),
            Some(b"+") => {
                let Some(node) = &mut self.any else { return 0 };
                let removed = node.remove(levels, unwanted);
                if node.is_empty() {
                    self.any = None;
                }
                removed
            }
            Some(name) => {
                let Some(node) = self.names.get_mut(name) else { return 0 };
                let removed = node.remove(levels, unwanted);
                if node.is_empty() {
                    self.names.remove(name);
                }
                removed
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.any.is_none() && self.here.is_empty() && self.below.is_empty()
    }
}

fn remove_from<T>(values: &mut Vec<T>, mut unwanted: impl FnMut(&T) -> bool) -> usize {
    let before = values.len();
    values.retain(|value| !unwanted(value));
    before - values.len()
}

fn split_level(topic: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'/', topic) {
        Some(at) => (&topic[..at], Some(&topic[at + 1..])),
        None => (topic, None),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn level() -> impl Strategy<Value = &'static str> {
        prop::sample::select(vec!["a", "b", "", "$x", "+"])
    }

    fn filter() -> impl Strategy<Value = Filter> {
        (prop::collection::vec(level(), 0..4), any::<bool>()).prop_filter_map("not a filter", |(mut levels, hash)| {
            if hash {
                levels.push("#");
            }
            Filter::try_from(levels.join("/").as_str()).ok()
        })
    }

    fn topic() -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(vec!["a", "b", "", "$x", "c"]), 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("empty", |topic| !topic.is_empty())
    }

    fn found(tree: &FilterTree<usize>, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        tree.for_each_match(topic.as_bytes(), |index| found.push(*index));
        found.sort_unstable();
        found
    }

    proptest! {
        #[test]
        fn finds_what_matching_each_filter_finds(filters in prop::collection::vec(filter(), 0..12), topic in topic(), drop in any::<u16>()) {
            let mut tree = FilterTree::new();
            filters.iter().enumerate().for_each(|(index, filter)| tree.insert(filter, index));
            let expect = |keep: &dyn Fn(usize) -> bool| -> Vec<usize> {
                (0..filters.len()).filter(|index| keep(*index) && filters[*index].matches(topic.as_bytes())).collect()
            };
            prop_assert_eq!(found(&tree, &topic), expect(&|_| true));
            let dropped = |index: usize| drop >> index & 1 == 1;
            for index in (0..filters.len()).filter(|index| dropped(*index)) {
                prop_assert_eq!(tree.remove(&filters[index], |value| *value == index), 1);
            }
            prop_assert_eq!(found(&tree, &topic), expect(&|index| !dropped(index)));
            for index in (0..filters.len()).filter(|index| !dropped(*index)) {
                prop_assert_eq!(tree.remove(&filters[index], |value| *value == index), 1);
            }
            prop_assert!(tree.is_empty() && tree.root.is_empty(), "branches are freed");
        }
    }
}
