//! Starting the broker: store, listeners, accept loops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::{Backoff, Tasks};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::core::Core;
use crate::store::Store;
use crate::{BrokerError, Handle, Options, connection, metrics};

/// The broker service.
#[derive(Debug)]
pub struct Broker;

impl Broker {
    /// Opens the store, listens, and serves until `tasks` is cancelled.
    ///
    /// # Errors
    /// An address is taken, or the store cannot be used.
    pub async fn start(options: Options, tasks: &Tasks) -> Result<Handle, BrokerError> {
        let tasks = tasks.child("broker");
        // Reads the store, once, before anybody can connect.
        let core = Arc::new(Core::open(options)?);
        let mut listeners = Vec::new();
        for address in &core.options.listen {
            let bound = TcpListener::bind(address).await;
            listeners.push(bound.map_err(|source| BrokerError::Listen { address: *address, source })?);
        }
        let address_of = |listener: &TcpListener| listener.local_addr();
        let addresses: Result<Arc<[SocketAddr]>, _> = listeners.iter().map(address_of).collect();
        let unspecified = core.options.listen.first().copied().unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
        let addresses = addresses.map_err(|source| BrokerError::Listen { address: unspecified, source })?;
        if let Some(store) = &core.store {
            Store::run(store.clone(), &tasks);
        }
        let slots = Arc::new(Semaphore::new(core.limits.max_connections));
        let door = watch::Sender::new(!core.options.hold);
        for listener in listeners {
            let mut open = door.subscribe();
            let accept = accept(listener, core.clone(), slots.clone(), tasks.clone());
            tasks.spawn_until_cancelled("accept", async move {
                // The door outlives its handle's clones only as long as one of them can open it.
                if open.wait_for(|open| *open).await.is_ok() {
                    accept.await;
                }
            });
        }
        tracing::info!(addresses = ?addresses, "MQTT broker started");
        Ok(Handle { core, addresses, door })
    }
}

async fn accept(listener: TcpListener, core: Arc<Core>, slots: Arc<Semaphore>, tasks: Tasks) {
    let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(1));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, mostly: others must end first.
                tracing::warn!(%error, "cannot accept an MQTT connection; raise the limit of open files");
                tokio::time::sleep(backoff.next_delay()).await;
                continue;
            }
        };
        backoff.reset();
        let Ok(slot) = slots.clone().try_acquire_owned() else {
            metrics::REFUSED_CONNECTIONS.inc();
            continue;
        };
        let (core, node) = (core.clone(), tasks.clone());
        tasks.spawn("connection", async move {
            metrics::CONNECTIONS.add(1);
            // Small packets must not wait for more; failing to say so costs only time.
            let _ = stream.set_nodelay(true);
            let (reader, writer) = stream.into_split();
            connection::serve(core, reader, writer, peer, node).await;
            metrics::CONNECTIONS.sub(1);
            drop(slot);
        });
    }
}
