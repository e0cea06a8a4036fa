//! What eKuiper refuses before a rule runs (section 1.7).

use std::collections::HashSet;

use edgeward_sql::ast::{BinaryOp, Expr, JoinKind, SelectField, WindowKind};

use super::Plan;
use crate::expr::{first_call, has_aggregate};
use crate::{EngineError, StreamDef};

/// Checks a statement as a whole; columns and calls are checked when they are compiled.
pub(super) fn statement(plan: &Plan) -> Result<(), EngineError> {
    let select = &plan.select;
    let refuse = |text: &str| Err(EngineError::Plan(text.to_string()));
    if select.window.is_none() && !select.group_by.is_empty() {
        return refuse("select stmt group by should be used with window");
    }
    let joined = || select.joins.iter().zip(plan.definitions.iter().skip(1));
    if select.window.is_none() && joined().any(|(_, definition)| definition.table.is_none()) {
        return refuse("a time window or count window is required to join multiple streams");
    }
    if plan.definitions.first().is_some_and(StreamDef::is_lookup) {
        return refuse("lookup table cannot be used as the primary stream, please use it in a join");
    }
    for (join, _) in joined().filter(|(_, definition)| definition.is_lookup()) {
        if !matches!(join.kind, JoinKind::Inner | JoinKind::Left) {
            return refuse("lookup table only supports left or inner join");
        }
        if !join.on.as_ref().is_some_and(has_equality) {
            return refuse("lookup table join must have at least one equal predicate on the key");
        }
    }
    if let Some(having) = &select.having
        && !has_aggregate(having, &super::aliases(select), plan.users.as_deref())
    {
        return refuse("Not allowed to call none-aggregate functions in HAVING clause.");
    }
    if plan.options.is_event_time
        && matches!(select.window.as_ref().map(|window| &window.kind), Some(WindowKind::Count(..)))
    {
        return refuse("count window is not supported in event time");
    }
    let timeless = |definition: &&StreamDef| definition.table.is_none() && definition.timestamp.is_none();
    if plan.options.is_event_time && plan.definitions.iter().any(|definition| timeless(&definition)) {
        return refuse("preprocessor is set to be event time but stream option TIMESTAMP not found");
    }
    if plan.options.send_meta_to_sink && (select.window.is_some() || !select.joins.is_empty()) {
        return refuse("Invalid option sendMetaToSink, it can not be applied to window");
    }
    hits(plan)?;
    places(plan)?;
    duplicates(&select.fields)
}

/// Set-returning and window functions stand in the select list only, one set-returning function and not inside of anything.
fn places(plan: &Plan) -> Result<(), EngineError> {
    const SETS: [&str; 2] = ["unnest", "extract"];
    let select = &plan.select;
    let refuse = |text: String| Err(EngineError::Plan(text));
    let clauses = [
        ("where", select.condition.iter().collect::<Vec<_>>()),
        ("join", select.joins.iter().filter_map(|join| join.on.as_ref()).collect()),
        ("group by", select.group_by.iter().collect()),
        ("having", select.having.iter().collect()),
        ("order by", select.order_by.iter().map(|sort| &sort.expr).collect()),
    ];
    for (clause, expr) in clauses.iter().flat_map(|(clause, exprs)| exprs.iter().map(move |expr| (clause, *expr))) {
        if first_call(expr, &SETS).is_some() {
            return refuse(format!("{clause} clause shouldn't has set-returning-functions"));
        }
        if first_call(expr, &["row_number"]).is_some() {
            return refuse("window functions can only be in select fields".into());
        }
    }
    let mut sets = 0;
    for field in &select.fields {
        let SelectField::Expr { expr, .. } = field else { continue };
        let is_set = |call: &&edgeward_sql::ast::Call| SETS.iter().any(|set| call.name.eq_ignore_ascii_case(set));
        let own = match expr {
            Expr::Call(call) => Some(&**call).filter(is_set),
            _ => None,
        };
        let nested = match own {
            Some(call) => call.args.iter().any(|arg| first_call(arg, &SETS).is_some()),
            None => first_call(expr, &SETS).is_some(),
        };
        if nested {
            return refuse("select clause shouldn't has nested set-returning-functions".into());
        }
        sets += usize::from(own.is_some());
    }
    if sets > 1 {
        return refuse("select clause shouldn't has multi set-returning-functions".into());
    }
    Ok(())
}

/// What counts rows of a rule has no meaning where there are groups.
fn hits(plan: &Plan) -> Result<(), EngineError> {
    let select = &plan.select;
    let aliases = super::aliases(select);
    let fields = select.fields.iter().filter_map(|field| match field {
        SelectField::Expr { expr, .. } => Some(expr),
        SelectField::All { .. } => None,
    });
    let aggregates = |expr| has_aggregate(expr, &aliases, plan.users.as_deref());
    if select.window.is_none() && select.joins.is_empty() && !fields.clone().any(aggregates) {
        return Ok(());
    }
    let clauses = select.condition.iter().chain(&select.having).chain(&select.group_by);
    let found = fields.chain(clauses).find_map(|expr| first_call(expr, &["last_hit_count", "last_hit_time"]));
    match found {
        Some(name) => Err(EngineError::Plan(format!("function {name} is not allowed in an aggregate query"))),
        None => Ok(()),
    }
}

/// Whether a condition is an equality, or a conjunction with one.
fn has_equality(on: &Expr) -> bool {
    match on {
        Expr::Binary(BinaryOp::Eq, ..) => true,
        Expr::Binary(BinaryOp::And, left, right) => has_equality(left) || has_equality(right),
        _ => false,
    }
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
