//! From a SELECT to a program: what each operator does, compiled against the slots of the streams.

mod check;
mod lookup;
mod project;
mod script;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use edgeward_functions::format::GoText;
use edgeward_functions::{Error, UserFunctions, Value};
use edgeward_sql::ast::{Expr as Syntax, JoinKind, Select, SelectField, WindowKind};

pub(crate) use project::Projection;
pub(crate) use script::CALL as SCRIPT;

use crate::event_time::Timestamp;
use crate::expr::{AggregateCall, AnalyticCall, Compiler, Expr, Numbering, Scene, Scope, ScopeInput, within};
use crate::options::RuleOptions;
use crate::window::WindowPlan;
use crate::{EngineError, StreamDef, Table, TableKind};

/// A statement ready to be started: names are resolved and everything that can be refused has been.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) select: Select,
    pub(crate) options: RuleOptions,
    pub(crate) definitions: Vec<StreamDef>,
    pub(crate) users: Option<Arc<dyn UserFunctions>>,
}

/// The compiled operators of one running rule.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) inputs: usize,
    /// For each input that is a table how it keeps its rows, and the slot of its key.
    pub(crate) tables: Vec<Option<(Table, Option<usize>)>>,
    pub(crate) analytic: Vec<AnalyticCall>,
    /// The `row_number()` calls.
    pub(crate) numberings: Vec<Numbering>,
    pub(crate) filter: Option<Expr>,
    /// The filter needs nothing but the row and runs in the stream.
    pub(crate) filter_in_stream: bool,
    /// It calls functions that users brought: the rule needs a thread of its own.
    pub(crate) calls_users: bool,
    // What few rules have is boxed: there may be very many programs.
    pub(crate) window: Option<Box<WindowPlan>>,
    pub(crate) joins: Vec<JoinPlan>,
    /// Aggregates of WHERE, over all rows of a window, and the condition that uses them.
    pub(crate) late_filter: Option<Box<(Vec<AggregateCall>, Expr)>>,
    /// Without a window each row by itself becomes one row of output.
    pub(crate) plain: bool,
    /// One output row for each group rather than for each row.
    pub(crate) grouped: bool,
    pub(crate) group_by: Vec<Expr>,
    pub(crate) aggregates: Vec<AggregateCall>,
    pub(crate) having: Option<Expr>,
    pub(crate) order_by: Vec<(Expr, bool)>,
    pub(crate) limit: Option<usize>,
    pub(crate) projection: Projection,
    /// Alias cells a row needs.
    pub(crate) cells: usize,
    /// In event time where the inputs' rows have it.
    pub(crate) timestamps: Vec<Option<Timestamp>>,
}

/// One join: its type and condition over the rows joined so far and its own.
#[derive(Debug)]
pub(crate) struct JoinPlan {
    pub(crate) kind: JoinKind,
    pub(crate) on: Option<Expr>,
    /// How the rows of a lookup table are asked for.
    pub(crate) lookup: LookupPlan,
}

/// The equalities of a join's condition between a column of a lookup table and what the rows joined so far have.
#[derive(Debug, Default)]
pub(crate) struct LookupPlan {
    pub(crate) keys: Vec<Arc<str>>,
    pub(crate) values: Vec<Expr>,
}

impl JoinPlan {
    /// Whether rows that stand side by side belong together.
    ///
    /// # Errors
    /// The condition's.
    pub(crate) fn holds(&self, scene: &Scene<'_>) -> Result<bool, Error> {
        let Some(on) = &self.on else { return Ok(true) };
        match on.eval(scene).map(Cow::into_owned) {
            Ok(Value::Bool(bool)) => Ok(bool),
            Ok(Value::Nil) => Ok(false),
            Ok(other) => {
                let (kind, value) = (other.type_name(), GoText(&other));
                let text = format!("invalid join condition that returns non-bool value {kind}({value})");
                Err(within("Join", &Error::call(text)))
            }
            Err(error) => Err(within("Join", &error)),
        }
    }
}

impl Plan {
    /// Plans a statement. `definition` answers the streams and tables by name.
    ///
    /// # Errors
    /// An unknown stream, or anything section 1.7 of eKuiper's rules refuses, with its text.
    pub fn new(
        select: &Select,
        options: &RuleOptions,
        definition: &dyn Fn(&str) -> Option<StreamDef>,
    ) -> Result<Plan, EngineError> {
        Plan::with_functions(select, options, definition, None)
    }

