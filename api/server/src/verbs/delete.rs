//! Deleting: at once, gracefully (pods on a node), or after finalizers.

use std::sync::Arc;

use edgeward_objects::{ApiError, Object};
use edgeward_service::clock;
use edgeward_store::Entry;
use futures::{StreamExt as _, TryStreamExt as _};
use http::StatusCode;
use serde_json::{Value, json};

use super::{list, store};
use crate::admission;
use crate::call::Call;
use crate::catalog::Served;
use crate::http::reply::Reply;
use crate::render;
use crate::select::Filter;

/// Set while dependents are to go first; the garbage collector removes it.
const FOREGROUND: &str = "foregroundDeletion";
/// Set while dependents are to be kept; the garbage collector removes it.
const ORPHAN: &str = "orphan";
/// What a pod gets that does not say.
const GRACE_SECONDS: i64 = 30;
/// Deletions of one deletecollection that wait for the disk together.
const TOGETHER: usize = 32;
const TRIES: usize = 16;

/// `DeleteOptions`, from the body or the query.
#[derive(Debug, Default)]
struct Options {
    grace: Option<i64>,
    uid: Option<String>,
    version: Option<String>,
    propagation: Option<String>,
    dry: bool,
}

/// `delete`
pub(crate) async fn delete(call: &Call) -> Result<Reply, ApiError> {
    delete_with(call, &body(call)?).await
}

/// `delete` with these DeleteOptions.
pub(crate) async fn delete_with(call: &Call, body: &Value) -> Result<Reply, ApiError> {
    let options = options(call, body)?;
    let mut tries = 0;
    loop {
        let old = call.stored().await?;
        match delete_entry(call, &options, &old).await {
            Err(error) if error.code == 409 && options.version.is_none() && options.uid.is_none() && tries < TRIES => {
                tries += 1
            }
            result => return result,
        }
    }
}

/// `deletecollection`
pub(crate) async fn delete_collection(call: &Call) -> Result<Reply, ApiError> {
    let options = options(call, &body(call)?)?;
    let filter = Filter::parse(&call.query, &call.served)?;
    let found = list::everything(call, &filter).await?;
    let options = &options;
    let each = found.entries.into_iter().map(|entry| delete_listed(call, options, entry));
    futures::stream::iter(each).buffer_unordered(TOGETHER).try_collect::<Vec<()>>().await?;
    Ok(Reply::json(success(call, None)))
}

async fn delete_listed(call: &Call, options: &Options, entry: Arc<Entry>) -> Result<(), ApiError> {
    match delete_entry(call, options, &entry).await {
        // Somebody else deleted or changed it meanwhile; the list is a snapshot.
        Err(error) if error.code != 404 && error.code != 409 => Err(error),
        _ => Ok(()),
    }
}

/// The body of a deletion; most clients send none.
fn body(call: &Call) -> Result<Value, ApiError> {
    if call.body.is_empty() { Ok(Value::Null) } else { call.body_value() }
}

fn options(call: &Call, body: &Value) -> Result<Options, ApiError> {
    let text = |pointer: &str| {
        body.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let orphan = body.get("orphanDependents").and_then(Value::as_bool);
    let old_style = orphan.map(|orphan| if orphan { "Orphan" } else { "Background" }.to_owned());
    let options = Options {
        grace: body.get("gracePeriodSeconds").and_then(Value::as_i64).or(call.query.number("gracePeriodSeconds")?),
        uid: text("/preconditions/uid"),
        version: text("/preconditions/resourceVersion"),
        propagation: text("/propagationPolicy")
            .or_else(|| call.query.get("propagationPolicy").map(str::to_owned))
            .or(old_style),
        dry: call.query.dry_run()? || body.get("dryRun").and_then(Value::as_array).is_some_and(|list| !list.is_empty()),
    };
    match options.propagation.as_deref() {
        None | Some("Foreground" | "Background" | "Orphan") => Ok(options),
        Some(other) => Err(ApiError::invalid(
            "meta.k8s.io",
            "DeleteOptions",
            "",
            vec![edgeward_objects::Cause::unsupported(
                "propagationPolicy",
                &json!(other),
                ["Foreground", "Background", "Orphan"],
            )],
        )),
    }
}

async fn delete_entry(call: &Call, options: &Options, old: &Arc<Entry>) -> Result<Reply, ApiError> {
    let before = render::object(old, &call.served)?;
    check_preconditions(call, options, old, &before)?;
    admission::delete(call, &before)?;
    let mut after = before.clone();
    set_finalizers(options, &mut after);
    let grace = grace(call, options, &before);
    mark(&mut after, grace);
    if call.served.is_core("namespaces") {
        after.set(&["status", "phase"], "Terminating");
    }
    if options.dry {
        return call.answer_object(StatusCode::OK, &after);
    }
    if let Some(reply) = crate::catalog::removal::delete_objects_first(call, old, &after).await? {
        return Ok(reply);
    }
    if is_due(&call.served, &after) {
        let entry = store::remove(call, old.key.clone(), Some(old.revision), None).await?;
        // These kinds answer with what was deleted, the others with a Status.
        let whole = [
            "pods",
            "services",
            "persistentvolumes",
            "persistentvolumeclaims",
            "serviceaccounts",
            "podtemplates",
            "resourcequotas",
        ];
        return if whole.iter().any(|plural| call.served.is_core(plural)) {
            call.answer(StatusCode::OK, &entry)
        } else {
            Ok(Reply::json(success(call, Some(&before))))
        };
    }
    let entry = store::replace(call, old, &after).await?;
    call.answer(StatusCode::OK, &entry)
}

fn check_preconditions(call: &Call, options: &Options, old: &Entry, object: &Object) -> Result<(), ApiError> {
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != object.uid()) {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {}", object.uid());
        return Err(ApiError::conflict(&call.served.resource, object.name(), &why));
    }
    if let Some(version) = options.version.as_deref().filter(|version| *version != old.revision.to_string()) {
        let why = format!(
            "Precondition failed: ResourceVersion in precondition: {version}, ResourceVersion in object meta: {}",
            old.revision
        );
        return Err(ApiError::conflict(&call.served.resource, object.name(), &why));
    }
    Ok(())
}

