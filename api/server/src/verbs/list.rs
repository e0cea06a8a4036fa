//! Lists: pages, snapshots, selectors, and the three forms.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use edgeward_objects::ApiError;
use edgeward_store::{Entry, Key, ListQuery, Revision};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::read::invalid_resource_version;
use crate::call::Call;
use crate::http::media::Form;
use crate::http::reply::Reply;
use crate::render;
use crate::select::Filter;
use crate::tables;

/// Entries read at once when a selector picks few of many.
const STEP: usize = 1_000;

/// What one list collected.
pub(crate) struct Listed {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) revision: Revision,
    next: Option<String>,
    remaining: Option<u64>,
}

/// Where a continued list goes on; opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
struct Continue {
    rv: Revision,
    namespace: Option<String>,
    name: String,
}

/// `list`
pub(crate) async fn list(call: &Call) -> Result<Reply, ApiError> {
    let mut filter = Filter::parse(&call.query, &call.served)?;
    if let Some(name) = &call.path.name {
        filter = filter.and_name(name);
    }
    let listed = collect(call, &filter).await?;
    let bytes = match call.form {
        Form::Full => full(call, &listed)?,
        Form::Partial => partial(call, &listed)?,
        Form::Table => table(call, &listed)?,
    };
    Ok(Reply::json(bytes))
}

/// Reads the entries a list query means.
pub(crate) async fn collect(call: &Call, filter: &Filter) -> Result<Listed, ApiError> {
    let limit = call.query.number::<usize>("limit")?.unwrap_or(0);
    let (at, mut after) = start(call)?;
    if let Some(name) = filter.name().filter(|_| at.is_none() && after.is_none())
        && (call.path.namespace.is_some() || !call.served.kind.namespaced)
    {
        return one(call, filter, name).await;
    }
    let (mut entries, mut at) = (Vec::new(), at);
    loop {
        let query = ListQuery { scope: call.scope(), at, limit: read_at_once(limit, filter), after: after.take() };
        let page = call.server.store.list(query).await.map_err(|error| continued_error(call, error))?;
        // All pages of one list show the same moment.
        at = Some(page.revision);
        let (more, last) = (page.more(), page.entries.last().map(|entry| entry.key.clone()));
        let count = page.entries.len();
        for (index, entry) in page.entries.into_iter().enumerate() {
            if !filter.lets_through(&entry) {
                continue;
            }
            let key = entry.key.clone();
            entries.push(entry);
            if limit > 0 && entries.len() == limit {
                let rest = page.remaining + (count - index - 1) as u64;
                let next = (rest > 0).then(|| token(page.revision, &key));
                let remaining = (rest > 0 && filter.is_empty()).then_some(rest);
                return Ok(Listed { entries, revision: page.revision, next, remaining });
            }
        }
        if !more || last.is_none() {
            return Ok(Listed { entries, revision: page.revision, next: None, remaining: None });
        }
        after = last;
    }
}

/// How many entries to read together: a selector may pick few of many.
fn read_at_once(limit: usize, filter: &Filter) -> usize {
    if filter.is_empty() || limit == 0 { limit } else { STEP.max(limit) }
}

/// Every entry a filter lets through, now, whatever paging the query asks for.
pub(crate) async fn everything(call: &Call, filter: &Filter) -> Result<Listed, ApiError> {
    if let Some(name) = filter.name().filter(|_| call.path.namespace.is_some() || !call.served.kind.namespaced) {
        return one(call, filter, name).await;
    }
    let query = ListQuery { scope: call.scope(), at: None, limit: 0, after: None };
    let page = call.server.store.list(query).await.map_err(|error| call.refused(error))?;
    let entries = page.entries.into_iter().filter(|entry| filter.lets_through(entry)).collect();
    Ok(Listed { entries, revision: page.revision, next: None, remaining: None })
}

/// A list that can hold one object only reads that object.
async fn one(call: &Call, filter: &Filter, name: &str) -> Result<Listed, ApiError> {
    // The revision first: what the entry shows is not older than the list says.
    let revision = call.server.store.revision();
    let entry = call.server.store.get(call.key_of(name)).await.map_err(|error| call.refused(error))?;
    let entries: Vec<Arc<Entry>> = entry.into_iter().filter(|entry| filter.lets_through(entry)).collect();
    let revision = entries.iter().map(|entry| entry.revision).fold(revision, Revision::max);
    Ok(Listed { entries, revision, next: None, remaining: None })
}

