//! Runs a case: definitions, plan, inputs in their order on the virtual clock, and what came out.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use edgeward_functions::json::{Numbers, Printer};
use edgeward_functions::{Map, Value};
use edgeward_sql::ast::{CreateStream, Statement};
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::case::{Action, Case, Input, Rule, Show};
use super::report::{Report, Stage, Verdict};
use super::sink::{Said, Shape};
use super::statements::{Definitions, check};
use super::values::write;
use super::{Trial, from_json};
use crate::{Decode, Emission, EngineError, Message, Plan, RuleOptions, StreamDef};

/// What cases cannot bring along: formats other than JSON. A decoder of none is JSON's.
pub type Decoders<'a> = &'a dyn Fn(&CreateStream) -> std::result::Result<Option<Box<dyn Decode>>, String>;

/// Why a case did not run to its end.
enum Stop {
    Invalid(String),
    Refused(Stage, String),
}

type Result<T> = std::result::Result<T, Stop>;

fn refused(stage: Stage) -> impl Fn(EngineError) -> Stop {
    move |error| Stop::Refused(stage, error.to_string())
}

/// What a message prints as: ms from the start and its rows, or text that is no JSON.
pub(super) struct Printed {
    pub(super) at: i64,
    pub(super) body: std::result::Result<Vec<String>, String>,
}

impl Case {
    /// Runs the case. Every outcome is a report.
    pub fn run(&self, decoders: Decoders<'_>) -> Report {
        let mut report = Report::new(&self.name);
        match self.execute(decoders, &mut report) {
            Ok(()) => self.judge(&mut report),
            Err(Stop::Invalid(text)) => report.verdict = Verdict::Invalid(text),
            Err(Stop::Refused(stage, text)) => {
                report.ok = self.expect_error.as_ref().is_some_and(|expected| text.contains(expected));
                if let Some(expected) = self.expect_error.as_ref().filter(|_| !report.ok) {
                    report.mismatch = Some(format!("refused with {text:?}, expected {expected:?}"));
                }
                report.verdict = Verdict::Refused(stage, text);
            }
        }
        report
    }

    fn judge(&self, report: &mut Report) {
        report.ok = report.mismatch.is_none();
        let failed = report.results.iter().flatten().any(
            |answer| matches!((answer, &self.expect_error), (Err(text), Some(expected)) if text.contains(expected)),
        );
        if let Some(expected) = self.expect_error.as_ref().filter(|_| !failed) {
            report.ok = false;
            report.mismatch = Some(format!("not refused, expected {expected:?}"));
        }
    }

