//! From a request to its handler: who asks, what for, may they, and which verb it is.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_objects::ApiError;
use http::header::IF_NONE_MATCH;
use http::request::Parts;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::auth::{Identity, MASTERS};
use crate::authz::{self, Attributes};
use crate::call::Call;
use crate::catalog::Served;
use crate::http::body::{Body, BodyError};
use crate::http::media::{self, Form, JSON};
use crate::http::path::{ResourcePath, Route};
use crate::http::query::Query;
use crate::http::reply::Reply;
use crate::server::Server;
use crate::verbs::Verb;
use crate::{subresources, system, verbs};

/// How the identity of a request is known.
#[derive(Clone)]
pub(crate) enum Caller {
    /// In-process: given.
    Known(Arc<Identity>),
    /// Over a socket: by its token, or by the connection's client certificate.
    Peer(Option<Arc<Identity>>),
}

/// Answers one request; a refusal is an answer too.
pub(crate) async fn answer<B>(server: Arc<Server>, request: Request<B>, caller: Caller) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let (parts, body) = request.into_parts();
    let gzip = media::wants_gzip(&parts.headers) && matches!(caller, Caller::Peer(_));
    let reply = match route(server, &parts, body, caller).await {
        Ok(reply) => reply.compressed(gzip),
        Err(error) => {
            tracing::debug!(method = %parts.method, path = parts.uri.path(), code = error.code, error = error.message, "refused");
            Reply::error(&error)
        }
    };
    reply.into_response()
}

async fn route<B>(server: Arc<Server>, parts: &Parts, body: B, caller: Caller) -> Result<Reply, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let own = matches!(&caller, Caller::Known(identity) if identity.is_in(MASTERS));
    let identity = match caller {
        Caller::Known(identity) => identity,
        Caller::Peer(peer) => server.authenticator.identify(&parts.headers, peer.as_ref())?,
    };
    let route = Route::parse(parts.uri.path());
    let query = Query::parse(parts.uri.query());
    let open = matches!(route, Route::Version | Route::Health(_));
    if identity.is_anonymous() && !open {
        return Err(ApiError::unauthorized());
    }
    match route {
        Route::Resource(path) => resource(server, parts, body, Asked { identity, own, path, query }).await,
        _ if parts.method != Method::GET && parts.method != Method::HEAD => Err(ApiError::method_not_allowed()),
        Route::Version => Ok(system::version()),
        Route::Health(check) => Ok(system::health(check, &query)),
        Route::Metrics => {
            authz::authorize_path(&identity, "get", "/metrics")?;
            Ok(system::metrics())
        }
        Route::OpenApiV2 => Ok(system::openapi_v2(&parts.headers)),
        other => Ok(document(&server, parts, &other)),
    }
}

/// Discovery and OpenAPI.
fn document(server: &Server, parts: &Parts, route: &Route) -> Reply {
    let catalog = server.catalog();
    let known = parts.headers.get(IF_NONE_MATCH);
    let aggregated = media::wants_aggregated(&parts.headers);
    let root_type =
        if aggregated { "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList" } else { JSON };
    let found = match route {
        Route::CoreVersions => return catalog.root_document(true, aggregated).reply(known, root_type),
        Route::Groups => return catalog.root_document(false, aggregated).reply(known, root_type),
        Route::OpenApiV3 => catalog.openapi_root().into(),
        Route::Group(group) => catalog.group_document(group),
        Route::GroupVersion(group, version) => catalog.version_document(group, version),
        Route::OpenApiV3Document(path) => catalog.openapi_document(path),
        _ => None,
    };
    found.map_or_else(Reply::page_not_found, |document| document.reply(known, JSON))
}

/// What is known of a request for a resource before the resource is looked up.
struct Asked {
    identity: Arc<Identity>,
    /// One of the platform's own controllers.
    own: bool,
    path: ResourcePath,
    query: Query,
}

