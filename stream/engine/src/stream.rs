//! A running stream: decodes each payload once and hands the row to every rule whose filter keeps it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use edgeward_functions::json::{Cursor, JsonError, Numbers, decoder_complaint, parse};
use edgeward_functions::{Context, Map, Value};
use edgeward_service::clock;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::convert::convert_fields;
use crate::event_time::Timestamp;
use crate::expr::{Expr, Scene};
use crate::index::Index;
use crate::layout::Layout;
use crate::lookup::{Lookup, LookupOptions, LookupSource};
use crate::metrics::ConnectionTimes;
use crate::plan::Program;
use crate::queue::{Abandon, Queue};
use crate::row::{Origin, Row};
use crate::rule::Checkpoint;
use crate::source::{Body, Connection, Decode, Message};
use crate::{Ack, Meta, StreamDef};

/// The shared part of a stream. One instance serves one rule, or all rules of a SHARED stream.
pub struct Stream {
    definition: StreamDef,
    state: Mutex<State>,
    received: AtomicU64,
    failed: AtomicU64,
    connection: Mutex<(Option<Connection>, ConnectionTimes)>,
    lookup: Option<Lookup>,
}

struct State {
    layout: Layout,
    /// The definition, under STRICT_VALIDATION.
    strict: Option<StreamDef>,
    timestamp: Option<Timestamp>,
    decoder: Option<Box<dyn Decode>>,
    /// The rules' places; those of rules that went are taken by the next to come.
    taps: Vec<Option<Tap>>,
    vacant: Vec<usize>,
    /// The row being worked on; it moves to the heap only when some rule keeps it.
    row: Row,
    /// Which rules a row may concern.
    index: Index,
    /// Positions of the rules a row may concern, reused.
    wanted: Vec<usize>,
    /// Queues that asked the source to wait.
    full: Vec<Arc<Queue<Item>>>,
    /// Where the source goes on after all it has handed over.
    position: Option<Value>,
}

/// One rule's way out of a stream.
struct Tap {
    input: usize,
    filter: Option<Filter>,
    queue: Arc<Queue<Item>>,
}

/// The condition of a rule that is evaluated in the stream; an error goes to the rule in the row's place.
pub(crate) struct Filter {
    pub(crate) program: Arc<Program>,
    pub(crate) context: Context,
}

impl Filter {
    pub(crate) fn condition(&self) -> Option<&Expr> {
        self.program.filter.as_ref()
    }

    fn keeps(&mut self, row: &Row) -> Result<bool, String> {
        self.context.now = row.at;
        let Some(condition) = self.program.filter.as_ref() else { return Ok(true) };
        condition.holds(&Scene::of_row(row, &self.context), "Where").map_err(|error| error.to_string())
    }
}

/// What waits in a rule's queue.
#[derive(Debug)]
pub(crate) enum Item {
    /// A row of the rule's input of this index, with the token of the message.
    Row(usize, Arc<Row>, Option<Ack>),
    /// A run-time error before the rule, with the token of the message.
    Error(Arc<str>, Option<Ack>),
    /// One of the inputs ended.
    End,
    /// All that the rule's streams had taken in at one moment is before it.
    Barrier(Box<Barrier>),
}

/// A checkpoint that is asked for.
#[derive(Debug)]
pub(crate) struct Barrier {
    /// Of each input where its source goes on; nil for one that cannot.
    pub(crate) positions: Vec<Value>,
    /// Who asked.
    pub(crate) reply: oneshot::Sender<Checkpoint>,
}

impl Barrier {
    /// Puts a barrier behind what the streams of a rule have taken in. They stand still for this one moment, so that positions,
    /// and all rows before the barrier and none after it, belong together.
    pub(crate) fn put(streams: &[&Arc<Stream>], queue: &Queue<Item>, reply: oneshot::Sender<Checkpoint>) {
        // Locked once each, in the order of their addresses: another rule may do the same with the same ones.
        let mut order: Vec<&Arc<Stream>> = streams.to_vec();
        order.sort_by_key(|stream| Arc::as_ptr(stream));
        order.dedup_by_key(|stream| Arc::as_ptr(stream));
        let guards: Vec<_> = order.iter().map(|stream| (Arc::as_ptr(stream), stream.state.lock())).collect();
        let position = |stream: &&Arc<Stream>| {
            let state = guards.iter().find(|(known, _)| *known == Arc::as_ptr(stream));
            state.and_then(|(_, state)| state.position.clone()).unwrap_or_default()
        };
        let positions = streams.iter().map(position).collect();
        queue.push(Item::Barrier(Box::new(Barrier { positions, reply })), true);
    }
}

