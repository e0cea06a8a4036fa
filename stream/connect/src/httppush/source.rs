//! Bodies as payloads.

use std::sync::Arc;

use edgeward_engine::{Source, SourceContext, SourceError};
use futures::future::BoxFuture;
use http::Method;

use crate::HttpHost;
use crate::http::Role;

pub(super) struct PushSource {
    pub(super) path: String,
    pub(super) method: Method,
    pub(super) host: Arc<HttpHost>,
    pub(super) acknowledge: bool,
}

impl Source for PushSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let role = Role::Push(self.method);
            let listener = (context.emitter.clone(), self.acknowledge);
            if let Some(_listening) = self.host.listen(role, &self.path, listener, &context).await {
                context.tasks.cancelled().await;
            }
            Ok(())
        })
    }
}
