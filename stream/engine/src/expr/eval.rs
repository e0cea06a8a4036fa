//! Evaluation.

use std::borrow::Cow;
use std::sync::Arc;

use edgeward_functions::format::GoText;
use edgeward_functions::{Error, Function, Map, Value, ops};
use edgeward_sql::ast::BinaryOp;

use super::star::whole;
use super::{Case, Expr, Scene, Set, WindowBound, access};

type Result<'a> = std::result::Result<Cow<'a, Value>, Error>;

impl Expr {
    /// The value for a row.
    pub(crate) fn eval<'a>(&'a self, scene: &Scene<'a>) -> Result<'a> {
        match self {
            Expr::Const(value) => Ok(Cow::Borrowed(value)),
            Expr::Slot(slot) => Ok(Cow::Borrowed(scene.row.get(*slot))),
            Expr::Side(side, slot) => {
                Ok(Cow::Borrowed(scene.row.side(*side).map_or(&Value::Nil, |row| row.get(*slot))))
            }
            Expr::FirstSide(places) => {
                let mut values =
                    places.iter().filter_map(|(side, slot)| scene.row.side(*side).map(|row| row.get(*slot)));
                Ok(Cow::Borrowed(values.find(|value| !value.is_nil()).unwrap_or(&Value::Nil)))
            }
            Expr::All(None) => Ok(owned(Value::Map(scene.row.all().clone()))),
            Expr::All(Some(side)) => {
                Ok(owned(scene.row.side(*side).map_or(Value::Nil, |row| Value::Map(row.all().clone()))))
            }
            Expr::Star(stars) => Ok(owned(whole(stars, scene.row))),
            Expr::Analytic(index) => Ok(Cow::Borrowed(scene.analytic.get(*index).unwrap_or(&Value::Nil))),
            Expr::Aggregate(index) => Ok(Cow::Borrowed(scene.aggregates.get(*index).unwrap_or(&Value::Nil))),
            Expr::Cell(index, inner) => cell(*index, inner, scene),
            Expr::Binary(op, sides) => {
                let left = no_struct(sides.0.eval(scene)?, op.symbol())?;
                ops::apply(*op, &left, &*sides.1.eval(scene)?).map(owned)
            }
            Expr::SlotNumber(op, slot, number, constant) => slot_number(*op, scene.row.get(*slot), *number, constant),
            Expr::And(sides) => and(sides, scene),
            Expr::Or(sides) => or(sides, scene),
            Expr::Member(base, name) => member(base.eval(scene)?, name),
            Expr::Index(sides) => access::index(&*sides.0.eval(scene)?, &*sides.1.eval(scene)?).map(owned),
            Expr::Slice(base, from, to) => {
                let bound = |bound: &'a Option<Box<Expr>>| bound.as_ref().map(|expr| expr.eval(scene)).transpose();
                access::slice(&*base.eval(scene)?, bound(from)?.as_deref(), bound(to)?.as_deref()).map(owned)
            }
            Expr::In(operand, set, negated) => {
                let operand = no_struct(operand.eval(scene)?, if *negated { "NOT IN" } else { "IN" })?;
                contains(&operand, set, *negated, scene)
            }
            Expr::Between(parts, negated) => between(parts, *negated, scene),
            Expr::Like(sides, negated) => like(&*sides.0.eval(scene)?, &*sides.1.eval(scene)?, *negated),
            Expr::Case(case) => case.eval(scene),
            Expr::Call(function, args) => call(function, args, scene),
            Expr::User(function, args) => {
                let values: std::result::Result<Vec<_>, Error> = args.iter().map(|arg| arg.eval(scene)).collect();
                function.call(&values?, scene.context).map(owned)
            }
            Expr::Meta(side, key) => Ok(owned(meta(*side, key.as_ref(), scene))),
            Expr::Window(bound) => Ok(owned(Value::from(scene.window.map(|window| match bound {
                WindowBound::Start => window.start,
                WindowBound::End => window.end,
                WindowBound::Trigger => window.trigger,
            })))),
            Expr::EventTime => {
                Ok(owned(Value::Int(scene.window.map_or(scene.row.event.unwrap_or(scene.row.at), |window| window.end))))
            }
            Expr::RowNumber(call) => Ok(owned(Value::from(scene.row_numbers.get(*call).copied()))),
        }
    }

