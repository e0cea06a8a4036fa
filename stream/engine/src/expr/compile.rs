//! Syntax to compiled expressions: names become slots, calls are checked, aliases are put in place.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_functions::{Analytic, Engine, Function, Run, UserFunction, UserFunctions, Value, lookup};
use edgeward_sql::ast::{BinaryOp, Call, Column, Expr as Syntax, SetOperand};

use super::{Case, Expr, Set, Star, WindowBound, has_aggregate};
use crate::{EngineError, StreamDef};

/// One stream or table of the FROM clause.
pub(crate) struct ScopeInput {
    /// The name columns are qualified with.
    pub(crate) reference: String,
    pub(crate) definition: StreamDef,
}

/// What names can mean.
pub(crate) struct Scope {
    pub(crate) inputs: Vec<ScopeInput>,
    /// The inputs in the order in which a joined row is asked for a column: a right join puts its right side first.
    pub(crate) order: Vec<usize>,
    pub(crate) aliases: HashMap<String, Syntax>,
    pub(crate) users: Option<Arc<dyn UserFunctions>>,
}

/// An aggregate in its place.
#[derive(Debug, Clone)]
pub(crate) struct AggregateCall {
    pub(crate) syntax: Call,
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<Expr>,
    pub(crate) filter: Option<Expr>,
    /// It runs as `inc_*`: sums and averages are floats.
    pub(crate) incremental: bool,
}

/// An analytic function in its place.
#[derive(Debug, Clone)]
pub(crate) struct AnalyticCall {
    pub(crate) syntax: Call,
    pub(crate) function: &'static Function,
    pub(crate) args: Vec<Expr>,
    pub(crate) partition: Vec<Expr>,
    pub(crate) when: Option<Expr>,
}

/// A `row_number()` in its place.
#[derive(Debug, Clone)]
pub(crate) struct Numbering {
    pub(crate) partition: Vec<Expr>,
    /// Each with whether it is descending.
    pub(crate) order: Vec<(Expr, bool)>,
}

/// Compiles the expressions of one statement.
pub(crate) struct Compiler<'a> {
    pub(crate) scope: &'a Scope,
    /// Gives the slot of a column of an input.
    pub(crate) slot: &'a mut dyn FnMut(usize, &str) -> usize,
    pub(crate) aggregates: Vec<AggregateCall>,
    pub(crate) analytic: Vec<AnalyticCall>,
    pub(crate) numberings: Vec<Numbering>,
    /// Something compiled calls a function a user brought.
    pub(crate) calls_users: bool,
    /// Aliases are computed wherever they are used (`disableAliasRefCal`).
    pub(crate) recompute: bool,
    /// Compiled aliases that are computed once per row.
    cells: HashMap<String, Expr>,
    cell_count: usize,
    /// Aliases whose expression is being compiled.
    open: Vec<String>,
    /// The aggregate whose arguments are being compiled.
    in_aggregate: Option<&'static str>,
}

type Result<T> = std::result::Result<T, EngineError>;

fn plan_error<T>(text: impl Into<String>) -> Result<T> {
    Err(EngineError::Plan(text.into()))
}

