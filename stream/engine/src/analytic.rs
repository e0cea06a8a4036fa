//! Analytic functions: state per call site and partition, evaluated once per row before WHERE.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_functions::format::GoText;
use edgeward_functions::{Analytic, Context, Error, Map, Run, Value};

use crate::expr::{AnalyticCall, Expr};
use crate::group::{scene, too_many};
use crate::window::Tuple;

/// State of all analytic calls of a rule.
#[derive(Debug, Default)]
pub(crate) struct AnalyticState {
    /// For each call its partitions by key.
    pub(crate) calls: Vec<HashMap<Box<str>, Cell>>,
    /// Most partitions of a call.
    most: usize,
}

/// State of one call in one partition.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    /// What the function remembers.
    pub(crate) memory: Vec<Value>,
    /// The last result, answered again while WHEN is false.
    pub(crate) result: Value,
}

impl AnalyticState {
    pub(crate) fn new(calls: &[AnalyticCall], most: usize) -> AnalyticState {
        AnalyticState { calls: vec![HashMap::new(); calls.len()], most }
    }

    /// The results of all calls for a row.
    pub(crate) fn evaluate(
        &mut self,
        calls: &[AnalyticCall],
        tuple: &Tuple,
        context: &Context,
    ) -> Result<Arc<[Value]>, Error> {
        let mut results: Vec<Value> = Vec::with_capacity(calls.len());
        for (call, partitions) in calls.iter().zip(&mut self.calls) {
            if matches!(call.function.run, Run::Analytic(Analytic::ChangedCols)) {
                // Compares with the last row that was sent: see `changed_columns`.
                results.push(Value::Nil);
                continue;
            }
            // A later call may use the result of an earlier one.
            let mut scene = scene(tuple, context);
            scene.analytic = &results;
            let mut key = String::new();
            for part in &call.partition {
                key.push_str(&GoText(&*part.eval(&scene)?).to_string());
                key.push(',');
            }
            let holds = call.when.as_ref().map_or(Ok(true), |when| when.truth(&scene))?;
            let args: Result<Vec<Value>, Error> =
                call.args.iter().map(|arg| Ok(arg.eval(&scene)?.into_owned())).collect();
            let args = args?;
            if partitions.len() >= self.most && !partitions.contains_key(key.as_str()) {
                return Err(too_many("partitions of an analytic function", self.most));
            }
            let cell = partitions.entry(key.into()).or_default();
            if holds {
                cell.result = run(call, &args, &mut cell.memory)
                    .map_err(|error| Error::call(format!("call func {} error: {error}", call.function.name)))?;
            }
            results.push(cell.result.clone());
        }
        Ok(results.into())
    }
}

impl AnalyticState {
    /// The columns of the `changed_cols` call of this index that differ from the last row that was sent, named with its prefix.
    ///
    /// # Errors
    /// The arguments before the columns are not text and bool.
    pub(crate) fn changed_columns(&mut self, call: usize, args: &[Value], columns: &Map) -> Result<Map, Error> {
        let [prefix, ignore_nil] = args else { return Ok(Map::new()) };
        let failed = |error: String| Error::call(format!("call func changed_cols error: {error}"));
        let prefix =
            prefix.as_str().ok_or_else(|| failed(format!("first arg is not a string but got {}", GoText(prefix))))?;
        let Value::Bool(ignore_nil) = ignore_nil else {
            return Err(failed(format!("second arg is not a bool but got {}", GoText(ignore_nil))));
        };
        let cell = self.calls[call].entry("".into()).or_default();
        let mut last = cell.result.as_map().cloned().unwrap_or_default();
        let mut changed = Map::new();
        for (name, value) in columns {
            if (*ignore_nil && value.is_nil()) || last.get(name).unwrap_or(&Value::Nil) == value {
                continue;
            }
            Arc::make_mut(&mut last).insert(name.clone(), value.clone());
            changed.insert(format!("{prefix}{name}").into(), value.clone());
        }
        cell.result = Value::Map(last);
        Ok(changed)
    }

    /// A row was kept: the condition that `last_hit_count()` and `last_hit_time()` stand in was true.
    pub(crate) fn hit(&mut self, calls: &[AnalyticCall], now: i64) {
        for (call, partitions) in calls.iter().zip(&mut self.calls) {
            let Run::Analytic(analytic) = call.function.run else { continue };
            for cell in partitions.values_mut() {
                match (analytic, cell.memory.first()) {
                    (Analytic::LastHitCount, memory) => {
                        cell.memory = vec![Value::Int(memory.and_then(Value::as_i64).unwrap_or_default() + 1)]
                    }
                    (Analytic::LastHitTime, _) => cell.memory = vec![Value::Int(now)],
                    _ => {}
                }
            }
        }
    }
}

