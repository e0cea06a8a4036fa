use serde_json::Value;

use super::SelectorError;
use crate::{Object, names};

/// How a [`Requirement`] compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Present with one of the values; also the meaning of `=` and `==`.
    In,
    /// Absent, or present with none of the values; also the meaning of `!=`.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
    /// Present and an integer above the one value.
    Gt,
    /// Present and an integer below the one value.
    Lt,
}

/// One condition on one label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Label key.
    pub key: String,
    /// Comparison.
    pub operator: Operator,
    /// Operands; how many depends on the operator.
    pub values: Vec<String>,
}

/// Conditions that all must hold. The default selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    requirements: Vec<Requirement>,
    /// Set for an absent selector, which selects nothing, unlike an empty one.
    nothing: bool,
}

impl LabelSelector {
    /// Selects everything.
    pub fn everything() -> Self {
        Self::default()
    }

    /// Selects nothing.
    pub fn nothing() -> Self {
        Self { nothing: true, ..Self::default() }
    }

    /// Exactly these labels: `spec.selector` of Services and ReplicationControllers, `nodeSelector` of pods.
    pub fn from_map(labels: Option<&Value>) -> Self {
        let pairs = labels.and_then(Value::as_object).into_iter().flatten();
        let equals = |(key, value): (&String, &Value)| Some(Requirement::equals(key, value.as_str()?));
        Self { requirements: pairs.filter_map(equals).collect(), nothing: false }
    }

    /// The struct form, `{matchLabels, matchExpressions}`. Absent or null selects nothing, empty everything.
    pub fn from_value(selector: Option<&Value>) -> Result<Self, SelectorError> {
        let Some(map) = selector.and_then(Value::as_object) else { return Ok(Self::nothing()) };
        let mut labels = Self::from_map(map.get("matchLabels"));
        for expression in map.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let requirement = Requirement::from_value(expression)?;
            if matches!(requirement.operator, Operator::Gt | Operator::Lt) {
                return Err(SelectorError("\"Gt\" and \"Lt\" are not valid label selector operators".into()));
            }
            labels.requirements.push(requirement);
        }
        Ok(labels)
    }

    /// The text form of URLs and command lines: `app=web,tier!=db,env in (a,b),gpu,!old,rack>3`. Empty selects everything.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let clauses = split_clauses(text)?;
        let requirements = clauses.into_iter().map(parse_clause).collect::<Result<_, _>>()?;
        Ok(Self { requirements, nothing: false })
    }

    /// The conditions.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// Whether it selects everything, so that nobody needs to look at objects.
    pub fn is_everything(&self) -> bool {
        !self.nothing && self.requirements.is_empty()
    }

    /// Whether labels read through `label` satisfy all conditions.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        !self.nothing && self.requirements.iter().all(|requirement| requirement.matches(label(&requirement.key)))
    }

    /// Whether an object's labels satisfy all conditions.
    pub fn matches_object(&self, object: &Object) -> bool {
        self.matches(|key| object.label(key))
    }
}

impl Requirement {
    fn equals(key: &str, value: &str) -> Self {
        Self { key: key.to_owned(), operator: Operator::In, values: vec![value.to_owned()] }
    }

    /// The struct form, `{key, operator, values}`, of label and node selectors.
    pub(super) fn from_value(value: &Value) -> Result<Self, SelectorError> {
        let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
        let operator = match text("operator") {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            "Gt" => Operator::Gt,
            "Lt" => Operator::Lt,
            other => return Err(SelectorError(format!("{other:?} is not a valid label selector operator"))),
        };
        let values = value.get("values").and_then(Value::as_array).into_iter().flatten();
        let values = values.filter_map(Value::as_str).map(str::to_owned).collect();
        Self { key: text("key").to_owned(), operator, values }.checked()
    }

