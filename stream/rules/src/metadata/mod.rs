//! Forms for the manager (`/metadata`): what a connector can be told, as data in `forms.txt`.
//!
//! Shapes are eKuiper's (`about`, `node`, `properties` with their labels and hints); the texts are ours. A connector without
//! a form gets one that holds what all of its kind have.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use edgeward_functions::{self as registry, Run};
use serde_json::{Map, Value, json};

/// What has forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Source,
    Sink,
    Connection,
    Operator,
}

impl Kind {
    fn read(text: &str) -> Option<Kind> {
        Some(match text {
            "source" => Kind::Source,
            "sink" => Kind::Sink,
            "connection" => Kind::Connection,
            "operator" => Kind::Operator,
            _ => return None,
        })
    }

    /// Folder of its files in `etc` and in packages.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Kind::Source => "sources",
            Kind::Sink => "sinks",
            Kind::Connection => "connections",
            Kind::Operator => "ops",
        }
    }

    /// `node.category` of a form.
    fn category(self) -> &'static str {
        match self {
            Kind::Source => "source",
            Kind::Sink => "sink",
            Kind::Connection => "connection",
            Kind::Operator => "operator",
        }
    }
}

/// One form.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    /// Who made it, and what it is.
    about: Value,
    /// Category, icon and label.
    node: Value,
    /// What its author needs beside it.
    libs: Value,
    /// The DATASOURCE of a source.
    data_source: Option<Value>,
    fields: Vec<Value>,
}

#[derive(Default)]
struct Forms {
    forms: BTreeMap<(Kind, String), Form>,
    groups: BTreeMap<String, Vec<Value>>,
}

static FORMS: LazyLock<Forms> = LazyLock::new(|| Forms::read(include_str!("forms.txt")));

impl Forms {
    /// Reads the data; a line that is not understood is left out (a test reads them all).
    fn read(text: &str) -> Forms {
        let mut all = Forms::default();
        for block in text.split("\n\n") {
            let mut lines = block.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
            let Some(head) = lines.next() else { continue };
            let mut fields = Vec::new();
            for line in lines {
                match line.strip_prefix("+ ") {
                    // What a form says itself counts more than what its group says.
                    Some(group) => {
                        let named = |field: &Value| fields.iter().any(|own: &Value| own["name"] == field["name"]);
                        let group = all.groups.get(group).into_iter().flatten();
                        let new: Vec<Value> = group.filter(|field| !named(field)).cloned().collect();
                        fields.extend(new);
                    }
                    None => fields.extend(field(line)),
                }
            }
            match head.strip_prefix("group ") {
                Some(group) => drop(all.groups.insert(group.to_owned(), fields)),
                None => all.add(head, fields),
            }
        }
        all
    }

    fn add(&mut self, head: &str, mut fields: Vec<Value>) {
        let parts: Vec<&str> = head.split('|').map(str::trim).collect();
        let [name, en, zh, about_en, about_zh] = parts[..] else { return };
        let Some((kind, name)) = name.split_once(' ') else { return };
        let Some(kind) = Kind::read(kind) else { return };
        let at = fields.iter().position(|field| field["name"] == "dataSource");
        let data_source = at.map(|at| fields.remove(at));
        let form = Form {
            about: about(&words(about_en, about_zh)),
            node: node(kind, &words(en, zh)),
            libs: json!([]),
            data_source,
            fields,
        };
        self.forms.insert((kind, name.to_owned()), form);
    }
}

/// A text in both languages.
fn words(en: &str, zh: &str) -> Value {
    json!({"en": en, "zh": zh})
}

fn about(description: &Value) -> Value {
    json!({
        "trial": false,
        "installed": true,
        "author": {"name": "Edgeward", "email": "", "company": "", "website": ""},
        "helpUrl": words("", ""),
        "description": description,
    })
}

fn node(kind: Kind, label: &Value) -> Value {
    json!({"category": kind.category(), "iconPath": "", "label": label})
}

/// One line of a form.
fn field(line: &str) -> Option<Value> {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, kind, default, flags, label_en, label_zh, hint_en, hint_zh] = parts[..] else { return None };
    let default: Value = serde_json::from_str(default).ok()?;
    let (letters, choices) = flags.split_once('{').unwrap_or((flags, ""));
    let choices: Vec<Value> = match choices.strip_suffix('}') {
        None => Vec::new(),
        Some(list) if kind == "int" => {
            list.split(',').filter_map(|item| item.parse::<i64>().ok().map(Value::from)).collect()
        }
        Some(list) => list.split(',').map(Value::from).collect(),
    };
    let control = match kind {
        _ if !choices.is_empty() => "select",
        "bool" => "radio",
        "list_string" | "list_object" => "list",
        _ => "text",
    };
    let mut field = json!({
        "name": name,
        "default": default,
        "type": kind,
        "control": control,
        "connection_related": letters.contains('c'),
        "optional": letters.contains('o'),
        "hint": {"en": hint_en, "zh": hint_zh},
        "label": {"en": label_en, "zh": label_zh},
    });
    if !choices.is_empty() {
        field["values"] = choices.into();
    }
    Some(field)
}