    /// The value as the condition of a clause: nil is false.
    ///
    /// # Errors
    /// The expression's own, or a value that is no truth value; the text begins with the clause.
    pub(crate) fn holds(&self, scene: &Scene<'_>, clause: &str) -> std::result::Result<bool, Error> {
        self.truth(scene).map_err(|error| within(clause, &error))
    }

    /// The value as a condition: nil is false.
    ///
    /// # Errors
    /// The expression's own, or a value that is no truth value.
    pub(crate) fn truth(&self, scene: &Scene<'_>) -> std::result::Result<bool, Error> {
        // The commonest conditions need no value in between.
        match self {
            Expr::SlotNumber(op, slot, number, _) => {
                if let Value::Float(float) = scene.row.get(*slot) {
                    return Ok(compare_floats(*op, *float, *number));
                }
            }
            Expr::And(sides) if sides.0.is_condition() && sides.1.is_condition() => {
                return Ok(sides.0.truth(scene)? && sides.1.truth(scene)?);
            }
            _ => {}
        }
        match &*self.eval(scene)? {
            Value::Bool(bool) => Ok(*bool),
            Value::Nil => Ok(false),
            other => Err(Error::call(format!(
                "invalid condition that returns non-bool value {}({})",
                other.type_name(),
                GoText(other)
            ))),
        }
    }
}

/// An error of a clause of the statement, as eKuiper's operators tell it.
#[cold]
pub(crate) fn within(clause: &str, error: &Error) -> Error {
    Error::call(format!("run {clause} error: {error}"))
}

impl Expr {
    /// Whether the value comes from the aggregate of this index.
    pub(crate) fn uses_aggregate(&self, index: usize) -> bool {
        let uses = |expr: &Expr| expr.uses_aggregate(index);
        match self {
            Expr::Aggregate(own) => *own == index,
            Expr::Cell(_, inner) => uses(inner),
            Expr::Binary(_, sides) | Expr::And(sides) | Expr::Or(sides) | Expr::Index(sides) | Expr::Like(sides, _) => {
                uses(&sides.0) || uses(&sides.1)
            }
            Expr::Member(base, _) => uses(base),
            Expr::Slice(base, from, to) => uses(base) || from.iter().chain(to).any(|bound| uses(bound)),
            Expr::In(operand, Set::List(items), _) => uses(operand) || items.iter().any(uses),
            Expr::In(operand, Set::Expr(set), _) => uses(operand) || uses(set),
            Expr::Between(parts, _) => parts.iter().any(uses),
            Expr::Case(case) => {
                case.operand.iter().chain(&case.otherwise).any(uses)
                    || case.arms.iter().any(|(when, then)| uses(when) || uses(then))
            }
            Expr::Call(_, args) | Expr::User(_, args) => args.iter().any(uses),
            _ => false,
        }
    }

    /// Whether evaluating it can go wrong.
    pub(crate) fn may_fail(&self) -> bool {
        !matches!(
            self,
            Expr::Const(_)
                | Expr::Slot(_)
                | Expr::Side(..)
                | Expr::FirstSide(_)
                | Expr::All(_)
                | Expr::Star(_)
                | Expr::Analytic(_)
                | Expr::Meta(..)
                | Expr::Window(_)
                | Expr::EventTime
                | Expr::RowNumber(_)
        )
    }

    /// Whether the value is always a truth value.
    fn is_condition(&self) -> bool {
        match self {
            Expr::SlotNumber(..) | Expr::In(..) | Expr::Between(..) | Expr::Like(..) | Expr::And(_) | Expr::Or(_) => {
                true
            }
            Expr::Binary(op, _) => op.precedence() == 3,
            _ => false,
        }
    }
}