    fn execute(&self, decoders: Decoders<'_>, report: &mut Report) -> Result<()> {
        if let Some(sql) = &self.parse {
            edgeward_sql::parse_all(sql).map_err(|error| Stop::Refused(Stage::Parse, error.to_string()))?;
            return Ok(());
        }
        if let Some(steps) = &self.statements {
            let mut store = Definitions::default();
            report.results = Some(steps.iter().map(|step| store.execute(step)).collect());
            return Ok(());
        }
        let zone = match &self.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| Stop::Invalid(error.to_string()))?,
        };
        let definitions = self.definitions(&zone)?;
        self.inputs_are_defined(&definitions)?;
        if let Some(rule) = &self.rule {
            let errors = self.run_rule(rule, &definitions, &zone, decoders, report)?;
            report.errors = errors;
        }
        Ok(())
    }

    fn inputs_are_defined(&self, definitions: &BTreeMap<String, Definition>) -> Result<()> {
        let names = self.input.iter().filter_map(|input| input.stream.as_ref()).chain(self.tables.keys());
        for name in names {
            if !definitions.contains_key(name) {
                return Err(Stop::Invalid(format!("{name} is not defined in streams")));
            }
        }
        Ok(())
    }

    fn run_rule(
        &self,
        rule: &Rule,
        definitions: &BTreeMap<String, Definition>,
        zone: &TimeZone,
        decoders: Decoders<'_>,
        report: &mut Report,
    ) -> Result<Vec<(i64, String)>> {
        let sql = rule.statement()?;
        let props = rule.sink_props();
        let shape = Shape::read(props).map_err(Stop::Invalid)?;
        let shape = shape.with_template(props).map_err(|text| Stop::Refused(Stage::Plan, text))?;
        let mut options = RuleOptions::from_json(&rule.options).map_err(refused(Stage::Plan))?;
        options.timezone = zone.clone();
        let sends_errors = std::mem::replace(&mut options.send_error, true);
        let select = edgeward_sql::parse_select(sql).map_err(|error| Stop::Refused(Stage::Parse, error.to_string()))?;
        let engine = |name: &str| definitions.get(name).map(|definition| definition.engine.clone());
        let plan = Plan::new(&select, &options, &engine).map_err(refused(Stage::Plan))?;
        let mut decoder = |name: &str| match definitions.get(name) {
            Some(definition) => decoders(&definition.create).map_err(EngineError::Definition),
            None => Ok(None),
        };
        let id = rule.id.as_deref().unwrap_or("test");
        let mut trial = Trial::start_with(id, plan, self.start, &mut decoder).map_err(refused(Stage::Plan))?;
        let last = self.feed(&mut trial)?;
        trial.advance(self.start + self.until.unwrap_or(last).max(last));
        let mut teller = Teller {
            start: self.start,
            sends_errors,
            types: self.types(),
            printer: Printer::new(zone.clone()),
            errors: Vec::new(),
        };
        let messages: Vec<Printed> = trial.take().iter().flat_map(|emission| teller.tell(emission, &shape)).collect();
        if let Some(expect) = &self.expect {
            report.mismatch = self.compare(expect, &messages, &teller)?;
        }
        report.messages = Some(messages);
        for show in &self.show {
            match show {
                Show::Status => report.shown.push(("status", trial.status_json())),
                Show::Topo => report.shown.push(("topo", trial.topology_json())),
                Show::Explain => report.shown.push(("explain", Json::from(crate::explain(&select)).to_string())),
                Show::Types => {}
            }
        }
        Ok(teller.errors)
    }

    fn definitions(&self, zone: &TimeZone) -> Result<BTreeMap<String, Definition>> {
        let mut definitions = BTreeMap::new();
        for (name, sql) in &self.streams {
            let sql = sql.as_str().ok_or_else(|| Stop::Invalid(format!("the statement of {name} is no text")))?;
            let refused = |text: String| Stop::Refused(Stage::Ddl, text);
            let statement = edgeward_sql::parse(sql).map_err(|error| refused(error.to_string()))?;
            let Statement::Create(create) = statement else {
                return Err(Stop::Invalid(format!("{name} is no CREATE statement")));
            };
            if create.name != *name {
                return Err(Stop::Invalid(format!("the statement of {name} defines {}", create.name)));
            }
            check(&create).map_err(refused)?;
            let mut engine = StreamDef::new(&create);
            engine.timezone = zone.clone();
            if self.whole_numbers(&create) {
                engine.numbers = Numbers::WholeAsInt;
            }
            definitions.insert(name.clone(), Definition { create: *create, engine });
        }
        Ok(definitions)
    }

    /// `useInt64ForWholeNumber` of a stream's configuration: by EXTRA, by type and section, or for all.
    fn whole_numbers(&self, create: &CreateStream) -> bool {
        let key = "useInt64ForWholeNumber";
        let options = &create.options;
        let kind = options.source_type.as_deref().unwrap_or("mqtt");
        let section = options.conf_key.as_deref().unwrap_or("default");
        let extra = options.extra.as_ref().and_then(|extra| serde_json::from_str::<Json>(extra).ok());
        let of = |section: Option<&Json>| section.and_then(|section| section.get(key)).and_then(Json::as_bool);
        let conf = &self.conf;
        let of_kind = conf.get(kind);
        of(extra.as_ref())
            .or_else(|| of(of_kind.and_then(|of_kind| of_kind.get(section))))
            .or_else(|| of(of_kind))
            .or_else(|| of(conf.get(section)))
            .or_else(|| of(conf.get(&create.name)))
            .or_else(|| conf.get(key).and_then(Json::as_bool))
            .unwrap_or(false)
    }

    /// Delivers tables and inputs; answers the time of the last.
    fn feed(&self, trial: &mut Trial) -> Result<i64> {
        for (name, rows) in &self.tables {
            let rows = rows.as_array().ok_or_else(|| Stop::Invalid(format!("the contents of {name} are no list")))?;
            for row in rows {
                trial.push(name, Message::row(map(row)?), self.start);
            }
        }
        let mut at = 0;
        for input in &self.input {
            at = input.at.unwrap_or(at);
            match (input.action, &input.stream) {
                (Some(Action::Checkpoint), _) => trial.checkpoint_at(self.start + at),
                (Some(Action::Restart), _) => {
                    trial.restart_at(self.start + at).map_err(refused(Stage::Plan))?;
                }
                (None, Some(stream)) => trial.push(stream, input.message()?, self.start + at),
                (None, None) => {}
            }
        }
        Ok(at)
    }

    /// What differs from the expectation, if anything does.
    fn compare(&self, expect: &[Json], messages: &[Printed], teller: &Teller) -> Result<Option<String>> {
        let mut wanted: Vec<Printed> = expect.iter().map(|message| teller.expected(message)).collect::<Result<_>>()?;
        let mut got: Vec<&Printed> = messages.iter().collect();
        // Empty messages after the last expected one say nothing.
        while got.len() > wanted.len() && got.last().is_some_and(|last| last.body.as_ref().is_ok_and(Vec::is_empty)) {
            got.pop();
        }
        let sorted = |body: &std::result::Result<Vec<String>, String>| {
            let mut body = body.clone();
            if let (true, Ok(rows)) = (self.unordered, &mut body) {
                rows.sort();
            }
            body
        };
        let same = |wanted: &Printed, got: &Printed| {
            (wanted.at == NO_TIME || wanted.at == got.at) && sorted(&wanted.body) == sorted(&got.body)
        };
        if wanted.len() == got.len() && wanted.iter().zip(&got).all(|(wanted, got)| same(wanted, got)) {
            return Ok(None);
        }
        let lines = |side: &str, list: &mut dyn Iterator<Item = &Printed>| {
            list.map(|message| format!("{side} {}\n", message.line())).collect::<String>()
        };
        Ok(Some(lines("-", &mut wanted.iter_mut().map(|message| &*message)) + &lines("+", &mut got.into_iter())))
    }
}

