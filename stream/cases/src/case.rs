//! One test case as it is written: streams, a rule, timed inputs and what must come out (`edgeward rule test`).

use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::from_json;

/// A case. Unknown keys make it invalid.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Name, unique in a run.
    #[serde(default)]
    pub name: String,
    /// Definitions by name, executed in the order written.
    #[serde(default)]
    pub streams: Map<String, Json>,
    /// Texts that SCHEMAID names, by file.
    #[serde(default)]
    pub schemas: Map<String, Json>,
    /// JavaScript functions by name.
    #[serde(default)]
    pub scripts: Map<String, Json>,
    /// Configuration of sources: properties by type and section, or by stream.
    #[serde(default)]
    pub conf: Map<String, Json>,
    /// Contents of tables before the first input.
    #[serde(default)]
    pub tables: Map<String, Json>,
    /// What happens when.
    #[serde(default)]
    pub input: Vec<Input>,
    /// The rule under test.
    pub rule: Option<Rule>,
    /// Statements that are parsed and nothing else.
    pub parse: Option<String>,
    /// Statements executed in order on an empty store.
    pub statements: Option<Vec<Step>>,
    /// Where the clock starts, ms since 1970.
    #[serde(default)]
    pub start: i64,
    /// Where the sources end, ms from the start; the last input when absent.
    pub until: Option<i64>,
    /// Zone of the process.
    pub timezone: Option<String>,
    /// Messages in order; with `statements` their answers.
    pub expect: Option<Vec<Json>>,
    /// The rows of a message are compared as a bag.
    #[serde(default)]
    pub unordered: bool,
    /// The definition or rule must be refused with a text containing this.
    pub expect_error: Option<String>,
    /// What else to show at the end.
    #[serde(default)]
    pub show: Vec<Show>,
}

/// One input.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// Ms from the start; that of the input before when absent.
    pub at: Option<i64>,
    /// The stream or table it goes to.
    pub stream: Option<String>,
    /// Decoded values.
    pub row: Option<Json>,
    /// Text to be decoded by the stream's format.
    pub payload: Option<String>,
    /// The same, in base64.
    pub payload_base64: Option<String>,
    /// Metadata.
    pub meta: Option<Json>,
    /// Something done to the rule instead.
    #[serde(rename = "do")]
    pub action: Option<Action>,
}

/// What can be done to a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Keep the state now.
    Checkpoint,
    /// End as kill -9 would and start from the last checkpoint.
    Restart,
}

/// The rule of a case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its id.
    #[serde(default)]
    pub id: Option<String>,
    /// For people; kept and not used, as `triggered`, `version` and `tags` are.
    #[serde(default)]
    pub name: Option<String>,
    /// See `name`.
    #[serde(default)]
    pub triggered: Option<bool>,
    /// See `name`.
    #[serde(default)]
    pub version: Option<String>,
    /// See `name`.
    #[serde(default)]
    pub tags: Vec<String>,
    /// It may read temporary streams.
    #[serde(default)]
    pub temp: bool,
    /// The statement.
    pub sql: Option<String>,
    /// A graph instead of a statement.
    pub graph: Option<Json>,
    /// As in the rule's JSON.
    #[serde(default)]
    pub options: Json,
    /// As in the rule's JSON: validated, never opened.
    #[serde(default)]
    pub actions: Vec<Map<String, Json>>,
    /// Common sink properties of the memory sink.
    #[serde(default)]
    pub sink: Map<String, Json>,
}

/// One of `statements`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The statement.
    pub sql: String,
    /// As PUT rather than POST would.
    #[serde(default)]
    pub replace: bool,
}

/// What else a case shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Show {
    /// Flat metrics at the end.
    Status,
    /// Sources and edges.
    Topo,
    /// The plan.
    Explain,
    /// Types of values in the output.
    Types,
}

impl Case {
    /// Reads a case of a document.
    ///
    /// # Errors
    /// What is not understood.
    pub fn read(document: Json) -> Result<Case, String> {
        let case: Case = serde_json::from_value(document).map_err(|error| error.to_string())?;
        let ways = [case.rule.is_some(), case.parse.is_some(), case.statements.is_some()];
        if ways.iter().filter(|there| **there).count() > 1 {
            return Err("rule, parse and statements exclude each other".into());
        }
        if case.statements.is_some() && !case.streams.is_empty() {
            return Err("statements stand instead of streams".into());
        }
        case.values().try_for_each(|value| from_json(value).map(drop).map_err(|error| error.to_string()))?;
        let mut at = 0;
        for input in &case.input {
            let next = input.at.unwrap_or(at);
            if next < at {
                return Err(format!("input at {next} comes after one at {at}; at must not decrease"));
            }
            at = next;
            input.check()?;
        }
        Ok(case)
    }

    /// Everything that is written as a value.
    fn values(&self) -> impl Iterator<Item = &Json> {
        let of_inputs = self.input.iter().flat_map(|input| input.row.iter().chain(&input.meta));
        let of_expect = self
            .expect
            .iter()
            .filter(|_| self.statements.is_none())
            .flatten()
            .flat_map(|message| message.get("rows").or(Some(message)));
        self.tables.values().chain(of_inputs).chain(of_expect)
    }

    /// Whether floats are told from integers and bytes and times from text.
    pub(crate) fn types(&self) -> bool {
        self.show.contains(&Show::Types)
    }
}

impl Input {
    fn check(&self) -> Result<(), String> {
        let bodies = [self.row.is_some(), self.payload.is_some(), self.payload_base64.is_some()];
        let bodies = bodies.iter().filter(|there| **there).count();
        match (self.action, &self.stream) {
            (Some(_), None) if bodies == 0 && self.meta.is_none() => Ok(()),
            (Some(_), _) => Err("an input with do has nothing else but at".into()),
            (None, Some(_)) if bodies == 1 => Ok(()),
            (None, Some(_)) => Err("an input needs one of row, payload and payload_base64".into()),
            (None, None) => Err("an input needs a stream".into()),
        }
    }
}
