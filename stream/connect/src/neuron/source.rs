//! What Neuron reads, as payloads.

use std::sync::Arc;

use edgeward_engine::{Emitter, Message, Source, SourceContext, SourceError};
use edgeward_service::Counter;
use futures::future::BoxFuture;
use tokio::sync::broadcast::error::RecvError;

use super::NeuronLinks;
use super::config::Address;
use super::link::Link;

static DROPPED: Counter =
    Counter::new("edgeward_connect_neuron_dropped_total", "messages of Neuron dropped because a stream was too slow");

pub(super) struct NeuronSource {
    pub(super) address: Address,
    pub(super) links: Arc<NeuronLinks>,
}

impl Source for NeuronSource {
    fn run(self: Box<Self>, context: SourceContext) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            let SourceContext { emitter, tasks, .. } = context;
            let link = self.links.get(&self.address);
            tokio::select! {
                () = receive(&link, &emitter) => {}
                () = report(&link, &emitter) => {}
                () = tasks.cancelled() => {}
            }
            Ok(())
        })
    }
}

async fn receive(link: &Link, emitter: &Emitter) {
    let mut messages = link.listen();
    loop {
        match messages.recv().await {
            Ok(payload) => emitter.emit(Message::payload(payload)).await,
            Err(RecvError::Lagged(count)) => DROPPED.add(count),
            Err(RecvError::Closed) => return,
        }
    }
}

/// Reports the state of the connection for as long as there is one.
async fn report(link: &Link, emitter: &Emitter) {
    let mut state = link.state.clone();
    loop {
        emitter.connection(state.borrow_and_update().clone());
        if state.changed().await.is_err() {
            return;
        }
    }
}
