//! One test case: streams, a rule, timed inputs and what must come out (issue "rules as testable code").

use std::collections::BTreeMap;
use std::sync::Arc;

use edgeward_functions::json::Printer;
use edgeward_functions::{Map, Value};
use edgeward_sql::ast::Statement;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde_json::Value as Json;

use super::{Trial, from_json};
use crate::{Emission, EngineError, Message, Plan, RuleOptions, StreamDef};

/// A case as it is written. Unknown keys make it invalid.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name, unique in a run.
    #[serde(default)]
    pub name: String,
    /// Definitions by name, executed in the order written.
    #[serde(default)]
    pub streams: serde_json::Map<String, Json>,
    /// What happens when.
    #[serde(default)]
    pub input: Vec<Input>,
    /// The rule under test.
    pub rule: Option<Rule>,
    /// Where the clock starts, ms since 1970.
    #[serde(default)]
    pub start: i64,
    /// Where the sources end, ms from the start; the last input when absent.
    pub until: Option<i64>,
    /// Zone of the process.
    pub timezone: Option<String>,
    /// Messages in order.
    pub expect: Option<Vec<Json>>,
    /// The rows of a message are compared as a bag.
    #[serde(default)]
    pub unordered: bool,
    /// The definition or rule must be refused with a text containing this.
    pub expect_error: Option<String>,
}

/// One input.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Ms from the start; that of the input before when absent.
    pub at: Option<i64>,
    /// Where it goes.
    pub stream: Option<String>,
    /// Decoded values.
    pub row: Option<Json>,
    /// Text to be decoded by the stream's format.
    pub payload: Option<String>,
    /// Metadata.
    pub meta: Option<Json>,
    /// `checkpoint` or `restart`.
    #[serde(rename = "do")]
    pub action: Option<String>,
}

/// The rule of a case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The statement.
    pub sql: String,
    /// As in the rule's JSON.
    #[serde(default)]
    pub options: Json,
}

/// Why a case could not be run to its end.
#[derive(Debug, Clone, thiserror::Error, PartialEq)]
pub enum CaseError {
    /// The case itself makes no sense.
    #[error("invalid case: {0}")]
    Invalid(String),
    /// A definition or the rule was refused, with eKuiper's text.
    #[error("{0}")]
    Refused(String),
}

/// What came out.
#[derive(Debug, Default, PartialEq)]
pub struct Outcome {
    /// Each message: ms from the start and the JSON text of its rows.
    pub messages: Vec<(i64, Vec<String>)>,
    /// Why `expect` or `expect_error` is not met; none when it is.
    pub mismatch: Option<String>,
}

impl Case {
    /// Runs the case.
    ///
    /// # Errors
    /// The case is invalid, or refused though no refusal is expected.
    pub fn run(&self) -> Result<Outcome, CaseError> {
        let ran = self.messages();
        let Some(expected) = &self.expect_error else {
            let messages = ran?;
            let mismatch = self.expect.as_ref().map(|expect| self.compare(expect, &messages)).transpose()?.flatten();
            return Ok(Outcome { messages, mismatch });
        };
        match ran {
            Err(CaseError::Refused(text)) if text.contains(expected) => Ok(Outcome::default()),
            Err(CaseError::Refused(text)) => Ok(Outcome {
                mismatch: Some(format!("refused with {text:?}, expected {expected:?}")),
                ..Outcome::default()
            }),
            Err(invalid) => Err(invalid),
            Ok(messages) => Ok(Outcome { messages, mismatch: Some(format!("not refused, expected {expected:?}")) }),
        }
    }

    fn messages(&self) -> Result<Vec<(i64, Vec<String>)>, CaseError> {
        let refused = |error: EngineError| CaseError::Refused(error.to_string());
        let zone = self
            .timezone
            .as_ref()
            .map_or(Ok(TimeZone::UTC), |name| TimeZone::get(name))
            .map_err(|error| CaseError::Invalid(error.to_string()))?;
        let definitions = self.definitions(&zone)?;
        let Some(rule) = &self.rule else { return Ok(Vec::new()) };
        let mut options = RuleOptions::from_json(&rule.options).map_err(refused)?;
        options.timezone = zone.clone();
        let select = edgeward_sql::parse_select(&rule.sql).map_err(|error| CaseError::Refused(error.to_string()))?;
        let plan = Plan::new(&select, &options, &|name| definitions.get(name).cloned()).map_err(refused)?;
        let mut trial = Trial::start("case", plan, self.start).map_err(refused)?;
        let last = self.feed(&mut trial, &definitions)?;
        trial.advance(self.start + self.until.unwrap_or(last).max(last));
        let printer = Printer::new(zone);
        Ok(trial.take().iter().map(|emission| (emission.at - self.start, rows(emission, &printer))).collect())
    }

