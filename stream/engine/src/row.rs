//! A row: the payload it came in and a slot for each column some rule needs.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use edgeward_functions::json::{Numbers, lenient};
use edgeward_functions::{Map, Value};

/// Metadata of a message (`topic`, `qos`, …), shared by its rows.
pub type Meta = Arc<Map>;

/// One row of a stream. Immutable and shared by all rules of the stream; text and nested columns are decoded when first touched.
#[derive(Debug)]
pub struct Row {
    pub(crate) slots: Box<[Slot]>,
    pub(crate) origin: Origin,
    /// When it arrived, in ms since 1970.
    pub at: i64,
    /// Its event time by the stream's TIMESTAMP column, in ms since 1970; none when there is no such column or it is unreadable.
    pub event: Option<i64>,
    /// Metadata of the message.
    pub meta: Option<Meta>,
    all: OnceLock<Arc<Map>>,
}

/// What a row was made of; `SELECT *` of a schemaless stream reads it.
#[derive(Debug)]
pub(crate) enum Origin {
    /// A JSON object.
    Json(Bytes, Numbers),
    /// A decoded row.
    Map(Arc<Map>),
    /// Rows of several streams side by side.
    Joined(Box<[Option<Arc<Row>>]>),
}

/// A column's place.
#[derive(Debug)]
pub(crate) enum Slot {
    /// Its value: numbers and words are read while scanning.
    Ready(Value),
    /// The span of its JSON text until someone asks for the value.
    Span(u32, u32, OnceLock<Value>),
}

impl Slot {
    /// A slot to be decoded from `start..end` of the payload.
    pub(crate) fn span(start: usize, end: usize) -> Slot {
        // A payload beyond 4 GiB cannot get here: packets and files are bounded far below.
        Slot::Span(start as u32, end as u32, OnceLock::new())
    }
}

impl Row {
    pub(crate) fn new(slots: Box<[Slot]>, origin: Origin, at: i64) -> Row {
        Row { slots, origin, at, event: None, meta: None, all: OnceLock::new() }
    }

    /// A row of nothing, to be filled.
    pub(crate) fn empty() -> Row {
        Row::new(Box::default(), Origin::Joined(Box::default()), 0)
    }

    /// Lets go of the message, so that a stream at rest holds none; the slots stay for the next one.
    pub(crate) fn forget(&mut self) {
        self.origin = Origin::Joined(Box::default());
        self.meta = None;
        self.all.take();
    }

    /// The value of a slot; nil when the row was decoded before the slot was wanted, or lacks the column.
    #[inline]
    pub fn get(&self, slot: usize) -> &Value {
        match self.slots.get(slot) {
            Some(Slot::Ready(value)) => value,
            Some(Slot::Span(start, end, value)) => value.get_or_init(|| self.decode(*start, *end)),
            None => &Value::Nil,
        }
    }

    /// The text of a slot that was not decoded yet and is plain; none says nothing about the slot.
    pub(crate) fn plain_text(&self, slot: usize) -> Option<&str> {
        let (Slot::Span(start, end, _), Origin::Json(payload, _)) = (self.slots.get(slot)?, &self.origin) else {
            return None;
        };
        let quoted = payload.get(*start as usize..*end as usize)?;
        let text = quoted.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
        if text.contains(&b'\\') { None } else { std::str::from_utf8(text).ok() }
    }

    fn decode(&self, start: u32, end: u32) -> Value {
        match &self.origin {
            Origin::Json(payload, numbers) => {
                payload.get(start as usize..end as usize).map_or(Value::Nil, |text| lenient(text, *numbers))
            }
            _ => Value::Nil,
        }
    }

    /// All columns the message had, for `*` of a schemaless stream. Of joined rows the earlier one wins on equal names.
    pub fn all(&self) -> &Arc<Map> {
        self.all.get_or_init(|| match &self.origin {
            Origin::Map(map) => map.clone(),
            Origin::Json(payload, numbers) => match lenient(payload, *numbers) {
                Value::Map(map) => map,
                _ => Arc::default(),
            },
            Origin::Joined(rows) => {
                let mut merged = Map::new();
                for row in rows.iter().rev().flatten() {
                    merged.extend(row.all().iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                Arc::new(merged)
            }
        })
    }

    /// The row of one side of a join.
    pub(crate) fn side(&self, index: usize) -> Option<&Arc<Row>> {
        match &self.origin {
            Origin::Joined(rows) => rows.get(index).and_then(Option::as_ref),
            _ => None,
        }
    }
}
