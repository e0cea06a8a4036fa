//! Strategic merge patch: a merge patch that knows which lists merge and by which key, with directives in the patch:
//!
//! - `$patch: replace | delete | merge` in a map or a list element,
//! - `$retainKeys: [...]` in a map: all other keys go,
//! - `$setElementOrder/LIST: [...]`: the order of a list's elements,
//! - `$deleteFromPrimitiveList/LIST: [...]`: members that leave a set.

use std::collections::{HashMap, HashSet};

use edgeward_objects::{GroupVersionKind, Object};
use serde_json::{Map, Value};

use crate::PatchError;
use crate::types::{Merge, Type, is_strategic};

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder/";
const DELETE_MEMBERS: &str = "$deleteFromPrimitiveList/";

type Result<T> = std::result::Result<T, PatchError>;

/// Applies a strategic merge patch to an object of a built-in kind.
pub fn strategic_merge(kind: &GroupVersionKind, current: &Object, patch: &Value) -> Result<Object> {
    if !is_strategic(kind) {
        return Err(PatchError::NotStrategic(kind.to_string()));
    }
    let Value::Object(patch) = patch else {
        return Err(PatchError::Malformed("error decoding patch: a merge patch must be a JSON object".into()));
    };
    let mut target = current.as_map().clone();
    merge_map(&mut target, patch, Type::of(kind))?;
    Object::from_value(Value::Object(target)).map_err(|error| PatchError::NotApplicable(error.to_string()))
}

/// What `$patch` says in one map.
enum Directive {
    Merge,
    Replace,
    Delete,
}

fn directive(patch: &Map<String, Value>) -> Result<Directive> {
    match patch.get(PATCH).map(|value| value.as_str().unwrap_or_default()) {
        None | Some("merge") => Ok(Directive::Merge),
        Some("replace") => Ok(Directive::Replace),
        Some("delete") => Ok(Directive::Delete),
        Some(other) => Err(PatchError::Malformed(format!("unknown patch type: {other}"))),
    }
}

fn merge_map(target: &mut Map<String, Value>, patch: &Map<String, Value>, of: Type) -> Result<()> {
    match directive(patch)? {
        Directive::Merge => {}
        Directive::Delete => {
            target.clear();
            return Ok(());
        }
        Directive::Replace => target.clear(),
    }
    if let Some(keys) = patch.get(RETAIN_KEYS) {
        retain_keys(target, patch, keys)?;
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix(DELETE_MEMBERS) {
            delete_members(target.get_mut(list), value)?;
        }
    }
    for (key, value) in patch.iter().filter(|(key, _)| !is_directive(key)) {
        let order = patch.get(&format!("{ELEMENT_ORDER}{key}"));
        merge_field(target, key, value, order, of)?;
    }
    // An order alone moves elements of a list the patch does not name.
    for (key, order) in patch {
        if let Some(list) = key.strip_prefix(ELEMENT_ORDER).filter(|list| !patch.contains_key(*list))
            && let Some(Value::Array(items)) = target.get_mut(list)
        {
            let before = items.clone();
            reorder(items, &before, order, of.field(list).merge)?;
        }
    }
    Ok(())
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(ELEMENT_ORDER) || key.starts_with(DELETE_MEMBERS)
}

