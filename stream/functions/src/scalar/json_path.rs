//! JSONPath: `$`, `.name`, `['name']`, `[i]`, `[from:to:step]`, `[a,b]`, `*`, `..`, and filters `[?(@.x > 1)]`.

use edgeward_sql::ast::BinaryOp;

use crate::error::{Error, Result};
use crate::{Value, ops};

/// A parsed path.
#[derive(Debug, PartialEq)]
pub(super) struct Path(Vec<Step>);

#[derive(Debug, PartialEq)]
enum Step {
    /// Any of these children.
    Children(Vec<Child>),
    /// All children.
    Every,
    /// The value and everything below it.
    Descend,
    /// Children for which the condition holds.
    Filter(Condition),
}

#[derive(Debug, PartialEq)]
enum Child {
    Name(String),
    Index(i64),
    Slice(Option<i64>, Option<i64>, i64),
}

/// `@path [op literal]`; without an operator the path must exist.
#[derive(Debug, PartialEq)]
struct Condition {
    path: Path,
    test: Option<(BinaryOp, Value)>,
}

impl Path {
    /// Reads a path.
    pub(super) fn parse(text: &str) -> Result<Path> {
        let wrong = || Error::call(format!("invalid JSON path {text}"));
        let mut reader = Reader { rest: text.trim() };
        reader.rest = reader.rest.strip_prefix('$').ok_or_else(wrong)?;
        let path = reader.steps().ok_or_else(wrong)?;
        if reader.rest.trim().is_empty() { Ok(path) } else { Err(wrong()) }
    }

    /// Whether the path names at most one place.
    pub(super) fn is_definite(&self) -> bool {
        self.0.iter().all(|step| matches!(step, Step::Children(children) if matches!(children.as_slice(), [Child::Name(_) | Child::Index(_)])))
    }

    /// The values the path leads to.
    pub(super) fn find(&self, root: &Value) -> Vec<Value> {
        let mut found = vec![root.clone()];
        for step in &self.0 {
            found = found.iter().flat_map(|value| step.take(value)).collect();
        }
        found
    }
}

impl Step {
    fn take(&self, value: &Value) -> Vec<Value> {
        match self {
            Step::Children(children) => children.iter().flat_map(|child| child.take(value)).collect(),
            Step::Every => below(value),
            Step::Descend => {
                let mut all = vec![value.clone()];
                let mut next = 0;
                while next < all.len() {
                    let children = below(&all[next]);
                    all.extend(children);
                    next += 1;
                }
                all
            }
            Step::Filter(condition) => below(value).into_iter().filter(|child| condition.holds(child)).collect(),
        }
    }
}

fn below(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.to_vec(),
        Value::Map(map) => map.values().cloned().collect(),
        _ => Vec::new(),
    }
}

impl Child {
    fn take(&self, value: &Value) -> Vec<Value> {
        match (self, value) {
            (Child::Name(name), Value::Map(map)) => map.get(name.as_str()).cloned().into_iter().collect(),
            (Child::Index(index), Value::Array(items)) => {
                let at = if *index < 0 { index + items.len() as i64 } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at)).cloned().into_iter().collect()
            }
            (Child::Slice(from, to, step), Value::Array(items)) => {
                let length = items.len() as i64;
                let bound = |bound: i64| if bound < 0 { bound + length } else { bound }.clamp(0, length) as usize;
                let (from, to) = (bound(from.unwrap_or(0)), bound(to.unwrap_or(length)));
                let step = usize::try_from((*step).max(1)).unwrap_or(1);
                items.get(from..to).unwrap_or_default().iter().step_by(step).cloned().collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        let found = self.path.find(value);
        match (&self.test, found.first()) {
            (None, found) => found.is_some(),
            (Some((op, literal)), Some(found)) => ops::compare(*op, found, literal).unwrap_or(false),
            (Some(_), None) => false,
        }
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn eat(&mut self, text: &str) -> bool {
        let hit = self.rest.strip_prefix(text);
        self.rest = hit.unwrap_or(self.rest);
        hit.is_some()
    }

    fn steps(&mut self) -> Option<Path> {
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
        let end = self
            .rest
            .find(|char: char| !(char.is_alphanumeric() || matches!(char, '_' | '-')))
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!name.is_empty()).then(|| Step::Children(vec![Child::Name(name.to_string())]))
    }

    fn bracket(&mut self) -> Option<Step> {
        if self.eat("*]") {
            return Some(Step::Every);
        }
        if self.eat("?(") {
            let condition = self.condition()?;
            return (self.eat(")") && self.eat("]")).then_some(Step::Filter(condition));
        }
        let mut children = Vec::new();
        loop {
            self.rest = self.rest.trim_start();
            children.push(self.child()?);
            self.rest = self.rest.trim_start();
            if self.eat("]") {
                return Some(Step::Children(children));
            }
            if !self.eat(",") {
                return None;
            }
        }
    }

    fn child(&mut self) -> Option<Child> {
        if let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '\'' | '"')) {
            let (name, rest) = self.rest[1..].split_once(quote)?;
            self.rest = rest;
            return Some(Child::Name(name.to_string()));
        }
        let from = self.integer();
        if !self.eat(":") {
            return from.map(Child::Index);
        }
        let to = self.integer();
        let step = if self.eat(":") { self.integer().unwrap_or(1) } else { 1 };
        Some(Child::Slice(from, to, step))
    }

    fn integer(&mut self) -> Option<i64> {
        let end = self.rest.find(|char: char| !(char.is_ascii_digit() || char == '-')).unwrap_or(self.rest.len());
        let number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(number)
    }

    fn condition(&mut self) -> Option<Condition> {
        self.rest = self.rest.trim_start().strip_prefix('@')?;
        let path = self.steps()?;
        self.rest = self.rest.trim_start();
        let ops = [
            ("==", BinaryOp::Eq),
            ("!=", BinaryOp::Ne),
            ("<=", BinaryOp::Le),
            (">=", BinaryOp::Ge),
            ("<", BinaryOp::Lt),
            (">", BinaryOp::Gt),
        ];
        let Some((_, op)) = ops.into_iter().find(|(text, _)| self.eat(text)) else {
            return Some(Condition { path, test: None });
        };
        self.rest = self.rest.trim_start();
        let literal = if let Some(quote) = self.rest.chars().next().filter(|char| matches!(char, '\'' | '"')) {
            let (text, rest) = self.rest[1..].split_once(quote)?;
            self.rest = rest;
            Value::str(text)
        } else {
            let end = self.rest.find([')', ' '])?;
            let (text, rest) = self.rest.split_at(end);
            self.rest = rest.trim_start();
            crate::json::parse(text.as_bytes(), crate::json::Numbers::Float).ok()?
        };
        self.rest = self.rest.trim_start();
        Some(Condition { path, test: Some((op, literal)) })
    }
}
