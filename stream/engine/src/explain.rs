//! `GET /rules/{id}/explain`: one line for each step of the plan, indented by a tab more than the step it feeds. The steps and
//! what is told of them are those of eKuiper's logical plan after its rewrites: filters below windows, sources without the
//! columns nobody reads.

use std::collections::BTreeSet;

use edgeward_sql::ast::{Expr as Syntax, Join, JoinKind, Select, SelectField, SortField, Window, WindowKind};

use crate::expr::{Expr, Scope};
use crate::plan::{Plan, Program};
use crate::{EngineError, TableKind};

/// A step's name and what is told of it.
type Step = (&'static str, String);

impl Plan {
    /// The steps of the plan, the last first.
    ///
    /// # Errors
    /// None of a plan that was made: it compiles.
    pub fn explain(&self) -> Result<String, EngineError> {
        let mut columns = vec![BTreeSet::new(); self.definitions.len()];
        let mut slots = 0;
        let program = self.compile(&mut |input, name| {
            columns[input].insert(name.to_string());
            slots += 1;
            slots - 1
        })?;
        let scope = self.scope();
        let explainer = Explainer { plan: self, program: &program, scope: &scope };
        let steps: Vec<Step> = explainer.output().into_iter().chain(explainer.input()).collect();
        let depth = steps.len();
        let mut lines: Vec<String> =
            steps.iter().enumerate().map(|(index, (op, info))| line(index, index, op, info)).collect();
        for (input, columns) in columns.iter().enumerate().filter(|(input, _)| !program.is_lookup(*input)) {
            lines.push(line(depth, lines.len(), "DataSourcePlan", &explainer.source(input, columns)));
        }
        Ok(lines.join("\n"))
    }
}

fn line(indent: usize, number: usize, op: &str, info: &str) -> String {
    // Not escaped: upstream puts the parts together as text.
    format!("{}{{\"op\":\"{op}_{number}\",\"info\":\"{info}\"}}", "\t".repeat(indent))
}

fn list(items: impl IntoIterator<Item = String>) -> String {
    items.into_iter().collect::<Vec<_>>().join(", ")
}

struct Explainer<'a> {
    plan: &'a Plan,
    program: &'a Program,
    scope: &'a Scope,
}