impl<'a> Compiler<'a> {
    pub(crate) fn new(scope: &'a Scope, slot: &'a mut dyn FnMut(usize, &str) -> usize) -> Compiler<'a> {
        Compiler {
            scope,
            slot,
            aggregates: Vec::new(),
            analytic: Vec::new(),
            numberings: Vec::new(),
            calls_users: false,
            recompute: false,
            cells: HashMap::new(),
            cell_count: 0,
            open: Vec::new(),
            in_aggregate: None,
        }
    }

    /// Forgets compiled aliases: what comes next sees other aggregates.
    pub(crate) fn forget_aliases(&mut self) {
        self.cells.clear();
    }

    /// How many alias cells a row needs.
    pub(crate) fn cell_count(&self) -> usize {
        self.cell_count
    }

    pub(crate) fn list(&mut self, list: &[Syntax]) -> Result<Vec<Expr>> {
        list.iter().map(|syntax| self.expr(syntax)).collect()
    }

    pub(crate) fn option(&mut self, syntax: Option<&Syntax>) -> Result<Option<Expr>> {
        syntax.map(|syntax| self.expr(syntax)).transpose()
    }

    /// The expression of a field with an alias: inside it the alias means the column.
    pub(crate) fn aliased(&mut self, alias: &str, syntax: &Syntax) -> Result<Expr> {
        if let Some(cell) = self.cells.get(alias) {
            return Ok(cell.clone());
        }
        if self.open.len() > 64 || self.open.iter().rev().skip(1).any(|open| open == alias) {
            return plan_error("select fields have cycled alias");
        }
        self.open.push(alias.to_string());
        let compiled = self.expr(syntax);
        self.open.pop();
        let compiled = compiled?;
        // Columns and constants cost nothing to evaluate again.
        let cell = match compiled {
            Expr::Const(_) | Expr::Slot(_) | Expr::Side(..) | Expr::Analytic(_) | Expr::Aggregate(_) => compiled,
            compiled if self.recompute => compiled,
            _ => {
                self.cell_count += 1;
                Expr::Cell(self.cell_count - 1, Arc::new(compiled))
            }
        };
        // Inside an aggregate the same alias would see other rows; it is compiled anew there.
        if self.in_aggregate.is_none() {
            self.cells.insert(alias.to_string(), cell.clone());
        }
        Ok(cell)
    }

    pub(crate) fn expr(&mut self, syntax: &Syntax) -> Result<Expr> {
        Ok(match syntax {
            Syntax::Int(int) => Expr::Const(Value::Int(*int)),
            Syntax::Float(float) => Expr::Const(Value::Float(*float)),
            Syntax::Str(text) => Expr::Const(Value::str(text.as_str())),
            Syntax::Bool(bool) => Expr::Const(Value::Bool(*bool)),
            Syntax::Column(column) => return self.column(column),
            Syntax::Wildcard(stream) => {
                let input = stream.as_ref().map(|stream| self.input(stream)).transpose()?;
                self.star(input)
            }
            Syntax::Binary(op, left, right) => return self.binary(*op, left, right),
            Syntax::Member(base, name) => Expr::Member(Box::new(self.expr(base)?), name.as_str().into()),
            Syntax::Index(base, index) => Expr::Index(Box::new((self.expr(base)?, self.expr(index)?))),
            Syntax::Slice(base, from, to) => {
                let base = Box::new(self.expr(base)?);
                Expr::Slice(
                    base,
                    self.option(from.as_deref())?.map(Box::new),
                    self.option(to.as_deref())?.map(Box::new),
                )
            }
            Syntax::In { operand, set, negated } => {
                let set = match set {
                    SetOperand::List(items) => Set::List(self.list(items)?.into()),
                    SetOperand::Expr(expr) => Set::Expr(Box::new(self.expr(expr)?)),
                };
                Expr::In(Box::new(self.expr(operand)?), set, *negated)
            }
            Syntax::Between { operand, low, high, negated } => {
                Expr::Between(Box::new([self.expr(operand)?, self.expr(low)?, self.expr(high)?]), *negated)
            }
            Syntax::Like { operand, pattern, negated } => {
                Expr::Like(Box::new((self.expr(operand)?, self.expr(pattern)?)), *negated)
            }
            Syntax::Case(case) => {
                let arms: Result<Vec<_>> =
                    case.arms.iter().map(|(when, then)| Ok((self.expr(when)?, self.expr(then)?))).collect();
                let operand = self.option(case.operand.as_ref())?;
                Expr::Case(Box::new(Case {
                    operand,
                    arms: arms?.into(),
                    otherwise: self.option(case.otherwise.as_ref())?,
                }))
            }
            Syntax::Call(call) => return self.call(call),
        })
    }

    fn binary(&mut self, op: BinaryOp, left: &Syntax, right: &Syntax) -> Result<Expr> {
        let sides = (self.expr(left)?, self.expr(right)?);
        let comparison = op.precedence() == 3;
        Ok(match (op, sides) {
            (BinaryOp::And, sides) => Expr::And(Box::new(sides)),
            (BinaryOp::Or, sides) => Expr::Or(Box::new(sides)),
            (_, (Expr::Slot(slot), Expr::Const(constant @ (Value::Float(_) | Value::Int(_))))) if comparison => {
                Expr::SlotNumber(op, slot, constant.as_f64().unwrap_or_default(), constant)
            }
            (_, sides) => Expr::Binary(op, Box::new(sides)),
        })
    }

    /// The input a qualifier names.
    pub(crate) fn input(&self, stream: &str) -> Result<usize> {
        let found =
            self.scope.inputs.iter().position(|input| input.reference == stream || input.definition.name == stream);
        found.map_or_else(|| plan_error(format!("stream {stream} not found")), Ok)
    }

    fn column(&mut self, column: &Column) -> Result<Expr> {
        let Some(stream) = &column.stream else { return self.unqualified(&column.name) };
        match self.input(stream) {
            Ok(input) => {
                self.known(input, &column.name)?;
                Ok(self.place(input, &column.name))
            }
            // `a.b` of no stream is struct access.
            Err(_) => Ok(Expr::Member(Box::new(self.unqualified(stream)?), column.name.as_str().into())),
        }
    }

    fn known(&self, input: usize, name: &str) -> Result<()> {
        let definition = &self.scope.inputs[input].definition;
        if definition.is_schemaless() || definition.fields.iter().any(|field| field.name == name) {
            return Ok(());
        }
        plan_error(format!("unknown field {name}"))
    }

    /// All columns, or those of one input.
    fn star(&mut self, input: Option<usize>) -> Expr {
        let inputs = self.scope.inputs.len();
        let definitions: Vec<usize> = input.map_or_else(|| (0..inputs).collect(), |input| vec![input]);
        if definitions.iter().all(|input| self.scope.inputs[*input].definition.is_schemaless()) {
            return Expr::All(input.filter(|_| inputs > 1));
        }
        let star = |input: usize| {
            let fields = &self.scope.inputs[input].definition.fields;
            let columns = fields.iter().map(|field| (field.name.as_str().into(), (self.slot)(input, &field.name)));
            Star { side: (inputs > 1).then_some(input), columns: columns.collect() }
        };
        Expr::Star(definitions.into_iter().map(star).collect())
    }

    pub(crate) fn place(&mut self, input: usize, name: &str) -> Expr {
        let slot = (self.slot)(input, name);
        if self.scope.inputs.len() == 1 { Expr::Slot(slot) } else { Expr::Side(input, slot) }
    }

    fn unqualified(&mut self, name: &str) -> Result<Expr> {
        let own = self.open.last().is_some_and(|open| open == name);
        // `SELECT avg(t) AS t, max(t) …`: an aggregate cannot take an aggregate, so there the alias means the column too.
        let usable = |syntax: &Syntax| {
            self.in_aggregate.is_none() || !has_aggregate(syntax, &self.scope.aliases, self.scope.users.as_deref())
        };
        if !own && let Some(syntax) = self.scope.aliases.get(name).filter(|syntax| usable(syntax)) {
            let syntax = syntax.clone();
            return self.aliased(name, &syntax);
        }
        let has = |input: &ScopeInput| input.definition.fields.iter().any(|field| field.name == name);
        let declared: Vec<usize> =
            (0..self.scope.inputs.len()).filter(|index| has(&self.scope.inputs[*index])).collect();
        let open: Vec<usize> =
            (0..self.scope.inputs.len()).filter(|index| self.scope.inputs[*index].definition.is_schemaless()).collect();
        match (declared.as_slice(), open.as_slice()) {
            ([_, _, ..], _) => plan_error(format!("ambiguous field {name}")),
            ([input], []) | ([], [input]) => Ok(self.place(*input, name)),
            ([], []) => plan_error(format!("unknown field {name}")),
            _ => {
                let has = |input: &usize| declared.contains(input) || open.contains(input);
                let inputs: Vec<usize> = self.scope.order.iter().copied().filter(has).collect();
                Ok(Expr::FirstSide(inputs.into_iter().map(|input| (input, (self.slot)(input, name))).collect()))
            }
        }
    }

    fn call(&mut self, call: &Call) -> Result<Expr> {
        let Some(function) = lookup(&call.name) else { return self.user(call) };
        function.check(&call.args).map_err(|error| EngineError::Plan(error.to_string()))?;
        if call.over.is_some() && !matches!(function.run, Run::Analytic(_) | Run::Engine(Engine::RowNumber)) {
            return plan_error(format!("OVER is not supported for {}", function.name));
        }
        if call.filter.is_some() && !matches!(function.run, Run::Aggregate(_)) {
            return plan_error("filter is only supported for aggregate functions");
        }
        match function.run {
            Run::Scalar(_) => {
                // It blocks as a function a user brought may do.
                self.calls_users |= function.name == "delay";
                Ok(Expr::Call(function, self.list(&call.args)?.into()))
            }
            Run::Aggregate(_) => self.aggregate(call, function),
            Run::Analytic(Analytic::ChangedCols) => {
                plan_error(format!("{} can only be used as a field of its own in the select list", function.name))
            }
            Run::Analytic(_) => self.analytic(call, function),
            Run::Rows(_) => {
                plan_error(format!("{} can only be used as a field of its own in the select list", function.name))
            }
            Run::Engine(engine) => self.engine(engine, call),
        }
    }

    fn aggregate(&mut self, call: &Call, function: &'static Function) -> Result<Expr> {
        if let Some(outer) = self.in_aggregate {
            return plan_error(format!("invalid argument for func {outer}: aggregate argument is not allowed"));
        }
        if let Some(known) = self.aggregates.iter().position(|known| known.syntax == *call) {
            return Ok(Expr::Aggregate(known));
        }
        self.in_aggregate = Some(function.name);
        // `count(*)` counts rows: no need to build them.
        let args = match (function.name, call.args.as_slice()) {
            ("count", [Syntax::Wildcard(_)]) => Ok(vec![Expr::Const(Value::Bool(true))]),
            (_, args) => self.list(args),
        };
        let filter = self.option(call.filter.as_ref());
        self.in_aggregate = None;
        let (mut args, filter) = (args?, filter?);
        if function.name == "deduplicate" {
            args.push(self.star(None));
        }
        self.aggregates.push(AggregateCall { syntax: call.clone(), function, args, filter, incremental: false });
        Ok(Expr::Aggregate(self.aggregates.len() - 1))
    }

    /// A function a user brought. One that aggregates gets what `collect` makes of each argument.
    fn user(&mut self, call: &Call) -> Result<Expr> {
        let found: Option<Arc<dyn UserFunction>> = self.scope.users.as_ref().and_then(|users| users.find(&call.name));
        let Some(user) = found else { return plan_error(format!("function {} not found", call.name)) };
        if call.over.is_some() {
            return plan_error(format!("OVER is not supported for {}", call.name));
        }
        self.calls_users = true;
        if !user.is_aggregate() {
            if call.filter.is_some() {
                return plan_error("filter is only supported for aggregate functions");
            }
            return Ok(Expr::User(user, self.list(&call.args)?.into()));
        }
        let Some(collect) = lookup("collect") else { return plan_error("function collect not found") };
        let collected = call.args.iter().map(|arg| {
            let call =
                Call { name: collect.name.into(), args: vec![arg.clone()], over: None, filter: call.filter.clone() };
            self.aggregate(&call, collect)
        });
        let args: Result<Vec<Expr>> = collected.collect();
        Ok(Expr::User(user, args?.into()))
    }

    fn analytic(&mut self, call: &Call, function: &'static Function) -> Result<Expr> {
        if let Some(known) = self.analytic.iter().position(|known| known.syntax == *call) {
            return Ok(Expr::Analytic(known));
        }
        let args = self.list(&call.args)?;
        let over = call.over.clone().unwrap_or_default();
        let partition = self.list(&over.partition)?;
        let when = self.option(over.when.as_ref())?;
        self.analytic.push(AnalyticCall { syntax: call.clone(), function, args, partition, when });
        Ok(Expr::Analytic(self.analytic.len() - 1))
    }

    /// Gives a `changed_cols` call its place among the analytic calls; the select list evaluates it.
    pub(crate) fn changed_columns(&mut self, call: &Call) -> Result<usize> {
        let Some(function) = lookup(&call.name) else { return plan_error(format!("function {} not found", call.name)) };
        function.check(&call.args).map_err(|error| EngineError::Plan(error.to_string()))?;
        if call.over.is_some() {
            return plan_error(format!("OVER is not supported for {}", function.name));
        }
        let (syntax, none) = (call.clone(), Vec::new());
        self.analytic.push(AnalyticCall { syntax, function, args: none.clone(), partition: none, when: None });
        Ok(self.analytic.len() - 1)
    }

    fn engine(&mut self, engine: Engine, call: &Call) -> Result<Expr> {
        Ok(match engine {
            Engine::Meta | Engine::Mqtt => return self.meta(&call.args[0]),
            Engine::WindowStart => Expr::Window(WindowBound::Start),
            Engine::WindowEnd => Expr::Window(WindowBound::End),
            Engine::WindowTrigger => Expr::Window(WindowBound::Trigger),
            Engine::EventTime => Expr::EventTime,
            Engine::RowNumber => return self.row_number(call),
        })
    }

    fn row_number(&mut self, call: &Call) -> Result<Expr> {
        let over = call.over.clone().unwrap_or_default();
        let partition = self.list(&over.partition)?;
        let order: Result<Vec<_>> =
            over.order.iter().map(|sort| Ok((self.expr(&sort.expr)?, sort.descending))).collect();
        self.numberings.push(Numbering { partition, order: order? });
        Ok(Expr::RowNumber(self.numberings.len() - 1))
    }

    /// `meta(key)`, `meta(stream.key)`, `meta(*)`, `meta(key -> member)`: the argument names metadata, not columns.
    fn meta(&self, arg: &Syntax) -> Result<Expr> {
        Ok(match arg {
            Syntax::Wildcard(None) => Expr::Meta(None, None),
            Syntax::Wildcard(Some(stream)) => Expr::Meta(Some(self.input(stream)?), None),
            Syntax::Str(key) => Expr::Meta(None, Some(key.as_str().into())),
            Syntax::Column(Column { stream: None, name }) => Expr::Meta(None, Some(name.as_str().into())),
            Syntax::Column(Column { stream: Some(stream), name }) => match self.input(stream) {
                Ok(input) => Expr::Meta(Some(input), Some(name.as_str().into())),
                Err(_) => Expr::Member(Box::new(Expr::Meta(None, Some(stream.as_str().into()))), name.as_str().into()),
            },
            Syntax::Member(base, name) => Expr::Member(Box::new(self.meta(base)?), name.as_str().into()),
            _ => return plan_error("Expect meta reference type for parameter 1"),
        })
    }
}
