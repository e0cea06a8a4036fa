//! What functions need of a running template: its memory, counted, and the maps it makes.

use std::rc::Rc;
use std::sync::Arc;

use crate::value::{Dict, Elem, MAX_DEPTH, Outcome, Val, too_deep};

/// What functions need of the running template.
pub(crate) struct Runtime {
    pub(crate) memory: usize,
    /// Every map made so far. Emptied at the end, because maps can contain each other in a circle.
    pub(crate) dicts: Vec<Rc<Dict>>,
}

impl Runtime {
    /// Accounts for `bytes` that are about to be made.
    pub(crate) fn charge(&mut self, bytes: usize) -> Outcome<()> {
        self.memory = self
            .memory
            .checked_sub(bytes)
            .ok_or("template needs more memory than its limit; make less text or shorter lists")?;
        Ok(())
    }

    pub(crate) fn list(&mut self, elem: Elem, items: Vec<Val>) -> Outcome<Val> {
        self.charge(items.len() * size_of::<Val>() + 64)?;
        Val::list(elem, items)
    }

    pub(crate) fn text(&mut self, text: String) -> Outcome<Val> {
        self.charge(text.len() + 32)?;
        Ok(Val::str(text))
    }

    pub(crate) fn dict(&mut self, elem: Elem, members: impl IntoIterator<Item = (Arc<str>, Val)>) -> Outcome<Val> {
        let map: std::collections::BTreeMap<_, _> = members.into_iter().collect();
        self.charge(map.len() * 64 + 128)?;
        let dict = Rc::new(Dict { elem, map: map.into() });
        self.dicts.push(dict.clone());
        Ok(Val::Dict(dict))
    }

    /// The same value made of maps and lists of its own.
    pub(crate) fn deep_copy(&mut self, value: &Val, depth: usize) -> Outcome<Val> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if value.is_map() {
            let mut members = Vec::new();
            for (key, item) in value.members() {
                members.push((key, self.deep_copy(&item, depth + 1)?));
            }
            return self.dict(Elem::Any, members);
        }
        match value {
            Val::Array(_) | Val::List(_) => {
                let elem = if let Val::List(list) = value { list.elem } else { Elem::Any };
                let mut items = Vec::new();
                for item in value.items() {
                    items.push(self.deep_copy(&item, depth + 1)?);
                }
                self.list(elem, items)
            }
            other => Ok(other.clone()),
        }
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        for dict in &self.dicts {
            dict.map.borrow_mut().clear();
        }
    }
}
