//! The select list: which columns a row of output has and how each is computed.

use std::borrow::Cow;
use std::sync::Arc;

use edgeward_functions::{Error, Map, Run, Srf, Value, lookup};
use edgeward_sql::ast::{Call, Expr as Syntax, Select, SelectField};

use super::script::Script;
use crate::analytic::AnalyticState;
use crate::emission::{Header, OutRow};
use crate::expr::{Compiler, Expr, Scene, within};
use crate::options::RuleOptions;
use crate::row::Origin;
use crate::{EngineError, Row};

/// One computed column.
#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: Arc<str>,
    pub(crate) expr: Expr,
    /// What an error of it begins with; empty when it has none.
    shown: Box<str>,
}

impl Field {
    /// A column as it comes.
    fn plain(name: &str, expr: Expr) -> Field {
        Field { name: name.into(), expr, shown: Box::default() }
    }

    fn value<'a>(&'a self, scene: &Scene<'a>) -> Result<Value, Error> {
        self.expr.eval(scene).map(Cow::into_owned).map_err(|error| self.failed(&error))
    }

    #[cold]
    fn failed(&self, error: &Error) -> Error {
        within("Select", &Error::call(format!("{}{error}", self.shown)))
    }
}

/// The compiled select list.
#[derive(Debug)]
pub(crate) struct Projection {
    /// Columns in the order of the header, or in the order written when there is none.
    fields: Vec<Field>,
    /// None when the columns depend on the row.
    header: Option<Arc<Header>>,
    /// `*` of a schemaless input.
    wild: Vec<Expr>,
    /// `*` of an input with a schema: `fields` has its declared columns, and rows that no decoder has pruned may hold others.
    declared: bool,
    except: Vec<String>,
    srf: Option<Box<(Srf, Field)>>,
    changes: Vec<Changes>,
    /// What makes other rows of these.
    pub(crate) script: Option<Box<Script>>,
    send_nil: bool,
}

/// One `changed_cols(prefix, ignoreNull, …)`.
#[derive(Debug)]
struct Changes {
    /// Its place among the analytic calls, where its state is.
    call: usize,
    /// Prefix and ignoreNull.
    args: [Expr; 2],
    columns: Vec<Field>,
}

impl Projection {
    pub(super) fn compile(
        select: &Select,
        options: &RuleOptions,
        compiler: &mut Compiler<'_>,
    ) -> Result<Projection, EngineError> {
        let mut projection = Projection {
            fields: Vec::new(),
            header: None,
            wild: Vec::new(),
            declared: false,
            except: Vec::new(),
            srf: None,
            changes: Vec::new(),
            script: None,
            send_nil: options.send_nil_field,
        };
        let mut unnamed = 0;
        for field in &select.fields {
            match field {
                SelectField::All { except, replace } => {
                    projection.except.extend(except.iter().cloned());
                    compiler.scope.order.iter().for_each(|input| projection.all(*input, compiler));
                    for (syntax, alias) in replace {
                        projection.except.retain(|name| name != alias);
                        let expr = compiler.aliased(alias, syntax)?;
                        projection.put(alias, expr, shown(compiler, Some(alias), syntax));
                    }
                }
                SelectField::Expr { expr: Syntax::Wildcard(stream), .. } => match stream {
                    Some(stream) => projection.all(compiler.input(stream)?, compiler),
                    None => compiler.scope.order.iter().for_each(|input| projection.all(*input, compiler)),
                },
                SelectField::Expr { expr, alias, invisible } => {
                    projection.field(expr, alias.as_deref(), *invisible, &mut unnamed, compiler)?
                }
            }
        }
        if options.send_meta_to_sink {
            projection.put("__meta", Expr::Meta(None, None), Box::default());
        }
        projection.finish();
        Ok(projection)
    }

    /// Adds the columns of an input: those declared, or whatever the row holds.
    fn all(&mut self, input: usize, compiler: &mut Compiler<'_>) {
        let single = compiler.scope.inputs.len() == 1;
        let definition = &compiler.scope.inputs[input].definition;
        if definition.is_schemaless() {
            self.wild.push(Expr::All((!single).then_some(input)));
            return;
        }
        self.declared = true;
        let names: Vec<String> = definition.fields.iter().map(|field| field.name.clone()).collect();
        for name in names {
            // Of joined streams the earlier one's column wins.
            if !self.except.contains(&name) && !self.fields.iter().any(|field| *field.name == *name) {
                let expr = compiler.place(input, &name);
                self.fields.push(Field::plain(&name, expr));
            }
        }
    }

