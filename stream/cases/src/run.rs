//! Runs a case: definitions, plan, inputs in their order on the virtual clock, and what came out.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use edgeward_engine::trial::Trial;
use edgeward_engine::{Branch, EngineError, Graph, Message, Plan, RuleOptions, StreamDef};
use edgeward_functions::json::Printer;
use edgeward_functions::{Map, Value};
use edgeward_sql::SqlError;
use edgeward_sql::ast::{Select, Statement};
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::actions;
use crate::case::{Action, Case, Input, Rule, Show};
use crate::compare::{Printed, Teller, compare_answers};
use crate::from_json;
use crate::report::{Report, Stage, Verdict};
use crate::scripts::{self, Known, Users};
use crate::sink::Shape;
use crate::sources::Sources;
use crate::statements::Definitions;

/// Why a case did not run to its end.
pub(crate) enum Stop {
    Invalid(String),
    Refused(Stage, String),
}

pub(crate) type Result<T> = std::result::Result<T, Stop>;

fn not_parsed(error: SqlError) -> Stop {
    Stop::Refused(Stage::Parse, error.to_string())
}

fn refused(stage: Stage) -> impl Fn(EngineError) -> Stop {
    move |error| Stop::Refused(stage, error.to_string())
}

impl Case {
    /// Runs the case. Every outcome is a report.
    pub fn run(&self) -> Report {
        let mut report = Report::new(&self.name);
        match self.execute(&mut report) {
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

    fn execute(&self, report: &mut Report) -> Result<()> {
        let zone = match &self.timezone {
            None => TimeZone::UTC,
            Some(name) => TimeZone::get(name).map_err(|error| Stop::Invalid(error.to_string()))?,
        };
        let mut teller = Teller::new(self, Printer::new(zone.clone()), true);
        let mut messages = Vec::new();
        let users = scripts::functions(&self.scripts)?;
        if let Some(sql) = &self.parse {
            edgeward_sql::parse_all_with(sql, &Known(users)).map_err(not_parsed)?;
        } else if let Some(steps) = &self.statements {
            let mut store = Definitions::default();
            report.results = Some(steps.iter().map(|step| store.execute(step)).collect());
        } else {
            let sources = Sources::define(self, &zone)?;
            if let Some(rule) = &self.rule {
                messages = self.run_rule(rule, &sources, users, &zone, &mut teller, report)?;
            }
        }
        if let (Some(expect), Some(answers)) = (&self.expect, &report.results) {
            report.mismatch = compare_answers(expect, answers);
        } else if let Some(expect) = &self.expect {
            report.mismatch = teller.compare(self, expect, &messages).map_err(Stop::Invalid)?;
        }
        report.messages = Some(messages);
        report.errors = teller.errors;
        Ok(())
    }

    fn run_rule(
        &self,
        rule: &Rule,
        sources: &Sources,
        users: Option<Users>,
        zone: &TimeZone,
        teller: &mut Teller,
        report: &mut Report,
    ) -> Result<Vec<Printed>> {
        let flows = rule.flows(&Known(users.clone()), zone)?;
        let plan_refused = |text| Stop::Refused(Stage::Plan, text);
        let hosts = sources.hosts();
        let mut options = RuleOptions::from_json(&rule.options).map_err(refused(Stage::Plan))?;
        options.timezone = zone.clone();
        *teller = Teller::new(self, Printer::new(zone.clone()), options.send_error);
        // What is not sent is listed.
        options.send_error = true;
        let mut messages = Vec::new();
        for (index, Flow { select, sink, inline }) in flows.iter().enumerate() {
            let defined = |name: &str| sources.engine(name).or_else(|| inline.get(name).cloned());
            let plan = Plan::with_functions(select, &options, &defined, users.clone()).map_err(refused(Stage::Plan))?;
            let id = rule.id.as_deref().unwrap_or("test");
            sources.last_as_long_as(id, rule.temp, plan.inputs()).map_err(plan_refused)?;
            // Sinks come last, as in eKuiper: a statement that cannot be planned is what is told.
            actions::check(rule, &hosts).map_err(plan_refused)?;
            let explained = plan.explain().map_err(refused(Stage::Plan))?;
            let mut shape = Shape::read(sink.clone(), &hosts, self.start).map_err(plan_refused)?;
            let mut trial = Trial::start_with(id, plan, self.start, &mut |name| Ok(sources.decoder(name)))
                .map_err(refused(Stage::Plan))?;
            let last = self.feed(&mut trial)?;
            let end = self.start.saturating_add(self.until.unwrap_or(last).max(last));
            trial.advance(end);
            messages.extend(teller.tell(trial.take(), &mut shape, end));
            if index == 0 {
                self.show(&trial, &explained, report);
            }
        }
        messages.sort_by_key(|message| message.at);
        Ok(messages)
    }

    fn show(&self, trial: &Trial, explained: &str, report: &mut Report) {
        for show in &self.show {
            match show {
                Show::Status => report.shown.push(("status", trial.status_json())),
                Show::Topo => report.shown.push(("topo", trial.topology_json())),
                Show::Explain => {
                    report.shown.push(("explain", Json::from(explained).to_string()));
                }
                Show::Types => {}
            }
        }
    }

    /// Delivers tables and inputs; answers the time of the last.
    fn feed(&self, trial: &mut Trial) -> Result<i64> {
        for (name, rows) in &self.tables {
            for row in rows.as_array().into_iter().flatten() {
                trial.fill(name, Message::row(map(row)?));
            }
        }
        let mut last = 0;
        for input in &self.input {
            last = input.at.unwrap_or(last);
            let at = self.start.saturating_add(last);
            match (input.action, &input.stream) {
                (Some(Action::Checkpoint), _) => trial.checkpoint_at(at),
                (Some(Action::Restart), _) => trial.restart_at(at).map_err(refused(Stage::Plan))?,
                (None, Some(stream)) => trial.push(stream, input.message()?, at),
                (None, None) => {}
            }
        }
        Ok(last)
    }
}

/// A statement, the properties of its sink, and sources that a graph defines itself.
struct Flow {
    select: Select,
    sink: serde_json::Map<String, Json>,
    inline: BTreeMap<String, StreamDef>,
}

impl Rule {
    /// The rule's statement, or those of its graph with the properties of their sinks.
    fn flows(&self, functions: &Known, zone: &TimeZone) -> Result<Vec<Flow>> {
        match (&self.sql, &self.graph) {
            (Some(sql), None) => {
                let select = edgeward_sql::parse_select_with(sql, functions)
                    .map_err(|error| Stop::Refused(Stage::Parse, format!("Parse SQL {sql} error: {error}.")))?;
                Ok(vec![Flow { select, sink: self.sink_props().clone(), inline: BTreeMap::new() }])
            }
            (None, Some(graph)) => {
                let graph = Graph::read(graph).map_err(refused(Stage::Plan))?;
                let mut inline = BTreeMap::new();
                for (name, sql) in &graph.sources {
                    if let Statement::Create(create) = edgeward_sql::parse(sql).map_err(not_parsed)? {
                        inline.insert(name.clone(), StreamDef { timezone: zone.clone(), ..StreamDef::new(&create) });
                    }
                }
                let flow = |Branch { select, sinks }: Branch| {
                    let of_sink = sinks.first().and_then(|(_, props)| props.as_object());
                    Flow { select, sink: of_sink.unwrap_or(&self.sink).clone(), inline: inline.clone() }
                };
                Ok(graph.branches.into_iter().map(flow).collect())
            }
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
