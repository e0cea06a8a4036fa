//! What eKuiper refuses before a rule runs (section 1.7).

use std::collections::HashSet;

use edgeward_sql::ast::{SelectField, WindowKind};

use super::Plan;
use crate::EngineError;
use crate::expr::has_aggregate;

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
        && !has_aggregate(having, &super::aliases(select), plan.users.as_deref())
    {
        return refuse("Not allowed to call none-aggregate functions in HAVING clause.");
    }
    if plan.options.is_event_time
        && matches!(select.window.as_ref().map(|window| &window.kind), Some(WindowKind::Count(..)))
    {
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
