//! The scanner of a stream: walks a JSON payload once and fills only the slots that rules need.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use edgeward_functions::json::{Cursor, JsonError, Numbers, decoder_complaint, parse};
use edgeward_functions::{Map, Value};

use crate::convert::conform;
use crate::row::{Row, Slot};
use crate::schema::{ColumnType, StreamDef};

/// Which slot each wanted column has. Slots are only ever added while the stream lives, so compiled expressions stay valid.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    columns: Vec<Column>,
    by_name: HashMap<Arc<str>, usize>,
    numbers: Numbers,
    /// What stood before each value of the last payload, e.g. `,"key":`, with the key's slot.
    order: Vec<(Box<[u8]>, Option<u32>)>,
}

#[derive(Debug)]
struct Column {
    name: Arc<str>,
    declared: Option<ColumnType>,
    /// Its numbers are floats.
    floats: bool,
}

/// How many keys of a payload are remembered in order, and how many bytes before a value at most.
const REMEMBERED_KEYS: usize = 32_768;
const REMEMBERED_BYTES: usize = 1_024;

impl Layout {
    /// A layout with a slot for each declared column that is in `wanted`; grows by [`Layout::slot`].
    pub(crate) fn new(definition: &StreamDef) -> Layout {
        Layout { numbers: definition.numbers, ..Layout::default() }
    }

    /// The slot of a column, made if it is new.
    pub(crate) fn slot(&mut self, definition: &StreamDef, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let slot = self.columns.len();
        let name: Arc<str> = name.into();
        let declared = definition.fields.iter().find(|field| *field.name == *name).map(|field| field.data_type.clone());
        self.by_name.insert(name.clone(), slot);
        let floats = match &declared {
            None => self.numbers == Numbers::Float,
            Some(declared) => *declared == ColumnType::Float,
        };
        self.columns.push(Column { name, declared, floats });
        self.order.clear();
        slot
    }

    /// What undeclared JSON numbers become.
    pub(crate) fn numbers(&self) -> Numbers {
        self.numbers
    }

    /// Fills `slots`, made as many as there are columns, from one JSON object. Later duplicates of a key win.
    ///
    /// # Errors
    /// The payload is no JSON object, or a declared column has another type; the text is what the rule's sinks see.
    pub(crate) fn scan(&mut self, payload: &Bytes, slots: &mut Box<[Slot]>) -> Result<(), String> {
        // eKuiper reads a message as a whole before it looks at types, and has words of its own for what is not JSON.
        self.fill(payload, slots).map_err(|why| decoder_complaint(payload).unwrap_or(why))
    }

    fn fill(&mut self, payload: &Bytes, slots: &mut Box<[Slot]>) -> Result<(), String> {
        if slots.len() == self.columns.len() {
            slots.fill_with(|| Slot::Ready(Value::Nil));
        } else {
            *slots = self.columns.iter().map(|_| Slot::Ready(Value::Nil)).collect();
        }
        let mut cursor = Cursor::new(payload);
        for position in 0.. {
            // Most messages of a stream look alike: what comes before the next value is guessed before it is read.
            let slot = match self.order.get(position) {
                Some((before, slot)) if cursor.take(before) => {
                    cursor.blank();
                    *slot
                }
                _ if position > 0 && cursor.eat(b'}') => break,
                _ => match self.next(&mut cursor, position)? {
                    Some(slot) => slot,
                    None => break,
                },
            };
            match slot {
                Some(slot) => self.read(&mut cursor, slot as usize, &mut slots[slot as usize])?,
                None if cursor.skip_flat() => {}
                None => cursor.skip(1).map_err(text)?,
            }
        }
        cursor.end().map_err(text)
    }

    /// Goes to the value of the next key, which was not guessed, and remembers it for the next payload. The key's slot if it has
    /// one; none at the end of the object.
    #[inline(never)]
    fn next(&mut self, cursor: &mut Cursor<'_>, position: usize) -> Result<Option<Option<u32>>, String> {
        let start = cursor.at();
        let mut first = position == 0;
        if first {
            cursor.blank();
            cursor.members().map_err(text)?;
        }
        let Some((key, escaped)) = cursor.next_key(&mut first).map_err(text)? else { return Ok(None) };
        let slot = self.locate(key, escaped);
        let before = cursor.since(start);
        self.order.truncate(position);
        if self.order.len() == position && position < REMEMBERED_KEYS && before.len() <= REMEMBERED_BYTES {
            self.order.push((before.into(), slot));
        }
        Ok(Some(slot))
    }

    fn locate(&self, key: &[u8], escaped: bool) -> Option<u32> {
        let slot = if escaped {
            let quoted = [b"\"", key, b"\""].concat();
            parse(&quoted, self.numbers).ok().and_then(|name| self.by_name.get(name.as_str()?).copied())
        } else {
            std::str::from_utf8(key).ok().and_then(|name| self.by_name.get(name).copied())
        };
        slot.and_then(|slot| u32::try_from(slot).ok())
    }

    /// Reads the value for a slot: numbers and words at once, text and nested values as spans.
    #[inline]
    fn read(&self, cursor: &mut Cursor<'_>, slot: usize, out: &mut Slot) -> Result<(), String> {
        let column = &self.columns[slot];
        if column.floats
            && let Some(float) = cursor.short_float()
        {
            *out = Slot::Ready(Value::Float(float));
            return Ok(());
        }
        let read = match (&column.declared, cursor.peek()) {
            (None, Some(b'-' | b'0'..=b'9')) => cursor.number(self.numbers).map(Slot::Ready),
            (Some(ColumnType::Float), Some(b'-' | b'0'..=b'9')) => cursor.number(Numbers::Float).map(Slot::Ready),
            (None, Some(b'"' | b'{' | b'[')) | (Some(ColumnType::String), Some(b'"')) => {
                let start = cursor.at();
                let skipped = if cursor.skip_flat() { Ok(()) } else { cursor.skip(1) };
                skipped.map(|()| Slot::span(start, cursor.at()))
            }
            (None, _) => cursor.word().map(Slot::Ready),
            (Some(declared), _) => {
                return self.conforming(cursor, column, declared).map(|value| *out = Slot::Ready(value));
            }
        };
        *out = read.map_err(text)?;
        Ok(())
    }

    fn conforming(&self, cursor: &mut Cursor<'_>, column: &Column, declared: &ColumnType) -> Result<Value, String> {
        conform(&column.name, cursor.value(Numbers::WholeAsInt, 1).map_err(text)?, declared)
    }

    /// A row as a map that [`Layout::pick`] makes the same slots of.
    pub(crate) fn map(&self, row: &Row) -> Arc<Map> {
        let mut map = (**row.all()).clone();
        for (slot, column) in self.columns.iter().enumerate() {
            if map.contains_key(&column.name) {
                map.insert(column.name.clone(), row.get(slot).clone());
            }
        }
        Arc::new(map)
    }

    /// The slots of a decoded row.
    pub(crate) fn pick(&self, row: &Map) -> Box<[Slot]> {
        self.columns.iter().map(|column| Slot::Ready(row.get(&column.name).cloned().unwrap_or_default())).collect()
    }
}

#[cold]
fn text(error: JsonError) -> String {
    error.to_string()
}
