//! A rule as JSON (eKuiper 2.4's rule document).

use edgeward_connect::{Props, parse_duration_ms};
use edgeward_engine::{Graph, RuleOptions};
use edgeward_sql::ast::{CreateStream, Statement};
use jiff::tz::TimeZone;
use serde_json::{Map, Value};

use crate::error::{Code, Result, RulesError};
use crate::go_json::{Reader, mismatch, syntax_error};
use crate::restart::Restart;
use crate::schedule::Schedule;

/// A rule that was read.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) id: String,
    pub(crate) sql: String,
    /// Sink type and properties.
    pub(crate) actions: Vec<(String, Props)>,
    /// Streams that a graph defines itself.
    pub(crate) sources: Vec<CreateStream>,
    pub(crate) options: RuleOptions,
    /// When it runs; none for always.
    pub(crate) schedule: Option<Schedule>,
    /// When a run that failed is followed by another; none for never.
    pub(crate) restart: Option<Restart>,
    /// Start when created and at boot.
    pub(crate) triggered: bool,
    pub(crate) version: String,
    /// Not kept over a restart.
    pub(crate) temp: bool,
    pub(crate) tags: Vec<String>,
    /// The document as it is kept and shown.
    pub(crate) document: Map<String, Value>,
}

/// What lists show of a rule.
#[derive(Debug, Default)]
pub(crate) struct Brief {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) tags: Vec<String>,
}

impl Brief {
    /// Reads it from a document that is kept, which is one that could be read.
    pub(crate) fn read(document: &str) -> Brief {
        let document: Map<String, Value> = serde_json::from_str(document).unwrap_or_default();
        let text = |key| text(&document, key);
        let (id, name, version) = (text("id"), text("name"), text("version"));
        Brief { id, name, version, tags: Props::new(document).list("tags").unwrap_or_default() }
    }
}

/// What counts where a rule says nothing.
#[derive(Debug)]
pub(crate) struct Defaults {
    pub(crate) zone: TimeZone,
    /// The `rule:` section of kuiper.yaml.
    pub(crate) options: Map<String, Value>,
}

impl Definition {
    /// Reads a document; `id` is that of the path, which one in the document must not contradict.
    pub(crate) fn parse(text: &str, id: Option<&str>, defaults: &Defaults) -> Result<Definition> {
        let unreadable = |reason: String| refuse(format!("Parse rule {text} error : {reason}."));
        let document = match serde_json::from_str(text) {
            Ok(Value::Object(document)) => document,
            Ok(other) => return Err(unreadable(mismatch(&other, "", "def.Rule"))),
            Err(error) => {
                let reason = syntax_error(text, Reader::Unmarshal);
                return Err(unreadable(reason.unwrap_or_else(|| error.to_string())));
            }
        };
        if let Some(reason) = mistyped(&document) {
            return Err(unreadable(reason));
        }
        Definition::new(document, id, defaults)
    }

    pub(crate) fn new(mut document: Map<String, Value>, id: Option<&str>, defaults: &Defaults) -> Result<Definition> {
        let own = text(&document, "id");
        if own.is_empty() && id.is_none() {
            return Err(refuse("Missing rule id.".into()));
        }
        if let Some(id) = id {
            if !own.is_empty() && own != id {
                return Err(refuse("RuleId is not consistent with rule id.".into()));
            }
            document.insert("id".into(), id.into());
        }
        let id = text(&document, "id");
        check_name("rule", &id)?;
        let sql = text(&document, "sql");
        let (sql, actions, sources) = match document.get("graph").filter(|graph| !graph.is_null()) {
            Some(_) if !sql.is_empty() => return Err(refuse(format!("Rule {id} has both sql and graph."))),
            Some(graph) => drawn(graph)?,
            None if sql.is_empty() => return Err(refuse(format!("Rule {id} has neither sql nor graph."))),
            None => (sql, actions(document.get("actions"))?, Vec::new()),
        };
        let (zone, fields) = (&defaults.zone, Props::new(document.clone()));
        let invalid = |reason: String| refuse(format!("Rule {id} has invalid options: {reason}."));
        let options = rule_props(document.get("options"), defaults)?;
        let duration = duration(&options, "duration", 0)?;
        Ok(Definition {
            schedule: Schedule::read(&options, duration, zone).map_err(invalid)?,
            restart: Restart::read(options.get("restartStrategy")).map_err(invalid)?,
            sql,
            actions,
            sources,
            options: rule_options(&options, zone).map_err(|error| invalid(error.to_string()))?,
            triggered: fields.flag_if_set("triggered").map_err(bad)?.unwrap_or(true),
            version: text(&document, "version"),
            temp: fields.flag("temp").map_err(bad)?,
            tags: fields.list("tags").map_err(bad)?,
            id,
            document,
        })
    }

    /// The document as it is kept.
    pub(crate) fn stored(&self) -> String {
        Value::Object(self.document.clone()).to_string()
    }

    /// The same rule, to be started at boot or not.
    pub(crate) fn triggered(mut self, triggered: bool) -> Definition {
        self.triggered = triggered;
        self.document.insert("triggered".into(), triggered.into());
        self
    }

    /// The same rule with other tags.
    pub(crate) fn tagged(mut self, tags: Vec<String>) -> Definition {
        self.document.insert("tags".into(), tags.clone().into());
        self.tags = tags;
        self
    }
}

