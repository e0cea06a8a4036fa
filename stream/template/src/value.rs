//! Values while a template runs: the engine's, and those templates make themselves (Go ints, lists, maps that change in place).

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_functions::{Map, Value};
use jiff::Timestamp;

/// How deep lists and maps may be nested when they are built, printed, compared or copied.
pub(crate) const MAX_DEPTH: usize = 64;

/// Go's integer types that appear in templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IntKind {
    Int,
    Int64,
    Uint8,
}

#[derive(Clone, Debug)]
pub(crate) enum Val {
    /// No value at all, as a key that a map does not have.
    Missing,
    Nil,
    Bool(bool),
    Int(i64, IntKind),
    Float(f64),
    Str(Arc<str>),
    Bytes(Arc<Bytes>),
    Time(Timestamp),
    /// A list of the data.
    Array(Arc<Vec<Value>>),
    /// A map of the data.
    Map(Arc<Map>),
    List(Rc<List>),
    Dict(Rc<Dict>),
}

/// The element type of a list or map made by a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elem {
    Any,
    Str,
    Int,
    Lists,
    /// The rows of a message.
    Maps,
}

#[derive(Debug)]
pub(crate) struct List {
    pub(crate) elem: Elem,
    pub(crate) items: Vec<Val>,
    depth: usize,
}

#[derive(Debug)]
pub(crate) struct Dict {
    pub(crate) elem: Elem,
    pub(crate) map: RefCell<BTreeMap<Arc<str>, Val>>,
}

pub(crate) type Outcome<T> = Result<T, String>;

pub(crate) fn too_deep() -> String {
    format!("value nested deeper than {MAX_DEPTH} levels")
}

impl From<&Value> for Val {
    fn from(value: &Value) -> Val {
        match value {
            Value::Nil => Val::Nil,
            Value::Int(int) => Val::Int(*int, IntKind::Int64),
            Value::Float(float) => Val::Float(*float),
            Value::Bool(bool) => Val::Bool(*bool),
            Value::Str(text) => Val::Str(text.clone()),
            Value::Bytes(bytes) => Val::Bytes(bytes.clone()),
            Value::Time(time) => Val::Time(*time),
            Value::Array(items) => Val::Array(items.clone()),
            Value::Map(map) => Val::Map(map.clone()),
        }
    }
}

impl Val {
    pub(crate) fn str(text: impl Into<Arc<str>>) -> Val {
        Val::Str(text.into())
    }

    pub(crate) fn int(int: i64) -> Val {
        Val::Int(int, IntKind::Int)
    }

    pub(crate) fn int64(int: i64) -> Val {
        Val::Int(int, IntKind::Int64)
    }

    pub(crate) fn list(elem: Elem, items: Vec<Val>) -> Outcome<Val> {
        let deepest = items.iter().map(|item| if let Val::List(list) = item { list.depth } else { 0 }).max();
        let depth = deepest.unwrap_or(0) + 1;
        if depth > MAX_DEPTH { Err(too_deep()) } else { Ok(Val::List(Rc::new(List { elem, items, depth }))) }
    }

    pub(crate) fn is_nil(&self) -> bool {
        matches!(self, Val::Missing | Val::Nil)
    }

