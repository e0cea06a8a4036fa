//! Subresources, and the resources that are answered and never stored.

pub(crate) mod log;
mod pods;
pub(crate) mod reviews;
mod scale;
mod tokens;

use std::sync::Arc;

use edgeward_objects::{ApiError, Reason};

use crate::call::Call;
use crate::http::reply::Reply;
use crate::verbs::update::Part;
use crate::verbs::{Verb, patch, read, update};

/// Handles a verb on a subresource that discovery lists.
pub(crate) async fn handle(call: &Arc<Call>, verb: Verb) -> Result<Reply, ApiError> {
    let name = call.path.subresource.as_deref().unwrap_or_default();
    if call.path.rest.is_some() && name != "proxy" {
        return Err(ApiError::unknown_resource());
    }
    match (&*call.served.kind.plural, name) {
        (_, "status" | "approval") => part(call, verb, Part::Status).await,
        ("namespaces", "finalize") => part(call, verb, Part::Finalizers).await,
        ("pods", "ephemeralcontainers" | "resize") => part(call, verb, Part::Spec).await,
        ("pods", "binding") => pods::bind(call).await,
        ("pods", "eviction") => pods::evict(call).await,
        ("pods", "log") => log::log(call).await,
        ("serviceaccounts", "token") => tokens::request(call).await,
        (_, "scale") => scale::handle(call, verb).await,
        _ => {
            let text = format!("{name} of {} is not supported by this server yet", call.served.resource);
            Err(ApiError::new(501, Reason::Unknown, text))
        }
    }
}

async fn part(call: &Call, verb: Verb, part: Part) -> Result<Reply, ApiError> {
    match verb {
        Verb::Get => read::get(call).await,
        Verb::Update => update::update(call, part).await,
        Verb::Patch => patch::patch(call, part).await,
        _ => Err(ApiError::method_not_supported(&call.served.resource, verb.as_str())),
    }
}
