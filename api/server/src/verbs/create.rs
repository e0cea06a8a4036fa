//! Creating objects.

use edgeward_objects::{ApiError, Object};
use http::StatusCode;

use super::{decode, metadata, store};
use crate::call::Call;
use crate::http::reply::Reply;
use crate::{admission, schema};

/// How often a generated name may hit a taken one.
const NAME_TRIES: usize = 8;

/// `create`
pub(crate) async fn create(call: &Call) -> Result<Reply, ApiError> {
    let dry = call.query.dry_run()?;
    let sent = decode::object(call)?;
    let generated = sent.name().is_empty();
    let mut tries = 0;
    loop {
        let mut object = sent.clone();
        metadata::begin(call, &mut object)?;
        match create_one(call, object, dry).await {
            Err(error)
                if generated && error.reason == edgeward_objects::Reason::AlreadyExists && tries < NAME_TRIES =>
            {
                tries += 1
            }
            result => return result,
        }
    }
}

async fn create_one(call: &Call, mut object: Object, dry: bool) -> Result<Reply, ApiError> {
    crate::authz::check_created(&call.identity, &call.served, &object)?;
    admission::namespaces::check_open(call).await?;
    begin_status(call, &mut object);
    schema::admit(call, &mut object, None)?;
    let reservation = admission::create(call, &mut object).await?;
    if dry {
        if call.server.store.get(call.key_of(object.name())).await.map_err(|error| call.refused(error))?.is_some() {
            return Err(ApiError::already_exists(&call.served.resource, object.name()));
        }
        return call.answer_object(StatusCode::CREATED, &object);
    }
    let entry = store::create(call, &object).await?;
    reservation.keep();
    call.answer(StatusCode::CREATED, &entry)
}

/// Where the status is a subresource, a new object starts without one. Nodes bring theirs: kubelets register with it.
fn begin_status(call: &Call, object: &mut Object) {
    if call.served.has_status() && !call.served.is_core("nodes") {
        object.remove(&["status"]);
    }
}