/// The form of a connector; of one users brought, what all of its kind have.
pub(crate) fn form(kind: Kind, name: &str) -> Form {
    let known = FORMS.forms.get(&(kind, name.to_owned())).cloned();
    known.unwrap_or_else(|| {
        let common = if kind == Kind::Sink { FORMS.groups.get("common").cloned() } else { None };
        let name = words(name, name);
        let (about, node) = (about(&name), node(kind, &name));
        Form { about, node, libs: json!([]), data_source: None, fields: common.unwrap_or_default() }
    })
}

/// Names of the forms of a kind, sorted.
pub(crate) fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    FORMS.forms.keys().filter(move |(known, _)| *known == kind).map(|(_, name)| name.as_str())
}

impl Form {
    /// A form in eKuiper's own file: `en_US` and `zh_CN` for the languages, a source's fields by configuration key.
    pub(crate) fn of_file(kind: Kind, name: &str, file: &Value) -> Form {
        let mut file = file.clone();
        shorten(&mut file);
        let mut form = form(kind, name);
        let fields = match &file["properties"] {
            Value::Array(fields) => Some(fields),
            keyed => keyed["default"].as_array(),
        };
        form.fields = fields.cloned().unwrap_or_default();
        let mut part = |name: &str| file.get_mut(name).map(Value::take).filter(|part| !part.is_null());
        form.data_source = part("dataSource");
        for (place, name) in [(&mut form.about, "about"), (&mut form.node, "node"), (&mut form.libs, "libs")] {
            if let Some(part) = part(name) {
                *place = part;
            }
        }
        if let Value::Object(about) = &mut form.about {
            about.insert("installed".into(), true.into());
        }
        form
    }

    /// An entry of a list of forms.
    pub(crate) fn entry(&self, name: &str, origin: &str) -> Value {
        json!({"name": name, "about": self.about, "type": origin})
    }

    /// The whole form. `properties` is what [`Form::fields`] or [`Form::by_key`] give.
    pub(crate) fn shown(&self, name: &str, origin: &str, properties: Value) -> Value {
        let mut form = json!({
            "name": name,
            "about": self.about,
            "libs": self.libs,
            "properties": properties,
            "node": self.node,
            "type": origin,
        });
        if let Some(data_source) = &self.data_source {
            form["dataSource"] = data_source.clone();
        }
        form
    }

    /// The fields with their defaults.
    pub(crate) fn fields(&self) -> Value {
        self.fields.clone().into()
    }

    /// The fields for each configuration key, filled in with its values (`keys` is `{key: properties}`); `default` is
    /// always there.
    pub(crate) fn by_key(&self, keys: &Map<String, Value>) -> Value {
        let mut all = Map::from_iter([("default".to_owned(), self.fields())]);
        for (key, props) in keys {
            let filled = self.fields.iter().cloned().map(|mut field| {
                let found = props.as_object().and_then(|props| {
                    let name = field["name"].as_str()?;
                    props.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
                });
                field["exist"] = found.is_some().into();
                if let Some(value) = found {
                    field["default"] = value;
                }
                field
            });
            all.insert(key.clone(), filled.collect());
        }
        all.into()
    }
}

/// Languages by the names replies have.
fn shorten(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (long, short) in [("en_US", "en"), ("zh_CN", "zh")] {
                if let Some(text) = fields.shift_remove(long) {
                    fields.insert(short.to_owned(), text);
                }
            }
            fields.values_mut().for_each(shorten);
        }
        Value::Array(items) => items.iter_mut().for_each(shorten),
        _ => {}
    }
}

/// `GET /metadata/functions`: the built-in functions as the planner knows them, and those of users; `described` are the
/// files that describe these.
pub(crate) fn functions(users: &[String], described: Vec<Value>) -> Value {
    let brought = described;
    let known = registry::names().into_iter().filter_map(|name| {
        let function = registry::lookup(name)?;
        let columns: Vec<String> = (1..=function.min.max(1).min(function.max)).map(|n| format!("col{n}")).collect();
        let takes = match (function.min, function.max) {
            (min, max) if min == max => min.to_string(),
            (min, usize::MAX) => format!("{min}+"),
            (min, max) => format!("{min}-{max}"),
        };
        Some(json!({
            "name": name,
            "example": format!("{name}({})", columns.join(", ")),
            "aggregate": matches!(function.run, Run::Aggregate(_)),
            "hint": {"en": format!("Arguments: {takes}"), "zh": format!("参数个数：{takes}")},
        }))
    });
    let about = about(&words("Built-in functions", "内置函数"));
    let internal = known.collect::<Vec<_>>();
    let mut all = vec![json!({"about": about, "name": "internal", "type": "internal", "functions": internal})];
    let mut others: Vec<&str> = users.iter().map(String::as_str).collect();
    for mut file in brought {
        shorten(&mut file);
        let functions = file["functions"].as_array().into_iter().flatten();
        let names: Vec<&str> = functions.filter_map(|function| function["name"].as_str()).collect();
        others.retain(|name| !names.contains(name));
        file["type"] = "portable".into();
        all.push(file);
    }
    if !others.is_empty() {
        let others: Vec<Value> = others
            .iter()
            .map(|name| json!({"name": name, "example": format!("{name}(col1)"), "aggregate": false, "hint": words("", "")}))
            .collect();
        all.push(json!({"name": "users", "type": "portable", "functions": others}));
    }
    all.into()
}
