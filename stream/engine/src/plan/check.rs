//! What eKuiper refuses before a rule runs (section 1.7).

use std::collections::HashSet;

use edgeward_functions::{Run, lookup};
use edgeward_sql::ast::{Expr, SelectField, SetOperand, WindowKind};

use super::Plan;
use crate::EngineError;

/// Checks a statement as a whole; columns and calls are checked when they are compiled.
pub(super) fn statement(plan: &Plan) -> Result<(), EngineError> {
    let select = &plan.select;
    let refuse = |text: &str| Err(EngineError::Plan(text.to_string()));
    if select.window.is_none() && !select.group_by.is_empty() {
        return refuse("select stmt group by should be used with window");
    }
    if select.window.is_none() && !select.joins.is_empty() {
        return refuse("a time window or count window is required to join multiple streams");
    }
    if let Some(having) = &select.having
        && !is_aggregate(having, plan)
    {
        return refuse("Not allowed to call none-aggregate functions in HAVING clause.");
    }
    if plan.options.is_event_time && matches!(select.window.as_ref().map(|window| &window.kind), Some(WindowKind::Count(..))) {
        return refuse("count window is not supported in event time");
    }
    if plan.options.send_meta_to_sink && (select.window.is_some() || !select.joins.is_empty()) {
        return refuse("Invalid option sendMetaToSink, it can not be applied to window");
    }
    duplicates(&select.fields)
}

fn duplicates(fields: &[SelectField]) -> Result<(), EngineError> {
    let mut seen = HashSet::new();
    for field in fields {
        if let SelectField::Expr { alias: Some(alias), .. } = field
            && !seen.insert(alias)
        {
            return Err(EngineError::Plan(format!("duplicate field definition {alias}")));
        }
    }
    Ok(())
}

/// Whether an expression calls an aggregate, directly or through an alias.
fn is_aggregate(expr: &Expr, plan: &Plan) -> bool {
    let aliases = super::aliases(&plan.select);
    let mut pending = vec![expr];
    let mut seen = HashSet::new();
    while let Some(expr) = pending.pop() {
        match expr {
            Expr::Call(call) if lookup(&call.name).is_some_and(|function| matches!(function.run, Run::Aggregate(_))) => return true,
            Expr::Column(column) if column.stream.is_none() && seen.insert(&column.name) => pending.extend(aliases.get(&column.name)),
            _ => {}
        }
        children(expr, &mut pending);
    }
    false
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