    fn field(
        &mut self,
        syntax: &Syntax,
        alias: Option<&str>,
        invisible: bool,
        unnamed: &mut usize,
        compiler: &mut Compiler<'_>,
    ) -> Result<(), EngineError> {
        if let Syntax::Call(call) = syntax
            && let Some(script) = Script::compile(call, compiler)?
        {
            self.script = Some(Box::new(script));
            return Ok(());
        }
        let name = match (alias, syntax) {
            (Some(alias), _) => alias.to_string(),
            (None, Syntax::Column(column)) => column.name.clone(),
            (None, Syntax::Call(call)) => {
                lookup(&call.name).map_or(call.name.clone(), |_| call.name.to_ascii_lowercase())
            }
            _ => {
                *unnamed += 1;
                format!("kuiper_field_{}", *unnamed - 1)
            }
        };
        if let Syntax::Call(call) = syntax
            && let Some(Run::Rows(srf)) = lookup(&call.name).map(|function| function.run)
        {
            let [arg] = call.args.as_slice() else {
                return Err(EngineError::Plan(format!("Expect 1 arguments but found {}.", call.args.len())));
            };
            let (expr, shown) = (compiler.expr(arg)?, shown(compiler, alias, syntax));
            self.srf = Some(Box::new((srf, Field { name: name.as_str().into(), expr, shown })));
            return Ok(());
        }
        if let Syntax::Call(call) = syntax
            && call.name.eq_ignore_ascii_case("changed_cols")
        {
            return self.changes(call, compiler);
        }
        let expr = match alias {
            Some(alias) => compiler.aliased(alias, syntax)?,
            None => compiler.expr(syntax)?,
        };
        if !invisible {
            let shown = if expr.may_fail() { shown(compiler, alias, syntax) } else { Box::default() };
            self.put(&name, expr, shown);
        }
        Ok(())
    }

    fn changes(&mut self, call: &Call, compiler: &mut Compiler<'_>) -> Result<(), EngineError> {
        let place = compiler.changed_columns(call)?;
        let mut columns = Vec::new();
        for arg in &call.args[2..] {
            let name = match arg {
                Syntax::Column(column) => column.name.as_str(),
                Syntax::Call(call) => call.name.as_str(),
                _ => "",
            };
            columns.push(Field { name: name.into(), expr: compiler.expr(arg)?, shown: shown(compiler, None, arg) });
        }
        let args = [compiler.expr(&call.args[0])?, compiler.expr(&call.args[1])?];
        self.changes.push(Changes { call: place, args, columns });
        Ok(())
    }

    /// Adds a column or replaces the one of the same name.
    fn put(&mut self, name: &str, expr: Expr, shown: Box<str>) {
        let new = Field { name: name.into(), expr, shown };
        match self.fields.iter_mut().find(|field| *field.name == *name) {
            Some(field) => *field = new,
            None => self.fields.push(new),
        }
    }

    fn finish(&mut self) {
        self.fields.shrink_to_fit();
        if self.wild.is_empty() && self.srf.is_none() && self.changes.is_empty() {
            self.fields.sort_by(|a, b| a.name.cmp(&b.name));
            let names = self.fields.iter().map(|field| field.name.clone()).collect();
            self.header = Some(Arc::new(Header::new(names, self.send_nil)));
        }
    }

    /// As [`Projection::run`] for a row that output may share.
    ///
    /// # Errors
    /// The first error of a column.
    pub(crate) fn run_row(
        &self,
        row: &Arc<Row>,
        scene: &Scene<'_>,
        state: &mut AnalyticState,
        out: &mut Vec<OutRow>,
    ) -> Result<(), Error> {
        let whole = matches!(self.wild.as_slice(), [Expr::All(None)])
            && self.fields.is_empty()
            && self.except.is_empty()
            && self.srf.is_none()
            && self.changes.is_empty();
        match whole {
            true => out.push(OutRow::Whole(row.clone(), self.send_nil)),
            false => self.run(scene, state, out)?,
        }
        let script = self.script.as_deref().filter(|script| !script.aggregate);
        script.map_or(Ok(()), |script| script.each(scene, out))
    }

