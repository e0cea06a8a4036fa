//! Streams while rules read them. One that is SHARED serves all its rules with one source.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use edgeward_engine::{Emitter, Reset, Source, SourceContext, Stream};
use edgeward_service::Tasks;
use edgeward_sql::ast::CreateStream;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::catalog::{Catalog, is_lookup};
use crate::error::Result;

/// A stream in use; its source ends with the last one who holds it.
pub(crate) struct Running {
    pub(crate) stream: Arc<Stream>,
    tasks: Tasks,
    /// Taken when the source is started.
    source: Mutex<Option<Box<dyn Source>>>,
    failure: watch::Sender<Option<String>>,
    /// How `reset_state` moves the source.
    pub(crate) reset: Option<Reset>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

impl Running {
    /// Starts the source, once, after the first rule reads the stream.
    pub(crate) fn start(&self) {
        let Some(source) = self.source.lock().take() else { return };
        let context = SourceContext::new(Emitter::new(self.stream.clone()), self.tasks.clone());
        let (stream, failure, tasks) = (self.stream.clone(), self.failure.clone(), self.tasks.clone());
        // Called here, awaited there: a source that can subscribe at once has subscribed when the rule counts as started.
        let running = source.run(context);
        self.tasks.spawn("source", async move {
            match running.await {
                // A source that was told to stop has not come to its end.
                _ if tasks.is_cancelled() => return,
                Ok(()) => {}
                Err(error) => drop(failure.send_replace(Some(error.to_string()))),
            }
            stream.end();
        });
    }

    /// Stops the source: what it has not handed over by now is not acknowledged.
    pub(crate) fn stop(&self) {
        self.tasks.token().cancel();
    }

    /// Why the source ended, if it failed.
    pub(crate) fn failure(&self) -> Option<String> {
        self.failure.borrow().clone()
    }
}

/// The shared streams in use.
#[derive(Default)]
pub(crate) struct SharedStreams(Mutex<HashMap<String, Weak<Running>>>);

impl SharedStreams {
    /// A stream for one more rule. `acknowledge`: the rule's messages are acknowledged when they are safe, which a SHARED
    /// stream cannot promise (a slow rule would hold up the publishers of all).
    pub(crate) fn open(
        &self,
        catalog: &Catalog,
        create: &CreateStream,
        acknowledge: bool,
        tasks: &Tasks,
    ) -> Result<Arc<Running>> {
        if !is_shared(create) {
            return make(catalog, create, acknowledge, tasks);
        }
        let mut shared = self.0.lock();
        if shared.len() == shared.capacity() {
            // Only before the map grows: thousands of streams are opened one after the other when the program starts.
            shared.retain(|_, stream| stream.strong_count() > 0);
        }
        if let Some(running) = shared.get(&create.name).and_then(Weak::upgrade) {
            return Ok(running);
        }
        let running = make(catalog, create, false, tasks)?;
        shared.insert(create.name.clone(), Arc::downgrade(&running));
        Ok(running)
    }

    /// Forgets a stream whose definition changed: rules started from now on get the new one.
    pub(crate) fn forget(&self, name: &str) {
        self.0.lock().remove(name);
    }
}

/// Whether all rules use the same one: a SHARED stream, and a lookup table for its cache.
pub(crate) fn is_shared(create: &CreateStream) -> bool {
    create.options.shared || is_lookup(create)
}

fn make(catalog: &Catalog, create: &CreateStream, acknowledge: bool, tasks: &Tasks) -> Result<Arc<Running>> {
    let tasks = tasks.child(format!("stream {}", create.name));
    let failure = watch::Sender::new(None);
    if is_lookup(create) {
        let (source, options) = catalog.lookup(create)?;
        let stream = Stream::of_lookup(Catalog::engine_definition(create), source, options);
        return Ok(Arc::new(Running { stream, tasks, source: Mutex::default(), failure, reset: None }));
    }
    let stream = Stream::new(Catalog::engine_definition(create), catalog.format(create)?);
    let source = catalog.source(create, acknowledge)?;
    let reset = source.reset();
    Ok(Arc::new(Running { stream, tasks, source: Mutex::new(Some(source)), failure, reset }))
}