    /// As [`Plan::new`], with functions beside the built-in ones, which come first.
    ///
    /// # Errors
    /// As for [`Plan::new`].
    pub fn with_functions(
        select: &Select,
        options: &RuleOptions,
        definition: &dyn Fn(&str) -> Option<StreamDef>,
        users: Option<Arc<dyn UserFunctions>>,
    ) -> Result<Plan, EngineError> {
        let sources = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.source));
        let definitions: Result<Vec<StreamDef>, EngineError> = sources
            .map(|source| definition(&source.name).ok_or_else(|| EngineError::UnknownStream(source.name.clone())))
            .collect();
        let plan = Plan { select: select.clone(), options: options.clone(), definitions: definitions?, users };
        check::statement(&plan)?;
        let mut slots = 0;
        plan.compile(&mut |_, _| {
            slots += 1;
            slots - 1
        })?;
        Ok(plan)
    }

    /// The streams and tables the statement reads, in the order of its FROM and JOIN clauses.
    pub fn inputs(&self) -> impl Iterator<Item = &StreamDef> {
        self.definitions.iter()
    }

    /// The options it was planned with.
    pub fn options(&self) -> &RuleOptions {
        &self.options
    }

    /// Whether the window's aggregates run as `inc_*`: they are asked to, and all of them can.
    fn is_incremental(&self, aggregates: &[AggregateCall]) -> bool {
        const ABLE: [&str; 8] = ["count", "avg", "max", "min", "sum", "merge_agg", "collect", "last_value"];
        let kind = self.select.window.as_ref().map(|window| &window.kind);
        let window = matches!(
            kind,
            Some(WindowKind::Tumbling(..) | WindowKind::Hopping(..) | WindowKind::Sliding(..) | WindowKind::Count(..))
        );
        self.options.incremental_window
            && window
            && self.select.joins.is_empty()
            && !aggregates.is_empty()
            && aggregates.iter().all(|call| ABLE.contains(&call.function.name))
    }

    fn timestamps(&self, slot: &mut dyn FnMut(usize, &str) -> usize) -> Vec<Option<Timestamp>> {
        let definitions = self.definitions.iter().enumerate().filter(|_| self.options.is_event_time);
        definitions.map(|(input, definition)| Timestamp::new(definition, |column| slot(input, column))).collect()
    }

    pub(crate) fn scope(&self) -> Scope {
        let sources = std::iter::once(&self.select.from).chain(self.select.joins.iter().map(|join| &join.source));
        let inputs = sources
            .zip(&self.definitions)
            .map(|(source, definition)| ScopeInput {
                reference: source.reference().to_string(),
                definition: definition.clone(),
            })
            .collect();
        let mut order = vec![0];
        for (index, join) in self.select.joins.iter().enumerate() {
            order.insert(if join.kind == JoinKind::Right { 0 } else { order.len() }, index + 1);
        }
        Scope { inputs, order, aliases: aliases(&self.select), users: self.users.clone() }
    }

    /// Compiles the operators; `slot` gives the slot of a column of an input.
    pub(crate) fn compile(&self, slot: &mut dyn FnMut(usize, &str) -> usize) -> Result<Program, EngineError> {
        let select = &self.select;
        let scope = self.scope();
        let mut compiler = Compiler::new(&scope, slot);
        compiler.recompute = self.options.disable_alias_ref_cal;
        let condition = compiler.option(select.condition.as_ref())?;
        let condition_aggregates = std::mem::take(&mut compiler.aggregates);
        compiler.forget_aliases();
        let joins: Result<Vec<JoinPlan>, EngineError> = select
            .joins
            .iter()
            .enumerate()
            .map(|(index, join)| {
                let lookup = lookup::plan(index + 1, join.on.as_ref(), &mut compiler)?;
                Ok(JoinPlan { kind: join.kind, on: compiler.option(join.on.as_ref())?, lookup })
            })
            .collect();
        let window = select.window.as_ref().map(|window| WindowPlan::compile(window, &mut compiler)).transpose()?;
        let group_by = compiler.list(&select.group_by)?;
        if !compiler.aggregates.is_empty() {
            return Err(EngineError::Plan("Not allowed to call aggregate functions in GROUP BY clause.".into()));
        }
        let projection = Projection::compile(select, &self.options, &mut compiler)?;
        let having = compiler.option(select.having.as_ref())?;
        let order_by: Result<Vec<(Expr, bool)>, EngineError> =
            select.order_by.iter().map(|sort| Ok((compiler.expr(&sort.expr)?, sort.descending))).collect();
        let (cells, calls_users) = (compiler.cell_count(), compiler.calls_users);
        let tables = tables(&self.definitions, &mut *compiler.slot);
        let timestamps = self.timestamps(&mut *compiler.slot);
        let (mut aggregates, analytic, numberings) = (compiler.aggregates, compiler.analytic, compiler.numberings);
        let incremental = self.is_incremental(&aggregates);
        aggregates.iter_mut().for_each(|call| call.incremental = incremental);
        // A count or sliding window counts and is triggered by every row: there WHERE looks at what it holds.
        let counts = matches!(
            select.window.as_ref().map(|window| &window.kind),
            Some(WindowKind::Count(..) | WindowKind::Sliding(..))
        );
        let (filter, late_filter) = match condition {
            Some(condition) if counts || !condition_aggregates.is_empty() => {
                (None, Some(Box::new((condition_aggregates, condition))))
            }
            other => (other, None),
        };
        let grouped = !aggregates.is_empty() || !group_by.is_empty();
        let (joins, order_by) = (joins?, order_by?);
        let orders = !order_by.is_empty() || !numberings.is_empty() || select.limit.is_some();
        let selects = late_filter.is_some() || having.is_some() || projection.has_srf();
        Ok(Program {
            plain: window.is_none() && joins.is_empty() && !grouped && !orders && !selects,
            inputs: scope.inputs.len(),
            // A stream is read by many rules: none may hold it up.
            filter_in_stream: analytic.is_empty() && scope.inputs.len() == 1 && !calls_users,
            calls_users,
            tables,
            numberings,
            analytic,
            filter,
            window: window.map(Box::new),
            joins,
            late_filter,
            grouped,
            group_by,
            aggregates,
            having,
            order_by,
            limit: select.limit.and_then(|limit| usize::try_from(limit).ok()),
            projection,
            cells,
            timestamps,
        })
    }
}