    /// Whether a label, or its absence, satisfies the condition.
    pub fn matches(&self, label: Option<&str>) -> bool {
        let among = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::In => label.is_some_and(among),
            Operator::NotIn => !label.is_some_and(among),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::Gt => self.compare(label).is_some_and(|(label, bound)| label > bound),
            Operator::Lt => self.compare(label).is_some_and(|(label, bound)| label < bound),
        }
    }

    fn compare(&self, label: Option<&str>) -> Option<(i64, i64)> {
        Some((label?.parse().ok()?, self.values.first()?.parse().ok()?))
    }

    fn checked(self) -> Result<Self, SelectorError> {
        let refuse = |why: String| Err(SelectorError(why));
        if let Some(fault) = names::qualified_name(&self.key).into_iter().next() {
            return refuse(format!("key: Invalid value: {:?}: {fault}", self.key));
        }
        match self.operator {
            Operator::In | Operator::NotIn if self.values.is_empty() => {
                return refuse(
                    "values: Invalid value: []: for 'in', 'notin' operators, values set can't be empty".into(),
                );
            }
            Operator::Exists | Operator::DoesNotExist if !self.values.is_empty() => {
                let why = "values set must be empty for exists and does not exist";
                return refuse(format!("values: Invalid value: {:?}: {why}", self.values));
            }
            Operator::Gt | Operator::Lt if self.values.len() != 1 || self.values[0].parse::<i64>().is_err() => {
                let why = "for 'Gt', 'Lt' operators, the value must be an integer";
                return refuse(format!("values: Invalid value: {:?}: {why}", self.values));
            }
            _ => {}
        }
        for (at, value) in self.values.iter().enumerate() {
            if let Some(fault) = names::label_value(value).into_iter().next() {
                return refuse(format!("values[{at}][{}]: Invalid value: {value:?}: {fault}", self.key));
            }
        }
        Ok(self)
    }
}

/// Splits at commas outside parentheses.
fn split_clauses(text: &str) -> Result<Vec<&str>, SelectorError> {
    let (mut clauses, mut start, mut depth) = (Vec::new(), 0, 0);
    if text.trim().is_empty() {
        return Ok(clauses);
    }
    for (at, char) in text.char_indices() {
        match char {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                clauses.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        if !(0..=1).contains(&depth) {
            return Err(unparsable(text));
        }
    }
    clauses.push(text[start..].trim());
    if depth == 0 { Ok(clauses) } else { Err(unparsable(text)) }
}

fn parse_clause(clause: &str) -> Result<Requirement, SelectorError> {
    let made = |key: &str, operator, values| Requirement { key: key.trim().to_owned(), operator, values }.checked();
    if let Some(key) = clause.strip_prefix('!') {
        return made(key, Operator::DoesNotExist, Vec::new());
    }
    if let Some(open) = clause.find('(') {
        let (head, list) = (clause[..open].trim_end(), &clause[open + 1..]);
        let list = list.strip_suffix(')').ok_or_else(|| unparsable(clause))?;
        let values = list.split(',').map(|value| value.trim().to_owned()).collect();
        return match head.rsplit_once(char::is_whitespace) {
            Some((key, "in")) => made(key, Operator::In, values),
            Some((key, "notin")) => made(key, Operator::NotIn, values),
            _ => Err(unparsable(clause)),
        };
    }
    // The longer spelling of an operator comes before its prefix.
    let operators =
        [("!=", Operator::NotIn), ("==", Operator::In), ("=", Operator::In), (">", Operator::Gt), ("<", Operator::Lt)];
    let first = operators.iter().filter_map(|(sign, operator)| Some((clause.find(sign)?, *sign, *operator)));
    match first.min_by_key(|(at, sign, _)| (*at, std::cmp::Reverse(sign.len()))) {
        Some((at, sign, operator)) => made(&clause[..at], operator, vec![clause[at + sign.len()..].trim().to_owned()]),
        None => made(clause, Operator::Exists, Vec::new()),
    }
}

fn unparsable(text: &str) -> SelectorError {
    SelectorError(format!("found {text:?}, expected: ',', '=', '==', '!=', 'in', 'notin'"))
}