fn merge_field(
    target: &mut Map<String, Value>,
    key: &str,
    value: &Value,
    order: Option<&Value>,
    of: Type,
) -> Result<()> {
    let field = of.field(key);
    match value {
        Value::Null => {
            target.shift_remove(key);
        }
        Value::Object(patch) => {
            let slot = target.entry(key).or_insert(Value::Null);
            if !slot.is_object() || field.merge == Merge::Replace {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(map) = slot {
                merge_map(map, patch, field.inner())?;
            }
        }
        Value::Array(patch) if matches!(field.merge, Merge::ByKey(_) | Merge::Set) => {
            let slot = target.entry(key).or_insert(Value::Null);
            let before = std::mem::take(slot.as_array_mut().unwrap_or(&mut Vec::new()));
            let mut items = before.clone();
            match field.merge {
                Merge::ByKey(by) => merge_elements(&mut items, patch, by, field.inner())?,
                _ => merge_members(&mut items, patch),
            }
            if let Some(order) = order {
                reorder(&mut items, &before, order, field.merge)?;
            }
            *slot = Value::Array(items);
        }
        other => {
            target.insert(key.to_owned(), other.clone());
        }
    }
    Ok(())
}

fn retain_keys(target: &mut Map<String, Value>, patch: &Map<String, Value>, keys: &Value) -> Result<()> {
    let listed = as_list(RETAIN_KEYS, keys)?;
    let kept = |key: &str| listed.iter().any(|name| name == key);
    if let Some(key) = patch.keys().find(|key| !is_directive(key) && !kept(key)) {
        return Err(PatchError::Malformed(format!("{key} is in the patch but not in its {RETAIN_KEYS} list")));
    }
    target.retain(|key, _| kept(key));
    Ok(())
}

fn delete_members(list: Option<&mut Value>, gone: &Value) -> Result<()> {
    let gone = as_list(DELETE_MEMBERS, gone)?;
    if let Some(Value::Array(members)) = list {
        members.retain(|member| !gone.contains(member));
    }
    Ok(())
}

fn merge_members(members: &mut Vec<Value>, patch: &[Value]) {
    let mut known: HashSet<String> = members.iter().map(Value::to_string).collect();
    members.extend(patch.iter().filter(|value| known.insert(value.to_string())).cloned());
}

fn merge_elements(items: &mut Vec<Value>, patch: &[Value], by: &str, of: Type) -> Result<()> {
    let mut merged = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    for element in patch {
        let Value::Object(map) = element else {
            return Err(PatchError::Malformed(format!("an element of a list merged by {by} is no map: {element}")));
        };
        match (directive(map)?, map.get(by)) {
            // One such element makes the other ones the whole list.
            (Directive::Replace, None) => items.clear(),
            (_, None) => {
                return Err(PatchError::Malformed(format!("map: {element} does not contain declared merge key: {by}")));
            }
            (Directive::Delete, Some(id)) => drop(deleted.insert(id.to_string())),
            (_, Some(id)) => merged.push((id.to_string(), map)),
        }
    }
    let id = |item: &Value| item.get(by).map(Value::to_string).unwrap_or_default();
    items.retain(|item| !deleted.contains(&id(item)));
    let mut places: HashMap<String, usize> = items.iter().enumerate().map(|(at, item)| (id(item), at)).collect();
    for (id, element) in merged {
        let at = *places.entry(id).or_insert_with(|| {
            items.push(Value::Object(Map::new()));
            items.len() - 1
        });
        if let Some(Value::Object(item)) = items.get_mut(at) {
            merge_map(item, element, of)?;
        }
    }
    Ok(())
}

/// Puts elements named by `order` in that order. Elements only the server has keep their place: each goes before the first
/// ordered element it preceded, as in Kubernetes.
fn reorder(items: &mut Vec<Value>, before: &[Value], order: &Value, merge: Merge) -> Result<()> {
    let id = |item: &Value| match merge {
        Merge::ByKey(by) => item.get(by).map(Value::to_string).unwrap_or_default(),
        _ => item.to_string(),
    };
    let ranks = |list: &[Value]| -> HashMap<String, usize> {
        // Reversed, so that of equal elements the first one counts.
        list.iter().enumerate().rev().map(|(at, item)| (id(item), at)).collect()
    };
    let (order, server) = (ranks(as_list(ELEMENT_ORDER, order)?), ranks(before));
    let place = |item: &Value| server.get(&id(item));
    let known = |item: &Value| order.contains_key(&id(item));
    let (mut ordered, rest): (Vec<_>, Vec<_>) = std::mem::take(items).into_iter().partition(known);
    ordered.sort_by_cached_key(|item| order.get(&id(item)).copied());
    let (mut ordered, mut rest) = (ordered.into_iter().peekable(), rest.into_iter().peekable());
    while let (Some(left), Some(right)) = (ordered.peek(), rest.peek()) {
        let left_first = matches!((place(left), place(right)), (Some(left), Some(right)) if left < right);
        items.extend(if left_first { ordered.next() } else { rest.next() });
    }
    items.extend(ordered.chain(rest));
    Ok(())
}

fn as_list<'a>(name: &str, value: &'a Value) -> Result<&'a [Value]> {
    match value {
        Value::Array(list) => Ok(list),
        other => Err(PatchError::Malformed(format!("{name} must be a list, not {other}"))),
    }
}