impl Abandon for Item {
    fn abandon(&self) {
        if let Item::Row(_, _, Some(ack)) | Item::Error(_, Some(ack)) = self {
            ack.fail();
        }
    }
}

impl Stream {
    /// A stream by its definition. `decoder` is the FORMAT's, none for JSON.
    pub fn new(definition: StreamDef, decoder: Option<Box<dyn Decode>>) -> Arc<Stream> {
        Arc::new(Stream::make(definition, decoder))
    }

    fn make(definition: StreamDef, decoder: Option<Box<dyn Decode>>) -> Stream {
        let mut layout = Layout::new(&definition);
        let timestamp = Timestamp::new(&definition, |column| layout.slot(&definition, column));
        let state = State {
            layout,
            strict: (definition.strict && !definition.is_schemaless()).then(|| definition.clone()),
            timestamp,
            decoder,
            taps: Vec::new(),
            vacant: Vec::new(),
            row: Row::empty(),
            index: Index::default(),
            wanted: Vec::new(),
            full: Vec::new(),
            position: None,
        };
        Stream {
            definition,
            state: Mutex::new(state),
            received: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            connection: Mutex::default(),
            lookup: None,
        }
    }

    /// A lookup table by its definition: nothing flows through it, rules ask its source. One serves all rules of the table, so
    /// that they share its cache.
    pub fn of_lookup(definition: StreamDef, source: Box<dyn LookupSource>, options: LookupOptions) -> Arc<Stream> {
        let columns = definition.fields.iter().map(|field| field.name.as_str().into()).collect();
        let lookup = Some(Lookup::new(source, options, columns));
        Arc::new(Stream { lookup, ..Stream::make(definition, None) })
    }

    /// What is asked for the rows, if it is a lookup table that is.
    pub(crate) fn lookup(&self) -> Option<&Lookup> {
        self.lookup.as_ref()
    }

    /// The definition.
    pub fn definition(&self) -> &StreamDef {
        &self.definition
    }

    /// Messages received since the start.
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Messages that could not be decoded.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// State of the connection, if the source reported one.
    pub fn connection(&self) -> Option<Connection> {
        self.connection.lock().0.clone().or_else(|| self.lookup.as_ref()?.connection())
    }

    /// When the connection came and went.
    pub(crate) fn connection_times(&self) -> ConnectionTimes {
        self.connection.lock().1.clone()
    }

    /// How many rules read the stream.
    pub fn rules(&self) -> usize {
        let state = self.state.lock();
        state.taps.len() - state.vacant.len()
    }

    /// Tells the rules that the input is finished. The end of a table says nothing: its rows stay.
    pub fn end(&self) {
        if self.definition.table.is_some() {
            return;
        }
        for tap in self.state.lock().taps.iter().flatten() {
            tap.queue.push(Item::End, true);
        }
    }

    pub(crate) fn set_connection(&self, state: Connection) {
        let mut connection = self.connection.lock();
        connection.1.note(&state, clock::now_ms());
        connection.0 = Some(state);
    }

    /// Where the source goes on, if it can.
    pub(crate) fn position(&self) -> Option<Value> {
        self.state.lock().position.clone()
    }

    /// Where the source is to begin.
    pub(crate) fn rewind(&self, position: Value) {
        self.state.lock().position = Some(position).filter(|position| !position.is_nil());
    }

