//! A payload inside a row: `payloadField` with a format of its own, in the row or in each item of `payloadBatchField`.
//!
//! What is decoded joins the columns of the row it stood in, and takes the place of the payload.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::json::{JsonError, Numbers, decoder_complaint, parse};
use edgeward_engine::{Decode, Map, Value};

use super::{FormatRequest, of_format};
use crate::{ConnectError, Props, Schemas};

/// None is JSON.
type Format = Option<Box<dyn Decode>>;

struct Inside {
    main: Format,
    payload: Format,
    field: String,
    batch: Option<String>,
}

/// The decoder of a stream with such payloads; `main` itself without `payloadField`.
///
/// # Errors
/// A property is wrong.
pub(super) fn inside(props: &Props, main: Format, schemas: &Schemas) -> Result<Format, ConnectError> {
    let Some(field) = props.text("payloadField")? else {
        for key in ["payloadBatchField", "payloadFormat", "payloadSchemaId", "payloadDelimiter"] {
            if props.text(key)?.is_some() {
                return Err(ConnectError::Missing("payloadField"));
            }
        }
        return Ok(main);
    };
    let request = FormatRequest {
        format: props.text("payloadFormat")?.unwrap_or_default(),
        schema_id: props.text("payloadSchemaId")?,
        delimiter: props.text("payloadDelimiter")?,
        ..FormatRequest::default()
    };
    let payload = of_format(&request, schemas)?;
    let batch = props.text("payloadBatchField")?.map(str::to_owned);
    Ok(Some(Box::new(Inside { main, payload, field: field.to_owned(), batch })))
}

impl Decode for Inside {
    fn decode(&mut self, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        let mut outer = Vec::new();
        decode(&mut self.main, payload, &mut outer)?;
        for row in outer {
            match &self.batch {
                None => self.unfold(&row, rows)?,
                Some(batch) => {
                    let items = row.get(batch.as_str()).and_then(Value::as_array);
                    let items = items.ok_or_else(|| format!("payloadBatchField {batch} is no array in the message"))?;
                    let mut common = (*row).clone();
                    common.remove(batch.as_str());
                    for item in items {
                        let item = item.as_map().ok_or("an item of payloadBatchField is no object")?;
                        let mut whole = common.clone();
                        whole.extend(item.iter().map(|(name, value)| (name.clone(), value.clone())));
                        self.unfold(&whole, rows)?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Inside {
    /// Appends the rows of the payload in `row`, each with the other columns.
    fn unfold(&mut self, row: &Map, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
        let payload = match row.get(self.field.as_str()) {
            Some(Value::Bytes(bytes)) => Bytes::clone(bytes),
            Some(Value::Str(text)) => Bytes::copy_from_slice(text.as_bytes()),
            Some(_) => return Err(format!("payloadField {} is neither text nor bytes", self.field)),
            None => return Err(format!("payloadField {} not found in the message", self.field)),
        };
        let mut inner = Vec::new();
        decode(&mut self.payload, &payload, &mut inner)?;
        for decoded in inner {
            let mut whole = row.clone();
            whole.remove(self.field.as_str());
            whole.extend(decoded.iter().map(|(name, value)| (name.clone(), value.clone())));
            rows.push(Arc::new(whole));
        }
        Ok(())
    }
}

fn decode(format: &mut Format, payload: &Bytes, rows: &mut Vec<Arc<Map>>) -> Result<(), String> {
    if let Some(decoder) = format {
        return decoder.decode(payload, rows);
    }
    let no_row = || "only map[string]interface{} and []map[string]interface{} is supported".to_owned();
    let unreadable = |error: JsonError| decoder_complaint(payload).unwrap_or_else(|| error.to_string());
    match parse(payload, Numbers::Float).map_err(unreadable)? {
        Value::Map(row) => rows.push(row),
        Value::Array(items) => {
            for item in items.iter() {
                rows.push(item.as_map().cloned().ok_or_else(no_row)?);
            }
        }
        _ => return Err(no_row()),
    }
    Ok(())
}
