//! Runs a tree over data: Go's `text/template/exec`, with limits.

mod operand;

use edgeward_functions::Value;

use crate::Error;
use crate::gofmt;
use crate::node::{Arg, ArgKind, At, Branch, Call, Command, Node, Pipe, Template};
use crate::runtime::Runtime;
use crate::value::{Elem, Outcome, Val};

/// What one execution may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of output. Default 16 MiB.
    pub output: usize,
    /// Evaluated nodes, loop rounds and function calls. Default 1,000,000.
    pub steps: usize,
    /// Bytes of text and lists that functions make on the way. Default 64 MiB.
    pub memory: usize,
    /// Templates, controls and parentheses inside each other. Default 100.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { output: 16 << 20, steps: 1_000_000, memory: 64 << 20, depth: 100 }
    }
}

/// A value and whether Go would hold it in an `interface {}`, which error texts show.
#[derive(Clone)]
pub(crate) struct Slot {
    pub(crate) value: Val,
    pub(crate) any: bool,
}

pub(crate) fn execute(template: &Template, data: &Value, out: &mut Vec<u8>) -> Result<(), Error> {
    let limits = &template.limits;
    let mut run = Run {
        template,
        name: &template.name,
        vars: Vec::new(),
        at: None,
        limit: out.len().saturating_add(limits.output),
        out,
        steps: limits.steps,
        depth: 0,
        runtime: Runtime { memory: limits.memory, dicts: Vec::new() },
    };
    let outcome = run.start(data);
    outcome.map(|_| ()).map_err(|text| run.error(&text))
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Flow {
    On,
    Break,
    Continue,
}

pub(crate) struct Run<'t, 'o> {
    pub(crate) template: &'t Template,
    name: &'t str,
    vars: Vec<(&'t str, Slot)>,
    pub(crate) at: Option<At<'t>>,
    out: &'o mut Vec<u8>,
    limit: usize,
    steps: usize,
    depth: usize,
    pub(crate) runtime: Runtime,
}

impl<'t> Run<'t, '_> {
    fn start(&mut self, data: &Value) -> Outcome<Flow> {
        let mut value = match data {
            Value::Nil => Val::Missing,
            // What sinks hand over without sendSingle, which Go knows as a list of maps.
            Value::Array(rows) if rows.iter().all(|row| row.as_map().is_some()) => {
                self.runtime.list(Elem::Maps, rows.iter().map(Val::from).collect())?
            }
            data => data.into(),
        };
        if self.template.mutates {
            value = self.runtime.deep_copy(&value, 0)?;
        }
        let dot = Slot { value, any: false };
        self.vars.push(("$", dot.clone()));
        let template = self.template;
        template.trees.get(&template.name).map_or(Ok(Flow::On), |root| self.list(&dot, root))
    }

    fn error(&self, text: &str) -> Error {
        let Some(at) = &self.at else {
            return Error::Execute(format!("template: {}: {text}", self.name));
        };
        let source = &self.template.source;
        let pos = at.pos().min(source.len());
        let before = &source.as_bytes()[..pos];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let column = before.iter().rposition(|byte| *byte == b'\n').map_or(pos, |newline| pos - newline - 1);
        Error::Execute(format!(
            "template: {}:{line}:{column}: executing {} at <{}>: {text}",
            self.template.name,
            gofmt::quoted(self.name),
            at.show(source)
        ))
    }

    pub(crate) fn step(&mut self) -> Outcome<()> {
        self.steps = self.steps.checked_sub(1).ok_or("template takes more steps than its limit; loop over less")?;
        Ok(())
    }

    fn enter(&mut self) -> Outcome<()> {
        self.depth += 1;
        let limit = self.template.limits.depth;
        if self.depth > limit { Err(format!("exceeded maximum template depth ({limit})")) } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> Outcome<()> {
        if bytes.len() > self.limit.saturating_sub(self.out.len()) {
            return Err("template writes more than its output limit".into());
        }
        self.out.extend_from_slice(bytes);
        Ok(())
    }

    fn list(&mut self, dot: &Slot, nodes: &'t [Node]) -> Outcome<Flow> {
        for node in nodes {
            match self.node(dot, node)? {
                Flow::On => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, dot: &Slot, node: &'t Node) -> Outcome<Flow> {
        self.step()?;
        match node {
            Node::Text(range) => self.write(self.template.source[range.clone()].as_bytes())?,
            Node::Action(pipe) => {
                let value = self.pipe(dot, pipe)?;
                if pipe.declared.is_empty() {
                    self.print(&value)?;
                }
            }
            Node::If(branch) => return self.branch(dot, branch, false),
            Node::With(branch) => return self.branch(dot, branch, true),
            Node::Range(branch) => {
                let mark = self.vars.len();
                self.enter()?;
                let flow = self.range(dot, branch);
                self.depth -= 1;
                self.vars.truncate(mark);
                return flow;
            }
            Node::Template(call) => self.template(dot, call)?,
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    fn print(&mut self, value: &Val) -> Outcome<()> {
        match value {
            Val::Missing | Val::Nil => self.write(b"<no value>"),
            Val::Str(text) => self.write(text.as_bytes()),
            Val::Bool(true) => self.write(b"true"),
            Val::Bool(false) => self.write(b"false"),
            Val::Int(int, _) => self.write(itoa::Buffer::new().format(*int).as_bytes()),
            Val::Float(float) => self.write(gofmt::float_v(*float).as_bytes()),
            other => {
                let text = gofmt::text(other, self.limit.saturating_sub(self.out.len()))?;
                self.write(text.as_bytes())
            }
        }
    }

    fn branch(&mut self, dot: &Slot, branch: &'t Branch, with: bool) -> Outcome<Flow> {
        let mark = self.vars.len();
        self.enter()?;
        let value = self.pipe(dot, &branch.pipe)?;
        let flow = if value.truth() {
            if with { self.list(&Slot { value, any: false }, &branch.body) } else { self.list(dot, &branch.body) }
        } else {
            self.list(dot, &branch.otherwise)
        };
        self.depth -= 1;
        self.vars.truncate(mark);
        flow
    }

    fn range(&mut self, dot: &Slot, branch: &'t Branch) -> Outcome<Flow> {
        let value = self.pipe(dot, &branch.pipe)?;
        let any = value.holds_any();
        let mut rounds = 0;
        match &value {
            Val::Int(count, _) => {
                if branch.pipe.declared.len() > 1 {
                    return Err(format!("can't use {count} to iterate over more than one variable"));
                }
                for number in 0..*count {
                    rounds += 1;
                    let Val::Int(_, kind) = value else { break };
                    if !self.round(branch, Val::Missing, Slot { value: Val::Int(number, kind), any })? {
                        break;
                    }
                }
            }
            Val::Map(_) | Val::Dict(_) => {
                for (key, value) in value.members() {
                    rounds += 1;
                    if !self.round(branch, Val::Str(key), Slot { value, any })? {
                        break;
                    }
                }
            }
            Val::Missing | Val::Nil => {}
            list if list.is_list() => {
                let count = list.len().unwrap_or(0);
                for index in 0..count {
                    rounds += 1;
                    let Some(item) = list.item(index) else { break };
                    if !self.round(branch, Val::int(index as i64), Slot { value: item, any })? {
                        break;
                    }
                }
            }
            other => return Err(format!("range can't iterate over {}", gofmt::text(other, 1 << 16)?)),
        }
        if rounds == 0 { self.list(dot, &branch.otherwise) } else { Ok(Flow::On) }
    }

    /// One round of a loop; false after `break`.
    fn round(&mut self, branch: &'t Branch, index: Val, item: Slot) -> Outcome<bool> {
        self.step()?;
        let mark = self.vars.len();
        let pipe = &branch.pipe;
        let index = Slot { value: index, any: false };
        match pipe.declared.as_slice() {
            [] => {}
            [name] if pipe.assign => self.assign(name, item.clone())?,
            [first, second, ..] if pipe.assign => {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            }
            names => {
                self.set_top(1, item.clone());
                if names.len() > 1 {
                    self.set_top(2, index);
                }
            }
        }
        let flow = self.list(&item, &branch.body)?;
        self.vars.truncate(mark);
        Ok(flow != Flow::Break)
    }

    fn set_top(&mut self, from_top: usize, slot: Slot) {
        if let Some(index) = self.vars.len().checked_sub(from_top) {
            self.vars[index].1 = slot;
        }
    }

    fn assign(&mut self, name: &str, slot: Slot) -> Outcome<()> {
        let found = self.vars.iter_mut().rev().find(|(known, _)| *known == name);
        found.ok_or_else(|| format!("undefined variable: {name}"))?.1 = slot;
        Ok(())
    }

    fn template(&mut self, dot: &Slot, call: &'t Call) -> Outcome<()> {
        self.at = Some(At::Call(call));
        let template = self.template;
        let Some((name, body)) = template.trees.get_key_value(&call.name) else {
            return Err(format!("template {} not defined", gofmt::quoted(&call.name)));
        };
        self.enter()?;
        let value = match &call.pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Val::Missing,
        };
        let dot = Slot { value, any: false };
        let outer = std::mem::replace(&mut self.vars, vec![("$", dot.clone())]);
        let caller = std::mem::replace(&mut self.name, name);
        // An error leaves the name in place: it belongs to the text of the error.
        self.list(&dot, body)?;
        self.name = caller;
        self.vars = outer;
        self.depth -= 1;
        Ok(())
    }

    pub(crate) fn pipe(&mut self, dot: &Slot, pipe: &'t Pipe) -> Outcome<Val> {
        self.at = Some(At::Pipe(pipe));
        let mut value = None;
        for command in &pipe.commands {
            let mut result = self.command(dot, command, value)?;
            if matches!(result, Val::Nil) {
                result = Val::Missing;
            }
            value = Some(result);
        }
        let value = value.unwrap_or(Val::Missing);
        for name in &pipe.declared {
            let slot = Slot { value: value.clone(), any: false };
            if pipe.assign {
                self.assign(name, slot)?;
            } else {
                self.vars.push((name, slot));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Slot, command: &'t Command, last: Option<Val>) -> Outcome<Val> {
        self.step()?;
        // A parsed command has at least one operand.
        let Some(first) = command.args.first() else { return Ok(Val::Missing) };
        if let ArgKind::Function(function) = &first.kind {
            self.at = Some(At::Arg(first));
            return self.call(dot, function, At::Command(command), &command.args[1..], last);
        }
        let extra = command.args.len() > 1 || last.is_some();
        match &first.kind {
            ArgKind::Field(_) | ArgKind::Chain(..) | ArgKind::Variable(..) => {
                self.operand(dot, first, &command.args[1..], last)
            }
            ArgKind::Pipe(pipe) if !extra => self.nested(dot, pipe),
            kind => {
                if !matches!(kind, ArgKind::Pipe(_)) {
                    self.at = Some(At::Arg(first));
                }
                if extra {
                    return Err(format!("can't give argument to non-function {}", self.show(first)));
                }
                if matches!(kind, ArgKind::Nil) {
                    return Err("nil is not a command".into());
                }
                self.constant(dot, first)
            }
        }
    }

    pub(crate) fn show(&self, arg: &'t Arg) -> String {
        At::Arg(arg).show(&self.template.source)
    }

    pub(crate) fn nested(&mut self, dot: &Slot, pipe: &'t Pipe) -> Outcome<Val> {
        self.enter()?;
        let value = self.pipe(dot, pipe)?;
        self.depth -= 1;
        Ok(value)
    }
}