    /// Makes a slot for each column, in the order given.
    pub(crate) fn slots<'a>(&self, columns: impl Iterator<Item = &'a str>) -> Vec<usize> {
        let mut state = self.state.lock();
        columns.map(|column| state.layout.slot(&self.definition, column)).collect()
    }

    /// The columns of a row by name: what the message had, those that are declared in their types.
    pub(crate) fn map_of(&self, row: &Row) -> Arc<Map> {
        if self.definition.is_schemaless() { row.all().clone() } else { self.state.lock().layout.map(row) }
    }

    /// A row of a decoded map, as a saved state brings it back.
    pub(crate) fn row_of(&self, map: &Arc<Map>, at: i64) -> Row {
        let slots = self.state.lock().layout.pick(map);
        Row::new(slots, Origin::Map(map.clone()), at)
    }

    /// Sends rows to `queue` from now on; undone by dropping the answer.
    pub(crate) fn attach(
        self: &Arc<Stream>,
        input: usize,
        filter: Option<Filter>,
        queue: Arc<Queue<Item>>,
    ) -> Attachment {
        let mut state = self.state.lock();
        let position = state.vacant.pop().unwrap_or(state.taps.len());
        state.index.insert(position, filter.as_ref().and_then(Filter::condition));
        let tap = Some(Tap { input, filter, queue });
        match state.taps.get_mut(position) {
            Some(place) => *place = tap,
            None => state.taps.push(tap),
        }
        Attachment { stream: self.clone(), position, base: self.received(), end: OnceLock::new() }
    }

    /// Takes in messages that arrived now, up to one after which some rule asks the source to wait; then the answer is true and
    /// the rest is still to be taken.
    pub(crate) fn push_all(&self, messages: &mut impl Iterator<Item = Message>) -> bool {
        // The clock and the lock cost as much as half a row: they are shared.
        let now = clock::now_ms();
        let mut state = self.state.lock();
        let mut taken = 0;
        for message in messages {
            taken += 1;
            self.take(&mut state, message, now);
            if !state.full.is_empty() {
                break;
            }
        }
        self.received.fetch_add(taken, Ordering::Relaxed);
        !state.full.is_empty()
    }

    /// Takes in a message that arrived at `now`, whether or not a rule asks to wait.
    pub(crate) fn push_at(&self, message: Message, now: i64) {
        self.received.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        self.take(&mut state, message, now);
        state.full.clear();
    }

    fn take(&self, state: &mut State, message: Message, now: i64) {
        let Message { body, meta, ack, position } = message;
        if position.is_some() {
            state.position = position;
        }
        let decoded = match body {
            Body::Row(map) => state.take_map(map, now, meta, &ack),
            Body::Payload(payload) => state.take_payload(payload, now, meta, &ack),
        };
        if let Err(text) = decoded {
            self.failed.fetch_add(1, Ordering::Relaxed);
            state.error(&text, ack.as_ref());
        }
    }

    pub(crate) fn push_error(&self, text: &str) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.state.lock().error(text, None);
    }

    pub(crate) async fn wait_for_space(&self) {
        let full = std::mem::take(&mut self.state.lock().full);
        for queue in full {
            queue.wait_for_space().await;
        }
    }
}

/// What a message is that is neither an object nor an array.
const NO_ROWS: &str = "only map[string]interface{} and []map[string]interface{} is supported";

/// Why a message is not JSON, in the words of eKuiper's decoder where it has some.
fn unreadable(payload: &[u8], error: &JsonError) -> String {
    decoder_complaint(payload).unwrap_or_else(|| error.to_string())
}

/// The slices of an array's items.
fn items(payload: &Bytes) -> Result<Vec<Bytes>, JsonError> {
    let mut cursor = Cursor::new(payload);
    cursor.blank();
    cursor.expect(b'[')?;
    let (mut items, mut first) = (Vec::new(), true);
    while cursor.next_item(&mut first)? {
        let start = cursor.at();
        cursor.skip(1)?;
        items.push(payload.slice(start..cursor.at()));
    }
    cursor.end().map(|()| items)
}

impl State {
    fn take_payload(&mut self, payload: Bytes, now: i64, meta: Option<Meta>, ack: &Option<Ack>) -> Result<(), String> {
        if let Some(decoder) = &mut self.decoder {
            let mut rows = Vec::new();
            decoder.decode(&payload, &mut rows)?;
            return rows.into_iter().try_for_each(|row| self.take_map(row, now, meta.clone(), ack));
        }
        match payload.iter().find(|byte| !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            Some(b'[') => self.take_array(payload, now, meta, ack),
            Some(b'{') | None => self.take_object(payload, now, meta, ack),
            Some(_) => Err(decoder_complaint(&payload).unwrap_or_else(|| NO_ROWS.into())),
        }
    }

    /// An array holds several rows; each is decoded from its own slice. None is taken when one of them cannot be.
    fn take_array(&mut self, payload: Bytes, now: i64, meta: Option<Meta>, ack: &Option<Ack>) -> Result<(), String> {
        let rows = items(&payload).map_err(|error| unreadable(&payload, &error))?;
        if let Some(other) = rows.iter().find(|row| !row.starts_with(b"{")) {
            let shown = String::from_utf8_lossy(other);
            return Err(format!("only map[string]interface{{}} inside a list is supported but got: {shown}"));
        }
        if rows.len() > 1 && self.strict.is_none() {
            for row in &rows {
                self.layout.scan(row, &mut self.row.slots)?;
            }
        }
        rows.into_iter().try_for_each(|row| self.take_object(row, now, meta.clone(), ack))
    }

