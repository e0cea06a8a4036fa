//! The memory sink of a case with the common properties that shape messages.

use edgeward_connect::{Hosts, Props, SinkMessage, SinkOptions};
use edgeward_engine::{Emission, OutRow};
use edgeward_functions::Value;
use edgeward_functions::json::{Numbers, parse};

/// What a sink got in one message.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Rows(Vec<Value>),
    Text(String),
}

/// The sink pipeline of a case, on its clock.
#[derive(Debug)]
pub(crate) struct Shape {
    options: SinkOptions,
    /// Emissions that wait to be sent as one; none when nothing is batched.
    batch: Option<Batch>,
}

/// `batchSize` and `lingerInterval`.
#[derive(Debug)]
struct Batch {
    /// Emissions of one batch; 0 for as many as come.
    size: usize,
    /// Ms between two batches; 0 for as long as it takes.
    linger: i64,
    /// When the next is due by the interval.
    due: i64,
    waiting: Vec<OutRow>,
    count: usize,
}

impl Shape {
    /// Reads the properties for a rule that starts at `start`; those that only matter to real sinks are ignored.
    ///
    /// # Errors
    /// A property of another type, or one that makes no sense.
    pub(crate) fn read(
        mut props: serde_json::Map<String, serde_json::Value>,
        hosts: &Hosts,
        start: i64,
    ) -> Result<Shape, String> {
        let read = Props::new(props.clone());
        let number = |key| read.number(key).map_err(|error| error.to_string());
        let size = number("batchSize")?.map_or(0, |size| usize::try_from(size).unwrap_or(usize::MAX));
        let linger = read.duration_ms("lingerInterval").map_err(|error| error.to_string())?;
        let linger = linger.map_or(0, |linger| i64::try_from(linger).unwrap_or(i64::MAX));
        let batch = (size > 0 || linger > 0).then(|| Batch {
            size,
            linger,
            due: start.saturating_add(linger),
            waiting: Vec::new(),
            count: 0,
        });
        // What keeps messages for a peer that is away has no meaning here.
        for key in BATCH.iter().chain(&CACHE) {
            props.remove(*key);
        }
        let options = SinkOptions::read(&Props::new(props), hosts).map_err(|error| error.to_string())?;
        Ok(Shape { options, batch })
    }

    /// What the emissions of a rule become until `end`, each with its time; or why a message cannot be made.
    pub(crate) fn messages(&mut self, emissions: Vec<Emission>, end: i64) -> Vec<(i64, Result<Said, String>)> {
        let mut out = Vec::new();
        for emission in emissions {
            let Some(batch) = &mut self.batch else {
                self.say(&emission, &mut out);
                continue;
            };
            let mut full = batch.ticks_before(emission.at);
            if emission.is_error {
                full.push(emission);
            } else {
                full.extend(batch.add(emission));
            }
            full.iter().for_each(|emission| self.say(emission, &mut out));
        }
        let rest = self.batch.as_mut().map(|batch| batch.ticks_before(end.saturating_add(1)));
        rest.iter().flatten().for_each(|emission| self.say(emission, &mut out));
        out
    }

    fn say(&self, emission: &Emission, out: &mut Vec<(i64, Result<Said, String>)>) {
        if emission.is_error {
            let rows = emission.rows.iter().map(|row| Value::Map(row.to_map())).collect();
            return out.push((emission.at, Ok(Said::Rows(rows))));
        }
        for message in self.options.messages(emission) {
            out.push((emission.at, message.map(said).map_err(|error| error.to_string())));
        }
    }
}

impl Batch {
    /// The batch that the interval sends before `to`, if anything waits.
    fn ticks_before(&mut self, to: i64) -> Vec<Emission> {
        if self.linger == 0 || self.due >= to {
            return Vec::new();
        }
        let at = self.due;
        let periods = (to - 1 - at) / self.linger + 1;
        self.due = at.saturating_add(periods.saturating_mul(self.linger));
        if self.count == 0 { Vec::new() } else { vec![self.flush(at)] }
    }

    fn add(&mut self, emission: Emission) -> Option<Emission> {
        self.waiting.extend(emission.rows);
        self.count += 1;
        (self.size > 0 && self.count >= self.size).then(|| self.flush(emission.at))
    }

    fn flush(&mut self, at: i64) -> Emission {
        self.count = 0;
        Emission::of_rows(at, std::mem::take(&mut self.waiting))
    }
}

const BATCH: [&str; 2] = ["batchSize", "lingerInterval"];
const CACHE: [&str; 11] = [
    "enableCache",
    "memoryCacheThreshold",
    "maxDiskCache",
    "bufferPageSize",
    "resendInterval",
    "cleanCacheAtStop",
    "resendAlterQueue",
    "resendPriority",
    "resendIndicatorField",
    "resendDestination",
    "properties",
];

/// A message is a list of rows; a single value is a list of one.
fn said(message: SinkMessage) -> Said {
    let value = match message {
        SinkMessage::Value(value) => value,
        SinkMessage::Payload(payload) => match parse(&payload, Numbers::WholeAsInt) {
            Ok(value) => value,
            Err(_) => return Said::Text(String::from_utf8_lossy(&payload).into_owned()),
        },
    };
    match value {
        Value::Array(rows) => Said::Rows(rows.to_vec()),
        row => Said::Rows(vec![row]),
    }
}
