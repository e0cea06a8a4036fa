//! YAML to JSON values by YAML 1.2's core schema (`yes` is text), with integers that do not fit 64 bits told from floats.

use std::collections::HashMap;

use serde_json::{Map, Number, Value as Json};
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Tag};

use crate::file::too_big;

/// Deepest nesting of a document.
const MAX_DEPTH: usize = 128;
/// Most values that the aliases of a file may repeat.
const MAX_REPEATED: usize = 1_000_000;

/// The documents of a text, and why the rest of it cannot be read.
pub(crate) fn documents(text: &str) -> (Vec<Json>, Option<String>) {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let taken = event.map_err(|error| error.to_string()).and_then(|(event, _)| builder.take(event));
        if let Err(error) = taken {
            return (builder.documents, Some(error));
        }
    }
    (builder.documents, None)
}

#[derive(Default)]
struct Builder {
    documents: Vec<Json>,
    open: Vec<Open>,
    anchors: HashMap<usize, Json>,
    repeated: usize,
}

/// A collection that is still being filled.
struct Open {
    anchor: usize,
    value: Json,
    /// The key of a mapping whose value comes next.
    key: Option<String>,
    /// What `<<` names; the mapping's own keys win.
    bases: Vec<Json>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref());
                match self.open.last_mut() {
                    // A key is text whatever it looks like.
                    Some(Open { value: Json::Object(_), key: key @ None, .. }) => {
                        *key = Some(text.into_owned());
                        Ok(())
                    }
                    _ => self.put(value, anchor),
                }
            }
            Event::SequenceStart(_, anchor, _) => self.begin(Json::Array(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => self.begin(Json::Object(Map::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(mut open) => {
                    if let Json::Object(map) = &mut open.value {
                        open.bases.into_iter().try_for_each(|base| merge(map, base))?;
                    }
                    self.put(open.value, open.anchor)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(value) = self.anchors.get(&anchor).cloned() else { return Err("unknown alias".into()) };
                self.repeated += size(&value);
                if self.repeated > MAX_REPEATED {
                    return Err(format!("aliases repeat more than {MAX_REPEATED} values"));
                }
                self.put(value, 0)
            }
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, value: Json, anchor: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH} levels"));
        }
        if matches!(self.open.last(), Some(Open { value: Json::Object(_), key: None, .. })) {
            return Err("a key must be text".into());
        }
        self.open.push(Open { anchor, value, key: None, bases: Vec::new() });
        Ok(())
    }

    fn put(&mut self, value: Json, anchor: usize) -> Result<(), String> {
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        match self.open.last_mut() {
            None => self.documents.push(value),
            Some(Open { value: Json::Array(items), .. }) => items.push(value),
            Some(Open { value: Json::Object(map), key, bases, .. }) => match key.take() {
                Some(key) if key == "<<" => bases.push(value),
                Some(key) if map.contains_key(&key) => return Err(format!("key {key:?} is there twice")),
                Some(key) => drop(map.insert(key, value)),
                None => return Err("a key must be text".into()),
            },
            Some(_) => {}
        }
        Ok(())
    }
}

/// Adds the keys of another mapping, or of several, that are not there.
fn merge(map: &mut Map<String, Json>, value: Json) -> Result<(), String> {
    let bases = match value {
        Json::Array(bases) => bases,
        base => vec![base],
    };
    for base in bases {
        let Json::Object(base) = base else { return Err("<< needs a mapping".into()) };
        for (key, value) in base {
            map.entry(key).or_insert(value);
        }
    }
    Ok(())
}

fn size(value: &Json) -> usize {
    match value {
        Json::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
        Json::Object(map) => 1 + map.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Json {
    let tagged = tag.map(Tag::suffix);
    if tagged == Some("str") || (tagged.is_none() && !matches!(style, ScalarStyle::Plain)) {
        return text.into();
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => true.into(),
        "false" | "False" | "FALSE" => false.into(),
        _ => number(text, tagged).unwrap_or_else(|| text.into()),
    }
}

fn number(text: &str, tag: Option<&str>) -> Option<Json> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let radix = |prefix, radix| digits.strip_prefix(prefix).and_then(|digits| i64::from_str_radix(digits, radix).ok());
    if let Some(int) = radix("0x", 16).or_else(|| radix("0o", 8)) {
        return Some(int.into());
    }
    if tag != Some("float") && !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let text = text.strip_prefix('+').unwrap_or(text);
        return Some(text.parse().map_or_else(|_| too_big(text), |int: i64| int.into()));
    }
    let special = match text {
        ".nan" | ".NaN" | ".NAN" => "NaN",
        ".inf" | ".Inf" | ".INF" | "+.inf" => "+Inf",
        "-.inf" | "-.Inf" | "-.INF" => "-Inf",
        _ => return float(text, digits),
    };
    Some(serde_json::json!({"$float": special}))
}

fn float(text: &str, digits: &str) -> Option<Json> {
    let numeric = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-'));
    let begins = digits.starts_with(|first: char| first.is_ascii_digit() || first == '.');
    if !numeric || !begins {
        return None;
    }
    Some(Number::from_f64(text.parse().ok()?).map_or_else(|| too_big(text), Json::Number))
}

#[cfg(test)]
mod tests {
    use super::documents;

    fn check(yaml: &str, expect: &str) {
        let (documents, error) = documents(yaml);
        let mut shown: Vec<String> = documents.iter().map(ToString::to_string).collect();
        shown.extend(error.map(|_| "!".to_string()));
        assert_eq!(shown.join(" "), expect, "{yaml}");
    }

    #[test]
    fn reads() {
        check("{a: 1, b: 1.0, c: -1e3, d: +2, e: 0x10}", r#"{"a":1,"b":1.0,"c":-1000.0,"d":2,"e":16}"#);
        check(
            "[yes, no, on, y, true, False, ~, null, '', \"1\"]",
            r#"["yes","no","on","y",true,false,null,null,"","1"]"#,
        );
        check(
            "[9223372036854775807, -9223372036854775808, 1.0e+19, 1e19]",
            "[9223372036854775807,-9223372036854775808,1e+19,1e+19]",
        );
        check(
            "[9223372036854775808, -9223372036854775809]",
            r#"[{"$number":"9223372036854775808"},{"$number":"-9223372036854775809"}]"#,
        );
        check(
            "[.nan, .inf, -.inf, 1-2, 1.2.3, 2020-01-01, 1e999]",
            r#"[{"$float":"NaN"},{"$float":"+Inf"},{"$float":"-Inf"},"1-2","1.2.3","2020-01-01",{"$number":"1e999"}]"#,
        );
        check("1: a\ntrue: b\n", r#"{"1":"a","true":"b"}"#);
        check("a: 1\n---\nb: 2\n", r#"{"a":1} {"b":2}"#);
        check("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n", r#"{"x":{"a":1,"b":2},"y":{"b":3,"a":1}}"#);
        check("a: |\n  x\n  y\nb: >-\n  x\n  y\n", r#"{"a":"x\ny\n","b":"x y"}"#);
        check("[!!str 1, !!float 1]", r#"["1",1.0]"#);
        check("{\"a\": \"\\u00e9\\n\"}", "{\"a\":\"é\\n\"}");
    }

    #[test]
    fn what_comes_before_an_error_stands() {
        check("a: 1\n---\nb: [\n---\nc: 1\n", "{\"a\":1} !");
        check("a: 1\na: 2\n", "!");
        check("? [a]\n: 1\n", "!");
        check(&"[".repeat(500), "!");
    }
}
