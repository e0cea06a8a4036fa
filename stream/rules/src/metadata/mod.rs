//! Forms for the manager (`/metadata`): what a connector can be told, as data in `forms.txt`.
//!
//! Shapes are eKuiper's (`about`, `node`, `properties` with their labels and hints); the texts are ours. A connector without
//! a form gets one that holds what all of its kind have.

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

/// A text in both languages.
#[derive(Debug, Clone)]
struct Words {
    en: String,
    zh: String,
}

impl Words {
    fn shown(&self) -> Value {
        json!({"en": self.en, "zh": self.zh})
    }
}

/// One form.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    label: Words,
    about: Words,
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
                    Some(group) => fields.extend(all.groups.get(group).into_iter().flatten().cloned()),
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
        let words = |en: &str, zh: &str| Words { en: en.into(), zh: zh.into() };
        let form = Form { label: words(en, zh), about: words(about_en, about_zh), data_source, fields };
        self.forms.insert((kind, name.to_owned()), form);
    }
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
        let words = || Words { en: name.to_owned(), zh: name.to_owned() };
        Form { label: words(), about: words(), data_source: None, fields: common.unwrap_or_default() }
    })
}

/// Names of the forms of a kind, sorted.
pub(crate) fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    FORMS.forms.keys().filter(move |(known, _)| *known == kind).map(|(_, name)| name.as_str())
}

impl Form {
    fn about(&self) -> Value {
        json!({
            "trial": false,
            "installed": true,
            "author": {"name": "Edgeward", "email": "", "company": "", "website": ""},
            "helpUrl": {"en": "", "zh": ""},
            "description": self.about.shown(),
        })
    }

    /// An entry of a list of forms.
    pub(crate) fn entry(&self, name: &str, origin: &str) -> Value {
        json!({"name": name, "about": self.about(), "type": origin})
    }

    /// The whole form. `properties` is what [`Form::fields`] or [`Form::by_key`] give.
    pub(crate) fn shown(&self, kind: Kind, name: &str, origin: &str, properties: Value) -> Value {
        let mut form = json!({
            "name": name,
            "about": self.about(),
            "libs": [],
            "properties": properties,
            "node": {"category": kind.category(), "iconPath": "", "label": self.label.shown()},
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

/// `GET /metadata/functions`: the built-in functions as the planner knows them, and those of users.
pub(crate) fn functions(users: &[String]) -> Value {
    let described = registry::names().into_iter().filter_map(|name| {
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
    let mut all = vec![json!({"name": "internal", "type": "internal", "functions": described.collect::<Vec<_>>()})];
    if !users.is_empty() {
        let brought: Vec<Value> =
            users.iter().map(|name| json!({"name": name, "example": format!("{name}(col1)")})).collect();
        all.push(json!({"name": "users", "type": "portable", "functions": brought}));
    }
    all.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_data_is_understood() {
        let text = include_str!("forms.txt");
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let (mut heads, mut fields) = (0, 0);
        for line in lines {
            match line.split('|').count() {
                1 => assert!(line.starts_with("group ") || line.starts_with("+ "), "{line}"),
                5 => heads += 1,
                8 => {
                    let field = field(line).unwrap_or_else(|| panic!("{line}"));
                    let choices = field["values"].as_array();
                    assert!(choices.is_none_or(|choices| choices.contains(&field["default"])), "{line}");
                    fields += 1;
                }
                _ => panic!("{line}"),
            }
        }
        assert_eq!(FORMS.forms.len(), heads);
        assert!(fields > 200 && FORMS.groups.len() == 2);
        let sources = FORMS.forms.iter().filter(|((kind, _), _)| *kind == Kind::Source);
        sources.for_each(|((_, name), form)| assert!(form.data_source.is_some(), "{name}"));
    }

    #[test]
    fn keys_fill_their_fields() {
        let keys = json!({"lab": {"Server": "tcp://h:1"}});
        let shown = form(Kind::Source, "mqtt").by_key(keys.as_object().unwrap());
        let server =
            |key: &str| shown[key].as_array().unwrap().iter().find(|field| field["name"] == "server").cloned().unwrap();
        assert_eq!(server("lab")["default"], "tcp://h:1");
        assert_eq!((server("lab")["exist"].clone(), server("default")["exist"].clone()), (true.into(), Value::Null));
        assert_eq!(server("default")["default"], "tcp://127.0.0.1:1883");
    }
}
