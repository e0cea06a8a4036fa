//! TCP and TLS.

use std::io;
use std::pin::Pin;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Options;

pub(crate) trait Socket: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Socket for T {}

/// A connection to the server, with TLS if it wants it.
pub(crate) async fn connect(options: &Options) -> io::Result<Pin<Box<dyn Socket>>> {
    let server = &options.server;
    let stream = TcpStream::connect((server.host.as_str(), server.port)).await?;
    stream.set_nodelay(true)?;
    let Some(tls) = options.tls.as_ref().filter(|_| server.tls) else { return Ok(Box::pin(stream)) };
    let name = options.tls_name.as_ref().unwrap_or(&server.host).clone();
    let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    Ok(Box::pin(TlsConnector::from(tls.clone()).connect(name, stream).await?))
}
