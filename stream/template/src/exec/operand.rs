//! Values of operands: constants, fields of fields, variables, chains.

use super::{Run, Slot};
use crate::node::{Arg, ArgKind, At};
use crate::value::{Outcome, Val};

impl<'t> Run<'t, '_> {
    /// The value of an operand without a wanted type.
    pub(crate) fn constant(&mut self, dot: &Slot, arg: &'t Arg) -> Outcome<Val> {
        Ok(match &arg.kind {
            ArgKind::Dot => dot.value.clone(),
            ArgKind::Bool(bool) => Val::Bool(*bool),
            ArgKind::Str(text) => Val::Str(text.clone()),
            ArgKind::Number(number) if number.is_float => Val::Float(number.float),
            ArgKind::Number(number) => Val::int(number.int.ok_or_else(|| format!("{} overflows int", self.show(arg)))?),
            ArgKind::Nil => Val::Nil,
            _ => return self.operand(dot, arg, &[], None),
        })
    }

    /// The value of a field, variable, chain, function or parenthesised pipeline, with arguments for a method.
    pub(crate) fn operand(&mut self, dot: &Slot, arg: &'t Arg, args: &'t [Arg], last: Option<Val>) -> Outcome<Val> {
        if let ArgKind::Pipe(pipe) = &arg.kind {
            return self.nested(dot, pipe);
        }
        self.at = Some(At::Arg(arg));
        match &arg.kind {
            ArgKind::Field(fields) => self.fields(dot, dot.clone(), arg, fields, args, last),
            ArgKind::Variable(name, fields) => {
                let found = self.vars.iter().rev().find(|(known, _)| *known == &**name);
                let slot = found.ok_or_else(|| format!("undefined variable: {name}"))?.1.clone();
                if fields.is_empty() {
                    if !args.is_empty() || last.is_some() {
                        return Err(format!("can't give argument to non-function {}", self.show(arg)));
                    }
                    return Ok(slot.value);
                }
                self.fields(dot, slot, arg, fields, args, last)
            }
            ArgKind::Chain(inner, fields) => {
                if matches!(inner.kind, ArgKind::Nil) {
                    return Err(format!("indirection through explicit nil in {}", self.show(arg)));
                }
                let value = self.constant(dot, inner)?;
                self.fields(dot, Slot { value, any: false }, arg, fields, args, last)
            }
            ArgKind::Function(function) => self.call(dot, function, At::Arg(arg), &[], None),
            _ => self.constant(dot, arg),
        }
    }

    fn fields(
        &mut self,
        dot: &Slot,
        mut slot: Slot,
        arg: &'t Arg,
        fields: &'t [Box<str>],
        args: &'t [Arg],
        last: Option<Val>,
    ) -> Outcome<Val> {
        let count = fields.len();
        let mut last = last;
        for (index, field) in fields.iter().enumerate() {
            let is_last = index + 1 == count;
            let any = slot.value.holds_any();
            let (args, last) = if is_last { (args, last.take()) } else { (&args[..0], None) };
            slot = Slot { value: self.field(dot, &slot, field, arg, args, last)?, any };
        }
        Ok(slot.value)
    }

    fn field(
        &mut self,
        dot: &Slot,
        slot: &Slot,
        name: &'t str,
        arg: &'t Arg,
        args: &'t [Arg],
        last: Option<Val>,
    ) -> Outcome<Val> {
        match &slot.value {
            Val::Missing => Ok(Val::Missing),
            Val::Nil => Err(format!("nil pointer evaluating interface {{}}.{name}")),
            map @ (Val::Map(_) | Val::Dict(_)) => {
                if !args.is_empty() || last.is_some() {
                    return Err(format!("{name} is not a method but has arguments"));
                }
                Ok(map.member(name).unwrap_or(Val::Missing))
            }
            Val::Time(_) if crate::func::method(name).is_some() => {
                let Some(method) = crate::func::method(name) else { return Ok(Val::Missing) };
                self.method(dot, &slot.value, &method, At::Arg(arg), args, last)
            }
            other => {
                let type_name = if slot.any { "interface {}" } else { other.type_name() };
                Err(format!("can't evaluate field {name} in type {type_name}"))
            }
        }
    }
}