    fn definitions(&self, zone: &TimeZone) -> Result<BTreeMap<String, StreamDef>, CaseError> {
        let mut definitions = BTreeMap::new();
        for (name, sql) in &self.streams {
            let sql = sql.as_str().ok_or_else(|| CaseError::Invalid(format!("the statement of {name} is no text")))?;
            let statement = edgeward_sql::parse(sql).map_err(|error| CaseError::Refused(error.to_string()))?;
            let Statement::Create(create) = statement else {
                return Err(CaseError::Invalid(format!("{name} is no CREATE statement")));
            };
            if create.name != *name {
                return Err(CaseError::Invalid(format!("the statement of {name} defines {}", create.name)));
            }
            let mut definition = StreamDef::new(&create);
            definition.timezone = zone.clone();
            definitions.insert(name.clone(), definition);
        }
        Ok(definitions)
    }

    /// Delivers the inputs; answers the time of the last.
    fn feed(&self, trial: &mut Trial, definitions: &BTreeMap<String, StreamDef>) -> Result<i64, CaseError> {
        let invalid = |text: String| CaseError::Invalid(text);
        let mut at = 0;
        for input in &self.input {
            let next = input.at.unwrap_or(at);
            if next < at {
                return Err(invalid(format!("input at {next} comes after one at {at}")));
            }
            at = next;
            match input.action.as_deref() {
                None => {}
                Some("checkpoint") => {
                    trial.advance(self.start + at);
                    trial.checkpoint();
                    continue;
                }
                Some("restart") => {
                    trial.restart().map_err(|error| CaseError::Refused(error.to_string()))?;
                    continue;
                }
                Some(other) => return Err(invalid(format!("unknown action {other}"))),
            }
            let stream = input.stream.as_ref().ok_or_else(|| invalid("an input needs a stream".into()))?;
            if !definitions.contains_key(stream) {
                return Err(invalid(format!("stream {stream} is not defined")));
            }
            trial.push(stream, input.message()?, self.start + at);
        }
        Ok(at)
    }

    /// What differs from the expectation, if anything does.
    fn compare(&self, expect: &[Json], messages: &[(i64, Vec<String>)]) -> Result<Option<String>, CaseError> {
        let mut wanted: Vec<Vec<String>> = expect.iter().map(expected_rows).collect::<Result<_, _>>()?;
        let mut got: Vec<Vec<String>> = messages.iter().map(|(_, rows)| rows.clone()).collect();
        // Empty messages after the last expected one say nothing.
        while got.len() > wanted.len() && got.last().is_some_and(Vec::is_empty) {
            got.pop();
        }
        if self.unordered {
            wanted.iter_mut().chain(&mut got).for_each(|rows| rows.sort());
        }
        Ok((wanted != got).then(|| format!("expected {wanted:#?}\ngot {got:#?}")))
    }
}

impl Input {
    fn message(&self) -> Result<Message, CaseError> {
        let value = |json: &Json| from_json(json).map_err(|error| CaseError::Invalid(error.to_string()));
        let map = |json: &Json| match value(json)? {
            Value::Map(map) => Ok(map),
            _ => Err(CaseError::Invalid("a row is a mapping".into())),
        };
        let mut message = match (&self.row, &self.payload) {
            (Some(row), None) => Message::row(map(row)?),
            (None, Some(payload)) => Message::payload(payload.clone().into_bytes()),
            _ => return Err(CaseError::Invalid("an input needs a row or a payload".into())),
        };
        message.meta = self.meta.as_ref().map(map).transpose()?;
        Ok(message)
    }
}

/// The rows of a message as JSON texts.
fn rows(emission: &Emission, printer: &Printer) -> Vec<String> {
    let print = |row: &crate::OutRow| {
        let mut out = Vec::new();
        match row.write_json(printer, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap_or_default(),
            Err(error) => format!("error: {error}"),
        }
    };
    emission.rows.iter().map(print).collect()
}

/// Expected rows, printed the same way, so that 1 and 1.0 are equal.
fn expected_rows(message: &Json) -> Result<Vec<String>, CaseError> {
    let value = from_json(message).map_err(|error| CaseError::Invalid(error.to_string()))?;
    let items = value.as_array().ok_or_else(|| CaseError::Invalid("an expected message is a list of rows".into()))?;
    let print = |item: &Value| match item {
        Value::Map(map) => {
            let map: Arc<Map> = map.clone();
            Printer::default().text(&Value::Map(map)).map_err(|error| CaseError::Invalid(error.to_string()))
        }
        _ => Err(CaseError::Invalid("an expected row is a mapping".into())),
    };
    items.iter().map(print).collect()
}
