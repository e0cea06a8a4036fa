//! Rows of other rules.

use std::sync::Arc;

use edgeward_engine::{Source, SourceContext, SourceError};
use edgeward_mqtt::Filter;
use futures::future::BoxFuture;

use super::MemoryBus;
use super::bus::Target;

pub(super) struct MemorySource {
    pub(super) filter: Filter,
    pub(super) bus: Arc<MemoryBus>,
}

impl Source for MemorySource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let _listening = self.bus.listen(self.filter, Target::Stream(context.emitter));
            context.tasks.cancelled().await;
            Ok(())
        })
    }
}
