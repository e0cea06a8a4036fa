//! Results as events.

use std::sync::Arc;

use bytes::Bytes;
use edgeward_engine::{Emission, Sink, SinkError};
use futures::future::BoxFuture;

use crate::http::{Listening, Role};
use crate::sink::{Encoder, Payloads};
use crate::{HttpHost, SinkOptions};

pub(super) struct EventSink {
    encoder: Encoder,
    payloads: Payloads,
    listening: Listening,
}

impl EventSink {
    pub(super) fn new(path: &str, options: SinkOptions, host: &Arc<HttpHost>) -> EventSink {
        host.start_soon();
        let listening = host.register(Role::Events, path, None);
        EventSink { encoder: Encoder::new(options), payloads: Payloads::default(), listening }
    }
}

impl Sink for EventSink {
    fn send<'a>(&'a mut self, emission: &'a Emission) -> BoxFuture<'a, Result<(), SinkError>> {
        Box::pin(async {
            self.encoder.encode(emission, &mut self.payloads)?;
            self.payloads.iter().for_each(|payload| self.listening.send(Bytes::copy_from_slice(payload)));
            Ok(())
        })
    }
}