impl<'a> Explainer<'a> {
    fn select(&self) -> &'a Select {
        &self.plan.select
    }

    fn shown(&self, syntax: &Syntax) -> String {
        self.scope.shown(syntax, None)
    }

    /// The steps after the rows are grouped, the last first.
    fn output(&self) -> Vec<Step> {
        let (select, program) = (self.select(), self.program);
        let mut steps = Vec::new();
        if program.projection.has_srf() {
            steps.push(("ProjectSetPlan", "SRFMapping".to_string()));
        }
        let fields = select.fields.iter().map(|field| self.field(field));
        steps.push(("ProjectPlan", format!("Fields:[ {} ]", list(fields))));
        if !select.order_by.is_empty() {
            let sorts = select.order_by.iter().map(|sort| self.sort(sort));
            steps.push(("OrderPlan", format!("SortFields:[ {} ]", list(sorts))));
        }
        if !program.numberings.is_empty() {
            let calls = select.fields.iter().filter(|field| is_numbering(field)).map(|field| self.field(field));
            steps.push(("WindowFuncPlan", format!("windowFuncFields:[ {} ]", list(calls))));
        }
        if let Some(having) = &select.having {
            steps.push(("HavingPlan", format!("Condition:{{ {} }}, ", self.shown(having))));
        }
        if !select.group_by.is_empty() && !self.incremental() {
            let dimensions = select.group_by.iter().map(|dimension| self.shown(dimension));
            steps.push(("AggregatePlan", format!("Dimension:{{ {} }}", list(dimensions))));
        }
        steps
    }

    /// The steps before that.
    fn input(&self) -> Vec<Step> {
        let (select, program) = (self.select(), self.program);
        let mut steps = Vec::new();
        let filter = select.condition.as_ref().map(|condition| {
            let step: Step = ("FilterPlan", format!("Condition:{{ {} }}, ", self.shown(condition)));
            step
        });
        let early = program.joins.is_empty() && program.late_filter.is_none();
        steps.extend(filter.clone().filter(|_| !early));
        self.joins(&mut steps);
        if let Some(window) = &select.window {
            steps.push(self.window(window));
        }
        steps.extend(filter.filter(|_| early));
        if !program.analytic.is_empty() {
            let calls = program.analytic.iter().map(|call| self.shown(&Syntax::Call(Box::new(call.syntax.clone()))));
            steps.push(("AnalyticFuncsPlan", format!("Funcs:[ {} ]", list(calls))));
        }
        if self.plan.options.is_event_time {
            let sends = select.window.is_some();
            let streams = self.scope.inputs.iter().filter(|input| input.definition.table.is_none());
            let emitters = list(streams.map(|input| input.definition.name.clone()));
            steps.push(("WatermarkPlan", format!("Emitters:[ {emitters} ], SendWatermark:{sends}")));
        }
        steps
    }

    /// Joins with lookup tables come after those of the streams and scan tables.
    fn joins(&self, steps: &mut Vec<Step>) {
        let joins = || self.select().joins.iter().enumerate();
        for (index, join) in
            joins().filter(|(index, _)| self.program.is_lookup(index + 1)).collect::<Vec<_>>().into_iter().rev()
        {
            let keys = self.program.joins[index].lookup.keys.iter().map(ToString::to_string);
            steps.push(("LookupPlan", format!("Join:{}, Keys:[ {} ]", self.join(join), list(keys))));
        }
        let others: Vec<String> =
            joins().filter(|(index, _)| !self.program.is_lookup(index + 1)).map(|(_, join)| self.join(join)).collect();
        if !others.is_empty() {
            steps.push(("JoinPlan", format!("Joins:[ {} ]", list(others))));
        }
        let scan = |definition: &&crate::StreamDef| {
            definition.table.as_ref().is_some_and(|table| table.kind == TableKind::Scan)
        };
        let tables: Vec<String> =
            self.plan.definitions.iter().filter(scan).map(|definition| definition.name.clone()).collect();
        if !tables.is_empty() {
            steps.push(("JoinAlignPlan", format!("Emitters:[ {} ]", list(tables))));
        }
    }

    fn join(&self, join: &Join) -> String {
        let kind = match join.kind {
            JoinKind::Inner => "INNER_JOIN",
            JoinKind::Left => "LEFT_JOIN",
            JoinKind::Right => "RIGHT_JOIN",
            JoinKind::Full => "FULL_JOIN",
            JoinKind::Cross => "CROSS_JOIN",
        };
        let on = join.on.as_ref().map(|on| format!(", {}", self.shown(on))).unwrap_or_default();
        format!("{{ joinType:{kind}{on} }}")
    }

    fn field(&self, field: &SelectField) -> String {
        match field {
            SelectField::All { .. } => "*".to_string(),
            SelectField::Expr { expr, alias, .. } => self.scope.shown(expr, alias.as_deref()),
        }
    }

    fn sort(&self, sort: &SortField) -> String {
        let name = match &sort.expr {
            Syntax::Column(column) => column.name.clone(),
            Syntax::Call(call) => call.name.to_ascii_lowercase(),
            _ => String::new(),
        };
        let expr = self.shown(&sort.expr);
        format!("sortField:{{ name:{name}, ascending:{}, fieldExpr:{{ {expr} }} }}", !sort.descending)
    }

    fn incremental(&self) -> bool {
        self.program.aggregates.iter().any(|call| call.incremental)
    }

    fn window(&self, window: &Window) -> Step {
        let (kind, length, other) = measures(&window.kind);
        if self.incremental() {
            let dimensions = list(self.select().group_by.iter().map(|dimension| self.shown(dimension)));
            let dimensions = if dimensions.is_empty() { dimensions } else { format!("Dimension:[{dimensions}], ") };
            let funcs = self.program.aggregates.iter().enumerate().map(|(index, call)| {
                let mut syntax = call.syntax.clone();
                syntax.name = format!("inc_{}", syntax.name.to_ascii_lowercase());
                format!("{}->inc_agg_col_{}", self.shown(&Syntax::Call(Box::new(syntax))), index + 1)
            });
            return ("IncAggWindowPlan", format!("wType:{kind}, {dimensions}funcs:[{}]", list(funcs)));
        }
        let mut info = format!("{{ length:{length}, ");
        if let Some((name, other)) = other {
            info.push_str(&format!("{name}:{other}, "));
        }
        info.push_str(&format!("windowType:{kind}, limit: 0 }}"));
        let clauses = [("Filter", &window.filter), ("Trigger", &window.when)];
        for (name, clause) in clauses {
            info.extend(clause.iter().map(|clause| format!(", {name}:{{ {} }}", self.shown(clause))));
        }
        ("WindowPlan", info)
    }

    /// The stream and the columns that are read of it; all of them where nothing tells which.
    fn source(&self, input: usize, columns: &BTreeSet<String>) -> String {
        let definition = &self.plan.definitions[input];
        let mut info = format!("StreamName: {}", definition.name);
        let all = |expr: &Expr| expr.is_star_of(input);
        if !self.program.projection.takes_all(&all) {
            let timestamp = definition.timestamp.iter().filter(|_| self.plan.options.is_event_time);
            let columns: BTreeSet<&String> = columns.iter().chain(timestamp).collect();
            let columns = list(columns.into_iter().cloned());
            if !columns.is_empty() {
                info.push_str(&format!(", StreamFields:[ {columns} ]"));
            }
        }
        info
    }
}

fn is_numbering(field: &SelectField) -> bool {
    matches!(field, SelectField::Expr { expr: Syntax::Call(call), .. } if call.name.eq_ignore_ascii_case("row_number"))
}

/// The window's type, its length and its second measure, as they stand in the statement.
fn measures(kind: &WindowKind) -> (&'static str, i64, Option<(&'static str, i64)>) {
    match kind {
        WindowKind::Tumbling(_, length) => ("TUMBLING_WINDOW", *length, None),
        WindowKind::Hopping(_, length, interval) => ("HOPPING_WINDOW", *length, Some(("interval", *interval))),
        WindowKind::Sliding(_, length, delay) => ("SLIDING_WINDOW", *length, delay.map(|delay| ("delay", delay))),
        WindowKind::Session(_, length, timeout) => ("SESSION_WINDOW", *length, Some(("interval", *timeout))),
        WindowKind::Count(length, interval) => {
            ("COUNT_WINDOW", *length, interval.map(|interval| ("interval", interval)))
        }
        WindowKind::State(..) => ("STATE_WINDOW", 0, None),
    }
}
