//! Collections of rows that a window holds: the rows themselves, or only their groups with running aggregates.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use edgeward_functions::format::GoText;
use edgeward_functions::{Aggregate, Args, Context, Error, Run, Value};

use crate::expr::{AggregateCall, Expr, Scene, within};
use crate::window::Tuple;

/// What a window collects.
#[derive(Debug)]
pub(crate) enum Collection {
    /// Every row.
    Rows(Vec<Tuple>),
    /// Groups with their running aggregates; rows are not kept.
    Groups(Groups),
}

/// The groups of a collection in the order they appeared.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    by_key: HashMap<Box<str>, usize>,
    pub(crate) list: Vec<Group>,
    /// The first error a row caused; it replaces the result.
    pub(crate) error: Option<GroupError>,
    /// Key being built, reused.
    buffer: String,
}

/// What goes wrong while rows are grouped.
#[derive(Debug)]
pub(crate) enum GroupError {
    /// A row has no key.
    Key(Error),
    /// The aggregate of this index cannot take a row.
    Aggregate(usize, Error),
}

/// One group.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) key: Box<str>,
    /// Plain columns of the group come from its first row.
    pub(crate) first: Tuple,
    pub(crate) aggregates: Vec<Box<dyn Aggregate>>,
}

/// How to group.
pub(crate) struct Grouping<'a> {
    pub(crate) by: &'a [Expr],
    pub(crate) aggregates: &'a [AggregateCall],
    /// Most groups.
    pub(crate) most: usize,
    pub(crate) context: &'a Context,
}

impl Groups {
    /// Adds a row to its group. An error is kept and answered with the groups' result.
    pub(crate) fn add(&mut self, tuple: &Tuple, grouping: &Grouping<'_>) {
        if self.error.is_none()
            && let Err(error) = self.try_add(tuple, grouping)
        {
            self.error = Some(error);
        }
    }

    fn try_add(&mut self, tuple: &Tuple, grouping: &Grouping<'_>) -> Result<(), GroupError> {
        let scene = scene(tuple, grouping.context);
        let located = self.locate(tuple, &scene, grouping);
        let index = located.map_err(|error| GroupError::Key(within("Group By", &error)))?;
        let group = &mut self.list[index];
        for (place, (call, aggregate)) in grouping.aggregates.iter().zip(&mut group.aggregates).enumerate() {
            feed(call, &mut **aggregate, &scene).map_err(|error| GroupError::Aggregate(place, error))?;
        }
        Ok(())
    }

    /// The group of a row, made if it is new.
    fn locate(&mut self, tuple: &Tuple, scene: &Scene<'_>, grouping: &Grouping<'_>) -> Result<usize, Error> {
        self.buffer.clear();
        for (position, by) in grouping.by.iter().enumerate() {
            if position > 0 {
                self.buffer.push(',');
            }
            if let Expr::Slot(slot) = by
                && let Some(text) = scene.row.plain_text(*slot)
            {
                self.buffer.push_str(text);
                continue;
            }
            match &*by.eval(scene)? {
                Value::Str(text) => self.buffer.push_str(text),
                // Writing into a String cannot fail.
                other => drop(write!(self.buffer, "{}", GoText(other))),
            }
        }
        if let Some(index) = self.by_key.get(self.buffer.as_str()) {
            return Ok(*index);
        }
        if self.list.len() >= grouping.most {
            return Err(too_many("groups in a window", grouping.most));
        }
        let key: Box<str> = self.buffer.as_str().into();
        self.insert(Group { key, first: tuple.clone(), aggregates: fresh(grouping.aggregates) });
        Ok(self.list.len() - 1)
    }

    pub(crate) fn insert(&mut self, group: Group) {
        self.by_key.insert(group.key.clone(), self.list.len());
        self.list.push(group);
    }
}

/// Gives a row to an aggregate, unless its FILTER keeps it out.
fn feed(call: &AggregateCall, aggregate: &mut dyn Aggregate, scene: &Scene<'_>) -> Result<(), Error> {
    if let Some(filter) = &call.filter
        && !filter.truth(scene)?
    {
        return Ok(());
    }
    match call.args.as_slice() {
        [arg] => aggregate.add(&[arg.eval(scene)?]),
        args => {
            let values: Result<Vec<_>, Error> = args.iter().map(|arg| arg.eval(scene)).collect();
            aggregate.add(&values?)
        }
    }
}

/// `inc_sum` and `inc_avg`: over floats, whatever comes.
#[derive(Debug)]
struct Floating(Box<dyn Aggregate>);

impl Aggregate for Floating {
    fn add(&mut self, args: &Args<'_>) -> Result<(), Error> {
        match &*args[0] {
            Value::Int(int) => self.0.add(&[Cow::Owned(Value::Float(*int as f64))]),
            _ => self.0.add(args),
        }
    }

    fn result(&self) -> Result<Value, Error> {
        self.0.result()
    }

    fn save(&self) -> Value {
        self.0.save()
    }

    fn load(&mut self, state: &Value) {
        self.0.load(state);
    }
}

/// What keys are refused with that would take too much memory.
pub(crate) fn too_many(what: &str, most: usize) -> Error {
    Error::call(format!("too many {what}, {most} are kept at most; raise the rule's option maxGroups"))
}

/// New aggregates for a group.
pub(crate) fn fresh(calls: &[AggregateCall]) -> Vec<Box<dyn Aggregate>> {
    let make = |call: &AggregateCall| match call.function.run {
        Run::Aggregate(make) if call.incremental && matches!(call.function.name, "avg" | "sum") => {
            Some(Box::new(Floating(make())) as Box<dyn Aggregate>)
        }
        Run::Aggregate(make) => Some(make()),
        _ => None,
    };
    calls.iter().filter_map(make).collect()
}

/// A row outside of any window.
pub(crate) fn scene<'a>(tuple: &'a Tuple, context: &'a Context) -> Scene<'a> {
    Scene { analytic: &tuple.analytic, ..Scene::of_row(&tuple.row, context) }
}
