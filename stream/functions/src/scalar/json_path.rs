//! JSONPath as eKuiper's library has it: `$`, `.name`, `['name']`, `[i]`, `[from:to:step]`, `[a,b]`, `*`, `..` and filters `[?(…)]` or `[? …]`.
//!
//! A path that names one place is plain: what is missing is an error. One with a wildcard, a slice, a union, a descent or a filter is
//! ambiguous: it gives an array of what it finds, and what is missing is not in it.

use super::json_filter::{Filter, truth};
use crate::error::{Error, Result};
use crate::{Map, Value};

/// Most values a path may find on its way.
const MAX_FOUND: usize = 100_000;

/// A parsed path.
#[derive(Debug, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, PartialEq)]
enum Step {
    /// One child.
    One(Child),
    /// Several named children.
    Union(Vec<Child>),
    /// From, to, step; counted from the end when negative.
    Slice(i64, i64, i64),
    /// All children.
    Every,
    /// The value and everything below it.
    Descend,
    /// Children for which the condition holds.
    Filter(Filter),
}

#[derive(Debug, PartialEq)]
enum Child {
    Name(String),
    Index(i64),
}

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn parse(text: &str) -> Result<Path> {
        let wrong = || Error::call(format!("parsing error: {text}"));
        let mut reader = Reader { rest: text.trim(), operands: 0 };
        reader.rest = reader.rest.strip_prefix('$').ok_or_else(wrong)?;
        let path = reader.steps().ok_or_else(wrong)?;
        if reader.rest.trim().is_empty() { Ok(path) } else { Err(wrong()) }
    }

    /// The one value of a plain path, or an array of what an ambiguous one finds.
    ///
    /// # Errors
    /// A plain path leads nowhere.
    pub(super) fn find(&self, root: &Value) -> Result<Value> {
        self.within(root, root)
    }

    /// As [`Path::find`] from `from`; filters may look at `root`.
    pub(super) fn within(&self, from: &Value, root: &Value) -> Result<Value> {
        let plain = self.0.iter().take_while(|step| matches!(step, Step::One(_))).count();
        let mut value = Ok(from.clone());
        for step in &self.0[..plain] {
            if let Step::One(child) = step {
                value = value.and_then(|value| child.of(&value));
            }
        }
        if plain == self.0.len() {
            return value;
        }
        let mut found: Vec<Value> = value.into_iter().collect();
        for step in &self.0[plain..] {
            let mut next = Vec::new();
            for value in &found {
                step.take(value, root, &mut next);
                // Each `..` finds again what the one before it found.
                if next.len() > MAX_FOUND {
                    return Err(Error::call(format!("the path finds more than {MAX_FOUND} values")));
                }
            }
            found = next;
        }
        Ok(Value::array(found))
    }
}

impl Step {
    fn take(&self, value: &Value, root: &Value, out: &mut Vec<Value>) {
        match self {
            Step::One(child) => out.extend(child.of(value).ok()),
            Step::Union(children) => out.extend(children.iter().filter_map(|child| child.of(value).ok())),
            Step::Slice(from, to, step) => slice(value, *from, *to, *step, out),
            Step::Every => out.extend(below(value)),
            Step::Descend => descend(value, out),
            Step::Filter(filter) => {
                let holds = |child: &Value| filter.value(child, root).is_some_and(|value| truth(&value) == Some(true));
                out.extend(below(value).into_iter().filter(holds));
            }
        }
    }
}

/// The value and everything below it, parents before children.
fn descend(value: &Value, out: &mut Vec<Value>) {
    let mut stack = vec![value.clone()];
    while let Some(value) = stack.pop() {
        stack.extend(below(&value).into_iter().rev());
        out.push(value);
    }
}

fn below(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Map(map) => map.values().cloned().collect(),
        _ => Vec::new(),
    }
}

fn slice(value: &Value, from: i64, to: i64, step: i64, out: &mut Vec<Value>) {
    let Value::Array(items) = value else { return };
    // Compared as written: `[:-1]` runs from 0 to -1 and is empty.
    if from > to {
        return;
    }
    let length = items.len() as i64;
    let bound = |bound: i64| if bound < 0 { (bound + length).max(0) } else { bound.min(length) } as usize;
    let part = items.get(bound(from)..bound(to)).unwrap_or_default();
    let stride = usize::try_from(step.unsigned_abs().max(1)).unwrap_or(usize::MAX);
    if step < 0 {
        out.extend(part.iter().rev().step_by(stride).cloned());
    } else {
        out.extend(part.iter().step_by(stride).cloned());
    }
}

