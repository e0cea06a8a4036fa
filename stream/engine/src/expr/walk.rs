//! Questions about expressions before they are compiled.

use std::collections::{HashMap, HashSet};

use edgeward_functions::{Run, UserFunctions, lookup};
use edgeward_sql::ast::{Expr, SetOperand};

/// Whether an expression calls an aggregate, directly or through an alias.
pub(crate) fn has_aggregate<'a>(
    expr: &'a Expr,
    aliases: &'a HashMap<String, Expr>,
    users: Option<&dyn UserFunctions>,
) -> bool {
    let aggregate = |name: &str| match lookup(name) {
        Some(function) => matches!(function.run, Run::Aggregate(_)),
        None => users.and_then(|users| users.find(name)).is_some_and(|function| function.is_aggregate()),
    };
    let mut pending = vec![expr];
    let mut seen = HashSet::new();
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::Call(call) if aggregate(&call.name) => return true,
            Expr::Column(column) if column.stream.is_none() && seen.insert(&column.name) => {
                pending.extend(aliases.get(&column.name))
            }
            _ => {}
        }
        children(expr, &mut pending);
    }
    false
}

/// The first of these functions that an expression calls.
pub(crate) fn first_call<'a>(expr: &'a Expr, names: &[&str]) -> Option<&'a str> {
    let mut pending = vec![expr];
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::Call(call) if names.iter().any(|name| call.name.eq_ignore_ascii_case(name)) => {
                return Some(&call.name);
            }
            _ => children(expr, &mut pending),
        }
    }
    None
}

/// The columns an expression names.
pub(crate) fn columns(expr: &Expr) -> Vec<&Expr> {
    let (mut pending, mut found) = (vec![expr], Vec::new());
    while let Some(expr) = pending.pop() {
        if matches!(expr, Expr::Column(_)) {
            found.push(expr);
        }
        children(expr, &mut pending);
    }
    found
}

/// Adds the direct parts of an expression.
fn children<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match expr {
        Expr::Binary(_, left, right) | Expr::Index(left, right) => into.extend([&**left, &**right]),
        Expr::Member(base, _) => into.push(base),
        Expr::Slice(base, from, to) => {
            into.push(base);
            into.extend(from.iter().chain(to).map(|bound| &**bound));
        }
        Expr::In { operand, set, .. } => {
            into.push(operand);
            match set {
                SetOperand::List(items) => into.extend(items),
                SetOperand::Expr(set) => into.push(set),
            }
        }
        Expr::Between { operand, low, high, .. } => into.extend([&**operand, &**low, &**high]),
        Expr::Like { operand, pattern, .. } => into.extend([&**operand, &**pattern]),
        Expr::Case(case) => {
            into.extend(case.operand.iter().chain(&case.otherwise));
            into.extend(case.arms.iter().flat_map(|(when, then)| [when, then]));
        }
        Expr::Call(call) => into.extend(&call.args),
        _ => {}
    }
}
