//! Analytic functions: state per call site and partition, evaluated once per row before WHERE.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_functions::format::GoText;
use edgeward_functions::{Analytic, Context, Error, Run, Value, ops};
use edgeward_sql::ast::BinaryOp;

use crate::expr::AnalyticCall;
use crate::group::scene;
use crate::window::Tuple;

/// State of all analytic calls of a rule.
#[derive(Debug, Default)]
pub(crate) struct AnalyticState {
    /// For each call its partitions by key.
    pub(crate) calls: Vec<HashMap<Box<str>, Cell>>,
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
    pub(crate) fn new(calls: &[AnalyticCall]) -> AnalyticState {
        AnalyticState { calls: vec![HashMap::new(); calls.len()] }
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
            // A later call may use the result of an earlier one.
            let mut scene = scene(tuple, context);
            scene.analytic = &results;
            let mut key = String::new();
            for part in &call.partition {
                key.push_str(&GoText(&*part.eval(&scene)?).to_string());
                key.push(',');
            }
            let holds = call.when.as_ref().map_or(Ok(true), |when| when.holds(&scene, "when"))?;
            let args: Result<Vec<Value>, Error> =
                call.args.iter().map(|arg| Ok(arg.eval(&scene)?.into_owned())).collect();
            let args = args?;
            let cell = partitions.entry(key.into()).or_default();
            if holds {
                cell.result = run(call, &args, &mut cell.memory)?;
            }
            results.push(cell.result.clone());
        }
        Ok(results.into())
    }
}

impl AnalyticState {
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
        Analytic::HadChanged => had_changed(args, memory),
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

fn had_changed(args: &[Value], memory: &mut Vec<Value>) -> Result<Value, Error> {
    let ignore_nil = truth(&args[0])?;
    let values = &args[1..];
    let first = memory.is_empty();
    memory.resize(values.len(), Value::Nil);
    let mut changed = false;
    for (old, new) in memory.iter_mut().zip(values) {
        if ignore_nil && new.is_nil() {
            continue;
        }
        changed |= first || old != new;
        *old = new.clone();
    }
    Ok(Value::Bool(changed))
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
        let old = std::mem::take(&mut memory[0]);
        let better = |op: BinaryOp| Ok::<bool, Error>(old.is_nil() || ops::compare(op, &args[0], &old)?);
        memory[0] = match analytic {
            Analytic::AccMax if !better(BinaryOp::Gt)? => old,
            Analytic::AccMin if !better(BinaryOp::Lt)? => old,
            Analytic::AccSum | Analytic::AccAvg if !old.is_nil() => ops::apply(BinaryOp::Add, &old, &args[0])?,
            _ => args[0].clone(),
        };
        memory[1] = Value::Int(count);
    }
    Ok(match analytic {
        Analytic::AccCount => memory[1].clone(),
        Analytic::AccSum if memory[0].is_nil() => Value::Int(0),
        Analytic::AccAvg => {
            let count = memory[1].as_f64().unwrap_or_default();
            Value::Float(if count == 0.0 { 0.0 } else { memory[0].as_f64().unwrap_or_default() / count })
        }
        _ => memory[0].clone(),
    })
}