fn owned<'a>(value: Value) -> Cow<'a, Value> {
    Cow::Owned(value)
}

/// The left side of an operator, which no operator but member access allows to be a struct.
fn no_struct<'a>(left: Cow<'a, Value>, op: &str) -> Result<'a> {
    match *left {
        Value::Map(_) => Err(struct_operation(op)),
        _ => Ok(left),
    }
}

#[cold]
fn struct_operation(op: &str) -> Error {
    Error::call(format!("{op} is an invalid operation for map[string]interface {{}}"))
}

fn truth<'a>(bool: bool) -> Cow<'a, Value> {
    Cow::Owned(Value::Bool(bool))
}

#[inline]
fn slot_number<'a>(op: BinaryOp, value: &Value, number: f64, constant: &Value) -> Result<'a> {
    let Value::Float(float) = value else {
        return match value {
            Value::Map(_) => Err(struct_operation(op.symbol())),
            _ => ops::apply(op, value, constant).map(owned),
        };
    };
    Ok(truth(compare_floats(op, *float, number)))
}

#[inline]
fn compare_floats(op: BinaryOp, left: f64, right: f64) -> bool {
    match op {
        BinaryOp::Eq => left == right,
        BinaryOp::Ne => left != right,
        BinaryOp::Lt => left < right,
        BinaryOp::Le => left <= right,
        BinaryOp::Gt => left > right,
        _ => left >= right,
    }
}

fn cell<'a>(index: usize, inner: &'a Expr, scene: &Scene<'a>) -> Result<'a> {
    let Some(cell) = scene.cells.get(index) else { return inner.eval(scene) };
    if let Some(value) = cell.get() {
        return Ok(Cow::Borrowed(value));
    }
    let value = inner.eval(scene)?.into_owned();
    Ok(Cow::Borrowed(cell.get_or_init(|| value)))
}

/// A side of AND or OR: nil counts as false; none when it is no truth value.
fn side(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::Nil => Some(false),
        _ => None,
    }
}

fn and<'a>(sides: &'a (Expr, Expr), scene: &Scene<'a>) -> Result<'a> {
    let left = no_struct(sides.0.eval(scene)?, "AND")?;
    if side(&left) == Some(false) {
        return Ok(truth(false));
    }
    let right = sides.1.eval(scene)?;
    match (side(&left), side(&right)) {
        (Some(left), Some(right)) => Ok(truth(left && right)),
        _ => Err(Error::operation(&left, "AND", &right)),
    }
}

fn or<'a>(sides: &'a (Expr, Expr), scene: &Scene<'a>) -> Result<'a> {
    let left = no_struct(sides.0.eval(scene)?, "OR")?;
    if side(&left) == Some(true) {
        return Ok(truth(true));
    }
    let right = sides.1.eval(scene)?;
    match (side(&left), side(&right)) {
        (Some(left), Some(right)) => Ok(truth(left || right)),
        _ => Err(Error::operation(&left, "OR", &right)),
    }
}

fn member<'a>(base: Cow<'a, Value>, name: &str) -> Result<'a> {
    if let Cow::Borrowed(Value::Map(map)) = base {
        return Ok(Cow::Borrowed(map.get(name).unwrap_or(&Value::Nil)));
    }
    match &*base {
        Value::Map(map) => Ok(owned(map.get(name).cloned().unwrap_or_default())),
        // What is no struct has no members, as in eKuiper.
        _ => Ok(owned(Value::Nil)),
    }
}

fn contains<'a>(value: &Value, set: &'a Set, negated: bool, scene: &Scene<'a>) -> Result<'a> {
    if value.is_nil() {
        return Ok(truth(false));
    }
    let equal = |item: &Value| {
        ops::compare(BinaryOp::Eq, value, item)
            .map_err(|error| Error::call(format!("evaluate in expression error: {error}")))
    };
    let found = match set {
        Set::List(items) => {
            let mut found = false;
            for item in items {
                found = found || equal(&*item.eval(scene)?)?;
            }
            found
        }
        Set::Expr(expr) => match &*expr.eval(scene)? {
            Value::Nil => false,
            Value::Array(items) => items.iter().try_fold(false, |found, item| Ok::<_, Error>(found || equal(item)?))?,
            other => return Err(Error::operation(value, if negated { "NOT IN" } else { "IN" }, other)),
        },
    };
    Ok(truth(found != negated))
}