    /// `%T`.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Val::Missing | Val::Nil => "<nil>",
            Val::Bool(_) => "bool",
            Val::Int(_, IntKind::Int) => "int",
            Val::Int(_, IntKind::Int64) => "int64",
            Val::Int(_, IntKind::Uint8) => "uint8",
            Val::Float(_) => "float64",
            Val::Str(_) => "string",
            Val::Bytes(_) => "[]uint8",
            Val::Time(_) => "time.Time",
            Val::Array(_) => "[]interface {}",
            Val::Map(_) => "map[string]interface {}",
            Val::List(list) => match list.elem {
                Elem::Any => "[]interface {}",
                Elem::Str => "[]string",
                Elem::Int => "[]int",
                Elem::Lists => "[][]interface {}",
                Elem::Maps => "[]map[string]interface {}",
            },
            Val::Dict(dict) if dict.elem == Elem::Str => "map[string]string",
            Val::Dict(_) => "map[string]interface {}",
        }
    }

    /// `reflect.Kind`.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Val::Missing | Val::Nil => "invalid",
            Val::Time(_) => "struct",
            Val::Bytes(_) | Val::Array(_) | Val::List(_) => "slice",
            Val::Map(_) | Val::Dict(_) => "map",
            other => other.type_name(),
        }
    }

    pub(crate) fn truth(&self) -> bool {
        match self {
            Val::Missing | Val::Nil => false,
            Val::Bool(bool) => *bool,
            Val::Int(int, _) => *int != 0,
            Val::Float(float) => *float != 0.0,
            Val::Time(_) => true,
            other => other.len().unwrap_or(0) > 0,
        }
    }

    /// Length of text, bytes, lists and maps.
    pub(crate) fn len(&self) -> Option<usize> {
        Some(match self {
            Val::Str(text) => text.len(),
            Val::Bytes(bytes) => bytes.len(),
            Val::Array(items) => items.len(),
            Val::List(list) => list.items.len(),
            Val::Map(map) => map.len(),
            Val::Dict(dict) => dict.map.borrow().len(),
            _ => return None,
        })
    }

    pub(crate) fn is_list(&self) -> bool {
        self.kind() == "slice"
    }

    /// Whether members of this value have the type `interface {}`.
    pub(crate) fn holds_any(&self) -> bool {
        match self {
            Val::Array(_) | Val::Map(_) => true,
            Val::List(list) => list.elem == Elem::Any,
            Val::Dict(dict) => dict.elem == Elem::Any,
            _ => false,
        }
    }

    /// The item of a list at `index`.
    pub(crate) fn item(&self, index: usize) -> Option<Val> {
        match self {
            Val::Array(items) => items.get(index).map(Val::from),
            Val::List(list) => list.items.get(index).cloned(),
            Val::Bytes(bytes) => bytes.get(index).map(|byte| Val::Int(i64::from(*byte), IntKind::Uint8)),
            _ => None,
        }
    }

    /// All items of a list.
    pub(crate) fn items(&self) -> Vec<Val> {
        (0..if self.is_list() { self.len().unwrap_or(0) } else { 0 }).filter_map(|index| self.item(index)).collect()
    }

    pub(crate) fn is_map(&self) -> bool {
        matches!(self, Val::Map(_) | Val::Dict(_))
    }

    /// The member of a map.
    pub(crate) fn member(&self, key: &str) -> Option<Val> {
        match self {
            Val::Map(map) => map.get(key).map(Val::from),
            Val::Dict(dict) => dict.map.borrow().get(key).cloned(),
            _ => None,
        }
    }

    /// All members of a map in the order of their keys.
    pub(crate) fn members(&self) -> Vec<(Arc<str>, Val)> {
        match self {
            Val::Map(map) => map.iter().map(|(key, item)| (key.clone(), item.into())).collect(),
            Val::Dict(dict) => dict.map.borrow().iter().map(|(key, item)| (key.clone(), item.clone())).collect(),
            _ => Vec::new(),
        }
    }

    /// The engine's value, for JSON.
    pub(crate) fn to_value(&self, depth: usize) -> Outcome<Value> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        Ok(match self {
            Val::Missing | Val::Nil => Value::Nil,
            Val::Bool(bool) => Value::Bool(*bool),
            Val::Int(int, _) => Value::Int(*int),
            Val::Float(float) => Value::Float(*float),
            Val::Str(text) => Value::Str(text.clone()),
            Val::Bytes(bytes) => Value::Bytes(bytes.clone()),
            Val::Time(time) => Value::Time(*time),
            Val::Array(items) => Value::Array(items.clone()),
            Val::Map(map) => Value::Map(map.clone()),
            Val::List(list) => {
                Value::array(list.items.iter().map(|item| item.to_value(depth + 1)).collect::<Outcome<_>>()?)
            }
            Val::Dict(dict) => {
                let members = dict.map.borrow();
                let map = members.iter().map(|(key, item)| Ok((key.clone(), item.to_value(depth + 1)?)));
                Value::map(map.collect::<Outcome<_>>()?)
            }
        })
    }

    /// `reflect.DeepEqual`.
    pub(crate) fn deep_equal(&self, other: &Val, depth: usize) -> Outcome<bool> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        if self.type_name() != other.type_name() {
            return Ok(false);
        }
        Ok(match (self, other) {
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::Int(a, _), Val::Int(b, _)) => a == b,
            (Val::Float(a), Val::Float(b)) => a == b,
            (Val::Str(a), Val::Str(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::Time(a), Val::Time(b)) => a == b,
            (a, b) if a.is_nil() => b.is_nil(),
            (a, b) if a.len() != b.len() => false,
            (a, b) if a.is_map() => {
                for (key, item) in a.members() {
                    match b.member(&key) {
                        Some(other) if item.deep_equal(&other, depth + 1)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (a, b) => {
                for (item, other) in a.items().iter().zip(b.items()) {
                    if !item.deep_equal(&other, depth + 1)? {
                        return Ok(false);
                    }
                }
                true
            }
        })
    }
}
