//! Accepting TLS connections, a bounded number of handshakes at a time.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use edgeward_service::Tasks;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::Error;

/// A connection whose TLS handshake is done.
pub(crate) struct Accepted {
    pub(crate) stream: TlsStream<TcpStream>,
    pub(crate) remote: SocketAddr,
    /// Counts against the handshakes until dropped.
    pub(crate) handshake: OwnedSemaphorePermit,
}

impl Accepted {
    /// The verified client certificate, DER.
    pub(crate) fn certificate(&self) -> Option<Vec<u8>> {
        self.stream.get_ref().1.peer_certificates()?.first().map(|certificate| certificate.to_vec())
    }
}

/// Binds an address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })
}

/// Accepts until the tasks are cancelled; each connection is a task of its own.
pub(crate) fn serve<F, Served>(
    listener: TcpListener,
    tls: ServerConfig,
    handshakes: usize,
    timeout: Duration,
    tasks: &Tasks,
    connection: F,
) where
    F: Fn(Accepted) -> Served + Clone + Send + Sync + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(tls));
    let handshakes = Arc::new(Semaphore::new(handshakes.max(1)));
    let connections = tasks.clone();
    tasks.spawn_until_cancelled("accept", async move {
        loop {
            // Never closed.
            let Ok(handshake) = handshakes.clone().acquire_owned().await else { return };
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, usually: give connections time to end.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let (acceptor, connection, cancelled) = (acceptor.clone(), connection.clone(), connections.token().clone());
            connections.spawn("connection", async move {
                let _ = stream.set_nodelay(true);
                // Boxed, so that a session does not carry the handshake's state for life.
                let accepted = tokio::time::timeout(timeout, Box::pin(acceptor.accept(stream)));
                let Some(accepted) = cancelled.run_until_cancelled(accepted).await else { return };
                match accepted {
                    Ok(Ok(stream)) => connection(Accepted { stream, remote, handshake }).await,
                    Ok(Err(error)) => tracing::debug!(%remote, %error, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%remote, "TLS handshake took too long"),
                }
            });
        }
    });
}
