//! Calls of functions: argument counts, parameter types and conversions of constants as Go's `evalCall` does them.

use crate::exec::{Run, Slot};
use crate::func::{Function, Ty};
use crate::node::{Arg, ArgKind, At};
use crate::value::{IntKind, Outcome, Val};

impl<'t> Run<'t, '_> {
    pub(crate) fn call(
        &mut self,
        dot: &Slot,
        function: &'t Function,
        node: At<'t>,
        args: &'t [Arg],
        last: Option<Val>,
    ) -> Outcome<Val> {
        self.step()?;
        self.arity(function, args.len(), usize::from(last.is_some()))?;
        if let Some(until) = function.short_circuit {
            let mut value = Val::Missing;
            for arg in args {
                value = self.arg(dot, Ty::Reflect, arg)?;
                if value.truth() == until {
                    return Ok(value);
                }
            }
            return Ok(last.unwrap_or(value));
        }
        let values = self.values(dot, function, args, last, 0)?;
        let result = (function.run)(&mut self.runtime, &values);
        result.map_err(|text| {
            self.at = Some(node);
            format!("error calling {}: {text}", function.name)
        })
    }

    /// A call of a method: the receiver is the first parameter.
    pub(crate) fn method(
        &mut self,
        dot: &Slot,
        receiver: &Val,
        function: &Function,
        node: At<'t>,
        args: &'t [Arg],
        last: Option<Val>,
    ) -> Outcome<Val> {
        let given = args.len() + usize::from(last.is_some());
        if given + 1 != function.params.len() {
            let want = function.params.len() - 1;
            return Err(format!("wrong number of args for {}: want {want} got {given}", function.name));
        }
        let mut values = self.values(dot, function, args, last, 1)?;
        values.insert(0, receiver.clone());
        (function.run)(&mut self.runtime, &values).map_err(|text| {
            self.at = Some(node);
            format!("error calling {}: {text}", function.name)
        })
    }

    fn arity(&self, function: &Function, args: usize, last: usize) -> Outcome<()> {
        let (want, name) = (function.params.len(), function.name);
        if function.variadic.is_some() {
            if args + last < want {
                return Err(format!("wrong number of args for {name}: want at least {want} got {args}"));
            }
        } else if args + last != want {
            return Err(format!("wrong number of args for {name}: want {want} got {}", args + last));
        }
        Ok(())
    }

    fn values(
        &mut self,
        dot: &Slot,
        function: &Function,
        args: &'t [Arg],
        last: Option<Val>,
        skip: usize,
    ) -> Outcome<Vec<Val>> {
        let ty = |index: usize| function.params.get(index + skip).copied().or(function.variadic).unwrap_or(Ty::Any);
        let mut values = Vec::with_capacity(args.len() + 1);
        for (index, arg) in args.iter().enumerate() {
            values.push(self.arg(dot, ty(index), arg)?);
        }
        if let Some(last) = last {
            values.push(validate(last, ty(args.len()))?);
        }
        Ok(values)
    }

    /// `evalArg`: the value of an operand as a parameter of a type.
    fn arg(&mut self, dot: &Slot, ty: Ty, arg: &'t Arg) -> Outcome<Val> {
        self.at = Some(At::Arg(arg));
        match &arg.kind {
            ArgKind::Nil if ty.can_be_nil() => Ok(if ty == Ty::Reflect { Val::Missing } else { Val::Nil }),
            ArgKind::Nil => Err(format!("cannot assign nil to {}", ty.name())),
            ArgKind::Bool(_) | ArgKind::Number(_) | ArgKind::Str(_) => self.typed_constant(dot, ty, arg),
            ArgKind::Dot => validate(dot.value.clone(), ty),
            _ => validate(self.operand(dot, arg, &[], None)?, ty),
        }
    }

    fn typed_constant(&mut self, dot: &Slot, ty: Ty, arg: &'t Arg) -> Outcome<Val> {
        match (ty, &arg.kind) {
            (Ty::Any | Ty::Reflect, _) => self.constant(dot, arg),
            (Ty::Str, ArgKind::Str(text)) => Ok(Val::Str(text.clone())),
            (Ty::Bool, ArgKind::Bool(bool)) => Ok(Val::Bool(*bool)),
            (Ty::Float, ArgKind::Number(number)) => Ok(Val::Float(number.float)),
            (Ty::Int, ArgKind::Number(number)) if number.int.is_some() => {
                Ok(Val::Int(number.int.unwrap_or_default(), IntKind::Int))
            }
            (Ty::Str, _) => Err(format!("expected string; found {}", self.show(arg))),
            (Ty::Bool, _) => Err(format!("expected bool; found {}", self.show(arg))),
            (Ty::Float, _) => Err(format!("expected float; found {}", self.show(arg))),
            (Ty::Int, _) => Err(format!("expected integer; found {}", self.show(arg))),
            (Ty::Map | Ty::Time, _) => Err(format!("can't handle {} for arg of type {}", self.show(arg), ty.name())),
        }
    }
}

/// `validateType`.
fn validate(value: Val, ty: Ty) -> Outcome<Val> {
    let fits = match (ty, &value) {
        (Ty::Reflect, Val::Nil) => return Ok(Val::Missing),
        (Ty::Any, Val::Missing) => return Ok(Val::Nil),
        (Ty::Any | Ty::Reflect, _) => true,
        (Ty::Map, Val::Missing) => return Ok(Val::Nil),
        (_, Val::Missing) => return Err(format!("invalid value; expected {}", ty.name())),
        (_, Val::Nil) => return Err(format!("wrong type for value; expected {}; got interface {{}}", ty.name())),
        _ => value.type_name() == ty.name(),
    };
    if fits {
        return Ok(value);
    }
    Err(format!("wrong type for value; expected {}; got {}", ty.name(), value.type_name()))
}
