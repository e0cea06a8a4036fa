//! Properties with `{{…}}` in them: Go templates evaluated for each message.

use edgeward_engine::{Map, SinkError, Value};
use edgeward_template::Dynamic;

use crate::{ConnectError, Props};

/// A text property that may be a template.
#[derive(Debug, Clone)]
pub(crate) struct Template(Dynamic);

impl Template {
    /// The template of a text property; empty text counts as absent.
    ///
    /// # Errors
    /// It is not text, or no template.
    pub(crate) fn read(props: &Props, key: &'static str) -> Result<Option<Template>, ConnectError> {
        match props.get(key).and_then(|value| value.as_str()) {
            Some(text) if edgeward_template::is_dynamic(text) => Template::parse(key, text).map(Some),
            _ => Ok(props.text(key)?.map(Template::fixed)),
        }
    }

    /// A text that stands for itself.
    pub(crate) fn fixed(text: &str) -> Template {
        Template(Dynamic::Constant(text.into()))
    }

    /// Reads a text; `key` names the property in errors.
    ///
    /// # Errors
    /// The text is no template.
    pub(crate) fn parse(key: &'static str, text: &str) -> Result<Template, ConnectError> {
        let parsed = Dynamic::parse(key, text);
        parsed.map(Template).map_err(|error| ConnectError::Invalid { key, reason: error.to_string() })
    }

    /// The text itself, if it is the same for every message.
    pub(crate) fn constant(&self) -> Option<&str> {
        match &self.0 {
            Dynamic::Constant(text) => Some(text),
            Dynamic::Template(_) => None,
        }
    }

    /// The text for a message: a row, or the array of all rows. A template that does not fit an array gets its first row, so
    /// that `{{.id}}` works with and without `sendSingle`.
    ///
    /// # Errors
    /// The template fails; the text says why.
    pub(crate) fn render(&self, data: &Value) -> Result<String, String> {
        let Dynamic::Template(template) = &self.0 else { return Ok(self.constant().unwrap_or_default().to_owned()) };
        let run = |data: &Value| {
            let mut out = Vec::new();
            template.execute(data, &mut out).map_err(|error| error.to_string())?;
            String::from_utf8(out).map_err(|error| error.to_string())
        };
        match (run(data), data.as_array()) {
            (Err(_), Some(rows)) => run(rows.first().unwrap_or(&Value::map(Map::new()))),
            (rendered, _) => rendered,
        }
    }

    /// The text for a message that is to be sent.
    ///
    /// # Errors
    /// The template fails: the message is rejected.
    pub(crate) fn for_sink(&self, data: &Value) -> Result<String, SinkError> {
        self.render(data).map_err(|error| SinkError::Rejected(format!("fail to calculate dynamic property: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use edgeward_engine::json::{Numbers, parse};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn renders_as_go_does() {
        let row = br#"{"a":"x","n":3600,"f":1.5,"m":{"k":true}}"#;
        let row = parse(row, Numbers::Float).unwrap();
        let rows = Value::array(vec![row.clone(), row.clone()]);
        for (text, data, expect) in [
            ("plain", &row, Ok("plain")),
            ("", &row, Ok("")),
            ("Bearer {{.a}}", &row, Ok("Bearer x")),
            ("{{ .n }}/{{.f}}/{{.m.k}}", &row, Ok("3600/1.5/true")),
            ("{{.none}}!", &row, Ok("<no value>!")),
            ("{{upper .a}}-{{if gt .f 1.0}}hot{{end}}", &row, Ok("X-hot")),
            ("t/{{.a}}", &rows, Ok("t/x")),
            ("{{(index . 1).a}} of {{len .}}", &rows, Ok("x of 2")),
            ("t/{{.a}}", &Value::array(Vec::new()), Ok("t/<no value>")),
            ("{{.a.b}}", &row, Err("can't evaluate field b")),
        ] {
            let got = Template::parse("url", text).unwrap().render(data);
            match expect {
                Ok(expect) => assert_eq!(got.as_deref(), Ok(expect), "{text}"),
                Err(expect) => assert!(got.as_ref().is_err_and(|error| error.contains(expect)), "{text}: {got:?}"),
            }
        }
        let error = Template::parse("url", "{{.a").unwrap_err().to_string();
        assert!(error.starts_with("invalid value for url: template: url:1"), "{error}");
    }

    proptest! {
        #[test]
        fn any_text_is_a_template_or_refused(text in "[.{} a-z]{0,40}") {
            if let Ok(read) = Template::parse("url", &text) {
                prop_assert_eq!(read.constant().is_none(), text.contains("{{"));
                let _ = read.render(&Value::map(Map::new()));
            }
        }
    }
}