/// Which revision to read and behind which key.
fn start(call: &Call) -> Result<(Option<Revision>, Option<Key>), ApiError> {
    let rule = call.query.get("resourceVersionMatch");
    let version = call.query.get("resourceVersion");
    if let Some(text) = call.query.get("continue") {
        if version.is_some_and(|version| version != "0") {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        let token: Continue =
            decode(text).ok_or_else(|| ApiError::bad_request("continue key is not valid: invalid continue token"))?;
        let key = Key::new(call.served.storage.clone(), token.namespace.as_deref(), &token.name);
        return Ok((Some(token.rv), Some(key)));
    }
    let Some(text) = version else {
        return match rule {
            Some(_) => {
                Err(ApiError::bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided"))
            }
            None => Ok((None, None)),
        };
    };
    let revision: Revision = text.parse().map_err(|_| invalid_resource_version(text))?;
    let current = call.server.store.revision();
    if revision > current {
        return Err(ApiError::too_large_resource_version(revision, current));
    }
    let limited = call.query.number::<usize>("limit")?.unwrap_or(0) > 0;
    match rule {
        Some("Exact") if revision == 0 => {
            Err(ApiError::bad_request("resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""))
        }
        Some("Exact") => Ok((Some(revision), None)),
        Some("NotOlderThan") => Ok((None, None)),
        Some(other) => Err(ApiError::bad_request(format!(
            "resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\""
        ))),
        // Kubernetes' rule since 1.19: with a limit, an unmatched version means exactly that version.
        None if limited && revision > 0 => Ok((Some(revision), None)),
        None => Ok((None, None)),
    }
}

fn continued_error(call: &Call, error: edgeward_store::StoreError) -> ApiError {
    match (&error, call.query.get("continue")) {
        (edgeward_store::StoreError::Compacted { .. }, Some(_)) => ApiError::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter.",
        ),
        _ => call.refused(error),
    }
}

fn token(revision: Revision, key: &Key) -> String {
    let token =
        Continue { rv: revision, namespace: key.namespace.as_deref().map(str::to_owned), name: key.name.to_string() };
    // A struct of texts and a number always serialises.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&token).unwrap_or_default())
}

fn decode(text: &str) -> Option<Continue> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

fn metadata(listed: &Listed) -> serde_json::Value {
    let mut metadata = json!({"resourceVersion": listed.revision.to_string()});
    if let Some(next) = &listed.next {
        metadata["continue"] = json!(next);
    }
    if let Some(remaining) = listed.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    metadata
}

fn full(call: &Call, listed: &Listed) -> Result<Vec<u8>, ApiError> {
    let size: usize = listed.entries.iter().map(|entry| entry.value.len() + 48).sum();
    let mut out = Vec::with_capacity(size + 256);
    let head = json!({"kind": call.served.kind.list_kind, "apiVersion": call.served.api_version, "metadata": metadata(listed)}).to_string();
    out.extend_from_slice(head.trim_end_matches('}').as_bytes());
    // trim_end_matches took the brace of the metadata too.
    out.extend_from_slice(b"},\"items\":[");
    for (index, entry) in listed.entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        render::full(entry, &call.served, &mut out)?;
    }
    out.extend_from_slice(b"]}\n");
    Ok(out)
}

fn partial(call: &Call, listed: &Listed) -> Result<Vec<u8>, ApiError> {
    let items = listed.entries.iter().map(|entry| Ok(render::partial(&render::object(entry, &call.served)?)));
    let items = items.collect::<Result<Vec<_>, ApiError>>()?;
    let list = json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": metadata(listed), "items": items});
    Ok(list.to_string().into_bytes())
}

fn table(call: &Call, listed: &Listed) -> Result<Vec<u8>, ApiError> {
    let (include, now) = (call.include()?, Timestamp::now());
    let rows = listed
        .entries
        .iter()
        .map(|entry| Ok(tables::row(&call.served, &render::object(entry, &call.served)?, include, now)));
    let rows = rows.collect::<Result<Vec<_>, ApiError>>()?;
    Ok(tables::table(&call.served, rows, metadata(listed)).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use edgeward_objects::GroupResource;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tokens_are_read_back_and_junk_is_refused(rv in any::<u64>(), name in "\\PC{0,20}", junk in "\\PC*") {
            let key = Key::new(GroupResource::new("", "pods"), Some("ns"), &name);
            let read = decode(&token(rv, &key)).unwrap();
            prop_assert_eq!((read.rv, read.name, read.namespace.as_deref()), (rv, name, Some("ns")));
            let _ = decode(&junk);
        }
    }
}