    fn take_object(&mut self, payload: Bytes, now: i64, meta: Option<Meta>, ack: &Option<Ack>) -> Result<(), String> {
        if self.strict.is_some() {
            return match parse(&payload, Numbers::WholeAsInt).map_err(|error| unreadable(&payload, &error))? {
                Value::Map(map) => self.take_map(map, now, meta, ack),
                _ => Err(NO_ROWS.into()),
            };
        }
        self.layout.scan(&payload, &mut self.row.slots)?;
        self.row.origin = Origin::Json(payload, self.layout.numbers());
        self.route(now, meta, ack);
        Ok(())
    }

    /// Under STRICT_VALIDATION every row is converted as a whole before rules see it.
    fn take_map(&mut self, map: Arc<Map>, now: i64, meta: Option<Meta>, ack: &Option<Ack>) -> Result<(), String> {
        let map = match &self.strict {
            Some(definition) => {
                let converted = convert_fields(&definition.fields, &map, definition);
                Arc::new(converted.map_err(|error| format!("error in preprocessor: {error}"))?)
            }
            None => map,
        };
        self.row.slots = self.layout.pick(&map);
        self.row.origin = Origin::Map(map);
        self.route(now, meta, ack);
        Ok(())
    }

    /// Offers the row whose slots and origin are set to every rule it may concern.
    fn route(&mut self, now: i64, meta: Option<Meta>, ack: &Option<Ack>) {
        self.row.at = now;
        self.row.meta = meta;
        self.row.event = self.timestamp.as_ref().and_then(|timestamp| timestamp.read(&self.row));
        self.index.select(&self.row, &mut self.wanted);
        if !self.wanted.is_empty() {
            self.offer(ack);
        }
        self.row.forget();
    }

    fn offer(&mut self, ack: &Option<Ack>) {
        let mut kept: Option<Arc<Row>> = None;
        let mut wanted = std::mem::take(&mut self.wanted);
        for position in wanted.drain(..) {
            let Some(Some(tap)) = self.taps.get_mut(position) else { continue };
            let seen = kept.as_deref().unwrap_or(&self.row);
            let item = match tap.filter.as_mut().map_or(Ok(true), |filter| filter.keeps(seen)) {
                Ok(false) => continue,
                Ok(true) => {
                    // The first rule that keeps the row moves it to the heap; the others share it.
                    let kept = kept.get_or_insert_with(|| Arc::new(std::mem::replace(&mut self.row, Row::empty())));
                    Item::Row(tap.input, kept.clone(), ack.clone())
                }
                Err(text) => Item::Error(text.into(), ack.clone()),
            };
            if tap.queue.push(item, self.position.is_some()) {
                self.full.push(tap.queue.clone());
            }
        }
        self.wanted = wanted;
    }

    fn error(&mut self, text: &str, ack: Option<&Ack>) {
        let text: Arc<str> = text.into();
        for tap in self.taps.iter().flatten() {
            if tap.queue.push(Item::Error(text.clone(), ack.cloned()), self.position.is_some()) {
                self.full.push(tap.queue.clone());
            }
        }
    }
}

/// A rule's place at a stream; it ends when told or dropped.
pub(crate) struct Attachment {
    stream: Arc<Stream>,
    position: usize,
    base: u64,
    /// What the stream had received when the rule was detached.
    end: OnceLock<u64>,
}

impl Attachment {
    /// Messages the stream received while the rule was attached.
    pub(crate) fn received(&self) -> u64 {
        self.end.get().copied().unwrap_or_else(|| self.stream.received()) - self.base
    }

    /// Sends the rule no more rows.
    pub(crate) fn detach(&self) {
        let mut state = self.stream.state.lock();
        if self.end.set(self.stream.received()).is_ok()
            && let Some(tap) = state.taps.get_mut(self.position).and_then(Option::take)
        {
            state.index.remove(self.position, tap.filter.as_ref().and_then(Filter::condition));
            state.vacant.push(self.position);
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        self.detach();
    }
}

/// The drained side of a rule's queue.
pub(crate) type Inbox = VecDeque<Item>;