    /// The output rows of one row; several only with a set-returning function.
    ///
    /// # Errors
    /// The first error of a column.
    fn run(&self, scene: &Scene<'_>, state: &mut AnalyticState, out: &mut Vec<OutRow>) -> Result<(), Error> {
        if let Some(header) = &self.header {
            let values: Result<Vec<Value>, Error> = self.fields.iter().map(|field| field.value(scene)).collect();
            let values = values?;
            let mut others = self.undeclared(scene.row);
            if others.is_empty() {
                out.push(OutRow::Fixed { header: header.clone(), values: values.into_boxed_slice() });
            } else {
                let named = self.fields.iter().map(|field| field.name.clone()).zip(values);
                others.extend(named.filter(|(_, value)| self.send_nil || !value.is_nil()));
                out.push(OutRow::Free(Arc::new(others)));
            }
            return Ok(());
        }
        let mut base = self.free(scene)?;
        for changes in &self.changes {
            let changed = changes.run(scene, state)?;
            Arc::make_mut(&mut base).extend(changed.into_iter().filter(|(_, value)| self.send_nil || !value.is_nil()));
        }
        match self.srf.as_deref() {
            None => out.push(OutRow::Free(base)),
            Some((srf, field)) => {
                let failed = |error: Error| field.failed(&error);
                unfold(*srf, &field.name, &*field.expr.eval(scene).map_err(failed)?, &base, out).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// What `*` of inputs with a schema finds beyond their columns: only rows that were decoded elsewhere have such members.
    fn undeclared(&self, row: &Row) -> Map {
        let mut others = Map::new();
        if self.declared {
            self.collect_undeclared(row, &mut others);
        }
        others
    }

    fn collect_undeclared(&self, row: &Row, others: &mut Map) {
        let known = |name: &str| {
            self.except.iter().any(|except| except == name) || self.fields.iter().any(|field| *field.name == *name)
        };
        match &row.origin {
            Origin::Json(..) => {}
            Origin::Map(map) => {
                let sent = |value: &Value| self.send_nil || !value.is_nil();
                for (name, value) in map.iter().filter(|(name, value)| sent(value) && !known(name)) {
                    others.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            Origin::Joined(rows) => rows.iter().flatten().for_each(|row| self.collect_undeclared(row, others)),
        }
    }

    fn free(&self, scene: &Scene<'_>) -> Result<Arc<Map>, Error> {
        let mut base: Arc<Map> = Arc::new(self.undeclared(scene.row));
        for wild in self.wild.iter().rev() {
            let Value::Map(map) = wild.eval(scene)?.into_owned() else { continue };
            if base.is_empty() {
                base = map;
            } else {
                Arc::make_mut(&mut base).extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
            }
        }
        if self.fields.is_empty()
            && self.except.is_empty()
            && (self.send_nil || base.values().all(|value| !value.is_nil()))
        {
            return Ok(base);
        }
        let columns = Arc::make_mut(&mut base);
        self.except.iter().for_each(|name| drop(columns.remove(name.as_str())));
        for field in &self.fields {
            columns.insert(field.name.clone(), field.value(scene)?);
        }
        if !self.send_nil {
            columns.retain(|_, value| !value.is_nil());
        }
        Ok(base)
    }

    /// An error of the aggregate of this index: that of the column it is computed for.
    pub(crate) fn aggregate_failed(&self, index: usize, error: &Error) -> Error {
        let columns = self.fields.iter().chain(self.srf.iter().map(|srf| &srf.1));
        let used = columns.into_iter().find(|field| field.expr.uses_aggregate(index));
        used.map_or_else(|| within("Select", error), |field| field.failed(error))
    }

    /// Whether some `*` takes whatever a row of such an input holds.
    pub(crate) fn takes_all(&self, input: &dyn Fn(&Expr) -> bool) -> bool {
        self.wild.iter().any(input)
    }

    /// Whether each output row is a message of its own outside windows.
    pub(crate) fn has_srf(&self) -> bool {
        self.srf.is_some()
    }
}

/// What an error of a field begins with.
fn shown(compiler: &Compiler<'_>, alias: Option<&str>, syntax: &Syntax) -> Box<str> {
    let expr = compiler.scope.shown(syntax, alias);
    let alias = alias.map(|alias| format!("alias: {alias} ")).unwrap_or_default();
    format!("{alias}expr: {expr} meet error, err:").into()
}

impl Changes {
    fn run(&self, scene: &Scene<'_>, state: &mut AnalyticState) -> Result<Map, Error> {
        let mut columns = Map::new();
        for column in &self.columns {
            match (&column.expr, column.value(scene)?) {
                (expr, Value::Map(row)) if expr.is_star() => columns.extend(Arc::unwrap_or_clone(row)),
                (_, value) => drop(columns.insert(column.name.clone(), value)),
            }
        }
        let args = [self.args[0].eval(scene)?.into_owned(), self.args[1].eval(scene)?.into_owned()];
        state.changed_columns(self.call, &args, &columns)
    }
}

/// `unnest(array)`: one row per element; `extract(map)`: the map's keys as columns.
fn unfold(srf: Srf, name: &Arc<str>, value: &Value, base: &Arc<Map>, out: &mut Vec<OutRow>) -> Result<(), Error> {
    let with = |columns: &Map| {
        let mut row = (**base).clone();
        row.extend(columns.iter().map(|(key, value)| (key.clone(), value.clone())));
        OutRow::Free(Arc::new(row))
    };
    match (srf, value) {
        (_, Value::Nil) => {}
        (Srf::Extract, Value::Map(map)) => out.push(with(map)),
        (Srf::Unnest, Value::Array(items)) => out.extend(items.iter().map(|item| match item {
            Value::Map(map) => with(map),
            item => with(&[(name.clone(), item.clone())].into()),
        })),
        (Srf::Unnest, _) => {
            return Err(Error::call("call func unnest error: the argument for the unnest function should be array"));
        }
        (Srf::Extract, _) => {
            return Err(Error::call("call func extract error: the argument for the extract function should be map"));
        }
    }
    Ok(())
}
