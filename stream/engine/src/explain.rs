//! `GET /rules/{id}/explain`: one line for each step of the plan, indented by a tab more than the step it feeds.

use edgeward_sql::ast::{Select, SelectField};
use serde_json::json;

/// The plan of a statement, last step first.
pub fn explain(select: &Select) -> String {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let mut steps =
        vec![("ProjectPlan", format!("Fields:[ {} ]", list(&mut select.fields.iter().map(SelectField::to_string))))];
    if !select.order_by.is_empty() {
        steps.push((
            "OrderPlan",
            format!("SortFields:[ {} ]", list(&mut select.order_by.iter().map(ToString::to_string))),
        ));
    }
    if let Some(having) = &select.having {
        steps.push(("HavingPlan", format!("Condition:{{ {having} }}")));
    }
    if !select.group_by.is_empty() {
        steps.push((
            "AggregatePlan",
            format!("Dimension:{{ {} }}", list(&mut select.group_by.iter().map(ToString::to_string))),
        ));
    }
    if let Some(condition) = &select.condition {
        steps.push(("FilterPlan", format!("Condition:{{ {condition} }}")));
    }
    if !select.joins.is_empty() {
        steps.push(("JoinPlan", format!("Joins:[ {} ]", list(&mut select.joins.iter().map(ToString::to_string)))));
    }
    if let Some(window) = &select.window {
        steps.push(("WindowPlan", window.to_string()));
    }
    let depth = steps.len();
    let mut lines: Vec<String> =
        steps.iter().enumerate().map(|(index, (op, info))| line(index, index, op, info)).collect();
    let sources = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.source));
    lines.extend(
        sources.enumerate().map(|(index, source)| {
            line(depth, depth + index, "DataSourcePlan", &format!("StreamName: {}", source.name))
        }),
    );
    lines.join("\n")
}

fn line(indent: usize, number: usize, op: &str, info: &str) -> String {
    format!("{}{}", "\t".repeat(indent), json!({"op": format!("{op}_{number}"), "info": info}))
}