impl Program {
    /// Whether an input is a scan table.
    pub(crate) fn is_scan(&self, input: usize) -> bool {
        matches!(self.tables.get(input), Some(Some((table, _))) if table.kind == TableKind::Scan)
    }

    /// Whether an input is a lookup table.
    pub(crate) fn is_lookup(&self, input: usize) -> bool {
        matches!(self.tables.get(input), Some(Some((table, _))) if table.kind == TableKind::Lookup)
    }

    /// Whether a window without rows is no message: joins, groups and conditions after it let nothing through.
    pub(crate) fn needs_a_row(&self) -> bool {
        let filtered = self.late_filter.is_some() || self.having.is_some();
        filtered || !self.joins.is_empty() || !self.group_by.is_empty()
    }

    /// Whether a window must keep its rows rather than running aggregates.
    pub(crate) fn needs_rows(&self) -> bool {
        !self.grouped
            || !self.joins.is_empty()
            || self.late_filter.is_some()
            || !self.window.as_ref().is_some_and(|window| window.is_disjoint())
    }
}

fn tables(
    definitions: &[StreamDef],
    slot: &mut dyn FnMut(usize, &str) -> usize,
) -> Vec<Option<(Table, Option<usize>)>> {
    let of = |(input, definition): (usize, &StreamDef)| {
        let table = definition.table.clone()?;
        let key = table.key.as_ref().map(|key| slot(input, key));
        Some((table, key))
    };
    definitions.iter().enumerate().map(of).collect()
}

/// Alias to expression of the select list.
fn aliases(select: &Select) -> HashMap<String, Syntax> {
    let mut aliases = HashMap::new();
    for field in &select.fields {
        match field {
            SelectField::Expr { expr, alias: Some(alias), .. } => {
                aliases.insert(alias.clone(), expr.clone());
            }
            SelectField::All { replace, .. } => {
                aliases.extend(replace.iter().map(|(expr, alias)| (alias.clone(), expr.clone())))
            }
            SelectField::Expr { .. } => {}
        }
    }
    aliases
}
