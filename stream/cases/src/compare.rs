//! What came out against what is expected.

use edgeward_engine::Emission;
use edgeward_functions::json::{Numbers, Printer, parse, write_string};
use serde_json::Value as Json;

use crate::sink::{Said, Shape};
use crate::statements::Answer;
use crate::values::write;
use crate::{Case, from_json};

/// What a message prints as: ms from the start and its rows, or text that is no JSON.
#[derive(Debug)]
pub(crate) struct Printed {
    pub(crate) at: i64,
    pub(crate) body: Result<Vec<String>, String>,
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

    /// The rows as a bag if they have no order.
    fn comparable(&self, unordered: bool) -> Result<Vec<&str>, &str> {
        let mut rows: Vec<&str> = self.body.as_ref().map_err(String::as_str)?.iter().map(String::as_str).collect();
        if unordered {
            rows.sort_unstable();
        }
        Ok(rows)
    }
}

/// What differs between the answers of `statements` and those expected: `{result: [line, …]}`, or `{error: text}` that the answer's
/// contains.
pub(crate) fn compare_answers(expect: &[Json], answers: &[Answer]) -> Option<String> {
    let same = |(expect, answer): (&Json, &Answer)| match (expect.get("result"), expect.get("error"), answer) {
        (Some(lines), None, Ok(answer)) => *lines == Json::from(answer.clone()),
        (None, Some(text), Err(answer)) => text.as_str().is_some_and(|text| answer.contains(text)),
        _ => false,
    };
    if expect.len() == answers.len() && expect.iter().zip(answers).all(same) {
        return None;
    }
    let minus = expect.iter().map(|answer| format!("- {answer}\n"));
    let plus = answers.iter().map(|answer| format!("+ {answer:?}\n"));
    Some(minus.chain(plus).collect())
}

/// Prints messages as the case asks for.
pub(crate) struct Teller {
    start: i64,
    sends_errors: bool,
    types: bool,
    printer: Printer,
    /// Errors that were not sent, with their time.
    pub(crate) errors: Vec<(i64, String)>,
}

impl Teller {
    pub(crate) fn new(case: &Case, printer: Printer, sends_errors: bool) -> Teller {
        Teller { start: case.start, sends_errors, types: case.types(), printer, errors: Vec::new() }
    }

    /// Tells what the emissions of a rule that ended at `end` become.
    pub(crate) fn tell(&mut self, mut emissions: Vec<Emission>, shape: &mut Shape, end: i64) -> Vec<Printed> {
        if !self.sends_errors {
            for emission in emissions.extract_if(.., |emission| emission.is_error) {
                let text = emission.rows.first().and_then(|row| row.get("error").as_str()).unwrap_or_default();
                self.errors.push((emission.at.saturating_sub(self.start), text.to_string()));
            }
        }
        let mut printed = Vec::new();
        for (at, said) in shape.messages(emissions, end) {
            let at = at.saturating_sub(self.start);
            let body = said.and_then(|said| match said {
                Said::Text(text) => Ok(Err(text)),
                Said::Rows(rows) => {
                    let rows: Result<Vec<String>, String> =
                        rows.iter().map(|row| write(row, &self.printer, self.types)).collect();
                    rows.map(Ok)
                }
            });
            match body {
                Ok(body) => printed.push(Printed { at, body }),
                // A message that cannot be made or encoded never leaves the sink.
                Err(error) if self.sends_errors => {
                    let mut row = b"{\"error\":".to_vec();
                    write_string(&error, &mut row);
                    row.push(b'}');
                    printed.push(Printed { at, body: Ok(vec![String::from_utf8_lossy(&row).into_owned()]) });
                }
                Err(error) => self.errors.push((at, error)),
            }
        }
        printed
    }

    /// An expected message: its rows or its text, or `{at, rows}` or `{at, text}`.
    fn expected(&self, message: &Json) -> Result<Printed, String> {
        let invalid = || format!("an expected message is a list of rows, not {message}");
        let (at, rows) = match message {
            Json::Array(rows) => (NO_TIME, rows),
            Json::String(text) => return Ok(Printed { at: NO_TIME, body: Err(text.clone()) }),
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
            let row = from_json(row).map_err(|error| error.to_string())?;
            // What JSON cannot say is expected in vain, which is no fault of the case.
            write(&row, &self.printer, self.types).or_else(|_| write(&row, &self.printer, true))
        };
        let rows: Result<Vec<String>, String> = rows.iter().map(print).collect();
        Ok(Printed { at, body: Ok(rows?) })
    }

    /// Whether two bodies print the same, or their numbers are equal (0 and -0) where types do not matter.
    fn same(&self, wanted: Result<Vec<&str>, &str>, got: Result<Vec<&str>, &str>) -> bool {
        let value = |row: &str| parse(row.as_bytes(), Numbers::WholeAsInt).ok();
        match (wanted, got) {
            (Ok(wanted), Ok(got)) => {
                let equal = |(wanted, got): (&&str, &&str)| {
                    wanted == got || (!self.types && value(wanted).is_some_and(|wanted| value(got) == Some(wanted)))
                };
                wanted.len() == got.len() && wanted.iter().zip(&got).all(equal)
            }
            (wanted, got) => wanted == got,
        }
    }

    /// What differs from the expectation, if anything does.
    ///
    /// # Errors
    /// The expectation is not understood.
    pub(crate) fn compare(&self, case: &Case, expect: &[Json], messages: &[Printed]) -> Result<Option<String>, String> {
        let wanted: Result<Vec<Printed>, String> = expect.iter().map(|message| self.expected(message)).collect();
        let wanted = wanted?;
        let mut got: Vec<&Printed> = messages.iter().collect();
        // Empty messages after the last expected one say nothing.
        while got.len() > wanted.len() && got.last().is_some_and(|last| last.body.as_ref().is_ok_and(Vec::is_empty)) {
            got.pop();
        }
        let same = |(wanted, got): (&Printed, &&Printed)| {
            let at = wanted.at == NO_TIME || wanted.at == got.at;
            at && self.same(wanted.comparable(case.unordered), got.comparable(case.unordered))
        };
        if wanted.len() == got.len() && wanted.iter().zip(&got).all(same) {
            return Ok(None);
        }
        let minus = wanted.iter().map(|message| format!("- {}\n", message.line()));
        let plus = got.iter().map(|message| format!("+ {}\n", message.line()));
        Ok(Some(minus.chain(plus).collect()))
    }
}
