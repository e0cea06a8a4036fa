//! Replacing objects, and the one way every change of an existing object goes: merge with what it may change, check, write.

use std::sync::Arc;

use edgeward_objects::{ApiError, Object};
use edgeward_store::Entry;
use http::StatusCode;

use super::{decode, metadata, store};
use crate::call::Call;
use crate::http::reply::Reply;
use crate::{admission, render, schema};

/// Which part of an object a request may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All but the status, where that is a subresource.
    Main,
    /// `/status`, and `/approval` of certificate requests.
    Status,
    /// `/finalize` of namespaces.
    Finalizers,
    /// `/ephemeralcontainers` and `/resize` of pods: the spec, past the rules for ordinary updates.
    Spec,
}

/// How often an unconditional update is repeated when somebody else was faster.
const TRIES: usize = 16;

/// `update`
pub(crate) async fn update(call: &Call, part: Part) -> Result<Reply, ApiError> {
    let sent = decode::object(call)?;
    if sent.name() != call.name() {
        let text =
            format!("the name of the object ({}) does not match the name on the URL ({})", sent.name(), call.name());
        return Err(ApiError::bad_request(text));
    }
    let mut tries = 0;
    loop {
        let old = call.stored().await?;
        let before = render::object(&old, &call.served)?;
        match change(call, part, &old, &before, sent.clone()).await {
            // With a resourceVersion the conflict is the client's to solve.
            Err(error) if error.code == 409 && sent.resource_version().is_empty() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Changes a stored object (`before` is what `old` holds) into `new`, as far as `part` goes, and answers with the outcome.
pub(crate) async fn change(
    call: &Call,
    part: Part,
    old: &Arc<Entry>,
    before: &Object,
    new: Object,
) -> Result<Reply, ApiError> {
    let dry = call.query.dry_run()?;
    let asked = new.resource_version();
    if !asked.is_empty() && asked != "0" && asked != old.revision.to_string() {
        return Err(ApiError::modified(&call.served.resource, call.name()));
    }
    let mut after = merge_part(call, part, before, new);
    metadata::carry(call, before, &mut after)?;
    check_finalizers(call, before, &after)?;
    schema::admit(call, &mut after, Some(before))?;
    let reservation = admission::update(call, part, before, &mut after).await?;
    // Last, so that what was pruned or filled in does not count as a wish of the user.
    metadata::bump_generation(&call.served, before, &mut after);
    if dry {
        return call.answer_object(StatusCode::OK, &after);
    }
    if super::delete::is_due(&call.served, &after) {
        let entry = store::remove(call, old.key.clone(), Some(old.revision), Some(&after)).await?;
        return call.answer(StatusCode::OK, &entry);
    }
    let entry = store::replace(call, old, &after).await?;
    reservation.keep();
    call.answer(StatusCode::OK, &entry)
}

/// The new state as far as the request may decide it.
fn merge_part(call: &Call, part: Part, old: &Object, new: Object) -> Object {
    match part {
        Part::Main => {
            let mut merged = new;
            if call.served.has_status() {
                copy(old, &mut merged, "status");
            }
            if call.served.is_core("namespaces") {
                copy(old, &mut merged, "spec");
            }
            merged
        }
        Part::Status => {
            let mut merged = old.clone();
            copy(&new, &mut merged, "status");
            // Kubelets set labels and annotations with the status; other kinds keep their metadata.
            if call.served.is_core("pods") || call.served.is_core("nodes") {
                copy(&new, &mut merged, "metadata");
            }
            merged
        }
        Part::Finalizers | Part::Spec => {
            let mut merged = old.clone();
            copy(&new, &mut merged, "spec");
            merged
        }
    }
}

fn copy(from: &Object, to: &mut Object, key: &str) {
    match from.get(&[key]) {
        Some(value) => to.set(&[key], value.clone()),
        None => {
            to.remove(&[key]);
        }
    }
}

/// Who is being deleted gets no new finalizers.
fn check_finalizers(call: &Call, old: &Object, new: &Object) -> Result<(), ApiError> {
    if !old.is_deleting() {
        return Ok(());
    }
    let added: Vec<&str> =
        new.finalizers().filter(|finalizer| !old.finalizers().any(|known| known == *finalizer)).collect();
    if added.is_empty() {
        return Ok(());
    }
    let detail =
        format!("no new finalizers can be added if the object is being deleted, found new finalizers {added:?}");
    Err(call.invalid(old.name(), vec![edgeward_objects::Cause::forbidden("metadata.finalizers", &detail)]))
}