fn set_finalizers(options: &Options, object: &mut Object) {
    let Some(policy) = options.propagation.as_deref() else { return };
    let kept = object.finalizers().filter(|known| *known != FOREGROUND && *known != ORPHAN).map(str::to_owned);
    let mut finalizers: Vec<String> = kept.collect();
    match policy {
        "Foreground" => finalizers.push(FOREGROUND.to_owned()),
        "Orphan" => finalizers.push(ORPHAN.to_owned()),
        _ => {}
    }
    if finalizers.is_empty() {
        object.remove(&["metadata", "finalizers"]);
    } else {
        object.set(&["metadata", "finalizers"], finalizers);
    }
}

/// Seconds until the object may be removed. Only pods on a node that have not ended get any: their kubelet stops them and
/// deletes them again with grace 0.
fn grace(call: &Call, options: &Options, object: &Object) -> i64 {
    if !call.served.is_core("pods") || object.get_str(&["spec", "nodeName"]).unwrap_or_default().is_empty() {
        return 0;
    }
    if matches!(object.get_str(&["status", "phase"]), Some("Succeeded" | "Failed")) {
        return 0;
    }
    let wanted =
        options.grace.or_else(|| object.get_i64(&["spec", "terminationGracePeriodSeconds"])).unwrap_or(GRACE_SECONDS);
    // A negative period means the shortest graceful one.
    if wanted < 0 { 1 } else { wanted }
}

/// Marks an object as being deleted; a period that runs already is only ever shortened.
fn mark(object: &mut Object, grace: i64) {
    let running = object.get_i64(&["metadata", "deletionGracePeriodSeconds"]);
    if object.is_deleting() && running.is_none_or(|running| running <= grace) {
        return;
    }
    let due = u64::try_from(clock::now_ms() / 1_000 + grace).unwrap_or(0);
    object.set(&["metadata", "deletionTimestamp"], clock::rfc3339(due));
    object.set(&["metadata", "deletionGracePeriodSeconds"], grace);
    if object.generation() > 0 {
        object.set(&["metadata", "generation"], object.generation() + 1);
    }
}

/// Whether nothing keeps an object that is being deleted.
pub(crate) fn is_due(served: &Served, object: &Object) -> bool {
    let graceful = object.get_i64(&["metadata", "deletionGracePeriodSeconds"]).unwrap_or(0) > 0;
    let namespace_busy = served.is_core("namespaces") && !object.get_list(&["spec", "finalizers"]).is_empty();
    object.is_deleting() && !graceful && !namespace_busy && object.finalizers().next().is_none()
}

fn success(call: &Call, object: Option<&Object>) -> String {
    let mut details = json!({"group": &*call.served.kind.group, "kind": &*call.served.kind.plural});
    if let Some(object) = object {
        details = json!({"name": object.name(), "group": &*call.served.kind.group, "kind": &*call.served.kind.plural, "uid": object.uid()});
    }
    if call.served.kind.group.is_empty()
        && let Some(details) = details.as_object_mut()
    {
        details.shift_remove("group");
    }
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}).to_string()
}
