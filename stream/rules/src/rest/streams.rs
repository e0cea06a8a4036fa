//! `/streams`, `/tables` and their details.

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::routing::get;
use edgeward_sql::ast::{StreamKind, TableKind};
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use super::reply::{Prefixed, Reply, Statement, document, text};
use crate::{Handle, catalog};

pub(super) fn routes() -> Router<Handle> {
    Router::new()
        .merge(of_kind(StreamKind::Stream, ["/streams", "/streams/{name}", "/streamdetails", "/streams/{name}/schema"]))
        .merge(of_kind(StreamKind::Table, ["/tables", "/tables/{name}", "/tabledetails", "/tables/{name}/schema"]))
}

/// Texts of one kind's errors.
#[derive(Clone, Copy)]
struct Words {
    command: &'static str,
    describe: &'static str,
    delete: &'static str,
    schema: &'static str,
}

fn words(kind: StreamKind) -> Words {
    match kind {
        StreamKind::Stream => Words {
            command: "Stream command error",
            describe: "describe stream error",
            delete: "delete stream error",
            schema: "get schema of stream error",
        },
        StreamKind::Table => Words {
            command: "Table command error",
            describe: "describe table error",
            delete: "delete table error",
            schema: "get schema of table error",
        },
    }
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

impl Kind {
    /// The tables that are asked for; none for all.
    fn table(&self) -> Option<TableKind> {
        match self.kind.as_deref() {
            Some("lookup") => Some(TableKind::Lookup),
            Some("scan") => Some(TableKind::Scan),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Force {
    force: Option<String>,
}

fn of_kind(kind: StreamKind, [all, one, details, schema]: [&'static str; 4]) -> Router<Handle> {
    let list = move |State(handle): State<Handle>, Query(query): Query<Kind>| async move {
        document(json!(handle.stream_names(kind, query.table())))
    };
    let create = move |State(handle): State<Handle>, body: String| async move {
        let statement = Statement::read(&body)?;
        text(StatusCode::CREATED, handle.execute(&statement.sql).await.or_fail(words(kind).command)?)
    };
    let describe = move |State(handle): State<Handle>, Path(name): Path<String>| async move {
        document(handle.describe(kind, &name).or_fail(words(kind).describe)?)
    };
    let replace = move |State(handle): State<Handle>, Path(name): Path<String>, body: String| async move {
        let statement = Statement::read(&body)?;
        let answer = handle.replace_stream(kind, &name, &statement.sql).await;
        text(StatusCode::OK, answer.or_fail(words(kind).command)?)
    };
    let delete = move |State(handle): State<Handle>, Path(name): Path<String>, Query(query): Query<Force>| async move {
        let answer = handle.drop_stream(kind, &name, query.force.as_deref() == Some("true")).await;
        text(StatusCode::OK, answer.or_fail(words(kind).delete)?)
    };
    let show_details = move |State(handle): State<Handle>, Query(query): Query<Kind>| async move {
        let reply: Reply = document(handle.registry.world.catalog.details(kind, query.table()));
        reply
    };
    let show_schema = move |State(handle): State<Handle>, Path(name): Path<String>| async move {
        let create = handle.registry.world.catalog.get(kind, &name).or_fail(words(kind).schema)?;
        document(catalog::schema(&create.fields))
    };
    Router::new()
        .route(schema, get(show_schema))
        .route(all, get(list).post(create))
        .route(one, get(describe).put(replace).delete(delete))
        .route(details, get(show_details))
}
