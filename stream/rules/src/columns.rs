//! `GET /rules/{id}/schema`: the columns a rule gives.

use edgeward_sql::ast::{CreateStream, Expr, Select, SelectField};
use serde_json::{Map, Value, json};

use crate::catalog::schema_type;

/// The columns of a statement under the names its rows have. Columns of its streams have their types, what is computed has
/// `{"type": ""}`.
pub(crate) fn schema(select: &Select, stream: &dyn Fn(&str) -> Option<CreateStream>) -> Value {
    let sources = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.source));
    let inputs: Vec<CreateStream> = sources.filter_map(|source| stream(&source.name)).collect();
    let declared = || inputs.iter().flat_map(|create| &create.fields);
    let computed = || json!({"type": ""});
    let (mut columns, mut unnamed) = (Map::new(), 0);
    for field in &select.fields {
        match field {
            SelectField::All { except, replace } => {
                let left = declared().filter(|field| !except.contains(&field.name));
                columns.extend(left.map(|field| (field.name.clone(), schema_type(&field.data_type))));
                columns.extend(replace.iter().map(|(_, alias)| (alias.clone(), computed())));
            }
            SelectField::Expr { invisible: true, .. } => {}
            SelectField::Expr { expr, alias, .. } => {
                let known = match expr {
                    Expr::Column(column) => declared().find(|field| field.name == column.name),
                    _ => None,
                };
                let name = alias.clone().unwrap_or_else(|| name_of(expr, &mut unnamed));
                columns.insert(name, known.map_or_else(computed, |field| schema_type(&field.data_type)));
            }
        }
    }
    columns.into()
}

/// The name of a column without an alias.
fn name_of(expr: &Expr, unnamed: &mut usize) -> String {
    match expr {
        Expr::Column(column) => column.name.clone(),
        Expr::Call(call) => call.name.to_ascii_lowercase(),
        _ => {
            *unnamed += 1;
            format!("kuiper_field_{}", *unnamed - 1)
        }
    }
}
