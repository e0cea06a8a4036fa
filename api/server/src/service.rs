//! The server as a tower service, for in-process clients.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};

use crate::auth::Identity;
use crate::dispatch;
use crate::http::body::{Body, BodyError};
use crate::server::Server;

/// Answers requests in-process as one identity; tokens and certificates are not looked at.
#[derive(Clone)]
pub struct LocalService {
    server: Arc<Server>,
    identity: Arc<Identity>,
}

impl LocalService {
    pub(crate) fn new(server: Arc<Server>, identity: Identity) -> Self {
        Self { server, identity: Arc::new(identity) }
    }
}

impl std::fmt::Debug for LocalService {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("LocalService").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl<B> tower::Service<Request<B>> for LocalService
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (server, identity) = (self.server.clone(), self.identity.clone());
        Box::pin(async move { Ok(dispatch::answer(server, request, dispatch::Caller::Known(identity)).await) })
    }
}
