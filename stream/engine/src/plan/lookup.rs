//! Which equalities of a join's condition a lookup table is asked by.

use std::sync::Arc;

use edgeward_sql::ast::{BinaryOp, Column, Expr as Syntax};

use super::LookupPlan;
use crate::EngineError;
use crate::expr::{Compiler, Expr, columns};

/// The keys of the join with `input`; none when it is no lookup table.
pub(super) fn plan(input: usize, on: Option<&Syntax>, compiler: &mut Compiler<'_>) -> Result<LookupPlan, EngineError> {
    let mut plan = LookupPlan::default();
    let is_lookup = compiler.scope.inputs.get(input).is_some_and(|input| input.definition.is_lookup());
    if let Some(on) = on.filter(|_| is_lookup) {
        collect(input, on, compiler, &mut plan)?;
        if plan.keys.is_empty() {
            let text = "lookup table join must have at least one equal predicate on the key";
            return Err(EngineError::Plan(text.into()));
        }
    }
    Ok(plan)
}

fn collect(input: usize, on: &Syntax, compiler: &mut Compiler<'_>, plan: &mut LookupPlan) -> Result<(), EngineError> {
    let Syntax::Binary(op, left, right) = on else { return Ok(()) };
    match op {
        BinaryOp::And => {
            collect(input, left, compiler, plan)?;
            collect(input, right, compiler, plan)
        }
        BinaryOp::Eq => {
            for (column, value) in [(left, right), (right, left)] {
                let Some(key) = column_of(input, column, compiler) else { continue };
                if columns(value).into_iter().all(|column| column_of(input, column, compiler).is_none()) {
                    plan.keys.push(key);
                    plan.values.push(compiler.expr(value)?);
                    return Ok(());
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The column's name if it is one of the table's, by its qualifier or by standing nowhere else.
fn column_of(input: usize, syntax: &Syntax, compiler: &mut Compiler<'_>) -> Option<Arc<str>> {
    let Syntax::Column(Column { name, .. }) = syntax else { return None };
    match compiler.expr(syntax).ok()? {
        Expr::Side(side, _) if side == input => Some(name.as_str().into()),
        _ => None,
    }
}
