//! What the server itself checks and fills in for built-in kinds before a write, in-process.

pub(crate) mod addresses;
mod certificates;
pub(crate) mod crds;
mod immutable;
pub(crate) mod namespaces;
mod pods;
mod secrets;
mod services;

use edgeward_objects::{ApiError, Object};

use crate::call::Call;
use crate::verbs::update::Part;
pub(crate) use addresses::Reservation;

/// Before a create. The reservation must be kept once the object is stored.
pub(crate) async fn create(call: &Call, object: &mut Object) -> Result<Reservation, ApiError> {
    match (&*call.served.kind.group, &*call.served.kind.plural) {
        ("", "namespaces") => namespaces::begin(object),
        ("", "pods") => pods::begin(object),
        ("", "secrets") => secrets::begin(object),
        ("", "services") => return services::begin(call, object),
        ("certificates.k8s.io", "certificatesigningrequests") => certificates::begin(call, object),
        ("apiextensions.k8s.io", "customresourcedefinitions") => crds::admit(call, object, None)?,
        _ => {}
    }
    Ok(Reservation::none())
}

/// Before an update of some part.
pub(crate) async fn update(call: &Call, part: Part, old: &Object, new: &mut Object) -> Result<Reservation, ApiError> {
    let (group, plural) = (&*call.served.kind.group, &*call.served.kind.plural);
    if part == Part::Main && call.served.custom.is_none() {
        let causes = immutable::faults(group, plural, old, new);
        if !causes.is_empty() {
            return Err(call.invalid(old.name(), causes));
        }
    }
    match (group, plural, part) {
        ("", "services", Part::Main) => return services::change(call, old, new),
        ("", "secrets", Part::Main) => secrets::begin(new),
        ("", "pods", Part::Main) => pods::check_change(call, old, new)?,
        ("apiextensions.k8s.io", "customresourcedefinitions", Part::Main) => crds::admit(call, new, Some(old))?,
        _ => {}
    }
    Ok(Reservation::none())
}

/// Before a deletion.
pub(crate) fn delete(call: &Call, object: &Object) -> Result<(), ApiError> {
    if call.served.is_core("namespaces") { namespaces::check_deletable(call, object.name()) } else { Ok(()) }
}