async fn resource<B>(server: Arc<Server>, parts: &Parts, body: B, asked: Asked) -> Result<Reply, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let Asked { identity, own, path, query } = asked;
    let catalog = server.catalog();
    let Some(served) = catalog.find(&path.group, &path.version, &path.resource).cloned() else {
        let known = catalog.has_version(&path.group, &path.version);
        return if known { Err(ApiError::unknown_resource()) } else { Ok(Reply::page_not_found()) };
    };
    if !path_fits(&served.kind, &path) {
        return Err(ApiError::unknown_resource());
    }
    let verb = Verb::of(&parts.method, &path, &query)?;
    authz::authorize(&server, &identity, &Attributes::of(&path, &served, verb, &query)).await?;
    check_served(&server, &served, &path, verb)?;
    // Watches have an account of their own; they would fill the places for ordinary requests.
    let place = if verb == Verb::Watch { None } else { server.flight.request(own)? };
    let form = if verb.writes() && path.subresource.is_some() { Form::Full } else { media::accepted(&parts.headers)? };
    let body = if verb.writes() { read_body(&server, body).await? } else { Bytes::new() };
    let warnings = served.custom.as_ref().and_then(|custom| custom.deprecation.clone()).into_iter().collect();
    let headers = parts.headers.clone();
    let call =
        Arc::new(Call { server, served, path, query, headers, identity, form, body, warnings: Mutex::new(warnings) });
    let reply = if verb.writes() { detached(&call, verb, place).await } else { handle(&call, verb).await };
    let warnings = std::mem::take(&mut *call.warnings.lock());
    Ok(reply.unwrap_or_else(|error| Reply::error(&error)).warnings(&warnings))
}

/// Refuses verbs and subresources a resource does not have, and writes where there are none.
fn check_served(server: &Server, served: &Served, path: &ResourcePath, verb: Verb) -> Result<(), ApiError> {
    let allowed = match &path.subresource {
        Some(name) => {
            let subresource = served.kind.subresource(name).ok_or_else(ApiError::unknown_resource)?;
            subresource.verbs.iter().any(|known| known == verb.as_str())
        }
        None => served.kind.allows(verb.as_str()),
    };
    if !allowed {
        return Err(ApiError::method_not_supported(&served.resource, verb.as_str()));
    }
    match &server.options.read_only {
        Some(reason) if verb.writes() && served.kind.is_stored() => {
            Err(ApiError::unavailable(format!("this API is read-only: {reason}")))
        }
        _ => Ok(()),
    }
}

async fn handle(call: &Arc<Call>, verb: Verb) -> Result<Reply, ApiError> {
    if call.path.subresource.is_some() {
        subresources::handle(call, verb).await
    } else {
        verbs::handle(call, verb).await
    }
}

/// A write is finished although its client may have gone: what belongs to it (addresses, the catalog) stays in step with
/// the store.
async fn detached(call: &Arc<Call>, verb: Verb, place: Option<OwnedSemaphorePermit>) -> Result<Reply, ApiError> {
    let (answer, answered) = oneshot::channel();
    let inner = call.clone();
    call.server.tasks.spawn("write", async move {
        let reply = handle(&inner, verb).await;
        drop(place);
        // Nobody listens when the client has gone.
        let _ = answer.send(reply);
    });
    let interrupted = |_| ApiError::internal("the write was interrupted; read the object to see its outcome");
    answered.await.map_err(interrupted)?
}

/// Cluster-scoped resources have no namespace in their path; one object of a namespaced resource always has one.
fn path_fits(kind: &edgeward_objects::ResourceType, path: &ResourcePath) -> bool {
    if kind.namespaced { path.namespace.is_some() || path.name.is_none() } else { path.namespace.is_none() }
}

async fn read_body<B>(server: &Server, body: B) -> Result<Bytes, ApiError>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let limits = &server.options.limits;
    let body = std::pin::pin!(Limited::new(body, limits.body_bytes));
    match tokio::time::timeout(limits.body_time, body.collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ApiError::entity_too_large(limits.body_bytes)),
        Ok(Err(error)) => Err(ApiError::bad_request(format!("cannot read the request body: {error}"))),
        Err(_) => Err(ApiError::new(408, edgeward_objects::Reason::Timeout, "the request body did not arrive in time")),
    }
}