/// Names of streams and rules: `^[a-zA-Z0-9_\-]+$`.
pub(crate) fn check_name(what: &str, name: &str) -> Result<()> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.is_empty() || name.len() > 255 || !name.bytes().all(good) {
        return Err(refuse(format!("{what} name {name:?} is invalid; use letters, digits, _ and -, at most 255")));
    }
    Ok(())
}

/// The members of a rule and their types in Go.
const MEMBERS: [(&str, &str); 9] = [
    ("id", "string"),
    ("name", "string"),
    ("sql", "string"),
    ("version", "string"),
    ("triggered", "bool"),
    ("temp", "bool"),
    ("tags", "[]string"),
    ("actions", "[]map[string]interface {}"),
    ("options", "def.RuleOption"),
];

/// What Go says about the first member of another type than the rule's.
fn mistyped(document: &Map<String, Value>) -> Option<String> {
    MEMBERS.iter().find_map(|(key, wanted)| {
        let value = document.get(*key).filter(|value| !value.is_null())?;
        let field = format!("Rule.{key}");
        let items = |item: &str, is: fn(&Value) -> bool| {
            let wrong = value.as_array()?.iter().find(|value| !value.is_null() && !is(value))?;
            Some(mismatch(wrong, &field, item))
        };
        let fits = match *wanted {
            "string" => value.is_string(),
            "bool" => value.is_boolean(),
            "def.RuleOption" => value.is_object(),
            _ => value.is_array(),
        };
        match *wanted {
            wanted if !fits => Some(mismatch(value, &field, wanted)),
            "[]string" => items("string", Value::is_string),
            "[]map[string]interface {}" => items("map[string]interface {}", Value::is_object),
            _ => None,
        }
    })
}

/// A text of a document whose types were checked.
fn text(document: &Map<String, Value>, key: &str) -> String {
    document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn actions(value: Option<&Value>) -> Result<Vec<(String, Props)>> {
    let actions = match value {
        None | Some(Value::Null) => return Ok(vec![("logToMemory".into(), Props::default())]),
        Some(Value::Array(actions)) => actions,
        Some(_) => return Err(refuse("actions of a rule must be an array".into())),
    };
    let mut read = Vec::new();
    for action in actions {
        let Value::Object(action) = action else {
            return Err(refuse("an action must be an object {sinkType: {…}}".into()));
        };
        for (kind, props) in action {
            let props = match props {
                Value::Null => Map::new(),
                Value::Object(props) => props.clone(),
                _ => {
                    return Err(refuse(format!(
                        "expect map[string]interface{{}} type for the action properties, but found {props}"
                    )));
                }
            };
            read.push((kind.clone(), Props::new(props)));
        }
    }
    if read.is_empty() {
        read.push(("logToMemory".into(), Props::default()));
    }
    Ok(read)
}

/// The statement, actions and own streams of a graph.
type Drawn = (String, Vec<(String, Props)>, Vec<CreateStream>);

fn drawn(graph: &Value) -> Result<Drawn> {
    let Graph { branches, sources } = Graph::read(graph).map_err(|error| refuse(error.to_string()))?;
    let [branch] = branches.as_slice() else {
        let text =
            "a graph whose sinks are fed by different operators is not supported by this version; make a rule for each";
        return Err(refuse(text.into()));
    };
    let mut actions = Vec::new();
    for (kind, props) in &branch.sinks {
        let Value::Object(props) = props else { return Err(refuse(format!("sink {kind} has no props"))) };
        actions.push((kind.clone(), Props::new(props.clone())));
    }
    let mut streams = Vec::new();
    for (_, sql) in sources {
        match edgeward_sql::parse(&sql)? {
            Statement::Create(create) => streams.push(*create),
            _ => return Err(refuse("a source of the graph is not understood".into())),
        }
    }
    Ok((branch.select.to_string(), actions, streams))
}

fn rule_props(options: Option<&Value>, defaults: &Defaults) -> Result<Props> {
    let under = Props::new(defaults.options.clone());
    match options {
        None | Some(Value::Null) => Ok(under),
        Some(Value::Object(options)) => Ok(under.overlaid(options.clone())),
        Some(_) => Err(refuse("options of a rule must be an object".into())),
    }
}

/// Milliseconds of an option: Go's text or a number.
fn duration(options: &Props, key: &'static str, default: i64) -> Result<i64> {
    let ms = match options.get(key) {
        Some(Value::String(text)) if text.is_empty() => None,
        Some(Value::String(text)) => {
            Some(parse_duration_ms(text).ok_or_else(|| refuse(format!("invalid duration {text:?} of {key}")))?)
        }
        _ => options.number(key).map_err(bad)?,
    };
    Ok(ms.map_or(default, |ms| i64::try_from(ms).unwrap_or(i64::MAX)))
}

fn rule_options(options: &Props, zone: &TimeZone) -> Result<RuleOptions> {
    let read = RuleOptions::from_json(&Value::Object(options.all().clone()));
    let read = read.map_err(|error| refuse(error.to_string()))?;
    Ok(RuleOptions {
        // A message that must not be lost is not dropped from a queue either.
        disable_buffer_full_discard: read.disable_buffer_full_discard || read.qos > 0,
        timezone: zone.clone(),
        ..read
    })
}

fn refuse(message: String) -> RulesError {
    RulesError::refused(Code::Rule, message)
}

fn bad(error: edgeward_connect::ConnectError) -> RulesError {
    refuse(error.to_string())
}
