//! `GET /rules/{id}/schema`: the columns a rule gives.

use edgeward_sql::ast::{CreateStream, Select};
use serde_json::{Value, json};

use crate::catalog::schema_type;

/// The columns of a statement that are columns of its streams, with their types; `{"type": ""}` for what is computed.
pub(crate) fn schema(select: &Select, stream: &dyn Fn(&str) -> Option<CreateStream>) -> Value {
    let sources = std::iter::once(&select.from).chain(select.joins.iter().map(|join| &join.source));
    let inputs: Vec<CreateStream> = sources.filter_map(|source| stream(&source.name)).collect();
    let declared = || inputs.iter().flat_map(|create| &create.fields);
    let mut columns = serde_json::Map::new();
    for field in &select.fields {
        let text = field.to_string();
        if text.starts_with('*') {
            columns.extend(declared().map(|field| (field.name.clone(), schema_type(&field.data_type))));
            continue;
        }
        let (expression, name) = text.rsplit_once(" AS ").unwrap_or((&text, &text));
        let known = declared().find(|field| field.name == expression);
        columns.insert(name.to_owned(), known.map_or(json!({"type": ""}), |field| schema_type(&field.data_type)));
    }
    columns.into()
}