impl Child {
    fn of(&self, value: &Value) -> Result<Value> {
        let key =
            |map: &Map, name: &str| map.get(name).cloned().ok_or_else(|| Error::call(format!("unknown key {name}")));
        match (value, self) {
            (Value::Map(map), Child::Name(name)) => key(map, name),
            (Value::Map(map), Child::Index(index)) => key(map, &index.to_string()),
            (Value::Array(items), Child::Index(index)) => {
                let item = usize::try_from(*index).ok().and_then(|index| items.get(index));
                item.cloned().ok_or_else(|| Error::call(format!("index {index} out of bounds")))
            }
            (Value::Array(_), Child::Name(name)) => Err(Error::call(format!(
                "could not select value, invalid key: expected number but got {name} (string)"
            ))),
            _ => Err(Error::call(format!(
                "unsupported value type {} for select, expected map[string]interface{{}}, []interface{{}} or Array",
                value.type_name()
            ))),
        }
    }
}

/// Reads paths and, with [`super::json_filter`], conditions.
pub(super) struct Reader<'a> {
    pub(super) rest: &'a str,
    /// Operands of conditions read so far; bounds how deep and long they are.
    pub(super) operands: usize,
}

impl Reader<'_> {
    pub(super) fn eat(&mut self, text: &str) -> bool {
        let hit = self.rest.strip_prefix(text);
        self.rest = hit.unwrap_or(self.rest);
        hit.is_some()
    }

    pub(super) fn blank(&mut self) {
        self.rest = self.rest.trim_start();
    }

    pub(super) fn steps(&mut self) -> Option<Path> {
        let mut steps = Vec::new();
        loop {
            if self.eat("..") {
                steps.push(Step::Descend);
                if !self.rest.starts_with('[') {
                    steps.push(self.name()?);
                }
            } else if self.eat(".") {
                steps.push(self.name()?);
            } else if self.eat("[") {
                steps.push(self.bracket()?);
            } else {
                return Some(Path(steps));
            }
        }
    }

    fn name(&mut self) -> Option<Step> {
        if self.eat("*") {
            return Some(Step::Every);
        }
        let end = self.rest.find(|char: char| !(char.is_alphanumeric() || char == '_')).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| Step::One(Child::Name(name.to_string())))
    }

    fn bracket(&mut self) -> Option<Step> {
        self.blank();
        if self.eat("*") {
            self.blank();
            return self.eat("]").then_some(Step::Every);
        }
        if self.eat("?") {
            let filter = self.condition(0)?;
            self.blank();
            return self.eat("]").then_some(Step::Filter(filter));
        }
        let mut children = Vec::new();
        loop {
            self.blank();
            if let Some(slice) = self.slice() {
                self.blank();
                return (children.is_empty() && self.eat("]")).then_some(slice);
            }
            children.push(self.child()?);
            self.blank();
            if self.eat("]") {
                return Some(match (children.len(), children.pop()?) {
                    (1, child) => Step::One(child),
                    (_, last) => {
                        children.push(last);
                        Step::Union(children)
                    }
                });
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    /// `from:to:step`, each of which may be left out.
    fn slice(&mut self) -> Option<Step> {
        let start = self.rest;
        let from = self.integer();
        if !self.eat(":") {
            self.rest = start;
            return None;
        }
        let to = self.integer();
        let step = if self.eat(":") { self.integer() } else { None };
        Some(Step::Slice(from.unwrap_or(0), to.unwrap_or(i64::MAX), step.unwrap_or(1)))
    }

    fn child(&mut self) -> Option<Child> {
        match self.quoted() {
            Some(name) => Some(Child::Name(name)),
            None => self.integer().map(Child::Index),
        }
    }

    /// Text in single or double quotes; a backslash takes the next character as it is.
    pub(super) fn quoted(&mut self) -> Option<String> {
        let quote = self.rest.chars().next().filter(|char| matches!(char, '\'' | '"'))?;
        let mut text = String::new();
        let mut chars = self.rest[1..].char_indices();
        while let Some((at, char)) = chars.next() {
            match char {
                '\\' => text.push(chars.next()?.1),
                _ if char == quote => {
                    self.rest = &self.rest[at + 2..];
                    return Some(text);
                }
                _ => text.push(char),
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        let sign = usize::from(self.rest.starts_with('-'));
        let end = sign + self.rest[sign..].bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(number)
    }
}
