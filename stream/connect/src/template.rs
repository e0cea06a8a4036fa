//! Texts with `{{.name}}` in them: the part of Go's template language that addresses, headers and token properties use.
//! Anything beyond a path is refused here.

use std::fmt::Write as _;

use edgeward_engine::{Map, Value};
use edgeward_functions::format::GoText;

use crate::{ConnectError, Props};

/// A parsed text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    /// Names from the outermost map inwards.
    Path(Vec<String>),
}

impl Template {
    /// The template of a text property; empty text counts as absent.
    pub(crate) fn read(props: &Props, key: &str) -> Result<Option<Template>, ConnectError> {
        match props.get(key).and_then(|value| value.as_str()) {
            Some(text) if text.contains("{{") => Template::parse(key, text).map(Some),
            _ => Ok(props.text(key)?.map(Template::fixed)),
        }
    }

    /// A text that stands for itself.
    pub(crate) fn fixed(text: &str) -> Template {
        Template(vec![Part::Text(text.to_owned())])
    }

    /// Reads a text; `key` names the property in the error.
    pub(crate) fn parse(key: &str, text: &str) -> Result<Template, ConnectError> {
        let unsupported = || ConnectError::Unsupported(format!("{key} with a template other than {{{{.name}}}}"));
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or_else(unsupported)?;
            let path = inside.trim().strip_prefix('.').ok_or_else(unsupported)?;
            let names: Vec<String> = path.split('.').map(str::to_owned).collect();
            let name =
                |name: &String| !name.is_empty() && name.chars().all(|char| char.is_alphanumeric() || char == '_');
            if !names.iter().all(name) {
                return Err(unsupported());
            }
            parts.extend([Part::Text(before.to_owned()), Part::Path(names)]);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Template(parts))
    }

    /// Whether the text depends on values.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Path(_)))
    }

    /// The text with values in place of names; a missing one reads `<no value>`, as in Go.
    pub(crate) fn render(&self, values: &Map) -> String {
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Path(names) => match find(values, names) {
                    // Writing into a String cannot fail.
                    Some(value) if !value.is_nil() => drop(write!(out, "{}", GoText(value))),
                    _ => out.push_str("<no value>"),
                },
            }
        }
        out
    }
}

fn find<'a>(values: &'a Map, names: &[String]) -> Option<&'a Value> {
    let (first, rest) = names.split_first()?;
    rest.iter().try_fold(values.get(first.as_str())?, |value, name| value.as_map()?.get(name.as_str()))
}

#[cfg(test)]
mod tests {
    use edgeward_engine::json::{Numbers, parse};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn renders_as_go_does() {
        let values = parse(br#"{"a":"x","n":3600,"f":1.5,"m":{"k":true}}"#, Numbers::Float).unwrap();
        for (text, expect) in [
            ("plain", Some("plain")),
            ("", Some("")),
            ("Bearer {{.a}}", Some("Bearer x")),
            ("{{ .n }}/{{.f}}/{{.m.k}}", Some("3600/1.5/true")),
            ("{{.none}}!", Some("<no value>!")),
            ("{{json .}}", None),
            ("{{.a", None),
            ("{{.}}", None),
        ] {
            let got = Template::parse("url", text).ok().map(|read| read.render(values.as_map().unwrap()));
            assert_eq!(got.as_deref(), expect, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(text in "[.{} a-z]{0,40}") {
            if let Ok(read) = Template::parse("url", &text) {
                prop_assert_eq!(read.is_dynamic(), text.contains("{{"));
                read.render(&Map::new());
            }
        }
    }
}
