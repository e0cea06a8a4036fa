//! What each kind of node adds to a query.

use edgeward_sql::ast::{BinaryOp, Call, Case, Expr, Select, SelectField, SortField};
use edgeward_sql::parse_select;
use serde_json::Value as Json;

use super::{empty, expression, fields, list, refuse, text};
use crate::EngineError;

/// The name by which statements read a source: of the stream it names, or its own.
pub(super) fn source_name<'a>(id: &'a str, props: &'a Json) -> &'a str {
    Some(text(props, "sourceName")).filter(|name| !name.is_empty()).unwrap_or(id)
}

/// The CREATE statement of a source that names no stream.
pub(super) fn definition(id: &str, node: &Json) -> Option<String> {
    let props = node.get("props").unwrap_or(&Json::Null);
    if !text(props, "sourceName").is_empty() {
        return None;
    }
    let mut options = vec![format!("TYPE=\"{}\"", text(node, "nodeType"))];
    for (key, option) in [
        ("datasource", "DATASOURCE"),
        ("format", "FORMAT"),
        ("schemaId", "SCHEMAID"),
        ("confKey", "CONF_KEY"),
        ("timestamp", "TIMESTAMP"),
        ("timestampFormat", "TIMESTAMP_FORMAT"),
        ("delimiter", "DELIMITER"),
    ] {
        let value = props.as_object()?.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
        if let Some(value) = value.and_then(|(_, value)| value.as_str()).filter(|value| !value.is_empty()) {
            options.push(format!("{option}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")));
        }
    }
    let kind = if text(props, "sourceType") == "table" { "TABLE" } else { "STREAM" };
    Some(format!("CREATE {kind} `{id}` () WITH ({})", options.join(", ")))
}

/// The statement that nodes add up to.
#[derive(Debug)]
pub(super) struct Query {
    select: Select,
    /// Sources that flow together; a join says how.
    sources: Vec<String>,
    /// Columns that functions add, in their order.
    computed: Vec<SelectField>,
    /// What a pick leaves.
    picked: Option<Vec<SelectField>>,
    /// Rows stand for groups from here on.
    aggregated: bool,
    /// The script at the end of the way, and whether it takes all rows of a window at once.
    script: Option<(String, bool)>,
}

impl Query {
    pub(super) fn of_source(name: &str) -> Query {
        Query {
            select: empty(name),
            sources: vec![name.to_string()],
            computed: Vec::new(),
            picked: None,
            aggregated: false,
            script: None,
        }
    }

    /// Lets another input flow in.
    pub(super) fn merge(&mut self, other: Query) {
        self.sources.extend(other.sources);
        self.computed.extend(other.computed);
        if let Some(condition) = other.select.condition {
            and(&mut self.select.condition, condition);
        }
        self.select.window = self.select.window.take().or(other.select.window);
    }

    /// Adds an operator; `case` is the way out of a switch.
    pub(super) fn apply(&mut self, kind: &str, props: &Json, case: Option<usize>) -> Result<(), EngineError> {
        if self.script.is_some() {
            return refuse("what a script made cannot be worked on by this version; make the script the last operator");
        }
        let expr = || expression(props.get("expr").unwrap_or(&Json::Null));
        match kind.to_ascii_lowercase().as_str() {
            "function" => self.compute(text(props, "expr")),
            "aggfunc" => {
                self.aggregated = true;
                self.compute(text(props, "expr"))
            }
            "filter" => {
                self.filter(expr()?);
                Ok(())
            }
            "pick" => self.pick(list(props, "fields")),
            // Rows are ordered by the rule's own watermark.
            "watermark" => Ok(()),
            "window" => self.window(props),
            "join" => self.join(props),
            "groupby" => {
                self.aggregated = true;
                for dimension in list(props, "dimensions") {
                    self.select.group_by.push(expression(dimension)?);
                }
                Ok(())
            }
            "orderby" => {
                for sort in list(props, "sorts") {
                    let expr = expression(sort.get("field").unwrap_or(&Json::Null))?;
                    let descending = sort.get("desc").and_then(Json::as_bool).unwrap_or(false);
                    self.select.order_by.push(SortField { expr, descending });
                }
                Ok(())
            }
            "switch" => self.switch(props, case),
            "script" => {
                let source = text(props, "script");
                if source.is_empty() {
                    return refuse("script is missing");
                }
                let aggregate = props.get("isAgg").and_then(Json::as_bool).unwrap_or(false);
                self.script = Some((source.to_string(), aggregate));
                Ok(())
            }
            other => refuse(format!("unknown operator type {other}")),
        }
    }

    fn compute(&mut self, list: &str) -> Result<(), EngineError> {
        for mut field in fields(list)? {
            // Later nodes know the value by its name.
            if let SelectField::Expr { expr: Expr::Call(call), alias: alias @ None, .. } = &mut field {
                *alias = Some(call.name.to_ascii_lowercase());
            }
            self.picked.as_mut().unwrap_or(&mut self.computed).push(field);
        }
        Ok(())
    }

