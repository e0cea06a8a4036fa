//! From stored bytes to what goes over the wire.
//!
//! Stored values begin `{"apiVersion":…,"kind":…,"metadata":{` (see [`crate::verbs::store`]), so the usual answer is a copy
//! with the resourceVersion put in, without parsing. Everything else (another form, a conversion, defaults a newer CRD
//! brought) goes through an [`Object`].

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::{ApiError, Object};
use edgeward_store::Entry;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::catalog::Served;
use crate::convert;
use crate::http::media::Form;
use crate::select::Facets;
use crate::tables::{self, Include};

/// Writes one stored object as full JSON of the served version.
pub(crate) fn full(entry: &Entry, served: &Served, out: &mut Vec<u8>) -> Result<(), ApiError> {
    if !needs_parsing(entry, served)
        && let Some((kind, rest)) = take_apart(&entry.value)
    {
        write_head(out, &served.api_version, kind, entry.revision);
        if !rest.starts_with(b"}") {
            out.push(b',');
        }
        out.extend_from_slice(rest);
        return Ok(());
    }
    out.extend_from_slice(&object(entry, served)?.to_bytes());
    Ok(())
}

/// One stored object of the served version, with its resourceVersion.
pub(crate) fn object(entry: &Entry, served: &Served) -> Result<Object, ApiError> {
    let mut object = Object::from_bytes(&entry.value)
        .map_err(|error| ApiError::internal(format_args!("stored {} is unreadable: {error}", entry.key)))?;
    object.set(&["metadata", "resourceVersion"], entry.revision.to_string());
    convert::to_served(&mut object, served);
    if let (Some(custom), Some(schema)) = (&served.custom, &served.schema)
        && custom.has_defaults
    {
        schema.default(&mut object);
    }
    Ok(object)
}

/// One stored object in a form: whole, as metadata, or as a table of one row.
pub(crate) fn in_form(entry: &Entry, served: &Served, form: Form, include: Include) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::with_capacity(entry.value.len() + 64);
    match form {
        Form::Full => full(entry, served, &mut out)?,
        Form::Partial => out = partial(&object(entry, served)?).to_string().into_bytes(),
        Form::Table => {
            let object = object(entry, served)?;
            let row = tables::row(served, &object, include, Timestamp::now());
            let metadata = json!({"resourceVersion": entry.revision.to_string()});
            out = tables::table(served, vec![row], metadata).to_string().into_bytes();
        }
    }
    Ok(out)
}

/// An object that is in memory only (an answer to a write, a dry run) in a form.
pub(crate) fn object_in_form(object: &Object, served: &Served, form: Form, include: Include) -> Vec<u8> {
    match form {
        Form::Full => object.to_bytes(),
        Form::Partial => partial(object).to_string().into_bytes(),
        Form::Table => {
            let row = tables::row(served, object, include, Timestamp::now());
            let metadata = json!({"resourceVersion": object.resource_version()});
            tables::table(served, vec![row], metadata).to_string().into_bytes()
        }
    }
}

/// `PartialObjectMetadata`
pub(crate) fn partial(object: &Object) -> Value {
    let metadata = object.get(&["metadata"]).cloned().unwrap_or_else(|| json!({}));
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata})
}

fn needs_parsing(entry: &Entry, served: &Served) -> bool {
    convert::changes_fields(served)
        // An object written before the CRD last changed may lack defaults the CRD has now.
        || served.custom.as_ref().is_some_and(|custom| custom.has_defaults && entry.revision < custom.revision)
}

/// The kind, and everything behind `"metadata":{`; `None` if the value does not begin the way this server writes it.
fn take_apart(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = value.strip_prefix(br#"{"apiVersion":""#)?;
    let rest = &rest[rest.iter().position(|byte| *byte == b'"')?..];
    let rest = rest.strip_prefix(br#"","kind":""#)?;
    let end = rest.iter().position(|byte| *byte == b'"')?;
    let (kind, rest) = rest.split_at(end);
    Some((kind, rest.strip_prefix(br#"","metadata":{"#)?))
}

fn write_head(out: &mut Vec<u8>, api_version: &str, kind: &[u8], revision: u64) {
    out.extend_from_slice(br#"{"apiVersion":""#);
    out.extend_from_slice(api_version.as_bytes());
    out.extend_from_slice(br#"","kind":""#);
    out.extend_from_slice(kind);
    out.extend_from_slice(br#"","metadata":{"resourceVersion":""#);
    out.extend_from_slice(revision.to_string().as_bytes());
    out.push(b'"');
}

/// How many recent states are kept rendered; a power of two well above the number of changes in flight.
const SLOTS: usize = 512;

/// Recent states as watches need them: each is parsed and rendered once, however many watches there are. Direct-mapped by
/// revision, so its size is fixed and nothing has to be evicted.
pub(crate) struct Rendered {
    slots: Vec<Mutex<Option<Arc<State>>>>,
}

/// One state of one object and what was rendered of it so far.
pub(crate) struct State {
    pub(crate) entry: Arc<Entry>,
    facets: Facets,
    forms: Mutex<Vec<(FormKey, Bytes)>>,
}

/// API version, form and included object.
type FormKey = (Arc<str>, Form, Include);

impl Rendered {
    pub(crate) fn new() -> Self {
        Self { slots: std::iter::repeat_with(|| Mutex::new(None)).take(SLOTS).collect() }
    }

    /// The shared state behind an entry.
    pub(crate) fn state(&self, entry: &Arc<Entry>) -> Arc<State> {
        let slot = usize::try_from(entry.revision).unwrap_or(0) % SLOTS;
        let mut slot = self.slots[slot].lock();
        if let Some(state) =
            slot.as_ref().filter(|state| state.entry.revision == entry.revision && state.entry.key == entry.key)
        {
            return state.clone();
        }
        let state = Arc::new(State { entry: entry.clone(), facets: Facets::default(), forms: Mutex::new(Vec::new()) });
        *slot = Some(state.clone());
        state
    }
}

impl State {
    /// Labels and selectable fields.
    pub(crate) fn facets(&self) -> &Facets {
        &self.facets
    }

    /// The object in a form, rendered at most once per form.
    pub(crate) fn form(&self, served: &Served, form: Form, include: Include) -> Result<Bytes, ApiError> {
        let key: FormKey = (served.api_version.as_str().into(), form, include);
        if let Some((_, bytes)) = self.forms.lock().iter().find(|(known, _)| *known == key) {
            return Ok(bytes.clone());
        }
        let bytes = Bytes::from(in_form(&self.entry, served, form, include)?);
        self.forms.lock().push((key, bytes.clone()));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_beginning_is_taken_apart() {
        let taken = |text: &str| {
            take_apart(text.as_bytes()).map(|(kind, rest)| {
                (String::from_utf8_lossy(kind).into_owned(), String::from_utf8_lossy(rest).into_owned())
            })
        };
        let good = taken(r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"}}"#);
        assert_eq!(good, Some(("Pod".into(), r#""name":"x"}}"#.into())));
        for other in [
            "",
            "{",
            r#"{"kind":"Pod","apiVersion":"v1","metadata":{}}"#,
            r#"{"apiVersion":"v1","kind":"Pod","spec":{"metadata":{}}}"#,
            r#"{"apiVersion":"v1","kind":"Pod"}"#,
        ] {
            assert_eq!(taken(other), None, "{other}");
        }
    }
}