/// A message whose time is not compared.
const NO_TIME: i64 = i64::MIN;

impl Printed {
    /// For the difference that people read.
    fn line(&self) -> String {
        let body = match &self.body {
            Ok(rows) => format!("[{}]", rows.join(",")),
            Err(text) => format!("{text:?}"),
        };
        if self.at == NO_TIME { body } else { format!("{body} at {}", self.at) }
    }
}

struct Definition {
    create: CreateStream,
    engine: StreamDef,
}

/// Prints messages as the case asks for.
struct Teller {
    start: i64,
    sends_errors: bool,
    types: bool,
    printer: Printer,
    errors: Vec<(i64, String)>,
}

impl Teller {
    fn tell(&mut self, emission: &Emission, shape: &Shape) -> Vec<Printed> {
        let at = emission.at - self.start;
        if emission.is_error && !self.sends_errors {
            let text = emission.rows.first().and_then(|row| row.get("error").as_str()).unwrap_or_default();
            self.errors.push((at, text.to_string()));
            return Vec::new();
        }
        let mut printed = Vec::new();
        for said in shape.messages(emission) {
            let body = match said {
                Err(error) => {
                    self.errors.push((at, error));
                    continue;
                }
                Ok(Said::Text(text)) => Err(text),
                Ok(Said::Rows(rows)) => match rows.iter().map(|row| write(row, &self.printer, self.types)).collect() {
                    Ok(rows) => Ok(rows),
                    // A message that cannot be encoded never leaves the sink.
                    Err(error) => {
                        self.errors.push((at, error));
                        continue;
                    }
                },
            };
            printed.push(Printed { at, body });
        }
        printed
    }

    /// An expected message: its rows, or `{at, rows}` or `{at, text}`.
    fn expected(&self, message: &Json) -> Result<Printed> {
        let invalid = || Stop::Invalid(format!("an expected message is a list of rows, not {message}"));
        let (at, rows) = match message {
            Json::Array(rows) => (NO_TIME, rows),
            Json::Object(object) => {
                if object.keys().any(|key| !matches!(key.as_str(), "at" | "rows" | "text")) {
                    return Err(invalid());
                }
                let at = match object.get("at") {
                    None => NO_TIME,
                    Some(at) => at.as_i64().ok_or_else(invalid)?,
                };
                match (object.get("rows"), object.get("text")) {
                    (Some(Json::Array(rows)), None) => (at, rows),
                    (None, Some(Json::String(text))) => return Ok(Printed { at, body: Err(text.clone()) }),
                    _ => return Err(invalid()),
                }
            }
            _ => return Err(invalid()),
        };
        let print = |row: &Json| {
            let row = from_json(row).map_err(|error| Stop::Invalid(error.to_string()))?;
            let text = write(&row, &self.printer, self.types).or_else(|_| write(&row, &self.printer, true));
            text.map_err(Stop::Invalid)
        };
        Ok(Printed { at, body: Ok(rows.iter().map(print).collect::<Result<_>>()?) })
    }
}

impl Rule {
    fn statement(&self) -> Result<&str> {
        match (&self.sql, &self.graph) {
            (Some(sql), None) => Ok(sql),
            (None, Some(_)) => Err(Stop::Invalid("rule.graph cannot be run yet; write the rule as sql".into())),
            _ => Err(Stop::Invalid("a rule needs sql or graph".into())),
        }
    }

    /// The common sink properties: of the first action, or of the memory sink.
    fn sink_props(&self) -> &serde_json::Map<String, Json> {
        let of_action = self.actions.first().and_then(|action| action.values().next()).and_then(Json::as_object);
        of_action.unwrap_or(&self.sink)
    }
}

impl Input {
    fn message(&self) -> Result<Message> {
        let mut message = match (&self.row, &self.payload, &self.payload_base64) {
            (Some(row), ..) => Message::row(map(row)?),
            (_, Some(payload), _) => Message::payload(payload.clone().into_bytes()),
            (_, _, Some(encoded)) => {
                let decoded = base64::engine::general_purpose::STANDARD.decode(encoded);
                Message::payload(decoded.map_err(|error| Stop::Invalid(format!("payload_base64: {error}")))?)
            }
            _ => return Err(Stop::Invalid("an input needs a row or a payload".into())),
        };
        message.meta = self.meta.as_ref().map(map).transpose()?;
        Ok(message)
    }
}

fn map(json: &Json) -> Result<Arc<Map>> {
    match from_json(json).map_err(|error| Stop::Invalid(error.to_string()))? {
        Value::Map(map) => Ok(map),
        _ => Err(Stop::Invalid(format!("a row or metadata is a mapping, not {json}"))),
    }
}
