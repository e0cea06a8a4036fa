//! One INSERT for each row.

use edgeward_engine::json::Printer;
use edgeward_engine::{Emission, Sink, SinkError, Value};
use futures::future::BoxFuture;

use super::config::Config;
use crate::SinkOptions;
use crate::http::Failure;
use crate::sink::SentRow;

pub(super) struct TdengineSink {
    pub(super) config: Config,
    pub(super) options: SinkOptions,
}

impl TdengineSink {
    async fn write(&mut self, emission: &Emission) -> Result<(), SinkError> {
        for row in self.options.rows(emission)? {
            let sql = insert(&self.config, &row).map_err(SinkError::Rejected)?;
            let sent = self.config.request.request(sql.as_bytes(), &Value::Nil).await;
            let reply = sent.map_err(|failure| match failure {
                Failure::Passing(text) => SinkError::Recoverable(text),
                Failure::Bad(text) => SinkError::Rejected(text),
            })?;
            // The database answers 200 to a statement it refuses.
            let answer: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            if answer["code"].as_i64() != Some(0) {
                let reason = answer["desc"].as_str().unwrap_or("no reason");
                return Err(SinkError::Rejected(format!("tdengine refuses {sql}: {reason}")));
            }
        }
        Ok(())
    }
}

/// The statement for a row.
pub(super) fn insert(config: &Config, sent: &SentRow) -> Result<String, String> {
    let (data, row, fields) = (sent.data(), &sent.row, &*sent.fields);
    let tags: &[String] = config.super_table.as_ref().map_or(&[], |(_, tags)| tags);
    let mut names = vec![name(&config.time)?];
    let mut values = vec![match config.provides_time {
        true => literal(row.get(config.time.as_str()).unwrap_or(&Value::Nil))?,
        false => "now".to_owned(),
    }];
    if values == ["NULL"] {
        return Err(format!("time field {} not found", config.time));
    }
    for (field, value) in fields {
        if **field != *config.time && !tags.iter().any(|tag| **tag == **field) && !value.is_nil() {
            names.push(name(field)?);
            values.push(literal(value)?);
        }
    }
    let using = match &config.super_table {
        None => String::new(),
        Some((table, tags)) => {
            let tag = |tag: &String| literal(row.get(tag.as_str()).unwrap_or(&Value::Nil));
            let values = tags.iter().map(tag).collect::<Result<Vec<_>, _>>()?;
            let names = tags.iter().map(|tag| name(tag)).collect::<Result<Vec<_>, _>>()?;
            format!(" USING {} ({}) TAGS ({})", name(&table.render(&data)?)?, names.join(","), values.join(","))
        }
    };
    let table = name(&config.table.render(&data)?)?;
    // TDengine wants the tags before the columns.
    Ok(format!("INSERT INTO {table}{using} ({}) VALUES ({})", names.join(","), values.join(",")))
}

/// A name in back quotes, which keep its case.
fn name(name: &str) -> Result<String, String> {
    match name.is_empty() || name.contains(['`', '\0', '\n']) {
        true => Err(format!("{name:?} is no name for a table or column")),
        false => Ok(format!("`{name}`")),
    }
}

fn literal(value: &Value) -> Result<String, String> {
    let quoted = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    Ok(match value {
        Value::Nil => "NULL".to_owned(),
        Value::Int(int) => int.to_string(),
        Value::Float(float) if !float.is_finite() => return Err(format!("{float} cannot be stored")),
        Value::Float(float) => float.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Str(text) => quoted(text),
        Value::Time(time) => time.as_millisecond().to_string(),
        other => quoted(&Printer::default().text(other).map_err(|error| error.to_string())?),
    })
}

impl Sink for TdengineSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(self.write(emission))
    }
}