    fn filter(&mut self, condition: Expr) {
        let place = if self.aggregated { &mut self.select.having } else { &mut self.select.condition };
        and(place, condition);
    }

    fn pick(&mut self, names: &[Json]) -> Result<(), EngineError> {
        let mut picked = Vec::new();
        for name in names {
            let Some(name) = name.as_str() else { return refuse(format!("field {name} is no text")) };
            for field in fields(name)? {
                let computed = self.computed.iter().find(|computed| same_name(computed, &field));
                picked.push(computed.cloned().unwrap_or(field));
            }
        }
        self.picked = Some(picked);
        Ok(())
    }

    fn window(&mut self, props: &Json) -> Result<(), EngineError> {
        let number = |key: &str| props.get(key).and_then(Json::as_i64).filter(|number| *number > 0);
        let kind = text(props, "type");
        let mut args = Vec::new();
        if !kind.eq_ignore_ascii_case("countwindow") {
            args.push(text(props, "unit").to_string());
        }
        args.extend(
            ["size", "interval", "delay"].iter().filter_map(|key| number(key)).map(|number| number.to_string()),
        );
        let parsed = parse_select(&format!("SELECT * FROM s GROUP BY {kind}({})", args.join(", ")))?;
        if parsed.window.is_none() {
            return refuse(format!("unknown window type {kind}"));
        }
        self.select.window = parsed.window;
        Ok(())
    }

    fn join(&mut self, props: &Json) -> Result<(), EngineError> {
        let from = text(props, "from");
        self.select.from.name = from.to_string();
        for join in list(props, "joins") {
            let (name, kind, on) = (text(join, "name"), text(join, "type"), text(join, "on"));
            let on = if on.is_empty() { String::new() } else { format!(" ON {on}") };
            let parsed = parse_select(&format!("SELECT * FROM `{from}` {kind} JOIN `{name}`{on}"))?;
            self.select.joins.extend(parsed.joins);
        }
        self.sources.clear();
        Ok(())
    }

    /// The way of a case: it holds, and with `stopAtFirstMatch` none before it does.
    fn switch(&mut self, props: &Json, case: Option<usize>) -> Result<(), EngineError> {
        let cases = list(props, "cases");
        let Some(case) = case else { return refuse("the edges of a switch are lists, one for each case") };
        let Some(condition) = cases.get(case) else { return refuse(format!("case {case} is not defined")) };
        let condition = expression(condition)?;
        let stops = props.get("stopAtFirstMatch").and_then(Json::as_bool).unwrap_or(false);
        if !stops || case == 0 {
            self.filter(condition);
            return Ok(());
        }
        let before: Result<Vec<(Expr, Expr)>, EngineError> =
            cases[..case].iter().map(|before| Ok((expression(before)?, Expr::Bool(false)))).collect();
        let mut arms = before?;
        arms.push((condition, Expr::Bool(true)));
        self.filter(Expr::Case(Box::new(Case { operand: None, arms, otherwise: Some(Expr::Bool(false)) })));
        Ok(())
    }

    /// The whole statement.
    pub(super) fn select(self) -> Result<Select, EngineError> {
        let Query { mut select, sources, computed, picked, script, .. } = self;
        if sources.len() > 1 {
            return refuse(format!("{} flow together without a join", sources.join(" and ")));
        }
        select.fields = match picked {
            None => {
                [SelectField::All { except: Vec::new(), replace: Vec::new() }].into_iter().chain(computed).collect()
            }
            Some(picked) => {
                let hidden = computed.into_iter().filter(|field| !picked.contains(field));
                let hidden: Vec<SelectField> = hidden.map(hide).collect();
                picked.into_iter().chain(hidden).collect()
            }
        };
        if let Some((source, aggregate)) = script {
            let args = vec![Expr::Str(source), Expr::Bool(aggregate)];
            let call = Call { name: crate::plan::SCRIPT.into(), args, filter: None, over: None };
            select.fields.push(SelectField::Expr { expr: Expr::Call(Box::new(call)), alias: None, invisible: false });
        }
        Ok(select)
    }
}

/// Other fields may use it; it is not sent.
fn hide(field: SelectField) -> SelectField {
    match field {
        SelectField::Expr { expr, alias, .. } => SelectField::Expr { expr, alias, invisible: true },
        all => all,
    }
}

fn and(place: &mut Option<Expr>, condition: Expr) {
    *place = Some(match place.take() {
        None => condition,
        Some(before) => Expr::Binary(BinaryOp::And, Box::new(before), Box::new(condition)),
    });
}

/// Whether a picked column is the one a function computed.
fn same_name(computed: &SelectField, picked: &SelectField) -> bool {
    match (computed, picked) {
        (
            SelectField::Expr { alias: Some(alias), .. },
            SelectField::Expr { expr: Expr::Column(column), alias: None, .. },
        ) => *alias == column.name,
        _ => false,
    }
}
