//! Lookup tables: their rows are asked for by key, one query for each row that is joined with them.

use std::collections::HashMap;
use std::sync::Arc;

use edgeward_functions::{Context, Error, Map, Value};
use edgeward_service::clock;
use edgeward_sql::ast::JoinKind;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::group::scene;
use crate::plan::{JoinPlan, Program};
use crate::snapshot::codec;
use crate::window::Tuple;
use crate::{Connection, EngineError, SourceError, Stream, join};

/// A connector that answers rows by key. One serves all rules that read its table; nothing is opened before the first query, and
/// reconnecting is its own business. It is closed by being dropped.
pub trait LookupSource: Send + Sync + 'static {
    /// The rows of a query. No rows is no error.
    fn lookup<'a>(&'a self, query: LookupQuery<'a>) -> BoxFuture<'a, Result<Vec<Arc<Map>>, SourceError>>;

    /// State of the connection, for the status of rules; none for sources without one.
    fn connection(&self) -> Option<Connection> {
        None
    }
}

/// Asks for the rows whose column `keys[i]` equals `values[i]`, for every `i`; there is at least one, and no value is nil.
#[derive(Debug, Clone, Copy)]
pub struct LookupQuery<'a> {
    /// The table's declared columns: rows need no others. Empty: all there are.
    pub columns: &'a [Arc<str>],
    /// Columns that are compared.
    pub keys: &'a [Arc<str>],
    /// What they must equal.
    pub values: &'a [Value],
}

/// The `lookup` block of a source's configuration: `{cache, cacheTtl, cacheMissingKey}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupOptions {
    /// Answers are kept.
    pub cache: bool,
    /// For how long, in ms; 0 for ever.
    pub ttl: i64,
    /// Answers without rows are kept too.
    pub cache_missing_key: bool,
    /// Most answers kept; the cache begins anew beyond that.
    pub max_entries: usize,
}

impl Default for LookupOptions {
    fn default() -> LookupOptions {
        LookupOptions { cache: false, ttl: 0, cache_missing_key: false, max_entries: 65_536 }
    }
}

impl LookupOptions {
    /// Reads the block; nil keeps the defaults. `cacheTtl` is Go's duration text or milliseconds.
    ///
    /// # Errors
    /// A member of another type.
    pub fn from_json(json: &serde_json::Value) -> Result<LookupOptions, EngineError> {
        let mut options = LookupOptions::default();
        for (key, value) in json.as_object().into_iter().flatten() {
            let wrong = || EngineError::Plan(format!("invalid value {value} of lookup.{key}"));
            match key.to_ascii_lowercase().as_str() {
                "cache" => options.cache = value.as_bool().ok_or_else(wrong)?,
                "cachettl" => options.ttl = crate::options::duration(value).ok_or_else(wrong)?,
                "cachemissingkey" => options.cache_missing_key = value.as_bool().ok_or_else(wrong)?,
                _ => {}
            }
        }
        Ok(options)
    }
}

/// A lookup table in use.
pub(crate) struct Lookup {
    source: Box<dyn LookupSource>,
    options: LookupOptions,
    columns: Box<[Arc<str>]>,
    cache: Mutex<HashMap<Box<[u8]>, Cached>>,
}

type Rows = Arc<[Arc<Map>]>;

/// An answer and when it is too old.
struct Cached {
    rows: Rows,
    expires: i64,
}

impl Lookup {
    pub(crate) fn new(source: Box<dyn LookupSource>, options: LookupOptions, columns: Box<[Arc<str>]>) -> Lookup {
        Lookup { source, options, columns, cache: Mutex::default() }
    }

    pub(crate) fn connection(&self) -> Option<Connection> {
        self.source.connection()
    }

    async fn find(&self, keys: &[Arc<str>], values: &[Value]) -> Result<Rows, SourceError> {
        let query = LookupQuery { columns: &self.columns, keys, values };
        if !self.options.cache {
            return Ok(self.source.lookup(query).await?.into());
        }
        let mut key = Vec::new();
        for (name, value) in keys.iter().zip(values) {
            codec::write(&Value::Str(name.clone()), &mut key);
            codec::write(value, &mut key);
        }
        let known = self
            .cache
            .lock()
            .get(key.as_slice())
            .filter(|known| known.expires > clock::now_ms())
            .map(|known| known.rows.clone());
        if let Some(rows) = known {
            return Ok(rows);
        }
        let rows: Rows = self.source.lookup(query).await?.into();
        if !rows.is_empty() || self.options.cache_missing_key {
            self.keep(key.into(), rows.clone());
        }
        Ok(rows)
    }

    fn keep(&self, key: Box<[u8]>, rows: Rows) {
        let now = clock::now_ms();
        let expires = if self.options.ttl == 0 { i64::MAX } else { now.saturating_add(self.options.ttl) };
        let mut cache = self.cache.lock();
        if cache.len() >= self.options.max_entries {
            cache.retain(|_, known| known.expires > now);
            if cache.len() >= self.options.max_entries {
                cache.clear();
            }
        }
        cache.insert(key, Cached { rows, expires });
    }
}

/// Joins rows with the rule's lookup tables, one after the other. `streams` are the rule's inputs.
pub(crate) async fn join(
    program: &Program,
    streams: &[Arc<Stream>],
    mut rows: Vec<Tuple>,
    context: &Context,
) -> Result<Vec<Tuple>, Error> {
    for (index, plan) in program.joins.iter().enumerate() {
        let Some(stream) = streams.get(index + 1) else { continue };
        let Some(lookup) = stream.lookup() else { continue };
        let mut joined = Vec::with_capacity(rows.len());
        for tuple in rows {
            one(plan, (stream, lookup, index + 1), tuple, context, &mut joined).await?;
        }
        rows = joined;
    }
    Ok(rows)
}

async fn one(
    plan: &JoinPlan,
    (stream, lookup, input): (&Stream, &Lookup, usize),
    tuple: Tuple,
    context: &Context,
    joined: &mut Vec<Tuple>,
) -> Result<(), Error> {
    let values: Result<Vec<Value>, Error> =
        plan.lookup.values.iter().map(|value| Ok(value.eval(&scene(&tuple, context))?.into_owned())).collect();
    let values = values?;
    let mut hit = false;
    // Nil equals nothing: there is nothing to ask for.
    if !values.iter().any(Value::is_nil) {
        let found = lookup.find(&plan.lookup.keys, &values).await;
        let found =
            found.map_err(|error| Error::call(format!("lookup table {}: {error}", stream.definition().name)))?;
        for row in found.iter() {
            let both = join::with(&tuple, input, Arc::new(stream.row_of(row, tuple.at)));
            if plan.holds(&scene(&both, context))? {
                hit = true;
                joined.push(both);
            }
        }
    }
    if !hit && plan.kind == JoinKind::Left {
        joined.push(tuple);
    }
    Ok(())
}