fn between<'a>(parts: &'a [Expr; 3], negated: bool, scene: &Scene<'a>) -> Result<'a> {
    let (value, low, high) = (parts[0].eval(scene)?, parts[1].eval(scene)?, parts[2].eval(scene)?);
    if value.is_nil() || low.is_nil() || high.is_nil() {
        return Ok(truth(false));
    }
    let compare = |op, bound: &Value| {
        ops::compare(op, &value, bound).map_err(|_| {
            let (left, right) = (value.type_name(), bound.type_name());
            let text = format!("{left}({}) and {right}({})", GoText(&value), GoText(bound));
            Error::call(format!("between operator cannot compare {text}"))
        })
    };
    // Both bounds must be comparable, whatever the first says.
    let (above, below) = (compare(BinaryOp::Ge, &low)?, compare(BinaryOp::Le, &high)?);
    let inside = above && below;
    Ok(truth(inside != negated))
}

fn like<'a>(value: &Value, pattern: &Value, negated: bool) -> Result<'a> {
    match (value, pattern) {
        (Value::Nil, _) | (_, Value::Nil) => Ok(truth(false)),
        (Value::Str(text), Value::Str(pattern)) => Ok(truth(ops::like(text, pattern) != negated)),
        (Value::Str(_), other) => {
            Err(Error::call(format!("invalid LIKE pattern, must be a string but got {}", GoText(other))))
        }
        (other, _) => {
            Err(Error::call(format!("LIKE operator left operand expects string, but found {}", GoText(other))))
        }
    }
}

impl Case {
    fn eval<'a>(&'a self, scene: &Scene<'a>) -> Result<'a> {
        let wrong = |error: Error| Error::call(format!("evaluate case expression error: {error}"));
        let operand = self.operand.as_ref().map(|operand| operand.eval(scene)).transpose()?;
        for (when, then) in &self.arms {
            let value = when.eval(scene).map_err(wrong)?;
            let hit = match &operand {
                Some(operand) => ops::compare(BinaryOp::Eq, operand, &value).map_err(wrong)?,
                // What is no truth value is no match.
                None => *value == Value::Bool(true),
            };
            if hit {
                return then.eval(scene);
            }
        }
        self.otherwise.as_ref().map_or(Ok(owned(Value::Nil)), |otherwise| otherwise.eval(scene))
    }
}

/// Calls a scalar function; up to three arguments stay on the stack.
fn call<'a>(function: &Function, args: &'a [Expr], scene: &Scene<'a>) -> Result<'a> {
    let context = scene.context;
    match args {
        [] => function.call(&[], context),
        [a] => function.call(&[a.eval(scene)?], context),
        [a, b] => function.call(&[a.eval(scene)?, b.eval(scene)?], context),
        [a, b, c] => function.call(&[a.eval(scene)?, b.eval(scene)?, c.eval(scene)?], context),
        _ => {
            let values: std::result::Result<Vec<_>, Error> = args.iter().map(|arg| arg.eval(scene)).collect();
            function.call(&values?, context)
        }
    }
    .map(owned)
}

fn meta(side: Option<usize>, key: Option<&Arc<str>>, scene: &Scene<'_>) -> Value {
    let of_side = side.and_then(|side| scene.row.side(side));
    let metadata: Option<&Arc<Map>> = of_side.map_or(scene.row.meta.as_ref(), |row| row.meta.as_ref());
    match (metadata, key) {
        (None, _) => Value::Nil,
        (Some(map), None) => Value::Map(map.clone()),
        (Some(map), Some(key)) => map.get(key).cloned().unwrap_or_default(),
    }
}
