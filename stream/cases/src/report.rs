//! What a case's run comes to, as a line of JSON and as text for people.

use edgeward_functions::json::write_string;

use crate::compare::Printed;
use crate::statements::Answer;

/// Where a case was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The rule's statement is no SQL.
    Parse,
    /// A definition.
    Ddl,
    /// The rule cannot be planned.
    Plan,
}

/// How far a case came.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It ran to its end.
    Ran,
    /// A definition or the rule was refused, with eKuiper's text.
    Refused(Stage, String),
    /// The case is not understood.
    Invalid(String),
    /// Running it panicked: a defect of the engine.
    Panicked(String),
}

/// The outcome of one case.
#[derive(Debug)]
pub struct Report {
    /// The case.
    pub name: String,
    /// Whether what was expected came.
    pub ok: bool,
    /// How far it came.
    pub verdict: Verdict,
    /// What differs, for people.
    pub mismatch: Option<String>,
    pub(crate) messages: Option<Vec<Printed>>,
    pub(crate) errors: Vec<(i64, String)>,
    pub(crate) results: Option<Vec<Answer>>,
    /// Names and JSON texts.
    pub(crate) shown: Vec<(&'static str, String)>,
}

impl Report {
    pub(crate) fn new(name: &str) -> Report {
        Report {
            name: name.into(),
            ok: false,
            verdict: Verdict::Ran,
            mismatch: None,
            messages: None,
            errors: Vec::new(),
            results: None,
            shown: Vec::new(),
        }
    }

    /// A case that is not understood.
    pub fn invalid(name: &str, text: String) -> Report {
        Report { verdict: Verdict::Invalid(text), ..Report::new(name) }
    }

    /// A case whose run panicked.
    pub fn panicked(name: &str, text: String) -> Report {
        Report { verdict: Verdict::Panicked(text), ..Report::new(name) }
    }

    /// The line of `--json`.
    pub fn json_line(&self) -> String {
        let mut out = format!("{{\"name\":{},\"ok\":{}", quoted(&self.name), self.ok);
        match &self.verdict {
            Verdict::Ran => self.ran(&mut out),
            Verdict::Refused(stage, text) => {
                let stage = match stage {
                    Stage::Parse => "parse",
                    Stage::Ddl => "ddl",
                    Stage::Plan => "plan",
                };
                out.push_str(&format!(",\"error\":{},\"stage\":\"{stage}\"", quoted(text)));
            }
            Verdict::Invalid(text) => out.push_str(&format!(",\"invalid\":{}", quoted(text))),
            Verdict::Panicked(text) => out.push_str(&format!(",\"panic\":{}", quoted(text))),
        }
        out.push('}');
        out
    }

    fn ran(&self, out: &mut String) {
        let messages = self.messages.iter().flatten().map(|message| match &message.body {
            Ok(rows) => format!("{{\"at\":{},\"rows\":[{}]}}", message.at, rows.join(",")),
            Err(text) => format!("{{\"at\":{},\"text\":{}}}", message.at, quoted(text)),
        });
        out.push_str(&format!(",\"messages\":[{}]", joined(messages)));
        let errors = self.errors.iter().map(|(at, text)| format!("{{\"at\":{at},\"error\":{}}}", quoted(text)));
        out.push_str(&format!(",\"errors\":[{}]", joined(errors)));
        if let Some(results) = &self.results {
            let answers = results.iter().map(|answer| match answer {
                Ok(lines) => format!("{{\"result\":[{}]}}", joined(lines.iter().map(|line| quoted(line)))),
                Err(text) => format!("{{\"error\":{}}}", quoted(text)),
            });
            out.push_str(&format!(",\"results\":[{}]", joined(answers)));
        }
        for (name, text) in &self.shown {
            out.push_str(&format!(",\"{name}\":{text}"));
        }
    }

    /// Why the case is not ok, in lines for people; what it shows or lists when it is.
    pub fn explanation(&self) -> String {
        let said = match &self.verdict {
            Verdict::Ran => self.mismatch.clone().unwrap_or_default(),
            Verdict::Refused(..) if self.ok => String::new(),
            Verdict::Refused(_, text) => self.mismatch.clone().unwrap_or_else(|| format!("refused: {text}")),
            Verdict::Invalid(text) => format!("invalid case: {text}"),
            Verdict::Panicked(text) => format!("panic: {text}"),
        };
        let errors = self.errors.iter().map(|(at, text)| format!("! {text} at {at}\n"));
        let errors: String = if self.ok { String::new() } else { errors.collect() };
        let shown: String = self.shown.iter().map(|(name, text)| format!("{name}: {text}\n")).collect();
        let lines = said + "\n" + &errors + &shown;
        lines.trim().to_string()
    }
}

fn quoted(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(text, &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn joined(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(",")
}
