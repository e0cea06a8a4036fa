//! Connections of the clients written here (Redis, SQL, NATS): TCP with or without TLS, and a bounded buffer of what came.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use edgeward_engine::SinkError;
use edgeward_service::Counter;
use futures::FutureExt;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::{ConnectError, Props, tls};

/// How long a connection may take to be made, and an answer to come.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that is not complete yet.
const MAX_BUFFER: usize = 16 << 20;
/// Room made for what comes next.
const CHUNK: usize = 16 << 10;

static TOO_LARGE: Counter = Counter::new(
    "edgeward_connect_replies_too_large_total",
    "Connections to databases and message servers ended because an answer was too large",
);

/// Why a server did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection or the server is in no state to answer: the same may be asked again.
    Passing(String),
    /// The server refuses, and always will.
    Refused(String),
}

impl Failure {
    pub(crate) fn text(&self) -> &str {
        match self {
            Failure::Passing(text) | Failure::Refused(text) => text,
        }
    }
}

impl From<Failure> for SinkError {
    fn from(failure: Failure) -> SinkError {
        match failure {
            Failure::Passing(text) => SinkError::Recoverable(text),
            Failure::Refused(text) => SinkError::Rejected(text),
        }
    }
}

/// What a connection runs on.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A server.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// Name or address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<Arc<ClientConfig>>,
}

/// Properties that ask for TLS where the address does not say it.
const TLS: [&str; 5] = ["rootCaPath", "rootCARaw", "certificationPath", "certificationRaw", "insecureSkipVerify"];

impl Target {
    /// Reads `host`, `host:port` or `[v6]:port`; a scheme before it, if any, must be one of `schemes`. TLS is used when a
    /// TLS property is set.
    ///
    /// # Errors
    /// It is no address, or a TLS property is wrong.
    pub(crate) fn read(
        (key, text): (&'static str, &str),
        (schemes, port): (&[&str], u16),
        props: &Props,
    ) -> Result<Target, ConnectError> {
        let bad = |reason: String| ConnectError::Invalid { key, reason };
        let rest = match text.split_once("://") {
            None => text,
            Some((scheme, rest)) if schemes.contains(&scheme) => rest,
            Some((scheme, _)) => return Err(bad(format!("scheme {scheme} is unknown; use {}", schemes.join(" or ")))),
        };
        let authority: Result<http::uri::Authority, _> = rest.trim_end_matches('/').parse();
        let authority = authority.map_err(|error| bad(format!("{text:?} is no address (host:port): {error}")))?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let whole = authority.port_u16().is_some() || authority.as_str() == authority.host();
        if host.is_empty() || rest.contains('@') || !whole {
            return Err(bad(format!("{text:?} is no address; use host:port")));
        }
        let tls = if Target::wants_tls(props) { Some(tls::client_config(props, false)?) } else { None };
        Ok(Target { host, port: authority.port_u16().unwrap_or(port), tls })
    }

    /// Whether a TLS property is set.
    pub(crate) fn wants_tls(props: &Props) -> bool {
        TLS.iter().any(|key| props.get(key).is_some())
    }

    /// Connects.
    ///
    /// # Errors
    /// The server cannot be reached; the text says why.
    pub(crate) async fn dial(&self) -> Result<Conn, String> {
        let wire = self.plain().await?;
        match &self.tls {
            None => Ok(Conn::new(Box::new(wire))),
            Some(config) => self.secure(wire, config).await,
        }
    }

    /// Connects without TLS, for protocols that begin in the clear.
    pub(crate) async fn plain(&self) -> Result<TcpStream, String> {
        let made = TcpStream::connect((self.host.as_str(), self.port));
        let made = tokio::time::timeout(PATIENCE, made).await.map_err(|_| self.failed(&"no answer"))?;
        let stream = made.map_err(|error| self.failed(&error))?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    /// Goes on with TLS.
    pub(crate) async fn secure(&self, wire: impl Wire + 'static, config: &Arc<ClientConfig>) -> Result<Conn, String> {
        let name = ServerName::try_from(self.host.clone()).map_err(|error| self.failed(&error))?;
        let made = TlsConnector::from(config.clone()).connect(name, wire);
        let made = tokio::time::timeout(PATIENCE, made).await.map_err(|_| self.failed(&"no answer"))?;
        Ok(Conn::new(Box::new(made.map_err(|error| self.failed(&error))?)))
    }

    /// Text of a connection that was not made.
    pub(crate) fn failed(&self, why: &dyn std::fmt::Display) -> String {
        format!("cannot connect to {}:{}: {why}", self.host, self.port)
    }
}

/// A connection.
pub(crate) struct Conn {
    wire: Box<dyn Wire>,
    incoming: BytesMut,
}

impl Conn {
    /// The wire itself, for protocols that go on with TLS.
    pub(crate) fn into_wire(self) -> Box<dyn Wire> {
        self.wire
    }

    pub(crate) fn new(wire: Box<dyn Wire>) -> Conn {
        Conn { wire, incoming: BytesMut::new() }
    }

    /// Writes all of `bytes`.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = async {
            self.wire.write_all(bytes).await?;
            self.wire.flush().await
        };
        let written =
            tokio::time::timeout(PATIENCE, written).await.map_err(|_| "the server takes nothing".to_owned())?;
        written.map_err(|error: std::io::Error| format!("connection lost: {error}"))
    }

    /// Waits until `parse` finds something in what has come. Safe to drop while waiting: nothing is lost.
    pub(crate) async fn read<T>(
        &mut self,
        mut parse: impl FnMut(&mut BytesMut) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        loop {
            if let Some(found) = parse(&mut self.incoming)? {
                return Ok(found);
            }
            if self.incoming.len() >= MAX_BUFFER {
                TOO_LARGE.inc();
                return Err(format!("an answer is larger than {MAX_BUFFER} bytes"));
            }
            self.incoming.reserve(CHUNK);
            match self.wire.read_buf(&mut self.incoming).await {
                Ok(0) => return Err("the server has closed the connection".to_owned()),
                Ok(_) => {}
                Err(error) => return Err(format!("connection lost: {error}")),
            }
        }
    }

    /// Like [`Conn::read`], for an answer that must come within some time.
    pub(crate) async fn answer<T>(
        &mut self,
        within: Duration,
        parse: impl FnMut(&mut BytesMut) -> Result<Option<T>, String>,
    ) -> Result<T, String> {
        let late = |_| format!("no answer within {within:?}");
        tokio::time::timeout(within, self.read(parse)).await.map_err(late)?
    }

    /// Whether a connection that nobody used for a while still stands: a server that says anything unasked is saying
    /// farewell.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.incoming.is_empty() && self.wire.read_buf(&mut self.incoming).now_or_never().is_none()
    }
}