fn run(call: &AnalyticCall, args: &[Value], memory: &mut Vec<Value>) -> Result<Value, Error> {
    let Run::Analytic(analytic) = call.function.run else { return Ok(Value::Nil) };
    match analytic {
        Analytic::Lag => lag(args, memory),
        Analytic::Latest => {
            if !args[0].is_nil() {
                *memory = vec![args[0].clone()];
            }
            Ok(memory.first().or(args.get(1)).cloned().unwrap_or_default())
        }
        Analytic::ChangedCol => {
            let ignore_nil = truth(&args[0])?;
            if ignore_nil && args[1].is_nil() {
                return Ok(Value::Nil);
            }
            let changed = memory.first() != Some(&args[1]);
            *memory = vec![args[1].clone()];
            Ok(if changed { args[1].clone() } else { Value::Nil })
        }
        Analytic::HadChanged => had_changed(&call.args, args, memory),
        Analytic::ChangedCols => Ok(Value::Nil),
        Analytic::AccSum | Analytic::AccMax | Analytic::AccMin | Analytic::AccCount | Analytic::AccAvg => {
            accumulate(analytic, args, memory)
        }
        // These change only when the row is kept: see `hit`.
        Analytic::LastHitCount | Analytic::LastHitTime => Ok(memory.first().cloned().unwrap_or(Value::Int(0))),
    }
}

fn truth(value: &Value) -> Result<bool, Error> {
    match value {
        Value::Bool(bool) => Ok(*bool),
        other => Err(Error::call(format!("first arg is not a bool but got {}", GoText(other)))),
    }
}

/// `lag(x[, offset = 1[, default = nil[, ignoreNull = true]]])`.
fn lag(args: &[Value], memory: &mut Vec<Value>) -> Result<Value, Error> {
    /// Rows one call may look back.
    const MOST: i64 = 1_000_000;
    let offset = match args.get(1) {
        None => 1,
        Some(Value::Int(offset)) if (1..=MOST).contains(offset) => usize::try_from(*offset).unwrap_or(1),
        Some(other) => return Err(Error::call(format!("second arg is not a valid offset: {}", GoText(other)))),
    };
    let result = if memory.len() >= offset {
        memory[memory.len() - offset].clone()
    } else {
        args.get(2).cloned().unwrap_or_default()
    };
    let ignore_nil = !matches!(args.get(3), Some(Value::Bool(false)));
    if !(ignore_nil && args[0].is_nil()) {
        memory.push(args[0].clone());
        let surplus = memory.len().saturating_sub(offset);
        memory.drain(..surplus);
    }
    Ok(result)
}

/// Whether any argument, or any column where the argument is `*`, differs from what it was; at first everything was nil.
fn had_changed(exprs: &[Expr], args: &[Value], memory: &mut Vec<Value>) -> Result<Value, Error> {
    let ignore_nil = truth(&args[0])?;
    memory.resize(args.len() - 1, Value::Nil);
    let mut changed = false;
    for ((expr, new), old) in exprs.iter().zip(args).skip(1).zip(memory) {
        match (expr, new) {
            (expr, Value::Map(row)) if expr.is_star() => changed |= row_changed(ignore_nil, row, old),
            _ if ignore_nil && new.is_nil() => {}
            _ => {
                changed |= old != new;
                *old = new.clone();
            }
        }
    }
    Ok(Value::Bool(changed))
}

fn row_changed(ignore_nil: bool, row: &Map, old: &mut Value) -> bool {
    let mut known = old.as_map().cloned().unwrap_or_default();
    let mut changed = false;
    for (name, value) in row.iter().filter(|(_, value)| !(ignore_nil && value.is_nil())) {
        if known.get(name).unwrap_or(&Value::Nil) != value {
            Arc::make_mut(&mut known).insert(name.clone(), value.clone());
            changed = true;
        }
    }
    if !ignore_nil && known.iter().any(|(name, value)| !value.is_nil() && !row.contains_key(name)) {
        Arc::make_mut(&mut known).retain(|name, _| row.contains_key(name));
        changed = true;
    }
    *old = Value::Map(known);
    changed
}

/// `acc_*(x[, begin, reset])`: memory is (value, count, running).
fn accumulate(analytic: Analytic, args: &[Value], memory: &mut Vec<Value>) -> Result<Value, Error> {
    if memory.len() != 3 {
        *memory = vec![Value::Nil, Value::Int(0), Value::Bool(args.len() < 2)];
    }
    let hit = |index: usize| matches!(args.get(index), Some(Value::Bool(true)));
    if hit(2) {
        *memory = vec![Value::Nil, Value::Int(0), Value::Bool(false)];
    }
    if hit(1) {
        memory[2] = Value::Bool(true);
    }
    if memory[2] == Value::Bool(true) && !args[0].is_nil() {
        let count = memory[1].as_i64().unwrap_or_default() + 1;
        if analytic != Analytic::AccCount {
            let number = args[0].as_f64().ok_or_else(|| {
                Error::call(format!("requires float64 but found {}({})", args[0].type_name(), GoText(&args[0])))
            })?;
            memory[0] = Value::Float(match (analytic, memory[0].as_f64()) {
                (_, None) => number,
                (Analytic::AccMax, Some(old)) => old.max(number),
                (Analytic::AccMin, Some(old)) => old.min(number),
                (_, Some(old)) => old + number,
            });
        }
        memory[1] = Value::Int(count);
    }
    Ok(match analytic {
        Analytic::AccCount => memory[1].clone(),
        Analytic::AccSum if memory[0].is_nil() => Value::Float(0.0),
        Analytic::AccAvg => {
            let count = memory[1].as_f64().unwrap_or_default();
            Value::Float(if count == 0.0 { 0.0 } else { memory[0].as_f64().unwrap_or_default() / count })
        }
        _ => memory[0].clone(),
    })
}
