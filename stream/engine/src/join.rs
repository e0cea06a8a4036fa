//! Joins of the rows of one window: nested loops, as eKuiper does it.

use std::sync::Arc;

use edgeward_functions::{Context, Error, Value};
use edgeward_sql::ast::JoinKind;

use crate::Row;
use crate::group::scene;
use crate::plan::{JoinPlan, Program};
use crate::row::Origin;
use crate::table::TableRows;
use crate::window::Tuple;

type Sides = Box<[Option<Arc<Row>>]>;

/// Joins the rows of a window input by input; a statement without joins gets its rows back. With `asked` lookup tables are left
/// out: their sources are asked afterwards.
pub(crate) fn run(
    program: &Program,
    rows: Vec<Tuple>,
    tables: &[Option<TableRows>],
    asked: bool,
    context: &Context,
) -> Result<Vec<Tuple>, Error> {
    if program.joins.is_empty() {
        return Ok(rows);
    }
    let single = |input: usize, row: &Arc<Row>, at: i64, analytic: &Arc<[Value]>| {
        let mut sides: Sides = vec![None; program.inputs].into();
        sides[input] = Some(row.clone());
        Tuple { analytic: analytic.clone(), ..join(sides, at) }
    };
    let of = |input: usize| -> Vec<Tuple> {
        match &tables[input] {
            // What a table holds is older than any row.
            Some(table) => table.rows.iter().map(|row| single(input, row, i64::MIN, &Arc::default())).collect(),
            None => rows
                .iter()
                .filter(|tuple| tuple.input == input)
                .map(|tuple| single(input, &tuple.row, tuple.at, &tuple.analytic))
                .collect(),
        }
    };
    let mut left = of(0);
    for (index, plan) in program.joins.iter().enumerate() {
        if asked && program.is_lookup(index + 1) {
            continue;
        }
        left = step(plan, left, of(index + 1), context)?;
    }
    Ok(left)
}

fn join(sides: Sides, at: i64) -> Tuple {
    Tuple { row: Arc::new(Row::new(Box::default(), Origin::Joined(sides), at)), at, input: 0, analytic: Arc::default() }
}

/// A joined row with the row of one more input.
pub(crate) fn with(left: &Tuple, input: usize, row: Arc<Row>) -> Tuple {
    let Origin::Joined(sides) = &left.row.origin else { return left.clone() };
    let mut sides = sides.clone();
    sides[input] = Some(row);
    Tuple { analytic: left.analytic.clone(), ..join(sides, left.at) }
}

fn merge(left: &Tuple, right: &Tuple) -> Tuple {
    let (Origin::Joined(a), Origin::Joined(b)) = (&left.row.origin, &right.row.origin) else { return left.clone() };
    let joined =
        join(a.iter().zip(b.iter()).map(|(a, b)| a.clone().or_else(|| b.clone())).collect(), left.at.max(right.at));
    Tuple { analytic: left.analytic.clone(), ..joined }
}

fn step(plan: &JoinPlan, left: Vec<Tuple>, right: Vec<Tuple>, context: &Context) -> Result<Vec<Tuple>, Error> {
    let mut out = Vec::new();
    if plan.kind == JoinKind::Right {
        // A right join goes by the rows of its right side.
        for b in right {
            let before = out.len();
            for a in &left {
                let both = merge(a, &b);
                if plan.holds(&scene(&both, context))? {
                    out.push(both);
                }
            }
            if out.len() == before {
                out.push(b);
            }
        }
        return Ok(out);
    }
    let mut right_hit = vec![false; right.len()];
    for a in &left {
        let mut hit = false;
        for (b, right_hit) in right.iter().zip(&mut right_hit) {
            let both = merge(a, b);
            if plan.holds(&scene(&both, context))? {
                (hit, *right_hit) = (true, true);
                out.push(both);
            }
        }
        if !hit && matches!(plan.kind, JoinKind::Left | JoinKind::Full) {
            out.push(a.clone());
        }
    }
    if plan.kind == JoinKind::Full {
        out.extend(right.into_iter().zip(right_hit).filter(|(_, hit)| !hit).map(|(tuple, _)| tuple));
    }
    Ok(out)
}
