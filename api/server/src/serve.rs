//! Listening: HTTPS for the world, plain HTTP for a node's own loopback.

use std::sync::Arc;

use edgeward_service::{Counter, Gauge, Tasks};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;

use crate::auth::Identity;
use crate::dispatch::{self, Caller};
use crate::server::{ApiServer, Server};

static CONNECTIONS: Gauge = Gauge::new("edgeward_server_connections", "connections open");
static HANDSHAKES_FAILED: Counter =
    Counter::new("edgeward_server_handshakes_failed_total", "TLS handshakes that failed or took too long");
static ACCEPTS_FAILED: Counter =
    Counter::new("edgeward_server_accepts_failed_total", "connections the system could not hand over");

/// How a listener knows its clients.
#[derive(Clone)]
enum Door {
    Tls(TlsAcceptor),
    /// Whoever can connect is this identity.
    Plain(Arc<Identity>),
}

impl ApiServer {
    /// Serves HTTPS until `tasks` are cancelled. Client certificates are those the settings verify; a client without one
    /// needs a token. ALPN is set here: HTTP/2 and HTTP/1.1.
    pub fn serve(&self, listener: TcpListener, mut tls: ServerConfig, tasks: &Tasks) {
        tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        self.listen(listener, Door::Tls(TlsAcceptor::from(Arc::new(tls))), tasks);
    }

    /// Serves plain HTTP as one identity, for a node's loopback. Never bind this to anything else.
    pub fn serve_plain(&self, listener: TcpListener, identity: Identity, tasks: &Tasks) {
        self.listen(listener, Door::Plain(Arc::new(identity)), tasks);
    }

    fn listen(&self, listener: TcpListener, door: Door, tasks: &Tasks) {
        let tasks = tasks.child("api-listener");
        let server = self.shared().clone();
        let connections = tasks.clone();
        tasks.spawn_until_cancelled("accept", async move {
            let places = Arc::new(Semaphore::new(server.options.limits.connections));
            loop {
                // A full house does not accept: the kernel's queue holds the rest back.
                let Ok(place) = places.clone().acquire_owned().await else { return };
                match listener.accept().await {
                    Ok((socket, _)) => {
                        // Answers are written whole; waiting to fill packets only delays them.
                        let _ = socket.set_nodelay(true);
                        let connection = Connection { server: server.clone(), place };
                        connections.spawn("connection", connection.open(socket, door.clone(), connections.clone()));
                    }
                    Err(error) => {
                        ACCEPTS_FAILED.inc();
                        tracing::warn!(%error, "cannot accept a connection");
                        // Out of descriptors, usually; trying again at once would spin.
                        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                    }
                }
            }
        });
    }
}

struct Connection {
    server: Arc<Server>,
    place: OwnedSemaphorePermit,
}

impl Connection {
    async fn open(self, socket: tokio::net::TcpStream, door: Door, tasks: Tasks) {
        match door {
            Door::Plain(identity) => self.serve(socket, Caller::Known(identity), tasks).await,
            Door::Tls(acceptor) => {
                let limit = self.server.options.limits.header_time;
                match tokio::time::timeout(limit, acceptor.accept(socket)).await {
                    Ok(Ok(stream)) => {
                        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                        let peer = certificate.and_then(|der| Identity::from_certificate(der)).map(Arc::new);
                        self.serve(stream, Caller::Peer(peer), tasks).await;
                    }
                    Ok(Err(error)) => {
                        HANDSHAKES_FAILED.inc();
                        tracing::debug!(%error, "TLS handshake failed");
                    }
                    Err(_) => HANDSHAKES_FAILED.inc(),
                }
            }
        }
    }

    async fn serve<S>(self, stream: S, caller: Caller, tasks: Tasks)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        CONNECTIONS.add(1);
        let (server, _place) = (self.server, self.place);
        let builder = builder(&server);
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let (server, caller) = (server.clone(), caller.clone());
            async move { Ok::<_, std::convert::Infallible>(dispatch::answer(server, request, caller).await) }
        });
        let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = tasks.cancelled() => {
                // Requests in flight end; watches see the server's own shutdown and end too.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(error, "connection ended");
        }
        CONNECTIONS.sub(1);
    }
}

fn builder(server: &Server) -> Builder<TokioExecutor> {
    let limits = &server.options.limits;
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes.max(8_192) as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_header_list_size(limits.header_bytes)
        // A peer that vanished without a word is found out and its watches are closed.
        .keep_alive_interval(std::time::Duration::from_secs(60))
        .keep_alive_timeout(std::time::Duration::from_secs(20));
    builder
}
